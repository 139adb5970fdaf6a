"""The benchmark is an instrument: its tables are well-formed, and its arithmetic is right.

Nothing here measures time: a slow machine is not a wrong program.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from tests import bench, bench_worker, soak
from tests.bench_clients import cpu_of, mails
from tests.bench_measure import (
    OURS,
    Contestant,
    Goal,
    Measure,
    Missing,
    Result,
    Row,
    cpu,
    memory,
    number,
    run,
    show,
    summary,
)
from tests.bench_servers import floor
from tests.soak import growth

ROWS = [
    pytest.param(row, id=row.name)
    for rows in bench.GROUPS.values()
    for row in rows
    if isinstance(row, Row)
]


def counting(*values: float) -> Contestant:
    """A contestant that measures these values, again and again."""
    endless = itertools.cycle(values)
    return lambda: contextlib.nullcontext(lambda: next(endless))


@contextlib.contextmanager
def absent() -> Iterator[Measure]:
    """A contestant that is not installed."""
    raise Missing("Dovecot is not installed: make bench-peers")
    yield


# ── the table ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_ours_and_whatever_its_goals_compare_it_with(row: Row) -> None:
    assert OURS in row.contestants
    assert row.goals
    for goal in row.goals:
        assert not goal.against or goal.against in row.contestants


@pytest.mark.parametrize("row", ROWS)
def test_an_aim_is_at_least_as_far_as_what_must_be(row: Row) -> None:
    for goal in row.goals:
        assert goal.aim is None or goal.holds(goal.aim)


def test_no_two_rows_have_the_same_name() -> None:
    names = [row.id for row in ROWS]
    assert len(set(names)) == len(names)


def test_an_unknown_group_is_an_error_that_names_the_groups(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        bench.main(["smpt"])
    assert "unknown group 'smpt'; choose from smtp, pop3" in capsys.readouterr().err


# ── measuring ────────────────────────────────────────────────────────────────


def test_contestants_take_turns_and_the_first_round_does_not_count() -> None:
    turns: list[str] = []

    def noting(name: str) -> Contestant:
        def measure() -> float:
            turns.append(name)
            return float(len(turns))

        return lambda: contextlib.nullcontext(measure)

    result = run(Row("x", {OURS: noting("A"), "peer": noting("B")}, []), rounds=2)
    assert turns == ["A", "B", "A", "B", "A", "B"]
    assert result.figures == {OURS: [3, 5], "peer": [4, 6]}


def test_the_ratio_is_the_median_of_the_ratios_of_each_round() -> None:
    # The medians of the figures are 4 and 10, and their ratio would be 0.4.
    goal = Goal("peer", 0.5)
    row = Row("x", {OURS: counting(9, 1, 4, 8), "peer": counting(9, 10, 40, 10)}, [goal])
    result = run(row, rounds=3)
    assert sorted(result.ratios(goal)) == [0.1, 0.1, 0.8]
    assert [verdict for _, verdict in result.verdicts()] == ["holds"]


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        (Goal("peer", 0.5), "holds"),
        (Goal("peer", 0.4), "MISSES"),
        (Goal("peer", 0.5, at_least=True), "holds"),
        (Goal("peer", 0.6, at_least=True), "MISSES"),
        (Goal("", 1), "holds"),
        (Goal("", 0.9), "MISSES"),
        (Goal("gone", 1), "not measured"),
    ],
)
def test_a_goal_is_an_upper_or_a_lower_limit(goal: Goal, verdict: str) -> None:
    row = Row("x", {OURS: counting(1), "peer": counting(2), "gone": absent}, [goal], scale=1)
    assert [found for _, found in run(row).verdicts()] == [verdict]


def test_what_is_missing_is_named_in_its_row_and_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = Row("pop3: x", {OURS: counting(1), "Dovecot": absent}, [Goal("Dovecot", 1)])
    result = run(row)
    show(result)
    summary([result])
    out = capsys.readouterr().out
    assert "    Dovecot    MISSING: Dovecot is not installed: make bench-peers\n" in out
    assert "0 of 1 goals hold\n  not measured: pop3: x ÷ Dovecot\n" in out
    assert out.endswith("  missing: Dovecot is not installed: make bench-peers\n")


def test_a_row_is_printed_with_figures_ratios_and_verdicts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    goals = [Goal("floor", 1.5, 1.2), Goal("", 2)]
    show(Result(Row("a row", {}, goals, "ms", 1e3), {OURS: [0.003], "floor": [0.002]}, {}))
    assert capsys.readouterr().out == (
        "a row\n"
        "    ours       3.00 (3.00..3.00) ms\n"
        "    floor      2.00 (2.00..2.00) ms\n"
        "  ours ÷ floor      1.50 (1.50..1.50)      must ≤ 1.5 (aim 1.2)  holds\n"
        "  ours, ms          3.00 (3.00..3.00)      must ≤ 2  MISSES\n"
    )


def test_the_change_is_only_printed_if_both_versions_were_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = Row("a row", {}, [])
    show(Result(row, {"before": [4.0]}, {OURS: "it does not start"}))
    assert "÷" not in capsys.readouterr().out
    show(Result(row, {OURS: [2.0], "before": [4.0]}, {}))
    assert "  ours ÷ before     0.50 (0.50..0.50)\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.00"), (0.0123, "0.012"), (0.5, "0.50"), (12.34, "12.3"), (12345, "12,345")],
)
def test_a_number_has_about_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_processor_time_and_memory_of_a_process_are_read() -> None:
    before = cpu(os.getpid())
    while cpu(os.getpid()) == before:
        pass
    assert cpu(os.getpid()) > before
    assert memory(os.getpid()) > 1e6


@pytest.mark.slow
def test_the_cost_of_a_mail_is_measured_on_a_server_in_its_own_process() -> None:
    row = Row("x", {OURS: cpu_of(floor("smtp"), mails(2, 1000), 2)}, [])
    (figure,) = run(row, rounds=1).figures[OURS]
    assert 0 < figure < 1


SMALL: list[tuple[Callable[..., Callable[[], float]], list[str]]] = [
    (bench_worker.start, ["ours", "message", "1"]),
    (bench_worker.chain, ["ours", "0", "0", "1"]),
    (bench_worker.looking, ["records", "100", "1"]),
    (bench_worker.looking, ["messages", "3", "1"]),
]


@pytest.mark.parametrize(
    ("prepare", "arguments"), SMALL, ids=lambda value: getattr(value, "__name__", None)
)
def test_what_a_worker_measures_takes_some_time(
    prepare: Callable[..., Callable[[], float]], arguments: list[str]
) -> None:
    with bench_worker._OPEN:
        assert prepare(*arguments)() > 0


@pytest.mark.parametrize("action", ["stat", "login", "delivery", "quota", "delete"])
def test_an_action_on_a_maildrop_takes_some_time(action: str) -> None:
    assert bench_worker.maildrop("3", "2")(action) > 0


def test_the_growth_of_a_soak_is_that_of_its_second_half() -> None:
    assert growth([(100, 0.0), (200, 5000.0), (300, 6000.0), (400, 7000.0)]) == 10


@pytest.mark.parametrize(("after", "status"), [(5900.0, 0), (6000.0, 1)])
def test_a_soak_fails_if_the_memory_grows(
    after: float, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [(100, 0.0), (200, 5000.0), (300, 5000.0), (400, after)]
    monkeypatch.setattr(soak, "curve", lambda *_: points)
    monkeypatch.setattr(soak, "pin", str)
    assert soak.main() == status
