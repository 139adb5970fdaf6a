"""Drills: a program loses its connection, is killed, or runs out of disk, at every step."""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import warnings
from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, TypeVar

import pytest

from comms import settings as comms_settings
from comms.clock import Once, RealClock
from comms.errors import CommsError
from comms.host import RealHost
from comms.link import Link
from comms.state import State
from fakes.wire import Record
from tests.thorough import THOROUGH

# Units that may have taken effect when the connection is lost before their answer.
EFFECTS = {
    ("smtp", "."),
    ("pop3", "QUIT"),
    ("imap", "UID_STORE"),
    ("imap", "UID_EXPUNGE"),
    ("webhook", "POST"),
}

Case = TypeVar("Case")

PAGE = 4096  # bytes that SQLite writes at once


def three_of(found: Sequence[Case]) -> list[Case]:
    """Returns the first, the middle and the last one; fewer if there are no three."""
    return [found[at] for at in sorted({0, len(found) // 2, len(found) - 1})]


def first_middle_last(cases: Iterable[Case], step: Callable[[Case], Hashable]) -> list[Any]:
    """Marks as slow the cases of all steps but the first, the middle and the last one.

    Steps are told apart by what the function `step` returns.
    """
    found = list(cases)
    steps = list(dict.fromkeys(map(step, found)))
    quick = set(three_of(steps))
    rows = [case if isinstance(case, tuple) else (case,) for case in found]  # as parametrize does
    marks = [() if step(case) in quick else (pytest.mark.slow,) for case in found]
    return [pytest.param(*row, marks=mark) for row, mark in zip(rows, marks, strict=True)]


def quick_at(unit: str, cuts: Iterable[str]) -> list[Any]:
    """Marks all cuts but those at this unit, which is written as by `place`: see `marks`."""
    found = list(cuts)
    return sampled(found, [cut for cut in found if place(cut) == unit], protocol(unit))


def none_quick(cuts: Iterable[str], whole: str) -> list[Any]:
    """Marks all cuts, every unit of the protocol `whole` as slow: see `marks`."""
    return sampled([*cuts], (), whole)


def sampled(cuts: Sequence[str], quick: Container[str], whole: str = "smtp") -> list[Any]:
    """Returns the cuts for parametrize: see `marks`."""
    return [pytest.param(cut, marks=mark) for cut, mark in marks(cuts, quick, whole)]


def marks(
    cuts: Sequence[str], quick: Container[str], whole: str = "smtp"
) -> list[tuple[str, list[pytest.MarkDecorator]]]:
    """Returns the cuts that are tried, each with its mark: none if it is quick, else `slow`.

    Slow are all ways to cut the connection at the first, the middle and the last unit of each
    protocol. At each other unit of the protocol `whole`, it is one way after the other, and all
    ways where the answer decides what has happened. The rest is left to `make soak`.
    """
    units: dict[str, dict[str, list[str]]] = {}
    for cut in cuts:
        units.setdefault(protocol(cut), {}).setdefault(place(cut), []).append(cut)
    tried: set[str] = set()
    for name, found in units.items():
        edges = three_of([*found])
        for nth, (where, ways) in enumerate(found.items()):
            if (
                THOROUGH
                or where in edges
                or (name == whole and (name, where.split()[1]) in EFFECTS)
            ):
                tried.update(ways)
            elif name == whole:  # units come in cycles, so each cycle begins with another way
                tried.add(ways[(nth + nth // len(ways)) % len(ways)])
    rows = [cut for cut in cuts if cut in quick or cut in tried]
    return [(cut, [] if cut in quick else [pytest.mark.slow]) for cut in rows]


def protocol(cut: str) -> str:
    """Returns the protocol of a cut, or of a place: `smtp`."""
    return cut.partition(" ")[0]


def place(cut: str) -> str:
    """Returns the part of a cut, as `cuts` writes it, that names the unit: `smtp RCPT nth 1`."""
    return " ".join(cut.split()[:4])


def units(records: Iterable[Record]) -> list[tuple[str, str, int]]:
    """Returns (protocol, where, nth) of each unit that a client sent, connections included."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for record in records:
        if record.direction == "C" or record.verb == "connects":
            where = "connect" if record.verb == "connects" else record.verb
            seen[record.protocol, where] += 1
            found.append((record.protocol, where, seen[record.protocol, where]))
    return found


def cuts(records: Iterable[Record]) -> Iterator[str]:
    """Yields a fault for each way to lose the connection at each of these units."""
    for protocol, where, nth in units(records):
        for what in ("hang up before", "hang up within", "hang up after", "reset"):
            yield f"{protocol} {where} nth {nth} {what}"
        if (protocol, where) in EFFECTS:
            yield f"{protocol} {where} nth {nth} lost stored"
            yield f"{protocol} {where} nth {nth} lost unstored"


# ── killed at a step ─────────────────────────────────────────────────────────


def perish(at: int, module: str, settings: Mapping[str, Any], folder: Path, steps: Path) -> None:
    """Runs one round of a program on the real clock and host, with SIGKILL at its n-th step.

    A step is the moment before, or after, an effect that cannot be undone: bytes written, a commit,
    a command, a file renamed. With 0, nothing is killed. The number of steps is written to the file
    `steps` at the end of the round. To be called in a process that may die.
    """
    taken = 0

    def step() -> None:
        nonlocal taken
        taken += 1
        if taken == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def stepping(*args: Any, **options: Any) -> Any:
            step()
            result = original(*args, **options)
            step()
            return result

        setattr(owner, name, stepping)

    class Stepping(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql != "COMMIT":
                return super().execute(sql, *values)
            step()
            cursor = super().execute(sql, *values)
            step()
            return cursor

        def commit(self) -> None:
            step()
            super().commit()
            step()

    connect = sqlite3.connect

    def stepping_connect(*args: Any, **options: Any) -> Any:
        return connect(*args, **{**options, "factory": Stepping})

    for owner in (sqlite3, sqlite3.dbapi2):
        owner.connect = stepping_connect  # type: ignore[attr-defined]
    around(Link, "sendall")
    around(RealHost, "run")
    around(subprocess, "Popen")
    around(Path, "rename")
    if "postgresql" in str(settings):
        from psycopg import Connection

        around(Connection, "commit")
    clock = RealClock()
    with open(os.devnull, "w") as nowhere:
        host = RealHost(nowhere, nowhere)
        run = importlib.import_module(module).run
        code = run(Once(clock), comms_settings.load(settings, folder), host)
    steps.write_text(str(taken))
    os._exit(code)


def each_step(kill: Callable[[int], int | None], whole: bool = False) -> int:
    """Kills a program at its first, its middle and its last step, or at the whole of its steps.

    In `make soak`, all are killed at the whole. `kill` is like `killed`. Returns the number of
    steps.
    """
    steps = kill(0)
    assert steps is not None, "with 0, nothing is killed"
    every = range(1, steps + 1)
    for at in every if whole or THOROUGH else three_of(every):
        assert kill(at) is None, f"it is not killed at step {at} of {steps}"
    return steps


class Killed(BaseException):
    """Ends a program in a rehearsal, as SIGKILL would."""


class Death:
    """The steps that a program has taken, and whether it has been killed at one."""

    def __init__(self, at: int) -> None:
        self.taken, self.came, self._at = 0, False, at

    def step(self) -> None:
        """Takes a step; raises Killed at the one that was chosen."""
        self.taken += 1
        if self.taken == self._at:
            self.came = True
            raise Killed


@contextlib.contextmanager
def dying(at: int) -> Iterator[Death]:
    """Kills, at its n-th step, a program that runs in this process within the block.

    A step is the moment before, or after, a transaction or bytes that are sent. With 0, nothing is
    killed. What the program still tries to do when it was killed has no effect.
    """
    death = Death(at)
    transaction, sendall, made = State.transaction, Link.sendall, Link.__init__
    links: list[Link] = []

    @contextlib.contextmanager
    def stepping(self: State) -> Iterator[sqlite3.Connection]:
        if death.came:
            raise Killed
        death.step()
        with transaction(self) as db:
            yield db
        death.step()

    def sending(self: Link, data: bytes) -> None:
        if not death.came:
            death.step()
            sendall(self, data)
            death.step()

    def making(self: Link, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        links.append(self)

    with warnings.catch_warnings():
        # A process that is killed closes nothing: the kernel closes its connections, and its
        # files are closed as garbage.
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(State, "transaction", stepping)
            patch.setattr(Link, "sendall", sending)
            patch.setattr(Link, "__init__", making)
            gc.disable()  # so that all garbage of the program is young, and found in no time
            try:
                yield death
            finally:
                gc.enable()
        if death.came:
            for link in links:
                link.abort()
            gc.collect(0)


_FORKS = multiprocessing.get_context("forkserver")
# Imported once and not in each child. All tests share the one process that forks.
_FORKS.set_forkserver_preload(
    [
        "tests.compiled",
        "tests.test_comms_commands",
        "tests.drills_forked",
        "scenarios.sending.build_mail",
        "scenarios.sending.status_digest",
        "scenarios.sending.template_mailer",
    ]
)


def forked(target: Callable[..., None], args: tuple[Any, ...]) -> ForkServerProcess:
    """Starts a function in a process that may die."""
    process = _FORKS.Process(target=target, args=args)
    process.start()
    return process


def killed(
    at: int, module: str, settings: Mapping[str, Any], folder: Path, codes: Container[int] = (0,)
) -> int | None:
    """Runs one round in another process, and kills it at a step.

    Returns the number of steps, or None if the process was killed. `codes` are the exit codes of a
    round that has come to its end.
    """
    steps = folder / "steps"
    steps.unlink(missing_ok=True)
    for _ in range(50):  # the maildrop may still be locked by a connection that was just killed
        process = _FORKS.Process(target=perish, args=(at, module, settings, folder, steps))
        process.start()
        process.join(30)
        if process.exitcode == -signal.SIGKILL:
            return None
        if process.exitcode in codes:
            return int(steps.read_text())
    raise AssertionError(f"the program ends with {process.exitcode}")


def rooms(most: int) -> range:
    """Returns the free bytes to try: each page of SQLite in `make soak`, else every other one."""
    return range(0, most, PAGE if THOROUGH else 2 * PAGE)


def on_full_disk(room: int, module: str, settings: Mapping[str, Any], folder: Path) -> int:
    """Runs one round in a process that may not write files larger than `room` bytes.

    Returns its exit code.
    """
    process = _FORKS.Process(target=_limited, args=(room, module, settings, folder))
    process.start()
    process.join(30)
    assert process.exitcode is not None
    return process.exitcode


def _limited(room: int, module: str, settings: Mapping[str, Any], folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    _exit_after_one_round(module, settings, folder)


def together(count: int, module: str, settings: Mapping[str, Any], folder: Path) -> list[int]:
    """Runs one round in each of several processes at the same time; returns their exit codes.

    Raises AssertionError if one of them does not end.
    """
    processes = [
        _FORKS.Process(target=_exit_after_one_round, args=(module, settings, folder))
        for _ in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    stuck = [process for process in processes if process.is_alive()]
    for process in stuck:
        process.kill()
    assert not stuck, f"{len(stuck)} of {count} programs have not ended after 30 s"
    return [process.exitcode for process in processes if process.exitcode is not None]


def start_again(
    module: str,
    settings: Mapping[str, Any],
    folder: Path,
    rounds: int = 2,
    codes: Container[int] = (0,),
) -> None:
    """Runs the program again, undisturbed, until it has ended well in that many rounds.

    It runs in this process, which costs a tenth of starting another one. Like a process that was
    just started, it knows only what is on disk: nothing of the process that was killed is here.
    """
    for _ in range(rounds):
        for _ in range(50):  # the maildrop may still be locked by a connection that was just killed
            if (code := one_round(module, settings, folder)) in codes:
                break
        else:
            raise AssertionError(f"the program ends with {code}")


def _exit_after_one_round(module: str, settings: Mapping[str, Any], folder: Path) -> None:
    os._exit(one_round(module, settings, folder))


def one_round(module: str, settings: Mapping[str, Any], folder: Path) -> int:
    """Runs the program as `python -m scenarios run … --live … --once` does; returns its code."""
    with contextlib.closing(RealClock()) as clock, open(os.devnull, "w") as nowhere:
        host = RealHost(nowhere, nowhere)
        try:
            run = importlib.import_module(module).run
            return int(run(Once(clock), comms_settings.load(settings, folder), host) or 0)
        except CommsError as error:
            return error.exit_code
