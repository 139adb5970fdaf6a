"""Values as they are sent to a client (RFC 3501 §9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date

from fakes.imap.grammar import DAY, EPOCH, MONTHS

_NOT_QUOTED = re.compile(rb'[\x00\r\n"\\\x80-\xff]')
_NOT_QUOTED_UTF8 = re.compile(rb"[\x00\r\n]")
_ESCAPE = re.compile(rb'["\\]')


def write_string(value: bytes | None) -> bytes:
    """Returns NIL, a quoted string, or a literal for what quotes cannot hold as it is."""
    if value is None:
        return b"NIL"
    if _NOT_QUOTED.search(value):
        return write_literal(value)
    return b'"' + value + b'"'


def write_name(name: bytes, *, utf8: bool = False) -> bytes:
    """Returns a mailbox name as a quoted string if possible; with `utf8`, UTF-8 is quoted, too."""
    if _NOT_QUOTED_UTF8.search(name) or not (utf8 or name.isascii()):
        return write_literal(name)
    return b'"' + _ESCAPE.sub(rb"\\\g<0>", name) + b'"'


def write_literal(value: bytes) -> bytes:
    """Returns a literal. NUL, which a literal may not hold, becomes 0x80 (RFC 3501 §4.3.1)."""
    return b"".join(literal_pieces(value))


def literal_pieces(value: bytes) -> tuple[bytes, bytes]:
    """Returns the announcement of a literal, and its content, which is usually no copy."""
    return b"{%d}\r\n" % len(value), value.replace(b"\0", b"\x80")


def in_writes(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yields what the pieces are together in writes of about that size."""
    batch: list[bytes] = []
    missing = size
    for piece in pieces:
        at = 0
        while len(piece) - at >= missing:
            batch.append(piece[at : at + missing])
            yield b"".join(batch)
            at, missing = at + missing, size
            batch = []
        batch.append(piece[at:])
        missing -= len(piece) - at
    if batch:
        yield b"".join(batch)


def write_flags(flags: Iterable[str]) -> bytes:
    """Returns a list of flags in parentheses, in the order given."""
    return f"({' '.join(flags)})".encode()


def write_date_time(at: float) -> bytes:
    """Returns a time as a quoted date-time in UTC: `" 1-Feb-2026 00:00:00 +0000"`."""
    days, seconds = divmod(int(at), DAY)
    day = date.fromordinal(min(max(EPOCH + days, 1), date.max.toordinal()))
    hours, minutes = divmod(seconds // 60, 60)
    month = MONTHS[day.month - 1]
    return (
        f'"{day.day:2}-{month}-{day.year:04} {hours:02}:{minutes:02}:{seconds % 60:02} +0000"'
    ).encode()
