"""The stored lists of an account, in their two written forms."""

from __future__ import annotations

import time
from collections.abc import Callable
from timeit import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.toc.frames import MESSAGE_LIMIT
from fakes.toc.lists import Lists, Permissions, fold, is_name

LATIN = st.text(st.characters(max_codepoint=255), max_size=60)
CONFIG2_LINE = ("g:", "b:", "p:", "d:", "m:", "done:")


def test_names_are_folded_by_case_and_spaces_only() -> None:
    assert fold("Bob  Smith ") == "bobsmith"
    assert fold("Bob-Smith_1") == "bob-smith_1"


def test_a_name_is_printable_latin_1_without_a_colon_and_not_empty() -> None:
    assert is_name("Bob Smith")
    for name in ("", "  ", "a:b", "a\nb", "a\0b", "x" * 49, "Łukasz"):
        assert not is_name(name)


@given(LATIN)
def test_any_stored_text_is_returned_unchanged_and_as_a_valid_config2(text: str) -> None:
    lists = Lists()
    assert lists.store(text)
    assert lists.text == text
    last = f"m:{lists.permissions.mode}\ndone:\n"
    assert lists.config2 == last or lists.config2.endswith("\n" + last)
    for line in lists.config2.split("\n")[:-1]:
        assert line.startswith(CONFIG2_LINE)
        assert line == "done:" or len(line) > 2


@given(
    st.lists(
        st.tuples(st.sampled_from("gbpdm"), st.sampled_from(["bob", "Ops Bot", "Work", "3", "x:y"]))
    )
)
def test_the_two_written_forms_describe_the_same_list(lines: list[tuple[str, str]]) -> None:
    stored, again = Lists(), Lists()
    assert stored.store("".join(f"{letter} {value}\n" for letter, value in lines))
    stored.change(lambda: None)  # from here on, the text is written from the lists
    assert again.store(stored.text)
    assert again.buddies == stored.buddies
    assert again.permissions == stored.permissions
    assert list(again.groups) == list(stored.groups)


def test_a_change_that_does_not_fit_is_undone() -> None:
    lists = Lists()
    for n in range(400):
        if not lists.change(lambda: lists.add_buddy("group", f"{n:048}")):
            break
    before = lists.config2
    assert not lists.change(lambda: lists.add_buddy("group", "x" * 48 + ":" + "y" * 500))
    assert lists.config2 == before


def test_a_change_costs_little_more_than_writing_the_lists() -> None:
    lists = Lists()
    for number in range(700):
        lists.add_buddy("Friends", f"buddy{number}")

    def cost(act: Callable[[], object]) -> float:
        return min(repeat(act, timer=time.process_time, number=20, repeat=7))

    change = cost(lambda: lists.change(lambda: lists.add_buddy("Friends", "bob")))
    assert change < 3 * cost(lambda: lists.config2)


@pytest.mark.parametrize("form", ["CONFIG:", "CONFIG2:"])
@pytest.mark.parametrize("excess", [-1, 0, 1, 6, 7])
def test_a_text_is_stored_if_it_fits_one_message_in_both_forms(form: str, excess: int) -> None:
    lists = Lists()
    assert lists.store("g Friends\nb bob\n")
    # A line without a letter that is known counts in TOC 1.0 only.
    head, rest = ("g Work\n", "x") if form == "CONFIG:" else ("", "g ")
    fixed = len(head + rest) if form == "CONFIG:" else len("g:\nm:1\ndone:\n")
    text = head + rest + "y" * (MESSAGE_LIMIT - len(form) - fixed + excess)
    assert lists.store(text) == (excess <= 0)
    assert lists.text == (text if excess <= 0 else "g Friends\nb bob\n")
    assert ("bob" in lists) == (excess > 0)


@pytest.mark.parametrize(
    ("mode", "bob", "bob_not_buddy", "ops", "ops_not_buddy"),
    [
        (1, True, True, True, True),
        (2, False, False, False, False),
        (3, True, True, False, False),
        (4, False, False, True, True),
        (5, True, False, True, False),
    ],
)
def test_each_mode_allows_the_users_that_it_names(
    mode: int, bob: bool, bob_not_buddy: bool, ops: bool, ops_not_buddy: bool
) -> None:
    permissions = Permissions(mode, {"bob": "bob"}, {"bob": "bob"})
    assert permissions.allows("bob", buddy=True) is bob
    assert permissions.allows("bob", buddy=False) is bob_not_buddy
    assert permissions.allows("ops", buddy=True) is ops
    assert permissions.allows("ops", buddy=False) is ops_not_buddy
