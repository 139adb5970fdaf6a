"""The link, on plain sockets and on real time; what TLS and rehearsals add is tested where they are used."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from comms.clock import Once, RealClock
from comms.errors import Unreachable
from comms.link import Link


@pytest.fixture
def clock() -> Iterator[RealClock]:
    clock = RealClock()
    yield clock
    clock.close()


@contextlib.contextmanager
def pair(clock: RealClock, timeout: float = 5.0) -> Iterator[tuple[Link, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        link = Link.connect("127.0.0.1", listening.getsockname()[1], clock, timeout)
        other, _ = listening.accept()
        with other:
            yield link, other
    link.abort()


def test_it_reads_and_writes_as_a_socket_and_counts(clock: RealClock) -> None:
    with pair(clock) as (link, other):
        link.sendall(b"hello")
        assert other.recv(10) == b"hello"
        other.sendall(b"line one\r\nrest")
        reader = link.makefile("rb")
        assert reader.readline() == b"line one\r\n"
        assert (link.octets_out, link.octets_in) == (5, 14)
        other.close()
        assert reader.read() == b"rest"


def test_silence_is_a_timeout(clock: RealClock) -> None:
    with pair(clock, timeout=0.02) as (link, _), pytest.raises(TimeoutError, match=r"no answer within 0\.02 s"):
        link.recv(1)


def test_nobody_there_is_unreachable_and_named(clock: RealClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{address[1]} cannot be reached"):
        Link.connect(address[0], address[1], clock)


def test_a_name_that_does_not_resolve_is_unreachable(clock: RealClock) -> None:
    with pytest.raises(Unreachable, match=r"no-such-host\.invalid:25 cannot be reached"):
        Link.connect("no-such-host.invalid", 25, clock)


def test_more_than_the_buffers_hold_is_written_whole(clock: RealClock) -> None:
    with pair(clock) as (link, other):
        whole = b"x" * 20_000_000
        heard = bytearray()

        def read() -> None:
            while more := other.recv(1 << 16):
                heard.extend(more)
            other.close()  # otherwise the link waits a second for the other side's farewell

        reader = threading.Thread(target=read)
        reader.start()
        link.sendall(whole)
        link.close()
        reader.join()
        assert bytes(heard) == whole, "a close does not undo what was written"


def test_a_flood_waits_in_the_kernel_and_not_here(clock: RealClock) -> None:
    with pair(clock) as (link, other):
        other.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                other.send(b"x" * 65536)
        link.recv(1)
        link.recv(1)
        assert len(link._plain) <= 1 << 16


def test_a_wait_ends_when_there_is_something_or_the_time_is_come(clock: RealClock) -> None:
    with pair(clock) as (link, other):
        assert clock.wait(link, clock.time() + 0.01) is False
        other.sendall(b"x")
        assert clock.wait(link, clock.time() + 5) is True
        assert clock.wait(None, clock.time() - 1) is False


def test_stop_ends_loops_and_endless_waits_but_not_the_round_in_hand(clock: RealClock) -> None:
    rounds = []
    for _ in clock.every(3600):
        rounds.append(time.monotonic())
        clock.stop()
    assert len(rounds) == 1
    with pair(clock) as (link, _):
        assert clock.wait(link, None) is False


def test_once_comes_round_once(clock: RealClock) -> None:
    assert len(list(Once(clock).every(3600))) == 1
