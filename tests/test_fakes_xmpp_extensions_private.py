"""XEP-0049: elements that a client stores for itself."""

from __future__ import annotations

import pytest

from fakes.xmpp.extensions.private import MOST
from fakes.xmpp.jabber import Actor
from fakes.xmpp.stanzas import Stanza
from tests.xmpp_raw import world

ROMEO = "romeo@example.test"


def ask(actor: Actor, type: str, content: str) -> Stanza:
    actor.clear()
    payload = f"<query xmlns='jabber:iq:private'>{content}</query>"
    actor.sends(f"<iq type='{type}' id='q'>{payload}</iq>")
    [answer] = [stanza for stanza in actor.all if stanza.id == "q"]
    return answer


def test_an_element_is_stored_by_its_name_and_namespace() -> None:
    actor = world().jabber.actor(ROMEO)
    for value in "12":
        assert ask(actor, "set", f"<a xmlns='urn:a'>{value}</a><a xmlns='urn:b'/>").type == "result"
    [query] = ask(actor, "get", "<a xmlns='urn:a'/>").element
    assert [(child.tag, child.text) for child in query] == [("{urn:a}a", "2")]
    [query] = ask(actor, "get", "<unknown xmlns='urn:a'/>").element
    assert [(child.tag, child.text) for child in query] == [("{urn:a}unknown", None)]


@pytest.mark.parametrize(
    ("type", "content", "condition"),
    [
        ("get", "", "bad-request"),
        ("set", "", "bad-request"),
        ("get", "<a xmlns='urn:a'/><b xmlns='urn:a'/>", "bad-request"),
        ("set", "<a xmlns='jabber:client'/>", "not-acceptable"),
        ("set", "<a xmlns='jabber:iq:private'/>", "not-acceptable"),
        ("set", "<vCard xmlns='vcard-temp'/>", "not-acceptable"),
        ("set", "".join(f"<a{n} xmlns='urn:a'/>" for n in range(MOST + 1)), "resource-constraint"),
    ],
)
def test_a_request_that_cannot_be_is_refused(type: str, content: str, condition: str) -> None:
    actor = world().jabber.actor(ROMEO)
    assert ask(actor, type, content).condition == condition


def test_a_hundred_elements_are_stored() -> None:
    actor = world().jabber.actor(ROMEO)
    whole = "".join(f"<a{n} xmlns='urn:a'/>" for n in range(MOST))
    assert ask(actor, "set", whole).type == "result"
    assert ask(actor, "set", "<a0 xmlns='urn:a'>new</a0>").type == "result"
    assert ask(actor, "set", "<more xmlns='urn:a'/>").condition == "resource-constraint"
