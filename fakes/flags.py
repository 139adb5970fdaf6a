"""The flags of the mails of one folder (RFC 3501 §2.3.2), and their modification numbers.

A mail without flags takes no memory here, and a folder in which nothing was ever flagged has no
object of this class at all. Counting, as STATUS does, does not look at each mail.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable
from itertools import islice
from typing import TypeVar

from fakes.rows import HasUid, Seen

SYSTEM = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
SEEN, DELETED = "\\seen", "\\deleted"
_CANONICAL = {flag.casefold(): flag for flag in SYSTEM}
_KEYWORD = re.compile(r'[^\x00-\x20(){%*"\\\]\x7f-\U0010ffff]+')  # an atom of RFC 3501 §9
KEYWORDS = 100  # of one folder
SPARE = 64  # offsets; looking for those that are not needed any more is rare

T = TypeVar("T", bound=HasUid)


class TooManyKeywords(Exception):
    """A folder has as many keywords as it can have."""


def is_flag(text: str) -> bool:
    """Whether a mail can have this flag: one of the system, or a keyword."""
    return text.casefold() in _CANONICAL or _KEYWORD.fullmatch(text) is not None


class Flags:
    """Which mails have which flags. Mails are named by their unique ids.

    Flags are compared without regard to case. A keyword keeps the form in which it was first
    written. `highest` is the modification number of the last change (RFC 7162 §3.1).
    """

    __slots__ = ("_changed", "_names", "_offsets", "_unseen_from", "_with", "highest")

    def __init__(self, arrived: int = 0) -> None:
        """`arrived` is the unique id of the last mail so far."""
        self._names = dict(_CANONICAL)
        self._with: dict[str, set[int]] = {key: set() for key in _CANONICAL}
        self.highest = arrived + 1  # an empty folder has 1, so that its first mail is a change
        # A mail whose flags were never changed has its unique id plus an offset, which is one more
        # for each change before its arrival: (the first unique id, its offset), ascending.
        self._offsets = [(0, 1)]
        self._changed: dict[int, int] = {}
        self._unseen_from = 0  # no mail with a smaller unique id is unseen

    def __repr__(self) -> str:
        return f"<Flags {' '.join(self._names.values())}>"

    def copy(self) -> Flags:
        """Returns a copy that does not change with this one."""
        other = Flags()
        other._names, other._changed = dict(self._names), dict(self._changed)
        other._with = {key: set(uids) for key, uids in self._with.items()}
        other.highest, other._offsets = self.highest, list(self._offsets)
        return other

    @property
    def keywords(self) -> list[str]:
        """The flags that are not of the system, in the order in which they were first used."""
        return list(self._names.values())[len(SYSTEM) :]

    def of(self, uid: int) -> list[str]:
        """Returns the flags of a mail."""
        found = self._with
        return [name for key, name in self._names.items() if uid in found[key]]

    def with_flag(self, key: str) -> Collection[int]:
        """Returns the unique ids of the mails with a flag, which is given in lower case."""
        return self._with.get(key, ())

    def modseq(self, uid: int) -> int:
        """Returns the modification number of a mail."""
        if uid in self._changed:
            return self._changed[uid]
        return uid + self._offsets[bisect_right(self._offsets, (uid, 1 << 64)) - 1][1]

    def learn(self, flags: Iterable[str]) -> bool:
        """Adds keywords that are new here, and returns whether there were any.

        Raises TooManyKeywords, and adds none then.
        """
        new: dict[str, str] = {}
        for flag in flags:
            if flag.casefold() not in self._names:
                new.setdefault(flag.casefold(), flag)
        if len(self._names) - len(SYSTEM) + len(new) > KEYWORDS:
            raise TooManyKeywords
        self._names.update(new)
        self._with.update((key, set()) for key in new)
        return bool(new)

    def change(self, uid: int, flags: Collection[str], mode: str) -> bool:
        """Sets (""), adds ("+") or removes ("-") flags, and returns whether that changed any.

        `flags` are in lower case; the folder knows them (`learn`).
        """
        changed = False
        for key in flags if mode else self._with:
            uids = self._with.get(key)
            if uids is None:
                continue
            wanted = mode == "+" or (not mode and key in flags)
            if wanted != (uid in uids):
                changed = True
                if wanted:
                    uids.add(uid)
                else:
                    uids.discard(uid)
                    if key == SEEN:
                        self._unseen_from = min(self._unseen_from, uid)
        if changed:
            self.highest += 1
            self._changed[uid] = self.highest
        return changed

    def arrived(self, uid: int) -> None:
        """A mail has arrived."""
        self.highest += 1
        offset = self.highest - uid
        if self._offsets[-1][1] != offset:
            self._offsets.append((uid, offset))

    def forget(self, uids: Iterable[int], left: Seen[T]) -> None:
        """Mails were removed. `left` are those that there are now."""
        gone = set(uids)
        for flagged in self._with.values():
            flagged -= gone
        for uid in gone & self._changed.keys():
            del self._changed[uid]
        if len(self._offsets) > 2 * len(left) + SPARE:
            self._drop_offsets(left)

    def _drop_offsets(self, left: Seen[T]) -> None:
        """Drops the offsets that no mail needs. The first one is for mails that are gone."""
        found = self._offsets
        needed = (found[bisect_right(found, (row.uid, 1 << 64)) - 1] for row in left)
        self._offsets = list(dict.fromkeys((found[0], *needed)))

    def first_unseen(self, rows: Seen[T]) -> int:
        """Returns the index of the first of all mails that is not seen, -1 if all are."""
        seen, start = self._with[SEEN], rows.at(self._unseen_from)
        for at, row in enumerate(islice(rows, start, None), start):
            if row.uid not in seen:
                # What was looked at once is not looked at again, until it is unseen.
                self._unseen_from = row.uid
                return at
        if rows:
            self._unseen_from = rows[-1].uid + 1
        return -1
