"""What clients tell each other about messages, on each way through the server.

Corrections, receipts, markers and reactions are the clients' own: the server passes them on
untouched, and announces none of them (XEP-0030 §7: only what it can do itself).
"""

from __future__ import annotations

import pytest

from fakes.xmpp.extensions.disco import INFO
from fakes.xmpp.jabber import Actor
from fakes.xmpp.stanzas import Stanza
from tests.test_fakes_xmpp_extensions_rooms import ROOM, Play
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
STORE = "<store xmlns='urn:xmpp:hints'/>"
NO_STORE = "<no-store xmlns='urn:xmpp:hints'/>"
PAYLOADS = {
    "correction": "<body>O Romeo</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>",
    "receipt asked for": "<body>hi</body><request xmlns='urn:xmpp:receipts'/>",
    "receipt": "<received xmlns='urn:xmpp:receipts' id='1'/>",
    "receipt with a hint": f"<received xmlns='urn:xmpp:receipts' id='1'/>{STORE}",
    "marker asked for": "<body>hi</body><markable xmlns='urn:xmpp:chat-markers:0'/>",
    "marker": "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
    "reaction": "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>♥</reaction></reactions>"
    + STORE,
    "not to be stored": f"<received xmlns='urn:xmpp:receipts' id='1'/>{NO_STORE}",
    "not to be copied": "<body>hi</body><no-copy xmlns='urn:xmpp:hints'/>",
}  # fmt: skip
# The ways on which each arrives, and the types of messages on which it is copied.
NOT_OFFLINE, NOT_COPIED = {"not to be stored"}, {"not to be copied"}


def content(stanza: Stanza) -> str:
    return stanza.content.decode()


def copies(actor: Actor, name: str) -> list[str]:
    """The content of each message in a copy that has come."""
    found = []
    for stanza in actor.messages:
        inside = content(stanza).partition(f"<{name} xmlns='urn:xmpp:carbons:2'>")[2]
        if inside:
            found.append(
                inside.partition("<message ")[2].partition(">")[2].partition("</message>")[0]
            )
    return found


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("type", ["chat", "normal"])
def test_between_two_users_and_their_other_clients(name: str, type: str) -> None:
    payload = PAYLOADS[name]
    jabber = world().jabber
    clients = phone, desktop, juliet, tablet = [
        jabber.actor(address, resource)
        for address in (ROMEO, JULIET)
        for resource in ("one", "two")
    ]
    for actor in clients:
        actor.comes(priority=1 if actor in (desktop, juliet) else 0)
        actor.sends("<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
    # A message of type normal is copied if it is part of a conversation, which reactions are not.
    copied = name not in NOT_COPIED and (type == "chat" or name != "reaction")
    for to in (JULIET, f"{JULIET}/one"):
        for actor in clients:
            actor.clear()
        phone.sends(f"<message to='{to}' type='{type}' id='m'>{payload}</message>")
        [message] = juliet.messages
        assert (message.id, message.type, content(message)) == ("m", type, payload)
        assert copies(desktop, "sent") == copies(tablet, "received") == [payload] * copied


@pytest.mark.parametrize("name", PAYLOADS)
def test_to_a_user_who_is_away(name: str) -> None:
    jabber = world().jabber
    jabber.actor(ROMEO).sends(f"<message to='{JULIET}' type='chat'>{PAYLOADS[name]}</message>")
    juliet = jabber.actor(JULIET)
    juliet.comes()
    delayed = [content(one).partition("<delay ")[0] for one in juliet.messages]
    assert delayed == [PAYLOADS[name]] * (name not in NOT_OFFLINE)


@pytest.mark.parametrize("name", PAYLOADS)
def test_in_a_room(name: str) -> None:
    play = Play().opened("juliet")
    payload = PAYLOADS[name]
    play.juliet.sends(f"<message to='{ROOM}' type='groupchat' id='m'>{payload}</message>")
    for actor in (play.romeo, play.juliet):
        [message] = actor.messages
        assert message.id == "m" and content(message).startswith(payload)
    play.juliet.sends(f"<message to='{ROOM}/romeo' type='chat'>{payload}</message>")
    assert content(play.romeo.messages[-1]).startswith(payload)


def test_a_room_does_not_show_to_newcomers_what_must_not_be_stored() -> None:
    play = Play().opened("juliet")
    for text, hint in (("kept", ""), ("gone", NO_STORE)):
        play.juliet.sends(
            f"<message to='{ROOM}' type='groupchat'><body>{text}</body>{hint}</message>"
        )
    play.nurse.joins(ROOM, "nurse")
    assert [one.body for one in play.nurse.messages if one.body] == ["kept"]


def test_a_receipt_for_a_message_to_the_bare_address_comes_from_the_client() -> None:
    """XEP-0184 §5.1: the server neither answers for the client nor says which one it will be."""
    jabber = world().jabber
    romeo, juliet = jabber.actor(ROMEO), jabber.actor(JULIET)
    romeo.comes()
    asked = f"<message to='{JULIET}' type='chat' id='m'>{PAYLOADS['receipt asked for']}</message>"
    romeo.sends(asked)
    assert romeo.messages == []
    juliet.comes()
    [message] = juliet.messages
    juliet.sends(f"<message to='{message.sender}'>{PAYLOADS['receipt']}</message>")
    assert romeo.messages[-1].sender == f"{JULIET}/play"


def test_the_server_announces_none_of_them() -> None:
    romeo = Play().opened().romeo
    for to in ("example.test", ROMEO, ROOM, "conference.example.test"):
        romeo.sends(f"<iq type='get' id='{to}' to='{to}'><query xmlns='{INFO}'/></iq>")
        answer = next(one for one in romeo.all if one.id == to)
        features = {one.get("var", "") for one in answer.element.iter(f"{{{INFO}}}feature")}
        for space in ("receipts", "message-correct", "chat-markers", "reactions", "hints"):
            assert not [one for one in features if one.startswith(f"urn:xmpp:{space}")]
