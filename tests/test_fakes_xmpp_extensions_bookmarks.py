"""XEP-0402: bookmarks, as new clients and those of two older kinds see them."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest

from fakes import World
from fakes.xmpp.extensions.bookmarks import NODE, OLD_NODE
from fakes.xmpp.extensions.disco import INFO
from fakes.xmpp.pubsub.configuration import ITEMS
from fakes.xmpp.stanzas import Stanza
from tests.test_fakes_xmpp_extensions_pep import Party, options, said
from tests.xmpp_raw import world

ROMEO = "romeo@example.test"
OPTIONS = options(
    persist_items="true", max_items="max", send_last_published_item="never",
    access_model="whitelist",
)  # fmt: skip
PLAY, ORCHARD = "play@conference.example.test", "orchard@conference.example.test"


class Reader(Party):
    """A client that is told of bookmarks, in both forms."""

    def __init__(self, place: World, resource: str) -> None:
        super().__init__(place, "romeo", resource)
        self.answers = (
            f"<query xmlns='{INFO}'><feature var='{NODE}+notify'/>"
            f"<feature var='{OLD_NODE}+notify'/></query>"
        )
        self.comes(ver="x")
        self.says()

    def adds(self, jid: str, inner: str = "", more: str = OPTIONS, **given: str) -> str:
        attributes = "".join(f" {name}='{value}'" for name, value in given.items())
        bookmark = f"<conference xmlns='{NODE}'{attributes}>{inner}</conference>"
        item = f"<item id='{jid}'>{bookmark}</item>"
        return said(self.asks(f"<publish node='{NODE}'>{item}</publish>{more}"))

    def stores(self, inner: str, how: str) -> str:
        """Stores a list as an old client, in private XML or at the old node."""
        storage = f"<storage xmlns='{OLD_NODE}'>{inner}</storage>"
        if how == "private":
            return said(self._private("set", storage))
        item = f"<item id='current'>{storage}</item>"
        return said(
            self.asks(
                f"<publish node='{OLD_NODE}'>{item}</publish>{options(access_model='whitelist')}"
            )
        )

    def _private(self, type: str, storage: str) -> Stanza:
        query = f"<query xmlns='jabber:iq:private'>{storage}</query>"
        return next(
            one for one in self.says(f"<iq type='{type}' id='p'>{query}</iq>") if one.id == "p"
        )

    def old(self, how: str) -> list[str]:
        """The bookmarks that an old client finds."""
        if how == "private":
            answer = self._private("get", f"<storage xmlns='{OLD_NODE}'/>")
        else:
            answer = self.asks(f"<items node='{OLD_NODE}'/>", "get")
        return [
            worded(one) for found in answer.element.iter(f"{{{OLD_NODE}}}storage") for one in found
        ]

    def new(self) -> list[str]:
        """The bookmarks that a new client finds."""
        answer = self.asks(f"<items node='{NODE}'/>", "get")
        items = answer.element.iter("{http://jabber.org/protocol/pubsub}item")
        return [worded(one[0], one.get("id") or "") for one in items]

    def told(self) -> list[str]:
        """What the client was told: of the new node, and of the old one."""
        found = []
        for stanza in self.says():
            for items in stanza.element.iter("{http://jabber.org/protocol/pubsub#event}items"):
                for one in items:
                    if items.get("node") == NODE:
                        found.append(f"{'-' if not len(one) else ''}{(one.get('id') or '')[:4]}")
                    else:
                        found.append(f"old {len(one[0])}")
        return found


def worded(conference: Element, id: str = "") -> str:
    """A bookmark in one line: address, name, whether to join, nick and what else there is."""
    words = [id or conference.get("jid", ""), conference.get("name", "-")]
    words.append(conference.get("autojoin", "-"))
    words += [f"{one.tag.rpartition('}')[2]}={one.text or ''}" for one in conference]
    return " ".join(words)


OLD = f"<conference jid='{PLAY}' name='P' autojoin='true'><nick>R</nick></conference>"
HOWS = pytest.mark.parametrize("how", ["private", "node"])


@HOWS
def test_what_a_new_client_adds_old_ones_find(how: str) -> None:
    client = Reader(world(), "one")
    assert client.adds(PLAY, "<nick>R</nick><password>p</password>", name="P", autojoin="1") == ""
    assert client.adds(ORCHARD) == ""
    assert client.old(how) == [f"{PLAY} P true nick=R password=p", f"{ORCHARD} - -"]
    client.asks(f"<retract node='{NODE}' notify='1'><item id='{PLAY}'/></retract>")
    assert client.old(how) == [f"{ORCHARD} - -"]


@HOWS
def test_what_an_old_client_stores_new_ones_and_the_other_old_ones_find(how: str) -> None:
    client = Reader(world(), "one")
    assert client.stores(OLD + f"<conference jid='{ORCHARD}'/>", how) == ""
    expected = [f"{PLAY} P true nick=R", f"{ORCHARD} - -"]
    assert client.new() == client.old("private") == client.old("node") == expected
    assert client.stores(OLD, how) == ""
    assert client.new() == client.old("private") == client.old("node") == expected[:1]


@HOWS
def test_only_changes_are_told(how: str) -> None:
    place = world()
    writer, other = Reader(place, "one"), Reader(place, "two")
    writer.stores(OLD + f"<conference jid='{ORCHARD}'/>", how)
    assert other.told() == ["play", "orch", "old 2"]
    writer.stores(OLD + f"<conference jid='{ORCHARD}' name='O'/>", how)
    assert other.told() == ["orch", "old 2"]
    writer.stores(f"<conference jid='{ORCHARD}' name='O'/>", how)
    assert other.told() == ["-play", "old 1"]
    writer.stores(f"<conference jid='{ORCHARD}' name='O'/>", how)
    assert other.told() == ([] if how == "private" else ["old 1"]), "the client published itself"
    writer.adds(PLAY)
    assert sorted(other.told()) == ["old 2", "play"]


@HOWS
def test_what_old_clients_do_not_know_is_kept(how: str) -> None:
    client = Reader(world(), "one")
    client.adds(PLAY, "<extensions><x xmlns='urn:x'/></extensions>", name="P")
    client.stores(f"<conference jid='{PLAY}' name='Q'/><url xmlns='{OLD_NODE}' name='U'/>", how)
    assert client.new() == [f"{PLAY} Q - extensions="]
    client.adds(ORCHARD)
    assert client.old(how)[-1] == " U -", "the page stays where it was"


def test_what_is_removed_from_the_old_node_is_removed_everywhere() -> None:
    client = Reader(world(), "one")
    client.stores(OLD, "node")
    client.asks(f"<retract node='{OLD_NODE}'><item id='current'/></retract>")
    assert client.new() == client.old("private") == []


@HOWS
def test_what_is_no_bookmark_is_passed_over(how: str) -> None:
    client = Reader(world(), "one")
    assert client.stores("<conference name='nowhere'/><conference jid=''/>", how) == ""
    assert client.new() == []
    item = "<item id='x'><other xmlns='urn:x'/></item>"
    assert said(client.asks(f"<publish node='{NODE}'>{item}</publish>")) in ("", "conflict")
    assert len(client.old(how)) in (0, 2)


def test_bookmarks_are_the_own_ones() -> None:
    place = world()
    place.jabber.befriend(ROMEO, "juliet@example.test")
    Reader(place, "one").stores(OLD, "private")
    juliet = Party(place, "juliet")
    assert juliet.reads(ROMEO, NODE) == juliet.reads(ROMEO, OLD_NODE) == "not-allowed closed-node"


def test_a_node_for_one_item_is_made_larger() -> None:
    client = Reader(world(), "one")
    client.adds(PLAY, more="")
    client.stores(OLD + f"<conference jid='{ORCHARD}'/>", "private")
    assert len(client.new()) == 2


def test_there_are_not_bookmarks_without_end() -> None:
    client = Reader(world(), "one")
    many = "".join(f"<conference jid='{number}@c.test'/>" for number in range(ITEMS + 1))
    assert client.stores(many, "private") == "resource-constraint"
    assert client.old("private") == client.old("node") == []


@pytest.mark.parametrize(
    ("off", "announced"),
    [
        ([], ["#compat", "#compat-pep"]),
        (["private"], ["#compat-pep"]),
        (["pep"], []),
        (["bookmarks"], []),
    ],
)
def test_disco_tells_what_is_the_same(off: list[str], announced: list[str]) -> None:
    client = Party(world(off={"xmpp": off}), "romeo")
    [answer] = client.says(f"<iq type='get' id='1' to='{ROMEO}'><query xmlns='{INFO}'/></iq>")
    features = [one.get("var", "") for one in answer.element.iter(f"{{{INFO}}}feature")]
    assert [one.removeprefix(NODE) for one in features if one.startswith(NODE)] == announced


def test_switched_off_each_place_is_for_itself() -> None:
    client = Reader(world(off={"xmpp": ["bookmarks"]}), "one")
    client.stores(OLD, "private")
    client.adds(ORCHARD)
    assert client.old("node") == [] and len(client.old("private")) == len(client.new()) == 1


def test_bookmarks_survive_a_restart() -> None:
    place, other = world(), world()
    Reader(place, "one").adds(PLAY, name="P")
    other.restore(place.stored)
    client = Reader(other, "one")
    assert client.new() == client.old("private") == client.old("node") == [f"{PLAY} P -"]
