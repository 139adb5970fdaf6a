"""Named timers on a clock that is handed in.

A session has timers (the idle timeout) that end with it. A service has timers too, which outlive
the connections it serves: a session that waits to be resumed has no connection.
"""

from __future__ import annotations

from collections.abc import Callable


def _nothing() -> None:
    """What a change does while there is no owner."""


class Timers:
    """Callbacks to run at given times, each under a name; setting a name again replaces its timer.

    Nothing runs by itself. The owner of the timers asks for `due` and calls `run` at that time;
    `on_change` is called whenever a timer is set, so that the owner can ask again.
    """

    __slots__ = ("_now", "_timers", "on_change")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._timers: dict[str, tuple[float, Callable[[], None]]] = {}
        self.on_change: Callable[[], None] = _nothing

    def __contains__(self, name: str) -> bool:
        return name in self._timers

    def __repr__(self) -> str:
        return f"<Timers {', '.join(sorted(self._timers)) or 'none'}>"

    def at(self, name: str, due: float, run: Callable[[], None]) -> None:
        """Runs a callback at a time in seconds since the epoch."""
        self._timers[name] = (due, run)
        self.on_change()

    def cancel(self, name: str) -> None:
        """Removes a timer, if there is one of this name."""
        self._timers.pop(name, None)

    def clear(self) -> None:
        """Removes all timers."""
        self._timers.clear()

    @property
    def due(self) -> float | None:
        """When the next timer runs, in seconds since the epoch; None if there is none."""
        if not self._timers:
            return None
        return min(due for due, _ in self._timers.values())

    def run(self) -> None:
        """Runs the timers that are due, earliest first."""
        now = self._now()
        for name, timer in sorted(self._timers.items(), key=lambda item: item[1][0]):
            # An earlier callback may have cancelled or replaced this timer.
            if timer[0] <= now and self._timers.get(name) is timer:
                del self._timers[name]
                timer[1]()
