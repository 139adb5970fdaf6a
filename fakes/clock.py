"""The world's time. On real time it is the machine's; in a rehearsal it stands still while anything moves, and then jumps
to the next thing due: at equal times the cues of the play, then the servers' timers, then the program's.

A rehearsal never waits. Before the clock hands control back to the program it makes sure of two counts for every link:
the fake has handled all octets that the client wrote, and the client holds all octets that the fake wrote. Until then
something is still moving. (A round trip of the loop alone misses some; asking the kernel takes hundreds of times longer.)
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Protocol

from fakes.bridge import Bridge
from fakes.server import Shell

START = 1767571200.0  # Monday 5 January 2026, 00:00:00 UTC: when a rehearsal begins
PATIENCE = 5.0  # real seconds without agreement of the counts, before it is an error
RESTLESS = 3600.0  # simulated seconds after the last cue, after which a play that is not at rest is ended


class Link(Protocol):
    """What the clock must know of a client's link (comms.link.Link has it)."""

    local: tuple[str, int]
    bytes_in: int
    bytes_out: int
    ended: bool
    finished: bool
    closed: bool

    def pump(self, limit: int = ...) -> None:
        """Takes in, without waiting, what has come, in at most so many reads."""

    def readable(self) -> bool:
        """Whether there is something to read, an end included."""


class RealTime:
    """The machine's time, for worlds that are not rehearsals."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    now = time

    def advance(self, seconds: float) -> None:
        """What takes time in a rehearsal takes none here: nobody waits for a fake."""


class NotAtRest(BaseException):
    """The play is ended although something was still moving: an endless exchange, or a program that never rests."""


class Rehearsal:
    """Time in a rehearsal: the program's clock (it fits comms.clock.Clock), and the play's, with its cues."""

    def __init__(self) -> None:
        self._now = START
        self._jumped = 0.0  # how far the program's wall clock is from the world's time
        self._cues: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._last_cue = START
        self._until = START
        self._links: list[Link] = []
        self._writer: Link | None = None  # the link that was written to last
        self._moved = threading.Event()
        self._shell: Shell
        self._bridge: Bridge
        self.restless = False  # the play was ended because it never came to rest

    def attach(self, shell: Shell, bridge: Bridge) -> None:
        """From now on this clock waits for the connections of this shell."""
        self._shell, self._bridge = shell, bridge
        shell.on_move = self._moved.set

    # ── the play's side ──────────────────────────────────────────────────────────────────────────────────────────

    def at(self, seconds: float, cue: Callable[[], object]) -> None:
        """Has something happen so many seconds after the beginning."""
        due = START + seconds
        heapq.heappush(self._cues, (due, next(self._order), cue))
        self._last_cue = max(self._last_cue, due)

    def until(self, seconds: float) -> None:
        """The play goes on at least so many seconds after the beginning, even with no more cues."""
        self._until = max(self._until, START + seconds)

    def advance(self, seconds: float) -> None:
        """Lets so many seconds pass, between two runs of the program or within one, with whatever is due in them."""
        self._wait(None, self._now + seconds)

    def jump(self, seconds: float) -> None:
        """Sets the program's wall clock forward (or back); what is due comes no sooner or later for it."""
        self._jumped += seconds

    def now(self) -> float:
        """Seconds since the epoch in the world, whatever the program's wall clock says."""
        return self._now

    def skip(self, seconds: float) -> None:
        """Moves time on for cores without sockets; whoever drives them ticks them."""
        self._now += seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._now - START

    @property
    def _end(self) -> float:
        return max(self._last_cue, self._until)

    # ── the program's side: comms.clock.Clock ────────────────────────────────────────────────────────────────────

    def time(self) -> float:
        """Seconds since the epoch as the program's wall clock tells them, simulated."""
        return self._now + self._jumped

    def every(self, seconds: float) -> Iterator[None]:
        """Due at once and then every so many seconds; ends with the play."""
        start = self._now
        self.settle()
        while True:
            began = self._now
            yield
            self.settle()
            if began >= self._end and not self._shell.in_flight:
                return  # a whole round began after the last cue, and nothing is under way
            if self._now > self._end + RESTLESS:
                self.restless = True
                return
            rounds = (self._now - start) // seconds + 1  # a round that overran skips those that it missed
            self._wait(None, start + rounds * seconds)

    def wait(self, link: Link | None, until: float | None, or_stop: bool = False) -> bool:
        """Waits until the link has something to read (True), the time is come, or, without a time or with `or_stop`,
        the play is over."""
        return self._wait(link, None if until is None else until - self._jumped, or_stop)

    def _wait(self, link: Link | None, until: float | None, or_stop: bool = False) -> bool:
        while True:
            self.settle()
            if link is not None and link.readable():
                return True
            if self._now > self._end + 2 * RESTLESS:
                self.restless = True
                raise NotAtRest(f"the program still waits {2 * RESTLESS:g} simulated seconds after the last cue")
            due = self._next_due()
            stops = until is None or or_stop
            if stops and self._now >= self._end and not self._shell.in_flight:
                return False
            if stops and self._now > self._end + RESTLESS:
                self.restless = True
                return False
            over = self._end if stops and self._now < self._end else None
            first = min([one for one in (due, over) if one is not None], default=None)
            if until is None or (first is not None and first <= until):
                self._advance(self._now if first is None else first)
            else:
                self._now = max(self._now, until)
                return False

    def connecting(self, port: int) -> None:
        """A link is about to be opened: what went before is finished, and the port is open or not, as faults say."""
        self.settle()
        if self._shell.kit.faults:
            self._bridge.run(self._shell.knock(port))

    def connected(self, link: Link) -> None:
        """A link stands: from now on its octets count."""
        self._links.append(link)
        self.settle()

    def writing(self, link: Link) -> None:
        """A link is about to be written to: what was written to another is handled first, so that the fakes see what one
        program does on several links in the order in which it does it."""
        if self._writer is not link:
            self._writer = link
            self.settle()

    def forget(self, link: Link) -> None:
        """The octets of this link no longer count."""
        self._links.remove(link)

    # ── the barrier ──────────────────────────────────────────────────────────────────────────────────────────────

    def settle(self) -> None:
        """Returns when nothing moves. Raises TimeoutError, naming what was never seen, after five real seconds."""
        deadline = 0.0
        while True:
            self._moved.clear()
            unseen = self._unseen()
            if unseen is None:
                return
            deadline = deadline or time.monotonic() + PATIENCE
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing moves, yet {unseen}")
            self._moved.wait(0.001)

    def _unseen(self) -> str | None:
        """What is still on its way, None when nothing is. All inputs first: handling one may write to any client."""
        standing = []
        for link in list(self._links):
            connection = self._shell.by_peer.get(link.local)
            if connection is None:
                return f"the connection from port {link.local[1]} was never accepted"
            if link.closed:
                if not connection.lost:
                    return f"the fake never saw the end of session {connection.session.facts.number}"
                self._links.remove(link)
                continue
            if link.finished and not connection.ended:
                return f"the fake never saw the end of session {connection.session.facts.number}"
            handled = connection.bytes_in
            if handled != link.bytes_out and not connection.finished:
                return f"{link.bytes_out - handled} octets that the client wrote were never handled"
            standing.append((link, connection))
        for link, connection in standing:
            if connection.session.talking and not connection.finished:
                return "a fake has output that it never wrote"
            link.pump()
            if connection.bytes_out != link.bytes_in and not link.ended:
                return f"{connection.bytes_out - link.bytes_in} octets that the fake wrote never came"
            if connection.finished and not link.ended:
                return f"the client never saw the end of session {connection.session.facts.number}"
        return None

    def _next_due(self) -> float | None:
        dues = [cue[0] for cue in self._cues[:1]]
        servers = self._bridge.call(self._shell.due)
        return min([*dues, *([servers] if servers is not None else [])], default=None)

    def _advance(self, to: float) -> None:
        self._now = max(self._now, to)
        while self._cues and self._cues[0][0] <= self._now:
            heapq.heappop(self._cues)[2]()
            self.settle()
        self._bridge.call(self._shell.tick)
