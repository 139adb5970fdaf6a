"""Flags of a folder: what is set, what was first written, modification numbers, counting."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fakes.flags import KEYWORDS, SEEN, Flags, TooManyKeywords
from fakes.rows import Rows


def test_flags_are_set_added_and_removed() -> None:
    flags = Flags()
    flags.learn(["Work", "work", "$Label1"])
    assert flags.change(7, {SEEN, "work"}, "+")
    assert flags.of(7) == ["\\Seen", "Work"]
    assert not flags.change(7, {"work"}, "+"), "nothing has changed"
    assert flags.change(7, {"\\draft"}, "")
    assert flags.of(7) == ["\\Draft"]
    assert flags.change(7, {"\\draft", "unheard-of"}, "-")
    assert flags.of(7) == []
    assert flags.keywords == ["Work", "$Label1"]


def test_a_keyword_keeps_the_form_in_which_it_was_first_written() -> None:
    flags = Flags()
    assert flags.learn(["NotJunk"])
    assert not flags.learn(["NOTJUNK", "\\seen"])
    assert flags.keywords == ["NotJunk"]


def test_a_folder_has_a_limit_of_keywords_and_learns_all_or_none() -> None:
    flags = Flags()
    flags.learn(f"k{number}" for number in range(KEYWORDS - 1))
    with pytest.raises(TooManyKeywords):
        flags.learn(["one", "more"])
    assert len(flags.keywords) == KEYWORDS - 1
    assert flags.learn(["one"])


def test_each_change_has_a_higher_modification_number() -> None:
    flags = Flags(3)  # three mails have arrived
    assert [flags.modseq(uid) for uid in (1, 2, 3)] == [2, 3, 4]
    flags.change(2, {SEEN}, "+")
    flags.arrived(4)
    flags.arrived(5)
    flags.change(4, {SEEN}, "+")
    flags.arrived(6)
    assert [flags.modseq(uid) for uid in range(1, 7)] == [2, 5, 4, 8, 7, 9]
    assert flags.highest == 9
    flags.change(4, {SEEN}, "+")
    assert flags.highest == 9, "nothing has changed"


def test_removed_mails_are_forgotten() -> None:
    flags = Flags(3)
    flags.change(1, {SEEN}, "+")
    flags.change(2, {SEEN}, "+")
    flags.forget([1, 99], Rows([SimpleNamespace(uid=2)]).seen())
    assert list(flags.with_flag(SEEN)) == [2]
    assert flags.with_flag("unheard-of") == ()


def test_the_first_unseen_mail_is_found_again_after_changes() -> None:
    flags, rows = Flags(), Rows(SimpleNamespace(uid=uid) for uid in (2, 3, 5, 8))
    assert flags.first_unseen(rows.seen()) == 0
    for uid in (2, 3):
        flags.change(uid, {SEEN}, "+")
    assert flags.first_unseen(rows.seen()) == 2
    for uid in (5, 8):
        flags.change(uid, {SEEN}, "+")
    assert flags.first_unseen(rows.seen()) == -1
    rows.append(SimpleNamespace(uid=9))
    assert flags.first_unseen(rows.seen()) == 4
    flags.change(3, {SEEN}, "-")
    assert flags.first_unseen(rows.seen()) == 1
    assert flags.first_unseen(Rows[SimpleNamespace]().seen()) == -1


def test_a_copy_does_not_change_with_the_original() -> None:
    flags = Flags(1)
    flags.learn(["Work"])
    flags.change(1, {"work"}, "+")
    other = flags.copy()
    flags.change(1, {"work"}, "-")
    assert (other.of(1), flags.of(1)) == (["Work"], [])
    assert repr(other) == "<Flags \\Answered \\Flagged \\Deleted \\Seen \\Draft Work>"
