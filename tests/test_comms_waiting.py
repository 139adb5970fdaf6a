"""Waiting for descriptors of any number."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator

import pytest

from comms.clock import RealClock
from comms.waiting import wait_until_ready


@pytest.fixture
def many_open() -> Iterator[None]:
    """So many open descriptors that the number of the next one is above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while opened[-1] < 1024:
            opened.append(os.dup(opened[0]))
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_waits_for_what_can_be_read_or_written(many_open: None) -> None:
    left, right = socket.socketpair()
    with left, right:
        assert left.fileno() > 1023
        assert not wait_until_ready([left], 0)
        assert wait_until_ready([left], 0, [right])
        right.send(b"!")
        assert wait_until_ready([left], None)
        assert wait_until_ready([left.fileno()], 0), "a descriptor will do"


def test_a_clock_that_is_made_when_much_is_open_waits(many_open: None) -> None:
    clock = RealClock()
    assert not clock.wait(None, clock.time() + 0.001, or_stop=True)
    clock.stop()
    assert not clock.wait(None, None)
    clock.close()
