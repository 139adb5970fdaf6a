"""What a core wants to send, until the shell writes it: a queue of writes."""

from __future__ import annotations

from collections import deque

LARGE = 1 << 16  # bytes of a write that does not grow: to join it with another would copy it twice


class Output:
    """A queue of writes.

    Bytes that are appended between two calls of `take` leave as one write, because a server that
    answers ten pipelined commands sends one packet. What follows LARGE bytes begins another. With
    `coalesce=False` every append is a write of its own. While `chunk` is set (a `split` fault), no
    write is longer than that many bytes.
    """

    __slots__ = ("_open", "_writes", "chunk", "coalesce", "pending")

    def __init__(self, coalesce: bool = True) -> None:
        self.coalesce = coalesce
        self.chunk = 0  # bytes per write; 0: no limit
        self.pending = 0  # bytes waiting
        self._writes: deque[bytes | bytearray] = deque()
        self._open = False  # whether the last write may still grow

    def __bool__(self) -> bool:
        return bool(self._writes)

    def __repr__(self) -> str:
        return f"<Output {self.pending} bytes in {len(self._writes)} writes>"

    @property
    def is_one_write(self) -> bool:
        """Whether there is exactly one write, and nothing splits it."""
        return len(self._writes) == 1 and not self.chunk

    def append(self, data: bytes) -> None:
        """Queues bytes."""
        self.pending += len(data)
        if self.chunk:
            for start in range(0, len(data), self.chunk):
                self._writes.append(data[start : start + self.chunk])
        elif self._open and self.coalesce and len(self._writes[-1]) < LARGE:
            last = self._writes[-1]
            if isinstance(last, bytes):  # the first bytes are not copied, as most stay alone
                self._writes[-1] = last = bytearray(last)
            last += data
        else:
            self._writes.append(data)
            self._open = True

    def take(self) -> bytes:
        """Removes and returns the next write; b"" if there is none, which also ends a split.

        What is appended afterwards begins another write.
        """
        self._open = False
        if not self._writes:
            self.chunk = 0
            return b""
        write = self._writes.popleft()
        self.pending -= len(write)
        return write if isinstance(write, bytes) else bytes(write)
