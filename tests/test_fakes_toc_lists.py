"""The stored lists of an account, in their two written forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.toc.lists import Lists, Permissions, fold, is_name

LATIN = st.text(st.characters(max_codepoint=255), max_size=60)
CONFIG2_LINE = ("g:", "b:", "p:", "d:", "m:", "done:")


def test_names_are_folded_by_case_and_spaces_only() -> None:
    assert fold("Bob  Smith ") == "bobsmith"
    assert fold("Bob-Smith_1") == "bob-smith_1"


def test_a_name_holds_neither_a_colon_nor_control_characters_and_is_not_empty() -> None:
    assert is_name("Bob Smith")
    for name in ("", "  ", "a:b", "a\nb", "a\0b", "x" * 49):
        assert not is_name(name)


@given(LATIN)
def test_any_stored_text_is_returned_unchanged_and_as_a_valid_config2(text: str) -> None:
    lists = Lists()
    lists.text = text
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
    stored.text = "".join(f"{letter} {value}\n" for letter, value in lines)
    stored.change(lambda: None)  # from here on, the text is written from the lists
    again.text = stored.text
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
