"""Chat rooms on the client's side: who has said what, and what the room says about them."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from comms.errors import Refused, TryLater
from comms.settings import load
from comms.xmpp import Client, Jid, stanzas
from comms.xmpp.rooms import MUC, OCCUPANTS, Room
from comms.xmpp.stanzas import PRESENCE, ROOM_USER
from fakes.host import Event
from fakes.world import World
from fakes.xmpp.extensions.rooms import Rooms
from fakes.xmpp.jabber import Actor
from fakes.xmpp.stanzas import build_stanza
from tests.scripted import RecordingHost

BOT = "bot@example.test"
ROOM = "ops@conference.example.test"
ADMIN = f"{MUC}#admin"


def rehearsal(**config: Any) -> World:
    people = [{"address": f"{name}@example.test"} for name in ("bot", "boss", "guest")]
    return World({"servers": ["xmpp"], "program": BOT, "person": people, **config}, rehearsal=True)


def client(world: World, **options: Any) -> Client:
    server = load(world.settings, world.folder).server("xmpp")
    return Client(server, world.clock, world.host, **options)


def opened(world: World, *fields: str) -> Actor:
    """The boss, who has opened the room and configured it."""
    boss = world.jabber.actor("boss@example.test")
    boss.joins(ROOM, "boss")
    form = f"<x xmlns='jabber:x:data' type='submit'>{''.join(fields)}</x>"
    query = f"<query xmlns='{MUC}#owner'>{form}</query>"
    boss.sends(f"<iq type='set' id='1' to='{ROOM}'>{query}</iq>")
    return boss


def setting(name: str, value: str) -> str:
    return f"<field var='muc#roomconfig_{name}'><value>{value}</value></field>"


def heard(jabber: Client, room: Room) -> list[tuple[str, str, str]]:
    assert jabber.received_messages() == [], "what is said in a room is not from an account"
    return [(said.nick, said.text, said.affiliation) for said in room.received_messages()]


def test_a_program_hears_what_is_said_and_who_may_say_it() -> None:
    with rehearsal() as world, client(world) as jabber:
        boss, guest = opened(world), world.jabber.actor("guest@example.test")
        boss.says(ROOM, "before", "groupchat")
        room = jabber.join(ROOM, "bot")
        guest.joins(ROOM, "admin")
        boss.says(ROOM, "restart", "groupchat")
        guest.says(ROOM, "restart", "groupchat")
        assert heard(jabber, room) == [("boss", "restart", "owner"), ("admin", "restart", "none")]
        room.say("done")
        assert boss.wait_for(lambda stanza: stanza.body == "done").sender == f"{ROOM}/bot"
        assert heard(jabber, room) == [], "our own message comes back, and is not for us"
        assert sorted(room.occupants) == ["admin", "boss", "bot"]


def test_real_addresses_are_known_where_the_room_shows_them() -> None:
    with rehearsal() as world, client(world) as jabber:
        boss = opened(world, setting("whois", "anyone"))
        room = jabber.join(ROOM, "bot")
        boss.says(ROOM, "hello", "groupchat")
        jabber.received_messages()
        [said] = room.received_messages()
        assert str(said.author.jid) == "boss@example.test/play"


def test_a_private_message_of_a_room_is_obeyed_by_nobody() -> None:
    with rehearsal() as world, client(world) as jabber:
        boss = opened(world)
        room = jabber.join(ROOM, "bot")
        guest = world.jabber.actor("guest@example.test")
        guest.joins(ROOM, "boss2")
        guest.says(f"{ROOM}/bot", "I am the boss: restart")
        boss.says(f"{ROOM}/bot", "restart")
        assert heard(jabber, room) == []
        log = [event for event in world.recording if isinstance(event, Event)]
        assert sum("it comes from a room" in str(event) for event in log) == 2


def test_an_affiliation_that_changes_counts_from_then_on() -> None:
    with rehearsal() as world, client(world) as jabber:
        boss, guest = opened(world), world.jabber.actor("guest@example.test")
        room = jabber.join(ROOM, "bot")
        guest.joins(ROOM, "guest")
        guest.says(ROOM, "one", "groupchat")
        item = "<item jid='guest@example.test' affiliation='admin'/>"
        boss.sends(f"<iq type='set' id='2' to='{ROOM}'><query xmlns='{ADMIN}'>{item}</query></iq>")
        guest.says(ROOM, "two", "groupchat")
        assert heard(jabber, room) == [("guest", "one", "none"), ("guest", "two", "admin")]


def test_who_takes_the_nick_of_another_does_not_take_its_affiliation() -> None:
    with rehearsal() as world, client(world) as jabber:
        boss, guest = opened(world), world.jabber.actor("guest@example.test")
        room = jabber.join(ROOM, "bot")
        boss.goes()
        guest.joins(ROOM, "boss")
        guest.says(ROOM, "restart", "groupchat")
        assert heard(jabber, room) == [("boss", "restart", "none")]


@pytest.mark.parametrize(
    ("fields", "nick", "match"),
    [
        ((setting("membersonly", "1"),), "bot", "registration-required"),
        ((setting("roomsecret", "pw"),), "bot", "not-authorized"),
        ((), "boss", "conflict"),
    ],
)
def test_a_room_that_does_not_let_us_in_says_why(
    fields: tuple[str, ...], nick: str, match: str
) -> None:
    with rehearsal() as world, client(world) as jabber:
        opened(world, *fields)
        with pytest.raises(Refused, match=match):
            jabber.join(ROOM, nick)
        with pytest.raises(ValueError, match=r"empty|address"):
            jabber.join(ROOM, "")


def test_a_room_that_is_silent_is_not_waited_for() -> None:
    with rehearsal(fault=[{"where": "presence", "arg": f"{ROOM}*", "stall": True}]) as world:
        with client(world) as jabber:
            with pytest.raises(TryLater, match="has not answered"):
                jabber.join(ROOM, "bot", wait=5)


def test_a_password_opens_the_room() -> None:
    with rehearsal() as world, client(world) as jabber:
        opened(world, setting("roomsecret", "pw"))
        assert jabber.join(ROOM, "bot", "pw").joined


def test_who_is_kicked_learns_it_and_says_nothing_more() -> None:
    with rehearsal() as world, client(world) as jabber:
        boss = opened(world)
        room = jabber.join(ROOM, "bot")
        item = "<item nick='bot' role='none'/>"
        boss.sends(f"<iq type='set' id='2' to='{ROOM}'><query xmlns='{ADMIN}'>{item}</query></iq>")
        jabber.received_messages()
        assert not room.joined and room.left_because == "kicked"
        with pytest.raises(Refused, match="kicked"):
            room.say("hello")


def test_a_room_that_has_forgotten_us_is_left_and_can_be_entered_again() -> None:
    with rehearsal() as world, client(world) as jabber:
        boss = opened(world)
        room = jabber.join(ROOM, "bot")
        # As when the service of the rooms is restarted: nobody tells us.
        jabber.incoming.append(lambda element: None if element.tag == PRESENCE else element)
        item = "<item nick='bot' role='none'/>"
        boss.sends(f"<iq type='set' id='2' to='{ROOM}'><query xmlns='{ADMIN}'>{item}</query></iq>")
        jabber.received_messages()
        assert room.joined
        room.say("hello")
        jabber.received_messages()
        assert not room.joined and not room.occupants
        with pytest.raises(Refused, match="does not know us"):
            room.say("hello")
        jabber.incoming.clear()
        assert jabber.join(ROOM, "bot").joined


def test_an_error_of_an_occupant_does_not_end_our_stay() -> None:
    with rehearsal() as world, client(world) as jabber:
        opened(world)
        room = jabber.join(ROOM, "bot")
        condition = f"<not-acceptable xmlns='{stanzas.STANZA_ERRORS}'/>"
        for sender in (f"{ROOM}/boss", "boss@example.test"):
            error = f"<message xmlns='jabber:client' type='error' from='{sender}'>"
            error += f"<error type='cancel'>{condition}</error></message>"
            jabber._dispatcher.handle(fromstring(error), 100)
        assert room.joined


@pytest.mark.parametrize("resume", [False, True])
def test_after_a_lost_connection_the_client_is_in_the_room_again(resume: bool) -> None:
    with rehearsal() as world, client(world, resume=resume) as jabber:
        boss = opened(world)
        room = jabber.join(ROOM, "bot")
        world.jabber.cut(BOT)
        boss.says(ROOM, "while you were away", "groupchat")
        for _ in range(100):
            world.clock.advance(10)
            jabber.received_messages()
            if jabber.connected:
                break
        boss.says(ROOM, "hello", "groupchat")
        jabber.received_messages()
        expected = ["while you were away", "hello"] if resume else ["hello"]
        assert [said.text for said in room.received_messages()] == expected
        assert room.joined


def test_after_disconnecting_we_are_in_no_room_and_see_nobody() -> None:
    people = [{"address": BOT, "contacts": {"boss@example.test": "both"}}]
    people += [{"address": "boss@example.test"}]
    with rehearsal(person=people) as world, client(world) as jabber:
        boss = opened(world)
        boss.comes()
        room = jabber.join(ROOM, "bot")
        jabber.received_messages()
        assert jabber.roster.presence("boss@example.test").show == "available"
        jabber.disconnect()
        assert not room.joined
        assert jabber.roster.presence("boss@example.test").show == "unavailable"
        jabber.reconnect()
        jabber.received_messages()
        assert room.joined
        assert jabber.roster.presence("boss@example.test").show == "available"


@pytest.mark.parametrize(
    "end", [f"<x xmlns='{ROOM_USER}'><item role='none'/><destroy/></x>", ""], ids=["told", "silent"]
)
def test_a_room_that_is_destroyed_is_left(end: str) -> None:
    room = Room(Jid.parse(ROOM), "bot", lambda element: None, RecordingHost())
    own = Jid.parse(f"{ROOM}/bot")
    begin = f"<x xmlns='{ROOM_USER}'><item role='participant'/><status code='110'/></x>"
    # XEP-0045 §10.9: without the status 110.
    for kind, x in (("", begin), ("type='unavailable'", end)):
        room.on_presence(fromstring(f"<presence xmlns='jabber:client' {kind}>{x}</presence>"), own)
        assert room.joined == (kind == "") and bool(room.occupants) == room.joined
    with pytest.raises(Refused, match="not in this room"):
        room.say("hello")


def test_leaving_is_seen() -> None:
    with rehearsal() as world, client(world) as jabber:
        boss = opened(world)
        room = jabber.join(ROOM, "bot")
        jabber.leave(room)
        boss.wait_for(lambda s: s.sender == f"{ROOM}/bot" and s.type == "unavailable")
        assert not room.joined


def test_the_subject_is_known() -> None:
    with rehearsal() as world, client(world) as jabber:
        boss = opened(world)
        boss.sends(f"<message to='{ROOM}' type='groupchat'><subject>News</subject></message>")
        room = jabber.join(ROOM, "bot")
        jabber.received_messages()
        assert room.subject == "News"


def test_a_message_of_an_unknown_occupant_is_from_nobody_in_particular() -> None:
    room = Room(Jid.parse(ROOM), "bot", lambda element: None, RecordingHost())
    body = "<body xmlns='jabber:client'>x</body>"
    raw = f"<message xmlns='jabber:client' from='{ROOM}/ghost' type='groupchat'>{body}</message>"
    room.on_message(stanzas.read_message(fromstring(raw), 0.0))
    [said] = room.received_messages()
    assert (said.author.affiliation, said.author.role, said.author.jid) == ("none", "none", None)
    # An occupant that the room shows with a wrong address has none.
    item = f"<x xmlns='{ROOM_USER}'><item affiliation='owner' role='moderator' jid='@'/></x>"
    presence = fromstring(f"<presence xmlns='jabber:client' from='{ROOM}/ghost'>{item}</presence>")
    room.on_presence(presence, Jid.parse(f"{ROOM}/ghost"))
    assert room.occupants["ghost"].jid is None and room.occupants["ghost"].affiliation == "owner"


@pytest.mark.slow
def test_a_room_of_ten_thousand_is_entered_and_those_above_are_nobody_in_particular() -> None:
    with rehearsal() as world, client(world) as jabber:
        boss = opened(world)
        rooms = world.jabber.service.extensions.named("rooms")
        assert isinstance(rooms, Rooms)
        full = rooms._find(ROOM)
        assert full is not None
        world.jabber.service.dispatcher.other_domains.add("far.test")
        for number in range(OCCUPANTS):
            sender = f"u{number}@far.test/x"
            presence = build_stanza("presence", sender=sender)
            full.enter(f"u{number}", f"u{number}@far.test", presence)
        full.kept.affiliations["last@far.test"] = "owner"
        full.enter("last", "last@far.test", build_stanza("presence", sender="last@far.test/x"))
        room = jabber.join(ROOM, "bot")
        assert room.joined and len(room.occupants) == OCCUPANTS
        last = f"<message from='last@far.test/x' to='{ROOM}' type='groupchat'>"
        world.jabber.inject(f"{last}<body>stop</body></message>")
        boss.says(ROOM, "restart", "groupchat")
        assert heard(jabber, room) == [("last", "stop", "none"), ("boss", "restart", "owner")]
