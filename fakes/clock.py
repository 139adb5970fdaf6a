"""The world's clock. In real time it follows the system clock. In a rehearsal it is simulated.

A simulated clock stands still while any data is in flight, then jumps to the next event. Events at
the same time run in a fixed order: cues of the play, timers of the servers, timers of the program.
So a rehearsal never waits, and is the same each time.

**The barrier.** Before the clock returns to the program, no data may be in flight. For each
connection it compares two counts: the fake has handled every byte that the client wrote, and
the client has received every byte that the fake wrote. A round trip of the event loop is not
enough, because data may still be in a socket buffer then (3 % of the messages were missed), and
asking the kernel for the state of its buffers takes hundreds of times longer.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Protocol

from fakes.bridge import Bridge
from fakes.shell import Connection, Shell

START = 1767571200.0  # Monday 5 January 2026, 00:00:00 UTC: when a rehearsal begins
LOOK = 0.001  # real seconds from one comparison of the counts to the next
PATIENCE = 5.0  # real seconds without activity, while the counts differ, before that is an error
ENDLESS = 120.0  # real seconds of activity before that is an error: servers that answer each other
GRACE = 3600.0  # simulated seconds after the last cue until a play is ended by force


class Link(Protocol):
    """What the clock must know about a client's connection (comms.link.Link has it)."""

    local: tuple[str, int]
    bytes_in: int
    bytes_out: int
    ended: bool
    finished: bool
    closed: bool

    def pump(self, limit: int = ...) -> None:
        """Reads what has arrived, without waiting, in at most that many reads."""

    def readable(self) -> bool:
        """Whether there is something to read, the end of the connection included."""


class RealTime:
    """The system clock, for worlds that are not rehearsals. A test may set it ahead."""

    __slots__ = ("_ahead",)

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Returns seconds since the epoch."""
        return time.time() + self._ahead

    def skip(self, seconds: float) -> None:
        """Sets the clock ahead."""
        self._ahead += seconds

    def advance(self, seconds: float) -> None:
        """What takes time in a rehearsal takes none here: no test waits for a fake."""


class EndedByForce(BaseException):
    """The program never stopped: an endless exchange with a fake, or a wait without end.

    It derives from BaseException so that a program's `except Exception` does not swallow it.
    """


class Rehearsal:
    """Simulated time: the program's clock (as in comms.clock.Clock), and the play's, with cues."""

    def __init__(self) -> None:
        self._now = START
        self._jumped = 0.0  # how far the program's wall clock is ahead of the world's time
        self._cues: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._last_cue = START
        self._until = START
        # By its own address and the server's port: the kernel may use one address for two of them.
        self._links: dict[tuple[tuple[str, int], int], Link] = {}
        self._connections: dict[tuple[tuple[str, int], int], Connection] = {}  # also lost ones
        self._port = 0  # of the server that the program connects to
        self._writer: Link | None = None  # the connection that was written to last
        self._moved = threading.Event()
        self._shell: Shell
        self._bridge: Bridge
        self.ended_by_force = False  # the play was ended by force

    def attach(self, shell: Shell, bridge: Bridge) -> None:
        """Sets the shell whose connections `settle` waits for."""
        self._shell, self._bridge = shell, bridge
        shell.on_activity = self._moved.set
        shell.on_connection = self._add_connection

    def _add_connection(self, peer: tuple[str, int], port: int, connection: Connection) -> None:
        self._connections[peer, port] = connection

    # ── what the play uses ───────────────────────────────────────────────────

    def at(self, seconds: float, cue: Callable[[], object]) -> None:
        """Runs a cue that many seconds after the beginning."""
        due = START + seconds
        heapq.heappush(self._cues, (due, next(self._order), cue))
        self._last_cue = max(self._last_cue, due)

    def until(self, seconds: float) -> None:
        """Makes the play last at least that many seconds, even without cues.

        A later cue makes it longer: give the cues of a second run after the first one has ended.
        """
        self._until = max(self._until, START + seconds)

    def advance(self, seconds: float) -> None:
        """Lets simulated seconds pass, and runs the cues and timers that are due meanwhile."""
        self._wait(None, self._now + seconds)

    def jump(self, seconds: float) -> None:
        """Sets the program's wall clock forward (or back). Events keep their time."""
        self._jumped += seconds

    def now(self) -> float:
        """Returns seconds since the epoch in the world, whatever the program's clock shows."""
        return self._now

    def skip(self, seconds: float) -> None:
        """Moves time on for cores without sockets; the caller runs their timers."""
        self._now += seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._now - START

    @property
    def _end(self) -> float:
        return max(self._last_cue, self._until)

    # ── what the program uses (comms.clock.Clock) ────────────────────────────

    def time(self) -> float:
        """Returns seconds since the epoch, as the program's wall clock shows them."""
        return self._now + self._jumped

    def monotonic(self) -> float:
        """Returns seconds that `jump` does not change."""
        return self._now

    def stopping(self) -> bool:
        """Returns False: at the end of a play, a program finishes what it has begun."""
        return False

    def limit(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Returns a block without limit, because computing takes no simulated time."""
        return contextlib.nullcontext()

    def every(self, seconds: float) -> Iterator[None]:
        """Yields at once, then each time that `seconds` have passed; ends with the play.

        The play ends after the first complete round that began after the last cue, with no data in
        flight, because the program has seen everything by then.
        """
        start = self._now
        self.settle()
        while True:
            began = self._now
            yield
            self.settle()
            if began >= self._end and not self._shell.in_flight:
                return
            if self._now > self._end + GRACE:
                self.ended_by_force = True
                return
            # A round that took longer than its turn skips the turns that it missed.
            rounds = (self._now - start) // seconds + 1
            self._wait(None, start + rounds * seconds)

    def wait(self, link: Link | None, until: float | None, or_stop: bool = False) -> bool:
        """Waits for a connection. Returns True if it is readable, False at `until`.

        If `until` is None, or with `or_stop`, it also returns False when the play is over.
        """
        return self._wait(link, None if until is None else until - self._jumped, or_stop)

    def _wait(self, link: Link | None, until: float | None, or_stop: bool = False) -> bool:
        stops = until is None or or_stop
        while True:
            self.settle()
            if link is not None and link.readable():
                return True
            if self._now > self._end + 2 * GRACE:
                self.ended_by_force = True
                raise EndedByForce(
                    f"the program still waits {2 * GRACE:g} simulated seconds after the last cue"
                )
            if stops and self._now >= self._end and not self._shell.in_flight:
                return False
            if stops and self._now > self._end + GRACE:
                self.ended_by_force = True
                return False
            over = self._end if stops and self._now < self._end else None
            dues = [due for due in (self._next_due(), over) if due is not None]
            first = min(dues, default=None)
            if until is not None and (first is None or first > until):
                self._now = max(self._now, until)
                return False
            self._advance(self._now if first is None else first)

    def connecting(self, port: int) -> None:
        """The program is about to connect. What it did before is handled first.

        Then faults decide whether the port is closed for this attempt.
        """
        self.settle()
        self._port = port
        if self._shell.runtime.faults:
            self._bridge.call(lambda: self._shell.before_connect(port))

    def connected(self, link: Link) -> None:
        """The program has a connection. `settle` compares its counts from now on."""
        # If an earlier one had the same addresses, it was reset, and has no data in flight.
        self._links.pop((link.local, self._port), None)
        self._links[link.local, self._port] = link
        self.settle()

    def writing(self, link: Link) -> None:
        """The program is about to write to a connection.

        What it wrote to another one is handled first, so that the fakes see what a program does on
        several connections in the order in which it does it. So is what it wrote to this one, if
        servers tell each other of it: what they do then must not depend on what one read brings.
        """
        if self._writer is not link or "xmpp-server" in self._shell.listeners:
            self._writer = link
            self.settle()

    def forget(self, link: Link) -> None:
        """`settle` no longer compares the counts of this connection."""
        self._links = {ends: other for ends, other in self._links.items() if other is not link}

    # ── the barrier ──────────────────────────────────────────────────────────

    def settle(self) -> None:
        """Returns when no data is in flight.

        Raises TimeoutError if the counts still differ after five real seconds without activity.
        """
        deadline = silent = 0.0
        before = None
        while True:
            # Clear before comparing: activity during the comparison sets the event again.
            self._moved.clear()
            unseen = self._unseen()
            if unseen is None:
                return
            if unseen != before:
                silent = 0.0
            if silent >= PATIENCE:
                raise TimeoutError(f"after {PATIENCE:g} s without activity, {unseen}")
            deadline = deadline or time.monotonic() + ENDLESS
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {ENDLESS:g} s of activity, {unseen}")
            # The event covers the fakes only. Nothing notifies this thread of bytes that travel to
            # the client, so the wait is short and the counts are compared again. Waits are counted,
            # not seconds: while a busy machine stops this process, the fakes do nothing either.
            moved = self._moved.wait(LOOK)
            silent = 0.0 if moved else silent + LOOK
            before = unseen

    def _unseen(self) -> str | None:
        """Returns what is still on its way, None if nothing is.

        All inputs are checked before any output, because handling one input may write to any
        client: a client that was found complete could have data in flight again a moment later.
        """
        shell = self._shell
        # While it flushes, what a pipe carries is in no list, and may lead to more output.
        if shell.to_flush or shell.pipes or shell.paced or shell.flushing:
            return "a fake has output that it never wrote"
        standing = []
        for ends, link in list(self._links.items()):
            connection = self._connections.get(ends)
            if connection is None:
                return f"the connection from port {link.local[1]} was never accepted"
            number = connection.session.facts.number
            if link.closed:
                if not connection.lost:
                    return f"the fake never saw the end of session {number}"
                del self._links[ends]
                continue
            if link.finished and not connection.ended:
                return f"the fake never saw the end of session {number}"
            handled = connection.bytes_in
            if handled != link.bytes_out and not connection.finished:
                missing = link.bytes_out - handled
                return f"{missing} bytes that the client wrote were never handled"
            standing.append((link, connection))
        for link, connection in standing:
            # First, because a long answer is only made while the client reads.
            is_complete = connection.bytes_out == link.bytes_in and not connection.finished
            if not is_complete or connection.session.has_output:
                link.pump()
            if connection.session.has_output and not connection.finished:
                return "a fake has output that it never wrote"
            if connection.bytes_out != link.bytes_in and not link.ended:
                missing = connection.bytes_out - link.bytes_in
                return f"{missing} bytes that the fake wrote never arrived"
            if connection.finished and not link.ended:
                number = connection.session.facts.number
                return f"the client never saw the end of session {number}"
        return None

    def _next_due(self) -> float | None:
        """When the next cue or server timer is due."""
        dues = [self._cues[0][0]] if self._cues else []
        # Read from this thread: after `settle`, nothing is at work that could change it.
        servers = self._shell.due()
        return min([*dues, *([servers] if servers is not None else [])], default=None)

    def _advance(self, to: float) -> None:
        """Moves time on, and runs what is due: cues first, then the timers of the servers."""
        self._now = max(self._now, to)
        while self._cues and self._cues[0][0] <= self._now:
            heapq.heappop(self._cues)[2]()
            self.settle()
        due = self._shell.due()
        if due is not None and due <= self._now:
            self._bridge.call(self._shell.tick)
