"""The mails of a folder, in the order of their unique ids: a list that is kept in blocks.

Removing some copies the blocks that they are in and the list of blocks, and not all rows. So it
costs nearly the same however many there are, and what a session has looked at stays as it was.

    rows = Rows()
    rows.append(row)
    seen = rows.seen()                # what there is now; copies nothing
    rows.remove([3, 5])               # those with these unique ids
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from operator import attrgetter
from typing import Generic, Protocol, TypeVar, overload

BLOCK = 2048  # rows
FEW = 32  # rows of a block; to look at each row costs less than to find more than that


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
        # The last block may also have rows that came later.
        number = _block_at(self._blocks, uid)
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

    def remove(self, uids: Iterable[int]) -> list[T]:
        """Removes the rows with these unique ids, if they are there, and returns them in order."""
        gone, removed = set(uids), list[T]()
        if not gone:
            return removed
        order = sorted(gone)
        first, last = _block_at(self.blocks, order[0]), _block_at(self.blocks, order[-1])
        left = [_without(block, gone, order, removed) for block in self.blocks[first : last + 1]]
        if not removed:
            return removed
        joined: list[list[T]] = []
        for block in (*left, *self.blocks[last + 1 : last + 2]):
            # What little is left of neighbours becomes one. The last block grows, so it is never
            # one that an earlier look may have in another place.
            if joined and (not joined[-1] or len(joined[-1]) + len(block) <= BLOCK // 2):
                joined[-1] = joined[-1] + block
            else:
                joined.append(block)
        self.blocks = [*self.blocks[:first], *joined, *self.blocks[last + 2 :]]
        self._starts = [0, *accumulate(map(len, self.blocks[:-1]))]
        self._length -= len(removed)
        return removed


def _block_at(blocks: list[list[T]], uid: int) -> int:
    """Returns the index of the block in which a row with that unique id is, if it is there."""
    # No block is empty but the last one.
    last = len(blocks) - (not blocks[-1])
    return max(bisect_right(blocks, uid, 0, last, key=_first_uid) - 1, 0)


def _without(block: list[T], gone: set[int], order: list[int], removed: list[T]) -> list[T]:
    """Returns another block without the rows of these unique ids, and adds them to `removed`.

    `order` are the same unique ids. Returns the same block if it has none of them.
    """
    if not block:
        return block
    low, high = bisect_left(order, block[0].uid), bisect_right(order, block[-1].uid)
    count = len(removed)
    if high - low > FEW:
        left = [row for row in block if row.uid not in gone]
        removed += [row for row in block if row.uid in gone] if left else block
    else:
        left = list(block) if high > low else block
        for uid in order[low:high]:
            at = bisect_left(left, uid, key=_uid)
            if at < len(left) and left[at].uid == uid:
                removed.append(left.pop(at))
    return left if len(removed) > count else block
