"""XEP-0030: what discovery says about the domain and about accounts."""

from __future__ import annotations

import pytest

from fakes.xmpp.jabber import Actor
from fakes.xmpp.stanzas import Stanza
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
INFO, ITEMS = (f"http://jabber.org/protocol/disco#{name}" for name in ("info", "items"))


def ask(actor: Actor, to: str, space: str, node: str = "", type: str = "get") -> Stanza:
    attribute = f" node='{node}'" if node else ""
    actor.clear()
    actor.sends(f"<iq type='{type}' id='q' to='{to}'><query xmlns='{space}'{attribute}/></iq>")
    [answer] = [stanza for stanza in actor.all if stanza.id == "q"]
    return answer


def test_the_domain_is_a_server_and_announces_what_it_answers() -> None:
    [query] = ask(world().jabber.actor(ROMEO), "example.test", INFO).element
    identity, *features = query
    assert identity.attrib == {"category": "server", "type": "im", "name": "fakes"}
    names = [feature.get("var") or "" for feature in features]
    assert names == sorted(set(names)) and {INFO, ITEMS, "msgoffline", "vcard-temp"} <= set(names)


def test_messages_that_wait_are_announced_only_if_they_do() -> None:
    actor = world(off={"xmpp": ["offline"]}).jabber.actor(ROMEO)
    [query] = ask(actor, "example.test", INFO).element
    assert "msgoffline" not in [feature.get("var") for feature in query]


def test_an_account_lists_its_resources_to_those_who_may_see_it() -> None:
    place = world()
    place.jabber.befriend(ROMEO, JULIET, "to")
    for name in ("balcony", "garden"):
        place.jabber.actor(JULIET, name).comes()
    romeo = place.jabber.actor(ROMEO)
    [query] = ask(romeo, JULIET, INFO).element
    assert query[0].attrib == {"category": "account", "type": "registered"}
    [query] = ask(romeo, JULIET, ITEMS).element
    assert [item.get("jid") for item in query] == [f"{JULIET}/balcony", f"{JULIET}/garden"]


@pytest.mark.parametrize("space", [INFO, ITEMS])
@pytest.mark.parametrize(("node", "type"), [("", "get"), ("urn:x", "get"), ("", "set")])
def test_for_all_others_an_account_looks_like_one_that_does_not_exist(
    space: str, node: str, type: str
) -> None:
    romeo = world().jabber.actor(ROMEO)
    hidden = ask(romeo, JULIET, space, node, type)
    unknown = ask(romeo, "nobody@example.test", space, node, type)
    assert hidden.condition == unknown.condition == "service-unavailable"


@pytest.mark.parametrize("space", [INFO, ITEMS])
@pytest.mark.parametrize("to", ["example.test", ROMEO])
def test_a_set_is_refused_and_an_unknown_node_is_not_found(space: str, to: str) -> None:
    romeo = world().jabber.actor(ROMEO)
    assert ask(romeo, to, space, type="set").condition == "bad-request"
    answer = ask(romeo, to, space, node="urn:x")
    assert answer.condition == "item-not-found"
    assert "there is no node urn:x" in answer.content.decode()
