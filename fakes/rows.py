"""The mails of a folder, in the order of their unique ids: a list that is kept in blocks.

Removing one copies a block and the list of blocks, and not all rows. So it costs nearly the same
however many there are, and what a session has looked at stays as it was.

    rows = Rows()
    rows.append(row)
    seen = rows.seen()                # what there is now; copies nothing
    rows.remove(rows.seen().at(3))    # the one with the unique id 3, or the next one
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from operator import attrgetter
from typing import Generic, Protocol, TypeVar, overload

BLOCK = 2048  # rows


class HasUid(Protocol):
    """What can be a row."""

    uid: int


T = TypeVar("T", bound=HasUid)
_uid = attrgetter("uid")


def _first_uid(block: Sequence[HasUid]) -> int:
    return block[0].uid


class Seen(Sequence[T]):
    """The rows that there were at one moment, read-only. It is equal to a list of them."""

    __slots__ = ("_blocks", "_length", "_starts")

    def __init__(self, blocks: list[list[T]], starts: list[int], length: int) -> None:
        self._blocks, self._starts, self._length = blocks, starts, length

    def is_of(self, rows: Rows[T]) -> bool:
        """Whether no row has been removed since."""
        return self._blocks is rows.blocks

    def at(self, uid: int) -> int:
        """Returns the index of the first row with that unique id, or a larger one."""
        # No block is empty but the last one, which may also have rows that came later.
        last = len(self._starts) - (not self._blocks[-1])
        number = max(bisect_right(self._blocks, uid, 0, last, key=_first_uid) - 1, 0)
        start = self._starts[number]
        return min(start + bisect_left(self._blocks[number], uid, key=_uid), self._length)

    def find(self, uid: int) -> T | None:
        """Returns the row with a unique id, None if there is none."""
        at = self.at(uid)
        row = self[at] if at < self._length else None
        return row if row is not None and row.uid == uid else None

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        return islice(chain.from_iterable(self._blocks), self._length)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            return list(self)[at]
        if at < 0:
            at += self._length
        if not 0 <= at < self._length:
            raise IndexError(at)
        number = bisect_right(self._starts, at) - 1
        return self._blocks[number][at - self._starts[number]]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Seen | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


class Rows(Generic[T]):
    """Rows with ascending unique ids. What `seen` returns never changes."""

    __slots__ = ("_length", "_starts", "blocks")

    def __init__(self, rows: Iterable[T] = ()) -> None:
        found = list(rows)
        self.blocks = [found[at : at + BLOCK] for at in range(0, len(found), BLOCK)] or [[]]
        self._starts = list(range(0, len(found), BLOCK)) or [0]  # the index of the first of each
        self._length = len(found)

    def seen(self) -> Seen[T]:
        """Returns the rows that there are now."""
        return Seen(self.blocks, self._starts, self._length)

    def append(self, row: T) -> None:
        """Adds a row, whose unique id is the largest."""
        # What was seen shares these lists. It knows its length, and does not see the new row.
        if len(self.blocks[-1]) >= BLOCK:
            self.blocks.append([])
            self._starts.append(self._length)
        self.blocks[-1].append(row)
        self._length += 1

    def remove(self, at: int) -> T:
        """Removes the row with that index, and returns it."""
        number = bisect_right(self._starts, at) - 1
        block = list(self.blocks[number])
        row = block.pop(at - self._starts[number])
        after = self.blocks[number + 1 :]
        # The last block grows, so it is never one that an earlier look may have in another place.
        if after and len(block) + len(after[0]) <= BLOCK // 2:
            block += after.pop(0)
        kept = [block] if block or not after else []
        self.blocks = [*self.blocks[:number], *kept, *after]
        self._starts = [0, *accumulate(map(len, self.blocks[:-1]))]
        self._length -= 1
        return row
