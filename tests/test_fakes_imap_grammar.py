"""Arguments of commands: strings, numbers, sets, flags, dates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.imap.grammar import Arguments, BadCommand, SequenceSet, write_numbers
from fakes.rows import Rows
from tests.imap_values import arguments


def read(read: Callable[[Arguments], object], text: str | bytes) -> object:
    """Reads the one argument of a line."""
    found = arguments(text)
    value = read(found)
    found.end()
    return value


def refused(reader: Callable[[Arguments], object], text: str | bytes) -> str:
    with pytest.raises(BadCommand) as error:
        read(reader, text)
    return error.value.text


def test_a_command_is_a_tag_a_verb_and_arguments() -> None:
    line = arguments('a.1] uid fetch 1:* "x"')
    assert (line.tag(), line.verb()) == ("a.1]", "UID FETCH")
    line.space()
    assert line.sequence_set() == SequenceSet(((1, 0),))
    assert not line.at_end()


@pytest.mark.parametrize("text", ["", " a NOOP", "a+b NOOP", "* NOOP", "(a NOOP", "ä NOOP"])
def test_a_bad_tag_is_refused(text: str) -> None:
    assert refused(Arguments.tag, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a]b", b"a]b"),
        ('"a b"', b"a b"),
        (r'"a\"\\b"', b'a"\\b'),
        ('""', b""),
        ("{3+}\r\na\r\n", b"a\r\n"),
        ("{0+}\r\n", b""),
        ("{2+}\r\nä", "ä".encode()),
    ],
)
def test_a_string_has_three_forms(text: str, value: bytes) -> None:
    assert read(Arguments.astring, text) == value


@pytest.mark.parametrize(
    "text", ["", '"a', r'"a\n"', "a*", "a(", "a{", "a%", "ä", '"ä"', '"a\0"', "{1+}\r\n\0", "a b"]
)
def test_other_strings_are_refused(text: str) -> None:
    assert refused(Arguments.astring, text)


def test_utf8_in_quotes_is_for_those_who_have_enabled_it() -> None:
    assert refused(Arguments.astring, '"ä"') == "8-bit data in a quoted string; send a literal"
    line = arguments('"ä"')
    line.utf8 = True
    assert line.astring() == "ä".encode()
    line = arguments(b'"\xe4"')
    line.utf8 = True
    with pytest.raises(BadCommand, match="Invalid UTF-8"):
        line.astring()
    assert arguments(b'"\xe4"').astring(eight_bit=True) == b"\xe4"


def test_an_nstring_may_be_nil() -> None:
    assert read(Arguments.nstring, "nil") is None
    assert read(Arguments.nstring, '"NIL"') == b"NIL"


def test_a_list_pattern_may_have_wildcards() -> None:
    assert read(Arguments.list_pattern, "%/a*]") == b"%/a*]"


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("1", ((1, 1),)),
        ("*", ((0, 0),)),
        ("1:*", ((1, 0),)),
        ("*:4,7,2:1", ((0, 4), (7, 7), (2, 1))),
        ("1:4294967295", ((1, 4294967295),)),
    ],
)
def test_a_set_is_ranges(text: str, ranges: tuple[tuple[int, int], ...]) -> None:
    found = read(Arguments.sequence_set, text)
    assert isinstance(found, SequenceSet)
    assert (found.ranges, found.write().decode()) == (ranges, text)


@pytest.mark.parametrize(
    "text", ["0", "1,", ",1", "1:", ":1", "1:2:3", "1:**", "4294967296", "a", "$"]
)
def test_what_is_no_set_is_refused(text: str) -> None:
    assert refused(Arguments.sequence_set, text)


def test_a_set_is_resolved_without_its_members() -> None:
    found = SequenceSet(((5, 7), (0, 4), (9, 9), (1, 2), (6, 12)))
    assert found.resolve(3) == [(1, 12)]
    assert found.resolve(0) == [(1, 2), (5, 12)]  # there are no messages: `*` is nothing
    assert found.largest(3) == 12
    assert SequenceSet(((1, 0),)).largest(3) == 3


def test_a_set_selects_what_is_there() -> None:
    rows = Rows(SimpleNamespace(uid=uid) for uid in (3, 5, 8, 4_000_000_000)).seen()
    assert list(SequenceSet(((4, 4294967295), (1, 3))).select(rows)) == [0, 1, 2, 3]
    assert list(SequenceSet(((0, 4294967295),)).select(rows)) == [3]  # 4294967295:*
    assert list(SequenceSet(((6, 7),)).select(rows)) == []
    assert list(SequenceSet(((1, 0),)).select(Rows[SimpleNamespace]().seen())) == []


@pytest.mark.slow
@given(st.sets(st.integers(1, 50)))
def test_written_numbers_are_read_again(numbers: set[int]) -> None:
    text = write_numbers(sorted(numbers))
    found = arguments(text).sequence_set() if text else SequenceSet(())
    assert {n for low, high in found.resolve(0) for n in range(low, high + 1)} == numbers


def test_flags_are_keywords_and_five_of_the_system() -> None:
    found = read(Arguments.flags, r"(\seen Old \DELETED $MDNSent)")
    assert found == ("\\Seen", "Old", "\\Deleted", "$MDNSent")
    assert read(Arguments.flags, "()") == ()
    for text in (r"(\Recent)", r"(\Foo)", r"(\)", "(a  b)", "(a", "(a b ) "):
        assert refused(Arguments.flags, text)


def test_parentheses_are_not_nested_for_ever() -> None:
    line = arguments("(" * 40)

    def deeper() -> object:
        return line.nested(deeper)

    with pytest.raises(BadCommand, match="Too many parentheses"):
        deeper()


def test_a_date_is_a_day() -> None:
    day = date(2026, 2, 1).toordinal()
    for text in ("1-Feb-2026", '"01-FEB-2026"'):
        assert read(Arguments.date, text) == day
    for text in (
        "31-Feb-2026",
        "1-Foo-2026",
        "1-Feb-26",
        '"1-Feb-2026',
        "0-Jan-2026",
        "1-Jan-0000",
    ):
        assert refused(Arguments.date, text)


def test_a_date_time_has_a_zone() -> None:
    # RFC 3501 §6.3.11, the example
    assert read(Arguments.date_time, '"07-Feb-1994 21:52:25 -0800"') == 760686745.0
    assert read(Arguments.date_time, '" 1-Jan-1970 01:00:00 +0100"') == 0.0
    for text in (
        '"1-Jan-1970 01:00:00 +0100"',
        '"01-Jan-1970 24:00:00 +0000"',
        '"01-Jan-1970 00:00:00"',
        '"30-Feb-1970 00:00:00 +0000"',
        "01-Jan-1970",
    ):
        assert refused(Arguments.date_time, text)


def test_errors_show_what_cannot_be_read() -> None:
    assert refused(Arguments.sequence_set, "all") == "Expected sequence set before all"
    assert refused(Arguments.number, "") == "Expected number before end of line"
    assert refused(Arguments.astring, "a b") == "Unexpected space"


READERS: list[Callable[[Arguments], object]] = [
    *(Arguments.tag, Arguments.verb, Arguments.astring, Arguments.nstring, Arguments.date),
    *(Arguments.list_pattern, Arguments.sequence_set, Arguments.flags, Arguments.date_time),
    *(Arguments.attribute, Arguments.number, Arguments.base64, Arguments.literal),
]


@pytest.mark.slow
@given(st.text('ab19 (){}*%"\\:,-+\r\nä\0&'))
def test_any_text_is_read_or_refused(text: str) -> None:
    for reader in READERS:
        line = arguments(text)
        try:
            reader(line)
        except BadCommand as error:
            assert error.text.isprintable()
        assert line.at <= len(line.raw)
