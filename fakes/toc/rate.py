"""Limits how fast a user may send: the moving average of AOL's network, as others measured it."""

from __future__ import annotations

# Milliseconds between two messages, averaged: the highest value, the value from which a limited
# sender is served again, and the value below which a sender becomes limited.
CEILING, CLEAR, LIMIT = 6000.0, 5100.0, 4000.0


class RateLimiter:
    """The average of one sender."""

    def __init__(self, now: float) -> None:
        self._average = CEILING
        self._last = now - CEILING
        self._limited = False

    def accept(self, now: float) -> bool:
        """Counts a message sent at `now`, in seconds. Returns whether it is accepted.

        A message that is not accepted counts too.
        """
        self._average = min(CEILING, (19 * self._average + (now - self._last) * 1000) / 20)
        self._last = now
        self._limited = self._average < (CLEAR if self._limited else LIMIT)
        return not self._limited
