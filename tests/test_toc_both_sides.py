"""The client of comms.toc talks to the server of fakes.toc; they share only the specification."""

from __future__ import annotations

import dataclasses
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
    with rehearsal() as world:
        yield world


def rehearsal(**config: Any) -> World:
    aim = [{"screen_name": name} for name in NAMES]
    return World({"servers": ["toc"], "aim": aim, **config}, rehearsal=True)


@contextmanager
def signed_on(world: World, name: str) -> Iterator[Client]:
    clock: Clock = world.clock
    loaded = settings.load(world.settings, world.folder).server("toc")
    server = dataclasses.replace(loaded, screen_name=name, password="secret", timeout=30.0)
    with Client(server, clock, world.host) as client:
        client.connect()
        yield client


def log(world: World) -> list[str]:
    """The names of the events that the program has logged."""
    return [event.text.split()[0] for event in world.events if event.who == "program"]


def test_an_im_arrives_as_it_was_written(world: World) -> None:
    text = 'a < b & "c" {d} [e] (f) $g \\ é € ;\n\nlast: line:'
    received: list[tuple[str, str, bool]] = []
    with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
        friend.on_im(lambda message, buddy, auto: received.append((message.text, str(buddy), auto)))
        assert bot.send_im("fri END", text)
        assert bot.send_im("friend", Html("<b>bold</b>"), auto_response=True)
        friend.wait(1)
    assert received == [(text, "PyBot", False), ("bold", "PyBot", True)]


def test_a_long_im_arrives_complete(world: World) -> None:
    text = "\n".join(f"line {n}: {'<€> ' * (n % 60)}end" for n in range(200))
    received: list[str] = []
    with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
        friend.on_im(lambda message, buddy, auto: received.append(message.text))
        assert bot.send_im("friend", text)
        friend.wait(1)
        assert len(received) > 5
        assert "\n".join(received) == text
    assert log(world) == []


def record_statuses(buddy: Buddy) -> list[str]:
    """A list to which each status callback of the buddy appends."""
    statuses: list[str] = []
    for status in STATUSES:
        buddy.on_status(status)(lambda status=status: statuses.append(status))
    return statuses


def test_each_change_of_a_status_calls_back_once(world: World) -> None:
    with signed_on(world, "PyBot") as bot:
        buddy = bot.buddy_list.buddy_named("Friend")
        statuses = record_statuses(buddy)
        with signed_on(world, "Friend") as friend:
            bot.wait(1)
            acts: list[Callable[[], None]] = [
                lambda: friend.go_away("out"),
                lambda: friend.idle(600),
                friend.come_back,
                lambda: friend.idle(0),
            ]
            for act in acts:
                act()
                bot.wait(1)
        bot.wait(1)
    assert statuses == ["online", "available", "away", "idle", "available", "offline"]
    assert buddy.last_signon == 1767571200.0


def test_the_status_at_sign_on_is_known_when_connect_returns(world: World) -> None:
    with signed_on(world, "Friend") as friend, signed_on(world, "PyBot") as bot:
        friend.go_away("out")
        buddy = bot.buddy_list.buddy_named("friend")
        buddy.on_status("away")(lambda: None)
        bot.disconnect()
        bot.connect()
        assert buddy.status == "away"


def test_the_server_stores_the_buddy_list_between_sessions(world: World) -> None:
    with signed_on(world, "PyBot") as bot:
        bot.buddy_list.add_group("Old {Friends}")
        bot.buddy_list.add_buddy("Old {Friends}", "Third One")
        bot.buddy_list.add_buddy("Work", "Friend")
        bot.buddy_list.add_buddy("Work", "Third One")
        bot.buddy_list.remove_buddy("Work", "friend")
    with signed_on(world, "PyBot") as bot:
        groups = {
            group: [buddy.name for buddy in buddies]
            for group, buddies in bot.buddy_list.groups.items()
        }
        assert groups == {"Old {Friends}": ["thirdone"], "Work": ["thirdone"]}
        with signed_on(world, "Third One"):
            bot.wait(1)
            assert bot.buddy_list.buddy_named("third one").is_online


def test_a_wrong_password_is_refused_with_the_servers_reason(world: World) -> None:
    clock: Clock = world.clock
    host, port = world.address("toc")
    server = Server("toc", host, port, "none", password="not this", screen_name="PyBot")
    client = Client(server, clock, world.host)
    with pytest.raises(Refused, match="980 the screen name or the password is wrong"):
        client.connect()


def test_an_offline_user_can_neither_be_written_to_nor_warned(world: World) -> None:
    with signed_on(world, "PyBot") as bot:
        warn = bot.buddy_list.buddy_named("friend").warn
        for attempt in (lambda: bot.send_im("friend", "x"), warn):
            with pytest.raises(Refused, match=r"90[12] .*friend"):
                attempt()


def test_a_warning_raises_the_level_of_its_target(world: World) -> None:
    with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
        friend.send_im("pybot", "spam")
        bot.buddy_list.buddy_named("friend").warn()
        friend.wait(1)
        assert friend.warning_level == 10


def test_a_room_carries_messages_to_the_other_members(world: World) -> None:
    received: list[tuple[str, str]] = []
    own: list[str] = []
    with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
        friend.on_chat(lambda message, buddy, room: received.append((message.text, str(buddy))))
        bot.on_chat(lambda message, buddy, room: own.append(message.text))
        bot.join_chat("War Room")
        friend.join_chat("war  room")
        assert bot.send_chat("WAR ROOM", "1 < 2: yes")
        friend.wait(1)
        bot.wait(1)
        bot.leave_chat("War Room")
        with pytest.raises(Refused, match="was not joined"):
            bot.send_chat("War Room", "x")
    assert received == [("1 < 2: yes", "PyBot")]
    assert own == []


def test_a_rate_limit_delays_ims_but_loses_and_repeats_none() -> None:
    received: list[str] = []
    with rehearsal(toc={"rate_limit": True}) as world:
        with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
            friend.on_im(lambda message, buddy, auto: received.append(message))
            for number in range(60):
                assert bot.send_im("friend", f"number {number}")
            friend.wait(1)
        assert "aim-too-fast" in log(world)
    assert received == [f"number {number}" for number in range(60)]


def test_a_lost_connection_is_restored_and_no_callback_runs_twice(world: World) -> None:
    received: list[str] = []
    friend = world.aim.actor("Friend")
    friend.signs_on()
    with signed_on(world, "PyBot") as bot:
        bot.on_im(lambda message, buddy, auto: received.append(message))
        statuses = record_statuses(bot.buddy_list.buddy_named("Friend"))
        world.clock.at(10, lambda: world.cut("toc"))
        world.clock.at(60, lambda: friend.says("PyBot", "one"))
        world.clock.at(70, friend.signs_off)
        world.clock.at(70, lambda: world.cut("toc"))
        world.clock.at(600, lambda: world.aim.actor("Third One").says("PyBot", "two"))
        bot.wait()
        assert world.aim.online == ["PyBot", "Third One"]
    assert received == ["one", "two"]
    assert statuses == ["online", "available", "offline"]
    assert log(world) == ["aim-link-lost", "aim-back"] * 2


def test_a_pause_is_survived(world: World) -> None:
    received: list[str] = []
    with signed_on(world, "PyBot") as bot:
        bot.on_im(lambda message, buddy, auto: received.append(message))
        world.clock.at(10, lambda: world.aim.pauses("PyBot"))
        world.clock.at(60, lambda: world.aim.actor("Friend").says("PyBot", "hello"))
        bot.wait()
    assert received == ["hello"]


def test_two_bots_that_answer_every_im_do_not_answer_each_other_forever(world: World) -> None:
    received: list[str] = []

    def answer_all(client: Client) -> None:
        @client.on_im
        def answer(message: Html, buddy: Buddy, auto_response: bool) -> None:
            received.append(message)
            buddy.send_im(f"You said: {message.text}", auto_response=True)

    with signed_on(world, "PyBot") as bot, signed_on(world, "Friend") as friend:
        answer_all(bot)
        answer_all(friend)
        bot.send_im("friend", "hello")
        for _ in range(10):
            friend.wait(1)
            bot.wait(1)
    assert received == ["hello", "You said: hello"]


def test_a_client_backs_off_from_a_server_that_drops_its_ims(world: World) -> None:
    with signed_on(world, "Friend"), signed_on(world, "PyBot") as bot:
        world.faults.arm("toc toc_send_im reply 903")
        start = world.clock.elapsed
        with pytest.raises(TryLater, match=r"903 .*6 times"):
            bot.send_im("friend", "hi")
        assert world.clock.elapsed - start == 15 * (1 + 2 + 4 + 8 + 16 + 32)
        world.faults.disarm()


def test_two_programs_talk_in_real_time_from_two_threads() -> None:
    received: list[str] = []
    config = {"servers": ["toc"], "aim": [{"screen_name": "Ping"}, {"screen_name": "Pong"}]}
    with World(config) as world:
        host, port = world.address("toc")
        clocks = [RealClock(), RealClock()]
        servers = [
            Server("toc", host, port, "none", password="secret", screen_name=name)
            for name in ("Ping", "Pong")
        ]
        ping, pong = (
            Client(server, clock, RealHost()) for server, clock in zip(servers, clocks, strict=True)
        )
        pong.on_im(lambda message, buddy, auto: buddy.send_im(message))
        pong.connect()
        thread = threading.Thread(target=pong.wait)
        thread.start()

        @ping.on_im
        def send_next(message: Html, buddy: Buddy, auto_response: bool) -> None:
            received.append(message)
            if len(received) == 100:
                clocks[0].stop()
            else:
                buddy.send_im(f"number {len(received)}")

        ping.connect()
        ping.send_im("pong", "number 0")
        ping.wait()
        clocks[1].stop()
        thread.join()
        ping.disconnect()
        pong.disconnect()
        for clock in clocks:
            clock.close()
    assert received == [f"number {number}" for number in range(100)]
