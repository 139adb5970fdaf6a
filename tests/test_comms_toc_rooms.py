"""The chat rooms that a client has joined."""

from __future__ import annotations

import pytest

from comms.errors import Refused
from comms.toc.rooms import Rooms


def test_a_room_is_found_by_its_name_and_by_its_id() -> None:
    rooms = Rooms()
    rooms.joined("7", "Ops Room")
    assert rooms.name("7") == "Ops Room"
    assert rooms.id("ops  room") == "7", "case and the number of spaces do not matter"
    assert list(rooms) == ["Ops Room"]


def test_a_room_that_was_left_is_not_found() -> None:
    rooms = Rooms()
    rooms.joined("7", "Ops Room")
    rooms.left("7")
    rooms.left("7")
    assert rooms.name("7") == "" and list(rooms) == []
    with pytest.raises(Refused, match="'Ops Room' was not joined; joined: none"):
        rooms.id("Ops Room")


def test_the_error_for_an_unknown_room_lists_the_joined_ones() -> None:
    rooms = Rooms()
    rooms.joined("7", "Ops")
    rooms.joined("8", "Dev")
    with pytest.raises(Refused, match="joined: Ops, Dev"):
        rooms.id("opsroom")
