"""A message as SEARCH, SORT and THREAD see it: decoded, and read only as far as it is needed."""

from __future__ import annotations

import binascii
from collections.abc import Collection, Iterator
from typing import Protocol, TypeVar

from fakes.imap.dates import Sent, read_date
from fakes.imap.header import Scanner, read_fields, unfold
from fakes.imap.source import Part, Source
from fakes.mail_header import decode_bytes, decode_words, find_empty_line


class Message(Protocol):
    """What the criteria are about. A property is read only if a criterion needs it."""

    @property
    def number(self) -> int:
        """The message sequence number."""

    @property
    def uid(self) -> int:
        """The UID."""

    @property
    def flags(self) -> Collection[str]:
        """Flags and keywords, with \\Recent; system flags as RFC 3501 writes them."""

    @property
    def at(self) -> float:
        """The internal date, in seconds since 1970."""

    @property
    def modseq(self) -> int:
        """The modification number."""

    @property
    def size(self) -> int:
        """The size in bytes."""

    @property
    def source(self) -> Source:
        """The mail."""


M = TypeVar("M", bound=Message)


class Subject:
    """A message, and what has been read of its mail so far. Texts are without case."""

    __slots__ = ("_bodies", "_fields", "_headers", "_sent", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self._fields: dict[bytes, list[bytes]] | None = None  # name → raw values
        self._headers: list[str] | None = None
        self._bodies: list[str] | None = None
        self._sent: tuple[Sent | None] | None = None

    def may_have(self, word: bytes) -> bool:
        """Whether a word, ASCII in lower case, may be in a field. False for nearly all mails.

        It is in the raw header, unless that has encoded words or other characters than ASCII. To
        look there takes a fifth of the time that it takes to read the fields.
        """
        raw = self.message.source.raw
        head = raw[: find_empty_line(raw)[0]]
        return word in head.lower() or b"=?" in head or not head.isascii()

    def raw_header(self, name: bytes) -> list[bytes]:
        """Returns the raw values of a field; the name is in lower case."""
        if self._fields is None:
            self._fields = {}
            source = self.message.source
            for found, _, value, end in source.fields(source.head):
                self._fields.setdefault(found, []).append(source.raw[value:end])
        return self._fields.get(name, []) if name else []

    def header(self, name: bytes) -> Iterator[str]:
        """Yields the decoded values of a field."""
        return (decode_value(value).casefold() for value in self.raw_header(name))

    @property
    def sent(self) -> Sent | None:
        """When the mail was sent, None if it does not say that."""
        if self._sent is None:
            values = self.raw_header(b"date")
            self._sent = (read_date(values[-1]) if values else None,)
        return self._sent[0]

    @property
    def sent_day(self) -> int:
        """The day on which it was sent, in the zone of its sender; 0 if that is unknown."""
        return self.sent.day if self.sent else 0

    @property
    def headers(self) -> list[str]:
        """The headers of the mail, of its parts, and of messages in it, a line for each field."""
        if self._headers is None:
            source = self.message.source
            self._headers = [_header(source.raw, part) for part in _all_parts(source.root)]
        return self._headers

    @property
    def bodies(self) -> list[str]:
        """The texts of the mail. Parts that are neither text nor part of a message have none."""
        if self._bodies is None:
            source = self.message.source
            self._bodies = [
                _text(source.raw, part).casefold()
                for part in _all_parts(source.root)
                if not part.parts and part.type.lower() in (b"text", b"message")
            ]
        return self._bodies


def decode_value(value: bytes) -> str:
    """Returns the value of a field unfolded and decoded."""
    return decode_words(decode_bytes(unfold(value).replace(b"\t", b" ")))


def _all_parts(root: Part) -> Iterator[Part]:
    waiting = [root]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += reversed(part.parts)


def _header(raw: bytes, part: Part) -> str:
    lines = []
    for name, start, value, end in read_fields(raw, part.start, part.head_end):
        prefix = decode_bytes(raw[start:value]) + " " if name else ""
        lines.append(prefix + decode_value(raw[value:end]))
    return "\n".join(lines).casefold()


def _text(raw: bytes, part: Part) -> str:
    content = raw[part.body : part.end]
    scan = Scanner(part.fields.get(b"content-transfer-encoding", b""))
    scan.skip()
    encoding = scan.value[scan.at :].lower()
    try:
        if encoding.startswith(b"base64"):
            # Without padding at the end, the last bytes would be an error.
            content = binascii.a2b_base64(content + b"===")
        elif encoding.startswith(b"quoted-printable"):
            content = binascii.a2b_qp(content)
    except binascii.Error:  # it is searched as it is
        pass
    return decode_bytes(content, (part.parameter(b"charset") or b"").decode("latin-1"))
