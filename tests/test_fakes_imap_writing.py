"""Values as the server sends them."""

from __future__ import annotations

import pytest

from fakes.imap.writing import (
    in_writes,
    write_date_time,
    write_flags,
    write_literal,
    write_name,
    write_string,
)


@pytest.mark.parametrize("size", [1, 3, 4, 100])
def test_pieces_become_writes_of_a_size(size: int) -> None:
    pieces = [b"ab", b"", b"cdefghij", b"k"]
    writes = list(in_writes(pieces, size))
    assert b"".join(writes) == b"abcdefghijk"
    assert {len(write) for write in writes[:-1]} <= {size} and len(writes[-1]) <= size


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, b"NIL"),
        (b"", b'""'),
        (b"a b", b'"a b"'),
        (b'a"', b'{2}\r\na"'),
        (b"a\\", b"{2}\r\na\\"),
        (b"\xc3\xa4", b"{2}\r\n\xc3\xa4"),
        (b"a\r\n", b"{3}\r\na\r\n"),
        (b"\0", b"{1}\r\n\x80"),
    ],
)
def test_a_string_is_quoted_if_quotes_can_hold_it(value: bytes | None, written: bytes) -> None:
    assert write_string(value) == written


def test_a_literal_holds_no_nul() -> None:
    assert write_literal(b"a\0b") == b"{3}\r\na\x80b"  # RFC 3501 §4.3.1


def test_a_name_is_quoted() -> None:
    assert write_name(b'a"b\\') == rb'"a\"b\\"'
    assert write_name("ä".encode()) == b"{2}\r\n\xc3\xa4"
    assert write_name("ä".encode(), utf8=True) == b'"\xc3\xa4"'


def test_flags_are_a_list() -> None:
    assert write_flags(["\\Seen", "Old"]) == b"(\\Seen Old)"
    assert write_flags([]) == b"()"


def test_a_date_time_is_in_utc() -> None:
    assert write_date_time(1769940005.9) == b'" 1-Feb-2026 10:00:05 +0000"'
    assert write_date_time(-1) == b'"31-Dec-1969 23:59:59 +0000"'
    assert write_date_time(1e12) == b'"31-Dec-9999 01:46:40 +0000"'
