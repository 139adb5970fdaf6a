"""traffic-filter: what the filters make of any message, and links cut at every unit."""

from __future__ import annotations

import copy
from collections import deque
from xml.etree.ElementTree import Element, SubElement, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.errors import SettingsError
from comms.settings import load
from comms.xmpp.stanzas import MESSAGE
from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.jabber.traffic_filter import CARD, Rules, answer
from scenarios.jabber.traffic_filter_desk import BODY, FILTERS, Chain, Context, Limits, mask, rate
from tests import drills
from tests.scripted import JumpingClock, RecordingHost

PAGE = catalogue.named("traffic-filter")
ACT = PAGE.acts()[0]


def message(text: str) -> Element:
    element = Element(MESSAGE, {"from": "a@b.test/x", "to": "c@d.test", "type": "chat"})
    SubElement(element, BODY).text = text
    return element


def context(**changes: object) -> Context:
    values = {"direction": "in", "who": "a@b.test/x", "limits": Limits(), "now": 0.0}
    return Context(**{**values, "seen": {}, "host": RecordingHost(), **changes})  # type: ignore


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (CARD, "[card]"),
        (CARD.replace(" ", "-"), "[card]"),
        (f"a{CARD.replace(' ', '')}b", "a[card]b"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),  # not the number of a card
        ("2026-01-05 10:00:00", "2026-01-05 10:00:00"),
        ("tel. 030 1234567", "tel. 030 1234567"),
        (f"{CARD}{CARD}{CARD}".replace(" ", ""), f"{CARD}{CARD}{CARD}".replace(" ", "")),
        ("write to carl@example.test.", "write to [address]."),
        ("@here, a@b", "@here, a@b"),
        (f"order 9 {CARD}", "order 9 [card]"),
        (f"9 {CARD} 8", "9 [card] 8"),
        (f"{CARD} {CARD}", "[card] [card]"),
        ("", ""),
    ],
)
def test_numbers_of_cards_and_addresses_are_masked(text: str, wanted: str) -> None:
    assert (mask(message(text), context()).findtext(BODY) or "") == wanted


def test_a_long_text_is_masked_in_time_that_grows_with_it() -> None:
    for piece in ("1 ", "a", "a.", "a@", "1-"):
        text = piece * 10_000
        assert mask(message(text), context()).findtext(BODY) == text


def test_many_senders_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenarios.jabber.traffic_filter_desk.SENDERS", 10)
    seen: dict[str, deque[float]] = {}
    for number in range(100):
        rate(message("x"), context(who=f"{number}@b.test/x", seen=seen))
    assert len(seen) == 10


@given(
    st.lists(st.sampled_from(sorted(FILTERS)), max_size=6),
    st.text(st.sampled_from("41 -@.casino\n🐍"), max_size=60),
)
def test_a_chain_never_raises_and_never_changes_what_it_got(names: list[str], text: str) -> None:
    clock, before = JumpingClock(), message(text)
    kept = copy.deepcopy(before)
    chain = Chain([FILTERS[name] for name in names], Limits(["casino"]), clock, RecordingHost())
    passed = chain.incoming(before)
    clock.close()
    assert tostring(before) == tostring(kept)
    if passed is None:
        assert {"block", "broken-guard", "rate"} & set(names)
    elif "block" in names:
        assert "casino" not in "".join(passed.itertext())


def test_what_is_no_message_passes_untouched() -> None:
    iq, clock = Element("{jabber:client}iq"), JumpingClock()
    chain = Chain([FILTERS["block"]], Limits(), clock, RecordingHost())
    clock.close()
    assert chain.incoming(iq) is iq and chain.outgoing(iq) is iq


def test_an_unknown_filter_is_refused_at_the_start() -> None:
    tables = {"scenario": {"traffic-filter": {"orders": {"7": "x"}, "filters": ["spam"]}}}
    with pytest.raises(SettingsError, match="filters: unknown 'spam'; choose from log, rate"):
        load(tables).table("traffic-filter", Rules)


@pytest.mark.parametrize("text", ["order 7", "7", "Order #7\n", "ORDER7"])
def test_an_order_is_found_by_its_number(text: str) -> None:
    assert answer({"7": "Two books"}, text) == "Order 7: Two books"


RECORDS = [one for one in rehearsal.rehearse(PAGE, ACT).recording if isinstance(one, Record)]


@pytest.mark.parametrize("fault", drills.none_quick(drills.cuts(RECORDS), "xmpp"))
def test_a_cut_connection_lets_nothing_through_unfiltered(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [fault])
    assert performance.tracebacks == []
    sent = [
        one.raw
        for one in performance.recording
        if isinstance(one, Record) and one.direction == "C" and one.verb == "message"
    ]
    assert not any(CARD.encode() in raw for raw in sent)
