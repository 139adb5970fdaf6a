"""Time, passed in. Programs never sleep: they loop with `every` and wait for data with `wait`.

    for _ in clock.every(30):            # at the start, and then every 30 seconds
        ...
    if clock.wait(link, clock.time() + 60):
        ...                              # there is something to read

`RealClock` waits for real. The clock of a rehearsal is simulated: it jumps to the next event. It
lives with the fakes and satisfies the same Protocol.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Protocol

from comms.waiting import wait_until_ready


class Waitable(Protocol):
    """A link, as far as a clock needs to know it."""

    local: tuple[str, int]
    bytes_in: int
    bytes_out: int
    ended: bool
    finished: bool
    closed: bool

    def fileno(self) -> int:
        """Returns the file descriptor."""

    def pump(self, limit: int = ...) -> None:
        """Takes in what has arrived, without waiting, in at most `limit` reads."""

    def readable(self) -> bool:
        """Returns whether a read would return at once, at the end of the stream too."""


class Interrupted(Exception):
    """A block of `Clock.limit` did not end: it takes too long, or the program must stop."""


class _Interruption(BaseException):
    """Interrupted, on its way out of a block whose `except Exception` must not catch it."""


class Clock(Protocol):
    """Time and waiting."""

    def time(self) -> float:
        """Returns the time in seconds since the epoch, UTC. It may be set back."""

    def monotonic(self) -> float:
        """Returns seconds since any moment. They only grow, so that pauses are measured by them."""

    def stopping(self) -> bool:
        """Returns whether the program has been asked to stop."""

    def limit(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Interrupts a block that computes without effects, such as the reading of a mail.

        The block raises Interrupted after that many seconds of computing, or when the program is
        asked to stop. In a rehearsal, and in other threads than the main one, there is no limit.
        """

    def every(self, seconds: float) -> Iterator[None]:
        """Yields at once and then every `seconds`, until the program is asked to stop.

        Rounds are due at multiples of `seconds` after the start. A round that takes longer skips
        those it has missed.
        """

    def wait(self, link: Waitable | None, until: float | None, or_stop: bool = False) -> bool:
        """Waits until the link is readable (True) or the time has come (False).

        Without a time, waits until the link is readable or the program is asked to stop (False).
        With `or_stop`, returns False when the program is asked to stop even if there is a time,
        which may then still be in the future.
        """

    def connecting(self, port: int) -> None:
        """A link to this port is about to be opened. Only a rehearsal needs to know."""

    def connected(self, link: Waitable) -> None:
        """A link is open. A rehearsal counts its bytes to know when no data is in flight."""

    def writing(self, link: Waitable) -> None:
        """A link is about to be written to.

        In a rehearsal, what was written to other links is handled first, so that the order of
        events does not depend on the operating system.
        """


class RealClock:
    """The system's time.

    `stop` ends `every` after the current round, and `wait` where it waits without a time. A signal
    handler may call it.
    """

    def __init__(self) -> None:
        self._stopped = False
        # A byte in this pair ends a wait in progress, which a flag alone would not.
        self._stop_sender, self._stop_receiver = socket.socketpair()
        self._stop_receiver.setblocking(False)
        self._stop_sender.setblocking(False)
        self._in_limit = False  # a block of `limit` is running

    def stop(self) -> None:
        """Asks the program to end after the current round. A block of `limit` ends at once."""
        self._stopped = True
        # The pair may be full, or closed already: then nobody waits for it any more.
        with contextlib.suppress(OSError):
            self._stop_sender.send(b"!")
        if self._in_limit and threading.current_thread() is threading.main_thread():
            raise _Interruption("the program was asked to stop")

    def stopping(self) -> bool:
        """Returns whether `stop` was called."""
        return self._stopped

    def monotonic(self) -> float:
        """Returns the seconds of the monotonic clock."""
        return time.monotonic()

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Interrupts the block after seconds of processor time: see `Clock.limit`."""
        main = threading.current_thread() is threading.main_thread()
        if not main or not hasattr(signal, "setitimer"):
            yield
            return

        def interrupt(*_: object) -> None:
            if self._in_limit:
                raise _Interruption(f"it takes more than {seconds:g} s")

        before = signal.signal(signal.SIGPROF, interrupt)
        try:
            self._in_limit = True
            # It repeats, because an interruption within a destructor would be lost.
            signal.setitimer(signal.ITIMER_PROF, seconds, 0.1)
            if self._stopped:
                raise _Interruption("the program was asked to stop")
            yield
        except _Interruption as reason:
            raise Interrupted(str(reason)) from None
        finally:
            self._in_limit = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            # A late signal must not meet the default action, which ends the process.
            if before not in (None, signal.SIG_DFL):
                signal.signal(signal.SIGPROF, before)

    def close(self) -> None:
        """Closes the two sockets that carry `stop`."""
        self._stop_sender.close()
        self._stop_receiver.close()

    def time(self) -> float:
        """Returns the time in seconds since the epoch, UTC."""
        return time.time()

    def every(self, seconds: float) -> Iterator[None]:
        """Yields at once and then every `seconds`, on the monotonic clock.

        A wall clock that is set forward or back neither hurries nor delays a round.
        """
        start = time.monotonic()
        while not self._stopped:
            yield
            now = time.monotonic()
            due = start + ((now - start) // seconds + 1) * seconds
            while not self._stopped and (left := due - time.monotonic()) > 0:
                wait_until_ready([self._stop_receiver], left)

    def wait(self, link: Waitable | None, until: float | None, or_stop: bool = False) -> bool:
        """Waits for the link, the time or the end of the program: see `Clock.wait`."""
        or_stop = or_stop or until is None
        deadline = None if until is None else time.monotonic() + until - time.time()
        while True:
            if link is not None:
                if not link.readable():
                    # One read only: whatever else has arrived stays in the kernel, where flow
                    # control limits it. Reading everything would let a flood fill our memory.
                    link.pump(1)
                if link.readable():
                    return True
            if or_stop and self._stopped:
                return False
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            sources: list[Any] = [] if link is None else [link]
            if or_stop:
                sources.append(self._stop_receiver)
            ready = wait_until_ready(sources, left)
            if not ready and deadline is not None and time.monotonic() >= deadline:
                return False

    def connecting(self, port: int) -> None:
        """Does nothing: only a rehearsal needs to know."""

    def connected(self, link: Waitable) -> None:
        """Does nothing: only a rehearsal needs to know."""

    def writing(self, link: Waitable) -> None:
        """Does nothing: only a rehearsal needs to know."""


class Once:
    """Another clock whose `every` yields only once, for programs that cron starts."""

    def __init__(self, clock: Clock) -> None:
        self.time = clock.time
        self.monotonic = clock.monotonic
        self.stopping = clock.stopping
        self.limit = clock.limit
        self.wait = clock.wait
        self.connecting = clock.connecting
        self.connected = clock.connected
        self.writing = clock.writing

    def every(self, seconds: float) -> Iterator[None]:
        """Yields once."""
        yield
