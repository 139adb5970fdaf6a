"""XEP-0359: ids that the account gives, and ids that only claim to be."""

from __future__ import annotations

import pytest

from fakes import World
from tests.test_fakes_xmpp_extensions_rooms import ROOM, Play
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
SID = "urn:xmpp:sid:0"


def received(place: World, content: str, *, offline: bool = False) -> list[tuple[str, str]]:
    """Sends a message to Juliet; returns the ids in it, and who gives them."""
    juliet = place.jabber.actor(JULIET)
    if not offline:
        juliet.comes()
    place.jabber.actor(ROMEO).sends(f"<message to='{JULIET}' type='chat'>{content}</message>")
    juliet.comes()
    [message] = juliet.messages
    assert message.body == "x"
    found = message.element.findall(f"{{{SID}}}stanza-id")
    return [(child.get("by", ""), child.get("id", "")) for child in found]


@pytest.mark.parametrize("by", [JULIET, "JULIET@Example.test"])
def test_an_id_that_claims_to_be_the_accounts_is_removed(by: str) -> None:
    forged = f"<stanza-id xmlns='{SID}' by='{by}' id='forged'/>"
    other = f"<stanza-id xmlns='{SID}' by='{ROMEO}' id='other'/>"
    assert received(world(), f"{forged}<body>x</body>{other}{forged}") == [(ROMEO, "other")]


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("off", [[], ["archive"]])
def test_each_message_gets_an_id_if_the_policy_says_so(offline: bool, off: list[str]) -> None:
    place = world(xmpp={"stanza_ids": True}, off={"xmpp": off})
    forged = f"<stanza-id xmlns='{SID}' by='{JULIET}' id='forged'/>"
    [(by, id)] = received(place, f"<body>x</body>{forged}", offline=offline)
    assert by == JULIET and id != "forged"


def test_without_the_extension_content_is_left_alone() -> None:
    place = world(off={"xmpp": ["stanza-ids"]}, xmpp={"stanza_ids": True})
    forged = f"<stanza-id xmlns='{SID}' by='{JULIET}' id='forged'/>"
    assert received(place, f"<body>x</body>{forged}") == [(JULIET, "forged")]


def test_a_message_of_a_room_has_the_rooms_id_only() -> None:
    """The account archives no rooms (XEP-0313 §6.1.1), and clients take the id that they find."""
    play = Play(xmpp={"stanza_ids": True}).opened()
    play.romeo.says(ROOM, "hello", type="groupchat")
    found = play.romeo.messages[-1].element.findall(f"{{{SID}}}stanza-id")
    assert [one.get("by") for one in found] == [ROOM]
