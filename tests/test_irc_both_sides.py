"""The client of comms.irc talks to the server of fakes.irc; they share only the specification."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from comms import settings
from comms.clock import Clock, RealClock
from comms.errors import Refused, Unknown
from comms.host import RealHost
from comms.irc import Client, Message
from fakes import World

PEOPLE = [{"address": f"{name}@example.test"} for name in ("bot", "ann", "bob")]


@pytest.fixture
def world() -> Iterator[World]:
    with rehearsal() as world:
        yield world


def rehearsal(faults: tuple[str, ...] = (), **config: Any) -> World:
    return World({"servers": ["irc"], "person": PEOPLE, **config}, rehearsal=True, faults=faults)


@contextmanager
def online(world: World, *channels: str, **changes: Any) -> Iterator[Client]:
    clock: Clock = world.clock
    loaded = settings.load(world.settings, world.folder).server("irc")
    server = dataclasses.replace(loaded, channels=channels, **changes)
    with Client(server, clock, world.host) as client:
        client.connect()
        yield client


def log(world: World) -> list[str]:
    """The names of the events that the program has logged."""
    return [event.text.split()[0] for event in world.events if event.who == "program"]


def test_it_logs_in_joins_and_talks(world: World) -> None:
    ann = world.irc.person("ann")
    ann.joins("#ops")
    ann.logs_in()
    with online(world, "#ops", "#own key") as bot:
        assert (bot.nick, bot.account) == ("bot", "bot")
        assert sorted(bot.present("#OPS")) == ["ann", "bot"]
        bot.on_message(lambda message: message.reply(f"{message.account}: {message.text}"))
        world.clock.at(5, lambda: ann.says("#ops", "café \x0304red\x03"))
        world.clock.at(6, lambda: ann.acts("bot", "waves"))
        bot.wait(10)
        bot.act("#ops", "is done")
        bot.notice("ann", "bye")
        assert world.irc.channel("#own").members == ["@bot"]
        assert "B" in world.irc.user("bot").modes
    assert [(one.verb, one.text) for one in ann.hears] == [
        ("PRIVMSG", "ann: café red"),
        ("PRIVMSG", "ann: waves"),
        ("PRIVMSG", "\x01ACTION is done\x01"),
        ("NOTICE", "bye"),
    ]
    assert [one.target for one in ann.hears] == ["#ops", "ann", "#ops", "ann"]
    assert world.irc.users == ["ann"] and log(world) == []


@pytest.mark.parametrize("off", ["", "labeled-response", "echo-message", "sasl"])
def test_a_long_text_arrives_complete_whatever_the_server_can_do(off: str) -> None:
    text = " ".join(f"word{number}{'é€😀' * (number % 5)}" for number in range(150))
    faults = (f"irc {off} off",) if off else ()
    with rehearsal(faults) as world:
        ann = world.irc.person("ann")
        ann.joins("#ops")
        without = {"password": ""} if off == "sasl" else {}
        with online(world, "#ops", **without) as bot:
            bot.say("#ops", text)
        assert " ".join(one.text for one in ann.hears) == text
        assert max(len(one.raw) for one in ann.hears) > 440


def test_what_the_server_refuses_is_an_error(world: World) -> None:
    ann = world.irc.person("ann")
    ann.joins("#ops")
    with online(world) as bot:
        for target in ("nobody", "#none", "#ops"):
            with pytest.raises(Refused, match=r"40[134] "):
                bot.say(target, "x")
        ann.sets("#ops", "+i")
        with pytest.raises(Refused, match="473 #ops"):
            bot.join("#ops")
        ann.invites("bot", "#ops")
        bot.join("#ops")
        bot.leave("#ops", "enough")
        bot.wait(1)
        assert bot.present("#ops") == []


def test_without_the_login_it_never_goes_on() -> None:
    with rehearsal() as world:
        with pytest.raises(Refused, match="904"), online(world, password="wrong"):
            pass
        assert world.irc.users == []
    with (
        rehearsal(("irc-sasl-gone",)) as world,
        pytest.raises(Refused, match="no login"),
        online(world),
    ):
        pass


def test_a_nick_that_is_in_use_is_taken_back(world: World) -> None:
    thief = world.irc.person("bot")
    thief.joins("#ops")
    with online(world, "#ops") as bot:
        # NickServ knows whose nick it is.
        assert bot.nick == "bot" and world.irc.users == ["bot"]


def test_a_nick_without_an_account_comes_back_when_its_holder_leaves(world: World) -> None:
    thief = world.irc.person("helper")
    thief.joins("#ops")
    with online(world, "#ops", nick="helper") as bot:
        assert bot.nick == "helper_"
        world.clock.at(5, lambda: thief.becomes("other"))
        bot.wait(10)
        assert bot.nick == "helper"


@pytest.mark.parametrize("drill", ["irc-netsplit", "irc-ghost", "irc-killed", "irc-kicked"])
def test_after_a_drill_it_answers_again(drill: str) -> None:
    with rehearsal((drill,)) as world:
        ann = world.irc.person("ann")
        ann.joins("#ops")
        world.clock.at(600, lambda: ann.says("#ops", "still there?"))
        with online(world, "#ops") as bot:
            bot.on_message(lambda message: message.reply("yes"))
            bot.wait(700)
        assert [one.text for one in ann.hears] == ["yes"]


def test_a_throttled_client_waits(world: World) -> None:
    ann = world.irc.person("ann")
    ann.joins("#ops")

    def throttle() -> None:
        world.faults.arm("irc-throttled")
        world.cut("irc")

    world.clock.at(10, throttle)
    world.clock.at(400, lambda: ann.says("#ops", "there?"))
    with online(world, "#ops") as bot:
        bot.on_message(lambda message: message.reply("yes"))
        bot.wait(500)
    assert log(world).count("irc-not-back") == 2
    connects = [one.at for one in world.records if one.verb == "connects"]
    assert len(connects) == 4
    assert connects[2] - connects[1] >= 60 and connects[3] - connects[2] >= 60
    assert [one.text for one in ann.hears] == ["yes"]


@pytest.mark.parametrize("fault", ["PRIVMSG lost stored", "PRIVMSG lost unstored"])
def test_a_message_whose_answer_is_lost_is_unknown(fault: str) -> None:
    with rehearsal((f"irc {fault} times 1",)) as world:
        ann = world.irc.person("ann")
        ann.joins("#ops")
        with online(world, "#ops") as bot, pytest.raises(Unknown):
            bot.say("#ops", "x")
        assert len(ann.hears) == ("unstored" not in fault)


@pytest.mark.slow
def test_a_cut_anywhere_in_the_welcome_is_survived() -> None:
    for count in range(0, 1500, 97):
        with rehearsal((f"irc welcome after {count} times 1",)) as world:
            ann = world.irc.person("ann")
            ann.joins("#ops")
            world.clock.at(50, lambda ann=ann: ann.says("#ops", "there?"))  # type: ignore[misc]
            clock: Clock = world.clock
            loaded = settings.load(world.settings, world.folder).server("irc")
            server = dataclasses.replace(loaded, channels=("#ops",))
            with Client(server, clock, world.host) as bot:
                bot.on_message(lambda message: message.reply("yes"))
                for _ in range(2):
                    try:
                        bot.connect()
                        break
                    except Exception as error:
                        assert type(error).__name__ == "Unreachable"
                bot.wait(60)
            assert [one.text for one in ann.hears] == ["yes"], count


def test_two_bots_fall_silent(world: World) -> None:
    with online(world, "#ops") as bot, online(world, "#ops", nick="bob", user="bob") as other:
        for one in (bot, other):
            one.on_message(lambda message: message.reply("what?"))
        bot.say("#ops", "hello")
        for _ in range(5):
            bot.wait(1)
            other.wait(1)
    # Each of them is marked as a bot, so that the other one does not hear it.
    assert len(world.irc.messages) == 1


def test_inside_tls_and_in_real_time() -> None:
    with World({"servers": ["irc"], "person": PEOPLE}) as world:
        host, port = world.address("ircs")
        config = {
            **world.settings["irc"], "host": "localhost", "port": port, "tls": "implicit",
            "ca_file": str(world.ca_file), "channels": ["#ops"],
        }  # fmt: skip
        clock = RealClock()
        server = settings.load({"irc": config}).server("irc")
        heard: list[Message] = []
        with Client(server, clock, RealHost()) as bot:
            bot.connect()
            bot.on_message(heard.append)
            world.irc.person("ann").says("bot", "psst")
            while not heard:
                bot.wait(0.01)
            assert world.irc.user("bot").secure
        clock.close()
        assert heard[0].text == "psst" and host


def test_a_wait_without_a_limit_ends_with_the_play(world: World) -> None:
    ann = world.irc.person("ann")
    ann.joins("#ops")
    world.clock.at(300, lambda: ann.says("#ops", "there?"))
    with online(world, "#ops") as bot:
        bot.on_message(lambda message: message.reply("yes"))
        bot.wait()
    assert [one.text for one in ann.hears] == ["yes"]
