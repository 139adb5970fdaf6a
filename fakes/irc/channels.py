"""A channel: its members, its modes and its lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fakes.irc.names import matches
from fakes.irc.users import User

LISTS = "beI"  # bans, exceptions to them, and exceptions to +i
FLAGS = "imnst"
LIST_LENGTH = 100  # of all lists together
PREFIXES = {"o": "@", "v": "+"}


@dataclass
class Member:
    """A user in a channel: `modes` are among o and v."""

    user: User
    modes: set[str] = field(default_factory=set)

    def prefix(self, multi: bool) -> str:
        """The signs before the nick: all of them for a client that knows multi-prefix."""
        signs = "".join(sign for mode, sign in PREFIXES.items() if mode in self.modes)
        return signs if multi else signs[:1]


@dataclass(frozen=True)
class Entry:
    """An entry of a list: the mask, who has set it, and when."""

    mask: str
    setter: str
    at: float


class Channel:
    """A channel. It exists while it has members."""

    def __init__(self, name: str, created: float, casemapping: str) -> None:
        self.name = name  # as it was created
        self.created = created
        self.topic = ""
        self.topic_by = ""
        self.topic_at = 0.0
        self.modes: set[str] = {"n", "t"}
        self.key = ""
        self.limit = 0  # 0: none
        self.lists: dict[str, list[Entry]] = {letter: [] for letter in LISTS}
        self.invited: dict[User, None] = {}  # a set, in order
        self._members: dict[User, Member] = {}
        self._casemapping = casemapping

    def __repr__(self) -> str:
        return f"<Channel {self.name} {' '.join(self.members)}>"

    # ── members ──────────────────────────────────────────────────────────────

    @property
    def members(self) -> list[str]:
        """The nicks, in order of arrival, with @ and + before those who have it."""
        return [member.prefix(True) + member.user.nick for member in self._members.values()]

    @property
    def users(self) -> list[User]:
        """The users, in order of arrival."""
        return list(self._members)

    @property
    def invitations(self) -> list[str]:
        """The nicks of those who are invited and have not joined yet."""
        return [user.nick for user in self.invited]

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, user: User) -> bool:
        return user in self._members

    def member(self, user: User) -> Member | None:
        """Returns a user as a member, None if it is not inside."""
        return self._members.get(user)

    def add(self, user: User) -> None:
        """Lets a user in; the first one is operator."""
        self._members[user] = Member(user, set() if self._members else {"o"})
        self.invited.pop(user, None)

    def remove(self, user: User) -> None:
        """Removes a user."""
        self._members.pop(user, None)
        self.invited.pop(user, None)

    def is_operator(self, user: User) -> bool:
        """Whether a user is operator of this channel."""
        member = self._members.get(user)
        return member is not None and "o" in member.modes

    # ── modes ────────────────────────────────────────────────────────────────

    def mode_words(self, inside: bool) -> list[str]:
        """Returns the modes as MODE shows them; only members see key and limit."""
        letters = "".join(letter for letter in FLAGS if letter in self.modes)
        words = []
        if self.key:
            letters += "k"
            words.append(self.key)
        if self.limit:
            letters += "l"
            words.append(str(self.limit))
        return [f"+{letters}", *(words if inside else ())]

    def matches(self, letter: str, user: User) -> bool:
        """Whether a list has a mask that matches a user."""
        return any(matches(one.mask, user.source, self._casemapping) for one in self.lists[letter])

    def is_banned(self, user: User) -> bool:
        """Whether a ban holds for a user, and no exception."""
        return self.matches("b", user) and not self.matches("e", user)

    def refusal(self, user: User, key: str) -> int:
        """Returns the numeric that refuses a JOIN, 0 if it is allowed."""
        invited = user in self.invited
        if "i" in self.modes and not (invited or self.matches("I", user)):
            return 473
        if self.is_banned(user) and not invited:
            return 474
        if self.key and key != self.key:
            return 475
        if self.limit and len(self) >= self.limit and not invited:
            return 471
        return 0

    def may_speak(self, user: User) -> bool:
        """Whether a user may send messages to the channel."""
        member = self._members.get(user)
        if member is not None and member.modes:
            return True
        if member is None and "n" in self.modes:
            return False
        return "m" not in self.modes and not self.is_banned(user)

    def is_seen_by(self, user: User) -> bool:
        """Whether a user may know that the channel exists."""
        return "s" not in self.modes or user in self._members
