"""A user, and the client through which the network reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fakes.arrivals import keywords
from fakes.irc.lines import LINE, Line, encode
from fakes.irc.numerics import TEXTS

if TYPE_CHECKING:
    from fakes.irc.channels import Channel
    from fakes.irc.network import Irc
    from fakes.irc.policy import Policy

HOST_OF_PEOPLE = "people.test"  # of people who act by cues


@dataclass(frozen=True)
class Message:
    """A PRIVMSG, NOTICE or TAGMSG that the server has accepted, once per target."""

    at: float  # seconds since the epoch
    verb: str
    sender: str  # the nick
    account: str  # of the sender; "" if it is not logged in
    target: str
    raw: bytes
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text, decoded as UTF-8 if possible, else as Latin-1, as most clients do."""
        try:
            return self.raw.decode()
        except UnicodeDecodeError:
            return self.raw.decode("latin-1")

    def __str__(self) -> str:
        return f"{self.sender} → {self.target} ({self.verb}): {self.text!r}"


# The keywords of `wait_for` and the other waits.
CRITERIA = keywords(
    {
        "target": lambda message: [message.target],
        "sender": lambda message: [message.sender, message.account],
    },
    lambda message: message.text,
)


class User:
    """A user who is registered, or on the way: then it may have a nick and nothing else."""

    def __init__(self, client: Client, host: str, since: float) -> None:
        self.client = client
        self.nick = ""
        self.name = ""  # the user name, which begins with ~
        self.host = host
        self.real_name = ""
        self.account = ""  # "": not logged in
        self.away: str | None = None
        self.modes: set[str] = set()
        self.channels: dict[str, Channel] = {}  # folded name → channel, in order of arrival
        self.since = since  # when it registered, in seconds since the epoch
        self.active = since  # when it last sent a message
        self.secure = False  # the connection is inside TLS

    def __repr__(self) -> str:
        return f"<User {self.source}>"

    @property
    def source(self) -> str:
        """nick!user@host."""
        return f"{self.nick}!{self.name}@{self.host}"

    @property
    def target(self) -> str:
        """How numerics address the user: by its nick, or * before it has one."""
        return self.nick or "*"

    @property
    def is_operator(self) -> bool:
        """Whether the user is an operator of the network."""
        return "o" in self.modes


class Client:
    """Where the lines for a user go: a connection, or a person who acts by cues."""

    user: User
    network: Irc

    @property
    def policy(self) -> Policy:
        """How the server is configured."""
        return self.network.policy

    def has(self, capability: str) -> bool:
        """Whether the client has asked for a capability."""
        raise NotImplementedError

    def tell(self, line: Line) -> None:
        """Delivers a line, unless it needs a capability that the client has not asked for."""
        raise NotImplementedError

    def tell_apart(self, line: Line) -> None:
        """Delivers a line that is not part of the answer to the current command."""
        self.tell(line)

    def end(self, why: str) -> None:
        """The network has removed the user."""
        raise NotImplementedError

    def lose(self) -> None:
        """The connection is lost without the server noticing. A person has none."""

    def offered(self, capability: str, there: bool) -> None:
        """The server offers a capability from now on, or no longer."""

    def numeric(self, number: int, *words: str, text: str | None = None) -> None:
        """Sends a numeric reply; without a text, the usual one of its number, if it has one."""
        if text is None:
            text = TEXTS.get(number)
        line = Line(self.network.name, f"{number:03d}", (self.user.target, *words), text)
        self.tell(line)

    def numerics(self, number: int, *words: str, texts: list[str]) -> None:
        """Sends texts, separated by spaces, in as many numeric replies as they need."""
        target = self.user.target
        start = Line(self.network.name, f"{number:03d}", (target, *words), "").to_bytes({})
        line = ""
        for text in texts:
            if line and len(start) + len(encode(f"{line} {text}")) > LINE:
                self.numeric(number, *words, text=line)
                line = ""
            line = f"{line} {text}".lstrip()
        if texts:
            self.numeric(number, *words, text=line)

    def fail(self, verb: str, code: str, *context: str, text: str) -> None:
        """Sends a FAIL of standard-replies, which every client gets (IRCv3 standard-replies)."""
        self.tell(Line(self.network.name, "FAIL", (verb, code, *context), text))
