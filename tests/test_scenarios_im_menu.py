"""im-menu: the menus as data, what a key does, and links that are cut at every unit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.errors import SettingsError
from comms.settings import load
from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.jabber.im_menu import ANNA, MENUS, Rules
from scenarios.jabber.im_menu_dialogue import Call, answer, read_menus
from tests import drills

PAGE = catalogue.named("im-menu")
ACT = PAGE.acts()[0]
READ = read_menus(MENUS)


@pytest.mark.parametrize(
    ("menus", "problem"),
    [
        ({}, "menus: is empty"),
        ({"orders": ["1 x = y"]}, "menus: no menu main; write main = "),
        ({"main": ["Hello."]}, 'menus: main: no choice; write "1 Orders -> orders"'),
        ({"main": ["1 Orders -> order"]}, "menus: main: 1 leads to 'order', which does not exist"),
        ({"main": ["1 a = b", "1 c = d"]}, "menus: main: key 1 twice; choose another one"),
        ({"main": ["1 a = b"], "back": ["1 a = b"]}, "menus: back exists already; choose another"),
        ({"main": ["1 Orders"]}, "menus: main: '1 Orders' does nothing; write"),
        ({"main": ["1 a = " + "b" * 2000]}, "menus: main: more than 2000 characters"),
        ({"main": "1 a = b"}, "menus.main: expected"),
        ({"main": [""]}, "menus.main"),
    ],
)
def test_menus_that_cannot_work_are_refused_at_the_start(menus: Any, problem: str) -> None:
    tables = {"scenario": {"im-menu": {"operator": ANNA, "menus": menus}}}
    with pytest.raises(SettingsError) as caught:
        load(tables).table("im-menu", Rules)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["1", " 1\n", "1.", "1)", "\N{FULLWIDTH DIGIT ONE}", "ORDERS"])
def test_a_key_may_be_written_in_many_ways(text: str) -> None:
    choice = READ["main"].chosen(text)
    assert choice is not None and choice.leads_to == "orders"


@pytest.mark.parametrize("text", ["", "11", "1 Orders", "-1", "one", "0x1", "1\x00", "x" * 100_000])
def test_what_is_not_a_key_is_wrong(text: str) -> None:
    assert READ["main"].chosen(text) is None


@given(st.lists(st.sampled_from(["1", "2", "9", "0", "x", "back", ""]), max_size=40))
def test_whatever_is_pressed_a_call_is_in_a_menu_or_with_the_operator(keys: list[str]) -> None:
    call, wrong = Call(), 0
    for key in keys:
        if call.with_operator:
            break
        before = list(call.path)
        known = bool(before) and READ[before[-1]].chosen(key) is not None
        texts = list(answer(READ, call, key, 3))
        wrong = wrong + 1 if before and not known else 0 if known else wrong
        assert call.path[0] == "main" and len(call.path) <= len(READ)
        assert call.with_operator or len(texts) == 1
        assert wrong < 3 or call.with_operator


RECORDS = [one for one in rehearsal.rehearse(PAGE, ACT).recording if isinstance(one, Record)]


@pytest.mark.parametrize("fault", drills.none_quick(drills.cuts(RECORDS), "xmpp"))
def test_a_cut_connection_ends_no_call(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [fault])
    assert performance.tracebacks == [] and performance.unmet == []
    answers = [
        record.raw
        for record in performance.recording
        if isinstance(record, Record) and record.verb == "message"
    ]
    assert len(answers) <= 6, "no key is answered twice"
