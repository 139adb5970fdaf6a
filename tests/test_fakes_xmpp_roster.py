"""The roster of an account as values: what clients see of it, and its versions."""

from __future__ import annotations

import pytest

from fakes.xmpp.roster import ITEMS, Item, Roster

ROMEO = "romeo@example.test"


@pytest.mark.parametrize(
    ("item", "written"),
    [
        (Item(ROMEO), "subscription='none'/>"),
        (Item(ROMEO, state="B"), "subscription='both'/>"),
        (Item(ROMEO, state="NO"), "subscription='none' ask='subscribe'/>"),
        (Item(ROMEO, approved=True), "subscription='none' approved='true'/>"),
        (
            Item(ROMEO, "Romeo & Co", ("Friends", "Foes")),
            "subscription='none' name='Romeo &amp; Co'>"
            "<group>Friends</group><group>Foes</group></item>",
        ),
    ],
)
def test_an_item_is_written_as_rfc_6121_section_2_1_2_says(item: Item, written: str) -> None:
    assert item.to_xml() == f"<item jid='{ROMEO}' {written}"


def test_an_item_is_invisible_until_it_is_marked_as_changed() -> None:
    roster = Roster()
    item = roster.item(ROMEO)
    assert roster.item(ROMEO) is item and list(roster.visible()) == []
    roster.mark_changed(item)
    assert list(roster.visible()) == [item] and (roster.version, item.version) == (1, 1)


def test_an_invisible_item_that_keeps_track_of_nothing_is_discarded() -> None:
    roster = Roster()
    for keep in (Item("a", state="NI"), Item("b", approved=True), Item("c", visible=True)):
        roster.items[keep.jid] = keep
        roster.discard_if_empty(keep)
    empty = roster.item("d")
    roster.discard_if_empty(empty)
    assert list(roster.items) == ["a", "b", "c"]


def test_the_state_of_an_unknown_contact_is_none_and_asking_creates_no_item() -> None:
    roster = Roster()
    assert roster.state(ROMEO) == "N" and roster.items == {}


def test_a_removal_is_a_version_until_the_contact_is_added_again() -> None:
    roster = Roster()
    roster.mark_changed(roster.item(ROMEO))
    roster.remove(ROMEO)
    assert (roster.version, roster.removed, roster.items) == (2, {ROMEO: 2}, {})
    roster.mark_changed(roster.item(ROMEO))
    assert (roster.version, roster.removed) == (3, {})
    with pytest.raises(KeyError):
        roster.remove("tybalt@example.test")


def test_the_oldest_removals_are_forgotten() -> None:
    roster = Roster()
    for number in range(ITEMS + 3):
        roster.item(str(number))
        roster.remove(str(number))
    assert len(roster.removed) == ITEMS and next(iter(roster.removed)) == "3"
