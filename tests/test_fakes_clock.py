"""The rehearsal's clock misses nothing that moves, and the order of events is always the same."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest

from comms.clock import Clock
from comms.link import Link
from fakes.clock import PATIENCE, START, EndedByForce, RealTime
from fakes.transcripts.recorder import render
from fakes.wire import Unit
from fakes.world import World
from tests.bare_core import exchanged
from tests.linechat import LineChat, Room
from tests.streams import open_stream


@pytest.fixture
def load(request: pytest.FixtureRequest) -> Iterator[None]:
    """An idle machine, or one with more busy processes than it has processors."""
    busy = 1 + (os.cpu_count() or 1) if request.param == "under load" else 0
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    yield
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def world() -> Iterator[World]:
    """A rehearsal with one server."""
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        yield world


def chat_address(world: World, room: Room | None = None) -> tuple[str, int]:
    """Opens a port of the chat protocol, and returns its address."""
    shared = room or Room()
    return world.serve("chat", lambda: LineChat(world.runtime, shared))


def fits_the_programs_clock(world: World) -> Clock:
    """Never called: mypy checks here that the two clocks, which share no code, fit."""
    return world.clock


# ── the barrier ──────────────────────────────────────────────────────────────


class Bot:
    """Answers its n-th line with `SAY romeo n`, either by polling or as lines arrive."""

    def __init__(self, clock: Clock, address: tuple[str, int]) -> None:
        self.clock = clock
        self.link = open_stream(*address, clock=clock)
        self.link.sendall(b"NAME bot\r\n")
        self.received: list[tuple[float, bytes]] = []  # (time, line)
        self._unfinished = b""

    def take(self) -> None:
        if not self.link.readable():
            return
        *lines, self._unfinished = (self._unfinished + self.link.recv(1 << 20)).split(b"\r\n")
        for line in lines:
            self.received.append((self.clock.time(), line))
            self.link.sendall(b"SAY romeo %d\r\n" % len(self.received))

    def polled(self) -> None:
        for _ in self.clock.every(3):
            self.take()
        self.link.close()

    def called(self) -> None:
        while self.clock.wait(self.link, None):
            self.take()
        self.link.close()


def play(way: str, messages: int) -> tuple[list[tuple[float, bytes]], int, str]:
    """Romeo sends the bot ten messages at once in each second.

    Returns what the bot received, how many answers Romeo received, and the transcript.
    """
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        room = Room()
        address = chat_address(world, room)
        romeo = open_stream(*address, clock=world.clock)
        romeo.sendall(b"NAME romeo\r\n")
        bot = Bot(world.clock, address)

        def burst(second: int) -> None:
            for number in range(10):
                world.call(partial(room.deliver, "romeo", "bot", f"{second}.{number}"))

        for second in range(messages // 10):
            world.clock.at(second, partial(burst, second))
        getattr(bot, way)()
        world.clock.settle()
        romeo.pump()
        greeting = 1
        answers = romeo.recv(1 << 24).count(b"\r\n") - greeting if romeo.readable() else 0
        romeo.close()
        world.clock.settle()
        return bot.received, answers, render(world.recording)


@pytest.mark.parametrize(
    ("load", "messages"),
    [
        ("idle", 1_000),
        pytest.param("under load", 1_000, marks=pytest.mark.slow),
        pytest.param("under load", 10_000, marks=pytest.mark.soak),
    ],
    indirect=["load"],
)
@pytest.mark.parametrize("way", ["polled", "called"])
def test_no_message_is_missed(way: str, load: None, messages: int) -> None:
    received, answers, _ = play(way, messages)
    assert len(received) == messages + 1, "every message, and the greeting"
    assert answers == messages + 1
    if way == "called":
        # `romeo: 12.3` was sent in second 12.
        late = [
            (at, line)
            for at, line in received[1:]
            if at != START + int(line.split()[1].split(b".")[0])
        ]
        assert late == [], "a callback runs in the simulated second in which the message was sent"


@pytest.mark.parametrize("way", ["polled", "called"])
def test_every_run_of_a_play_has_the_same_transcript(way: str) -> None:
    assert len({play(way, 200)[2] for _ in range(4)}) == 1


def test_the_first_round_of_a_loop_begins_when_nothing_moves(world: World) -> None:
    address = chat_address(world)
    links = [open_stream(*address, clock=world.clock) for _ in range(20)]
    for number, link in enumerate(links):
        link.sendall(b"NAME %d\r\n" % number)
    for _ in world.clock.every(5):
        assert [link.readable() for link in links] == [True] * 20
    for link in links:
        link.close()


def test_what_a_program_writes_on_several_links_is_handled_in_that_order(world: World) -> None:
    address = chat_address(world)
    links = [open_stream(*address, clock=world.clock) for _ in range(5)]
    for number in range(200):
        links[number * number % 5].sendall(b"NAME %d\r\n" % number)
    links[0].close()
    links[1].sendall(b"NAME last\r\n")
    world.clock.settle()
    handled = [one.raw for one in world.records if one.direction == "C" or one.verb == "leaves"]
    names = [b"NAME %d\r\n" % number for number in range(200)]
    assert handled == [*names, b"", b"NAME last\r\n"]
    for link in links:
        link.close()


def test_bytes_that_never_arrive_are_an_error_that_counts_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakes.clock.PATIENCE", 0.05)
    link = open_stream(*chat_address(world), clock=world.clock)
    link.bytes_out += 3
    with pytest.raises(TimeoutError, match="3 bytes that the client wrote were never handled"):
        world.clock.settle()
    link.bytes_out -= 3
    link.close()


@pytest.mark.parametrize("activity", ["at the fake", "on the way to the client"])
def test_data_may_be_in_flight_for_long_while_it_moves(
    activity: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakes.clock.PATIENCE", 1e-6)
    looks = iter(range(50, -1, -1))

    def unseen() -> str | None:
        if not (left := next(looks)):
            return None
        if activity == "at the fake":
            world._shell.on_activity()
            return "a fake has output that it never wrote"
        return f"{left} bytes that the fake wrote never arrived"

    monkeypatch.setattr(world.clock, "_unseen", unseen)
    world.clock.settle()
    assert list(looks) == []


def test_a_machine_that_stops_the_process_is_not_taken_for_silence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([*["3 bytes that the client wrote were never handled"] * 9, None])
    monkeypatch.setattr(world.clock, "_unseen", lambda: next(looks))
    stopped = SimpleNamespace(monotonic=partial(next, count(0.0, PATIENCE)))
    monkeypatch.setattr("fakes.clock.time", stopped)
    world.clock.settle()
    assert list(looks) == []


def test_activity_without_end_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakes.clock.ENDLESS", 0.02)
    numbers = count()
    monkeypatch.setattr(world.clock, "_unseen", lambda: f"{next(numbers)} bytes are on their way")
    with pytest.raises(TimeoutError, match=r"s of activity, [0-9]+ bytes are on their way"):
        world.clock.settle()


def connect_from(port: int, world: World, protocol: str = "smtp") -> Link:
    """Connects to a server from this local port; 0 means any."""
    world.clock.connecting(world.address(protocol)[1])
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    raw.bind(("127.0.0.1", port))
    raw.connect(world.address(protocol))
    link = Link(raw, world.clock, 5)
    world.clock.connected(link)
    return link


def test_what_servers_tell_each_other_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakes.clock.PATIENCE", 0.0)
    world._shell.flushing = True  # what a pipe carries is handled, and is in no list
    with pytest.raises(TimeoutError, match="a fake has output that it never wrote"):
        world.clock.settle()
    world._shell.flushing = False
    world.clock.settle()


def test_a_connection_may_have_the_port_of_an_earlier_one_that_was_reset() -> None:
    # After a reset, the kernel may give the same port to the next connection at once.
    with World({"servers": ["smtp"]}, rehearsal=True, faults=["NOOP nth 1 reset"]) as world:
        first = connect_from(0, world)
        first.sendall(b"NOOP\r\n")
        world.clock.settle()
        second = connect_from(first.local[1], world)
        second.sendall(b"NOOP\r\n")
        world.clock.settle()
        assert second.recv(1 << 16).endswith(b"250 2.0.0 OK\r\n")
        first.close()
        second.close()


def test_two_connections_to_different_servers_may_have_the_same_port() -> None:
    # The kernel does that when many ports are in use.
    with World({"servers": ["smtp", "pop3"]}, rehearsal=True) as world:
        first = connect_from(0, world)
        second = connect_from(first.local[1], world, "pop3")
        for link, reply in ((first, b"250 2.0.0 OK\r\n"), (second, b"-ERR")):
            link.recv(1 << 16)
            link.sendall(b"NOOP\r\n")
            world.clock.settle()
            assert reply in link.recv(1 << 16)
        first.sendall(b"NO")
        first.bytes_out += 1
        assert world.clock._unseen() is not None, "the first one is still watched"
        first.bytes_out -= 1
        first.close()
        second.close()


def test_a_connection_is_known_to_the_clock_only_when_its_greeting_is_written(
    world: World,
) -> None:
    known = []

    class Greeting(LineChat):
        """The clock, in its own thread, may look at any moment: during the greeting too."""

        def greet(self) -> None:
            known.append(len(world.clock._connections))
            self.send(b"welcome\r\n")

    address = world.serve("chat", lambda: Greeting(world.runtime, Room()))
    link = open_stream(*address, clock=world.clock)
    assert link.readable()
    assert known == [0]
    assert len(world.clock._connections) == 1
    link.close()


# ── when things happen ───────────────────────────────────────────────────────


def test_at_equal_times_cues_run_before_the_program(world: World) -> None:
    order: list[str] = []
    world.clock.at(5, lambda: order.append("first cue"))
    world.clock.at(5, lambda: order.append("second cue"))
    for _ in world.clock.every(5):
        order.append("program")
    assert order == ["program", "first cue", "second cue", "program"]


def test_a_round_that_takes_too_long_skips_the_turns_that_it_missed(world: World) -> None:
    world.clock.until(30)
    rounds = []
    for _ in world.clock.every(10):
        rounds.append(world.clock.elapsed)
        if len(rounds) == 1:
            world.clock.wait(None, START + 15)
    assert rounds == [0, 20, 30]


def test_advancing_moves_all_clocks_and_runs_what_is_due(world: World) -> None:
    ran: list[float] = []
    world.clock.at(20, lambda: ran.append(world.clock.elapsed))
    world.clock.at(40, lambda: ran.append(world.clock.elapsed))
    world.clock.advance(30)
    assert (world.clock.elapsed, world.clock.time(), ran) == (30, START + 30, [20])


def test_a_jump_moves_the_programs_clock_and_no_event(world: World) -> None:
    world.clock.at(5, lambda: world.clock.jump(3600))
    times = []
    for _ in world.clock.every(5):
        times.append((world.clock.elapsed, world.clock.time() - START))
    assert times == [(0, 0), (5, 3605)]


def test_real_time_does_not_wait_for_a_fake() -> None:
    clock = RealTime()
    before = clock.now()
    clock.advance(3600)
    assert clock.now() - before < 60


# ── the end of a play ────────────────────────────────────────────────────────


def test_a_loop_ends_after_the_first_round_that_began_after_the_last_cue(world: World) -> None:
    world.clock.at(12, lambda: None)
    assert [world.clock.elapsed for _ in world.clock.every(5)] == [0, 5, 10, 15]


def test_what_the_last_round_writes_is_handled_before_the_loop_ends(world: World) -> None:
    link = open_stream(*chat_address(world), clock=world.clock)
    for _ in world.clock.every(5):
        link.sendall(b"NAME romeo\r\n")
    # Not `world.records`, which waits for the thread of the server.
    assert [raw for direction, _, raw in exchanged(world) if direction == "C"] == [
        b"NAME romeo\r\n"
    ]
    link.close()


def test_a_play_without_cues_is_one_round_and_until_prolongs_it(world: World) -> None:
    assert [world.clock.elapsed for _ in world.clock.every(5)] == [0]
    world.clock.until(10)
    assert [world.clock.elapsed for _ in world.clock.every(5)] == [0, 5, 10]


def test_a_wait_with_a_time_runs_to_it_and_one_without_ends_with_the_play(world: World) -> None:
    link = open_stream(*chat_address(world), clock=world.clock)
    world.clock.at(7, lambda: None)
    assert world.clock.wait(link, START + 100) is False
    assert world.clock.elapsed == 100
    assert world.clock.wait(link, None) is False
    link.close()


def test_a_wait_without_a_time_does_not_run_to_a_timer_after_the_play(world: World) -> None:
    # SMTP's idle timer would send 421 after 300 seconds.
    link = open_stream(*world.address("smtp"), clock=world.clock)
    link.recv(1 << 16)
    world.clock.at(7, lambda: None)
    assert world.clock.wait(link, None) is False
    assert world.clock.elapsed == 7
    link.close()


def test_a_play_that_never_rests_is_ended_by_force_after_an_hour_or_two(world: World) -> None:
    link = open_stream(*chat_address(world), clock=world.clock)
    link.sendall(b"NAME echo\r\n")
    with pytest.raises(EndedByForce, match="7200 simulated seconds after the last cue"):
        while True:
            world.clock.wait(None, world.clock.time() + 60)
    assert world.clock.ended_by_force
    link.close()


def test_a_loop_ends_by_force_when_something_stays_in_flight_for_an_hour(world: World) -> None:
    class Slow(LineChat):
        """Handles NAME after the play."""

        def do_NAME(self, unit: Unit) -> None:
            self.delay(1_000_000.0, lambda: None)

    address = world.serve("chat", lambda: Slow(world.runtime))
    link = open_stream(*address, clock=world.clock)
    link.sendall(b"NAME romeo\r\n")
    rounds = [world.clock.elapsed for _ in world.clock.every(600)]
    assert rounds[-1] == 4200 and world.clock.ended_by_force
    link.close()
