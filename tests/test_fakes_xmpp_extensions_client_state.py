"""XEP-0352: what waits for an inactive client, and what does not."""

from __future__ import annotations

import re

import pytest

from fakes import World
from fakes.wire import Want
from tests.xmpp_raw import HEADER, Client, bound, plain, world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
INACTIVE = b"<inactive xmlns='urn:xmpp:csi:0'/>"
ACTIVE = b"<active xmlns='urn:xmpp:csi:0'/>"
STATE = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"


def inactive() -> tuple[World, Client]:
    people = [{"address": ROMEO, "contacts": {JULIET: "both"}}, {"address": JULIET}]
    place = world(person=people)
    client = bound(place)
    client.says(b"<presence/>", INACTIVE)
    return place, client


def test_the_last_presence_of_each_sender_waits() -> None:
    place, client = inactive()
    juliet = place.jabber.actor(JULIET)
    for show in ("away", "dnd", "xa"):
        juliet.comes(show)
    assert client.hears() == b""
    assert re.findall(b"<show>(.*?)</show>", client.says(ACTIVE)) == [b"xa"]
    juliet.comes("away")
    assert b"<show>away</show>" in client.hears()


@pytest.mark.parametrize(
    ("stanza", "arrives"),
    [
        (f"<message to='{ROMEO}' type='chat'>{STATE}</message>", False),
        (f"<message to='{ROMEO}' type='chat'>{STATE}<body>x</body></message>", True),
        (f"<message to='{ROMEO}/here' type='chat'/>", True),
        (f"<presence to='{ROMEO}/here' type='error'/>", True),
        (f"<iq to='{ROMEO}/here' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", True),
    ],
)
def test_only_what_is_unimportant_is_held_back(stanza: str, arrives: bool) -> None:
    place, client = inactive()
    place.jabber.actor(JULIET).sends(stanza)
    assert bool(client.hears()) is arrives


def test_what_waits_comes_before_the_answer_to_the_next_request() -> None:
    place, client = inactive()
    place.jabber.actor(JULIET).comes("away")
    ping = b"<iq type='get' id='1' to='example.test'><ping xmlns='urn:xmpp:ping'/></iq>"
    answer = client.says(ACTIVE + ping)
    assert 0 < answer.index(b"<show>") < answer.index(b"type='result'")


def test_a_session_that_is_resumed_is_active_and_has_lost_nothing() -> None:
    place, client = inactive()
    answer = client.says(b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    found = re.search(rb" id='(\w+)'", answer)
    assert found
    place.jabber.actor(JULIET).comes("away")
    client.core.close(Want.RESET)
    new = Client(place)
    new.says(HEADER + plain("romeo") + HEADER)
    answer = new.says(b"<resume xmlns='urn:xmpp:sm:3' previd='%b' h='0'/>" % found[1])
    assert b"<show>away</show>" in answer
    place.jabber.actor(JULIET).comes("dnd")
    assert b"<show>dnd</show>" in new.hears()
