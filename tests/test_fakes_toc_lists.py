"""An account's lists, in the two forms in which they are written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fakes.toc.lists import Lists, Permissions, fold, is_name

LATIN = st.text(st.characters(max_codepoint=255), max_size=60)
CONFIG2_LINE = ("g:", "b:", "p:", "d:", "m:", "done:")


def test_names_fold_by_case_and_blanks_only() -> None:
    assert fold("Bob  Smith ") == "bobsmith"
    assert fold("Bob-Smith_1") == "bob-smith_1"


def test_a_name_holds_no_colon_and_no_control_character_and_is_not_blank() -> None:
    assert is_name("Bob Smith")
    for name in ("", "  ", "a:b", "a\nb", "a\0b", "x" * 49):
        assert not is_name(name)


@given(LATIN)
def test_whatever_a_client_stores_is_given_back_as_it_was_and_read_without_a_word(text: str) -> None:
    lists = Lists()
    lists.text = text
    assert lists.text == text
    config = lists.config2
    assert config.endswith("\nm:" + str(lists.permissions.mode) + "\ndone:\n") or config.startswith("m:")
    for line in config.split("\n")[:-1]:
        assert line.startswith(CONFIG2_LINE)
        assert line == "done:" or len(line) > 2


@given(st.lists(st.tuples(st.sampled_from("gbpdm"), st.sampled_from(["bob", "Ops Bot", "Work", "3", "x:y"]))))
def test_a_list_written_for_one_version_is_the_same_when_read_for_the_other(lines: list[tuple[str, str]]) -> None:
    stored, again = Lists(), Lists()
    stored.text = "".join(f"{letter} {value}\n" for letter, value in lines)
    stored.change(lambda: None)  # from here on the text is written, not kept
    again.text = stored.text
    assert again.buddies == stored.buddies
    assert again.permissions == stored.permissions
    assert list(again.groups) == list(stored.groups)


def test_nobody_sees_a_change_that_found_no_room() -> None:
    lists = Lists()
    for n in range(400):
        if not lists.change(lambda: lists.add_buddy("group", f"{n:048}")):
            break
    before = lists.config2
    assert not lists.change(lambda: lists.add_buddy("group", "x" * 48 + ":" + "y" * 500))
    assert lists.config2 == before


def test_the_five_modes() -> None:
    asked = [("bob", True), ("bob", False), ("ops", True), ("ops", False)]
    allowed = {
        mode: [Permissions(mode, {"bob": "bob"}, {"bob": "bob"}).allows(name, buddy) for name, buddy in asked]
        for mode in (1, 2, 3, 4, 5)
    }
    assert allowed == {
        1: [True, True, True, True],
        2: [False, False, False, False],
        3: [True, True, False, False],
        4: [False, False, True, True],
        5: [True, False, True, False],
    }
