"""How fast somebody may send: the moving average that AOL's network kept, as others have measured it."""

from __future__ import annotations

CALM, CLEAR, LIMIT = 6000.0, 5100.0, 4000.0  # milliseconds between two messages, averaged


class Meter:
    """One sender's average. Below LIMIT his messages are dropped, until it is above CLEAR again."""

    def __init__(self, now: float) -> None:
        self._average = CALM
        self._last = now - CALM
        self._limited = False

    def passes(self, now: float) -> bool:
        """Whether a message that is sent now goes through. What is dropped counts too."""
        self._average = min(CALM, (19 * self._average + (now - self._last) * 1000) / 20)
        self._last = now
        self._limited = self._average < (CLEAR if self._limited else LIMIT)
        return not self._limited
