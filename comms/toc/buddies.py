"""Buddies: their status, and the list of them that the server keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import total_ordering
from typing import TYPE_CHECKING, TypeVar

from comms.suggest import did_you_mean
from comms.toc.messages import Message, argument, escape, normalize, number

if TYPE_CHECKING:
    from comms.toc.client import Client

# What a buddy may change to. `online` is the change from offline to any of the other ones.
STATUSES = ("available", "online", "idle", "away", "offline")

_Handler = TypeVar("_Handler", bound=Callable[[], object])


@dataclass(frozen=True)
class Presence:
    """The content of an UPDATE_BUDDY.

    `idle` is in whole minutes, `signed_on` in seconds since the epoch.
    """

    name: str
    online: bool
    warning_level: int
    signed_on: float
    idle: int
    away: bool

    @property
    def status(self) -> str:
        """offline, away, idle or available. Away takes precedence over idle."""
        if not self.online:
            return "offline"
        return "away" if self.away else "idle" if self.idle > 0 else "available"


def read_presence(message: Message) -> Presence:
    """Returns the content of an UPDATE_BUDDY. Raises ValueError if a number is not one."""
    return Presence(
        message["name"],
        message["online"] == "T",
        number(message["evil"]),
        float(number(message["signon"])),
        number(message["idle"]),
        message["class"][2:3] == "U",  # the third character; the second is about the account
    )


@total_ordering
class Buddy:
    """Another user. Compared by normalized name: `Bob Smith` and `bobsmith` are equal."""

    def __init__(self, client: Client, screen_name: str) -> None:
        self._client = client
        self.screen_name = screen_name
        self.status = "offline"
        self.warning_level = 0  # 0 to 100
        self.idle_time = 0  # minutes
        self.last_signon: float | None = None  # seconds since the epoch
        self.handlers: dict[str, list[Callable[[], object]]] = {}

    @property
    def name(self) -> str:
        """The screen name as servers compare it."""
        return normalize(self.screen_name)

    @property
    def is_online(self) -> bool:
        """Whether it is signed on, with any status."""
        return self.status != "offline"

    @property
    def is_idle(self) -> bool:
        """Whether it has been idle for at least a minute. It may be away as well."""
        return self.idle_time > 0

    def on_status(self, *statuses: str) -> Callable[[_Handler], _Handler]:
        """Decorator: the function is called when this buddy changes to one of the `STATUSES`.

        It gets no arguments. A sign-on is first `online`, and then the status that it came with.
        The buddy is watched from now on, whether or not it is on the stored list. Raises ValueError
        for an unknown status, and for a screen name that is too long for a command.
        """
        for status in statuses:
            if status not in STATUSES:
                hint = did_you_mean(status, STATUSES)
                raise ValueError(
                    f"unknown status {status!r}{hint}; known statuses: {', '.join(STATUSES)}"
                )

        def register(handler: _Handler) -> _Handler:
            for status in statuses:
                self.handlers.setdefault(status, []).append(handler)
            self._client.watch(self)
            return handler

        return register

    def send_im(self, text: str, auto_response: bool = False) -> bool:
        """Sends an IM; see `Client.send_im`."""
        return self._client.send_im(self, text, auto_response)

    def warn(self, anonymous: bool = False) -> None:
        """Warns the user: the higher the warning level, the slower they may send messages.

        Raises Refused (902) if that is not allowed, and what `Client.warn` raises.
        """
        self._client.warn(self, anonymous)

    def update(self, news: Presence) -> list[str]:
        """Updates the buddy. Returns the statuses that it has changed to, in order."""
        self.screen_name = news.name  # as its owner writes it
        former, self.status = self.status, news.status
        self.warning_level, self.idle_time = news.warning_level, news.idle
        self.last_signon = news.signed_on or self.last_signon
        if self.status == former:
            return []
        return ["online", self.status] if former == "offline" else [self.status]

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, Buddy) else NotImplemented

    def __lt__(self, other: Buddy) -> bool:
        return self.name < other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.screen_name

    def __repr__(self) -> str:
        return f"<Buddy {self.screen_name}: {self.status}>"


class BuddyList:
    """The buddies in their groups, as the server keeps them, and all others in use."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, Buddy] = {}
        self.groups: dict[str, list[Buddy]] = {}

    def buddy_named(self, name: str) -> Buddy:
        """Returns the buddy of this name, known or not. Raises ValueError if it is empty."""
        if not normalize(name):
            raise ValueError(f"{name!r} is not a screen name; write at least one character")
        return self._known.setdefault(normalize(name), Buddy(self._client, name))

    def remember(self, buddy: Buddy) -> None:
        """Adds a buddy that is on no list.

        Users who only send a message are not remembered, so that strangers cannot fill the memory.
        """
        self._known.setdefault(buddy.name, buddy)

    def find(self, name: str) -> Buddy | None:
        """Returns the buddy of this name, None if it is not known."""
        return self._known.get(normalize(name))

    def add_group(self, group: str) -> None:
        """Adds a group to the server's list. Raises ValueError, Unreachable."""
        if group not in self.groups:
            self._client.send_command(f"toc2_new_group {argument(_checked(group))}")
            self.groups[group] = []

    def add_buddy(self, group: str, name: str) -> Buddy:
        """Adds a buddy to the server's list, and the group if necessary.

        Raises ValueError, Unreachable.
        """
        buddy = self.buddy_named(_checked(name))
        if buddy not in self.groups.get(group, ()):
            entries = escape(f"g:{_checked(group)}\nb:{buddy.name}\n")
            self._client.send_command(f"toc2_new_buddies {{{entries}}}")
            self.groups.setdefault(group, []).append(buddy)
        return buddy

    def remove_buddy(self, group: str, name: str) -> None:
        """Removes a buddy from the server's list.

        Raises KeyError if it is not in that group, Unreachable.
        """
        buddy = self.buddy_named(name)
        if buddy not in self.groups.get(group, ()):
            raise KeyError(f"{name} is not in group {group!r}")
        self._client.send_command(f"toc2_remove_buddy {argument(buddy.name)} {argument(group)}")
        self.groups[group].remove(buddy)

    def update(self, text: str) -> None:
        """Replaces the groups by the list that the server sends after the sign-on.

        Lines of CONFIG2 are like `g:Friends`, those of CONFIG like `g Friends`.
        """
        self.groups = {}
        group = "Buddies"
        for line in text.split("\n"):
            kind, value = line[:1], line[2:].split(":")[0].strip()
            if kind == "g" and value:
                group = value
                self.groups.setdefault(group, [])
            elif kind == "b" and normalize(value):
                self.groups.setdefault(group, []).append(self.buddy_named(value))

    def __iter__(self) -> Iterator[Buddy]:
        return iter(list(self._known.values()))

    def __str__(self) -> str:
        lines: list[str] = []
        for group, buddies in self.groups.items():
            lines += [f"== {group} ==", *(f" * {buddy}" for buddy in buddies)]
        return "\n".join(lines)


def _checked(text: str) -> str:
    """Returns a name that a line of the list can hold. Raises ValueError for any other one."""
    if not text.strip() or any(c in text for c in ":\r\n"):
        raise ValueError(
            f"{text!r} cannot be on a buddy list; write at least one character, "
            "and neither colons nor line breaks"
        )
    return text
