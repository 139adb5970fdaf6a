"""Chat rooms: their names, their members, and who is notified of what."""

from __future__ import annotations

import pytest

from fakes.toc import Actor, Aim, Im
from fakes.toc.presence import Presence
from fakes.toc.rooms import ROOMS, Room, Rooms


def user(aim: Aim, name: str) -> tuple[Presence, Actor]:
    """Returns a session, and the actor who is notified of what happens."""
    actor = aim.actor(name)
    actor.signs_on()
    (presence,) = aim.sessions.of(name)
    return presence, actor


def opened(rooms: Rooms, name: str) -> Room:
    room = rooms.open(name)
    assert room is not None
    return room


def test_names_are_compared_without_regard_to_case_and_to_repeated_spaces() -> None:
    rooms = Rooms()
    lobby = opened(rooms, "The  Lobby")
    assert rooms.open("the lobby ") is lobby
    assert rooms.open("thelobby") is not lobby
    assert lobby.name == "The  Lobby", "as its first member wrote it"


@pytest.mark.parametrize("name", ["", "  ", "a:b", "a\nb"])
def test_a_name_needs_printable_characters_and_no_colon(name: str) -> None:
    assert Rooms().open(name) is None


@pytest.mark.parametrize("number", ["", "0", "2", "-1", "x", "1" * 12, "\u0661"])
def test_a_number_that_no_room_has_is_not_found(number: str) -> None:
    rooms = Rooms()
    lobby = opened(rooms, "lobby")
    assert rooms.find("1") is lobby and rooms.find(number) is None


def test_members_are_notified_of_those_who_join_speak_and_leave() -> None:
    aim = Aim()
    lobby = opened(aim.rooms, "lobby")
    (alice, alices_actor), (bob, bobs_actor) = user(aim, "Alice"), user(aim, "Bob")
    assert aim.rooms.join(lobby, alice) and aim.rooms.join(lobby, bob)
    lobby.say(Im(0.0, "Alice", "lobby", b"hi"))
    aim.rooms.leave(lobby, bob)
    assert alices_actor.notices == [
        "joined lobby",
        "in lobby: Alice",
        "in lobby: Bob",
        "out of lobby: Bob",
    ]
    assert bobs_actor.notices == ["joined lobby", "in lobby: Alice, Bob"]
    assert [im.text for im in alices_actor.heard] == [im.text for im in bobs_actor.heard] == ["hi"]
    assert lobby.members == [alice] and list(alice.rooms.values()) == [lobby] and not bob.rooms


def test_joining_twice_lists_the_members_again_and_notifies_nobody_else() -> None:
    aim = Aim()
    lobby = opened(aim.rooms, "lobby")
    (alice, alices_actor), (bob, bobs_actor) = user(aim, "Alice"), user(aim, "Bob")
    for member in (alice, bob, bob):
        assert aim.rooms.join(lobby, member)
    assert alices_actor.notices == ["joined lobby", "in lobby: Alice", "in lobby: Bob"]
    assert bobs_actor.notices == ["joined lobby", "in lobby: Alice, Bob"] * 2
    assert lobby.members == [alice, bob]


def test_a_room_without_members_ends_and_its_number_is_not_used_again() -> None:
    aim = Aim()
    lobby = opened(aim.rooms, "lobby")
    alice, _ = user(aim, "Alice")
    aim.rooms.join(lobby, alice)
    aim.rooms.leave(lobby, alice)
    assert aim.rooms.find("1") is None
    again = opened(aim.rooms, "lobby")
    assert again is not lobby and again.number == 2


def test_a_user_may_be_in_a_hundred_rooms_and_no_more() -> None:
    aim = Aim()
    alice, actor = user(aim, "Alice")
    for number in range(ROOMS):
        assert aim.rooms.join(opened(aim.rooms, f"room {number}"), alice)
    before = actor.notices
    assert not aim.rooms.join(opened(aim.rooms, "one more"), alice)
    assert actor.notices == before
    assert aim.rooms.find(str(ROOMS + 1)) is None, "it ends, because it is empty"
