"""XEP-0280: which messages are copied, to which sessions."""

from __future__ import annotations

import pytest

from fakes.xmpp.extensions.carbons import is_eligible
from fakes.xmpp.jabber import Actor
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
CARBONS = "urn:xmpp:carbons:2"
ENABLE = f"<iq type='set' id='e'><enable xmlns='{CARBONS}'/></iq>"


def actors() -> tuple[Actor, Actor, Actor]:
    """Romeo's phone, which wants copies, his desktop, which does not, and Juliet."""
    jabber = world().jabber
    phone, desktop = jabber.actor(ROMEO, "phone"), jabber.actor(ROMEO, "desktop")
    juliet = jabber.actor(JULIET)
    for actor, priority in ((phone, 0), (desktop, 5), (juliet, 0)):
        actor.comes(priority=priority)
    phone.sends(ENABLE)
    for actor in (phone, desktop, juliet):
        actor.clear()
    return phone, desktop, juliet


def copied(stanza: Stanza, name: str) -> tuple[str | None, str | None]:
    """The sender of the message in a copy, and its text."""
    assert (stanza.sender, stanza.type) == (ROMEO, "chat")
    [message] = stanza.element.findall(f"{{{CARBONS}}}{name}/{{urn:xmpp:forward:0}}forwarded/*")
    return message.get("from"), message.findtext("{jabber:client}body")


@pytest.mark.parametrize("to", [ROMEO, f"{ROMEO}/desktop"])
def test_a_message_for_one_client_is_copied_to_the_other(to: str) -> None:
    phone, desktop, juliet = actors()
    juliet.says(to, "hello")
    assert [stanza.body for stanza in desktop.messages] == ["hello"]
    [copy] = phone.messages
    assert copied(copy, "received") == (f"{JULIET}/play", "hello")
    assert copy.to == f"{ROMEO}/phone"


def test_a_message_that_one_client_sends_is_copied_to_the_other() -> None:
    phone, desktop, juliet = actors()
    desktop.says(JULIET, "hello")
    [copy] = phone.messages
    assert copied(copy, "sent") == (f"{ROMEO}/desktop", "hello")
    phone.says(JULIET, "me too")
    assert desktop.messages == [] and len(phone.messages) == 1, "only those who asked get copies"
    assert [stanza.body for stanza in juliet.messages] == ["hello", "me too"]


def test_a_client_that_gets_the_message_gets_no_copy() -> None:
    phone, desktop, juliet = actors()
    juliet.says(f"{ROMEO}/phone", "hello")
    phone.says(ROMEO, "note to self")
    assert [stanza.body for stanza in phone.messages] == ["hello", ""]
    assert [stanza.body for stanza in desktop.messages] == ["note to self"]


def test_copies_end_when_they_are_switched_off() -> None:
    phone, _, juliet = actors()
    phone.sends(ENABLE)
    phone.sends(f"<iq type='set' id='d'><disable xmlns='{CARBONS}'/></iq>")
    juliet.says(ROMEO, "hello")
    assert phone.messages == [] and [s.type for s in phone.all] == ["result", "result"]


@pytest.mark.parametrize(
    ("to", "type", "condition"), [(JULIET, "set", "not-allowed"), (ROMEO, "get", "bad-request")]
)
def test_only_the_own_session_can_ask(to: str, type: str, condition: str) -> None:
    phone, _, _ = actors()
    phone.sends(f"<iq type='{type}' id='e' to='{to}'><enable xmlns='{CARBONS}'/></iq>")
    assert [stanza.condition for stanza in phone.all] == [condition]


def test_a_forged_copy_comes_from_who_has_sent_it() -> None:
    phone, desktop, juliet = actors()
    inner = "<message xmlns='jabber:client' from='nurse@example.test'><body>x</body></message>"
    forwarded = f"<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded>"
    received = f"<received xmlns='{CARBONS}'>{forwarded}</received>"
    juliet.sends(f"<message from='{ROMEO}' to='{ROMEO}' type='chat'>{received}</message>")
    [forged] = desktop.messages
    assert forged.sender == f"{JULIET}/play"
    assert phone.messages == [], "a copy is not copied"


BODY = "<body>x</body>"
USER = "http://jabber.org/protocol/muc#user"


@pytest.mark.parametrize(
    ("type", "content", "eligible"),
    [
        ("chat", "", True),
        ("chat", BODY, True),
        ("normal", BODY, True),
        ("normal", "", False),
        ("normal", "<received xmlns='urn:xmpp:receipts' id='1'/>", True),
        ("normal", "<x xmlns='jabber:x:conference' jid='r@c.test'/>", True),
        ("normal", f"<x xmlns='{USER}'><invite from='a@b.test'/></x>", True),
        ("normal", f"<x xmlns='{USER}'><status code='100'/></x>", False),
        ("groupchat", BODY, False),
        ("headline", BODY, False),
        ("error", BODY, True),
        ("chat", f"{BODY}<private xmlns='{CARBONS}'/>", False),
        ("chat", f"{BODY}<no-copy xmlns='urn:xmpp:hints'/>", False),
        ("chat", f"<sent xmlns='{CARBONS}'/>", False),
    ],
)
def test_messages_of_conversations_are_copied(type: str, content: str, eligible: bool) -> None:
    assert is_eligible(parse_stanza(f"<message type='{type}'>{content}</message>")) is eligible
