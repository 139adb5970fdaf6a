"""XEP-0191: which addresses a block list matches, and its limits."""

from __future__ import annotations

import pytest

from fakes.xmpp.extensions.blocking import MOST
from fakes.xmpp.jabber import Actor
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"


def actors() -> tuple[Actor, Actor]:
    place = world()
    romeo, juliet = place.jabber.actor(ROMEO), place.jabber.actor(JULIET, "balcony")
    romeo.comes()
    juliet.comes()
    return romeo, juliet


def ask(actor: Actor, name: str, *addresses: str, type: str = "set") -> str:
    """Sends a request about the block list; returns the error, "" if there is none."""
    items = "".join(f"<item jid='{address}'/>" for address in addresses)
    payload = f"<{name} xmlns='urn:xmpp:blocking'>{items}</{name}>"
    actor.clear()
    actor.sends(f"<iq type='{type}' id='q'>{payload}</iq>")
    [answer] = [stanza for stanza in actor.all if stanza.id == "q"]
    return answer.condition


def blocked(actor: Actor) -> list[str | None]:
    """The addresses on the block list of an actor."""
    assert ask(actor, "blocklist", type="get") == ""
    [answer] = [stanza for stanza in actor.all if stanza.id == "q"]
    return [item.get("jid") for item in answer.element[0]]


@pytest.mark.parametrize(
    ("address", "hits"),
    [
        (JULIET, True),
        (f"{JULIET}/balcony", True),
        ("example.test", True),
        ("example.test/balcony", True),
        ("JULIET@Example.test", True),
        (f"{JULIET}/garden", False),
        ("example.test/garden", False),
        ("nurse@example.test", False),
        ("elsewhere.test", False),
    ],
)
def test_a_list_holds_full_and_bare_addresses_and_domains(address: str, hits: bool) -> None:
    romeo, juliet = actors()
    assert ask(romeo, "block", address) == ""
    romeo.clear()
    juliet.says(f"{ROMEO}/play", "hello")
    assert [stanza.body for stanza in romeo.messages] == ([] if hits else ["hello"])
    errors = [stanza.condition for stanza in juliet.messages]
    assert errors == (["service-unavailable"] if hits else [])
    # The other way, the server says that it is the user's own list.
    romeo.says(f"{JULIET}/balcony", "hello")
    [own] = [stanza.condition for stanza in romeo.messages if stanza.condition] or [""]
    assert own == ("not-acceptable" if hits else "")


def test_an_unblock_takes_away_what_it_names_or_everything() -> None:
    romeo, _ = actors()
    ask(romeo, "block", "a@b.test", "c@d.test", "e@f.test")
    assert blocked(romeo) == ["a@b.test", "c@d.test", "e@f.test"]
    assert ask(romeo, "unblock", "c@d.test", "unknown@b.test") == ""
    assert blocked(romeo) == ["a@b.test", "e@f.test"]
    assert ask(romeo, "unblock") == ""
    assert blocked(romeo) == []


@pytest.mark.parametrize(
    ("name", "addresses", "type", "condition"),
    [
        ("block", [], "set", "bad-request"),
        ("block", ["@b.test"], "set", "jid-malformed"),
        ("unblock", ["@b.test"], "set", "jid-malformed"),
        ("block", ["a@b.test"], "get", "bad-request"),
        ("blocklist", [], "set", "bad-request"),
        ("block", [f"a{n}@b.test" for n in range(MOST + 1)], "set", "resource-constraint"),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_changes_nothing(
    name: str, addresses: list[str], type: str, condition: str
) -> None:
    romeo, _ = actors()
    assert ask(romeo, name, *addresses, type=type) == condition
    assert blocked(romeo) == []


def test_a_list_holds_a_thousand_addresses() -> None:
    romeo, _ = actors()
    addresses = [f"a{n}@b.test" for n in range(MOST)]
    assert ask(romeo, "block", *addresses) == ""
    assert ask(romeo, "block", addresses[0]) == "", "it is on the list already"
    assert ask(romeo, "block", "one@more.test") == "resource-constraint"
    assert blocked(romeo) == addresses


def test_only_sessions_that_have_asked_for_the_list_get_pushes() -> None:
    place = world()
    asking, silent = place.jabber.actor(ROMEO, "asking"), place.jabber.actor(ROMEO, "silent")
    asking.comes()
    silent.comes()
    assert blocked(asking) == []
    asking.clear()
    assert ask(silent, "block", JULIET) == ""
    pushes = [stanza.payload for stanza in asking.all if stanza.type == "set"]
    assert pushes == ["{urn:xmpp:blocking}block"]
    assert [stanza.type for stanza in silent.all] == ["result"]
