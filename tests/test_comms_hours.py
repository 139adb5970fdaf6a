"""Hours of the week, in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from comms.hours import Hours


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


OFFICE = Hours(["Mon-Fri 09:00-17:00", "Sat 10:00-12:30"], "Europe/Berlin")
NIGHT = Hours(["Mon-Sun 00:00-07:00", "Mon-Sun 22:00-24:00"], "UTC")


@pytest.mark.parametrize(
    ("hours", "time", "now"),
    [
        (OFFICE, "2026-01-05T07:59", False),
        (OFFICE, "2026-01-05T08:00", True),
        (OFFICE, "2026-01-05T16:00", False),
        (OFFICE, "2026-07-06T07:00", True),  # summer time
        (OFFICE, "2026-01-10T11:29", True),
        (OFFICE, "2026-01-10T11:30", False),
        (OFFICE, "2026-01-11T11:00", False),
        (NIGHT, "2026-01-05T21:59", False),
        (NIGHT, "2026-01-05T22:00", True),
        (NIGHT, "2026-01-05T23:59", True),
        (NIGHT, "2026-01-06T00:00", True),
        (NIGHT, "2026-01-06T07:00", False),
        (Hours(["Fri-Mon 00:00-24:00"], "UTC"), "2026-01-04T12:00", True),
        (Hours(["Fri-Mon 00:00-24:00"], "UTC"), "2026-01-06T12:00", False),
        (Hours([], "UTC"), "2026-01-05T12:00", False),
    ],
)
def test_whether_a_time_is_within_the_hours(hours: Hours, time: str, now: bool) -> None:
    assert hours.are_now(at(time)) is now


def test_when_they_begin_again() -> None:
    assert OFFICE.next(at("2026-01-05T20:00")) == "Tue 09:00"
    assert OFFICE.next(at("2026-01-10T12:00")) == "Mon 09:00"


@pytest.mark.parametrize(
    ("texts", "zone", "problem"),
    [
        (["9-17"], "UTC", "quiet: '9-17' are no hours"),
        (["Mon-Xyz 09:00-17:00"], "UTC", "are no hours"),
        (["Mon 17:00-09:00"], "UTC", "end before they begin; write those after midnight apart"),
        (["Mon 09:60-17:00"], "UTC", "are no hours"),
        (["Mon 09:00-24:01"], "UTC", "are no hours"),
        ([], "Berlin", "zone: unknown time zone 'Berlin'"),
        ([], "../../etc/passwd", "zone: unknown time zone"),
    ],
)
def test_wrong_hours_are_named(texts: list[str], zone: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Hours(texts, zone, "quiet")
