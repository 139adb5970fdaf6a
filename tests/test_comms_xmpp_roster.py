"""The contact list: what the server sends changes it, and who can be reached how."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring

import pytest

from comms.xmpp import Contact, Jid, Presence, Roster
from comms.xmpp.roster import CONTACTS, RESOURCES, roster_set
from comms.xmpp.stanzas import ROSTER
from comms.xmpp.stream import STREAMS, Reader, to_bytes

ANN = Jid.parse("ann@x.test")


def query(*items: str, version: str = "") -> Element:
    attribute = f" ver='{version}'" if version else ""
    return fromstring(f"<query xmlns='jabber:iq:roster'{attribute}>{''.join(items)}</query>")


def item(jid: str = "ann@x.test", subscription: str = "both", more: str = "") -> str:
    return f"<item jid='{jid}' subscription='{subscription}' {more}/>"


def presence(resource: str, show: str = "available", priority: int = 0, kind: str = "") -> Presence:
    return Presence(Jid("ann", "x.test", resource), show, priority=priority, kind=kind)


def loaded(*items: str) -> Roster:
    roster = Roster()
    roster.load(query(*items))
    return roster


def test_an_item_becomes_a_contact() -> None:
    content = "<item jid='Ann@X.test/r' name='Ann' subscription='to'><group>A</group></item>"
    roster = loaded(content)
    assert roster[ANN] == Contact(ANN, "Ann", ("A",), "to")
    assert roster["ann@x.test/other"].subscribed


@pytest.mark.parametrize(
    ("subscription", "subscribed"), [("none", False), ("to", True), ("from", False), ("both", True)]
)
def test_we_are_subscribed_with_to_and_both(subscription: str, subscribed: bool) -> None:
    assert loaded(item(subscription=subscription))[ANN].subscribed is subscribed


def test_pending_and_approved_are_read() -> None:
    contact = loaded(item(subscription="none", more="ask='subscribe' approved='1'"))[ANN]
    assert contact.pending and contact.approved


def test_contacts_are_sorted_by_address() -> None:
    roster = loaded(item("c@x.test"), item("a@x.test"), item("b@x.test"))
    assert list(map(str, roster)) == ["a@x.test", "b@x.test", "c@x.test"] and len(roster) == 3


def test_a_push_changes_adds_or_removes_one_contact() -> None:
    roster = loaded(item("a@x.test"))
    assert str(roster.apply(query(item("b@x.test"))).jid) == "b@x.test"  # type: ignore[union-attr]
    roster.apply(query(item("a@x.test", "from")))
    assert roster["a@x.test"].subscription == "from"
    roster.apply(query(item("a@x.test", "remove")))
    assert list(map(str, roster)) == ["b@x.test"]


def test_an_item_without_a_valid_address_is_ignored() -> None:
    assert list(loaded(item("a b@x.test"), item())) == [ANN]


def test_loading_replaces_everything_and_an_empty_answer_nothing() -> None:
    roster = Roster()
    roster.load(query(item("a@x.test"), version="v1"))
    roster.load(None)
    assert list(map(str, roster)) == ["a@x.test"] and roster.version == "v1"
    roster.load(query(item("b@x.test"), version="v2"))
    assert list(map(str, roster)) == ["b@x.test"] and roster.version == "v2"


@pytest.mark.slow
def test_the_number_of_contacts_is_limited() -> None:
    roster = loaded(*(item(f"a{number}@x.test") for number in range(CONTACTS + 5)))
    assert len(roster) == CONTACTS
    assert roster.left_out() == [f"the contact 'a{CONTACTS}@x.test'", "and 4 more"]
    assert roster.left_out() == [], "each is named once"
    roster.apply(query(item("a0@x.test", "from")))
    assert roster["a0@x.test"].subscription == "from", "known contacts still change"


# ── presence ─────────────────────────────────────────────────────────────────


def test_a_contact_has_the_presence_of_the_resource_with_top_priority() -> None:
    roster = loaded(item())
    assert roster.presence(ANN).show == "unavailable"
    assert roster.update_presence(presence("desk", "away"))
    assert roster.update_presence(presence("phone", "dnd", priority=5))
    assert (roster.presence(ANN).show, roster.presence(ANN).sender) == ("dnd", ANN)
    roster.update_presence(presence("phone", kind="unavailable"))
    assert roster.presence(ANN).show == "away"


def test_a_contact_without_resource_is_gone_with_all_resources() -> None:
    roster = loaded(item())
    roster.update_presence(presence("desk"))
    roster.update_presence(presence("phone"))
    roster.update_presence(presence("", kind="unavailable"))
    assert roster.presence(ANN).show == "unavailable"


def test_the_presence_of_strangers_is_not_recorded() -> None:
    roster = Roster()
    assert not roster.update_presence(presence("desk"))
    assert roster.presence(ANN).show == "unavailable"


def test_the_number_of_resources_is_limited() -> None:
    roster = loaded(item())
    for number in range(RESOURCES + 5):
        roster.update_presence(presence(f"r{number}", priority=number))
    assert roster.presence(ANN).priority == RESOURCES - 1
    assert roster.left_out() == [f"the resource 'ann@x.test/r{RESOURCES}'", "and 4 more"]


def test_an_impossible_address_is_left_out_and_named() -> None:
    roster = loaded(item("a b@x.test"), item("ann@x.test"))
    assert list(roster) == [ANN] and roster.left_out() == ["the contact 'a b@x.test'"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [10_000, 12_000, CONTACTS])
def test_a_list_within_the_limits_fits_into_one_stanza_and_is_complete(number: int) -> None:
    items = (f"<item jid='c{n}@example.test' subscription='both'/>" for n in range(number))
    reader = Reader()
    reader.feed(f"<s:stream xmlns:s='{STREAMS}' xmlns='jabber:client'>".encode())
    reader.feed(f"<iq><query xmlns='{ROSTER}'>{''.join(items)}</query></iq>".encode())
    reader.next()
    answer = reader.next()
    assert isinstance(answer, Element)
    roster = Roster()
    roster.load(answer[0])
    assert len(roster) == number and roster.left_out() == []
    assert roster[f"c{number - 1}@example.test"].subscribed


def test_forgetting_returns_who_was_online() -> None:
    roster = loaded(item(), item("b@x.test"))
    roster.update_presence(presence("desk"))
    assert roster.forget_presence() == [ANN]
    assert roster.presence(ANN).show == "unavailable" and roster.forget_presence() == []


# ── queries ──────────────────────────────────────────────────────────────────


def test_a_query_adds_or_removes_a_contact() -> None:
    added = roster_set(Jid.parse("ann@x.test/desk"), "Ann", ("A", "A", "B"))
    assert to_bytes(added, "jabber:iq:roster") == (
        b"<query><item jid='ann@x.test' name='Ann'><group>A</group><group>B</group></item></query>"
    )
    removed = roster_set(ANN, "ignored", remove=True)
    assert to_bytes(removed, "jabber:iq:roster") == (
        b"<query><item jid='ann@x.test' subscription='remove'/></query>"
    )
