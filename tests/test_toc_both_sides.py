"""comms.toc's client on fakes.toc's server: two programs, written apart from one specification, talk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from comms import settings
from comms.clock import Clock, RealClock
from comms.errors import Refused, TryLater
from comms.host import RealHost
from comms.settings import Server
from comms.toc.buddies import STATUSES, Buddy
from comms.toc.client import Client
from comms.toc.markup import Html
from fakes import World

NAMES = ("PyBot", "Friend", "Third One")


@pytest.fixture
def world() -> Iterator[World]:
    with playing() as world:
        yield world


def playing(**config: Any) -> World:
    aim = [{"screen_name": name} for name in NAMES]
    return World({"servers": ["toc"], "aim": aim, **config}, rehearsal=True)


@contextmanager
def signed_on(world: World, name: str) -> Iterator[Client]:
    clock: Clock = world.clock
    server = settings.load(world.settings, world.folder).server("toc")
    given = {"screen_name": name, "password": "secret", "timeout": 30.0}
    with Client(Server("toc", server.host, server.port, "none", **given), clock, world.host) as client:  # type: ignore[arg-type]
        client.connect()
        yield client


def log(world: World) -> list[str]:
    return [event.text.split()[0] for event in world.events if event.who == "program"]


def test_an_im_arrives_as_it_was_written(world: World) -> None:
    text = 'a < b & "c" {d} [e] (f) $g \\ é € ;\n\nlast: line:'
    heard: list[tuple[str, str, bool]] = []
    with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
        friend.on_im(lambda message, buddy, auto: heard.append((message.text, str(buddy), auto)))
        assert bot.send_im("fri END", text)
        assert bot.send_im("friend", Html("<b>bold</b>"), auto_response=True)
        friend.wait(1)
    assert heard == [(text, "PyBot", False), ("bold", "PyBot", True)]


def test_an_im_of_any_length_arrives_whole(world: World) -> None:
    text = "\n".join(f"line {n}: {'<€> ' * (n % 60)}end" for n in range(200))
    heard: list[str] = []
    with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
        friend.on_im(lambda message, buddy, auto: heard.append(message.text))
        assert bot.send_im("friend", text)
        friend.wait(1)
        assert len(heard) > 5 and "\n".join(heard) == text
    assert log(world) == []


def test_statuses_are_told_as_they_change(world: World) -> None:
    told: list[str] = []
    with signed_on(world, "PyBot") as bot:
        friend_here = bot.buddy_list.buddy_named("Friend")
        for status in STATUSES:
            friend_here.on_status(status)(lambda status=status: told.append(status))
        with signed_on(world, "Friend") as friend:
            bot.wait(1)
            acts: list[Callable[[], None]] = [
                lambda: friend.go_away("out"), lambda: friend.idle(600), friend.come_back, lambda: friend.idle(0)
            ]  # fmt: skip
            for act in acts:
                act()
                bot.wait(1)
        bot.wait(1)
    assert told == ["online", "available", "away", "idle", "available", "offline"]
    assert friend_here.last_signon == 1767571200.0


def test_a_status_held_at_sign_on_is_known_when_connect_returns(world: World) -> None:
    with signed_on(world, "Friend") as friend, signed_on(world, "PyBot") as bot:
        friend.go_away("out")
        buddy = bot.buddy_list.buddy_named("friend")
        buddy.on_status("away")(lambda: None)
        bot.disconnect()
        bot.connect()
        assert buddy.status == "away"


def test_the_servers_list_is_kept_between_sessions(world: World) -> None:
    with signed_on(world, "PyBot") as bot:
        bot.buddy_list.add_group("Old {Friends}")
        bot.buddy_list.add_buddy("Old {Friends}", "Third One")
        bot.buddy_list.add_buddy("Work", "Friend")
        bot.buddy_list.add_buddy("Work", "Third One")
        bot.buddy_list.remove_buddy("Work", "friend")
    with signed_on(world, "PyBot") as bot:
        groups = {group: [buddy.name for buddy in buddies] for group, buddies in bot.buddy_list.groups.items()}
        assert groups == {"Old {Friends}": ["thirdone"], "Work": ["thirdone"]}
        with signed_on(world, "Third One"):
            bot.wait(1)
            assert bot.buddy_list.buddy_named("third one").is_online


def test_a_wrong_password_is_refused_with_the_servers_reason(world: World) -> None:
    clock: Clock = world.clock
    host, port = world.address("toc")
    client = Client(Server("toc", host, port, "none", password="wrong", screen_name="PyBot"), clock, world.host)
    with pytest.raises(Refused, match="980 the screen name or the password is wrong"):
        client.connect()


def test_who_is_not_there_cannot_be_told_or_warned(world: World) -> None:
    with signed_on(world, "PyBot") as bot:
        for attempt in (lambda: bot.send_im("friend", "x"), bot.buddy_list.buddy_named("friend").warn):
            with pytest.raises(Refused, match=r"90[12] .*friend"):
                attempt()


def test_a_warning_is_felt_by_whom_it_is_for(world: World) -> None:
    with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
        friend.send_im("pybot", "spam")
        bot.buddy_list.buddy_named("friend").warn()
        friend.wait(1)
        assert friend.warning_level == 10


def test_a_room_carries_what_is_said_in_it(world: World) -> None:
    heard: list[tuple[str, str, str]] = []
    with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
        friend.on_chat(lambda message, buddy, room: heard.append((message.text, str(buddy), room)))
        bot.on_chat(lambda message, buddy, room: heard.append(("its own", "", "")))
        bot.join_chat("War Room")
        friend.join_chat("war  room")
        assert bot.send_chat("WAR ROOM", "1 < 2: yes")
        friend.wait(1)
        bot.wait(1)
        bot.leave_chat("War Room")
        with pytest.raises(Refused, match="was not joined"):
            bot.send_chat("War Room", "x")
    assert [(text, who) for text, who, _ in heard] == [("1 < 2: yes", "PyBot")]


def test_every_im_passes_a_server_that_limits_their_rate_once_and_in_order() -> None:
    heard: list[str] = []
    with playing(toc={"rate_limit": True}) as world:
        with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
            friend.on_im(lambda message, buddy, auto: heard.append(message))
            for number in range(60):
                assert bot.send_im("friend", f"number {number}")
            friend.wait(1)
        assert "aim-too-fast" in log(world)
    assert heard == [f"number {number}" for number in range(60)]


def test_a_cut_connection_is_established_again_and_nothing_is_heard_twice(world: World) -> None:
    heard: list[str] = []
    friend = world.aim.actor("Friend")
    friend.signs_on()
    with signed_on(world, "PyBot") as bot:
        bot.on_im(lambda message, buddy, auto: heard.append(message))
        friend_here = bot.buddy_list.buddy_named("Friend")
        told: list[str] = []
        for status in STATUSES:
            friend_here.on_status(status)(lambda status=status: told.append(status))
        world.clock.at(10, lambda: world.cut("toc"))
        world.clock.at(60, lambda: friend.says("PyBot", "one"))
        world.clock.at(70, friend.signs_off)
        world.clock.at(70, lambda: world.cut("toc"))
        world.clock.at(600, lambda: world.aim.actor("Third One").says("PyBot", "two"))
        bot.wait()
        assert world.aim.online == ["PyBot", "Third One"]
    assert heard == ["one", "two"]
    assert told == ["online", "available", "offline"]
    assert log(world) == ["aim-link-lost", "aim-back"] * 2


def test_a_pause_is_survived(world: World) -> None:
    heard: list[str] = []
    with signed_on(world, "PyBot") as bot:
        bot.on_im(lambda message, buddy, auto: heard.append(message))
        world.clock.at(10, lambda: world.aim.pauses("PyBot"))
        world.clock.at(60, lambda: world.aim.actor("Friend").says("PyBot", "hello"))
        bot.wait()
    assert heard == ["hello"]


def test_two_bots_that_answer_everything_fall_silent(world: World) -> None:
    visible: list[str] = []

    def answers(client: Client) -> None:
        @client.on_im
        def answer(message: Html, buddy: Buddy, auto_response: bool) -> None:
            visible.append(message)
            buddy.send_im(f"You said: {message.text}", auto_response=True)

    with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
        answers(bot)
        answers(friend)
        bot.send_im("friend", "hello")
        for _ in range(10):
            friend.wait(1)
            bot.wait(1)
    assert visible == ["hello", "You said: hello"]


def test_a_server_that_is_overrun_says_so_and_is_left_alone(world: World) -> None:
    with signed_on(world, "Friend"), signed_on(world, "PyBot") as bot:
        world.faults.arm("toc toc_send_im reply 903")
        start = world.clock.elapsed
        with pytest.raises(TryLater, match=r"903 .*6 times"):
            bot.send_im("friend", "hi")
        assert world.clock.elapsed - start == 15 * (1 + 2 + 4 + 8 + 16 + 32)
        world.faults.disarm()


def test_two_programs_talk_in_real_time_from_threads_of_their_own() -> None:
    heard: list[str] = []
    config = {"servers": ["toc"], "aim": [{"screen_name": "Ping"}, {"screen_name": "Pong"}]}
    with World(config) as world:
        host, port = world.address("toc")
        clocks = [RealClock(), RealClock()]
        ping, pong = (
            Client(Server("toc", host, port, "none", password="secret", screen_name=name), clock, RealHost())
            for name, clock in zip(("Ping", "Pong"), clocks, strict=True)
        )
        pong.on_im(lambda message, buddy, auto: buddy.send_im(message))
        pong.connect()
        thread = threading.Thread(target=pong.wait)
        thread.start()

        @ping.on_im
        def next_one(message: Html, buddy: Buddy, auto_response: bool) -> None:
            heard.append(message)
            if len(heard) == 100:
                clocks[0].stop()
            else:
                buddy.send_im(f"number {len(heard)}")

        ping.connect()
        ping.send_im("pong", "number 0")
        ping.wait()
        clocks[1].stop()
        thread.join()
        ping.disconnect()
        pong.disconnect()
        for clock in clocks:
            clock.close()
    assert heard == [f"number {number}" for number in range(100)]
