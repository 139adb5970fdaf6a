"""Waiting: for a link, for a time, for the word to stop; on real time and in a rehearsal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from comms.clock import Clock, RealClock
from fakes.clock import START
from fakes.world import World


@pytest.fixture
def real() -> Iterator[RealClock]:
    clock = RealClock()
    yield clock
    clock.close()


def test_a_wait_that_may_be_stopped_comes_back_when_the_program_is_asked_to_stop(
    real: RealClock,
) -> None:
    threading.Timer(0.05, real.stop).start()
    until = time.time() + 60
    assert not real.wait(None, until, or_stop=True)
    assert real.time() < until


def test_a_wait_with_a_time_runs_to_it_even_when_the_program_is_asked_to_stop(
    real: RealClock,
) -> None:
    real.stop()
    until = time.time() + 0.05
    assert not real.wait(None, until)
    assert real.time() >= until - 0.001


def test_in_a_rehearsal_a_wait_that_may_be_stopped_ends_with_the_play() -> None:
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        clock: Clock = world.clock
        world.clock.at(60, lambda: None)
        assert not clock.wait(None, START + 30, or_stop=True)
        assert world.clock.elapsed == 30
        assert not clock.wait(None, START + 90, or_stop=True)
        assert world.clock.elapsed == 60
        assert not clock.wait(None, START + 90)
        assert world.clock.elapsed == 90
