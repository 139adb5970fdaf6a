"""Somebody who is signed on, and the door through which he is told things.

Nothing here knows frames: a TOC connection is one door, a person of the play (`actors.py`) another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fakes.toc.lists import LONGEST, Lists, Permissions, fold, is_name

if TYPE_CHECKING:
    from fakes.toc.rooms import Room

HOUR = 3600.0  # seconds for which an IM is good for a warning
LEVEL = 100  # no warning goes higher, and so many at most are owed


class Unavailable(Exception):
    """Somebody who is unknown, not on line, or does not let himself be seen: nobody is told which."""


@dataclass
class Account:
    """A screen name, in the form that its owner likes, and what is kept of it."""

    screen_name: str
    password: str = "secret"
    lists: Lists = field(default_factory=Lists)
    warning: int = 0  # the "evil" of AOL's document, 0 to 100; it outlives the session
    profile: str = ""
    directory: tuple[str, ...] = ()


@dataclass(frozen=True)
class Im:
    """An instant message as it reached somebody. Names are in their owner's form; `raw` is HTML in octets."""

    at: float
    sender: str
    to: str
    raw: bytes
    auto: bool = False
    encoding: str = "L"  # A (ASCII), L (Latin-1) or U (UTF-8), as the encoded forms of TOC2 say it
    language: str = "en"

    @property
    def text(self) -> str:
        """The HTML as text: UTF-8 if it can be, else Latin-1, since most forms do not say."""
        try:
            return self.raw.decode()
        except UnicodeDecodeError:
            return self.raw.decode("latin-1")

    def __str__(self) -> str:
        return f"{self.sender} → {self.to}{' (auto)' if self.auto else ''}: {self.text!r}"


@dataclass(frozen=True)
class Status:
    """What watchers are told of somebody."""

    name: str
    online: bool = False
    warning: int = 0
    since: int = 0  # when he signed on, in seconds since the epoch
    idle: int = 0  # minutes
    away: bool = False
    capabilities: tuple[str, ...] = ()


class Door(Protocol):
    """How somebody is told things."""

    def on_im(self, im: Im) -> None:
        """An IM for him."""

    def on_status(self, status: Status) -> None:
        """News of somebody whom he watches."""

    def on_warned(self, level: int, by: str) -> None:
        """He was warned, by nobody ("") if anonymously."""

    def on_typing(self, name: str, event: int) -> None:
        """Somebody types to him: 2; has typed and stopped: 1; has typed nothing: 0."""

    def on_joined(self, room: Room) -> None:
        """He is in the room now."""

    def on_left(self, room: Room) -> None:
        """He has left it."""

    def on_people(self, room: Room, inside: bool, names: list[str]) -> None:
        """These came into the room, or went."""

    def on_room_text(self, room: Room, im: Im, whisper: bool) -> None:
        """Something was said in the room."""

    def on_invited(self, room: Room, by: str, text: str) -> None:
        """He is asked to come."""

    def on_replaced(self) -> None:
        """The same name signed on again: this session is over."""

    def on_words(self, words: str) -> None:
        """Whatever else a test wants him to be told, as TOC writes it."""

    def on_pause(self, seconds: float) -> None:
        """The server moves him elsewhere: after so many seconds he begins anew."""


class Presence:
    """One session of an account. Until `visible`, nobody knows of it and it is told nothing."""

    def __init__(self, account: Account, door: Door, since: float, stored: bool) -> None:
        self.account = account
        self.door = door
        self.since = since
        self.visible = False
        self.away = ""  # the text that says so; "": he is not away
        self.idle_since: float | None = None
        self.capabilities: tuple[str, ...] = ()
        self.rooms: dict[int, Room] = {}
        self.cookie = ""  # admits him to the pages over HTTP; made when first needed
        self.stored = stored  # TOC2: the account's own lists are in force; in TOC 1.0 the client says them anew
        self._watched: dict[str, str] = {}
        self._permissions = Permissions()
        self._owed: dict[str, tuple[int, float]] = {}  # who may be warned: how often yet, and since when

    @property
    def name(self) -> str:
        """The screen name as its owner writes it."""
        return self.account.screen_name

    @property
    def permissions(self) -> Permissions:
        """Who may see and reach him: the account's in TOC2, the session's own in TOC 1.0."""
        return self.account.lists.permissions if self.stored else self._permissions

    def allows(self, name: str) -> bool:
        """Whether this one may see and reach him; one always sees oneself."""
        return fold(name) == fold(self.name) or self.permissions.allow(name, name in self.account.lists)

    def status(self, now: float) -> Status:
        """What watchers are told now."""
        idle = 0 if self.idle_since is None else int((now - self.idle_since) // 60)
        return Status(
            self.name, True, self.account.warning, int(self.since), idle, bool(self.away), self.capabilities
        )  # fmt: skip

    # ── whom he watches ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def watched(self) -> list[str]:
        """The names that he watches, each once."""
        stored = {fold(name): name for name in self.account.lists.buddies} if self.stored else {}
        return list({**stored, **self._watched}.values())

    def watches(self, name: str) -> bool:
        """Whether he is told of this one."""
        return fold(name) in self._watched or (self.stored and name in self.account.lists)

    def watch(self, names: Iterable[str]) -> list[str]:
        """From now on he is told of these; gives those that are new."""
        new = [name for name in names if is_name(name) and not self.watches(name)]
        for name in new[: LONGEST - len(self._watched)]:
            self._watched[fold(name)] = name
        return [name for name in new if self.watches(name)]

    def unwatch(self, names: Iterable[str]) -> None:
        """He is no longer told of these."""
        for name in names:
            self._watched.pop(fold(name), None)

    # ── whom he may warn ─────────────────────────────────────────────────────────────────────────────────────────

    def heard_from(self, name: str, now: float) -> None:
        """An IM came: it is good for one warning, for an hour."""
        owed, since = self._owed.get(fold(name), (0, now))
        self._owed[fold(name)] = (min(owed + 1, LEVEL) if now - since < HOUR else 1, now)

    def may_warn(self, name: str, now: float) -> bool:
        """Whether he may warn this one; if so, one warning less is left."""
        owed, since = self._owed.get(fold(name), (0, now))
        if not owed or now - since >= HOUR:
            return False
        self._owed[fold(name)] = (owed - 1, since)
        return True


def account_from(
    screen_name: str, password: str, buddies: Mapping[str, Iterable[str]], profile: str = ""
) -> Account:
    """Returns an account with its buddies in groups. Raises ValueError."""
    if not is_name(screen_name) or not _is_latin(screen_name):
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


def _is_latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)
