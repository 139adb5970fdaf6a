"""Header fields: what is written can be read back, and no line is too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import addresses, header, words


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"", []),
        (b"A: 1\r\nB: 2\r\n\r\nC: 3\r\n", [("A", "1"), ("B", "2")]),
        (b"A: 1\nB: 2\n\nC: 3\n", [("A", "1"), ("B", "2")]),
        (b"A: 1\r\n 2\r\n\t3\r\nB:\r\n", [("A", "1 2\t3"), ("B", "")]),
        (b"A : 1\r\n", [("A", "1")]),
        (b"\xef\xbb\xbfA: 1\r\n", [("A", "1")]),  # a script's file began with a byte-order mark
        (b"A: 1\r\n\xef\xbb\xbfB: 2\r\n\r\n", [("A", "1"), ("B", "2")]),
        (b"A: 1\r\nnot a field\r\nB: 2\r\n", [("A", "1")]),
        (b" folded\r\nA: 1\r\n", []),
        (b"A: 1", [("A", "1")]),
        (b"From ann@x Mon Jan  5 00:00:09 2026\r\nA: 1\r\n\r\n", [("A", "1")]),
        (b">From ann@x Mon Jan  5\r\nA: 1\r\n\r\n", [("A", "1")]),
        (b"A: 1\r\nFrom ann@x Mon Jan  5\r\n folded\r\nB: 2\r\n\r\n", [("A", "1"), ("B", "2")]),
        (b"A: 1\r\njunk\r\nSubject: 2\r\n\r\n", [("A", "1"), ("Subject", "2")]),
        (b"A: 1\njunk\n more\njunk\nX-B: 2\n\n", [("A", "1"), ("X-B", "2")]),
        (b"A: 1\r\nHello dear\r\nnote: this\r\n\r\n", [("A", "1")]),  # the text begins
        (b"A: 1\r\n: 2\r\nSubject: 3\r\n\r\n", [("A", "1"), ("Subject", "3")]),
        (b"A\t : 1\r\n \r\nB: 2\r\n\r\n", [("A", "1"), ("B", "2")]),
        (b"Subject: \xe9\r\nFrom: \xe9@x.test\r\n", [("Subject", "é"), ("From", "\ufffd@x.test")]),
    ],
)
def test_fields_are_unfolded_until_the_first_line_that_is_not_a_field(
    raw: bytes, fields: list[tuple[str, str]]
) -> None:
    assert list(header.fields(raw)) == fields


@given(st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=300))
def test_free_text_reads_back_the_same(text: str) -> None:
    text = text.strip()
    written = header.text_field("Subject", text)
    [(name, value)] = header.fields(written.encode() + b"\r\n")
    assert (name, words.decode(value)) == ("Subject", text)


@given(st.lists(st.text("abc =", max_size=120), max_size=8))
def test_no_line_is_too_long_or_consists_of_spaces_only(pieces: list[str]) -> None:
    lines = header.text_field("Subject", " ".join(pieces).strip()).split("\r\n")
    assert max(map(len, lines)) <= header.LONGEST_LINE
    assert all(line.strip() for line in lines)


def test_a_list_of_addresses_is_folded_between_them() -> None:
    text = ", ".join(f"Person {number} <person{number}@yourco.test>" for number in range(5))
    written = header.address_field("To", addresses.parse(text))
    assert max(map(len, written.split("\r\n"))) <= header.LINE
    [(_, value)] = header.fields(written.encode())
    assert addresses.parse(value) == addresses.parse(text)


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0b"])
def test_a_value_that_could_add_a_header_is_refused_by_name(value: str) -> None:
    with pytest.raises(ValueError, match=r"^subject: .* contains a line break or NUL"):
        header.check_line("subject", value)


def test_the_rest_of_a_header_that_is_too_long_is_left_out() -> None:
    fields = b"".join(b"A%d: x\r\n" % number for number in range(40_000))
    found, begin = header.split(b"Subject: hi\r\n" + fields + b"From: a@b.test\r\n\r\nbody\r\n")
    assert found[0] == ("Subject", b"hi")
    assert 20_000 < len(found) < 40_000 and "From" not in dict(found)
    assert (b"Subject: hi\r\n" + fields + b"From: a@b.test\r\n\r\nbody\r\n")[begin:] == b"body\r\n"


def test_a_list_that_is_too_long_is_cut_between_two_addresses() -> None:
    to = b"To: " + b"boss@example.com," * 20_000
    [(_, value)], begin = header.split(to + b"\n\nbody")
    assert {*value.split(b",")} == {b"boss@example.com"}
    assert (to + b"\n\nbody")[begin:] == b"body"


def test_a_long_line_that_is_not_a_field_is_the_body() -> None:
    assert header.split(b"A: 1\n" + b"x" * 300_000) == ([("A", b"1")], 5)
