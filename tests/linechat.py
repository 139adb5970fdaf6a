"""The smallest possible chat server, one line per message, to test the clock's barrier with.

`NAME romeo` signs on. `SAY juliet hello` is delivered to juliet as `romeo: hello`, at once.
"""

from __future__ import annotations

from typing import ClassVar

from fakes.wire import Kit, Refuse, Rule, Session, Unit, rule


class Room:
    """The users who are signed on."""

    def __init__(self) -> None:
        self.people: dict[str, LineChat] = {}

    def says(self, sender: str, receiver: str, text: str) -> None:
        """Sends a line to a user, from a cue or from another session."""
        if receiver in self.people:
            self.people[receiver].send(f"{sender}: {text}\r\n".encode())


class LineChat(Session):
    """The connection of one user."""

    protocol: ClassVar[str] = "chat"
    verbs: ClassVar[dict[str, Rule]] = {"NAME": rule("NEW", "§1"), "SAY": rule("KNOWN", "§2")}

    def __init__(self, kit: Kit, room: Room) -> None:
        super().__init__(kit)
        self.room = room
        self.state = "NEW"

    def next_unit(self) -> Unit | None:
        line, end, rest = bytes(self._in).partition(b"\r\n")
        if not end:
            return None
        self._in[:] = rest
        verb, _, arg = line.decode().partition(" ")
        return Unit(line + end, verb, arg)

    def do_NAME(self, unit: Unit) -> None:
        self.user, self.state = unit.arg, "KNOWN"
        self.room.people[self.user] = self
        self.send(b"hello\r\n")

    def do_SAY(self, unit: Unit) -> None:
        receiver, _, text = unit.arg.partition(" ")
        self.room.says(self.user, receiver, text)

    def unknown(self, unit: Unit) -> Refuse:
        return Refuse("what?")

    misplaced = unknown

    def refused(self, refusal: Refuse) -> None:
        self.send(f"{refusal.reply}\r\n".encode())

    def said_instead(self, text: str) -> None:
        self.send(f"{text}\r\n".encode())

    def abandoned(self) -> None:
        self.room.people.pop(self.user, None)
