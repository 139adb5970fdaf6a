"""What is kept of an account between two sessions: its buddies in groups, whom it permits and denies; in two written forms.

TOC 1.0 stores one text for the client (`b bob` under `g Friends`), TOC2 knows each change (`b:bob:Bobby`). Both forms are
of the same list here, so that an account may be used by clients of either kind.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from fakes.toc.frames import MESSAGE

PERMIT_ALL, DENY_ALL, PERMIT_SOME, DENY_SOME, BUDDIES_ONLY = 1, 2, 3, 4, 5
NAME = 48  # octets of a screen name; AOL's were 16, and with 48 a profile's URL still fits the 256 of its tightest reader
FIRST_GROUP = "Buddies"  # where a buddy goes that stands under no group


def fold(name: str) -> str:
    """The form in which screen names are compared: no blanks, no capitals, otherwise untouched."""
    return name.replace(" ", "").lower()


def is_name(name: str) -> bool:
    """Whether this can be a screen name at all; fields of messages are parted by colons and not escaped."""
    return bool(fold(name)) and len(name) <= NAME and ":" not in name and name.isprintable()


@dataclass
class Permissions:
    """Who may see and reach somebody. The lists keep names as they were written, under their folded form."""

    mode: int = PERMIT_ALL
    permitted: dict[str, str] = field(default_factory=dict)
    denied: dict[str, str] = field(default_factory=dict)

    def allow(self, name: str, buddy: bool) -> bool:
        """Whether this one may; `buddy`: it stands on the buddy list."""
        if self.mode == PERMIT_SOME:
            return fold(name) in self.permitted
        if self.mode == DENY_SOME:
            return fold(name) not in self.denied
        return buddy if self.mode == BUDDIES_ONLY else self.mode != DENY_ALL

    def permit(self, names: list[str]) -> None:
        """`toc_add_permit`: leaves a denying mode and its list; then without names nobody is permitted."""
        if self.mode in (PERMIT_ALL, DENY_SOME):
            self.mode = DENY_ALL
            self.denied.clear()
        if names:
            self.mode = PERMIT_SOME
            add(self.permitted, names)

    def deny(self, names: list[str]) -> None:
        """`toc_add_deny`: the mirror image; leaving a permitting mode without names denies nobody."""
        if self.mode in (DENY_ALL, PERMIT_SOME, BUDDIES_ONLY):
            self.mode = PERMIT_ALL
            self.permitted.clear()
        if names:
            self.mode = DENY_SOME
            add(self.denied, names)


LONGEST = 1000  # names on one list


def add(names: dict[str, str], new: list[str]) -> None:
    """Puts names on a list; a list that is full, or a name that cannot be one, changes nothing."""
    for name in new:
        if is_name(name) and len(names) < LONGEST:
            names.setdefault(fold(name), name)


class Lists:
    """The lists of one account."""

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, str]] = {}  # group → folded name → what TOC2 writes behind `b:`
        self.permissions = Permissions()
        self._text: str | None = None  # as a TOC 1.0 client stored it, until something here changes

    def __contains__(self, name: str) -> bool:
        key = fold(name)
        return any(key in buddies for buddies in self.groups.values())

    @property
    def buddies(self) -> list[str]:
        """The names of all buddies, each once."""
        return list(
            {key: entry.partition(":")[0] for group in self.groups.values() for key, entry in group.items()}.values()
        )

    # ── TOC 1.0 ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def text(self) -> str:
        """What `CONFIG` says: the client's own text, or one in its form."""
        if self._text is not None:
            return self._text
        lines = [f"m {self.permissions.mode}"] if self.groups or self.permissions != Permissions() else []
        for group, buddies in self.groups.items():
            lines += [f"g {group}", *(f"b {entry.partition(':')[0]}" for entry in buddies.values())]
        lines += [f"p {name}" for name in self.permissions.permitted.values()]
        lines += [f"d {name}" for name in self.permissions.denied.values()]
        return "".join(line + "\n" for line in lines)

    @text.setter
    def text(self, text: str) -> None:
        self.groups.clear()
        self.permissions = Permissions()
        group = FIRST_GROUP
        for line in text.split("\n"):
            letter, _, value = line.rstrip("\r").partition(" ")
            if letter == "g" and value:
                group = value
                self.groups.setdefault(group, {})
            elif letter == "b" and is_name(value.partition(":")[0]):
                self.groups.setdefault(group, {})[fold(value.partition(":")[0])] = value
            elif letter == "p":
                add(self.permissions.permitted, [value])
            elif letter == "d":
                add(self.permissions.denied, [value])
            elif letter == "m" and value in ("1", "2", "3", "4", "5"):
                self.permissions.mode = int(value)
        self._text = text

    # ── TOC2 ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def config2(self) -> str:
        """What `CONFIG2` says: every line ends in LF, the last included, and none is empty."""
        lines = []
        for group, buddies in self.groups.items():
            lines += [f"g:{group}", *(f"b:{entry}" for entry in buddies.values())]
        lines += [f"p:{name}" for name in self.permissions.permitted.values()]
        lines += [f"d:{name}" for name in self.permissions.denied.values()]
        return "".join(line + "\n" for line in [*lines, f"m:{self.permissions.mode}", "done:"])

    @property
    def full(self) -> bool:
        """Whether these lists no longer fit one message, its first word included."""
        return len("CONFIG2:") + len(self.config2) > MESSAGE

    def change(self, edit: Callable[[], object]) -> bool:
        """Makes an edit, unless the lists would no longer fit one message; whether there was room."""
        before = copy.deepcopy((self.groups, self.permissions))
        edit()
        if self.full:
            self.groups, self.permissions = before
            return False
        self._text = None  # what a TOC 1.0 client stored no longer holds
        return True

    def add_buddy(self, group: str, entry: str) -> None:
        """Puts a buddy, `name[:alias[…]]`, into a group, which is opened if need be."""
        self.groups.setdefault(group, {})[fold(entry.partition(":")[0])] = entry

    def remove_buddies(self, group: str, names: list[str]) -> None:
        """Takes buddies out of a group."""
        for name in names:
            self.groups.get(group, {}).pop(fold(name), None)
