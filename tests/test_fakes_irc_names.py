"""Names on IRC: which are valid, which are the same, and masks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.irc.names import fold, full_mask, is_channel, is_key, is_nick, matches


@pytest.mark.parametrize("name", ["a", "[x]", "`a-1", "{|}^_", "x" * 30])
def test_a_nick_begins_with_a_letter_or_a_bracket(name: str) -> None:
    assert is_nick(name)


@pytest.mark.parametrize("name", ["", "1a", "-a", "a b", "a!b", "a@b", "é", "~a", "x" * 31, "a\n"])
def test_what_is_no_nick(name: str) -> None:
    assert not is_nick(name)


@pytest.mark.parametrize(
    ("name", "valid"),
    [("#", True), ("#é", True), ("#" + "x" * 63, True), ("#" + "x" * 64, False)]
    + [(name, False) for name in ("", "a", "&a", "#a b", "#a,b", "#a\x07")],
)
def test_the_names_of_channels(name: str, valid: bool) -> None:
    assert is_channel(name) is valid


@pytest.mark.parametrize(
    ("key", "valid"),
    [("a", True), ("a:b", True), ("x" * 23, True)]
    + [(key, False) for key in ("", "x" * 24, ":a", "a b", "a,b", "a\x01")],
)
def test_the_keys_of_channels(key: str, valid: bool) -> None:
    assert is_key(key) is valid


def test_names_fold_as_the_case_mapping_says() -> None:
    assert fold("A[]\\~É") == "a{}|^É"
    assert fold("A[]\\~", "ascii") == "a[]\\~"


@pytest.mark.parametrize(
    ("mask", "full"),
    [("x", "x!*@*"), ("x!y", "x!y@*"), ("y@z", "*!y@z"), ("!@", "*!*@*"), ("a!b@c", "a!b@c")],
)
def test_a_mask_is_completed(mask: str, full: str) -> None:
    assert full_mask(mask) == full


@given(st.text("ab*?[", max_size=12), st.text("ab[{", max_size=12))
def test_a_mask_of_stars_and_question_marks_matches_as_in_a_shell(mask: str, name: str) -> None:
    def by_hand(mask: str, name: str) -> bool:
        if not mask:
            return not name
        if mask[0] == "*":
            return by_hand(mask[1:], name) or (bool(name) and by_hand(mask, name[1:]))
        return bool(name) and mask[0] in ("?", name[0]) and by_hand(mask[1:], name[1:])

    assert matches(mask, name) is by_hand(fold(mask), fold(name))


def test_many_stars_do_not_multiply_the_time() -> None:
    assert matches("*a" * 30, "a" * 80)
    assert not matches("*a" * 30 + "b", "a" * 80)  # a pattern would try each star at each place
