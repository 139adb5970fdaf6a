"""How the benchmark measures: one core, interleaved rounds, medians of the ratios of each round.

A row compares contestants: `ours`, `floor` (tests/bench_floor.py) and peers, which are servers or
libraries that others wrote. All of them are open at the same time, and each round measures one
after the other: A B A B. What else the machine does disturbs both halves of a ratio, so medians of
ratios vary less than the figures themselves.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS, FLOOR, BEFORE = "ours", "floor", "before"

Measure = Callable[[], float]
Contestant = Callable[[], AbstractContextManager[Measure]]


class Missing(Exception):
    """A contestant cannot be measured here. The text says why, and what to do."""


@dataclass(frozen=True)
class Goal:
    """What a ratio must be: ours, divided by what `against` names. Without a name: our figure."""

    against: str
    must: float
    aim: float | None = None
    at_least: bool = False  # otherwise, at most

    def holds(self, value: float) -> bool:
        """Returns whether a value is as it must be."""
        return value >= self.must if self.at_least else value <= self.must


@dataclass(frozen=True)
class Row:
    """A line of the table. A figure is printed as `scale` times what was measured, in `unit`."""

    name: str
    contestants: Mapping[str, Contestant]
    goals: Sequence[Goal]
    unit: str = "us"
    scale: float = 1e6
    rounds: int = 7


@dataclass
class Result:
    """What a row's rounds found: a list of figures for each contestant, in the same order."""

    row: Row
    figures: dict[str, list[float]]
    missing: dict[str, str]  # contestant → why

    def ratios(self, goal: Goal) -> list[float]:
        """Returns the ratio of each round. Empty if one of the two contestants is missing."""
        ours = self.figures.get(OURS, [])
        if not goal.against:
            return [self.row.scale * figure for figure in ours]
        others = self.figures.get(goal.against, [])
        return [our / other for our, other in zip(ours, others, strict=False)]

    def verdicts(self) -> Iterator[tuple[Goal, str]]:
        """Yields each goal with `holds`, `MISSES` or `not measured`."""
        for goal in self.row.goals:
            ratios = self.ratios(goal)
            if not ratios:
                yield goal, "not measured"
            else:
                yield goal, "holds" if goal.holds(statistics.median(ratios)) else "MISSES"


def run(row: Row, rounds: int = 0, before: Path | None = None) -> Result:
    """Measures a row. One round that warms up comes first and does not count.

    `before` is a folder with other versions of comms and fakes, which are measured as `before`.
    """
    result = Result(row, {}, {})
    contestants = dict(row.contestants)
    if before is not None:
        contestants[BEFORE] = _in_tree(before, contestants[OURS])
    with contextlib.ExitStack() as stack:
        measures: dict[str, Measure] = {}
        for name, contestant in contestants.items():
            with _noting(result, name):
                measure = stack.enter_context(contestant())
                measure()
                measures[name] = measure
        result.figures = {name: [] for name in measures}
        for _ in range(rounds or row.rounds):
            for name, measure in measures.items():
                if name not in result.missing:
                    with _noting(result, name):
                        result.figures[name].append(measure())
    for name in result.missing:
        result.figures.pop(name, None)
    return result


@contextlib.contextmanager
def _noting(result: Result, name: str) -> Iterator[None]:
    """Notes why a contestant cannot be measured, so that the others are measured anyway."""
    try:
        yield
    except Missing as missing:
        result.missing[name] = str(missing)
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        result.missing[name] = f"failed: {type(error).__name__}: {error}"


# ── printing ─────────────────────────────────────────────────────────────────


def spread(values: Sequence[float]) -> str:
    """Returns the median, and the quartiles in parentheses."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return f"{number(middle)} ({number(low)}..{number(high)})"


def number(value: float) -> str:
    """Returns a number with three significant digits, without an exponent."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}" if value >= 0.1 or not value else f"{value:.3f}"


def show(result: Result) -> None:
    """Prints a row: each contestant's figures, then each ratio with its goal and the verdict."""
    row = result.row
    print(row.name)
    for name, figures in result.figures.items():
        print(f"    {name:<10} {spread([row.scale * figure for figure in figures])} {row.unit}")
    for name, why in result.missing.items():
        print(f"    {name:<10} MISSING: {why}")
    if change := result.ratios(Goal(BEFORE, 0)):
        print(f"  {'ours ÷ before':<17} {spread(change)}")
    for goal, verdict in result.verdicts():
        ratios = result.ratios(goal)
        what = f"ours ÷ {goal.against}" if goal.against else f"ours, {row.unit}"
        found = spread(ratios) if ratios else "-"
        aim = "" if goal.aim is None else f" (aim {goal.aim:g})"
        sign = "≥" if goal.at_least else "≤"
        print(f"  {what:<17} {found:<22} must {sign} {goal.must:g}{aim}  {verdict}")
    sys.stdout.flush()


def summary(results: Sequence[Result]) -> None:
    """Prints how many goals hold, and names the goals that do not and what was missing."""
    verdicts = [(result.row, *found) for result in results for found in result.verdicts()]
    held = sum(verdict == "holds" for *_, verdict in verdicts)
    print(f"\n{held} of {len(verdicts)} goals hold")
    for row, goal, verdict in verdicts:
        if verdict != "holds":
            print(f"  {verdict}: {row.name}" + (f" ÷ {goal.against}" if goal.against else ""))
    for why in sorted({why for result in results for why in result.missing.values()}):
        print(f"  missing: {why}")


# ── processors and memory ────────────────────────────────────────────────────


def pin() -> str:
    """Puts this process and all that it starts on one processor. Returns which, in words.

    Between two processors, waking the other process costs two to three times as much, and more on
    some runs than on others. BENCH_CORE names the processor; the default is the last one.
    """
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned to one processor, so the figures vary more"
    core = int(os.environ.get("BENCH_CORE", max(os.sched_getaffinity(0))))
    os.sched_setaffinity(0, {core})
    return f"pinned to processor {core}"


def cpu(pid: int) -> float:
    """Returns the processor time of all threads of a process so far, in seconds."""
    total = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])  # nanoseconds
        return total / 1e9
    except OSError:  # no Linux, or a Linux that does not count them
        import psutil

        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


def memory(pid: int) -> float:
    """Returns the memory that a process shares with no other, in bytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(float(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
    except OSError:
        import psutil

        return float(psutil.Process(pid).memory_info().rss)


# ── processes ────────────────────────────────────────────────────────────────

_tree = ROOT  # where the processes that are measured find comms, fakes and tests


def overlay(before: Path) -> contextlib.AbstractContextManager[Path]:
    """Makes a folder with the comms and fakes of another checkout, and the tests of this one."""

    @contextlib.contextmanager
    def made() -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            for package, tree in (("comms", before), ("fakes", before), ("tests", ROOT)):
                (Path(name) / package).symlink_to(tree.resolve() / package)
            yield Path(name)

    return made()


def _in_tree(tree: Path, contestant: Contestant) -> Contestant:
    """The same contestant, but with the code of another folder."""

    @contextlib.contextmanager
    def other() -> Iterator[None]:
        global _tree
        _tree = tree
        try:
            yield
        finally:
            _tree = ROOT

    @contextlib.contextmanager
    def wrapped() -> Iterator[Measure]:
        with contextlib.ExitStack() as stack:
            with other():
                measure = stack.enter_context(contestant())

            def measure_there() -> float:
                with other():
                    return measure()

            yield measure_there

    return wrapped


# Bytecode is kept outside of the source folders, so that no import is measured with a compilation.
_CACHE = tempfile.TemporaryDirectory(prefix="bench-")


def environment(loop: str = "asyncio") -> dict[str, str]:
    """Returns the environment of the processes that are measured; `loop` is theirs, if ours."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    cache = {"PYTHONPYCACHEPREFIX": _CACHE.name, "PYTHONPATH": str(_tree)}
    return {**inherited, **cache, "FAKES_LOOP": loop}


@contextlib.contextmanager
def process(
    arguments: Sequence[str], loop: str = "asyncio", said: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Runs a Python process with pipes, and ends it by closing its input, then by force.

    Its stderr is ours, unless `said` is another place.
    """
    command = [sys.executable, *arguments]
    pipe = subprocess.PIPE
    started = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=said, text=True, env=environment(loop), cwd=_tree
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


class Worker:
    """A process that measures: it runs a function of tests/bench_worker.py whenever it is asked."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def tell(self, *arguments: object) -> None:
        """Sends a question without waiting for the answer."""
        assert self.process.stdin is not None
        print(*arguments, file=self.process.stdin, flush=True)

    def answer(self) -> float:
        """Waits for an answer. Raises Missing with what the process says it lacks."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line.startswith("missing:"):
            raise Missing(line.partition(":")[2].strip())
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended; its stderr says why")
        return float(line)

    def ask(self, *arguments: object) -> float:
        """Sends a question and returns the answer."""
        self.tell(*arguments)
        return self.answer()


@contextlib.contextmanager
def worker(name: str, *arguments: object, loop: str = "asyncio") -> Iterator[Worker]:
    """Runs a worker, by the name of its function."""
    with process(["-m", "tests.bench_worker", name, *map(str, arguments)], loop) as started:
        yield Worker(started)


def kept(name: str, *arguments: object) -> Contestant:
    """A contestant that is a worker, asked once per round."""

    @contextlib.contextmanager
    def contestant() -> Iterator[Measure]:
        with worker(name, *arguments) as running:
            yield running.ask

    return contestant


def asked(name: str, *arguments: object, action: str) -> Contestant:
    """A contestant that is a worker, asked for an action. Rows with equal workers share one."""

    @contextlib.contextmanager
    def contestant() -> Iterator[Measure]:
        key = (name, *arguments, _tree)
        if key not in _shared:
            _shared[key] = _until_the_end.enter_context(worker(name, *arguments))
        yield lambda: _shared[key].ask(action)

    return contestant


_shared: dict[tuple[object, ...], Worker] = {}
_until_the_end = contextlib.ExitStack()
atexit.register(_until_the_end.close)


def fresh(name: str, *arguments: object) -> Contestant:
    """A contestant that is a new worker in each round, because memory is not returned."""

    def measure() -> float:
        with worker(name, *arguments) as running:
            return running.ask()

    return lambda: contextlib.nullcontext(measure)


def importing(module: str, times: int = 3) -> Contestant:
    """Processor time of an import, beyond asyncio and smtplib: the best of several new processes.

    The best, because whatever disturbs an import only makes it longer.
    """
    return lambda: contextlib.nullcontext(
        lambda: min(in_new_process(f"import {module}") for _ in range(times))
    )


def in_new_process(code: str) -> float:
    """Processor time of a new process for some code, beyond asyncio and smtplib."""
    whole = f"""
import asyncio, smtplib, time
begin = time.process_time()
{code}
print(time.process_time() - begin)
"""
    with process(["-c", whole]) as started:
        return float(started.communicate()[0])


def timed(run: Callable[[], object]) -> float:
    """Returns the seconds that a call takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
