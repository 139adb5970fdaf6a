"""Time, handed in. Programs never sleep: they loop with `every` and wait for what may come with `wait`.

    for _ in clock.every(30):            # due at start, + 30 s, + 60 s …; a round that overruns skips what it missed
        ...
    if clock.wait(link, clock.time() + 60):
        ...                              # there is something to read

`RealClock` waits. A rehearsal's clock jumps (it lives with the fakes, and fits the same Protocol).
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from typing import Any, Protocol


class Waitable(Protocol):
    """A link, as far as a clock has to know it."""

    local: tuple[str, int]
    bytes_in: int
    bytes_out: int
    ended: bool
    finished: bool
    closed: bool

    def fileno(self) -> int:
        """For select."""

    def pump(self, limit: int = ...) -> None:
        """Takes in, without waiting, what has come, in at most so many reads."""

    def readable(self) -> bool:
        """Whether there is something to read, an end included."""


class Clock(Protocol):
    """Time and waiting."""

    def time(self) -> float:
        """Seconds since the epoch, UTC."""

    def every(self, seconds: float) -> Iterator[None]:
        """Comes back at once and then every so many seconds, until the program is asked to stop."""

    def wait(self, link: Waitable | None, until: float | None, or_stop: bool = False) -> bool:
        """Waits until the link can be read (True) or the time is come (False).

        With no time: until the link can be read, or the program is asked to stop (False). `or_stop`: with a time too,
        it comes back when the program is asked to stop; the time is then not yet come.
        """

    def connecting(self, port: int) -> None:
        """A link to this port is about to be opened. Only a rehearsal cares."""

    def connected(self, link: Waitable) -> None:
        """A link stands. Only a rehearsal cares: it counts octets, to know when nothing moves."""

    def writing(self, link: Waitable) -> None:
        """This link is about to be written to. Only a rehearsal cares: what was written to another comes first."""


class RealClock:
    """The machine's time. `stop` (safe in a signal handler) ends `every` and endless waits after the work in hand."""

    def __init__(self) -> None:
        self._stopped = False
        self._bell, self._ear = socket.socketpair()
        self._ear.setblocking(False)

    def stop(self) -> None:
        """Asks the program to end once the round in hand is done."""
        self._stopped = True
        self._bell.send(b"!")

    def close(self) -> None:
        """Frees the two sockets that carry `stop`."""
        self._bell.close()
        self._ear.close()

    def time(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def every(self, seconds: float) -> Iterator[None]:
        """See Clock. Counts on the monotonic clock: a wall clock that jumps neither hurries nor delays it."""
        start = time.monotonic()
        while not self._stopped:
            yield
            now = time.monotonic()
            due = start + ((now - start) // seconds + 1) * seconds
            while not self._stopped and (left := due - time.monotonic()) > 0:
                select.select([self._ear], [], [], left)

    def wait(self, link: Waitable | None, until: float | None, or_stop: bool = False) -> bool:
        """See Clock."""
        or_stop = or_stop or until is None
        deadline = None if until is None else time.monotonic() + until - time.time()
        while True:
            if link is not None:
                if not link.readable():
                    link.pump(1)  # no more than asked for: a flood waits in the kernel, not here
                if link.readable():
                    return True
            if or_stop and self._stopped:
                return False
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ears: list[Any] = [] if link is None else [link]
            ears += [self._ear] if or_stop else []
            ready = select.select(ears, [], [], left)[0]
            if (
                not ready
                and left is not None
                and deadline is not None
                and time.monotonic() >= deadline
            ):
                return False

    def connecting(self, port: int) -> None:
        """See Clock."""

    def connected(self, link: Waitable) -> None:
        """See Clock."""

    def writing(self, link: Waitable) -> None:
        """See Clock."""


class Once:
    """Another clock, of which `every` comes round once: a loop's single round, as cron wants it."""

    def __init__(self, clock: Clock) -> None:
        self.time = clock.time
        self.wait = clock.wait
        self.connecting = clock.connecting
        self.connected = clock.connected
        self.writing = clock.writing

    def every(self, seconds: float) -> Iterator[None]:
        """Once."""
        yield
