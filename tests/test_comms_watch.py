"""When people hear about a service: the news of each check, from verdicts alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.watch import Limits, Watch

LIMITS = Limits(confirm=2, remind=100, flaps=4, flap_window=1000)
VERDICTS = {"u": "up", "d": "down", "?": "unknown"}


def news(verdicts: str, seconds: float = 10, limits: Limits = LIMITS) -> list[str]:
    """The news of each check: u for up, d for down, ? for unknown."""
    watch, found = Watch(), []
    for number, letter in enumerate(verdicts):
        watch, item = watch.check(VERDICTS[letter], number * seconds, limits)
        found.append(item)
    return found


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ("uuuu", ["", "", "", ""]),
        ("uddd", ["", "", "down", ""]),
        ("ududu", ["", "", "", "", ""]),
        ("dd", ["", "down"]),
        ("dduu", ["", "down", "", "up"]),
        ("d?d", ["", "", "down"]),
        ("????", ["", "", "", ""]),
        ("dd????uu", ["", "down", "", "", "", "", "", "up"]),
        ("dd" + "d" * 11, ["", "down", *[""] * 9, "reminder", ""]),
        (
            "uudduudduu" + "uu" * 4,
            ["", "", "", "down", "", "up", "", "down", "", "flapping", *[""] * 8],
        ),
    ],
)
def test_news_is_a_confirmed_change_a_reminder_or_flapping(
    verdicts: str, expected: list[str]
) -> None:
    assert news(verdicts) == expected


def test_the_state_is_announced_again_after_a_quiet_window() -> None:
    found = news("uudduudduu" + "u" * 110)
    assert [item for item in found if item] == ["down", "up", "down", "flapping", "up"]


def test_a_service_that_stays_down_is_reminded_of_at_the_interval() -> None:
    found = news("d" * 40)
    assert [number for number, item in enumerate(found) if item] == [1, 11, 21, 31]


def test_since_is_the_first_of_the_checks_that_confirmed_the_state() -> None:
    watch = Watch()
    for number, verdict in enumerate(("up", "up", "down", "down", "down")):
        watch, _ = watch.check(verdict, number * 10.0, LIMITS)
    assert watch.since == 20.0


def test_a_watch_survives_being_stored_as_json() -> None:
    watch = Watch()
    for number, letter in enumerate("uudduu"):
        watch, _ = watch.check(VERDICTS[letter], number * 10.0, LIMITS)
    assert watch.changes
    assert Watch.restored(json.loads(json.dumps(asdict(watch)))) == watch
    assert Watch.restored(None) == Watch() == Watch.restored({"written by": "another version"})


@given(st.text("ud?", max_size=80))
def test_nobody_hears_the_same_change_twice(verdicts: str) -> None:
    found = [item for item in news(verdicts) if item not in ("", "reminder")]
    assert all(first != second for first, second in pairwise(found))
    assert found[:1] != ["up"], "the service is assumed to be up at first"


# ── a wall clock that is set back ────────────────────────────────────────────


@pytest.mark.parametrize("back", [60.0, 7200.0, 86400.0, 3 * 365 * 86400.0])
def test_reminders_come_although_the_clock_was_set_back(back: float) -> None:
    watch, now = Watch(), 1e9
    for _ in range(3):
        watch, _ = watch.check("down", now, LIMITS)
        now += 10
    assert watch.announced == "down"
    now -= back
    heard = []
    for _ in range(3):
        watch, news = watch.check("down", now, LIMITS)
        heard.append(news)
        now += 10
    assert heard[0] == "reminder" and heard[1:] == ["", ""]


@pytest.mark.parametrize("back", [86400.0, 3 * 365 * 86400.0])
def test_changes_in_the_future_do_not_count_as_flapping(back: float) -> None:
    watch = Watch(state="up", seen="up", count=9, changes=tuple(1e9 + n for n in range(9)))
    watch, news = watch.check("up", 1e9 - back, LIMITS)
    assert news == "" and watch.changes == ()
