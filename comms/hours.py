"""Hours of the week, such as those of an office: are they now, and when do they begin again?

hours = Hours(["Mon-Fri 09:00-17:00"], "Europe/Berlin")
if not hours.are_now(clock.time()):
    reply = f"We are here again on {hours.next(clock.time())}."
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = re.compile(r"([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))? (\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)


class Hours:
    """Hours of the week: texts such as `Mon-Fri 09:00-17:00`, and a time zone.

    Raises ValueError, with the remedy; `key` is what it calls them.
    """

    def __init__(self, texts: Sequence[str], zone: str, key: str = "hours") -> None:
        self.shown = f"{', '.join(texts)} ({zone})"
        try:
            # Zones are files of the operating system; UTC needs none.
            self._zone: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
        except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f'zone: unknown time zone {zone!r}; write "UTC"') from None
        except KeyError:
            raise ValueError(f'zone: unknown time zone {zone!r}; write "Europe/Berlin"') from None
        self._open: dict[int, list[tuple[int, int]]] = {}  # weekday → minutes from midnight
        for text in texts:
            match = _HOURS.fullmatch(text)
            times = [int(number) for number in match.groups()[2:]] if match else []
            if match is None or not (
                {match[1], match[2] or match[1]} <= set(DAYS)
                and max(times[1::2]) <= 59
                and times[2:] <= [24, 0]
            ):
                raise ValueError(f'{key}: {text!r} are no hours; write "Mon-Fri 09:00-17:00"')
            hour, minute, to_hour, to_minute = times
            begin, end = 60 * hour + minute, 60 * to_hour + to_minute
            if begin >= end:
                remedy = 'write those after midnight apart, as in "22:00-24:00" and "00:00-06:00"'
                raise ValueError(f"{key}: {text!r} end before they begin; {remedy}")
            first, last = DAYS.index(match[1]), DAYS.index(match[2] or match[1])
            for day in range(first, first + (last - first) % 7 + 1):
                self._open.setdefault(day % 7, []).append((begin, end))

    def are_now(self, now: float) -> bool:
        """Returns whether a time, in seconds since the epoch, is within the hours."""
        here = datetime.fromtimestamp(now, self._zone)
        minute = 60 * here.hour + here.minute
        return any(begin <= minute < end for begin, end in self._open.get(here.weekday(), ()))

    def next(self, now: float) -> str:
        """Returns when the hours begin again, such as `Mon 09:00`."""
        here = datetime.fromtimestamp(now, self._zone)
        return next(f"{at:%a %H:%M}" for at in self._begins(here) if at > here)

    def _begins(self, here: datetime) -> Iterator[datetime]:
        for days in range(8):
            day = here.date() + timedelta(days)
            for begin, _ in sorted(self._open.get(day.weekday(), ())):
                hour, minute = divmod(begin, 60)
                yield datetime.combine(day, time(hour, minute), self._zone)
