"""The folders of one account: names in a hierarchy, subscriptions, special uses (RFC 3501 §5.1).

INBOX is the maildrop into which SMTP delivers and from which POP3 reads. Names are in Unicode; how
a client writes them is the business of fakes/imap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from fakes.maildrop import Maildrop

INBOX = "INBOX"
DELIMITER = "/"
# The folders of an account that names no others, with their uses (RFC 6154 §2).
USES = {
    "Drafts": "\\Drafts",
    "Sent": "\\Sent",
    "Trash": "\\Trash",
    "Junk": "\\Junk",
    "Archive": "\\Archive",
}
LONGEST_NAME = 255  # bytes
LEVELS = 100  # of a name; each of them is a folder
FOLDERS = 1000  # of an account, and subscriptions, besides those that are there from the start


class FolderError(LookupError):
    """What cannot be done with a folder. `code` is that of IMAP (RFC 5530 §3), or ""."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def canonical(name: str) -> str:
    """Returns the one form of a name: INBOX is the same in any case (RFC 3501 §5.1)."""
    head, delimiter, rest = name.partition(DELIMITER)
    return INBOX + delimiter + rest if head.casefold() == "inbox" else name


class Folders:
    """The folders of one account.

    `names` are those that there are from the start, besides INBOX. `uidvalidity` returns a number
    that is larger than all before (RFC 3501 §2.3.1.1).
    """

    __slots__ = ("_found", "_most", "_uidvalidity", "inbox", "subscribed")

    def __init__(
        self,
        inbox: Maildrop,
        names: Iterable[str] = USES,
        uidvalidity: Callable[[], int] = lambda: 1,
    ) -> None:
        self.inbox = inbox
        self._uidvalidity = uidvalidity
        # None: a name that only has others below it (\Noselect).
        self._found: dict[str, Maildrop | None] = {}
        self.subscribed: dict[str, None] = {}
        self._most = math.inf
        for name in names:
            self.create(name, USES.get(name, ""))
            self.subscribe(name)
        self._most = len(self._found) + FOLDERS

    def __repr__(self) -> str:
        return f"<Folders {', '.join(self)}>"

    def copy(self, inbox: Maildrop, uidvalidity: Callable[[], int]) -> Folders:
        """Returns a copy around another copy of the INBOX."""
        other = Folders(inbox, (), uidvalidity)
        for name, folder in self._found.items():
            other._found[name] = folder.copy() if folder is not None else None
        other.subscribed, other._most = dict(self.subscribed), self._most
        return other

    # ── looking ──────────────────────────────────────────────────────────────

    def __iter__(self) -> Iterator[str]:
        """Yields all names, INBOX first, then in order."""
        return iter([INBOX, *sorted(self._found)])

    def __contains__(self, name: object) -> bool:
        return name == INBOX or name in self._found

    def get(self, name: str) -> Maildrop | None:
        """Returns a folder; None for one that does not exist or cannot hold mail."""
        name = canonical(name)
        return self.inbox if name == INBOX else self._found.get(name)

    def find(self, name: str, code: str = "NONEXISTENT") -> Maildrop:
        """Returns a folder. Raises FolderError if it does not exist or cannot hold mail."""
        name = canonical(name)
        folder = self.get(name)
        if folder is None:
            text = f"{name} holds no mail" if name in self else f"No such mailbox: {name}"
            raise FolderError("CANNOT" if name in self and code != "TRYCREATE" else code, text)
        return folder

    def children(self, name: str) -> list[str]:
        """Returns all names below a name."""
        return [one for one in self._found if one.startswith(name + DELIMITER)]

    def parents(self) -> set[str]:
        """Returns the names that have others below them."""
        return superiors(self._found)

    @property
    def maildrops(self) -> Iterator[Maildrop]:
        """Every folder that holds mail, INBOX first."""
        yield self.inbox
        yield from (folder for folder in self._found.values() if folder is not None)

    @property
    def size(self) -> int:
        """Bytes of mail in all folders."""
        return sum(folder.size for folder in self.maildrops)

    # ── changing ─────────────────────────────────────────────────────────────

    def create(self, name: str, use: str = "") -> Maildrop:
        """Makes a folder, and what it is below of (RFC 3501 §6.3.3). Raises FolderError."""
        name = canonical(name.removesuffix(DELIMITER))
        _check(name)
        if self.get(name) is not None:
            raise FolderError("ALREADYEXISTS", f"{name} exists already")
        if use and any(use == folder.use for folder in self.maildrops):
            raise FolderError("USEATTR", f"Another mailbox is {use}")
        self._make_superiors(name, int(name not in self._found))
        folder = Maildrop(self.inbox.address, uidvalidity=self._uidvalidity(), use=use)
        self._found[name] = folder
        return folder

    def _make_superiors(self, name: str, besides: int = 0) -> None:
        """Raises FolderError if these, and that many besides, are more than there may be."""
        missing = [one for one in _superiors(name) if one not in self]
        if len(self._found) + len(missing) + besides > self._most:
            raise FolderError("LIMIT", f"An account has at most {self._most} mailboxes")
        self._found.update(dict.fromkeys(missing))

    def delete(self, name: str) -> None:
        """Deletes a folder; one with others below it stays as a name (RFC 3501 §6.3.4).

        Raises FolderError.
        """
        name = canonical(name)
        if name == INBOX:
            raise FolderError("CANNOT", "INBOX cannot be deleted")
        if name not in self._found:
            raise FolderError("NONEXISTENT", f"No such mailbox: {name}")
        folder, has_children = self._found[name], bool(self.children(name))
        if folder is None and has_children:
            raise FolderError("HASCHILDREN", f"{name} has mailboxes below it")
        if has_children:
            self._found[name] = None
        else:
            del self._found[name]
        if folder is not None:
            folder.end()

    def rename(self, name: str, to: str) -> None:
        """Renames a folder and all below it (RFC 3501 §6.3.5). Raises FolderError.

        The mail of INBOX moves to the new folder instead; INBOX and what is below it stay.
        """
        name, to = canonical(name), canonical(to.removesuffix(DELIMITER))
        _check(to)
        if name not in self:
            raise FolderError("NONEXISTENT", f"No such mailbox: {name}")
        if to in self:
            raise FolderError("ALREADYEXISTS", f"{to} exists already")
        if name == INBOX:
            self._move_inbox(to)
            return
        if to.startswith(name + DELIMITER):
            raise FolderError("CANNOT", f"{to} is below {name}")
        moving = [name, *self.children(name)]
        for one in moving:
            _check(to + one[len(name) :])
        self._make_superiors(to)
        moved = {one: self._found.pop(one) for one in moving}
        for one, folder in moved.items():
            self._found[to + one[len(name) :]] = folder
        for folder in moved.values():
            if folder is not None:
                folder.end()

    def _move_inbox(self, to: str) -> None:
        folder, rows = self.create(to), list(self.inbox.rows)
        flagged = ((row.trace, row.body, row.mail, self.inbox.flags(row.uid)) for row in rows)
        folder.add(flagged)
        self.inbox.remove({row.uid for row in rows})

    def subscribe(self, name: str) -> None:
        """Subscribes to a folder. Raises FolderError if it does not exist, or is one too many.

        A subscription outlives its folder (RFC 3501 §6.3.6).
        """
        name = canonical(name)
        if name not in self:
            raise FolderError("NONEXISTENT", f"No such mailbox: {name}")
        if name not in self.subscribed and len(self.subscribed) >= self._most:
            raise FolderError("LIMIT", f"An account has at most {self._most} subscriptions")
        self.subscribed[name] = None

    def unsubscribe(self, name: str) -> None:
        """Ends a subscription, if there is one."""
        self.subscribed.pop(canonical(name), None)


def superiors(names: Iterable[str]) -> set[str]:
    """Returns the names that have some of these below them."""
    return {superior for name in names for superior in _superiors(name)}


def _superiors(name: str) -> list[str]:
    parts = name.split(DELIMITER, LEVELS)
    return [DELIMITER.join(parts[:end]) for end in range(1, len(parts))]


def _check(name: str) -> None:
    """Raises FolderError for a name that a folder cannot have."""
    if not all(name.split(DELIMITER)):
        raise FolderError("CANNOT", "A part of the name is empty")
    if name.count(DELIMITER) >= LEVELS:
        raise FolderError("CANNOT", f"The name has more than {LEVELS} levels")
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        raise FolderError("CANNOT", f"The name is longer than {LONGEST_NAME} bytes")
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise FolderError("CANNOT", "The name has control characters")
