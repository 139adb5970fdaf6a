"""Subscriptions, cell by cell against RFC 6121 Appendix A (tests/tables), and their effects."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from fakes import World
from fakes.xmpp.roster import Item
from fakes.xmpp.stanzas import Stanza
from fakes.xmpp.subscriptions import (
    FROM,
    MIRROR,
    PENDING_IN,
    PENDING_OUT,
    RULES,
    STATES,
    STIMULI,
    SUBSCRIPTION,
    TO,
)

TABLES = Path(__file__).parent / "tables"
ROMEO, JULIET = "romeo@example.test", "juliet@example.test"


def rows(name: str) -> list[list[str]]:
    lines = (TABLES / name).read_text("utf-8").splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("row", rows("xmpp-subscriptions.txt"), ids="-".join)
def test_every_cell_is_that_of_appendix_a(row: list[str]) -> None:
    direction, stimulus, state, when, passes, following, do = row
    for approved in {"-": (False, True), "plain": (False,), "approved": (True,)}[when]:
        ours = RULES[direction, stimulus, state, approved]
        assert ours.passes == passes
        assert ours.next == (state if following == "=" else following)
        assert ",".join(ours.do) == ("" if do == "-" else do)


def test_the_table_has_no_other_cells() -> None:
    assert set(RULES) == set(product(("in", "out"), STIMULI, STATES, (False, True)))


@pytest.mark.parametrize("row", rows("xmpp-subscription-states.txt"), ids="-".join)
def test_the_roster_shows_a_state_as_appendix_a_says(row: list[str]) -> None:
    state, subscription, ask, pending_in, item = row
    assert SUBSCRIPTION[state] == subscription
    assert (state in PENDING_OUT) == (ask == "subscribe") == Item("x", state=state).ask
    assert (state in PENDING_IN) == (pending_in == "yes")
    assert (state in TO) == (subscription in ("to", "both"))
    assert (state in FROM) == (subscription in ("from", "both"))
    assert item == ("if-made" if state in ("N", "NI") else "yes")


def world_in_state(romeos_state: str, online: bool = True) -> World:
    """A world in which romeo is in this state with juliet, and juliet in the mirrored state."""
    people = [{"address": ROMEO}, {"address": JULIET}]
    world = World({"servers": ["xmpp"], "person": people}, rehearsal=True)
    sides = ((ROMEO, JULIET, romeos_state), (JULIET, ROMEO, MIRROR[romeos_state]))
    for user, contact, state in sides:
        item = world.jabber._account(user).roster.item(contact)
        item.state, item.visible = state, state not in ("N", "NI")
        if state in PENDING_IN:
            item.request = Stanza("presence", "subscribe", to=user, sender=contact)
    for address in (ROMEO, JULIET):
        actor = world.jabber.actor(address)
        if online:
            actor.comes()
        actor.sends("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        actor.clear()
    return world


def state_of(world: World, user: str, contact: str) -> str:
    return world.jabber._account(user).roster.state(contact)


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize(("state", "stimulus"), list(product(STATES, STIMULI)))
def test_the_states_of_both_sides_always_mirror_each_other(
    state: str, stimulus: str, online: bool
) -> None:
    world = world_in_state(state, online)
    world.jabber.actor(ROMEO).sends(f"<presence to='{JULIET}' type='{stimulus}'/>")
    assert state_of(world, JULIET, ROMEO) == MIRROR[state_of(world, ROMEO, JULIET)]


@pytest.mark.parametrize("state", STATES)
def test_removing_an_item_ends_the_subscription_on_both_sides(state: str) -> None:
    world = world_in_state(state)
    world.jabber._account(ROMEO).roster.item(JULIET).visible = True
    item = f"<item jid='{JULIET}' subscription='remove'/>"
    world.jabber.actor(ROMEO).sends(
        f"<iq type='set' id='1'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
    )
    assert world.jabber.roster(ROMEO) == {}
    assert state_of(world, JULIET, ROMEO) == "N"


@pytest.mark.parametrize(("state", "stimulus"), list(product(STATES, STIMULI)))
def test_presence_is_shown_when_a_subscription_begins_and_hidden_when_it_ends(
    state: str, stimulus: str
) -> None:
    world = world_in_state(state)
    world.jabber.actor(ROMEO).sends(f"<presence to='{JULIET}' type='{stimulus}'/>")
    shown = [
        stanza.type
        for stanza in world.jabber.actor(JULIET).all
        if stanza.kind == "presence" and stanza.sender == f"{ROMEO}/play"
    ]
    after = state_of(world, ROMEO, JULIET)
    if state not in FROM and after in FROM:
        assert shown == [None]
    elif state in FROM and after not in FROM:
        assert shown == ["unavailable"]
    else:
        assert shown == []


def test_a_request_that_was_approved_in_advance_needs_no_answer() -> None:
    world = world_in_state("N")
    romeo, juliet = world.jabber.actor(ROMEO), world.jabber.actor(JULIET)
    romeo.accepts(JULIET)
    assert world.jabber.roster(ROMEO)[JULIET].approved
    juliet.asks(ROMEO)
    assert (state_of(world, ROMEO, JULIET), state_of(world, JULIET, ROMEO)) == ("F", "T")
    assert [stanza for stanza in romeo.all if stanza.type == "subscribe"] == []
    romeo.refuses(JULIET)
    assert not world.jabber.roster(ROMEO)[JULIET].approved
