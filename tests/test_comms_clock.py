"""Waiting for a link, for a time or for the end of the program, in real time and in a rehearsal."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from comms.clock import Clock, Interrupted, Once, RealClock
from comms.link import Link
from fakes.clock import START
from fakes.world import World


@pytest.fixture
def real() -> Iterator[RealClock]:
    clock = RealClock()
    yield clock
    clock.close()


def test_a_wait_ends_when_the_link_is_readable_or_the_time_has_come(real: RealClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = Link.connect("127.0.0.1", listener.getsockname()[1], real)
        other, _ = listener.accept()
        with other:
            assert real.wait(link, real.time() + 0.01) is False
            other.sendall(b"x")
            assert real.wait(link, real.time() + 5) is True
            assert real.wait(None, real.time() - 1) is False
        link.abort()


def test_stop_ends_loops_after_the_current_round_and_waits_without_a_time(real: RealClock) -> None:
    rounds = 0
    for _ in real.every(3600):
        rounds += 1
        real.stop()
    assert rounds == 1
    assert real.wait(None, None) is False


def test_stop_wakes_up_a_wait_with_or_stop(real: RealClock) -> None:
    threading.Timer(0.05, real.stop).start()
    until = time.time() + 60
    assert not real.wait(None, until, or_stop=True)
    assert real.time() < until


def test_a_wait_without_or_stop_lasts_until_its_time_even_after_stop(real: RealClock) -> None:
    real.stop()
    until = time.time() + 0.05
    assert not real.wait(None, until)
    assert real.time() >= until - 0.001


def test_rounds_are_due_at_multiples_and_missed_ones_are_skipped(real: RealClock) -> None:
    start = time.monotonic()
    rounds = real.every(0.05)
    next(rounds)
    real.wait(None, time.time() + 0.12)  # misses the rounds at 0.05 and 0.10
    overrun = time.monotonic() - start
    next(rounds)
    due = (overrun // 0.05 + 1) * 0.05
    assert time.monotonic() - start >= due - 0.01, "not before the next multiple"


def test_once_yields_once(real: RealClock) -> None:
    assert len(list(Once(real).every(3600))) == 1


def test_in_a_rehearsal_or_stop_ends_a_wait_with_the_rehearsal() -> None:
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        clock: Clock = world.clock
        world.clock.at(60, lambda: None)
        assert not clock.wait(None, START + 30, or_stop=True)
        assert world.clock.elapsed == 30
        assert not clock.wait(None, START + 90, or_stop=True)
        assert world.clock.elapsed == 60
        assert not clock.wait(None, START + 90)
        assert world.clock.elapsed == 90


# ── a limit for what computes ────────────────────────────────────────────────


def spin() -> None:
    while True:
        with contextlib.suppress(Exception):
            sum(range(1000))


def match_for_ever() -> None:
    re.search(r"(?:a|aa)+$", "a" * 100 + "!")


def swallow_everything() -> None:
    for _ in range(10**9):
        try:
            sum(range(100))
        except Exception:
            continue


@pytest.mark.parametrize("work", [spin, match_for_ever, swallow_everything])
def test_what_computes_too_long_is_interrupted(real: RealClock, work: Callable[[], None]) -> None:
    with pytest.raises(Interrupted, match=r"more than 0\.1 s"), real.limit(0.1):
        work()
    assert not real.stopping()


@pytest.mark.parametrize("work", [spin, match_for_ever])
def test_what_computes_is_interrupted_when_the_program_is_asked_to_stop(
    real: RealClock, work: Callable[[], None]
) -> None:
    # The signal comes from the kernel: a thread of ours could not send one while a search runs.
    before = signal.signal(signal.SIGALRM, lambda *_: real.stop())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(Interrupted, match="asked to stop"), real.limit(30):
            work()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert real.stopping()
    with pytest.raises(Interrupted), real.limit(30):
        pass


def test_a_limit_does_nothing_to_what_is_quick(real: RealClock) -> None:
    with real.limit(1):
        pass
    with pytest.raises(ZeroDivisionError), real.limit(1):
        1 // 0  # noqa: B018
    real.stop()
    assert real.stopping()


def test_in_another_thread_there_is_no_limit(real: RealClock) -> None:
    done: list[int] = []

    def work() -> None:
        with real.limit(0.001):
            done.append(sum(range(100_000)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
