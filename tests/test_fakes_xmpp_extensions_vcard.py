"""XEP-0054: the vCard that an account shows to everyone."""

from __future__ import annotations

from fakes.xmpp.jabber import Actor
from fakes.xmpp.stanzas import Stanza
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
CARD = "<vCard xmlns='vcard-temp'>{}</vCard>"


def ask(actor: Actor, type: str = "get", to: str = ROMEO, content: str = "") -> Stanza:
    actor.clear()
    actor.sends(f"<iq type='{type}' id='q' to='{to}'>{CARD.format(content)}</iq>")
    [answer] = [stanza for stanza in actor.all if stanza.id == "q"]
    return answer


def test_a_card_is_shown_to_everyone_as_it_was_stored() -> None:
    place = world()
    romeo, juliet = place.jabber.actor(ROMEO), place.jabber.actor(JULIET)
    assert ask(romeo, "set", content="<FN>Romeo</FN>").type == "result"
    assert ask(juliet).content.decode() == CARD.format("<FN>Romeo</FN>")
    assert ask(romeo, "set", content="<FN>R</FN>").type == "result"
    assert ask(romeo).content.decode() == CARD.format("<FN>R</FN>")


def test_nobody_else_changes_a_card() -> None:
    place = world()
    assert ask(place.jabber.actor(JULIET), "set", content="<FN>J</FN>").condition == "forbidden"
    assert ask(place.jabber.actor(ROMEO)).condition == "item-not-found"


def test_an_account_without_a_card_looks_like_one_that_does_not_exist() -> None:
    juliet = world().jabber.actor(JULIET)
    assert ask(juliet).condition == "service-unavailable"
    assert ask(juliet, to="nobody@example.test").condition == "service-unavailable"
