"""A session as the service sees it, and the `Door` through which the service reaches its user.

Nothing here knows frames. A TOC connection is one kind of door, an actor without a client another
(door.py, actors.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fakes.arrivals import keywords
from fakes.toc.lists import LIST_LIMIT, Lists, Permissions, fold, is_name

if TYPE_CHECKING:
    from fakes.toc.rooms import Room

HOUR = 3600.0  # seconds during which an IM allows its recipient to warn the sender
LEVEL = 100  # the highest warning level, and the most warnings one user may have left for another


class Unavailable(Exception):
    """Raised for unknown, offline and blocking users alike: a sender must not learn which it is."""


@dataclass
class Account:
    """A screen name, as its owner writes it, and what is stored for it."""

    screen_name: str
    password: str = "secret"
    lists: Lists = field(default_factory=Lists)
    warning: int = 0  # the "evil" of AOL's document, 0 to 100; it outlives the session
    profile: str = ""
    directory: tuple[str, ...] = ()


@dataclass(frozen=True)
class Im:
    """An instant message as it reached its recipient.

    Names are as their owners write them. `raw` is HTML in bytes.
    """

    at: float  # seconds since the epoch
    sender: str
    to: str
    raw: bytes
    auto: bool = False
    encoding: str = "L"  # A (ASCII), L (Latin-1) or U (UTF-8), the codes of TOC2's encoded forms
    language: str = "en"

    @property
    def text(self) -> str:
        """The HTML, decoded as UTF-8 if possible, else as Latin-1; most clients do not say."""
        try:
            return self.raw.decode()
        except UnicodeDecodeError:
            return self.raw.decode("latin-1")

    def __str__(self) -> str:
        return f"{self.sender} → {self.to}{' (auto)' if self.auto else ''}: {self.text!r}"


# The keywords of `wait_for` and the other waits.
CRITERIA = keywords(
    {"to": lambda im: [im.to], "sender": lambda im: [im.sender]}, lambda im: im.text
)


@dataclass(frozen=True)
class Status:
    """What the watchers of a user learn about it."""

    name: str
    online: bool = False
    warning: int = 0
    since: int = 0  # time of the sign-on, in seconds since the epoch
    idle: int = 0  # minutes
    away: bool = False
    capabilities: tuple[str, ...] = ()


class Door(Protocol):
    """How the service notifies a user."""

    def on_im(self, im: Im) -> bool:
        """An IM for the user. Returns False if it is too long for the user's client."""

    def on_status(self, status: Status) -> None:
        """The status of a user whom this one watches."""

    def on_warned(self, level: int, by: str) -> None:
        """The user was warned. `by` is "" if the warning was anonymous."""

    def on_typing(self, name: str, event: int) -> None:
        """`name` is typing to the user (2), has paused (1), or has cleared its text (0)."""

    def on_joined(self, room: Room) -> None:
        """The user has joined a room."""

    def on_left(self, room: Room) -> None:
        """The user has left a room."""

    def on_members(self, room: Room, inside: bool, names: list[str]) -> None:
        """`names` are in the room (True), or have left it (False)."""

    def on_room_message(self, room: Room, im: Im, whisper: bool) -> None:
        """A message in a room, to all members or to this user alone."""

    def on_invited(self, room: Room, by: str, text: str) -> None:
        """`by` invites the user to a room."""

    def on_replaced(self) -> None:
        """The same name has signed on again, so this session is over."""

    def on_message(self, message: str) -> None:
        """Any other message that a test sends, as TOC writes it."""

    def on_pause(self, seconds: float) -> None:
        """The server pauses this session; after that many seconds it begins again."""


class Presence:
    """One session of an account. While it is not `visible`, nobody sees it and it sees nobody."""

    def __init__(self, account: Account, door: Door, since: float, stored: bool) -> None:
        self.account = account
        self.door = door
        self.since = since  # seconds since the epoch
        self.visible = False
        self.away = ""  # the away message; "": not away
        self.idle_since: float | None = None
        self.capabilities: tuple[str, ...] = ()
        self.rooms: dict[int, Room] = {}
        self.cookie = ""  # admits the user to the pages over HTTP; created when first needed
        # True in TOC2: the stored lists are in force. In TOC 1.0 the client sends them again.
        self.stored = stored
        self._watched: dict[str, str] = {}
        self._permissions = Permissions()
        # For each user who may be warned: how many more times, and when its last IM came.
        self._warnings: dict[str, tuple[int, float]] = {}

    @property
    def name(self) -> str:
        """The screen name, as its owner writes it."""
        return self.account.screen_name

    @property
    def permissions(self) -> Permissions:
        """Who may see and reach the user: stored in TOC2, part of the session in TOC 1.0."""
        return self.account.lists.permissions if self.stored else self._permissions

    def allows(self, name: str) -> bool:
        """Whether `name` may see and reach the user. Users always see themselves."""
        if fold(name) == fold(self.name):
            return True
        return self.permissions.allows(name, buddy=name in self.account.lists)

    def status(self, now: float) -> Status:
        """What watchers learn at the time `now`."""
        return Status(
            name=self.name,
            online=True,
            warning=self.account.warning,
            since=int(self.since),
            idle=0 if self.idle_since is None else int((now - self.idle_since) // 60),
            away=bool(self.away),
            capabilities=self.capabilities,
        )

    # ── whom the user watches ────────────────────────────────────────────────

    @property
    def watched(self) -> list[str]:
        """The names that the user watches, each once."""
        stored = {fold(name): name for name in self.account.lists.buddies} if self.stored else {}
        return list({**stored, **self._watched}.values())

    def watches(self, name: str) -> bool:
        """Whether the user is notified of changes of this name."""
        return fold(name) in self._watched or (self.stored and name in self.account.lists)

    def watch(self, names: Iterable[str]) -> list[str]:
        """Watches these names. Returns those that were not watched before.

        Ignores invalid names, and all names once the list is full.
        """
        new = [name for name in names if is_name(name) and not self.watches(name)]
        for name in new[: LIST_LIMIT - len(self._watched)]:
            self._watched[fold(name)] = name
        return [name for name in new if self.watches(name)]

    def unwatch(self, names: Iterable[str]) -> None:
        """Stops watching these names."""
        for name in names:
            self._watched.pop(fold(name), None)

    # ── whom the user may warn ───────────────────────────────────────────────

    def record_im_from(self, name: str, now: float) -> None:
        """Allows one more warning of the sender of an IM, for an hour."""
        left, since = self._warnings.get(fold(name), (0, now))
        self._warnings[fold(name)] = (min(left + 1, LEVEL) if now - since < HOUR else 1, now)

    def use_warning(self, name: str, now: float) -> bool:
        """Uses one of the warnings that are left for this name; False if there is none."""
        left, since = self._warnings.get(fold(name), (0, now))
        if not left or now - since >= HOUR:
            return False
        self._warnings[fold(name)] = (left - 1, since)
        return True


def account_from(
    screen_name: str, password: str, buddies: Mapping[str, Iterable[str]], profile: str = ""
) -> Account:
    """Returns an account with its buddies in groups.

    Raises ValueError for a name that is not a screen name, and for more buddies than fit into one
    message.
    """
    if not is_name(screen_name):
        raise ValueError(
            f"screen_name: {screen_name!r} is not a screen name; write a name like OpsBot "
            "(Latin-1, no colon, at most 48 characters)"
        )
    account = Account(screen_name, password, profile=profile)
    for group, names in buddies.items():
        account.lists.groups[group] = {}
        for name in names:
            if not is_name(name):
                raise ValueError(
                    f"buddies of {screen_name}: {name!r} is not a screen name; "
                    'write { Admins = ["SysAdmin"] }'
                )
            account.lists.add_buddy(group, name)
    if account.lists.full:
        raise ValueError(
            f"buddies of {screen_name}: more than fit into one TOC message; "
            "give fewer than 8,185 bytes of names"
        )
    return account
