# apt-get install: ii irssi tmux weechat-curses
"""IRC clients written by others, with our server: weechat, irssi and ii."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes import World
from fakes.irc import Person
from tests.real import Screen, end, in_the_foreground, need, wait_until

pytestmark = pytest.mark.real

PEOPLE = [{"address": "bot@example.test"}, {"address": "ann@example.test"}]


@contextmanager
def served(tls: str = "off") -> Iterator[tuple[World, Person]]:
    """Runs a server on which ann is in #ops. The client under test is bot."""
    with World({"servers": ["irc"], "person": PEOPLE, "tls": tls}) as world:
        ann = world.irc.person("ann")
        ann.joins("#ops")
        yield world, ann


def talk(world: World, ann: Person, screen: Screen) -> None:
    """Talks to a client in #ops, in which it is. It has /msg, /nick and /quit."""
    world.irc.wait_for(lambda message: message.text == "hello from a client")
    ann.says("#ops", "hello, client, café")
    screen.shows(r"hello, client, café")
    ann.sets("#ops", "+v", "bot")
    ann.sets_topic("#ops", "all is well")
    screen.shows(r"all is well")
    screen.types("/nick robot")
    screen.shows(r"robot")
    screen.types("/msg ann one to one")
    found = world.irc.wait_for(lambda message: message.target == "ann")
    assert (found.sender, found.account, found.text) == ("robot", "bot", "one to one")
    ann.kicks("#ops", "robot", "enough")
    screen.shows(r"enough")


def weechat(world: World, tls: bool) -> list[str]:
    host, port = world.address("ircs" if tls else "irc")
    server = "irc.server.fake"
    options = {
        "addresses": f"{'localhost' if tls else host}/{port}",
        # Before weechat 4 the options had other names; a name that is unknown changes nothing.
        **dict.fromkeys(("tls", "ssl", "tls_verify", "ssl_verify"), "on" if tls else "off"),
        "nicks": "bot",
        "sasl_mechanism": "plain" if tls else "scram-sha-256",
        "sasl_username": "bot",
        "sasl_password": "secret",
        "capabilities": "*",
        "autojoin": "#ops",
        "anti_flood_prio_high": "0",
        "anti_flood_prio_low": "0",
    }
    words = [need("weechat", "weechat-curses"), "-d", str(world.folder / "weechat")]
    if tls:
        words += ["-r", f"/set weechat.network.gnutls_ca_user {world.ca_file}"]
    words += ["-r", f"/server add fake {options['addresses']}"]
    for name, value in options.items():
        words += ["-r", f"/set {server}.{name} {value}"]
    return [*words, "-r", "/connect fake"]


@pytest.mark.parametrize("tls", [False, True])
def test_weechat_logs_in_joins_and_talks(tls: bool) -> None:
    with served("optional" if tls else "off") as (world, ann):
        env = {"HOME": str(world.folder), "TERM": "screen", "LC_ALL": "C.UTF-8"}
        screen = Screen(world.folder, weechat(world, tls), env)
        try:
            wait_until(lambda: "bot" in world.irc.channel("#ops").members, "weechat joins")
            screen.types("/buffer fake.#ops")
            screen.types("hello from a client")
            talk(world, ann, screen)
            asked = next(one.raw for one in world.records if one.verb == "CAP_REQ")
            assert b"message-tags" in asked and b"labeled-response" not in asked
            screen.types("/quit")
        finally:
            screen.close()


def test_irssi_logs_in_joins_and_talks() -> None:
    with served() as (world, ann):
        host, port = world.address("irc")
        config = world.folder / "irssi"
        config.write_text(
            f"""
servers = ({{ address = "{host}"; port = "{port}"; chatnet = "fake"; autoconnect = "yes"; }});
chatnets = {{ fake = {{ type = "IRC"; nick = "bot"; sasl_mechanism = "PLAIN";
  sasl_username = "bot"; sasl_password = "secret"; }}; }};
channels = ({{ name = "#ops"; chatnet = "fake"; autojoin = "yes"; }});
settings = {{ "irc/core" = {{ cmd_queue_speed = "10msec"; cmds_max_at_once = "50"; }};
  core = {{ nick = "bot"; user_name = "bot"; real_name = "A bot"; }}; }};
"""
        )
        env = {"HOME": str(world.folder), "TERM": "screen", "LC_ALL": "C.UTF-8"}
        command = [need("irssi", "irssi"), f"--config={config}", f"--home={world.folder}/.irssi"]
        screen = Screen(world.folder, command, env)
        try:
            wait_until(lambda: "bot" in world.irc.channel("#ops").members, "irssi joins")
            screen.types("/window goto #ops")
            screen.types("hello from a client")
            talk(world, ann, screen)
            screen.types("/quit")
        finally:
            screen.close()


def test_ii_joins_and_talks_by_files() -> None:
    with served() as (world, ann):
        host, port = world.address("irc")
        words = [need("ii", "ii"), "-i", str(world.folder), "-s", host, "-p", str(port)]
        process = in_the_foreground([*words, "-n", "bot", "-f", "A bot"])
        folder = world.folder / host
        try:
            wait_until(lambda: "bot" in world.irc.users, "ii is there")
            write(folder / "in", "/j #ops")
            write(folder / "#ops" / "in", "hello from ii")
            world.irc.wait_for(lambda message: message.text == "hello from ii")
            ann.says("#ops", "hello, ii")
            out = folder / "#ops" / "out"
            wait_until(lambda: "<ann> hello, ii" in out.read_text(), "ii writes what it hears")
        finally:
            end(process)


def write(pipe: Path, line: str) -> None:
    """Writes a line into a pipe of ii, once it is there."""
    wait_until(pipe.exists, f"ii makes {pipe.name}")
    with open(os.open(pipe, os.O_RDWR), "w", encoding="utf-8") as file:
        file.write(f"{line}\n")
