"""Messages stored for users who are away."""

from __future__ import annotations

import pytest

from fakes.xmpp.offline import Offline, delay, timestamp
from fakes.xmpp.policy import Environment, Policy
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import StanzaError, parse_stanza
from tests.xmpp_raw import world

JULIET = "juliet@example.test"
TYPING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"


def stored(*contents: str, policy: Policy | None = None) -> Account:
    """Stores messages with these contents for juliet, and returns her account."""
    place = world()
    account = place.jabber._account(JULIET)
    offline = Offline(Environment(place.runtime, policy or Policy()))
    for content in contents:
        offline.store(account, parse_stanza(f"<message>{content}</message>"))
    return account


def test_a_stored_message_has_a_stamp_of_the_domain_and_the_time() -> None:
    (message,) = stored("<body>hi</body>").offline
    stamp = message.child("delay", "urn:xmpp:delay")
    assert message.body == "hi" and stamp is not None
    assert stamp.attrib == {"from": "example.test", "stamp": "2026-01-05T00:00:00Z"}


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (TYPING, 0),
        (f"{TYPING}<thread>T</thread>", 0),
        ("<active xmlns='http://jabber.org/protocol/chatstates'/><body>hi</body>", 1),
        (f"{TYPING}<store xmlns='urn:xmpp:hints'/>", 1),
        ("<body>hi</body><no-permanent-store xmlns='urn:xmpp:hints'/>", 1),
        ("<body>hi</body><no-store xmlns='urn:xmpp:hints'/>", 0),
        ("<event xmlns='urn:x'/>", 1),
        ("", 1),
    ],
)
def test_what_is_of_no_use_later_or_must_not_be_stored_is_not(content: str, kept: int) -> None:
    assert len(stored(content).offline) == kept


def test_a_full_queue_and_a_server_without_storage_refuse_messages() -> None:
    text = "<body>hi</body>"
    assert len(stored(text, text, policy=Policy(offline=2)).offline) == 2
    with pytest.raises(StanzaError) as caught:
        stored(text, text, text, policy=Policy(offline=2))
    assert caught.value.condition == "service-unavailable" and "too many" in caught.value.text
    with pytest.raises(StanzaError):
        stored(text, policy=Policy(off=frozenset({"offline"})))


def test_stored_messages_are_delivered_once_and_oldest_first() -> None:
    place = world()
    romeo, juliet = place.jabber.actor("romeo@example.test"), place.jabber.actor(JULIET)
    for text in ("one", "two"):
        romeo.says(JULIET, text)
    juliet.comes()
    juliet.goes()
    juliet.comes()
    assert [stanza.body for stanza in juliet.all if stanza.delayed] == ["one", "two"]


def test_a_stamp_that_claims_to_be_of_the_server_of_the_recipient_is_discarded() -> None:
    place = world()
    romeo, juliet = place.jabber.actor("romeo@example.test"), place.jabber.actor(JULIET)
    stamps = "".join(
        f"<delay xmlns='urn:xmpp:delay' from='{sender}' stamp='2020-01-01T00:00:00Z'/>"
        for sender in ("example.test", "EXAMPLE.test", "room@conference.example.test")
    )
    forged = f"<message to='{JULIET}'><body>hi</body>{stamps}</message>"
    romeo.sends(forged)
    juliet.comes()
    romeo.sends(forged)
    stored, direct = (stanza for stanza in juliet.all if stanza.kind == "message")
    room = "room@conference.example.test"
    assert [child.get("from") for child in direct.element][1:] == [room]
    assert [child.get("from") for child in stored.element][1:] == [room, "example.test"]


def test_a_timestamp_has_whole_seconds_in_utc() -> None:
    assert timestamp(0.9) == "1970-01-01T00:00:00Z"
    assert delay("example.test", 86400).get("stamp") == "1970-01-02T00:00:00Z"
