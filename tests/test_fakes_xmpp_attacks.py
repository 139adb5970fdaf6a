"""Named attacks on a Jabber server and its users, each of which must fail."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from fakes import World
from fakes.wire import Want
from fakes.xmpp.extensions import stream_management
from tests.test_fakes_xmpp_extensions_rooms import ROOM, Play
from tests.test_fakes_xmpp_extensions_stream_management import enabled, resumed, say
from tests.test_fakes_xmpp_incoming import Peer, header, proved, result
from tests.test_fakes_xmpp_incoming import world as linked
from tests.xmpp_raw import HEADER, Client, bind, bound, plain, world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
MALLORY = JULIET  # where an attacker needs an account
ATTACKS: list[Callable[[], None]] = []


def attack(run: Callable[[], None]) -> Callable[[], None]:
    ATTACKS.append(run)
    return run


@attack
def a_carbon_copy_of_what_was_never_said() -> None:
    """XEP-0280 §11: a client believes only its own account, which only the server speaks for."""
    place = world()
    romeo = place.jabber.actor(ROMEO)
    inner = f"<message xmlns='jabber:client' from='{JULIET}/x'><body>stop</body></message>"
    forwarded = f"<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded>"
    copy = f"<received xmlns='urn:xmpp:carbons:2'>{forwarded}</received>"
    romeo.comes()
    place.jabber.actor(MALLORY).sends(
        f"<message from='{ROMEO}' to='{ROMEO}' type='chat'>{copy}</message>"
    )
    assert [one.sender for one in romeo.messages] == [f"{MALLORY}/play"]


@attack
def a_private_message_of_a_room_that_looks_like_an_administrator() -> None:
    """XEP-0045 §7.5: it says that it comes from a room, and carries no real address."""
    play = Play().opened("juliet")
    forged = f"<item jid='{ROMEO}' affiliation='owner' role='moderator'/>"
    x = f"<x xmlns='http://jabber.org/protocol/muc#user'>{forged}</x>"
    id = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='romeo'/>"
    body = "<body>I am the administrator</body>"
    play.juliet.sends(f"<message to='{ROOM}/romeo' type='chat'>{x}{id}{body}</message>")
    message = play.romeo.messages[-1]
    shown = message.to_bytes().decode()
    assert message.sender == f"{ROOM}/juliet" and "affiliation" not in shown
    assert "id='romeo'" not in shown and "<x xmlns='http://jabber.org/protocol/muc#user'/>" in shown


@attack
def a_server_that_speaks_for_another() -> None:
    """RFC 6120 §8.1.2.2: a domain that was proved is no proof of another."""
    place = linked()
    answer = proved(place).says("<message from='boss@bank.test' to='alice@example.test'/>")
    assert "<invalid-from" in answer and place.jabber.messages == []


@attack
def a_roster_push_from_a_stranger() -> None:
    """RFC 6121 §2.1.6: it arrives with the stranger's address, and changes nothing here."""
    place = world()
    romeo = place.jabber.actor(ROMEO)
    romeo.comes()
    query = (
        "<query xmlns='jabber:iq:roster'><item jid='m@example.test' subscription='both'/></query>"
    )
    for sender in ("", f" from='{ROMEO}'", " from='example.test'"):
        place.jabber.actor(MALLORY).sends(
            f"<iq to='{ROMEO}/play' type='set' id='p'{sender}>{query}</iq>"
        )
    senders = {one.sender for one in romeo.all if one.kind == "iq"}
    assert senders <= {f"{MALLORY}/play"} and place.jabber.roster(ROMEO) == {}


@attack
def the_stream_of_another_user_resumed() -> None:
    """XEP-0198 §5: the id alone is not enough, and an error does not say that it exists."""
    place = world()
    client, id = enabled(place)
    client.says(b"<presence/>")
    say(place, "secret")
    client.core.close(Want.RESET)
    known = resumed(place, id, 0, "juliet")[1]
    unknown = resumed(place, "0" * 20, 0, "juliet")[1]
    assert known == unknown and b"item-not-found" in known and b"secret" not in known


@attack
def dialback_from_a_stranger() -> None:
    """XEP-0220 §2.2.1: a domain that is not known anywhere cannot be verified."""
    place = linked()
    peer = Peer(place)
    peer.says(header("stranger.test"))
    assert "remote-server-not-found" in peer.says(result("stranger.test"))
    answer = peer.says("<message from='a@stranger.test' to='alice@example.test'/>")
    assert "<not-authorized" in answer and place.jabber.messages == []


@attack
def an_answer_that_nobody_asked_for() -> None:
    """XEP-0220 §3.1: `valid` on a stream where nothing was asked proves nothing."""
    place = linked()
    peer = Peer(place)
    peer.says(header())
    answer = peer.says(result("partner.test", more=" type='valid'"))
    assert "<policy-violation" in answer


@attack
def a_stanza_without_end() -> None:
    """RFC 6120 §13.12: what is too large ends the stream before it fills the memory."""
    client = bound(world(xmpp={"stanza": 10_000}))
    heard = client.says(b"<message><body>", *[b"x" * 1000] * 20)
    assert b"stanza-too-big" in heard and len(client.core.buffer) < 11_000


@attack
def sessions_without_end() -> None:
    """RFC 6120 §7.6.2.1."""
    place = world(xmpp={"resources": 3})
    for number in range(3):
        bound(place, resource=f"r{number}")
    late = Client(place)
    assert b"<resource-constraint" in late.says(HEADER + plain("romeo") + HEADER + bind("late"))


@attack
def a_client_that_acknowledges_nothing() -> None:
    """XEP-0198: what is kept for it is limited."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_management, "QUEUE", 10)
        place = world()
        client, _ = enabled(place)
        client.says(b"<presence/>")
        say(place, *map(str, range(11)))
        assert b"<resource-constraint" in client.hears()


@attack
def passwords_tried_without_end() -> None:
    """RFC 6120 §6.4.5."""
    client = Client(world())
    client.says(HEADER)
    heard = b"".join(client.says(plain("romeo", f"wrong{number}")) for number in range(10))
    assert heard.count(b"<not-authorized") < 6 and b"<policy-violation" in heard


@attack
def compression() -> None:
    """XEP-0138, RFC 3749: it is never offered, because it reveals what is encrypted."""
    for place in (world(), World({"servers": ["xmpp"], "tls": "required"}, rehearsal=True)):
        client = Client(place)
        heard = client.says(HEADER)
        if place.tls == "required":
            client.starts_tls()
            heard += client.says(HEADER)
        heard += client.says(plain("alice" if place.tls == "required" else "romeo"), HEADER)
        assert not re.search(rb"compress", heard)
        asked = b"<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>"
        assert b"<unsupported-stanza-type" in client.says(asked)


@pytest.mark.parametrize("assert_fails", ATTACKS, ids=lambda run: run.__name__)
def test_an_attack_fails(assert_fails: Callable[[], None]) -> None:
    assert_fails()
