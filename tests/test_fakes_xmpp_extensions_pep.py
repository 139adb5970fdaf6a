"""Every account as a publish–subscribe service: who is told what, and when (XEP-0163)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from fakes import World
from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.extensions.caps import CAPS, verification
from fakes.xmpp.extensions.disco import INFO, ITEMS
from fakes.xmpp.extensions.pep import Pep
from fakes.xmpp.markup import serialize
from fakes.xmpp.pubsub import interests
from fakes.xmpp.pubsub.configuration import Config
from fakes.xmpp.pubsub.names import ERRORS, EVENT, OWNER, PUBLISH_OPTIONS, PUBSUB
from fakes.xmpp.pubsub.nodes import Item, Node, Store
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.growth import FACTOR_MOST, factor
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


# ── what presence decides ────────────────────────────────────────────────────


def test_a_new_contact_gets_the_last_item() -> None:
    romeo, juliet, _ = parties("none")
    romeo.publishes()
    assert [stanza.kind for stanza in juliet.comes()] == ["presence"]
    romeo.comes()
    juliet.says(f"<presence type='subscribe' to='{ROMEO}'/>")
    romeo.says(f"<presence type='subscribed' to='{JULIET}'/>")
    assert juliet.events() == [f"{TUNE} 1 song"]


def test_a_client_that_wants_more_later_gets_what_it_has_missed() -> None:
    romeo, juliet, _ = parties()
    romeo.publishes()
    juliet.answers = f"<query xmlns='{INFO}'/>"
    juliet.comes(verification([], "sha-1"))
    assert juliet.events() == []
    juliet.answers = INFORMATION
    assert len([one for one in juliet.comes() if one.kind == "message"]) == 1
    assert [one for one in juliet.comes() if one.kind == "message"] == []


def test_old_capabilities_and_none_at_all() -> None:
    romeo, juliet, _ = parties()
    romeo.publishes()
    juliet.says(f"<presence><c xmlns='{CAPS}' node='old' ver='1.0'/></presence>")
    assert juliet.asked == 1  # XEP-0115 §8: they hold for this client only
    romeo.publishes("other")
    assert juliet.events() == [f"{TUNE} 1 other"]
    juliet.goes()
    juliet.says(b"<presence/>")
    romeo.publishes("third")
    assert juliet.events() == []


def test_a_client_that_does_not_say_what_it_can_gets_nothing() -> None:
    romeo, juliet, place = parties()
    juliet.answers = ""
    juliet.comes()
    romeo.publishes()
    assert (juliet.events(), juliet.asked) == ([], 1)
    pep = place.jabber.service.extensions.named("pep")
    assert isinstance(pep, Pep)
    for _ in range(interests.WAITING + 10):
        romeo.publishes()
    assert juliet.asked == 1
    [question] = pep.interests._questions.values()
    assert len(question.acts) == interests.WAITING
    juliet.client.says(f"<iq type='error' id='x' to='{ROMEO}'/>".encode())
    assert list(pep.interests._questions.values()) == [question]  # of another request


def test_who_loses_access_while_a_client_is_asked_is_not_told() -> None:
    romeo, juliet, _ = parties()
    juliet.comes()
    romeo.publishes()
    romeo.says(f"<presence type='unsubscribed' to='{JULIET}'/>")
    assert juliet.asked == 0
    assert (juliet.events(), juliet.asked) == ([], 1)


def test_who_is_blocked_is_not_told() -> None:
    romeo, juliet, _ = parties()
    juliet.comes()
    block = f"<block xmlns='urn:xmpp:blocking'><item jid='{JULIET}'/></block>"
    romeo.says(f"<iq type='set' id='b'>{block}</iq>")
    romeo.publishes()
    assert juliet.events() == []


def test_who_sends_presence_without_being_a_contact_is_told_of_open_nodes() -> None:
    romeo, juliet, _ = parties("")
    romeo.publishes(more=options(access_model="open"))
    romeo.publishes(node="urn:closed")
    directed = presence().decode().replace("<presence", f"<presence to='{ROMEO}'", 1)
    assert [one.kind for one in juliet.says(directed)] == ["message"]
    romeo.publishes("other")
    assert juliet.events() == [f"{TUNE} 1 other"]
    juliet.says(f"<presence type='unavailable' to='{ROMEO}'/>")
    romeo.publishes("third")
    assert juliet.events() == []


def test_a_contact_at_another_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    romeo, _, place = parties("")
    place.jabber.befriend(ROMEO, "ann@elsewhere.test")
    ann = "ann@elsewhere.test/there"
    sent: list[Stanza] = []
    service = place.jabber.service
    [away] = [one for one in service.extensions.active if one.name == "server-to-server"]

    def sends_away(stanza: Stanza, to: Jid) -> bool:
        sent.append(stanza)
        return True

    monkeypatch.setattr(away, "sends_away", sends_away)
    shown = presence().decode().replace("<presence", f"<presence to='{ROMEO}' from='{ann}'", 1)
    place.jabber.inject(shown)
    romeo.publishes()
    [question] = [one for one in sent if one.kind == "iq"]
    assert (question.sender, question.to) == (ROMEO, ann)
    answer = f"<iq type='result' id='{question.id}' from='{ann}' to='{ROMEO}'>{INFORMATION}</iq>"
    place.jabber.inject(answer)
    assert [one.to for one in sent if one.kind == "message"] == [ann]
    place.jabber.inject(f"<presence type='unavailable' to='{ROMEO}' from='{ann}'/>")
    romeo.publishes("other")
    assert len([one for one in sent if one.kind == "message"]) == 1


# ── subscriptions, and the nodes of owners ───────────────────────────────────


def test_an_explicit_subscriber_is_told_once_for_each_client_or_at_the_bare_address() -> None:
    romeo, juliet, place = parties("")
    plain = Party(place, "juliet", "plain")
    romeo.publishes(more=options(access_model="open"))
    plain.says(b"<presence/>")
    subscribe = f"<subscribe node='{TUNE}' jid='{JULIET}'/>"
    assert said(plain.asks(subscribe, to=ROMEO)) == ""
    assert plain.events() == []  # the last item came with the answer
    romeo.publishes("to all")
    assert plain.events() == [f"{TUNE} 1 to all"]
    place.jabber.befriend(ROMEO, JULIET)
    juliet.comes()
    plain.says()
    romeo.publishes("to one")
    assert (juliet.events(), plain.events()) == ([f"{TUNE} 1 to one"], [])
    full = subscribe.replace(JULIET, f"{JULIET}/plain")
    plain.asks(full, to=ROMEO)
    romeo.publishes("to both")
    assert (juliet.events(), plain.events()) == ([f"{TUNE} 1 to both"], [f"{TUNE} 1 to both"])


def test_a_lost_contact_loses_the_subscription() -> None:
    romeo, juliet, _ = parties()
    romeo.publishes()
    juliet.says(b"<presence/>")
    juliet.asks(f"<subscribe node='{TUNE}' jid='{JULIET}'/>", to=ROMEO)
    romeo.says(f"<presence type='unsubscribed' to='{JULIET}'/>")
    heard = [one.content.decode() for one in juliet.says() if one.kind == "message"]
    assert [f"jid='{JULIET}' subscription='none'" in one for one in heard] == [True]
    listed = romeo.asks(f"<subscriptions node='{TUNE}'/>", "get", space=OWNER)
    assert [one.tag for one in listed.element[0][0]] == []


def test_a_group_of_the_roster_may_read() -> None:
    romeo, juliet, _ = parties()
    wanted = options(access_model="roster", roster_groups_allowed="Friends")
    romeo.publishes(more=wanted)
    assert juliet.reads(ROMEO) == "not-authorized not-in-roster-group"
    item = f"<item jid='{JULIET}'><group>Friends</group></item>"
    romeo.says(f"<iq type='set' id='r'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
    assert juliet.reads(ROMEO) == ["1 song"]
    assert romeo.publishes(more=wanted) == ""
    shown = romeo.asks(f"<configure node='{TUNE}'/>", "get", space=OWNER).content.decode()
    assert "<option><value>Friends</value></option>" in shown


def test_the_account_decides_about_subscriptions() -> None:
    romeo, juliet, _ = parties()
    for one in (romeo, juliet):
        one.says(b"<presence/>")
    romeo.publishes(more=options(access_model="authorize"))
    pending = juliet.asks(f"<subscribe node='{TUNE}' jid='{JULIET}'/>", to=ROMEO)
    assert "subscription='pending'" in pending.content.decode()
    [asked] = [one for one in romeo.says() if one.kind == "message"]
    decided = asked.content.decode().replace("type='form'", "type='submit'")
    decided = decided.replace("<value>0</value>", "<value>1</value>")
    assert romeo.says(f"<message to='{ROMEO}' id='{asked.id}'>{decided}</message>") == []
    assert juliet.reads(ROMEO) == ["1 song"]


@pytest.mark.parametrize(
    ("inner", "space"),
    [
        ("<create node='mine'/>", PUBSUB),
        (f"<publish node='mine'><item><tune xmlns='{TUNE}'/></item></publish>", PUBSUB),
        (f"<publish node='{TUNE}'><item><tune xmlns='{TUNE}'/></item></publish>", PUBSUB),
        (f"<delete node='{TUNE}'/>", OWNER),
        (f"<purge node='{TUNE}'/>", OWNER),
        (f"<configure node='{TUNE}'/>", OWNER),
    ],
)
def test_only_the_account_itself_changes_its_nodes(inner: str, space: str) -> None:
    romeo, juliet, _ = parties()
    romeo.publishes()
    assert said(juliet.asks(inner, to=ROMEO, space=space)) == "forbidden"


def test_the_account_always_owns_its_nodes() -> None:
    romeo, _, _ = parties()
    romeo.publishes()
    changes = (
        f"<affiliation jid='{JULIET}' affiliation='owner'/>"
        f"<affiliation jid='{ROMEO}' affiliation='none'/>"
    )
    asked = f"<affiliations node='{TUNE}'>{changes}</affiliations>"
    answer = romeo.asks(asked, space=OWNER)
    assert answer.condition == "not-acceptable"
    assert f"jid='{ROMEO}' affiliation='owner'" in answer.content.decode()


@pytest.mark.parametrize(
    ("more", "condition"),
    [
        ("<publish-options/>", "bad-request invalid-options"),
        (options().replace(PUBLISH_OPTIONS, "urn:odd"), "bad-request invalid-options"),
        (options(access_model="odd"), "not-acceptable"),
        (options(odd="1"), "conflict precondition-not-met"),
        (options(max_items="1001"), "not-acceptable"),
    ],
)
def test_options_that_cannot_be_create_no_node(more: str, condition: str) -> None:
    romeo, _, _ = parties()
    assert romeo.publishes(more=more) == condition
    assert romeo.reads("") == "item-not-found"


def test_a_private_node_is_for_the_own_clients_only() -> None:
    """XEP-0223: a whitelist without anybody on it."""
    romeo, juliet, place = parties()
    other = Party(place, "romeo", "other")
    for one in (juliet, other):
        one.comes()
    romeo.publishes(more=options(access_model="whitelist", persist_items="1"))
    assert (juliet.events(), other.events()) == ([], [f"{TUNE} 1 song"])
    assert juliet.reads(ROMEO) == "not-allowed closed-node"


# ── limits ───────────────────────────────────────────────────────────────────


def test_a_node_of_many_items_takes_the_same_time_for_each() -> None:
    store = Store(ROMEO)
    node = Node(TUNE, Config(max_items=1000), ROMEO, 0.0)
    store.add(node)

    def publish(count: int) -> Callable[[], None]:
        def act() -> None:
            for number in range(count):
                store.put(node, [Item(str(number % 3000), None, ROMEO, 0.0, 0)])

        return act

    assert factor(publish, 1000) < FACTOR_MOST
    assert len(node.items) == 1000 and store.size == 0


def test_no_more_than_a_thousand_items_and_no_million_in_one_request() -> None:
    romeo, _, _ = parties()
    items = f"<item><t xmlns='{TUNE}'/></item>" * 1001
    answer = romeo.asks(f"<publish node='{TUNE}'>{items}</publish>{options(max_items='max')}")
    assert said(answer) == "not-allowed max-items-exceeded"
    answer = romeo.asks(f"<items node='{TUNE}'/>", "get")
    assert answer.condition == "item-not-found"


def test_what_is_remembered_of_clients_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    romeo, juliet, place = parties()
    monkeypatch.setattr(interests, "KNOWN", 2)
    monkeypatch.setattr(interests, "QUESTIONS", 1)
    pep = place.jabber.service.extensions.named("pep")
    assert isinstance(pep, Pep)
    romeo.publishes()
    for ver in "abcd":
        juliet.comes(ver)
    assert [ver for _, ver in pep.interests._known] == ["c", "d"]
    juliet.answers = ""
    for ver in "xyz":
        juliet.comes(ver)
    assert len(pep.interests._questions) == 1


def test_nodes_outlive_a_restart_and_go_with_the_account() -> None:
    romeo, _, place = parties()
    romeo.publishes()
    again = world().jabber.service
    again.restore(place.jabber.service.stored())
    pep = again.extensions.named("pep")
    account = again.accounts.find(jid(ROMEO))
    assert isinstance(pep, Pep) and account is not None
    assert [item.id for item in pep.items_of(account, TUNE)] == ["1"]
    again.remove(account)
    assert pep.stored == {}


def test_an_account_without_it_answers_nothing() -> None:
    romeo, _, _ = parties(off={"xmpp": ["pep"]})
    assert romeo.publishes() == "service-unavailable"
    [answer] = romeo.says(f"<iq type='get' id='d' to='{ROMEO}'><query xmlns='{INFO}'/></iq>")
    assert PUBSUB not in answer.content.decode()
