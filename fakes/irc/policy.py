"""How the server is configured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Policy:
    """The keys of the world file's `[irc]` table. `off` names capabilities that are missing."""

    name: str = ""  # of the server; by default irc. and the first domain
    password: str = ""  # that every client must send by PASS
    oper: tuple[str, ...] = ()  # NAME:PASSWORD of each operator
    casemapping: Literal["rfc1459", "ascii"] = "rfc1459"
    motd: str = ""  # the message of the day, with \n between its lines
    locked: tuple[str, ...] = ()  # accounts that cannot log in
    cut: bool = False  # a line that is too long is cut, not refused
    utf8only: bool = False  # a line that is not UTF-8 is refused
    notices: bool = False  # the server greets with notices before anything is sent
    cookie: bool = False  # a PING must be answered before the welcome
    sasl_once: bool = False  # a second login is refused (907)
    nickserv: bool = True  # NickServ answers
    flood: bool = False  # a client that sends too fast waits, and then has to go
    registration: float = 60.0  # seconds until the client must have sent what the welcome needs
    ping: float = 120.0  # seconds of silence before the server sends a PING
    pong: float = 60.0  # seconds that the answer may take
    off: frozenset[str] = frozenset()
