"""When a connection needs attention: a ping to a silent server, or another attempt to connect.

A `Keeper` decides and does nothing itself, so that it can be tested without a connection.
"""

from __future__ import annotations

from typing import Literal

from comms.backoff import Backoff
from comms.clock import Clock
from comms.host import Host

QUIET = 180.0  # seconds of silence after which the server is pinged (XEP-0199)
# Seconds before the first attempt to reconnect, at most: the pause is random between 0 and this
# (RFC 6120 §3.3). The limit doubles after each failed attempt, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 600.0

MOMENT = 1e-6  # seconds; times are converted between two clocks, and may be a little off

Step = Literal["nothing", "connect", "ping", "give up"]


class Keeper:
    """The times of one connection, on the monotonic clock.

    A wall clock that is set back neither delays a ping nor keeps a dead connection. `timeout` is
    how long a ping may stay unanswered, in seconds.
    """

    def __init__(self, clock: Clock, host: Host, timeout: float) -> None:
        self.backoff = Backoff(clock, host, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        self._clock, self._timeout = clock, timeout
        self._heard_at = 0.0
        self._pinged_at: float | None = None  # None: no ping is waiting for its answer

    def heard(self) -> None:
        """The server has sent something. Anything counts, because it proves that the link works."""
        self._heard_at, self._pinged_at = self._clock.monotonic(), None

    def pinged(self) -> None:
        """A ping is about to be sent."""
        self._pinged_at = self._clock.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since the server last sent something."""
        return self._clock.monotonic() - self._heard_at

    def due(self, connected: bool) -> float:
        """Returns when the next step is due, on the monotonic clock."""
        if not connected:
            return self.backoff.due
        if self._pinged_at is not None:
            return self._pinged_at + self._timeout
        return self._heard_at + QUIET

    def step(self, connected: bool) -> Step:
        """Returns what should be done now."""
        if self._clock.monotonic() < self.due(connected) - MOMENT:
            return "nothing"
        if not connected:
            return "connect"
        return "give up" if self._pinged_at is not None else "ping"
