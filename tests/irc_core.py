"""A world of IRC without sockets: cores whose shell is the test."""

from __future__ import annotations

from typing import Any

from fakes import World
from fakes.irc.session import IrcSession
from fakes.wire import Facts
from tests.bare_core import ask, drain


class Bench:
    """A world in which the test opens connections, named in the order in which they come."""

    def __init__(self, **switches: Any) -> None:
        config = {"servers": ["irc"], "irc": switches, "tls": "off"}
        self.world = World(config, rehearsal=True)
        self.irc = self.world.irc
        self._count = 0
        self._cores: list[IrcSession] = []

    def core(self) -> IrcSession:
        """A connection that has sent nothing yet."""
        self._count += 1
        core = self.world.core("irc")
        assert isinstance(core, IrcSession)
        core.opened(Facts(self._count))
        self._cores.append(core)
        return core

    def registered(self, nick: str, *capabilities: str) -> IrcSession:
        """A connection after the welcome."""
        core = self.core()
        if capabilities:
            ask(core, f"CAP REQ :{' '.join(capabilities)}\r\n".encode())
        ask(core, f"NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\nCAP END\r\n".encode())
        assert core.state == "ON"
        return core

    def passes(self, seconds: float) -> None:
        """Lets time pass."""
        self.world.clock.skip(seconds)
        self.world.run_timers()
        for core in self._cores:
            core.tick()


def says(core: IrcSession, *lines: str) -> list[str]:
    """Sends lines and returns the lines of the answer."""
    raw = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")
    return ask(core, raw).decode("utf-8", "surrogateescape").split("\r\n")[:-1]


def hears(core: IrcSession) -> list[str]:
    """Returns the lines that have come by themselves."""
    return drain(core).decode("utf-8", "surrogateescape").split("\r\n")[:-1]


def numerics(lines: list[str]) -> list[str]:
    """Returns the verbs or numerics of lines."""
    return [line.partition(" ")[2].split()[0] for line in lines]
