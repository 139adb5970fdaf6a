"""A mail as IMAP sees it: bytes, and where in them the header, the body and the parts are.

Nothing is decoded, and nothing is refused. Every number that FETCH returns is made from these
spans, so that BODYSTRUCTURE and BODY[…] agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from fakes.imap.header import Scanner, read_fields
from fakes.mail_header import find_empty_line

DEEPEST = 100  # parts within parts; what is deeper is not looked into
MOST_PARTS = 10_000  # of a mail; everything from the last of them on belongs to it

_TOKEN = re.compile(rb'[^\x00-\x20()<>@,;:\\"/\[\]?=\x7f]+')
_VALUE = re.compile(rb'=?[^\x00-\x20()<>@,;:\\"/\[\]?=\x7f]*')
_CONTINUED = re.compile(rb"([^*]*)\*([0-9]{1,4})(\*?)")

Parameters = tuple[tuple[bytes, bytes], ...]
US_ASCII = ((b"charset", b"us-ascii"),)


@dataclass(slots=True)
class Part:
    """A part of a mail, or the mail: spans of bytes, and what its Content-Type says."""

    start: int  # of the header
    head_end: int = 0  # where its fields end, and the empty line begins if there is one
    body: int = 0  # where the body begins
    end: int = 0
    type: bytes = b"text"
    subtype: bytes = b"plain"
    parameters: Parameters = US_ASCII
    # The other fields of the header that are about the content: name in lower case → raw value. Of
    # those that occur several times, the first.
    fields: dict[bytes, bytes] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)  # of message/rfc822: the message inside

    @property
    def is_multipart(self) -> bool:
        """Whether it consists of parts."""
        return self.type.lower() == b"multipart"

    @property
    def is_message(self) -> bool:
        """Whether there is a message inside."""
        return self.subtype.lower() == b"rfc822" and self.type.lower() == b"message"

    def parameter(self, name: bytes) -> bytes | None:
        """Returns a parameter of the Content-Type."""
        return next((value for key, value in self.parameters if key.lower() == name), None)


class Source:
    """A mail. Its structure is found out when it is first asked for; keep the object to keep it.

    With `broken_types`, an invalid Content-Type is read as Dovecot does.
    """

    __slots__ = ("_broken_types", "_root", "known", "raw")

    def __init__(self, raw: bytes, broken_types: bool = False) -> None:
        self.raw = raw
        self._broken_types = broken_types
        self._root: Part | None = None
        self.known: dict[str, bytes] = {}  # what others have made of it: ENVELOPE, BODYSTRUCTURE

    @property
    def root(self) -> Part:
        """The mail as a part."""
        if self._root is None:
            self._root = _Parser(self.raw, self._broken_types).parse()
        return self._root

    @property
    def head(self) -> Part:
        """The mail as a part of which only the header is known, unless the root is known."""
        if self._root is not None:
            return self._root
        head_end, body = find_empty_line(self.raw)
        return Part(0, head_end, body, len(self.raw))

    def fields(self, part: Part) -> Iterator[tuple[bytes, int, int, int]]:
        """Yields the fields of a part's header, as `read_fields` does."""
        return read_fields(self.raw, part.start, part.head_end)


class _Delimiter(NamedTuple):
    """A delimiter line of a multipart that is open."""

    is_last: bool
    depth: int  # how many parts stay open
    end: int  # where the others end: the line end before it belongs to it (RFC 2046 §5.1.1)
    after: int  # where the next line begins


class _Parser:
    """Finds the parts in one pass: delimiters and empty lines are looked for once each."""

    def __init__(self, raw: bytes, broken_types: bool) -> None:
        self.raw = raw
        self._broken_types = broken_types
        self._open: list[Part] = []  # the part that is being read, and those that it is in
        # The delimiters that may come: `--boundary`, and how many parts are open then. With a
        # tuple of them because `bytes.startswith` takes one.
        self._boundaries: list[tuple[bytes, int]] = []
        self._delimiters: tuple[bytes, ...] = ()
        self._line = 0  # the next line that begins with --: where the \n before it is; -1: none
        self._empty_line: tuple[int, int] = (-1, -1)  # the next one: begin and end
        self._count = 0

    def parse(self) -> Part:
        root = Part(0)
        at, part, default = 0, root, b""
        while True:
            delimiter = self._read_header(part, at, default)
            self._open.append(part)
            self._count += 1
            if delimiter is None and self._may_have_parts():
                if part.is_message:
                    at, default = part.body, b""
                    part.parts.append(Part(at))
                    part = part.parts[0]
                    continue
                boundary = part.parameter(b"boundary") if part.is_multipart else None
                if boundary is not None:
                    self._boundaries.append((b"--" + boundary, len(self._open)))
                    self._update()
            delimiter = delimiter or self._next_delimiter(len(self.raw))
            while delimiter is not None:
                self._close(delimiter.depth, delimiter.end)
                if not delimiter.is_last:
                    break
                delimiter = self._next_delimiter(len(self.raw))
            else:
                self._close(0, len(self.raw))
                return root
            at, parent = delimiter.after, self._open[-1]
            default = b"rfc822" if parent.subtype.lower() == b"digest" else b""
            part = Part(at)
            parent.parts.append(part)

    def _may_have_parts(self) -> bool:
        return len(self._open) < DEEPEST and self._count < MOST_PARTS

    def _close(self, depth: int, end: int) -> None:
        """Parts beyond that depth end here."""
        for part in reversed(self._open[depth:]):
            # An empty part begins after the line end that belongs to the next delimiter.
            part.end = end = max(end, part.body)
            if part.is_message and not part.parts:
                part.parts.append(Part(part.end, part.end, part.end, part.end))
        del self._open[depth:]
        while self._boundaries and self._boundaries[-1][1] > depth:
            self._boundaries.pop()
        self._update()

    def _update(self) -> None:
        self._delimiters = tuple(delimiter for delimiter, _ in self._boundaries)

    # ── lines ────────────────────────────────────────────────────────────────

    def _next_delimiter(self, limit: int) -> _Delimiter | None:
        """Takes the next delimiter line that begins before the limit."""
        while self._delimiters and self._count < MOST_PARTS:
            newline = self._line = self.raw.find(b"\n--", self._line)
            if newline < 0:
                self._line = len(self.raw)
            if not 0 <= newline < limit - 1:
                return None
            self._line += 1
            if self.raw.startswith(self._delimiters, newline + 1):
                return self._delimiter(newline)
        return None

    def _delimiter(self, newline: int) -> _Delimiter:
        # A line that only begins with a delimiter is one, so it may begin with several of them.
        matching = [
            (len(delimiter), depth, at)
            for at, (delimiter, depth) in enumerate(self._boundaries)
            if self.raw.startswith(delimiter, newline + 1)
        ]
        length, depth, at = max(matching)
        after = self.raw.find(b"\n", newline + 1) + 1
        # No part comes after a delimiter that is the end of the mail, and not a whole line.
        is_last = not after or self.raw.startswith(b"--", newline + 1 + length)
        del self._boundaries[at if is_last else at + 1 :]
        self._update()
        end = newline - self.raw.endswith(b"\r", 0, newline)
        return _Delimiter(is_last, depth, end, after)

    def _find_empty_line(self, start: int) -> tuple[int, int]:
        """Returns where the first empty line from there on begins and ends."""
        if self._empty_line[0] < start:
            self._empty_line = find_empty_line(self.raw, start)
        return self._empty_line

    # ── the header ───────────────────────────────────────────────────────────

    def _read_header(self, part: Part, at: int, default: bytes) -> _Delimiter | None:
        """Finds out what a part is. Returns the delimiter if one ends the header."""
        part.head_end, part.body = self._find_empty_line(at)
        self._line = max(self._line, at - 1, 0)
        delimiter = self._next_delimiter(part.body) if at else None
        if delimiter is None:  # what looks like a delimiter in the header is none
            self._line = max(self._line, part.body - 1)
        else:
            if self._open and self._open[-1].is_message:
                # As in Dovecot, the last line of a header in an attached message that has no empty
                # line (it is base64, for example) keeps its line end.
                delimiter = delimiter._replace(end=self.raw.find(b"\n", delimiter.end) + 1)
            part.head_end = part.body = max(at, delimiter.end)
        for name, _, value, end in read_fields(self.raw, at, part.head_end):
            if name.startswith(b"content-"):
                part.fields.setdefault(name, self.raw[value:end])
        found = read_content_type(part.fields.get(b"content-type", b""))
        if found is not None:
            part.type, part.subtype, part.parameters = found
            if part.type.lower() == b"text" and part.parameter(b"charset") is None:
                part.parameters += US_ASCII
        elif default:
            part.type, part.subtype, part.parameters = b"message", default, ()
        elif self._broken_types and b"content-type" in part.fields:
            part.type, part.subtype = read_broken_type(part.fields[b"content-type"])
            part.parameters = US_ASCII if part.type.lower() == b"text" else ()
        return delimiter


def read_content_type(value: bytes) -> tuple[bytes, bytes, Parameters] | None:
    """Reads `type/subtype; name=value`. None if that is not what it is (RFC 2045 §5.2)."""
    scan = Scanner(value)
    scan.skip()
    kind = scan.token(_TOKEN)
    scan.skip()
    if kind is None or not scan.mark(b"/"):
        return None
    subtype = scan.token(_TOKEN)
    scan.skip()
    if subtype is None or scan.next() not in (b"", b";"):
        return None
    return kind, subtype, read_parameters(scan)


def read_broken_type(value: bytes) -> tuple[bytes, bytes]:
    """Returns what Dovecot 2.3 makes of an invalid Content-Type: its only word, or ""."""
    scan = Scanner(value)
    scan.skip()
    word = scan.token(_TOKEN)
    scan.skip()
    if word is None or scan.next() != b"":
        return b"", b""
    return (b"application", b"octet-stream") if word.lower() == b"multipart" else (word, b"")


def read_parameters(scan: Scanner) -> Parameters:
    """Reads `; name=value; …` up to what is not that.

    The pieces of a long value are joined under the name that they would have in one piece, and not
    decoded (RFC 2231 §3).
    """
    found: list[tuple[bytes, bytes]] = []
    while scan.mark(b";"):
        name = scan.token(_TOKEN) or b""
        scan.skip()
        if scan.mark(b"="):
            value = scan.quoted() if scan.next() == b'"' else scan.token(_VALUE)
            if value is None:
                break
            found.append((name, value))
            scan.skip()
        # Whatever else is there is skipped.
        scan.at = scan.value.find(b";", scan.at)
        if scan.at < 0:
            break
    return _joined(found)


def _joined(pieces: list[tuple[bytes, bytes]]) -> Parameters:
    if not any(b"*" in name for name, _ in pieces):
        return tuple(pieces)
    numbered: dict[bytes, dict[int, tuple[bool, bytes]]] = {}
    for name, value in pieces:
        match = _CONTINUED.fullmatch(name)
        if match is not None:
            numbered.setdefault(match[1].lower(), {}).setdefault(
                int(match[2]), (bool(match[3]), value)
            )
    found: dict[bytes, tuple[bytes, bytes]] = {}
    rest: list[tuple[bytes, bytes]] = []
    for name, value in pieces:
        match = _CONTINUED.fullmatch(name)
        own = numbered.get(match[1].lower(), {}) if match else {}
        if match is None or 0 not in own or int(match[2]) >= len(own):
            rest.append((name, value))
        elif match[1].lower() not in found:
            found[match[1].lower()] = _one_value(match[1], own)
            rest.append(found[match[1].lower()])
    return tuple(rest)


def _one_value(name: bytes, numbered: dict[int, tuple[bool, bytes]]) -> tuple[bytes, bytes]:
    """Joins the pieces 0, 1, 2 … as far as they go."""
    pieces: list[tuple[bool, bytes]] = []
    while len(pieces) in numbered:
        pieces.append(numbered[len(pieces)])
    is_encoded = any(encoded for encoded, _ in pieces)
    prefix = b"" if pieces[0][0] or not is_encoded else b"''"
    return name + b"*" * is_encoded, prefix + b"".join(value for _, value in pieces)
