"""The rehearsal's clock: nothing that moves is missed, and the order of things is always the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from comms.clock import Clock
from comms.link import Link
from fakes.clock import START, NotAtRest
from fakes.transcripts.recorder import render
from fakes.world import World
from tests.linechat import LineChat, Room


@pytest.fixture
def load(request: pytest.FixtureRequest) -> Iterator[None]:
    """Idle, or with more processes that want a processor all the time than there are processors."""
    burners = os.cpu_count() or 1 if request.param == "under load" else 0
    processes = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * burners)
    ]
    yield
    for process in processes:
        process.kill()
        process.wait()


class Bot:
    """Answers every line with `SAY them N`, N the number of the line; polled, or as lines come."""

    def __init__(self, clock: Clock, address: tuple[str, int]) -> None:
        self.clock = clock
        self.link = Link.connect(*address, clock=clock)
        self.link.sendall(b"NAME bot\r\n")
        self.heard: list[tuple[float, bytes]] = []
        self.rest = b""

    def take(self) -> None:
        if self.link.readable():
            *lines, self.rest = (self.rest + self.link.recv(1 << 20)).split(b"\r\n")
            for line in lines:
                self.heard.append((self.clock.time(), line))
                self.link.sendall(b"SAY romeo %d\r\n" % len(self.heard))

    def polled(self) -> None:
        for _ in self.clock.every(3):
            self.take()
        self.link.close()

    def called(self) -> None:
        while self.clock.wait(self.link, None):
            self.take()
        self.link.close()


def play(way: str, messages: int) -> tuple[list[tuple[float, bytes]], int, str]:
    """Romeo says things in bursts, one burst a second, ten a burst; what the bot heard, and what Romeo heard back."""
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        room = Room()
        address = world.serve("chat", lambda: LineChat(world.runtime, room))
        romeo = Link.connect(*address, clock=world.clock)
        romeo.sendall(b"NAME romeo\r\n")
        bot = Bot(world.clock, address)

        def burst(second: int) -> None:
            for n in range(10):
                world.call(lambda n=n: room.deliver("romeo", "bot", f"{second}.{n}"))  # type: ignore[misc]

        for second in range(messages // 10):
            world.clock.at(second, lambda second=second: burst(second))  # type: ignore[misc]
        getattr(bot, way)()
        world.clock.settle()
        romeo.pump()
        answers = romeo.recv(1 << 24).count(b"\r\n") - 1 if romeo.readable() else 0
        romeo.close()
        world.clock.settle()
        return bot.heard, answers, render(world.recording)


@pytest.mark.parametrize(
    ("load", "messages"),
    [
        ("idle", 1_000),
        pytest.param("idle", 10_000, marks=pytest.mark.slow),
        pytest.param("under load", 10_000, marks=pytest.mark.slow),
    ],
    indirect=["load"],
)
@pytest.mark.parametrize("way", ["polled", "called"])
def test_no_message_is_missed(way: str, load: None, messages: int) -> None:
    heard, answers, _ = play(way, messages)
    assert len(heard) == messages + 1, "every message, and the greeting"
    assert answers == messages + 1
    if way == "called":
        late = [
            (at, line)
            for at, line in heard[1:]
            if at != START + int(line.split()[1].split(b".")[0])
        ]
        assert late == [], "a callback runs at the simulated second in which the message was said"


def test_every_play_has_the_same_transcript() -> None:
    assert len({play("called", 200)[2] for _ in range(10)}) == 1
    assert len({play("polled", 200)[2] for _ in range(10)}) == 1


def clock_of(world: World) -> Clock:
    return world.clock


def test_a_loop_ends_after_the_first_round_that_began_after_the_last_cue() -> None:
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        world.clock.at(12, lambda: None)
        assert [world.clock.elapsed for _ in world.clock.every(5)] == [0, 5, 10, 15]


def test_a_play_without_cues_is_one_round_and_until_makes_it_longer() -> None:
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        assert [world.clock.elapsed for _ in world.clock.every(5)] == [0]
        world.clock.until(10)
        assert [world.clock.elapsed for _ in world.clock.every(5)] == [0, 5, 10]


def test_a_round_that_overruns_skips_what_it_missed() -> None:
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        world.clock.until(30)
        rounds = []
        for _ in world.clock.every(10):
            rounds.append(world.clock.elapsed)
            if len(rounds) == 1:
                world.clock.wait(None, START + 15)
        assert rounds == [0, 20, 30]


def test_at_equal_times_cues_come_before_the_program() -> None:
    order: list[str] = []
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        world.clock.at(5, lambda: order.append("second cue"))
        world.clock.at(5, lambda: order.append("third cue"))
        for _ in world.clock.every(5):
            order.append("program")
    assert order == ["program", "second cue", "third cue", "program"]


def test_a_wait_with_a_time_runs_to_it_and_one_without_ends_with_the_play() -> None:
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        room = Room()
        link = Link.connect(
            *world.serve("chat", lambda: LineChat(world.runtime, room)), clock=world.clock
        )
        world.clock.at(7, lambda: None)
        assert world.clock.wait(link, START + 100) is False
        assert world.clock.elapsed == 100
        assert world.clock.wait(link, None) is False
        link.close()


def test_a_wait_without_a_time_ends_with_the_play_and_not_with_a_server_s_timer_behind_it() -> None:
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        link = Link.connect(
            *world.address("smtp"), clock=world.clock
        )  # idle for 300 seconds, and it is told 421
        link.recv(1 << 16)
        world.clock.at(7, lambda: None)
        assert world.clock.wait(link, None) is False
        assert world.clock.elapsed == 7
        link.close()


def test_a_loop_s_first_round_too_begins_when_nothing_moves() -> None:
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        room = Room()
        address = world.serve("chat", lambda: LineChat(world.runtime, room))
        links = [Link.connect(*address, clock=world.clock) for _ in range(20)]
        for number, link in enumerate(links):
            link.sendall(b"NAME %d\r\n" % number)
        for _ in world.clock.every(5):
            assert [link.readable() for link in links] == [True] * 20
        for link in links:
            link.close()


def test_what_one_program_writes_on_several_links_is_handled_in_the_order_in_which_it_writes() -> (
    None
):
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        room = Room()
        address = world.serve("chat", lambda: LineChat(world.runtime, room))
        links = [Link.connect(*address, clock=world.clock) for _ in range(5)]
        for number in range(200):
            links[number * number % 5].sendall(b"NAME %d\r\n" % number)
        links[0].close()
        links[1].sendall(b"NAME last\r\n")
        world.clock.settle()
        said = [
            record for record in world.records if record.direction == "C" or record.verb == "leaves"
        ]
        assert [record.raw for record in said] == [
            *(b"NAME %d\r\n" % n for n in range(200)),
            b"",
            b"NAME last\r\n",
        ]
        for link in links:
            link.close()


def test_a_play_that_never_rests_is_ended_an_hour_after_its_last_cue() -> None:
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        room = Room()
        address = world.serve("chat", lambda: LineChat(world.runtime, room))
        link = Link.connect(*address, clock=world.clock)
        link.sendall(b"NAME echo\r\n")
        with pytest.raises(NotAtRest, match="simulated seconds after the last cue"):
            while True:
                world.clock.wait(None, world.clock.time() + 60)
        assert world.clock.restless
        link.close()


def test_what_never_arrives_is_an_error_that_counts_the_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fakes.clock.PATIENCE", 0.05)
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        room = Room()
        link = Link.connect(
            *world.serve("chat", lambda: LineChat(world.runtime, room)), clock=world.clock
        )
        link.bytes_out += 3
        with pytest.raises(TimeoutError, match="3 bytes that the client wrote were never handled"):
            world.clock.settle()
        link.bytes_out -= 3
        link.close()


def test_a_connection_counts_only_when_it_has_been_greeted() -> None:
    counted = []

    class Greets(LineChat):
        """The clock may look at any moment, in the middle of this one too."""

        def greet(self) -> None:
            counted.append(len(world._shell.by_peer))
            self.send(b"welcome\r\n")

    with World({"servers": []}, rehearsal=True) as world:
        link = Link.connect(
            *world.serve("chat", lambda: Greets(world.runtime, Room())), clock=world.clock
        )
        assert link.readable()
        assert counted == [0]
        assert len(world._shell.by_peer) == 1
        link.close()
