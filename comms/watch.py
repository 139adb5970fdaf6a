"""Deciding when people must hear about a service: confirmed changes, reminders, flapping.

    watch = Watch()
    for _ in clock.every(5):
        watch, news = watch.check(verdict, clock.time(), limits)
        if news:
            ...                                  # down, up, reminder or flapping: send it

Pure: no clock, no I/O. The caller stores the watch together with the news, so that a restart
neither repeats nor loses any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, ClassVar

from comms.setting_types import Seconds, between


@dataclass(frozen=True)
class Limits:
    """How much must happen before there is news. Times are in seconds."""

    confirm: Annotated[int, between(1, 1000)] = 2  # equal verdicts in a row that make a state
    remind: Seconds = 3600.0  # between reminders while the service is down
    flaps: Annotated[int, between(2, 1000)] = (
        6  # changes of state within the window that are flapping
    )
    flap_window: Seconds = 900.0


@dataclass(frozen=True)
class Watch:
    """What is remembered from one check to the next."""

    # The types of what is saved, for State.recall.
    SAVED: ClassVar[dict[str, Any]] = {
        "seen": "",
        "count": 0,
        "since": 0.0,
        "state": "",
        "changes": [0.0],
        "announced": "",
        "announced_at": 0.0,
    }

    seen: str = ""  # the last verdict other than unknown,
    count: int = 0  # how many times in a row it was seen,
    since: float = 0.0  # and when the first of those checks was
    state: str = ""  # the last confirmed verdict; "" until there is one
    changes: tuple[float, ...] = ()  # when the state changed, within the window
    announced: str = "up"  # what people believe: up, down or flapping; up without any news
    announced_at: float = 0.0

    @classmethod
    def restored(cls, saved: Mapping[str, Any] | None) -> Watch:
        """Returns the watch that `dataclasses.asdict` saved, or a new one if nothing was saved."""
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in (saved or {}).items() if name in known}
        return cls(**{**values, "changes": tuple(values.get("changes", ()))})

    def check(self, verdict: str, now: float, limits: Limits) -> tuple[Watch, str]:
        """Returns the watch after a check (up, down or unknown), and the news if there is any."""
        if verdict == "unknown":
            return self, ""  # neither confirms nor contradicts what was seen before
        watch = self._counted(verdict, now)
        if watch.count < limits.confirm:
            return watch, ""
        watch = watch._confirmed(verdict, now, limits)
        news = watch._news(now, limits)
        if not news:
            return watch, ""
        # A reminder repeats what people know already.
        announced = "down" if news == "reminder" else news
        return replace(watch, announced=announced, announced_at=now), news

    def _counted(self, verdict: str, now: float) -> Watch:
        if verdict == self.seen:
            return replace(self, count=self.count + 1)
        return replace(self, seen=verdict, count=1, since=now)

    def _confirmed(self, verdict: str, now: float, limits: Limits) -> Watch:
        # A change in the future was seen when the clock was ahead.
        changes = tuple(at for at in self.changes if 0 <= now - at < limits.flap_window)
        if self.state not in ("", verdict):
            changes = (*changes, now)
        return replace(self, state=verdict, changes=changes)

    def _news(self, now: float, limits: Limits) -> str:
        if self.announced == "flapping":
            # Silence, until there was no change for a whole window.
            return "" if self.changes else self.state
        if len(self.changes) >= limits.flaps:
            return "flapping"
        if self.announced != self.state:
            return self.state
        overdue = not 0 <= now - self.announced_at < limits.remind
        return "reminder" if self.state == "down" and overdue else ""
