"""How a command is split into words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.toc.arguments import Malformed, words

LATIN = st.text(st.characters(max_codepoint=255))


def texts(command: str) -> list[str]:
    return [word.text for word in words(command)]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("", []),
        ("  \t\r\n", []),
        ("a b", ["a", "b"]),
        (" a  b ", ["a", "b"]),
        ("a\tb\nc", ["a", "b", "c"]),
        ('a "b c" d', ["a", "b c", "d"]),
        ('a "" b', ["a", "", "b"]),
        ("a {} b", ["a", "", "b"]),
        ("a {b {c} d", ["a", "b {c", "d"]),
        ('{"}', ['"']),
        ('"{"', ["{"]),
        ('"{a\nb}"', ["{a\nb}"]),
        ('"a""b"', ["a", "b"]),
        ('a"b', ['a"b']),
        ("a{b", ["a{b"]),
        (r"\"a\ b", ['"a b']),
        (r"\{a", ["{a"]),
        (r'"\\"', ["\\"]),
        (r'"a\"b\{c\}d\$e\[f\]g\(h\)i\\j"', ['a"b{c}d$e[f]g(h)i\\j']),
        (r"\n", ["n"]),
        ("a\\", ["a\\"]),
        ("\\", ["\\"]),
        ("$ [ ] ( ) }", ["$", "[", "]", "(", ")", "}"]),
        ("a\xa0b\x0bc", ["a\xa0b\x0bc"]),
    ],
)
def test_words_are_bare_quoted_or_braced(command: str, expected: list[str]) -> None:
    assert texts(command) == expected


@pytest.mark.parametrize("command", ['"', '"a', 'a "b', "{", "a {b", '"a\\"', "{a\\}", '"\\'])
def test_a_quote_or_brace_that_is_never_closed_is_malformed(command: str) -> None:
    with pytest.raises(Malformed, match="never closed"):
        words(command)


@given(LATIN)
def test_any_text_is_split_or_refused(text: str) -> None:
    try:
        found = words(text)
    except Malformed:
        return
    for word in found:
        assert text[word.start : word.end].strip(" \t\r\n")


@given(st.lists(LATIN), st.sampled_from(['"{}"', "{{{}}}"]))
def test_what_is_escaped_as_aol_asks_reads_back(arguments: list[str], around: str) -> None:
    escaped = [re.sub(r'([$(){}\[\]"\\])', r"\\\1", argument) for argument in arguments]
    assert texts(" ".join(around.format(argument) for argument in escaped)) == arguments


def test_a_long_run_of_backslashes_takes_linear_time() -> None:
    with pytest.raises(Malformed):
        words('"' + "\\" * 100_001)
    assert len(words("\\" * 100_000)) == 1
