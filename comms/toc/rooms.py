"""The chat rooms that a client has joined."""

from __future__ import annotations

from collections.abc import Iterator

from comms.errors import Refused


class Rooms:
    """Rooms by the id that the server gave them. An id is only valid within one session."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def joined(self, id: str, name: str) -> None:
        """Records a room that the client has entered."""
        self._names[id] = name

    def left(self, id: str) -> None:
        """Forgets a room; an unknown one is ignored."""
        self._names.pop(id, None)

    def name(self, id: str) -> str:
        """Returns the name of a room, "" if it was not joined."""
        return self._names.get(id, "")

    def id(self, name: str) -> str:
        """Returns the id of a room by its name. Case and the number of spaces do not matter.

        Raises Refused if it was not joined.
        """
        for id, known in self._names.items():
            if known.casefold().split() == name.casefold().split():
                return id
        joined = ", ".join(self) or "none"
        raise Refused(f"the chat room {name!r} was not joined; joined: {joined}")

    def __iter__(self) -> Iterator[str]:
        """Iterates over the names, in the order of joining."""
        return iter(list(self._names.values()))
