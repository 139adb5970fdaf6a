"""ENVELOPE, BODY and BODYSTRUCTURE of any mail (RFC 3501 §7.4.2), as bytes for the client."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fakes.imap.addresses import read_addresses
from fakes.imap.header import Scanner, read_fields, unfold, with_single_spaces
from fakes.imap.source import Parameters, Part, Source, read_parameters
from fakes.imap.writing import write_string

_ADDRESSES = (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc")
_STRINGS = (b"date", b"subject", b"in-reply-to", b"message-id")
_TOKEN = re.compile(rb'[^\x00-\x20()<>@,;:\\"/\[\]?=\x7f]+')


def envelope(source: Source) -> bytes:
    """Returns the envelope in parentheses."""
    if "ENVELOPE" not in source.known:
        source.known["ENVELOPE"] = _envelope(source.raw, source.root)
    return source.known["ENVELOPE"]


def body(source: Source) -> bytes:
    """Returns BODY: the structure without extension data."""
    return _structure(source, "BODY", False)


def body_structure(source: Source) -> bytes:
    """Returns BODYSTRUCTURE."""
    return _structure(source, "BODYSTRUCTURE", True)


def _structure(source: Source, name: str, extended: bool) -> bytes:
    if name not in source.known:
        pieces: list[bytes] = []
        _Writer(source.raw, extended, pieces).write(source.root)
        source.known[name] = b"".join(pieces)
    return source.known[name]


# ── the envelope ─────────────────────────────────────────────────────────────


def _envelope(raw: bytes, part: Part) -> bytes:
    strings: dict[bytes, bytes] = {}
    lists: dict[bytes, list[bytes]] = {}
    for name, _, value, end in read_fields(raw, part.start, part.head_end):
        if name in _STRINGS:
            strings[name] = unfold(raw[value:end])
        elif name in _ADDRESSES:
            lists.setdefault(name, []).extend(_addresses(raw[value:end]))
    if b"subject" in strings:
        strings[b"subject"] = with_single_spaces(strings[b"subject"])
    for name in (b"sender", b"reply-to"):  # an empty one counts as absent
        lists[name] = lists.get(name) or lists.get(b"from", [])
    written = [
        b"(" + b"".join(found) + b")" if found else b"NIL" for found in map(lists.get, _ADDRESSES)
    ]
    date, subject, reply, message_id = (write_string(strings.get(name)) for name in _STRINGS)
    return b"(" + b" ".join((date, subject, *written, reply, message_id)) + b")"


def _addresses(value: bytes) -> list[bytes]:
    written = []
    for address in read_addresses(value):
        name = with_single_spaces(address.name or b"") or None
        written.append(b"(%b)" % b" ".join(map(write_string, (name, *address[1:]))))
    return written


# ── the structure ────────────────────────────────────────────────────────────


class _Writer:
    """Writes parts into a list of pieces."""

    def __init__(self, raw: bytes, extended: bool, pieces: list[bytes]) -> None:
        self.raw = raw
        self.extended = extended
        self.put = pieces.append

    def write(self, part: Part) -> None:
        """Writes a part, and the parts in it."""
        self.put(b"(")
        if part.is_multipart:
            # RFC 3501 §9: there is at least one.
            for inner in part.parts or [Part(part.end, part.end, part.end, part.end)]:
                self.write(inner)
            self.put(b" " + write_string(part.subtype))
            if self.extended:
                self.put(b" " + _parameters(part.parameters))
        else:
            self._write_single(part)
        if self.extended:
            self._write_extension(part)
        self.put(b")")

    def _write_single(self, part: Part) -> None:
        encoding = _first_token(part.fields.get(b"content-transfer-encoding", b"")) or b"7bit"
        self.put(
            b"%b %b %b %b %b %b %d"
            % (
                write_string(part.type),
                write_string(part.subtype),
                _parameters(part.parameters),
                self._string(part, b"content-id"),
                self._string(part, b"content-description"),
                write_string(encoding),
                part.end - part.body,
            )
        )
        if part.is_message:
            inner = part.parts[0]
            self.put(b" " + _envelope(self.raw, inner) + b" ")
            self.write(inner)
        if part.is_message or part.type.lower() == b"text":
            self.put(b" %d" % self.raw.count(b"\n", part.body, part.end))
        if self.extended:
            self.put(b" " + self._string(part, b"content-md5"))

    def _write_extension(self, part: Part) -> None:
        """Writes disposition, language and location."""
        disposition, language = b"NIL", b"NIL"
        if b"content-disposition" in part.fields:
            scan = Scanner(part.fields[b"content-disposition"])
            scan.skip()
            kind = scan.token(_TOKEN) or b""
            scan.skip()
            disposition = b"(%b %b)" % (write_string(kind), _parameters(read_parameters(scan)))
        if b"content-language" in part.fields:
            language = _languages(part.fields[b"content-language"])
        location = self._string(part, b"content-location")
        self.put(b" %b %b %b" % (disposition, language, location))

    def _string(self, part: Part, name: bytes) -> bytes:
        value = part.fields.get(name)
        return write_string(None if value is None else unfold(value))


def _parameters(parameters: Parameters) -> bytes:
    return _list(word for pair in parameters for word in pair)


def _list(words: Iterable[bytes]) -> bytes:
    found = b" ".join(map(write_string, words))
    return b"(" + found + b")" if found else b"NIL"


def _first_token(value: bytes) -> bytes | None:
    scan = Scanner(value)
    scan.skip()
    return scan.token(_TOKEN)


def _languages(value: bytes) -> bytes:
    """Returns the list of Content-Language (RFC 3282), up to what is not a language."""
    scan = Scanner(value)
    scan.skip()
    found = []
    while (language := scan.token(_TOKEN)) is not None:
        found.append(language)
        scan.skip()
        if not scan.mark(b","):
            break
    return _list(found)
