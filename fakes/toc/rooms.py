"""Chat rooms. A room exists while it has members."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from fakes.toc.frames import COMMAND_LIMIT
from fakes.toc.presence import Im, Presence
from fakes.toc.text import is_latin

EXCHANGE = "4"  # the only exchange that clients ask for
ROOMS = 100  # how many rooms one user may be in at the same time
# Bytes of a room's name: as long as a command can be by default, and much less than a message can.
NAME_LIMIT = COMMAND_LIMIT


class Room:
    """A room and its members, in order of arrival."""

    def __init__(self, number: int, name: str, key: str) -> None:
        self.number = number
        self.name = name  # as its first member wrote it
        self.key = key
        self.members: list[Presence] = []

    @property
    def names(self) -> list[str]:
        """The names of its members."""
        return [member.name for member in self.members]

    def say(self, im: Im) -> None:
        """Sends a message to all members, the sender included."""
        for member in list(self.members):
            member.door.on_room_message(self, im, whisper=False)


class Rooms:
    """All rooms."""

    def __init__(self) -> None:
        self._numbers = count(1)  # to one client, 0 means "not found"
        self._by_name: dict[str, Room] = {}
        self._by_number: dict[int, Room] = {}

    def __iter__(self) -> Iterator[Room]:
        return iter(self._by_name.values())

    def find(self, number: str) -> Room | None:
        """Returns the room with this number, as a client writes it; None if it does not exist."""
        if number.isascii() and number.isdigit() and len(number) < 12:
            return self._by_number.get(int(number))
        return None

    def open(self, name: str) -> Room | None:
        """Returns the room of this name, created if needed; None if it cannot be a name.

        Names are compared without regard to case and to the number of spaces between words.
        """
        key = _key(name)
        # In CHAT_INVITE another field follows the name, so it may not hold a colon.
        if not key or ":" in name or not name.isprintable() or not is_latin(name):
            return None
        if len(name) > NAME_LIMIT:
            return None
        if key not in self._by_name:
            room = Room(next(self._numbers), name, key)
            self._by_name[key] = self._by_number[room.number] = room
        return self._by_name[key]

    def named(self, name: str) -> Room | None:
        """Returns the room of this name; None if it does not exist."""
        return self._by_name.get(_key(name))

    def join(self, room: Room, user: Presence) -> bool:
        """Adds a user to a room; False if the user is in too many rooms.

        The member list sent on joining includes the new member.
        """
        new = user not in room.members
        if new and len(user.rooms) >= ROOMS:
            self._close_if_empty(room)
            return False
        user.door.on_joined(room)
        if new:
            for other in list(room.members):
                other.door.on_members(room, True, [user.name])
            room.members.append(user)
            user.rooms[room.number] = room
        user.door.on_members(room, True, room.names)
        return True

    def leave(self, room: Room, user: Presence) -> None:
        """Removes a user from a room, by its own command or because its session is over."""
        room.members.remove(user)
        del user.rooms[room.number]
        for other in list(room.members):
            other.door.on_members(room, False, [user.name])
        self._close_if_empty(room)

    def _close_if_empty(self, room: Room) -> None:
        if not room.members:
            del self._by_number[room.number], self._by_name[room.key]


def _key(name: str) -> str:
    return " ".join(word for word in name.lower().split(" ") if word)
