"""Settings of the whole suite: Hypothesis profiles, temporary folders, time, the working tree.

The plugin under test is loaded here in the way in which other projects get it by installation.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import math
import os
import pkgutil
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import fakes

pytest_plugins = ["fakes.pytest_plugin", "pytester", "tests.compiled"]

# Few examples in `make test`, because there are many such tests. CI tries more, the same each time,
# on one Python version; on the others it tries few. `make soak` tries very many, others each time.
settings.register_profile("dev", max_examples=30, deadline=None, database=None)
settings.register_profile("few", max_examples=30, deadline=None, database=None, derandomize=True)
settings.register_profile("ci", max_examples=100, deadline=None, database=None, derandomize=True)
settings.register_profile("soak", max_examples=2000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# So that garbage is looked for less often than by default, which took 7 % of the time of the suite.
gc.set_threshold(20_000, 10, 10)

# A job in the background of a shell ignores Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# ── temporary folders ────────────────────────────────────────────────────────

MEMORY = Path("/dev/shm")
ENOUGH = 1 << 30  # bytes; the suite needs about 100 MB at a time


def _put_temporary_folders_into_memory() -> None:
    """Makes `tempfile` and `tmp_path` use a file system in memory, if one has enough room.

    The programs commit to SQLite up to a few hundred times in one rehearsal. On a disk, each commit
    waits until the disk has written, and that was most of the time that the suite took. No test is
    about a power failure, so nothing is lost. TMPDIR in the environment takes precedence.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK):
        return
    # In containers it is often small, and programs in it may not be executed, as some tests do.
    has_room = shutil.disk_usage(MEMORY).free >= ENOUGH
    if has_room and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        tempfile.tempdir = os.environ["TMPDIR"] = str(MEMORY)


_put_temporary_folders_into_memory()


# ── the time of a test ───────────────────────────────────────────────────────

LONGEST_TEST = 600.0  # seconds; on a busy machine, the longest tests of all take a tenth of it
LEEWAY = 10.0  # seconds by which a test may be ended too late
STDERR = pytest.StashKey[int]()
WATCHED_SINCE = pytest.StashKey[float]()


def pytest_configure(config: pytest.Config) -> None:
    """Keeps a way to the terminal: while a test runs, its stderr is captured."""
    config.stash[STDERR] = os.dup(2)
    config.stash[WATCHED_SINCE] = -math.inf


def pytest_unconfigure(config: pytest.Config) -> None:
    """Closes what `pytest_configure` has opened, and ends the watch over the last test."""
    faulthandler.cancel_dump_traceback_later()
    os.close(config.stash[STDERR])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Ends the process, with the stacks of its threads, if a test hangs.

    pytest's own faulthandler_timeout shows the stacks, but lets the test hang on; only pytest 9 can
    also end it. Nothing gentler is sure to work: a test may hang in C, or in any thread. A process
    of pytest-xdist that ends in this way is replaced, and its test is reported as failed.
    """
    stash, now = item.config.stash, time.monotonic()
    # Each watch is a thread. To start and to end one takes as long as a quick test, so it goes on
    # through the tests that follow.
    if now - stash[WATCHED_SINCE] > LEEWAY:
        stash[WATCHED_SINCE] = now
        faulthandler.dump_traceback_later(LONGEST_TEST + LEEWAY, exit=True, file=stash[STDERR])
    return (yield)


# ── collection ───────────────────────────────────────────────────────────────


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collects no garbage while tests are collected: looking for it takes a sixth of that time.

    Each process of pytest-xdist collects all tests, and nearly all that is made lives on. So it is
    left out when garbage is looked for while the tests run, too.
    """
    gc.disable()
    try:
        if _is_worker(session.config) and any(Path(arg).is_dir() for arg in session.config.args):
            _import_tests(session.config)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _import_tests(config: pytest.Config) -> None:
    """Imports the tests, and begins elsewhere than the other processes of pytest-xdist do.

    pytest writes the assertions of each file anew, and keeps the bytecode. In a new clone, that is
    two thirds of a collection, and processes that begin at the same file all do it for each file.
    """
    names = [path.stem for path in sorted(Path(__file__).parent.glob("test_*.py"))]
    names = [name for name in names if not _is_left_out(name, config)]
    worker = config.workerinput  # type: ignore[attr-defined]
    first = len(names) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    for name in names[first:] + names[:first]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # the collection will report it
            importlib.import_module(f"{__package__}.{name}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out the files of real servers if no test of theirs is to run.

    Browsers, databases and clients are imported there, and each process would do it.
    """
    return True if _is_left_out(collection_path.name, config) else None


def _is_left_out(name: str, config: pytest.Config) -> bool:
    return name.startswith("test_real_") and "not real and not browser" in config.option.markexpr


# ── reports ──────────────────────────────────────────────────────────────────


def _report_less(config: pytest.Config) -> None:
    """Lets a process of pytest-xdist report of a test only what anybody is shown.

    It would send that a test begins, how its set-up, its call and its teardown went, and that it
    ends. To write and to read what nobody is shown took longer than most tests: 0.7 ms of 2.5.
    """
    for plugin in config.pluginmanager.get_plugins():
        if send := getattr(plugin, "sendevent", None):
            plugin.sendevent = partial(_send_what_is_shown, send)


def _send_what_is_shown(send: Callable[..., None], name: str, **content: Any) -> None:
    """Sends an event of pytest-xdist, unless it says only that all is well before or after a test.

    Every call is reported, and so is whatever failed, was skipped, or has printed something.
    """
    report = content.get("data") if name == "testreport" else None
    if name in ("logstart", "logfinish") or (
        report
        and report["when"] != "call"
        and report["outcome"] == "passed"
        and not report["sections"]
    ):
        return
    send(name, **content)


# ── the working tree ─────────────────────────────────────────────────────────

ROOT = Path(__file__).parent.parent
IN_CI = bool(os.environ.get("CI")) or os.environ.get("HYPOTHESIS_PROFILE") in ("ci", "few")
TREE_BEFORE = pytest.StashKey[set[str]]()
TREE_DIFFERENCES = pytest.StashKey[list[str]]()


def _tree() -> set[str]:
    """Returns the lines of `git status`: a state and a path each. Empty without a repository."""
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    try:
        return set(
            subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, check=False
            ).stdout.splitlines()
        )
    except OSError:
        return set()


def _is_worker(config: pytest.Config) -> bool:
    """Returns whether this is one of the processes to which pytest-xdist distributes the tests."""
    return hasattr(config, "workerinput")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Notes what differs from the last commit before the first test runs."""
    if _is_worker(session.config):
        _report_less(session.config)
    else:
        session.config.stash[TREE_BEFORE] = _tree()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compares the working tree with how it was before the first test.

    In CI, a difference fails the run. Elsewhere it is only reported, because a person may have
    edited a file in the meantime.
    """
    if _is_worker(session.config):
        return
    before, after = session.config.stash[TREE_BEFORE], _tree()
    found = [f"appeared during the tests: {line}" for line in sorted(after - before)]
    found += [f"disappeared during the tests: {line}" for line in sorted(before - after)]
    session.config.stash[TREE_DIFFERENCES] = found
    if found and IN_CI and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Names the paths that differ and, in CI, the slow tests with the seconds that they took."""
    _list_slow_tests(terminalreporter)
    if found := config.stash.get(TREE_DIFFERENCES, []):
        remedy = (
            "a test must leave no file behind; use tmp_path" if IN_CI else "by a test, or by you?"
        )
        terminalreporter.section(f"the working tree changed ({remedy})")
        for line in found:
            terminalreporter.line(line)


# ── tests of the plugin ──────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def all_of_fakes() -> None:
    """Imports every module of fakes.

    After each run of its own, pytester forgets the modules that the run has imported. Some of fakes
    are imported when they are needed: those would be imported again by later tests, and their
    classes would exist twice.
    """
    for module in pkgutil.walk_packages(fakes.__path__, "fakes."):
        if module.name != "fakes.__main__":
            importlib.import_module(module.name)


@pytest.fixture
def pytester(all_of_fakes: None, pytester: pytest.Pytester) -> pytest.Pytester:
    """The fixture of pytest, with all of fakes imported before."""
    return pytester


# ── real servers ─────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def postgres() -> Generator[str, None, None]:
    """The URL of a database of a real PostgreSQL, with the tables that other tests have left."""
    from tests.real import postgresql

    with postgresql() as url:
        yield url


# ── slow tests ───────────────────────────────────────────────────────────────


def _list_slow_tests(terminal: pytest.TerminalReporter) -> None:
    """Lists the slow tests with their seconds, the longest first; outside of CI only their sum."""
    seconds: Counter[str] = Counter()
    for report in (*terminal.stats.get("passed", ()), *terminal.stats.get("failed", ())):
        if "slow" in report.keywords:
            seconds[report.nodeid.partition("[")[0]] += report.duration
    if not seconds:
        return
    terminal.section(f"{len(seconds)} slow tests took {sum(seconds.values()):.0f} s")
    if IN_CI:
        for test, took in seconds.most_common():
            terminal.line(f"{took:7.1f}  {test}")
