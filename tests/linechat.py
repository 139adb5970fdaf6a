"""A chat protocol of one line per message: the smallest server that the package can serve.

`NAME romeo` signs on, `SAY juliet hello` is delivered to juliet as `romeo: hello`, `QUIT` leaves.
It shows what a new protocol costs (this file, and one line where the world is made), and the clock
of a rehearsal is tried on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fakes.descriptor import Port, Server
from fakes.wire import Refuse, Rule, Runtime, Unit, rule
from fakes.wire.lines import LineSession

LIMIT = 512  # bytes of a line


class Room:
    """The people who are signed on."""

    def __init__(self) -> None:
        self.people: dict[str, LineChat] = {}

    def deliver(self, sender: str, receiver: str, text: str) -> None:
        """Sends a message to the receiver's client, if there is one."""
        if receiver in self.people:
            self.people[receiver].send(f"{sender}: {text}\r\n".encode())


@dataclass(frozen=True)
class Policy:
    """How this server is configured."""

    welcome: str = "hello"


class LineChat(LineSession):
    """One person's connection. States: NEW, KNOWN (signed on)."""

    protocol: ClassVar[str] = "chat"
    states: ClassVar[str] = "NEW KNOWN"
    verbs: ClassVar[dict[str, Rule]] = {
        "NAME": rule("NEW", "chat §1", then="KNOWN"),
        "SAY": rule("KNOWN", "chat §2"),
        "QUIT": rule("NEW KNOWN", "chat §3"),
    }

    idle_timeout: ClassVar[float] = 0.0

    def __init__(
        self, runtime: Runtime, room: Room | None = None, policy: Policy | None = None
    ) -> None:
        super().__init__(runtime)
        self.room = room or Room()
        self.policy = policy or Policy()

    def next_unit(self) -> Unit | None:
        line = self.next_line(LIMIT)
        if line is None:
            return None
        if self.too_long:
            return Unit(line, "", refusal=Refuse("too long", "chat §4"))
        verb, _, arg = line[:-2].decode("utf-8", "replace").partition(" ")
        return Unit(line, verb, arg)

    def do_NAME(self, unit: Unit) -> None:
        self.user = unit.arg
        self.room.people[self.user] = self
        self.send(f"{self.policy.welcome}\r\n".encode())

    def do_SAY(self, unit: Unit) -> None:
        receiver, _, text = unit.arg.partition(" ")
        self.room.deliver(self.user, receiver, text)

    def do_QUIT(self, unit: Unit) -> None:
        self.close()

    def unknown(self, unit: Unit) -> Refuse:
        return Refuse("what?")

    def wrong_state(self, unit: Unit) -> Refuse:
        return Refuse("what?")

    def refused(self, refusal: Refuse) -> None:
        self.send(f"{refusal.reply}\r\n".encode())

    def scripted_reply(self, text: str) -> None:
        self.send(f"{text}\r\n".encode())

    def abandoned(self) -> None:
        self.room.people.pop(self.user, None)


SERVER = Server(
    name="chat",
    session=LineChat,
    ports=(Port("chat", 7000),),
    policy=Policy,
    table="chat",
)
