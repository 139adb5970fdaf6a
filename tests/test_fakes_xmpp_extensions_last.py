"""XEP-0012: how long the server has been running, and a user has been away."""

from __future__ import annotations

from fakes.xmpp.jabber import Actor
from fakes.xmpp.stanzas import Stanza
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"


def ask(actor: Actor, to: str) -> Stanza:
    actor.clear()
    actor.sends(f"<iq type='get' id='q' to='{to}'><query xmlns='jabber:iq:last'/></iq>")
    [answer] = [stanza for stanza in actor.all if stanza.id == "q"]
    return answer


def last(actor: Actor, to: str) -> tuple[str | None, str | None]:
    """The seconds and the text of the answer."""
    [query] = ask(actor, to).element
    return query.get("seconds"), query.text


def test_the_domain_says_how_long_the_server_has_been_running() -> None:
    place = world()
    place.clock.skip(90.9)
    assert last(place.jabber.actor(ROMEO), "example.test") == ("90", None)


def test_an_account_says_since_when_its_last_resource_is_gone() -> None:
    place = world()
    place.jabber.befriend(ROMEO, JULIET)
    romeo, juliet = place.jabber.actor(ROMEO), place.jabber.actor(JULIET)
    place.clock.skip(10)
    assert last(romeo, JULIET) == ("10", None), "never seen: since the server was started"
    juliet.comes()
    place.clock.skip(5)
    assert last(romeo, JULIET) == ("0", None)
    juliet.goes("asleep")
    place.clock.skip(7)
    assert last(romeo, JULIET) == ("7", "asleep")


def test_those_who_may_not_see_an_account_are_refused() -> None:
    assert ask(world().jabber.actor(ROMEO), JULIET).condition == "forbidden"
