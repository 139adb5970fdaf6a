"""A mailbox as POP3 serves it: mails in order, each with a unique id that is never used again."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cached_property

from fakes.arrivals import counted
from fakes.mail import Mail

_BARE_LF_BEFORE_DOT = re.compile(rb"(?<!\r)\n(?=\.)")


@dataclass(repr=False)
class Row:
    """One mail in a maildrop. `raw` is the message with the server's trace lines on top."""

    uid: int
    raw: bytes
    at: float
    mail: Mail

    def __repr__(self) -> str:
        return f"<Row {self.unique_id} {self.mail!r}>"

    @property
    def unique_id(self) -> str:
        """The unique id of RFC 1939 §7: the same in every session, and never used again."""
        return f"{self.uid:08x}"

    @cached_property
    def served(self) -> bytes:
        """The message as POP3 sends it, before dot-stuffing: its last line is ended.

        A bare LF before a dot becomes CRLF. Many clients end a line at LF, and a lone dot between
        bare LFs would end the message for them; CRLF makes the dot one that every client unstuffs.
        """
        served = _BARE_LF_BEFORE_DOT.sub(b"\r\n", self.raw)
        return served if served.endswith(b"\r\n") or not served else served + b"\r\n"

    @cached_property
    def stuffed(self) -> bytes:
        """What POP3 sends before the final dot. It is kept for the next client."""
        return dot_stuff(self.served)

    @cached_property
    def international(self) -> bool:
        """Whether the header holds non-ASCII UTF-8 (RFC 6532).

        A header that is not valid UTF-8 does not count. It is served as it is.
        """
        head = self.raw.partition(b"\r\n\r\n")[0]
        try:
            return not head.isascii() and bool(head.decode())
        except UnicodeDecodeError:
            return False

    @property
    def size(self) -> int:
        """The size in bytes as sent, before dot-stuffing (RFC 1939 §11)."""
        return len(self.served)


@dataclass(repr=False)
class Maildrop:
    """The mails of one mailbox, oldest first."""

    address: str
    rows: list[Row] = field(default_factory=list)
    next_uid: int = 1
    holder: object = None  # the session that has locked the maildrop (RFC 1939 §4)
    last_login: float = -math.inf  # seconds since the epoch

    def __repr__(self) -> str:
        return f"<Maildrop {self.address} {counted(len(self.rows), 'mail')}>"

    @property
    def size(self) -> int:
        """The number of bytes stored in it."""
        return sum(len(row.raw) for row in self.rows)

    def append(self, raw: bytes, mail: Mail) -> None:
        """Adds a mail under the next unique id."""
        self.rows.append(Row(self.next_uid, raw, mail.at, mail))
        self.next_uid += 1


def dot_stuff(lines: bytes) -> bytes:
    """Doubles each dot that begins a line (RFC 5321 §4.5.2, RFC 1939 §3)."""
    if b"." not in lines:
        return lines
    stuffed = lines.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
