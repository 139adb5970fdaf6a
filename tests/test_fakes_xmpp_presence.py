"""Where presence and probes go, compared with a table."""

from __future__ import annotations

import pytest

from fakes import World
from tests.test_fakes_xmpp_delivery import JULIET, outcome, rows

PRESENCE = {
    type: cells
    for types, *cells in rows("xmpp-delivery-presence.txt", r"\s{2,}")
    for type in types.split(",")
}


BROADCAST = [type for type in PRESENCE if type in ("none", "unavailable", "error")]


@pytest.mark.parametrize("type", BROADCAST)
def test_presence_goes_where_the_table_says(type: str) -> None:
    bare, match, nomatch, unknown = PRESENCE[type]
    reached = {"all available": {"r0", "r1"}, "that one": {"r0"}, "S": set()}
    attribute = "" if type == "none" else f" type='{type}'"
    assert outcome(f"<presence to='{JULIET}'{attribute}/>") == (reached[bare], [])
    assert outcome(f"<presence to='{JULIET}/r0'{attribute}/>") == (reached[match], [])
    assert outcome(f"<presence to='{JULIET}/elsewhere'{attribute}/>") == (reached[nomatch], [])
    stanza = f"<presence to='{JULIET}'{attribute}/>"
    assert outcome(stanza, account="no") == (reached[unknown], [])
    assert outcome(stanza, online=False) == (set(), [])  # RFC 6121 §8.5.2.2.2


@pytest.mark.parametrize("address", [JULIET, f"{JULIET}/r0", f"{JULIET}/elsewhere"])
def test_a_subscription_request_is_always_for_the_bare_address(address: str) -> None:
    assert PRESENCE["subscribe"] == ["table", "table,as bare", "table,as bare", "S"]
    request = f"<presence to='{address}' type='subscribe'/>"
    assert outcome(request)[0] == {"r0", "r1"}
    assert outcome(request, account="no") == (set(), [])


@pytest.mark.parametrize("address", [JULIET, f"{JULIET}/r0", f"{JULIET}/elsewhere"])
def test_a_probe_reaches_no_client(address: str) -> None:
    assert PRESENCE["probe"][:3] == ["server answers"] * 3
    probe = f"<presence to='{address}' type='probe'/>"
    # The answer is `unsubscribed`; without a subscription it changes nothing and is dropped.
    assert outcome(probe) == (set(), [])
    assert outcome(probe, account="no") == (set(), [])


def test_who_has_seen_directed_presence_learns_its_end_though_another_has_left() -> None:
    names = ("alice@example.test", "bob@example.test")
    people = [{"address": name} for name in names]
    with World({"servers": ["xmpp"], "person": people}) as world:
        alice, bob = map(world.jabber.actor, names)
        phones = [world.jabber.actor(name, "phone") for name in names]
        for actor in (alice, bob, *phones):
            actor.comes()
        alice.sends(f"<presence to='{names[1]}'/>")
        phones[0].sends(f"<presence to='{names[1]}/play'/>")
        bob.clear()
        # RFC 6121 §4.6.1: bob's phone is another entity than bob, and alice's than alice.
        phones[1].sends(f"<presence type='unavailable' to='{names[0]}'/>")
        bob.sends(f"<presence type='unavailable' to='{names[0]}/play'/>")
        phones[0].goes()
        alice.goes()
        gone = [one.sender for one in bob.all if one.type == "unavailable"]
        assert gone == [f"{names[0]}/phone", f"{names[0]}/play"]
