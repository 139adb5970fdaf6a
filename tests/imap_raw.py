"""A client of the IMAP core without a socket, which sends raw commands and reads raw answers."""

from __future__ import annotations

from fakes.imap.session import Imap
from fakes.wire import Facts
from fakes.world import World
from tests.bare_core import ask, drain

ALICE = "alice@example.test"
LOGIN = b"l LOGIN alice secret\r\n"
MAIL = b"From: Bob <bob@example.org>\r\nSubject: one\r\n\r\nhello\r\n"


def imap_world(**config: object) -> World:
    """Returns a world with IMAP that runs no loop."""
    return World({"servers": ["smtp", "pop3", "imap"], **config}, rehearsal=True)


class Raw:
    """A connection to the core. `number` is that of the session, `select` what to select first."""

    def __init__(self, world: World, number: int = 1, select: str = "") -> None:
        session = world.core("imap")
        assert isinstance(session, Imap)
        self.session = session
        session.opened(Facts(number))
        self.greeting = drain(session)
        if select:
            assert self.ask("LOGIN alice secret").endswith("Logged in")
            assert " OK [READ-" in self.ask(f"SELECT {select}")

    def send(self, data: bytes) -> bytes:
        """Sends bytes, and returns what comes back."""
        return ask(self.session, data)

    def ask(self, command: str) -> str:
        """Sends a command without its tag, and returns all that comes back, without final CRLF."""
        raw = f"t {command}\r\n".encode("utf-8", "surrogateescape")
        return self.send(raw).decode("utf-8", "surrogateescape").removesuffix("\r\n")

    def lines(self, command: str) -> list[str]:
        """Sends a command, and returns the lines that come back; `t OK` is without its text."""
        lines = self.ask(command).split("\r\n")
        return [" ".join(line.split(" ")[:2]) if line[:2] == "t " else line for line in lines]

    def status(self, command: str) -> str:
        """Sends a command, and returns OK, NO or BAD, with a response code if there is one."""
        words = self.ask(command).split("\r\n")[-1].removeprefix("t ")
        status, _, text = words.partition(" ")
        return f"{status} {text[: text.index(']') + 1]}" if text.startswith("[") else status

    def news(self) -> list[str]:
        """Returns the lines that came without being asked for."""
        return drain(self.session).decode().split("\r\n")[:-1]


def selected(count: int = 2, **config: object) -> tuple[World, Raw]:
    """Returns a world and a client that has selected an INBOX with that many mails."""
    world = imap_world(**config)
    inbox = world.mail.folder(ALICE)
    for _ in range(count):
        inbox.deliver(MAIL)
    return world, Raw(world, select="INBOX")
