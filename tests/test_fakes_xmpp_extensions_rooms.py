"""Chat rooms, as people in them see them: who gets what, and who may do what (XEP-0045)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from fakes import World
from fakes.transcripts.recorder import render
from fakes.xmpp.extensions.rooms import Rooms
from fakes.xmpp.extensions.stanza_ids import SID
from fakes.xmpp.jabber import Actor
from fakes.xmpp.muc import hall
from fakes.xmpp.muc.names import ADMIN, MUC, OCCUPANT, OWNER, USER
from fakes.xmpp.room import Room
from fakes.xmpp.routing import SHARE
from fakes.xmpp.stanzas import Stanza, build_stanza
from tests.growth import FACTOR, FACTOR_MOST, factor
from tests.xmpp_raw import bound, world

ROOM = "hall@conference.example.test"
NAMES = ("romeo", "juliet", "nurse", "tybalt")
CLIENT = "{jabber:client}"


class Play:
    """A world with a room that Romeo owns, and four people, one session each."""

    def __init__(self, **config: Any) -> None:
        people = [{"address": f"{name}@example.test"} for name in NAMES]
        self.world: World = world(person=people, **config)
        jabber = self.world.jabber
        self.romeo, self.juliet, self.nurse, self.tybalt = (
            jabber.actor(f"{name}@example.test") for name in NAMES
        )

    def opened(self, *others: str, **config: str) -> Play:
        """Romeo opens the room and configures it; the others enter. Nothing is heard yet."""
        self.romeo.joins(ROOM, "romeo")
        assert configure(self.romeo, **config) == ""
        for name in others:
            self.actor(name).joins(ROOM, name)
        self.clear()
        return self

    def actor(self, name: str) -> Actor:
        return self.world.jabber.actor(f"{name}@example.test")

    def clear(self) -> None:
        for name in NAMES:
            self.actor(name).clear()

    def nicks(self) -> dict[str, tuple[str, str]]:
        """The affiliation and the role of each occupant, by nick."""
        extension = self.world.jabber.service.extensions.named("rooms")
        assert isinstance(extension, Rooms)
        room = extension._find(ROOM)
        occupants = room.occupants.values() if room is not None else ()
        assert room is not None or not occupants
        return {one.nick: (room.affiliation(one.bare), one.role) for one in occupants if room}


def ask(actor: Actor, payload: str, type: str = "set", to: str = ROOM) -> Stanza:
    """Sends an IQ and returns the answer to it."""
    actor.sends(f"<iq type='{type}' id='ask' to='{to}'>{payload}</iq>")
    return [stanza for stanza in actor.all if stanza.kind == "iq" and stanza.id == "ask"][-1]


def configure(actor: Actor, **config: str) -> str:
    """Submits the configuration; returns the condition of the error, "" if there is none."""
    fields = "".join(
        f"<field var='muc#roomconfig_{name}'><value>{value}</value></field>"
        for name, value in config.items()
    )
    form = f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>"
    return ask(actor, f"<query xmlns='{OWNER}'>{form}</query>").condition


def admin(actor: Actor, *items: str) -> str:
    """Sends a change of roles or affiliations; returns the condition of the error."""
    inside = "".join(f"<item {item}/>" if "<" not in item else item for item in items)
    return ask(actor, f"<query xmlns='{ADMIN}'>{inside}</query>").condition


def listed(actor: Actor, which: str) -> list[str] | str:
    """The addresses on a list, or the condition of the error."""
    answer = ask(actor, f"<query xmlns='{ADMIN}'><item {which}/></query>", "get")
    found = [item.get("jid") or "" for item in answer.element.iter(f"{{{ADMIN}}}item")]
    return answer.condition or found


def item(stanza: Stanza) -> Element:
    found = stanza.element.find(f"{{{USER}}}x/{{{USER}}}item")
    assert found is not None
    return found


def codes(stanza: Stanza) -> list[str]:
    return [str(status.get("code")) for status in stanza.element.iter(f"{{{USER}}}status")]


def presences(actor: Actor) -> list[tuple[str, str | None]]:
    """The nicks whose presence an actor has got, with its type."""
    return [
        ((stanza.sender or "").partition("/")[2], stanza.type)
        for stanza in actor.all
        if stanza.kind == "presence" and (stanza.sender or "").startswith(ROOM)
    ]


def heard(actor: Actor) -> list[str]:
    """What was said in the room."""
    return [stanza.body for stanza in actor.messages if stanza.type == "groupchat" and stanza.body]


def conditions(actor: Actor) -> list[str]:
    return [stanza.condition for stanza in actor.all if stanza.type == "error"]


def sends_subject(actor: Actor, text: str) -> None:
    actor.sends(f"<message to='{ROOM}' type='groupchat'><subject>{text}</subject></message>")


# ── entering and leaving ─────────────────────────────────────────────────────


def test_the_first_who_enters_owns_the_room_and_must_configure_it() -> None:
    play = Play()
    play.romeo.joins(ROOM, "romeo")
    [own] = [stanza for stanza in play.romeo.all if stanza.sender == f"{ROOM}/romeo"]
    assert codes(own) == ["110", "201"]
    assert (item(own).get("affiliation"), item(own).get("role")) == ("owner", "moderator")
    play.juliet.joins(ROOM, "juliet")
    assert conditions(play.juliet) == ["item-not-found"], "the room is locked"
    assert configure(play.romeo) == ""
    play.juliet.joins(ROOM, "juliet")
    assert play.nicks() == {"romeo": ("owner", "moderator"), "juliet": ("none", "participant")}


def test_who_enters_gets_the_others_then_itself_then_history_then_the_subject() -> None:
    play = Play().opened("nurse", changesubject="1")
    play.nurse.says(ROOM, "hello", "groupchat")
    sends_subject(play.nurse, "News")
    play.clear()
    play.world.clock.advance(60)
    play.juliet.joins(ROOM, "juliet")
    got = [stanza for stanza in play.juliet.all if (stanza.sender or "").startswith(ROOM)]
    assert [(s.kind, (s.sender or "").partition("/")[2]) for s in got] == [
        ("presence", "romeo"),
        ("presence", "nurse"),
        ("presence", "juliet"),
        ("message", "nurse"),
        ("message", "nurse"),
    ]
    assert codes(got[2]) == ["110"]
    assert got[3].body == "hello" and got[3].delayed
    assert got[4].subject == "News" and got[4].delayed
    assert presences(play.nurse) == [("juliet", None)]


def test_a_room_without_a_subject_says_so() -> None:
    play = Play().opened()
    play.juliet.joins(ROOM, "juliet")
    [message] = play.juliet.messages
    assert message.child_names == (f"{CLIENT}subject",) and message.subject == ""


def test_who_leaves_or_is_cut_off_is_seen_to_leave() -> None:
    play = Play().opened("juliet", "nurse")
    play.juliet.sends(
        f"<presence to='{ROOM}/juliet' type='unavailable'><status>Good night</status></presence>"
    )
    [gone] = [stanza for stanza in play.nurse.all if stanza.kind == "presence"]
    assert gone.child_text("status") == "Good night" and item(gone).get("role") == "none"
    [own] = [stanza for stanza in play.juliet.all if stanza.kind == "presence"]
    assert codes(own) == ["110"]
    play.world.jabber.cut("nurse@example.test")
    assert list(play.nicks()) == ["romeo"]


def test_an_empty_room_ends_unless_it_is_persistent() -> None:
    play = Play().opened(persistentroom="1", moderatedroom="1")
    play.romeo.goes()
    assert play.nicks() == {}
    play.juliet.joins(ROOM, "juliet")
    assert play.nicks() == {"juliet": ("none", "visitor")}, "the configuration is still there"
    play.juliet.goes()
    play.romeo.joins(ROOM, "romeo")
    configure(play.romeo, persistentroom="0")
    play.romeo.goes()
    play.juliet.joins(ROOM, "juliet")
    assert play.nicks() == {"juliet": ("owner", "moderator")}, "it is a new room"


def test_a_persistent_room_outlives_the_world() -> None:
    play = Play().opened("juliet", persistentroom="1", changesubject="1")
    play.juliet.says(ROOM, "hello", "groupchat")
    again = Play()
    again.world.jabber.service.restore(play.world.jabber.service.stored())
    again.juliet.joins(ROOM, "juliet")
    assert heard(again.juliet) == ["hello"]
    assert again.nicks() == {"juliet": ("none", "participant")}


@pytest.mark.parametrize(
    ("config", "change", "condition"),
    [
        ({"membersonly": "1"}, "", "registration-required"),
        ({"roomsecret": "pw"}, "", "not-authorized"),
        ({"maxusers": "1"}, "", "service-unavailable"),
        ({}, "jid='juliet@example.test' affiliation='outcast'", "forbidden"),
    ],
)
def test_who_may_not_enter_learns_why(config: dict[str, str], change: str, condition: str) -> None:
    play = Play().opened(**config)
    if change:
        assert admin(play.romeo, change) == ""
    play.juliet.joins(ROOM, "juliet")
    assert conditions(play.juliet) == [condition]
    assert list(play.nicks()) == ["romeo"]


def test_members_and_who_knows_the_password_may_enter() -> None:
    play = Play().opened(membersonly="1", roomsecret="pw")
    assert admin(play.romeo, "jid='juliet@example.test' affiliation='member'") == ""
    play.juliet.joins(ROOM, "juliet", "wrong")
    play.juliet.joins(ROOM, "juliet", "pw")
    assert conditions(play.juliet) == ["not-authorized"]
    assert play.nicks()["juliet"] == ("member", "participant")


def test_no_transcript_shows_the_password_of_a_room() -> None:
    place = world()
    romeo, juliet = bound(place), bound(place, "juliet")
    juliet.says(b"<presence/>")
    entered = f"<x xmlns='{MUC}'><password>hush</password></x>"
    romeo.says(f"<presence to='{ROOM}/romeo'><x xmlns='{MUC}'/></presence>".encode())
    value = "<field var='muc#roomconfig_roomsecret'><value>hush</value></field>"
    form = f"<x xmlns='jabber:x:data' type='submit'>{value}</x>"
    query = f"<query xmlns='{OWNER}'>{form}</query>"
    assert b"result" in romeo.says(f"<iq type='set' id='1' to='{ROOM}'>{query}</iq>".encode())
    query = f"<query xmlns='{OWNER}'/>"
    assert b"hush" in romeo.says(f"<iq type='get' id='2' to='{ROOM}'>{query}</iq>".encode())
    inviting = f"<x xmlns='{USER}'><invite to='juliet@example.test'/></x>"
    romeo.says(f"<message to='{ROOM}'>{inviting}</message>".encode())
    assert b"<password>hush" in juliet.hears()
    direct = f"""<x xmlns='jabber:x:conference' jid='{ROOM}' password="hush"/>"""
    romeo.says(f"<message to='juliet@example.test/here'>{direct}</message>".encode())
    assert b"hush" in juliet.hears()
    entry = f"<presence to='{ROOM}/juliet'>{entered}</presence>"
    assert b"110" in juliet.says(entry.encode())
    assert "hush" not in render(place.recording)


def test_a_nick_belongs_to_one_user_who_may_have_several_sessions() -> None:
    play = Play().opened("juliet")
    play.nurse.joins(ROOM, "juliet")
    assert conditions(play.nurse) == ["conflict"]
    phone = play.world.jabber.actor("juliet@example.test", "phone")
    phone.joins(ROOM, "juliet")
    assert list(play.nicks()) == ["romeo", "juliet"]
    play.romeo.says(ROOM, "hello", "groupchat")
    assert heard(phone) == heard(play.juliet) == ["hello"]
    phone.goes()
    assert list(play.nicks()) == ["romeo", "juliet"]
    assert ("juliet", "unavailable") not in presences(play.romeo)


def test_of_several_sessions_each_leaves_when_it_ends() -> None:
    play = Play().opened()
    for gone in ("juliet' type='unavailable", "julia"):  # one session leaves, or changes the nick
        play.juliet.joins(ROOM, "juliet")
        phone = play.world.jabber.actor("juliet@example.test", "phone")
        phone.joins(ROOM, "juliet")
        phone.sends(f"<presence to='{ROOM}/{gone}'/>")
        assert len(play.nicks()) == 2
        play.juliet.goes()
        phone.goes()
        assert list(play.nicks()) == ["romeo"]


def test_of_several_sessions_the_last_presence_is_shown() -> None:
    play = Play().opened("juliet")
    phone = play.world.jabber.actor("juliet@example.test", "phone")
    phone.joins(ROOM, "juliet")

    def shown() -> tuple[str, bool]:
        [seen] = [one for one in play.romeo.all if one.sender == f"{ROOM}/juliet"]
        play.clear()
        return seen.child_text("show"), "juliet@example.test/phone" in repr(seen)

    play.juliet.sends(f"<presence to='{ROOM}/juliet'><show>away</show></presence>")
    assert shown() == ("away", False)
    phone.sends(f"<presence to='{ROOM}/juliet'/>")
    assert shown() == ("", True)
    phone.goes()
    assert shown() == ("away", False)
    phone.joins(ROOM, "juliet")
    assert shown() == ("", True)


def test_a_client_that_is_not_inside_any_more_learns_it() -> None:
    play = Play().opened()
    play.juliet.sends(f"<presence to='{ROOM}/juliet'><show>away</show></presence>")
    [gone] = [stanza for stanza in play.juliet.all if stanza.sender == f"{ROOM}/juliet"]
    assert gone.type == "unavailable" and codes(gone) == ["110", "307", "333"]


def test_who_enters_again_gets_everything_again() -> None:
    play = Play().opened("juliet")
    play.juliet.joins(ROOM, "juliet")
    assert presences(play.juliet) == [("romeo", None), ("juliet", None)]
    assert presences(play.romeo) == []
    again = f"<presence to='{ROOM}/juliet'><x xmlns='{MUC}'/><show>away</show></presence>"
    play.juliet.sends(again)
    assert presences(play.romeo) == [("juliet", None)], "if something has changed"


def test_a_nick_is_needed() -> None:
    play = Play().opened()
    play.juliet.comes()
    play.juliet.sends(f"<presence to='{ROOM}'><x xmlns='{MUC}'/></presence>")
    assert conditions(play.juliet) == ["jid-malformed"]


def test_rooms_are_not_opened_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hall, "ROOMS", 1)
    play = Play().opened()
    play.juliet.joins("other@conference.example.test", "juliet")
    assert conditions(play.juliet) == ["not-allowed"]


# ── nicks, presence, real addresses ──────────────────────────────────────────


def test_another_nick_is_announced_with_the_old_one() -> None:
    play = Play().opened("juliet", "nurse")
    play.juliet.sends(f"<presence to='{ROOM}/julia'/>")
    old, new = [stanza for stanza in play.nurse.all if stanza.kind == "presence"]
    assert (old.sender, old.type, codes(old)) == (f"{ROOM}/juliet", "unavailable", ["303"])
    assert item(old).get("nick") == "julia" and item(old).get("role") == "participant"
    assert (new.sender, new.type) == (f"{ROOM}/julia", None)
    play.juliet.sends(f"<presence to='{ROOM}/nurse'/>")
    assert conditions(play.juliet) == ["conflict"]
    assert list(play.nicks()) == ["romeo", "nurse", "julia"]


def test_only_moderators_see_real_addresses() -> None:
    play = Play().opened("juliet")
    play.nurse.joins(ROOM, "nurse")
    [seen] = [stanza for stanza in play.romeo.all if stanza.sender == f"{ROOM}/nurse"]
    assert item(seen).get("jid") == "nurse@example.test/play"
    for actor in (play.juliet, play.nurse):
        got = b"".join(stanza.to_bytes() for stanza in actor.all if stanza.sender)
        for name in {"romeo", "juliet", "nurse"} - {actor.address.partition("@")[0]}:
            assert f"{name}@example.test".encode() not in got


def test_in_a_room_that_is_not_anonymous_everybody_sees_and_is_warned() -> None:
    play = Play().opened("juliet", whois="anyone")
    play.nurse.joins(ROOM, "nurse")
    shown = [stanza for stanza in play.nurse.all if stanza.kind == "presence" and stanza.to]
    jids = [item(stanza).get("jid") for stanza in shown if (stanza.sender or "").startswith(ROOM)]
    assert jids == [f"{name}@example.test/play" for name in ("romeo", "juliet", "nurse")]
    assert "100" in codes(shown[-1])
    play.clear()
    configure(play.romeo, whois="moderators")
    assert codes(play.juliet.messages[-1]) == ["104", "173"]


def test_a_presence_cannot_claim_what_only_the_room_says() -> None:
    play = Play().opened("juliet")
    claim = f"<x xmlns='{USER}'><item affiliation='owner' role='moderator'/></x>"
    forged = f"<occupant-id xmlns='{OCCUPANT}' id='forged'/>"
    play.nurse.sends(f"<presence to='{ROOM}/nurse'><x xmlns='{MUC}'/>{claim}{forged}</presence>")
    [seen] = [stanza for stanza in play.juliet.all if stanza.sender == f"{ROOM}/nurse"]
    items = list(seen.element.iter(f"{{{USER}}}item"))
    assert [one.get("affiliation") for one in items] == ["none"]
    ids = [one.get("id") for one in seen.element.iter(f"{{{OCCUPANT}}}occupant-id")]
    assert len(ids) == 1 and ids != ["forged"]
    assert f"{{{MUC}}}x" not in seen.child_names, "a password would be in it"


# ── messages ─────────────────────────────────────────────────────────────────


def test_a_message_comes_back_to_all_with_its_id_and_one_of_the_room() -> None:
    play = Play().opened("juliet")
    forged = f"<stanza-id xmlns='{SID}' by='{ROOM}' id='forged'/>"
    play.juliet.sends(
        f"<message to='{ROOM}' type='groupchat' id='m1'><body>x</body>{forged}</message>"
    )
    for actor in (play.romeo, play.juliet):
        [message] = actor.messages
        assert (message.sender, message.id) == (f"{ROOM}/juliet", "m1")
        [id] = message.element.findall(f"{{{SID}}}stanza-id")
        assert id.get("by") == ROOM and id.get("id") != "forged"
        assert len(message.element.findall(f"{{{OCCUPANT}}}occupant-id")) == 1


def test_who_is_not_in_the_room_can_neither_speak_nor_hear() -> None:
    play = Play().opened("juliet")
    play.tybalt.says(ROOM, "hey", "groupchat")
    play.tybalt.says(f"{ROOM}/juliet", "hey")
    play.tybalt.says("nowhere@conference.example.test", "hey", "groupchat")
    assert conditions(play.tybalt) == ["not-acceptable", "not-acceptable", "item-not-found"]
    play.romeo.says(ROOM, "hello", "groupchat")
    assert play.juliet.messages[-1].body == "hello" and heard(play.tybalt) == []


def test_in_a_moderated_room_a_visitor_only_listens_until_it_gets_voice() -> None:
    play = Play().opened("juliet", moderatedroom="1")
    play.juliet.says(ROOM, "hello", "groupchat")
    assert conditions(play.juliet) == ["forbidden"] and heard(play.romeo) == []
    request = (
        "<x xmlns='jabber:x:data' type='submit'>"
        f"<field var='FORM_TYPE'><value>{MUC}#request</value></field>"
        "<field var='muc#role'><value>participant</value></field>"
    )
    play.juliet.sends(f"<message to='{ROOM}'>{request}</x></message>")
    [asked] = play.romeo.messages
    types = [field.get("type") for field in asked.element.iter("{jabber:x:data}field")]
    assert types == ["hidden", "list-single", "jid-single", "text-single", "boolean"]  # §8.6
    assert "juliet@example.test" in asked.to_bytes().decode(), "a moderator sees who asks"
    grant = (
        "<field var='muc#roomnick'><value>juliet</value></field>"
        "<field var='muc#request_allow'><value>true</value></field>"
    )
    play.nurse.joins(ROOM, "nurse")
    play.nurse.sends(f"<message to='{ROOM}'>{request}{grant}</x></message>")
    assert play.nicks()["juliet"][1] == "visitor", "a visitor grants nothing"
    play.romeo.sends(f"<message to='{ROOM}'>{request}{grant}</x></message>")
    assert play.nicks()["juliet"] == ("none", "participant")
    play.juliet.says(ROOM, "thanks", "groupchat")
    assert heard(play.romeo) == ["thanks"]


@pytest.mark.parametrize("allowed", ["0", "1"])
def test_the_subject_is_for_moderators_or_for_everybody(allowed: str) -> None:
    play = Play().opened("juliet", changesubject=allowed)
    sends_subject(play.juliet, "Mine")
    sends_subject(play.romeo, "His")
    assert conditions(play.juliet) == ([] if allowed == "1" else ["forbidden"])
    subjects = [stanza.subject for stanza in play.juliet.messages if not stanza.condition]
    assert subjects == (["Mine", "His"] if allowed == "1" else ["His"])


def test_a_message_cannot_claim_that_the_room_has_kept_it() -> None:
    play = Play().opened("juliet")
    delay = f"<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2020-01-01T00:00:00Z'/>"
    play.juliet.sends(f"<message to='{ROOM}' type='groupchat'><body>now</body>{delay}</message>")
    play.nurse.joins(ROOM, "nurse")
    stamps = [
        [one.get("stamp") for one in stanza.element.iter("{urn:xmpp:delay}delay")]
        for person in (play.romeo, play.nurse)
        for stanza in person.messages
        if stanza.body
    ]
    assert stamps == [[], ["2026-01-05T00:00:00Z"]]


def test_a_subject_with_a_thread_is_that_of_the_message() -> None:
    play = Play().opened("juliet", changesubject="1")
    said = "<subject>no</subject><thread>t</thread>"
    play.juliet.sends(f"<message to='{ROOM}' type='groupchat'>{said}</message>")
    play.nurse.joins(ROOM, "nurse")
    assert [one.subject for one in play.nurse.messages] == [""]


def test_a_private_message_reaches_one_occupant_and_cannot_look_like_another() -> None:
    play = Play().opened("juliet", "nurse")
    claim = f"<x xmlns='{USER}'><invite from='{ROOM}'/><status code='110'/></x>"
    play.nurse.sends(
        f"<message from='{ROOM}/romeo' to='{ROOM}/juliet' type='chat'>"
        f"<body>I am the owner</body>{claim}</message>"
    )
    [message] = play.juliet.messages
    assert message.sender == f"{ROOM}/nurse"
    found = message.element.findall(f"{{{USER}}}x")
    assert len(found) == 1 and len(found[0]) == 0
    assert play.romeo.messages == []
    play.nurse.says(f"{ROOM}/nobody", "x")
    play.nurse.says(f"{ROOM}/juliet", "x", "groupchat")
    assert conditions(play.nurse) == ["item-not-found", "bad-request"]


@pytest.mark.parametrize(
    ("who", "juliet_may", "romeo_may"),
    [("participants", True, True), ("moderators", False, True), ("none", False, False)],
)
def test_the_room_says_who_may_send_private_messages(
    who: str, juliet_may: bool, romeo_may: bool
) -> None:
    play = Play().opened("juliet", allowpm=who)
    play.juliet.says(f"{ROOM}/romeo", "x")
    play.romeo.says(f"{ROOM}/juliet", "x")
    assert (conditions(play.juliet) == []) is juliet_may
    assert (conditions(play.romeo) == []) is romeo_may


def test_an_occupant_whose_client_is_gone_leaves() -> None:
    play = Play().opened("juliet")
    error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    play.juliet.sends(f"<message to='{ROOM}/romeo' type='error'>{error}</message>")
    assert list(play.nicks()) == ["romeo"]


# ── IQs ──────────────────────────────────────────────────────────────────────


def test_a_ping_to_oneself_says_whether_one_is_inside() -> None:
    play = Play().opened("juliet")
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    assert ask(play.juliet, ping, "get", f"{ROOM}/juliet").type == "result"
    play.nurse.comes()
    assert ask(play.nurse, ping, "get", f"{ROOM}/juliet").condition == "not-acceptable"
    assert ask(play.juliet, ping, "get", f"{ROOM}/nobody").condition == "item-not-found"
    info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    assert ask(play.nurse, info, "get", f"{ROOM}/juliet").condition == "bad-request"


def test_a_request_to_an_occupant_is_answered_by_their_client() -> None:
    play = Play().opened("juliet")
    client = bound(play.world, "nurse")
    join = f"<presence to='{ROOM}/nurse'><x xmlns='{MUC}'/></presence>"
    client.says(join.encode())
    version = "<query xmlns='jabber:iq:version'/>"
    play.juliet.sends(f"<iq type='get' id='v' to='{ROOM}/nurse'>{version}</iq>")
    asked = client.hears()
    assert f"from='{ROOM}/juliet'".encode() in asked and b"juliet@example.test" not in asked
    client.says(f"<iq type='result' id='v' to='{ROOM}/juliet'>{version}</iq>".encode())
    [answer] = [stanza for stanza in play.juliet.all if stanza.id == "v"]
    assert (answer.sender, answer.type) == (f"{ROOM}/nurse", "result")
    play.juliet.clear()
    client.says(f"<iq type='result' id='v' to='{ROOM}/juliet'/>".encode())
    assert play.juliet.all == [], "an answer that nobody awaits goes nowhere"


def test_two_occupants_may_ask_a_third_one_with_the_same_id() -> None:
    play = Play().opened("juliet")
    client = bound(play.world, "nurse")
    client.says(f"<presence to='{ROOM}/nurse'><x xmlns='{MUC}'/></presence>".encode())
    client.hears()
    for nick in ("romeo", "juliet"):
        request = "<query xmlns='jabber:iq:version'/>"
        play.actor(nick).sends(f"<iq type='get' id='1' to='{ROOM}/nurse'>{request}</iq>")
    asked = re.findall(rb"<iq from='([^']+)' to='[^']+' id='([^']+)'", client.hears())
    for to, id in asked:
        client.says(b"<iq type='result' id='%b' to='%b'/>" % (id, to))
    for nick in ("romeo", "juliet"):
        [answer] = [stanza for stanza in play.actor(nick).all if stanza.kind == "iq"]
        assert (answer.type, answer.id, answer.sender) == ("result", "1", f"{ROOM}/nurse")


def test_discovery_shows_the_service_the_rooms_and_what_kind_they_are() -> None:
    play = Play().opened("juliet", roomname="The hall", roomsecret="pw", membersonly="1")
    info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    items = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
    service = ask(play.juliet, info, "get", "conference.example.test")
    assert b"category='conference' type='text'" in service.to_bytes()
    listing = ask(play.juliet, items, "get", "conference.example.test").to_bytes()
    assert b"name='The hall'" in listing
    room = ask(play.juliet, info, "get").to_bytes()
    for feature in (
        b"muc_passwordprotected",
        b"muc_membersonly",
        b"muc_semianonymous",
        SID.encode(),
    ):
        assert feature in room
    assert f"{ROOM}/romeo".encode() in ask(play.juliet, items, "get").to_bytes()
    configure(play.romeo, publicroom="0")
    listing = ask(play.juliet, items, "get", "conference.example.test").to_bytes()
    assert b"<item" not in listing
    nowhere = ask(play.juliet, info, "get", "nowhere@conference.example.test")
    assert nowhere.condition == "item-not-found"


def test_without_the_extension_there_are_no_rooms() -> None:
    play = Play(off={"xmpp": ["rooms"]})
    play.romeo.joins(ROOM, "romeo")
    assert conditions(play.romeo) == ["remote-server-not-found"]


# ── moderators, admins, owners ───────────────────────────────────────────────


def test_a_kick_says_who_and_why() -> None:
    play = Play().opened("juliet", "nurse")
    kick = f"<item xmlns='{ADMIN}' nick='nurse' role='none'><reason>noise</reason></item>"
    assert admin(play.romeo, kick) == ""
    for actor, expected in ((play.juliet, ["307"]), (play.nurse, ["110", "307"])):
        [gone] = [stanza for stanza in actor.all if stanza.kind == "presence"]
        assert codes(gone) == expected and gone.type == "unavailable"
        inside = {child.tag.partition("}")[2]: child for child in item(gone)}
        assert inside["actor"].get("nick") == "romeo" and inside["reason"].text == "noise"
    play.nurse.joins(ROOM, "nurse")
    assert "nurse" in play.nicks(), "who was kicked may come again"


def test_a_ban_lasts() -> None:
    play = Play().opened("juliet", "nurse")
    assert admin(play.romeo, "jid='nurse@example.test' affiliation='outcast'") == ""
    [gone] = [stanza for stanza in play.juliet.all if stanza.kind == "presence"]
    assert codes(gone) == ["301"] and item(gone).get("affiliation") == "outcast"
    play.nurse.joins(ROOM, "nurse")
    assert conditions(play.nurse) == ["forbidden"]
    assert listed(play.romeo, "affiliation='outcast'") == ["nurse@example.test"]
    assert admin(play.romeo, "jid='nurse@example.test' affiliation='none'") == ""
    play.nurse.joins(ROOM, "nurse")
    assert "nurse" in play.nicks()


R, J, N = "romeo@example.test", "juliet@example.test", "nurse@example.test"


@pytest.mark.parametrize(
    ("who", "change", "condition"),
    [
        ("nurse", "nick='romeo' role='none'", "forbidden"),
        ("nurse", f"jid='{J}' affiliation='member'", "forbidden"),
        ("tybalt", f"jid='{J}' affiliation='owner'", "forbidden"),
        ("juliet", "nick='romeo' role='none'", "not-allowed"),
        ("juliet", "nick='romeo' role='visitor'", "not-allowed"),
        ("juliet", f"jid='{R}' affiliation='outcast'", "not-allowed"),
        ("juliet", f"jid='{N}' affiliation='admin'", "not-allowed"),
        ("juliet", f"jid='{J}' affiliation='outcast'", "conflict"),
        ("juliet", f"jid='{N}' affiliation='member'", ""),
        ("juliet", "nick='nurse' role='moderator'", ""),
        ("juliet", "nick='nurse' role='none'", ""),
        ("romeo", f"jid='{R}' affiliation='none'", "conflict"),
        ("romeo", "nick='nobody' role='none'", "item-not-found"),
        ("romeo", "nick='nurse' role='king'", "bad-request"),
        ("romeo", f"jid='{N}' affiliation='king'", "bad-request"),
        ("romeo", "jid='@' affiliation='member'", "bad-request"),
        ("romeo", f"jid='{N}' affiliation='owner'", ""),
        ("romeo", "nick='nurse' affiliation='member'", ""),
    ],
)
def test_each_may_change_what_its_affiliation_allows(who: str, change: str, condition: str) -> None:
    play = Play().opened("juliet", "nurse")
    assert admin(play.romeo, f"jid='{J}' affiliation='admin'") == ""
    before = play.nicks()
    assert admin(play.actor(who), change) == condition
    assert (play.nicks() == before) is (condition != ""), "a refused change changes nothing"


@pytest.mark.parametrize(
    "items",
    [
        (f"jid='{R}' affiliation='none'", f"jid='{J}' affiliation='member'"),
        (f"jid='{J}' affiliation='none'", "nick='romeo' affiliation='admin'"),
    ],
)
def test_owners_cannot_all_be_removed_at_once(items: tuple[str, ...]) -> None:
    play = Play().opened("juliet")
    assert admin(play.romeo, f"jid='{J}' affiliation='owner'") == ""
    assert admin(play.romeo, *items) == "conflict"
    assert listed(play.romeo, "affiliation='owner'") == [R, J]
    change = (f"jid='{R}' affiliation='none'", f"jid='{N}' affiliation='owner'")
    assert admin(play.romeo, f"jid='{J}' affiliation='none'") == ""
    assert admin(play.romeo, *change) == "", "another owner may come in the same request"


def test_a_change_is_of_a_role_or_of_an_affiliation() -> None:
    play = Play().opened("nurse")
    assert admin(play.romeo, f"jid='{N}' affiliation='member' role='visitor'") == "bad-request"
    assert play.nicks()["nurse"] == ("none", "participant")


def test_a_moderator_does_not_silence_those_above() -> None:
    play = Play().opened("juliet", "nurse")
    assert admin(play.romeo, "nick='juliet' role='moderator'") == ""
    assert admin(play.romeo, f"jid='{N}' affiliation='member'") == ""
    assert admin(play.juliet, "nick='nurse' role='visitor'") == "not-allowed"


def test_a_moderator_without_affiliation_appoints_nobody() -> None:
    play = Play().opened("juliet", "nurse")
    assert admin(play.romeo, "nick='juliet' role='moderator'") == ""
    assert admin(play.juliet, "nick='nurse' role='moderator'") == "forbidden"
    assert admin(play.juliet, "nick='nurse' role='visitor'") == ""
    assert listed(play.juliet, "role='visitor'") == [f"{N}/play"]
    assert listed(play.nurse, "role='visitor'") == "forbidden"
    assert listed(play.juliet, "affiliation='owner'") == "forbidden"


def test_of_several_changes_all_are_made_or_none() -> None:
    play = Play().opened("juliet", "nurse")
    items = (f"jid='{J}' affiliation='member'", "nick='nobody' role='none'")
    assert admin(play.romeo, *items) == "item-not-found"
    assert listed(play.romeo, "affiliation='member'") == []
    assert admin(play.romeo, items[0], f"jid='{N}' affiliation='admin'") == ""
    assert play.nicks()["nurse"] == ("admin", "moderator")
    assert admin(play.romeo) == "bad-request"


def test_a_room_that_becomes_for_members_only_keeps_the_members() -> None:
    play = Play().opened("juliet", "nurse")
    assert admin(play.romeo, f"jid='{J}' affiliation='member'") == ""
    play.clear()
    configure(play.romeo, membersonly="1")
    assert list(play.nicks()) == ["romeo", "juliet"]
    assert codes(play.nurse.all[-1]) == ["110", "322"]
    play.clear()
    assert admin(play.romeo, f"jid='{J}' affiliation='none'") == ""
    assert codes(play.juliet.all[-1]) == ["110", "321"]


def test_only_an_owner_configures_and_destroys() -> None:
    play = Play().opened("juliet")
    assert configure(play.juliet, membersonly="1") == "forbidden"
    destroy = f"<query xmlns='{OWNER}'><destroy jid='new@conference.example.test'/></query>"
    assert ask(play.juliet, destroy).condition == "forbidden"
    get = ask(play.romeo, f"<query xmlns='{OWNER}'/>", "get")
    assert b"muc#roomconfig_membersonly" in get.to_bytes()
    assert configure(play.romeo, whois="x") == "not-acceptable"
    assert ask(play.romeo, f"<query xmlns='{OWNER}'/>").condition == "bad-request"


@pytest.mark.parametrize(
    ("type", "form_type"), [("submit", f"{MUC}#register"), ("form", f"{MUC}#roomconfig")]
)
def test_a_form_that_is_for_something_else_configures_nothing(type: str, form_type: str) -> None:
    play = Play().opened()
    fields = "".join(
        f"<field var='{name}'><value>{value}</value></field>"
        for name, value in {"FORM_TYPE": form_type, "muc#roomconfig_membersonly": "1"}.items()
    )
    form = f"<x xmlns='jabber:x:data' type='{type}'>{fields}</x>"
    answer = ask(play.romeo, f"<query xmlns='{OWNER}'>{form}</query>")
    assert answer.condition == "bad-request"
    play.juliet.joins(ROOM, "juliet")
    assert list(play.nicks()) == ["romeo", "juliet"]


def test_a_room_that_is_destroyed_says_why_and_where_it_goes_on() -> None:
    play = Play().opened("juliet", persistentroom="1")
    inside = "<destroy jid='new@conference.example.test'><reason>moved</reason></destroy>"
    assert ask(play.romeo, f"<query xmlns='{OWNER}'>{inside}</query>").type == "result"
    [gone] = [stanza for stanza in play.juliet.all if stanza.kind == "presence"]
    destroy = gone.element.find(f"{{{USER}}}x/{{{USER}}}destroy")
    assert gone.type == "unavailable" and destroy is not None
    assert destroy.get("jid") == "new@conference.example.test"
    assert destroy.findtext(f"{{{USER}}}reason") == "moved"
    play.juliet.joins(ROOM, "juliet")
    assert play.nicks() == {"juliet": ("owner", "moderator")}


def test_who_cancels_the_first_configuration_has_no_room() -> None:
    play = Play()
    play.romeo.joins(ROOM, "romeo")
    form = "<x xmlns='jabber:x:data' type='cancel'/>"
    assert ask(play.romeo, f"<query xmlns='{OWNER}'>{form}</query>").type == "result"
    assert play.nicks() == {}


# ── invitations and registration ─────────────────────────────────────────────


def invite(actor: Actor, to: str, reason: str = "come") -> None:
    inside = f"<invite to='{to}'><reason>{reason}</reason></invite>"
    actor.sends(f"<message to='{ROOM}'><x xmlns='{USER}'>{inside}</x></message>")


def test_an_invitation_goes_through_the_room_and_can_be_declined() -> None:
    play = Play().opened("juliet", roomsecret="", membersonly="0")
    play.nurse.comes()
    play.nurse.clear()
    invite(play.juliet, N)
    [message] = play.nurse.messages
    found = message.element.find(f"{{{USER}}}x/{{{USER}}}invite")
    assert message.sender == ROOM and found is not None
    assert found.get("from") == f"{ROOM}/juliet", "the inviter is known by the nick"
    assert found.findtext(f"{{{USER}}}reason") == "come"
    decline = f"<decline to='{ROOM}/juliet'><reason>no</reason></decline>"
    play.nurse.sends(f"<message to='{ROOM}'><x xmlns='{USER}'>{decline}</x></message>")
    assert b"<decline from='nurse@example.test'><reason>no" in play.juliet.messages[-1].to_bytes()


def test_an_invitation_to_a_room_for_members_makes_a_member() -> None:
    play = Play().opened(membersonly="1", roomsecret="pw")
    admin(play.romeo, f"jid='{J}' affiliation='member'")
    play.juliet.joins(ROOM, "juliet", "pw")
    invite(play.juliet, N)
    assert conditions(play.juliet) == ["forbidden"]
    play.nurse.comes()
    invite(play.romeo, N)
    assert b"<password>pw</password>" in play.nurse.messages[-1].to_bytes()
    play.nurse.joins(ROOM, "nurse", "pw")
    assert play.nicks()["nurse"] == ("member", "participant")
    play.tybalt.comes()
    invite(play.tybalt, J)
    invite(play.romeo, "@")
    assert conditions(play.tybalt) == ["not-acceptable"]
    assert conditions(play.romeo) == ["jid-malformed"]


def register(actor: Actor, nick: str) -> str:
    field = f"<field var='muc#register_roomnick'><value>{nick}</value></field>"
    form = f"<x xmlns='jabber:x:data' type='submit'>{field}</x>"
    return ask(actor, f"<query xmlns='jabber:iq:register'>{form}</query>").condition


def own_nick(actor: Actor) -> list[str | None]:
    disco = "http://jabber.org/protocol/disco#info"
    answer = ask(actor, f"<query xmlns='{disco}' node='x-roomuser-item'/>", "get")
    return [one.get("name") for one in answer.element.iter(f"{{{disco}}}identity")]


def test_a_user_can_reserve_a_nick() -> None:
    play = Play().opened("juliet", "nurse")
    assert own_nick(play.juliet) == []
    assert register(play.juliet, "juliet") == "" and own_nick(play.juliet) == ["juliet"]
    assert play.nicks()["juliet"][0] == "member"
    shown = [item(one) for one in play.nurse.all if one.kind == "presence"]
    assert [one.get("affiliation") for one in shown] == ["member"], "the occupants learn it"
    form = ask(play.juliet, "<query xmlns='jabber:iq:register'/>", "get").element[0]
    assert form.findtext("{jabber:iq:register}username") == "juliet"
    assert register(play.nurse, "juliet") == "conflict"
    assert register(play.nurse, "") == "bad-request"
    play.juliet.goes()
    play.nurse.sends(f"<presence to='{ROOM}/juliet'/>")
    assert conditions(play.nurse)[-1] == "conflict", "it is reserved, too, while she is away"
    play.juliet.comes()
    assert ask(play.juliet, "<query xmlns='jabber:iq:register'><remove/></query>").type == "result"
    play.nurse.sends(f"<presence to='{ROOM}/juliet'/>")
    assert "juliet" in play.nicks()


@pytest.mark.parametrize("limit", ["room", "muc.inviting"])
def test_a_nick_is_not_reserved_if_there_are_too_many(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many users with an affiliation, or with a nick."""
    play = Play().opened("juliet", "nurse")
    assert register(play.nurse, "nurse") == ""
    monkeypatch.setattr(f"fakes.xmpp.{limit}.PEOPLE", {"room": 2, "muc.inviting": 1}[limit])
    assert register(play.juliet, "juliet") == "resource-constraint"
    assert own_nick(play.juliet) == [] and play.nicks()["juliet"][0] == "none"
    assert register(play.nurse, "angelica") == "" and own_nick(play.nurse) == ["angelica"]
    play.juliet.goes()
    play.nurse.sends(f"<presence to='{ROOM}/juliet'/>")
    assert "juliet" in play.nicks()


def test_a_ban_frees_the_nick_and_what_is_asked_at_unknown_nodes_is_refused() -> None:
    play = Play().opened("juliet", "nurse")
    assert register(play.juliet, "Juliet") == ""
    assert admin(play.romeo, f"jid='{J}' affiliation='outcast'") == ""
    assert admin(play.romeo, f"jid='{J}' affiliation='none'") == ""
    play.nurse.sends(f"<presence to='{ROOM}/Juliet'/>")
    assert "Juliet" in play.nicks()
    query = "<query xmlns='http://jabber.org/protocol/disco#info' node='{}'/>"
    found = [ask(play.nurse, query.format(one), "get").condition for one in (f"{MUC}#traffic", "x")]
    assert found == ["service-unavailable", "item-not-found"]


def test_who_has_an_account_closed_loses_what_it_was_in_rooms() -> None:
    play = Play().opened("juliet", persistentroom="1")
    admin(play.romeo, f"jid='{J}' affiliation='admin'")
    play.world.jabber.remove(J)
    assert listed(play.romeo, "affiliation='admin'") == []
    assert list(play.nicks()) == ["romeo"]


# ── large rooms ──────────────────────────────────────────────────────────────


def fill(play: Play, size: int) -> Room:
    """Lets users of another domain into the room: to enter one after the other costs the square."""
    extension = play.world.jabber.service.extensions.named("rooms")
    assert isinstance(extension, Rooms)
    room = extension._find(ROOM)
    assert room is not None
    play.world.jabber.service.dispatcher.other_domains.add("far.test")
    for number in range(size):
        sender = f"u{number}@far.test/x"
        room.enter(f"u{number}", f"u{number}@far.test", build_stanza("presence", sender=sender))
    return room


def leave(actor: Actor, nick: str) -> None:
    actor.sends(f"<presence to='{ROOM}/{nick}' type='unavailable'/>")


class Turns:
    """The turns of an event loop, in which a room with many occupants sends its stanzas."""

    def __init__(self, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
        self._waiting: list[Callable[[], None]] = []
        play.world.runtime.later = self._waiting.append
        self.made = 0  # stanzas for an occupant, or from one, in this turn
        replace = Stanza.replace

        def counts(stanza: Stanza, **changes: Any) -> Stanza:
            self.made += "to" in changes
            return replace(stanza, **changes)

        monkeypatch.setattr(Stanza, "replace", counts)

    def next(self) -> int:
        """Takes the next turn; returns how many were made in the last one."""
        made, self.made = self.made, 0
        waiting = self._waiting.copy()
        self._waiting.clear()
        for act in waiting:
            act()
        return made

    def all(self) -> list[int]:
        """Takes all turns; returns how many were made in each."""
        made = [self.next()]
        while self.made or self._waiting:
            made.append(self.next())
        return made


def test_what_a_large_room_sends_is_made_in_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    play, size = Play().opened("juliet"), 8 * SHARE
    fill(play, size)
    turns = Turns(play, monkeypatch)
    most = 4 * SHARE  # a stanza may be copied again on its way
    for act in (
        partial(play.juliet.says, ROOM, "hello", "groupchat"),
        partial(play.nurse.joins, ROOM, "nurse"),
        partial(leave, play.nurse, "nurse"),
    ):
        act()
        made = turns.all()
        assert sum(made) >= size and max(made) <= most and len(made) >= 3, made
    assert heard(play.romeo) == ["hello"]
    shown = presences(play.nurse)
    others = ["romeo", "juliet", *(f"u{number}" for number in range(size)), "nurse"]
    assert shown == [*((nick, None) for nick in others), ("nurse", "unavailable")]


def test_who_enters_a_large_room_learns_of_changes_before_all_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    play, size = Play().opened(), 3 * SHARE
    room = fill(play, size)
    play.juliet.joins(ROOM, "juliet")
    turns = Turns(play, monkeypatch)
    play.nurse.joins(ROOM, "nurse")
    assert "juliet" not in dict(presences(play.nurse))
    play.juliet.sends(f"<presence to='{ROOM}/july'/>")
    leave(play.romeo, "romeo")
    play.nurse.says(ROOM, "hello", "groupchat")
    leave(play.juliet, "july")
    turns.all()
    here = dict(presences(play.nurse))
    inside = {nick for nick, type in here.items() if type is None}
    assert inside == set(room.occupants) == {*(f"u{number}" for number in range(size)), "nurse"}
    # What was said before she left comes before her own leave.
    got = [(one.kind, one.type) for one in play.juliet.all][-3:]
    assert got[-2:] == [("message", "groupchat"), ("presence", "unavailable")]


@pytest.mark.slow
def test_a_message_for_ten_thousand_costs_as_much_as_for_each() -> None:
    def full(size: int) -> Callable[[], object]:
        play = Play().opened()
        fill(play, size)
        return partial(play.romeo.says, ROOM, "hello", "groupchat")

    found = factor(full, 10_000 // FACTOR)
    assert found <= FACTOR_MOST, f"eight times the occupants cost {found:.1f} times as much"
