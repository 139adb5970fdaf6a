"""What is stored for an account: buddies in groups, and permissions; in two written forms.

TOC 1.0 stores one text for the client (`b bob` below `g Friends`). TOC2 sends each change
(`b:bob:Bobby`). Both forms describe the same list here, so that clients of either version can use
the same account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fakes.toc.frames import MESSAGE_LIMIT
from fakes.toc.text import is_latin

PERMIT_ALL, DENY_ALL, PERMIT_SOME, DENY_SOME, BUDDIES_ONLY = 1, 2, 3, 4, 5
# Bytes of a screen name. AOL allowed 16; with 48 the URL of a profile still fits the buffer of the
# client that reserves least for it (256 bytes).
NAME_LIMIT = 48
LIST_LIMIT = 1000  # names on one list
FIRST_GROUP = "Buddies"  # for a buddy that no group line precedes


def fold(name: str) -> str:
    """Returns the form in which screen names are compared: lower case, without spaces."""
    return name.replace(" ", "").lower()


def is_name(name: str) -> bool:
    """Whether this can be a screen name.

    A colon is not allowed, because colons separate the fields of messages and are not escaped. All
    characters are Latin-1, because messages are.
    """
    fits = bool(fold(name)) and len(name) <= NAME_LIMIT and is_latin(name)
    return fits and ":" not in name and name.isprintable()


def add(names: dict[str, str], new: list[str]) -> None:
    """Adds names to a list. Ignores invalid names, and all names once the list is full."""
    for name in new:
        if is_name(name) and len(names) < LIST_LIMIT:
            names.setdefault(fold(name), name)


def remove(names: dict[str, str], gone: list[str]) -> None:
    """Removes names from a list."""
    for name in gone:
        names.pop(fold(name), None)


@dataclass
class Permissions:
    """Who may see and reach a user. The lists map the folded form of each name to the name."""

    mode: int = PERMIT_ALL
    permitted: dict[str, str] = field(default_factory=dict)
    denied: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Permissions:
        """Returns a copy with lists of its own."""
        return Permissions(self.mode, dict(self.permitted), dict(self.denied))

    def allows(self, name: str, buddy: bool) -> bool:
        """Whether `name` may see and reach the user. `buddy`: it is on the user's buddy list."""
        if self.mode == PERMIT_SOME:
            return fold(name) in self.permitted
        if self.mode == DENY_SOME:
            return fold(name) not in self.denied
        return buddy if self.mode == BUDDIES_ONLY else self.mode != DENY_ALL

    def permit(self, names: list[str]) -> None:
        """Leaves a denying mode, and adds the names (`toc_add_permit`).

        Without names, leaving a denying mode permits nobody.
        """
        if self.mode in (PERMIT_ALL, DENY_SOME):
            self.mode = DENY_ALL
            self.denied.clear()
        if names:
            self.mode = PERMIT_SOME
            add(self.permitted, names)

    def deny(self, names: list[str]) -> None:
        """Leaves a permitting mode, and adds the names (`toc_add_deny`).

        Without names, leaving a permitting mode denies nobody.
        """
        if self.mode in (DENY_ALL, PERMIT_SOME, BUDDIES_ONLY):
            self.mode = PERMIT_ALL
            self.permitted.clear()
        if names:
            self.mode = DENY_SOME
            add(self.denied, names)


class Lists:
    """The stored lists of one account."""

    def __init__(self) -> None:
        # group → folded name → what TOC2 writes after `b:` (`name[:alias[…]]`)
        self.groups: dict[str, dict[str, str]] = {}
        self.permissions = Permissions()
        self._text: str | None = None  # as a TOC 1.0 client stored it; None after a TOC2 change

    def __contains__(self, name: str) -> bool:
        key = fold(name)
        return any(key in buddies for buddies in self.groups.values())

    @property
    def buddies(self) -> list[str]:
        """The names of all buddies, each once."""
        names: dict[str, str] = {}
        for group in self.groups.values():
            names |= {key: entry.partition(":")[0] for key, entry in group.items()}
        return list(names.values())

    # ── TOC 1.0 ──────────────────────────────────────────────────────────────

    @property
    def text(self) -> str:
        """What `CONFIG` holds: the text that the client stored, or the lists in the same form."""
        if self._text is not None:
            return self._text
        stored = self.groups or self.permissions != Permissions()
        lines = [f"m {self.permissions.mode}"] if stored else []
        for group, buddies in self.groups.items():
            lines += [f"g {group}", *(f"b {entry.partition(':')[0]}" for entry in buddies.values())]
        lines += [f"p {name}" for name in self.permissions.permitted.values()]
        lines += [f"d {name}" for name in self.permissions.denied.values()]
        return "".join(line + "\n" for line in lines)

    def store(self, text: str) -> bool:
        """Replaces the lists by those in a text of TOC 1.0.

        Returns False, and changes nothing, if they would be too long for one message.
        """
        before = self.groups, self.permissions, self._text
        self._read(text)
        if self.full:
            self.groups, self.permissions, self._text = before
            return False
        return True

    def _read(self, text: str) -> None:
        self.groups, self.permissions = {}, Permissions()
        group = FIRST_GROUP
        for line in text.split("\n"):
            letter, _, value = line.rstrip("\r").partition(" ")
            if letter == "g" and value:
                group = value
                self.groups.setdefault(group, {})
            elif letter == "b" and is_name(value.partition(":")[0]):
                self.add_buddy(group, value)
            elif letter == "p":
                add(self.permissions.permitted, [value])
            elif letter == "d":
                add(self.permissions.denied, [value])
            elif letter == "m" and value in ("1", "2", "3", "4", "5"):
                self.permissions.mode = int(value)
        self._text = text  # returned unchanged, even the lines that mean nothing here

    # ── TOC2 ─────────────────────────────────────────────────────────────────

    @property
    def config2(self) -> str:
        """What `CONFIG2` holds. Clients need a line feed after every line, even the last one."""
        lines = []
        for group, buddies in self.groups.items():
            lines += [f"g:{group}", *(f"b:{entry}" for entry in buddies.values())]
        lines += [f"p:{name}" for name in self.permissions.permitted.values()]
        lines += [f"d:{name}" for name in self.permissions.denied.values()]
        return "".join(line + "\n" for line in [*lines, f"m:{self.permissions.mode}", "done:"])

    @property
    def full(self) -> bool:
        """Whether the lists are too long for one message, in either form."""
        # The lists take no more room in the form of TOC 1.0: only a text of the client may.
        longest = max(len("CONFIG:") + len(self._text or ""), len("CONFIG2:") + len(self.config2))
        return longest > MESSAGE_LIMIT

    def change(self, edit: Callable[[], object]) -> bool:
        """Applies an edit. Undoes it and returns False if the lists would not fit one message."""
        # Not deepcopy: a command may add hundreds of buddies, one by one, to a thousand.
        groups = {group: dict(buddies) for group, buddies in self.groups.items()}
        before = groups, self.permissions.copy()
        edit()
        if self.full:
            self.groups, self.permissions = before
            return False
        self._text = None  # the text of a TOC 1.0 client no longer describes the lists
        return True

    def add_buddy(self, group: str, entry: str) -> None:
        """Puts a buddy, `name[:alias[…]]`, into a group, which is created if needed."""
        self.groups.setdefault(group, {})[fold(entry.partition(":")[0])] = entry

    def remove_buddies(self, group: str, names: list[str]) -> None:
        """Removes buddies from a group."""
        remove(self.groups.get(group, {}), names)
