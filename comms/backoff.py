"""When to try again: pauses that double after each failure, with jitter.

    backoff = Backoff(clock, host, first=30, longest=600)
    pause = backoff.failed()          # an attempt failed; the next one is due at `backoff.due`
    backoff.succeeded()               # the next failure starts again with a short pause

This module only computes. The caller waits until `due` and makes the attempt.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host

DOUBLINGS = 16  # more of them would overflow long before they made a difference


class Backoff:
    """Exponential back-off. `first` and `longest` are pauses in seconds.

    `jitter` is the share of each pause that is random: 0 for none, 1 for a pause anywhere between
    zero and the full length (RFC 6120 §3.3). Without jitter, all clients of a server that has
    been restarted would come back in the same second.
    """

    def __init__(
        self, clock: Clock, host: Host, *, first: float, longest: float, jitter: float = 1.0
    ) -> None:
        self.due = 0.0  # when the next attempt may be made, on the monotonic clock
        self._clock, self._host = clock, host
        self._first, self._longest, self._jitter = first, longest, jitter
        self._failures = 0
        self._not_before = 0.0

    def failed(self) -> float:
        """Schedules the next attempt and returns the pause before it, in seconds."""
        pause: float = min(self._first * 2.0 ** min(self._failures, DOUBLINGS), self._longest)
        random = int(self._host.token(4), 36) / 36**4  # 1.7 million different values from 0 to 1
        pause *= 1 - self._jitter + self._jitter * random
        self._failures += 1
        now = self._clock.monotonic()
        pause = max(pause, self._not_before - now)
        self.due = now + pause
        self._not_before = 0.0
        return pause

    def succeeded(self) -> None:
        """Forgets the failures, so that the next pause is short again."""
        self._failures = 0
        self._not_before = 0.0

    def wait_at_least(self, seconds: float) -> None:
        """Makes the pause after the failure that is being handled at least this long."""
        self._not_before = self._clock.monotonic() + seconds
