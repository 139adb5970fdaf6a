"""What a subscription request, its answer or its end does to both rosters.

`test_fakes_xmpp_model.py` compares random sequences with a model; here are the rules one by one.
"""

from __future__ import annotations

from typing import Any

import pytest

from fakes import World
from fakes.xmpp.jabber import Actor
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"


def place(subscription: str = "none", **config: Any) -> tuple[World, Actor, Actor]:
    """Romeo and juliet online, and how romeo has subscribed to her."""
    place = world(**config)
    romeo, juliet = place.jabber.actor(ROMEO), place.jabber.actor(JULIET)
    romeo.comes()
    juliet.comes()
    if subscription != "none":
        place.jabber.befriend(ROMEO, JULIET, subscription)
    romeo.clear()
    juliet.clear()
    return place, romeo, juliet


def subscriptions(place: World) -> tuple[str, str]:
    """How each has the other in its roster; "" if it has not."""
    found = (place.jabber.roster(ROMEO).get(JULIET), place.jabber.roster(JULIET).get(ROMEO))
    return found[0].subscription if found[0] else "", found[1].subscription if found[1] else ""


@pytest.mark.parametrize("address", [JULIET, f"{JULIET}/play"])
def test_a_request_reaches_the_contact_from_the_bare_address(address: str) -> None:
    world, romeo, juliet = place()
    romeo.asks(address)
    [request] = juliet.all
    assert (request.type, request.sender, request.to) == ("subscribe", ROMEO, JULIET)
    assert world.jabber.roster(ROMEO)[JULIET].ask and world.jabber.roster(JULIET)[ROMEO].asking


def test_a_request_waits_until_it_is_answered() -> None:
    _, romeo, juliet = place()
    juliet.goes()
    romeo.asks(JULIET)
    for _ in range(2):
        juliet.clear()
        juliet.comes()
        assert [stanza.sender for stanza in juliet.all if stanza.type == "subscribe"] == [ROMEO]
        juliet.goes()
    juliet.accepts(ROMEO)
    juliet.goes()
    juliet.clear()
    juliet.comes()
    assert "subscribe" not in [stanza.type for stanza in juliet.all]


def test_an_accepted_request_shows_the_presence_of_the_contact() -> None:
    world, romeo, juliet = place()
    romeo.asks(JULIET)
    romeo.clear()
    juliet.accepts(ROMEO)
    assert subscriptions(world) == ("to", "from")
    shown = [stanza for stanza in romeo.all if stanza.kind == "presence" and not stanza.type]
    assert [stanza.sender for stanza in shown] == [f"{JULIET}/play"]


def test_a_refused_request_leaves_no_subscription() -> None:
    world, romeo, juliet = place()
    romeo.asks(JULIET)
    juliet.refuses(ROMEO)
    assert subscriptions(world) == ("none", "")


@pytest.mark.parametrize(
    ("before", "act", "after"),
    [
        ("both", lambda romeo: romeo.drops(JULIET), ("from", "to")),
        ("both", lambda romeo: romeo.refuses(JULIET), ("to", "from")),
        ("to", lambda romeo: romeo.drops(JULIET), ("none", "none")),
        ("from", lambda romeo: romeo.refuses(JULIET), ("none", "none")),
        ("from", lambda romeo: romeo.drops(JULIET), ("from", "to")),
        ("to", lambda romeo: romeo.refuses(JULIET), ("to", "from")),
    ],
)
def test_each_side_ends_its_own_half(before: str, act: Any, after: tuple[str, str]) -> None:
    world, romeo, _ = place(before)
    act(romeo)
    assert subscriptions(world) == after


@pytest.mark.parametrize("before", ["none", "to", "from", "both"])
def test_a_removed_contact_has_no_subscription_left_on_either_side(before: str) -> None:
    world, romeo, juliet = place(before)
    if before == "none":
        world.jabber.befriend(ROMEO, JULIET, "none")
    query = f"<query xmlns='jabber:iq:roster'><item jid='{JULIET}' subscription='remove'/></query>"
    romeo.sends(f"<iq type='set' id='1'>{query}</iq>")
    # Without a subscription only the side that names the contact has an item.
    assert subscriptions(world) == ("", "" if before == "none" else "none")
    gone = [stanza for stanza in juliet.all if stanza.type == "unavailable"]
    assert len(gone) == (before in ("from", "both")), "who saw romeo sees him leave"


def test_an_approval_in_advance_answers_the_next_request() -> None:
    world, romeo, juliet = place()
    juliet.accepts(ROMEO)
    assert world.jabber.roster(JULIET)[ROMEO].approved
    romeo.asks(JULIET)
    assert subscriptions(world) == ("to", "from")
    assert "subscribe" not in [stanza.type for stanza in juliet.all]


def test_without_the_feature_nothing_is_approved_in_advance() -> None:
    world, romeo, juliet = place(off={"xmpp": ["pre-approval"]})
    juliet.accepts(ROMEO)
    romeo.asks(JULIET)
    assert subscriptions(world)[0] == "none"
    assert [stanza.type for stanza in juliet.all] == ["subscribe"]
