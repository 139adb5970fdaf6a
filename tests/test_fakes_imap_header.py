"""Header fields as bytes, and their lexical tokens."""

from __future__ import annotations

import re

import pytest

from fakes.imap.header import Scanner, read_fields, unescape, unfold, with_single_spaces


def test_fields_have_names_and_spans() -> None:
    raw = b"Subject: a\r\n b\r\nno field\r\nTo :c\nX:\n"
    found = [
        (name, raw[start:value], raw[value:end])
        for name, start, value, end in read_fields(raw, 0, len(raw))
    ]
    assert found == [
        (b"subject", b"Subject:", b" a\r\n b\r\n"),
        (b"", b"", b"no field\r\n"),
        (b"to", b"To :", b"c\n"),
        (b"x", b"X:", b"\n"),
    ]


def test_only_the_given_span_is_read() -> None:
    raw = b"A: 1\r\n x\r\nB: 2\r\n"
    assert [name for name, *_ in read_fields(raw, 0, 6)] == [b"a"]
    assert [name for name, *_ in read_fields(raw, 10, len(raw))] == [b"b"]


def test_a_value_is_unfolded() -> None:
    assert unfold(b" a  b\r\n\t c \n d\r\n") == b"a  b c d"
    assert with_single_spaces(b" a  b\t\r\n c ") == b"a b c"


def test_white_space_and_comments_are_skipped() -> None:
    scan = Scanner(b" (a (b) \\) c)\r\n x")
    assert scan.skip() and scan.next() == b"x"
    assert scan.comment == b"a (b) ) c"
    scan = Scanner(b" (a (b)")
    assert not scan.skip() and scan.next() == b""


@pytest.mark.parametrize(
    ("value", "found"),
    [(b'"a \\"b" c', b'a "b'), (b'"a\r\n b"', b"a b"), (b'"a', None), (b'"a\\"', None)],
)
def test_a_quoted_string_is_read_if_it_is_complete(value: bytes, found: bytes | None) -> None:
    scan = Scanner(value)
    assert scan.quoted() == found
    assert scan.at == 0 if found is None else scan.at > 1


def test_tokens_and_marks_are_read() -> None:
    scan = Scanner(b"a ; b")
    assert scan.token(re.compile(b"[a-z]+")) == b"a"
    assert not scan.mark(b";") and scan.skip() and scan.mark(b";")
    assert scan.token(re.compile(b"[a-z]+")) == b"b"
    assert scan.token(re.compile(b"[a-z]+")) is None
    assert unescape(b"plain") == b"plain"
