"""XEP-0398: the avatar of a user, at the nodes of XEP-0084, in the vCard, and in presence."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from fakes import World
from fakes.xmpp.extensions.avatars import DATA, FEATURE, METADATA
from fakes.xmpp.extensions.disco import INFO
from fakes.xmpp.stanzas import Stanza
from tests.test_fakes_xmpp_extensions_pep import Party, options, said
from tests.test_fakes_xmpp_extensions_rooms import ROOM
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
IMAGE, OTHER = b"\x89PNG one", b"\x89PNG two"
UPDATE = "vcard-temp:x:update"


def text(image: bytes) -> str:
    return base64.b64encode(image).decode()


def hash(image: bytes) -> str:
    return hashlib.sha1(image).hexdigest()


class User(Party):
    """A client that shows and changes avatars in both ways."""

    def __init__(self, place: World, name: str = "romeo", resource: str = "here") -> None:
        super().__init__(place, name, resource)
        self.answers = f"<query xmlns='{INFO}'><feature var='{METADATA}+notify'/></query>"

    def publishes_image(self, image: bytes, more: str = "", id: str = "", url: str = "") -> str:
        """Publishes an avatar; returns the condition of the error."""
        id = id or hash(image)
        data = f"<item id='{id}'><data xmlns='{DATA}'>{text(image)}</data></item>"
        elsewhere = (
            f"<info bytes='9' id='{hash(OTHER)}' type='image/gif' url='{url}'/>" if url else ""
        )
        info = f"{elsewhere}<info bytes='{len(image)}' id='{id}' type='image/png'/>"
        found = said(self.asks(f"<publish node='{DATA}'>{data}</publish>{more}"))
        return found or self.describes(info, id, more)

    def avatars(self) -> list[str]:
        """The ids of the avatars that were announced since it was asked last."""
        return [one.split()[1] for one in self.events() if not one.split()[1].startswith("-")]

    def describes(self, info: str = "", id: str = "current", more: str = "") -> str:
        item = f"<item id='{id}'><metadata xmlns='{METADATA}'>{info}</metadata></item>"
        return said(self.asks(f"<publish node='{METADATA}'>{item}</publish>{more}"))

    def card(self, content: str = "", of: str = ROMEO, type: str = "get") -> Stanza:
        sent = (
            f"<iq type='{type}' id='v' to='{of}'><vCard xmlns='vcard-temp'>{content}</vCard></iq>"
        )
        return next(one for one in self.says(sent) if one.id == "v")

    def photo(self, of: str = ROMEO) -> bytes | None:
        """The photo of a vCard."""
        found = self.card(of=of).element.find(".//{vcard-temp}PHOTO/{vcard-temp}BINVAL")
        return base64.b64decode(found.text or "") if found is not None else None

    def shows(self, inside: str = "", to: str = "") -> str | None:
        """Sends presence; returns the hash in what comes back of it, None without one."""
        where = f" to='{to}'" if to else ""
        heard = self.says(f"<presence{where}>{inside}</presence>")
        return hash_in(heard[0]) if heard else None


def hash_in(presence: Stanza) -> str | None:
    """The hash in a presence; None if there is none, and "empty" for `<x/>` alone."""
    x = presence.child("x", UPDATE)
    photo = x.find(f"{{{UPDATE}}}photo") if x is not None else None
    if x is None:
        return None
    return "empty" if photo is None else photo.text or ""


def photo(image: bytes | None, type: str = "image/png") -> str:
    binary = text(image) if image is not None else "not base64"
    return f"<PHOTO><TYPE>{type}</TYPE><BINVAL>{binary}</BINVAL></PHOTO>"


def place(**config: Any) -> World:
    found = world(**config)
    found.jabber.befriend(ROMEO, JULIET)
    return found


# ── from the nodes to the vCard (XEP-0398 §3.1, §5.2) ────────────────────────


def test_what_is_published_is_the_photo_of_the_card() -> None:
    where = place()
    romeo, juliet = User(where), User(where, "juliet")
    romeo.card("<FN>Romeo</FN>", type="set")
    assert romeo.publishes_image(IMAGE) == ""
    assert romeo.photo() == juliet.photo() == IMAGE
    assert juliet.card().content.decode() == (
        f"<vCard xmlns='vcard-temp'><FN>Romeo</FN>{photo(IMAGE)}</vCard>"
    )
    assert romeo.publishes_image(OTHER) == "" and juliet.photo() == OTHER
    assert romeo.describes() == "" and juliet.photo() is None
    assert juliet.card().content.decode() == "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>"


def test_a_photo_is_shown_to_those_who_may_see_the_avatar() -> None:
    where = world()  # Juliet is a stranger here
    romeo, juliet = User(where), User(where, "juliet")
    romeo.publishes_image(IMAGE)
    assert juliet.card().condition == "service-unavailable", "as if there were no card"
    romeo.card("<FN>Romeo</FN>", type="set")
    assert juliet.card().content.decode() == "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>"
    where = world()
    romeo, juliet = User(where), User(where, "juliet")
    romeo.publishes_image(IMAGE, options(access_model="open"))
    assert juliet.photo() == IMAGE


def test_the_image_that_is_at_the_node_counts() -> None:
    where = place()
    romeo = User(where)
    assert romeo.publishes_image(IMAGE, url="https://example.test/x") == ""
    assert romeo.photo() == IMAGE
    romeo.describes(f"<info bytes='1' id='{hash(IMAGE)}' type='image/png' url='urn:x'/>")
    assert romeo.photo() is None


def test_an_image_with_another_hash_is_no_avatar() -> None:
    romeo = User(place())
    assert romeo.publishes_image(IMAGE, id=hash(OTHER)) == ""
    assert romeo.photo() is None and romeo.shows() is None


def test_an_avatar_that_is_deleted_is_gone_from_the_card() -> None:
    romeo = User(place())
    romeo.publishes_image(IMAGE)
    romeo.asks(f"<retract node='{METADATA}'><item id='{hash(IMAGE)}'/></retract>")
    assert romeo.photo() is None


# ── from the vCard to the nodes (§3.2) ───────────────────────────────────────


def test_the_photo_of_a_card_is_published() -> None:
    where = place()
    romeo, juliet = User(where), User(where, "juliet")
    juliet.comes(ver="x")
    card = f"<FN>Romeo</FN>{photo(IMAGE, 'image/jpeg')}"
    assert romeo.card(card, type="set").type == "result"
    assert juliet.avatars() == [hash(IMAGE)]
    assert juliet.reads(ROMEO, DATA) == [f"{hash(IMAGE)} {text(IMAGE)}"]
    [info] = juliet.asks(f"<items node='{METADATA}'/>", "get", ROMEO).element.iter(
        f"{{{METADATA}}}info"
    )
    assert info.attrib == {"bytes": "8", "id": hash(IMAGE), "type": "image/jpeg"}
    assert juliet.card().content.decode() == f"<vCard xmlns='vcard-temp'>{card}</vCard>"
    romeo.card(card.replace("Romeo", "R"), type="set")
    assert juliet.events() == [], "it is the same image"
    romeo.card(photo(OTHER), type="set")
    assert juliet.avatars() == [hash(OTHER)] and romeo.photo() == OTHER
    romeo.card("<FN>R</FN>", type="set")
    assert juliet.avatars() == ["current"] and romeo.photo() is None


@pytest.mark.parametrize(
    "inside", [photo(None), "<PHOTO><EXTVAL>urn:x</EXTVAL></PHOTO>", "<PHOTO><BINVAL/></PHOTO>"]
)
def test_a_photo_that_is_no_image_is_not_published(inside: str) -> None:
    romeo = User(place())
    assert romeo.card(inside, type="set").type == "result"
    assert romeo.reads(ROMEO, METADATA) == "item-not-found"
    assert romeo.card().content.decode() == f"<vCard xmlns='vcard-temp'>{inside}</vCard>"


# ── presence (§4) ────────────────────────────────────────────────────────────


X, EMPTY = f"<x xmlns='{UPDATE}'/>", f"<x xmlns='{UPDATE}'><photo/></x>"


@pytest.mark.parametrize(
    ("sent", "without", "with_avatar", "after_it"),
    [
        ("", None, hash(IMAGE), None),
        (X, "", hash(IMAGE), ""),
        (EMPTY, "", "", ""),
        (f"<x xmlns='{UPDATE}'><photo>abc</photo></x>", "abc", hash(IMAGE), ""),
    ],
)
def test_available_presence_has_the_hash(
    sent: str, without: str | None, with_avatar: str, after_it: str | None
) -> None:
    where = place()
    romeo, juliet = User(where), User(where, "juliet")
    juliet.says(b"<presence/>")
    assert romeo.shows(sent) == without
    romeo.publishes_image(IMAGE)
    assert romeo.shows(sent) == with_avatar
    assert hash_in(juliet.says()[-1]) == with_avatar
    romeo.describes()
    assert romeo.shows(sent) == after_it


def test_directed_presence_has_the_hash_and_unavailable_has_not() -> None:
    where = place()
    romeo, juliet = User(where), User(where, "juliet")
    romeo.publishes_image(IMAGE)
    entry = "<x xmlns='http://jabber.org/protocol/muc'/>"
    assert romeo.shows(entry, f"{ROOM}/romeo") == hash(IMAGE)
    romeo.says(f"<presence to='{JULIET}/here' type='unavailable'/>".encode())
    assert [hash_in(one) for one in juliet.says() if one.kind == "presence"] == [None]


def test_who_comes_later_sees_the_new_hash() -> None:
    where = place()
    romeo = User(where)
    romeo.shows()
    romeo.publishes_image(IMAGE)
    romeo.publishes_image(OTHER)
    juliet = User(where, "juliet")
    juliet.client.core.receive(b"<presence/>")
    [seen] = [
        one for one in juliet.says() if one.sender == f"{ROMEO}/here" and one.kind == "presence"
    ]
    assert hash_in(seen) == hash(OTHER)


# ── what it says of itself ───────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("off", "announced"), [("", True), ("avatars", False), ("pep", False), ("vcard", False)]
)
def test_disco_tells_whether_avatars_are_converted(off: str, announced: bool) -> None:
    romeo = User(world(off={"xmpp": [off] if off else []}))
    [answer] = romeo.says(f"<iq type='get' id='1' to='{ROMEO}'><query xmlns='{INFO}'/></iq>")
    features = {one.get("var") for one in answer.element.iter(f"{{{INFO}}}feature")}
    assert (FEATURE in features) is announced
    if off != "vcard":
        romeo.card(photo(IMAGE), type="set")
        assert (romeo.shows() == hash(IMAGE)) is announced


def test_avatars_survive_a_restart() -> None:
    where, other = place(), place()
    User(where).publishes_image(IMAGE)
    other.restore(where.stored)
    romeo = User(other)
    assert romeo.shows() == hash(IMAGE) and romeo.photo() == IMAGE


# ── what is a node and nothing else (XEP-0172, XEP-0292) ─────────────────────


@pytest.mark.parametrize(
    ("node", "payload"),
    [
        (
            "http://jabber.org/protocol/nick",
            "<nick xmlns='http://jabber.org/protocol/nick'>R</nick>",
        ),
        (
            "urn:xmpp:vcard4",
            "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Romeo</text></fn></vcard>",
        ),
    ],
)
def test_nicknames_and_vcards_of_today_are_items(node: str, payload: str) -> None:
    where = place()
    romeo, juliet = User(where), User(where, "juliet")
    juliet.answers = f"<query xmlns='{INFO}'><feature var='{node}+notify'/></query>"
    juliet.comes(ver="x")
    item = f"<item id='current'>{payload}</item>"
    assert said(romeo.asks(f"<publish node='{node}'>{item}</publish>")) == ""
    [message] = juliet.says()
    assert payload in message.content.decode()
    assert payload in juliet.asks(f"<items node='{node}'/>", "get", ROMEO).content.decode()
    [answer] = romeo.says(f"<iq type='get' id='1' to='{ROMEO}'><query xmlns='{INFO}'/></iq>")
    assert b"'urn:ietf:params:xml:ns:vcard-4.0'" in answer.content
