"""Chat rooms. They exist while somebody is in them."""

from __future__ import annotations

from itertools import count

from fakes.toc.presence import Im, Presence

EXCHANGE = "4"  # the only one that clients ask for
ROOMS = 100  # that one person may be in at once


class Room:
    """One room and who is in it, in order of arrival."""

    def __init__(self, number: int, name: str, key: str) -> None:
        self.number = number
        self.name = name  # as whoever came first wrote it
        self.key = key
        self.people: list[Presence] = []

    def say(self, im: Im) -> None:
        """Tells everybody, who said it included."""
        for person in list(self.people):
            person.door.on_room_text(self, im, whisper=False)


class Rooms:
    """All rooms."""

    def __init__(self) -> None:
        self._numbers = count(1)  # 0 is "not found" to one client
        self._by_name: dict[str, Room] = {}
        self._by_number: dict[int, Room] = {}

    def numbered(self, number: str) -> Room | None:
        """The room with this number, as a client writes it."""
        return self._by_number.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 12 else None

    def named(self, name: str) -> Room | None:
        """The room of this name, opened if need be; None for what cannot be a name.

        Names compare without regard to case and to how many blanks part the words.
        """
        key = " ".join(word for word in name.lower().split(" ") if word)
        if not key or ":" in name or not name.isprintable():  # CHAT_INVITE has a field behind it
            return None
        if key not in self._by_name:
            room = Room(next(self._numbers), name, key)
            self._by_name[key] = self._by_number[room.number] = room
        return self._by_name[key]

    def join(self, room: Room, person: Presence) -> bool:
        """Somebody comes in; the first news he has of the others lists himself too. False when he is in too many."""
        new = person not in room.people
        if new and len(person.rooms) >= ROOMS:
            self._forget_if_empty(room)
            return False
        person.door.on_joined(room)
        if new:
            for other in list(room.people):
                other.door.on_people(room, True, [person.name])
            room.people.append(person)
            person.rooms[room.number] = room
        person.door.on_people(room, True, [other.name for other in room.people])
        return True

    def leave(self, room: Room, person: Presence) -> None:
        """Somebody goes, by himself or because his session is over."""
        room.people.remove(person)
        del person.rooms[room.number]
        for other in list(room.people):
            other.door.on_people(room, False, [person.name])
        self._forget_if_empty(room)

    def _forget_if_empty(self, room: Room) -> None:
        if not room.people:
            del self._by_number[room.number], self._by_name[room.key]
