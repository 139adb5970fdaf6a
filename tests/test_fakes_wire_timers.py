"""Named timers."""

from __future__ import annotations

import pytest

from fakes.wire import Timers


class Bench:
    """Timers, the time that they see, and the names of those that ran."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ran: list[str] = []
        self.timers = Timers(lambda: self.now)

    def at(self, name: str, due: float, result: str = "") -> None:
        self.timers.at(name, due, lambda: self.ran.append(result or name))

    def run_until(self, now: float) -> list[str]:
        self.now = now
        self.timers.run()
        ran, self.ran = self.ran, []
        return ran


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_timer_runs_once_when_it_is_due(bench: Bench) -> None:
    bench.at("idle", 10)
    assert bench.timers.due == 10
    assert bench.run_until(9.9) == []
    assert bench.run_until(10) == ["idle"]
    assert bench.timers.due is None and bench.run_until(20) == []


def test_timers_run_in_the_order_in_which_they_are_due(bench: Bench) -> None:
    # Neither the order in which they are set nor that of their names counts.
    for name, due in (("b", 3), ("c", 1), ("a", 2)):
        bench.at(name, due)
    assert bench.run_until(5) == ["c", "a", "b"]


def test_a_timer_of_the_same_name_replaces_the_first(bench: Bench) -> None:
    bench.at("idle", 10, "first")
    bench.at("idle", 20, "second")
    assert bench.run_until(15) == [] and bench.run_until(20) == ["second"]


def test_a_cancelled_timer_does_not_run_and_cancelling_twice_is_allowed(bench: Bench) -> None:
    bench.at("idle", 10)
    bench.timers.cancel("idle")
    bench.timers.cancel("idle")
    assert "idle" not in bench.timers and bench.run_until(20) == []


def test_a_callback_may_cancel_a_timer_that_is_due_at_the_same_time(bench: Bench) -> None:
    bench.timers.at("first", 1, lambda: bench.timers.cancel("second"))
    bench.at("second", 2)
    assert bench.run_until(5) == []


def test_a_callback_may_set_its_own_timer_again(bench: Bench) -> None:
    def again() -> None:
        bench.ran.append("ping")
        bench.timers.at("ping", bench.now + 10, again)

    bench.timers.at("ping", 10, again)
    assert bench.run_until(10) == ["ping"] and bench.timers.due == 20
    assert bench.run_until(20) == ["ping"]


def test_setting_a_timer_is_reported_to_the_owner(bench: Bench) -> None:
    changes: list[float | None] = []
    bench.timers.on_change = lambda: changes.append(bench.timers.due)
    bench.at("idle", 10)
    bench.at("ping", 5)
    assert changes == [10, 5]


def test_clearing_removes_every_timer(bench: Bench) -> None:
    bench.at("idle", 10)
    bench.timers.clear()
    assert bench.timers.due is None
    assert repr(bench.timers) == "<Timers none>"
