"""Every account as a publish–subscribe service: who is told what, and when (XEP-0163)."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from fakes import World
from fakes.xmpp.extensions.caps import CAPS
from fakes.xmpp.extensions.disco import INFO, ITEMS
from fakes.xmpp.extensions.pep import Pep
from fakes.xmpp.markup import serialize
from fakes.xmpp.pubsub.interests import verification
from fakes.xmpp.pubsub.names import ERRORS, EVENT, PUBLISH_OPTIONS, PUBSUB
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.xmpp_raw import Client, bound, world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
TUNE = "urn:example:tune"
INFORMATION = (
    f"<query xmlns='{INFO}'><identity category='client' type='pc'/>"
    f"<feature var='{TUNE}'/><feature var='{TUNE}+notify'/></query>"
)
VER = verification(ElementTree.fromstring(INFORMATION), "sha-1")


def presence(ver: str = VER, hash: str = "sha-1") -> bytes:
    c = f"<c xmlns='{CAPS}' node='https://client.example' ver='{ver}' hash='{hash}'/>"
    return f"<presence>{c}</presence>".encode()


def options(**wanted: str) -> str:
    """The `<publish-options/>` with these preconditions."""
    fields = "".join(
        f"<field var='pubsub#{name}'><value>{value}</value></field>"
        for name, value in wanted.items()
    )
    kind = f"<field var='FORM_TYPE' type='hidden'><value>{PUBLISH_OPTIONS}</value></field>"
    form = f"<x xmlns='jabber:x:data' type='submit'>{kind}{fields}</x>"
    return f"<publish-options>{form}</publish-options>"


class Party:
    """A client that answers what it is asked about its capabilities."""

    def __init__(self, place: World, name: str, resource: str = "here") -> None:
        self.address = f"{name}@example.test"
        self.client: Client = bound(place, name, resource)
        self.answers = INFORMATION
        self.asked = 0

    def comes(self, ver: str = VER, hash: str = "sha-1") -> list[Stanza]:
        return self.says(presence(ver, hash))

    def goes(self) -> None:
        self.says(b"<presence type='unavailable'/>")

    def says(self, text: str | bytes = b"") -> list[Stanza]:
        """Sends something, and returns what has come; a question is answered on the way."""
        raw = self.client.says(text.encode() if isinstance(text, str) else text)
        heard = []
        for part in ElementTree.fromstring(b"<x xmlns='jabber:client'>%b</x>" % raw):
            stanza = parse_stanza(serialize(part))
            if (stanza.id or "").startswith("caps-"):
                self.asked += 1
                answer = (
                    f"<iq type='result' id='{stanza.id}' to='{stanza.sender}'>{self.answers}</iq>"
                )
                heard += self.says(answer) if self.answers else []
            else:
                heard.append(stanza)
        return heard

    def events(self) -> list[str]:
        """What has been notified since it was asked last: `node id payload`, or `node -id`."""
        found = []
        for stanza in self.says():
            for items in stanza.element.iter(f"{{{EVENT}}}items"):
                found += [f"{items.get('node')} {_worded(one)}" for one in items]
        return found

    def asks(self, inner: str, type: str = "set", to: str = "", space: str = PUBSUB) -> Stanza:
        """Sends a request of publish–subscribe, to its own account if `to` is empty."""
        where = f" to='{to}'" if to else ""
        sent = f"<iq type='{type}' id='q'{where}><pubsub xmlns='{space}'>{inner}</pubsub></iq>"
        self.heard = self.says(sent)
        [answer] = [stanza for stanza in self.heard if stanza.id == "q"]
        return answer

    def publishes(self, text: str = "song", id: str = "1", more: str = "", node: str = TUNE) -> str:
        """Publishes an item; returns the condition of the error."""
        item = f"<item id='{id}'><tune xmlns='{TUNE}'>{text}</tune></item>"
        return said(self.asks(f"<publish node='{node}'>{item}</publish>{more}"))

    def reads(self, of: str, node: str = TUNE) -> list[str] | str:
        """The items of a node, or the condition of the error."""
        answer = self.asks(f"<items node='{node}'/>", "get", of)
        found = [_worded(item) for item in answer.element.iter(f"{{{PUBSUB}}}item")]
        return said(answer) or found


def _worded(item: Element) -> str:
    if item.tag.endswith("}retract"):
        return f"-{item.get('id')}"
    return " ".join([item.get("id") or "", *(one.text or "" for one in item)])


def said(answer: Stanza) -> str:
    """The conditions of an error: `condition`, or `condition specific`."""
    specific = [
        one.tag.partition("}")[2] for one in answer.element.iter() if f"{{{ERRORS}}}" in one.tag
    ]
    return " ".join([answer.condition, *specific]).strip()


def parties(subscription: str = "both", **config: Any) -> tuple[Party, Party, World]:
    place = world(**config)
    if subscription:
        place.jabber.befriend(ROMEO, JULIET, subscription)
    return Party(place, "romeo"), Party(place, "juliet"), place


def test_contacts_and_own_clients_that_want_it_are_told() -> None:
    romeo, juliet, place = parties()
    orchard = Party(place, "romeo", "orchard")
    plain = Party(place, "juliet", "plain")
    for one in (romeo, orchard, juliet):
        one.comes()
    plain.says(b"<presence/>")
    assert romeo.publishes() == ""
    assert orchard.events() == juliet.events() == [f"{TUNE} 1 song"]
    assert plain.events() == []
    assert romeo.asks("<retract node='urn:example:tune' notify='1'><item id='1'/></retract>")
    assert juliet.events() == [f"{TUNE} -1"]
    assert juliet.reads(ROMEO) == []


def test_the_message_is_a_headline_of_the_account() -> None:
    romeo, juliet, _ = parties()
    juliet.comes()
    romeo.publishes()
    [message] = juliet.says()
    assert (message.sender, message.to, message.type) == (ROMEO, f"{JULIET}/here", "headline")
    assert message.id
    assert message.content.decode() == (
        f"<event xmlns='{EVENT}'><items node='{TUNE}'><item id='1'>"
        f"<tune xmlns='{TUNE}'>song</tune></item></items></event>"
    )


def test_who_comes_online_gets_the_last_item_once() -> None:
    romeo, juliet, _ = parties()
    romeo.publishes()
    heard = juliet.comes()
    [message] = [stanza for stanza in heard if stanza.kind == "message"]
    assert message.delayed
    assert [stanza for stanza in juliet.comes() if stanza.kind == "message"] == []
    juliet.goes()
    assert [stanza for stanza in juliet.comes() if stanza.kind == "message"]
    assert juliet.asked == 1  # the hash is known from then on


@pytest.mark.parametrize("subscription", ["to", "none", ""])
def test_who_does_not_see_the_account_is_not_told_and_may_not_read(subscription: str) -> None:
    romeo, juliet, _ = parties(subscription)
    juliet.comes()
    romeo.publishes()
    assert juliet.events() == []
    assert juliet.reads(ROMEO) == "not-authorized presence-subscription-required"


def test_who_no_longer_sees_the_account_gets_no_more() -> None:
    romeo, juliet, _ = parties()
    juliet.comes()
    romeo.says(f"<presence type='unsubscribed' to='{JULIET}'/>")
    romeo.publishes()
    assert juliet.events() == []


@pytest.mark.parametrize(
    ("model", "reads"),
    [
        ("open", ["1 song"]),
        ("presence", "not-authorized presence-subscription-required"),
        ("roster", "not-authorized not-in-roster-group"),
        ("whitelist", "not-allowed closed-node"),
        ("authorize", "not-authorized not-subscribed"),
    ],
)
def test_an_access_model_says_who_may_read(model: str, reads: list[str] | str) -> None:
    romeo, juliet, _ = parties("")
    assert romeo.publishes(more=options(access_model=model)) == ""
    assert juliet.reads(ROMEO) == reads
    assert romeo.reads("") == ["1 song"]


def test_options_are_preconditions() -> None:
    romeo, _, _ = parties()
    wanted = options(access_model="whitelist", persist_items="true", max_items="max")
    assert romeo.publishes(more=wanted) == ""
    assert romeo.publishes("other", "2", more=wanted) == ""
    for other in (options(access_model="open"), options(max_items="1"), options(odd="1")):
        assert romeo.publishes("no", "3", more=other) == "conflict precondition-not-met"
    assert romeo.reads("") == ["1 song", "2 other"]


def test_a_hash_that_does_not_agree_holds_for_that_client_only() -> None:
    romeo, juliet, place = parties()
    other = Party(place, "juliet", "other")
    juliet.comes("bm9ib2R5")
    other.comes("bm9ib2R5")
    other.answers = f"<query xmlns='{INFO}'/>"
    romeo.publishes()
    assert (juliet.events(), other.events()) == ([f"{TUNE} 1 song"], [])
    assert (juliet.asked, other.asked) == (1, 1)


def test_discovery_shows_what_the_asker_may_see() -> None:
    romeo, juliet, _ = parties("")
    romeo.publishes(more=options(access_model="whitelist"))
    query = f"<iq type='get' id='d' to='{ROMEO}'><query xmlns='{ITEMS}'/></iq>"
    assert juliet.says(query)[0].condition == "service-unavailable"
    romeo.publishes(node="urn:open", more=options(access_model="open"))
    [answer] = juliet.says(query)
    assert [one.attrib for one in answer.element[0]] == [{"jid": ROMEO, "node": "urn:open"}]
    [answer] = romeo.says(f"<iq type='get' id='d' to='{ROMEO}'><query xmlns='{INFO}'/></iq>")
    identities = [one.get("type") for one in answer.element[0] if "category" in one.attrib]
    assert identities == ["registered", "pep"]


def test_another_extension_reads_and_publishes() -> None:
    _, juliet, place = parties()
    pep = place.jabber.service.extensions.named("pep")
    account = place.jabber._account(ROMEO)
    assert isinstance(pep, Pep)
    juliet.comes()
    pep.publish(account, TUNE, ElementTree.fromstring(f"<tune xmlns='{TUNE}'>hum</tune>"))
    assert juliet.events() == [f"{TUNE} current hum"]
    [item] = pep.items_of(account, TUNE)
    assert (item.id, item.publisher) == ("current", ROMEO)
    pep.retract(account, TUNE, "current", "unknown")
    assert juliet.events() == [f"{TUNE} -current"]
    assert pep.items_of(account, TUNE) == pep.items_of(account, "urn:none") == []
