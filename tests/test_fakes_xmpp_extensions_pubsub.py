"""Publish–subscribe at a service: what each request does, and how it can fail (XEP-0060)."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.xmpp.extensions.disco import INFO, ITEMS
from fakes.xmpp.extensions.pubsub import Pubsub
from fakes.xmpp.pubsub import nodes
from fakes.xmpp.pubsub.names import (
    AUTHORIZATION,
    EVENT,
    NODE_CONFIG,
    OWNER,
    PUBSUB,
    SUBSCRIBE_OPTIONS,
)
from fakes.xmpp.stanzas import Stanza
from tests.test_fakes_xmpp_extensions_pep import JULIET, ROMEO, Party, options, said
from tests.xmpp_raw import world

SERVICE = "pubsub.example.test"
NODE = "news"


class Play:
    """Romeo owns a node at the service; Juliet and Tybalt are others."""

    def __init__(self, **config: str | list[str]) -> None:
        people = [{"address": f"{name}@example.test"} for name in ("romeo", "juliet", "tybalt")]
        self.place = world(person=people)
        self.romeo, self.juliet, self.tybalt = (
            Party(self.place, name) for name in ("romeo", "juliet", "tybalt")
        )
        for one in (self.romeo, self.juliet, self.tybalt):
            one.says(b"<presence/>")
        assert self.does("romeo", f"<create node='{NODE}'/>{configure(**config)}") == ""

    def asks(self, name: str, inner: str, type: str = "set", owner: bool = False) -> Stanza:
        who: Party = getattr(self, name)
        space = {"space": OWNER} if owner else {}
        return who.asks(inner, type, SERVICE, **space)

    def does(self, name: str, inner: str, type: str = "set", owner: bool = False) -> str:
        """Asks, and returns the conditions of the error."""
        return said(self.asks(name, inner, type, owner))

    def subscribes(self, name: str, address: str = "", more: str = "") -> str:
        who = address or f"{name}@example.test"
        return self.does(name, f"<subscribe node='{NODE}' jid='{who}'/>{more}")

    def publishes(self, name: str = "romeo", id: str = "1", text: str = "hello") -> str:
        return self.does(name, publish(id, text))

    def affiliates(self, name: str, affiliation: str) -> str:
        change = f"<affiliation jid='{name}@example.test' affiliation='{affiliation}'/>"
        return self.does(
            "romeo", f"<affiliations node='{NODE}'>{change}</affiliations>", owner=True
        )

    def sets(self, **config: str | list[str]) -> str:
        inner = configure(**config).replace("<configure>", f"<configure node='{NODE}'>")
        return self.does("romeo", inner, owner=True)

    def hears(self, name: str) -> list[str]:
        """What somebody was told: the events, as short words."""
        who: Party = getattr(self, name)
        return [_event(stanza) for stanza in who.says() if EVENT in str(stanza.child_names)]

    def items(self, name: str = "juliet", more: str = "", inside: str = "") -> list[str]:
        answer = self.asks(name, f"<items node='{NODE}' {more}>{inside}</items>", "get")
        assert answer.condition == ""
        return [item.get("id") or "" for item in answer.element.iter() if item.tag.endswith("item")]


def configure(**config: str | list[str]) -> str:
    return f"<configure>{form(NODE_CONFIG, **config)}</configure>"


def form(kind: str, state: str = "submit", /, **values: str | list[str]) -> str:
    """A form with these fields, of which each name gets the prefix `pubsub#`."""
    fields = [f"<field var='FORM_TYPE' type='hidden'><value>{kind}</value></field>"]
    for name, value in values.items():
        each = [value] if isinstance(value, str) else value
        inside = "".join(f"<value>{one}</value>" for one in each)
        fields.append(f"<field var='pubsub#{name}'>{inside}</field>")
    return f"<x xmlns='jabber:x:data' type='{state}'>{''.join(fields)}</x>"


def publish(id: str = "1", text: str = "hello") -> str:
    attribute = f" id='{id}'" if id else ""
    return f"<publish node='{NODE}'><item{attribute}><a xmlns='urn:a'>{text}</a></item></publish>"


def _event(stanza: Stanza) -> str:
    what = stanza.element[0][0]
    words = [what.tag.partition("}")[2]]
    words += [f"{one.tag.partition('}')[2]} {one.get('id')}" for one in what if one.get("id")]
    words += [one.get("uri") or "" for one in what if one.get("uri")]
    words += [value for key, value in what.items() if key in ("jid", "subscription")]
    return " ".join(words) + (" (late)" if stanza.delayed else "")


# ── the main path ────────────────────────────────────────────────────────────


def test_subscribers_are_told_what_is_published_and_retracted() -> None:
    play = Play()
    assert play.subscribes("juliet") == ""
    assert play.publishes() == ""
    [message] = play.juliet.says()
    assert (message.sender, message.to, message.type) == (SERVICE, JULIET, "headline")
    assert message.content.decode() == (
        f"<event xmlns='{EVENT}'><items node='news'><item id='1'>"
        "<a xmlns='urn:a'>hello</a></item></items></event>"
    )
    play.publishes(id="2")
    play.juliet.says()
    retract = f"<retract node='{NODE}'><item id='1'/></retract>"
    assert play.does("romeo", retract) == ""
    assert play.hears("juliet") == []
    assert play.does("romeo", retract.replace("><", " notify='true'><", 1).replace("1", "2")) == ""
    assert play.hears("juliet") == ["items retract 2"]
    assert play.does("juliet", f"<unsubscribe node='{NODE}' jid='{JULIET}'/>") == ""
    play.publishes()
    assert play.hears("juliet") == []


def test_the_answers_are_exact() -> None:
    play = Play()

    def answer(name: str, inner: str, type: str = "set", owner: bool = False) -> str:
        whole = play.asks(name, inner, type, owner).content.decode()
        return whole.partition(">")[2].removesuffix("</pubsub>")

    subscribe = f"<subscribe node='{NODE}' jid='{JULIET}'/>"
    about = f"node='{NODE}' jid='{JULIET}'"
    subscribed = f"<subscription {about} subscription='subscribed'"
    assert answer("juliet", subscribe) == (f"{subscribed}><subscribe-options/></subscription>")
    assert answer("romeo", publish()) == f"<publish node='{NODE}'><item id='1'/></publish>"
    assert answer("juliet", f"<items node='{NODE}'/>", "get") == (
        f"<items node='{NODE}'><item id='1'><a xmlns='urn:a'>hello</a></item></items>"
    )
    assert answer("juliet", "<subscriptions/>", "get") == (
        f"<subscriptions>{subscribed}/></subscriptions>"
    )
    assert answer("romeo", "<affiliations/>", "get") == (
        f"<affiliations><affiliation node='{NODE}' affiliation='owner'/></affiliations>"
    )
    assert answer("romeo", f"<subscriptions node='{NODE}'/>", "get", owner=True) == (
        f"<subscriptions node='{NODE}'><subscription jid='{JULIET}' subscription='subscribed'/>"
        "</subscriptions>"
    )
    assert answer("romeo", f"<affiliations node='{NODE}'/>", "get", owner=True) == (
        f"<affiliations node='{NODE}'><affiliation jid='{ROMEO}' affiliation='owner'/>"
        "</affiliations>"
    )
    assert answer("juliet", f"<unsubscribe {about}/>") == (
        f"<subscription {about} subscription='none'/>"
    )
    [instant] = play.asks("romeo", "<create/>").element.iter(f"{{{PUBSUB}}}create")
    assert len(instant.get("node") or "") == 20


def test_items_are_retrieved_by_id_by_number_and_by_pages() -> None:
    play = Play()
    for id in "abcde":
        play.publishes(id=id)
    play.publishes(id="b")  # §12.1: now it is the newest
    assert play.items() == ["a", "c", "d", "e", "b"]
    assert play.items(more="max_items='2'") == ["e", "b"]
    assert play.items(inside="<item id='d'/><item id='x'/><item id='a'/>") == ["d", "a"]
    rsm = "xmlns='http://jabber.org/protocol/rsm'"
    page = f"<items node='{NODE}'/><set {rsm}><max>2</max><after>c</after></set>"
    answer = play.asks("juliet", page, "get").content.decode()
    assert "<item id='d'>" in answer and "<item id='e'>" in answer and "<item id='b'>" not in answer
    assert f"<set {rsm}><first index='2'>d</first><last>e</last><count>5</count></set>" in answer


def test_a_new_subscriber_gets_the_last_item() -> None:
    play = Play()
    play.publishes(id="1")
    play.publishes(id="2")
    play.subscribes("juliet")
    assert [_event(one) for one in play.juliet.heard[1:]] == ["items item 2 (late)"]
    assert play.subscribes("juliet") == ""  # §6.1.6: as if it were just approved
    assert play.hears("juliet") == []
    assert play.sets(send_last_published_item="never") == ""
    play.subscribes("tybalt")
    assert play.hears("tybalt") == []


def test_a_node_is_purged_configured_and_deleted() -> None:
    play = Play(notify_config="1", notify_retract="1")
    play.subscribes("juliet")
    play.publishes()
    play.hears("juliet")
    assert play.does("romeo", f"<purge node='{NODE}'/>", owner=True) == ""
    assert play.sets(title="News", deliver_payloads="0") == ""
    assert play.hears("juliet") == ["purge", "configuration"]
    redirect = "<redirect uri='xmpp:pubsub.example.test?;node=other'/>"
    assert play.does("romeo", f"<delete node='{NODE}'>{redirect}</delete>", owner=True) == ""
    assert play.hears("juliet") == ["delete xmpp:pubsub.example.test?;node=other"]
    assert play.publishes() == "item-not-found"


# ── every way to fail ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("inner", "type", "owner", "condition"),
    [
        # §6.1.3, §6.2.3
        (f"<subscribe node='{NODE}' jid='{ROMEO}'/>", "set", False, "bad-request invalid-jid"),
        (f"<subscribe node='{NODE}' jid='@'/>", "set", False, "bad-request invalid-jid"),
        (f"<subscribe node='{NODE}'/>", "set", False, "bad-request jid-required"),
        (f"<subscribe jid='{JULIET}'/>", "set", False, "bad-request nodeid-required"),
        (f"<subscribe node='x' jid='{JULIET}'/>", "set", False, "item-not-found"),
        (f"<unsubscribe node='{NODE}' jid='{ROMEO}'/>", "set", False, "forbidden"),
        (f"<unsubscribe node='x' jid='{JULIET}'/>", "set", False, "item-not-found"),
        (
            f"<unsubscribe node='{NODE}' jid='{JULIET}'/>",
            "set",
            False,
            "unexpected-request not-subscribed",
        ),
        # §6.3.4
        (f"<options node='{NODE}' jid='{ROMEO}'/>", "get", False, "forbidden"),
        (
            f"<options node='{NODE}' jid='{JULIET}'/>",
            "get",
            False,
            "unexpected-request not-subscribed",
        ),
        (f"<options node='{NODE}'/>", "get", False, "bad-request jid-required"),
        (f"<options node='x' jid='{JULIET}'/>", "get", False, "item-not-found"),
        # §6.5.9
        ("<items/>", "get", False, "bad-request nodeid-required"),
        ("<items node='x'/>", "get", False, "item-not-found"),
        (f"<items node='{NODE}' subid='1'/>", "get", False, "not-acceptable invalid-subid"),
        (f"<items node='{NODE}' max_items='0'/>", "get", False, "bad-request"),
        (f"<items node='{NODE}' max_items='-1'/>", "get", False, "bad-request"),
        # §7.1.3, §7.2.3
        (publish(), "set", False, "forbidden"),
        ("<publish node='x'><item/></publish>", "set", False, "item-not-found"),
        ("<publish><item/></publish>", "set", False, "bad-request nodeid-required"),
        (f"<retract node='{NODE}'><item id='1'/></retract>", "set", False, "forbidden"),
        ("<retract node='x'><item id='1'/></retract>", "set", False, "item-not-found"),
        ("<retract><item id='1'/></retract>", "set", False, "bad-request nodeid-required"),
        # §8.1, §8.2
        (f"<create node='{NODE}'/>", "set", False, "conflict"),
        ("<create node='y'/><configure node='y'/>", "set", False, "bad-request"),
        (
            f"<create node='y'/>{configure(access_model='odd')}",
            "set",
            False,
            "not-acceptable unsupported-access-model",
        ),
        (
            f"<create node='y'/>{configure(node_type='collection')}",
            "set",
            False,
            "feature-not-implemented unsupported",
        ),
        (f"<create node='y'/>{configure(max_items='1000000')}", "set", False, "not-acceptable"),
        (f"<create node='y'/>{configure(persist_items='odd')}", "set", False, "not-acceptable"),
        ("<create node='y'/><configure/>", "set", False, "bad-request invalid-options"),
        ("<configure/>", "get", True, "bad-request nodeid-required"),
        ("<configure node='x'/>", "get", True, "item-not-found"),
        (f"<configure node='{NODE}'/>", "get", True, "forbidden"),
        (f"<configure node='{NODE}'/>", "set", True, "forbidden"),
        ("<default type='collection'/>", "get", True, "feature-not-implemented unsupported"),
        # §8.4, §8.5, §8.8, §8.9
        (f"<delete node='{NODE}'/>", "set", True, "forbidden"),
        ("<delete node='x'/>", "set", True, "item-not-found"),
        (f"<purge node='{NODE}'/>", "set", True, "forbidden"),
        ("<purge node='x'/>", "set", True, "item-not-found"),
        (f"<subscriptions node='{NODE}'/>", "get", True, "forbidden"),
        ("<subscriptions node='x'/>", "get", True, "item-not-found"),
        (f"<subscriptions node='{NODE}'/>", "set", True, "forbidden"),
        (f"<affiliations node='{NODE}'/>", "get", True, "forbidden"),
        ("<affiliations node='x'/>", "set", True, "item-not-found"),
        # neither here nor there
        ("", "set", False, "bad-request"),
        ("<odd/>", "set", False, "feature-not-implemented"),
        (f"<purge node='{NODE}'/>", "set", False, "feature-not-implemented"),
    ],
)
def test_a_request_that_cannot_be_is_refused(
    inner: str, type: str, owner: bool, condition: str
) -> None:
    assert Play().does("juliet", inner, type, owner) == condition


@pytest.mark.parametrize(
    ("config", "inner", "condition"),
    [
        ({}, f"<publish node='{NODE}'/>", "bad-request item-required"),
        ({}, f"<publish node='{NODE}'><item/></publish>", "bad-request payload-required"),
        (
            {},
            f"<publish node='{NODE}'><item><a xmlns=''/><b xmlns=''/></item></publish>",
            "bad-request invalid-payload",
        ),
        ({"type": "urn:b"}, publish(), "bad-request invalid-payload"),
        ({"deliver_payloads": "0"}, f"<publish node='{NODE}'><item/></publish>", ""),
        ({"persist_items": "0"}, publish(), ""),
        (
            {"persist_items": "0", "deliver_payloads": "0"},
            publish(),
            "bad-request item-forbidden",
        ),
        ({"persist_items": "0", "deliver_payloads": "0"}, f"<publish node='{NODE}'/>", ""),
        ({"max_payload_size": "10"}, publish(), "not-acceptable payload-too-big"),
        (
            {"max_items": "1"},
            f"<publish node='{NODE}'><item/><item/></publish>",
            "not-allowed max-items-exceeded",
        ),
        ({}, f"<retract node='{NODE}'/>", "bad-request item-required"),
        ({}, f"<retract node='{NODE}'><item/></retract>", "bad-request item-required"),
        ({}, f"<retract node='{NODE}'><item id='x'/></retract>", "item-not-found"),
        (
            {"persist_items": "0"},
            f"<retract node='{NODE}'><item id='1'/></retract>",
            "feature-not-implemented unsupported",
        ),
    ],
)
def test_what_is_published_must_fit_the_node(
    config: dict[str, str], inner: str, condition: str
) -> None:
    assert Play(**config).does("romeo", inner) == condition


def test_a_node_without_items_or_subscriptions_says_so() -> None:
    play = Play(persist_items="0", subscribe="0")
    purge = f"<purge node='{NODE}'/>"
    assert play.does("romeo", purge, owner=True) == "feature-not-implemented unsupported"
    assert play.subscribes("juliet") == "feature-not-implemented unsupported"


# ── affiliations and access ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("affiliation", "subscribes", "reads", "publishes", "purges"),
    [
        ("owner", "", "", "", ""),
        ("publisher", "", "", "", "forbidden"),
        ("publish-only", "forbidden", "forbidden", "", "forbidden"),
        ("member", "", "", "forbidden", "forbidden"),
        ("none", "not-allowed closed-node", "not-allowed closed-node", "forbidden", "forbidden"),
        ("outcast", "forbidden", "forbidden", "forbidden", "forbidden"),
    ],
)
def test_an_affiliation_says_who_may_what(
    affiliation: str, subscribes: str, reads: str, publishes: str, purges: str
) -> None:
    play = Play(access_model="whitelist")
    assert play.affiliates("juliet", affiliation) == ""
    assert play.subscribes("juliet") == subscribes
    assert play.does("juliet", f"<items node='{NODE}'/>", "get") == reads
    assert play.publishes("juliet") == publishes
    assert play.does("juliet", f"<purge node='{NODE}'/>", owner=True) == purges


def test_who_may_only_publish_deletes_only_their_own() -> None:
    play = Play()
    play.publishes(id="1")
    play.affiliates("juliet", "publish-only")
    play.publishes("juliet", "2")
    retracts = [f"<retract node='{NODE}'><item id='{id}'/></retract>" for id in "12"]
    assert [play.does("juliet", one) for one in retracts] == ["forbidden", ""]


def test_a_node_keeps_an_owner_and_says_which_changes_failed() -> None:
    play = Play()
    changes = "".join(
        f"<affiliation jid='{who}' affiliation='{what}'/>"
        for who, what in ((ROMEO, "none"), (JULIET, "publisher"), ("x@y", "odd"), ("@", "member"))
    )
    asked = f"<affiliations node='{NODE}'>{changes}</affiliations>"
    answer = play.asks("romeo", asked, owner=True)
    assert answer.condition == "not-acceptable"
    assert answer.content.decode().startswith(
        f"<pubsub xmlns='{OWNER}'><affiliations node='{NODE}'>"
        f"<affiliation jid='{ROMEO}' affiliation='owner'/>"
        "<affiliation jid='x@y' affiliation='none'/><affiliation jid='@' affiliation='none'/>"
        "</affiliations></pubsub><error type='modify'>"
    )
    assert play.publishes("juliet") == ""
    twice = f"<affiliation jid='{JULIET}' affiliation='none'/>" * 2
    asked = f"<affiliations node='{NODE}'>{twice}</affiliations>"
    assert play.does("romeo", asked, owner=True) == "bad-request"


def test_who_loses_access_loses_the_subscription() -> None:
    play = Play()
    for name in ("juliet", "tybalt"):
        play.subscribes(name)
    assert play.affiliates("juliet", "outcast") == ""
    assert play.hears("juliet") == [f"subscription {JULIET} none"]
    assert play.affiliates("juliet", "none") == ""
    assert play.sets(access_model="whitelist") == ""
    assert play.hears("tybalt") == ["subscription tybalt@example.test none"]
    play.sets(access_model="open")
    play.publishes()
    assert play.hears("juliet") == play.hears("tybalt") == []


@pytest.mark.parametrize(
    ("model", "allowed"), [("publishers", ""), ("subscribers", "juliet"), ("open", "juliet tybalt")]
)
def test_a_publish_model_says_who_may_publish(model: str, allowed: str) -> None:
    play = Play(publish_model=model)
    play.subscribes("juliet")
    assert [one for one in ("juliet", "tybalt") if not play.publishes(one)] == allowed.split()


@pytest.mark.parametrize(
    ("answer", "heard", "state"),
    [("1", "subscribed", ["1"]), ("0", "none", None), ("", "", None)],
)
def test_owners_decide_about_subscriptions(
    answer: str, heard: str, state: list[str] | None
) -> None:
    play = Play(access_model="authorize")
    play.publishes()
    subscribed = play.asks("juliet", f"<subscribe node='{NODE}' jid='{JULIET}'/>")
    assert "subscription='pending'" in subscribed.content.decode()
    assert play.subscribes("juliet") == "not-authorized pending-subscription"
    [asked] = play.romeo.says()
    assert AUTHORIZATION in asked.content.decode() and JULIET in asked.content.decode()
    decided = form(
        AUTHORIZATION,
        "submit" if answer else "cancel",
        node=NODE,
        subscriber_jid=JULIET,
        allow=answer,
    )
    message = f"<message to='{SERVICE}' id='{asked.id}'>{decided}</message>"
    refused = [one.condition for one in play.tybalt.says(message)]
    assert refused == (["forbidden"] if answer else [])
    assert play.romeo.says(message) == []
    assert play.romeo.says(message) == []  # it is decided
    told = [f"subscription {JULIET} {heard}"] if heard else []
    last = ["items item 1 (late)"] if heard == "subscribed" else []
    assert play.hears("juliet") == told + last
    read = play.does("juliet", f"<items node='{NODE}'/>", "get")
    assert read == ("" if state else "not-authorized not-subscribed")


def test_an_owner_manages_the_subscriptions_of_others() -> None:
    play = Play(access_model="authorize", notify_sub="1")
    play.subscribes("juliet")

    def sets(*pairs: tuple[str, str]) -> Stanza:
        changes = "".join(
            f"<subscription jid='{who}' subscription='{what}'/>" for who, what in pairs
        )
        asked = f"<subscriptions node='{NODE}'>{changes}</subscriptions>"
        return play.asks("romeo", asked, owner=True)

    assert sets((JULIET, "subscribed")).condition == ""
    assert play.hears("juliet") == [f"subscription {JULIET} subscribed"]
    assert [_event(one) for one in play.romeo.heard if EVENT in str(one.child_names)] == [
        f"subscription {JULIET} subscribed"
    ]
    failed = sets((JULIET, "odd"), ("tybalt@example.test", "subscribed"))
    assert f"<subscription jid='{JULIET}' subscription='subscribed'/>" in failed.content.decode()
    assert failed.condition == "not-acceptable"
    assert play.hears("tybalt") == ["subscription tybalt@example.test subscribed"]
    sets((JULIET, "none"))
    assert play.hears("juliet") == [f"subscription {JULIET} none"]


# ── options of nodes and subscriptions ───────────────────────────────────────


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59.9999999Z", "9999-12-31T20:00:00-08:00"])
def test_a_subscription_may_end_after_the_last_year(end: str) -> None:
    play = Play()
    more = f"<options>{form(SUBSCRIBE_OPTIONS, expire=end)}</options>"
    assert play.subscribes("juliet", more=more) == ""
    named = f"<options node='{NODE}' jid='{JULIET}'/>"
    answer = play.asks("juliet", named, "get").content.decode()
    assert "<value>9999-12-31T23:59:59Z</value>" in answer


def test_a_subscription_has_options_and_an_end() -> None:
    play = Play()
    more = f"<options>{form(SUBSCRIBE_OPTIONS, deliver='0')}</options>"
    assert play.subscribes("juliet", more=more) == ""
    play.publishes()
    assert play.hears("juliet") == []
    named = f"<options node='{NODE}' jid='{JULIET}'"

    def sets(**values: Any) -> str:
        return play.does("juliet", f"{named}>{form(SUBSCRIBE_OPTIONS, **values)}</options>")

    assert sets(deliver="odd") == sets(expire="soon") == "bad-request invalid-options"
    assert play.does("juliet", f"{named}/>") == "bad-request invalid-options"
    assert sets(deliver="1", expire="2026-01-05T00:01:00Z") == ""
    answer = play.asks("juliet", f"{named}/>", "get").content.decode()
    assert "<value>2026-01-05T00:01:00Z</value>" in answer
    play.publishes(id="2")
    assert play.hears("juliet") == ["items item 2"]
    play.place.clock.advance(60)
    play.publishes(id="3")
    assert play.hears("juliet") == []
    assert play.does("juliet", f"{named}/>", "get") == "unexpected-request not-subscribed"
    wrong = f"<options node='{NODE}'>{form(SUBSCRIBE_OPTIONS)}</options>"
    assert play.subscribes("juliet", more=wrong) == "bad-request"


def test_a_full_node_retracts_discards_or_refuses() -> None:
    play = Play(max_items="2", notify_retract="1")
    play.subscribes("juliet")
    for id in "123":
        play.publishes(id=id)
    assert play.hears("juliet")[-1] == "items item 3 retract 1"
    play.sets(publish_node_full="discard-oldest")
    play.publishes(id="4")
    assert play.hears("juliet") == ["items item 4"]
    play.sets(publish_node_full="reject")
    assert (play.publishes(id="5"), play.publishes(id="4")) == ("conflict node-full", "")
    assert play.items() == ["3", "4"]
    play.sets(max_items="1")
    assert play.items() == ["4"]


def test_items_expire_and_name_their_publishers() -> None:
    play = Play(item_expire="60", itemreply="publisher", notification_type="normal")
    play.subscribes("juliet")
    play.publishes(id="1")
    [message] = play.juliet.says()
    assert message.type is None and f"publisher='{ROMEO}'" in message.content.decode()
    play.place.clock.advance(40)
    play.publishes(id="2")
    play.place.clock.advance(40)
    assert play.items() == ["2"]


def test_a_transient_node_only_notifies() -> None:
    play = Play(persist_items="0", deliver_payloads="0")
    play.subscribes("juliet")
    play.does("romeo", f"<publish node='{NODE}'/>")
    assert play.hears("juliet") == ["items"]
    play.sets(deliver_notifications="0")
    play.does("romeo", f"<publish node='{NODE}'/>")
    assert play.hears("juliet") == play.items() == []


def test_a_configuration_is_shown_submitted_and_cancelled() -> None:
    play = Play(title="News")
    shown = play.asks("romeo", f"<configure node='{NODE}'/>", "get", owner=True).content.decode()
    default = play.asks("juliet", "<default/>", "get", owner=True).content.decode()
    assert "<field var='pubsub#title' type='text-single' label='Name of the node'>" in shown
    assert "<value>News</value>" in shown and "<value>News</value>" not in default
    cancelled = form(NODE_CONFIG, "cancel", title="Other")
    inner = f"<configure node='{NODE}'>{cancelled}</configure>"
    assert play.does("romeo", inner, owner=True) == ""
    odd = form("urn:odd", title="Other")
    inner = f"<configure node='{NODE}'>{odd}</configure>"
    assert play.does("romeo", inner, owner=True) == "bad-request invalid-options"
    assert play.sets(title="Newer", unknown="1", max_items="max") == ""
    assert play.does("romeo", publish() + options(title="Newer", max_items="1000")) == ""


# ── discovery ────────────────────────────────────────────────────────────────


def test_discovery_shows_the_service_its_nodes_and_their_items() -> None:
    play = Play(title="News")
    play.does("romeo", f"<create node='secret'/>{configure(access_model='whitelist')}")
    play.publishes(id="1")

    def found(name: str, space: str, node: str = "", to: str = SERVICE) -> Stanza:
        attribute = f" node='{node}'" if node else ""
        query = f"<iq type='get' id='d' to='{to}'><query xmlns='{space}'{attribute}/></iq>"
        who: Party = getattr(play, name)
        [answer] = who.says(query)
        return answer

    assert f"jid='{SERVICE}'" in found("juliet", ITEMS, to="example.test").content.decode()
    [query] = found("juliet", INFO).element
    assert query[0].attrib == {
        "category": "pubsub",
        "type": "service",
        "name": "Publish-Subscribe",
    }
    assert [one.attrib for one in found("juliet", ITEMS).element[0]] == [
        {"jid": SERVICE, "node": NODE, "name": "News"}
    ]
    assert [one.get("node") for one in found("romeo", ITEMS).element[0]] == [NODE, "secret"]
    [items] = found("juliet", ITEMS, NODE).element
    assert [one.attrib for one in items] == [{"jid": SERVICE, "name": "1"}]
    assert found("juliet", ITEMS, "secret").condition == "item-not-found"
    node = found("juliet", INFO, NODE).content.decode()
    assert "<identity category='pubsub' type='leaf' name='News'/>" in node
    assert f"<field var='pubsub#owner'><value>{ROMEO}</value></field>" in node
    assert found("juliet", INFO, "odd").condition == "item-not-found"
    assert found("juliet", INFO, to=f"x@{SERVICE}").condition == "item-not-found"
    assert play.juliet.asks("<items node='news'/>", "get", f"x@{SERVICE}").condition == (
        "item-not-found"
    )


# ── limits, and what outlives sessions ───────────────────────────────────────


def test_everything_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    play = Play()
    for name, value in (("NODES", 2), ("BYTES", 100), ("PEOPLE", 3)):
        monkeypatch.setattr(nodes, name, value)
    assert [play.does("romeo", "<create/>") for _ in range(2)] == [
        "",
        "conflict max-nodes-exceeded",
    ]
    assert [
        play.publishes(id=id, text=text) for id, text in (("1", "x" * 50), ("2", "x" * 50))
    ] == [
        "",
        "resource-constraint",
    ]
    assert play.items() == ["1"]
    assert [play.subscribes(name) for name in ("juliet", "tybalt")] == [
        "",
        "policy-violation too-many-subscriptions",
    ]
    assert play.affiliates("tybalt", "member") == "not-acceptable"
    assert play.affiliates("romeo", "owner") == ""
    assert play.juliet.publishes("x" * 101) == "resource-constraint"
    assert play.juliet.reads("") == "item-not-found"  # nor is its node there


def test_nodes_outlive_a_restart_and_accounts_leave_nothing() -> None:
    play = Play()
    play.publishes()
    play.subscribes("juliet")
    service = play.place.jabber.service
    again = Play().place.jabber.service
    again.restore(service.stored())
    [pubsub] = [one for one in again.extensions.active if isinstance(one, Pubsub)]
    assert list(pubsub.stored[SERVICE].nodes[NODE].items) == ["1"]
    play.place.jabber.remove(JULIET)
    [pubsub] = [one for one in service.extensions.active if isinstance(one, Pubsub)]
    assert pubsub.stored[SERVICE].nodes[NODE].subscriptions == {}
    play.place.jabber.remove(ROMEO)
    assert pubsub.stored[SERVICE].nodes == {}
    assert pubsub.stored[SERVICE].size == 0


def test_a_service_that_is_off_does_not_exist() -> None:
    romeo = Party(world(off={"xmpp": ["pubsub"]}), "romeo")
    assert romeo.asks("<create/>", to=SERVICE).condition == "remote-server-not-found"


def test_a_test_reads_what_is_published() -> None:
    play = Play(item_expire="60")
    play.publishes()
    play.romeo.publishes("song", "current")
    jabber = play.place.jabber
    assert [item.id for item in jabber.nodes(SERVICE)[NODE]] == ["1"]
    [item] = jabber.nodes(f"{ROMEO}/here")["urn:example:tune"]
    assert (item.id, item.publisher) == ("current", ROMEO)
    assert jabber.nodes(JULIET) == {}
    for unknown in ("nobody@example.test", "conference.example.test"):
        with pytest.raises(LookupError, match="no account"):
            jabber.nodes(unknown)
    play.place.clock.advance(61)
    assert jabber.nodes(SERVICE) == {NODE: []}


def test_nodes_may_be_for_administrators_to_create() -> None:
    policy = {"node_creators": "admins", "admins": [ROMEO]}
    place = world(xmpp=policy)
    asked = [Party(place, name).asks("<create/>", to=SERVICE) for name in ("romeo", "juliet")]
    assert [answer.condition for answer in asked] == ["", "forbidden"]
