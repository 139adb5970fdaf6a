"""What crosses a connection, as values: a unit of input, a record of what was sent, a secret span.

A *unit* is one complete piece of client input: a command line, a message body, a frame, a stanza.
A *record* is one entry of the log that everything else is made from: transcripts, narration, the
wire shown beside a failed test. Records keep raw bytes and are only formatted when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from fakes.empty import EMPTY
from fakes.wire.dots import FINAL_DOT

# Shared, because most units and records have no fields, and a test may keep a million of them.
NO_FIELDS: Mapping[str, Any] = EMPTY


class Refuse(Exception):
    """Raised by a handler to refuse a command; `Session.refused` turns it into a reply.

    `reply` is whatever the protocol answers with: a reply code, a stanza error, an HTTP response.
    `section` names the document that demands the refusal.
    """

    def __init__(self, reply: Any, section: str = "") -> None:
        super().__init__(reply)
        self.reply = reply
        self.section = section


class Secret(NamedTuple):
    """A span of bytes that must not be shown to people, and the label shown in its place.

    The label says whose secret it is (`plain alice@example.test`), never what it is.
    """

    start: int
    end: int
    label: str


class _Shown:
    """What people may see of bytes that have secrets in them."""

    __slots__ = ()

    def shown(self: _HasSecrets) -> bytes:
        """Returns the visible bytes, each secret replaced by its label in braces."""
        last, end = self.visible or (0, len(self.raw))
        shown = b""
        for secret in sorted(self.secrets, key=lambda secret: secret.start):
            shown += self.raw[last : secret.start] + b"{" + secret.label.encode() + b"}"
            last = secret.end
        return shown + self.raw[last:end]


class _HasSecrets(Protocol):
    raw: bytes
    secrets: tuple[Secret, ...]
    visible: tuple[int, int] | None


@dataclass(slots=True)
class Unit(_Shown):
    """One complete piece of client input, taken from the buffer.

    `arg` is the text that the `arg` of a fault is compared with. `content` is the decoded form, if
    finding the end of the unit needed decoding. A unit that cannot be obeyed carries its `refusal`,
    which the dispatcher raises in place of calling the handler. Without a verb, it is raised at
    once.
    """

    raw: bytes
    verb: str
    arg: str = ""
    secrets: tuple[Secret, ...] = ()
    content: Any = None
    refusal: Refuse | None = None
    visible: tuple[int, int] | None = None  # the span worth showing to people; None: all of it
    fields: Mapping[str, Any] = NO_FIELDS  # decoded facts for the record
    final_dot: bool = False  # `raw` was followed by the final dot, which is not in it


@dataclass(slots=True)
class Record(_Shown):
    """One thing that crossed the wire, kept raw.

    `direction` is C (from the client), S (from the server) or `-` for an event of the connection,
    named by `verb`: `connects`, `tls`, `fault`, `unfinished`, `leaves`, `closes`, `resets`.
    `at` is in seconds since the epoch.
    """

    at: float
    protocol: str
    session: int
    direction: str
    raw: bytes
    verb: str = ""
    section: str = ""
    person: str = ""
    fault: str = ""
    secrets: tuple[Secret, ...] = ()
    fields: Mapping[str, Any] = NO_FIELDS
    visible: tuple[int, int] | None = (
        None  # the span worth showing (a frame has a header before it)
    )


class DottedRecord(Record):
    """The record of a message. It shares its bytes with the mail, in which the final dot is not."""

    __slots__ = ("_content",)
    _content: bytes

    @property
    def raw(self) -> bytes:
        """The message as it was sent."""
        return self._content + FINAL_DOT

    @raw.setter
    def raw(self, content: bytes) -> None:
        self._content = content
