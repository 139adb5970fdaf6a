"""The subscription machine, cell by cell against RFC 6121 Appendix A as it stands in tests/tables, and what must follow."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from fakes import World
from fakes.xmpp.roster import Item
from fakes.xmpp.stanzas import Stanza
from fakes.xmpp.subscriptions import FROM, MIRROR, PENDING_IN, PENDING_OUT, RULES, STATES, STIMULI, SUBSCRIPTION, TO

TABLES = Path(__file__).parent / "tables"
ROMEO, JULIET = "romeo@example.test", "juliet@example.test"


def rows(name: str) -> list[list[str]]:
    lines = (TABLES / name).read_text("utf-8").splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("row", rows("xmpp-subscriptions.txt"), ids="-".join)
def test_every_cell_is_the_one_of_appendix_a(row: list[str]) -> None:
    direction, stimulus, state, when, passes, following, do = row
    for approved in {"-": (False, True), "plain": (False,), "approved": (True,)}[when]:
        ours = RULES[direction, stimulus, state, approved]
        assert ours.passes == passes
        assert ours.next == (state if following == "=" else following)
        assert ",".join(ours.do) == ("" if do == "-" else do)


def test_there_are_no_cells_but_those() -> None:
    assert set(RULES) == set(product(("in", "out"), STIMULI, STATES, (False, True)))


@pytest.mark.parametrize("row", rows("xmpp-subscription-states.txt"), ids="-".join)
def test_a_state_shows_in_the_roster_as_appendix_a_says(row: list[str]) -> None:
    state, subscription, ask, pending_in, item = row
    assert SUBSCRIPTION[state] == subscription
    assert (state in PENDING_OUT) == (ask == "subscribe") == Item("x", state=state).ask
    assert (state in PENDING_IN) == (pending_in == "yes")
    assert (state in TO, state in FROM) == (subscription in ("to", "both"), subscription in ("from", "both"))
    assert item == ("if-made" if state in ("N", "NI") else "yes")


def play(mine: str, online: bool = True) -> World:
    """Romeo in this state with Juliet, and she in the state that mirrors it."""
    people = [{"address": ROMEO}, {"address": JULIET}]
    world = World({"servers": ["xmpp"], "person": people}, rehearsal=True)
    for user, contact, state in ((ROMEO, JULIET, mine), (JULIET, ROMEO, MIRROR[mine])):
        item = world.jabber._account(user).roster.item(contact)
        item.state, item.visible = state, state not in ("N", "NI")
        item.request = Stanza("presence", "subscribe", to=user, sender=contact) if state in PENDING_IN else None
    for name in (ROMEO, JULIET):
        person = world.jabber.actor(name)
        if online:
            person.comes()
        person.sends("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        person.forget()
    return world


def state_of(world: World, user: str, contact: str) -> str:
    return world.jabber._account(user).roster.state(contact)


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize(("mine", "stimulus"), list(product(STATES, STIMULI)))
def test_whatever_one_does_the_states_of_both_mirror_each_other(mine: str, stimulus: str, online: bool) -> None:
    world = play(mine, online)
    world.jabber.actor(ROMEO).sends(f"<presence to='{JULIET}' type='{stimulus}'/>")
    assert state_of(world, JULIET, ROMEO) == MIRROR[state_of(world, ROMEO, JULIET)]


@pytest.mark.parametrize("mine", STATES)
def test_a_removed_item_leaves_nothing_on_either_side(mine: str) -> None:
    world = play(mine)
    world.jabber._account(ROMEO).roster.item(JULIET).visible = True
    world.jabber.actor(ROMEO).sends(
        f"<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='{JULIET}' subscription='remove'/></query></iq>"
    )
    assert world.jabber.roster(ROMEO) == {}
    assert state_of(world, JULIET, ROMEO) == "N"


@pytest.mark.parametrize(("mine", "stimulus"), list(product(STATES, STIMULI)))
def test_presence_comes_with_a_subscription_and_goes_with_it(mine: str, stimulus: str) -> None:
    world = play(mine)
    world.jabber.actor(ROMEO).sends(f"<presence to='{JULIET}' type='{stimulus}'/>")
    shown = [
        stanza.type
        for stanza in world.jabber.actor(JULIET).all
        if stanza.kind == "presence" and stanza.sender == f"{ROMEO}/play"
    ]
    after = state_of(world, ROMEO, JULIET)
    if mine not in FROM and after in FROM:
        assert shown == [None]
    elif mine in FROM and after not in FROM:
        assert shown == ["unavailable"]
    else:
        assert shown == []


def test_a_request_that_was_approved_before_needs_no_answer() -> None:
    world = play("N")
    romeo, juliet = world.jabber.actor(ROMEO), world.jabber.actor(JULIET)
    romeo.accepts(JULIET)
    assert world.jabber.roster(ROMEO)[JULIET].approved
    juliet.asks(ROMEO)
    assert (state_of(world, ROMEO, JULIET), state_of(world, JULIET, ROMEO)) == ("F", "T")
    assert [stanza for stanza in romeo.all if stanza.type == "subscribe"] == []
    romeo.refuses(JULIET)
    assert not world.jabber.roster(ROMEO)[JULIET].approved
