"""What has happened so far, in order: a look at it copies nothing, however much there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar, overload

T = TypeVar("T")


class Snapshot(Sequence[T]):
    """The items that there were at one moment, read-only. It is equal to a list of them.

    It shares a list that only grows, and remembers how long that was.
    """

    __slots__ = ("_items", "_length")

    def __init__(self, items: list[T]) -> None:
        self._items, self._length = items, len(items)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        return islice(self._items, self._length)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, int) and 0 <= at < self._length:  # most often, and three times as fast
            return self._items[at]
        where = range(self._length)[at]
        return self._items[where] if isinstance(where, int) else [self._items[n] for n in where]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot | list):
            return NotImplemented
        return self._length == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


class History(Generic[T]):
    """Everything that was added, in order, or the last `limit` items.

    Positions count from 0 and stay the same when older items are dropped.
    """

    __slots__ = ("_items", "dropped", "limit")

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.dropped = 0  # the position of the first item that is kept
        self._items: list[T] = []

    @property
    def end(self) -> int:
        """The position of the next item."""
        return self.dropped + len(self._items)

    def extend(self, items: Iterable[T]) -> None:
        """Adds items. Drops the oldest when there are a quarter more than the limit."""
        self._items.extend(items)
        # Not at each item, because dropping one costs as much as there is.
        if self.limit is not None and len(self._items) > self.limit * 5 // 4:
            self._drop(len(self._items) - self.limit)

    def clear(self) -> None:
        """Drops all items."""
        self._drop(len(self._items))

    def _drop(self, count: int) -> None:
        # A new list: a Snapshot of the old one must not change.
        self._items = self._items[count:]
        self.dropped += count

    def since(self, position: int) -> list[T]:
        """Returns the items from a position on, without those that were dropped."""
        return self._items[max(0, position - self.dropped) :]

    def snapshot(self) -> Snapshot[T]:
        """Returns the items that there are now."""
        return Snapshot(self._items)
