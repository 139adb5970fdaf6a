# apt-get install: go-sendxmpp mcabber profanity tmux
"""Jabber clients that people use, on our server: one in Go, two in C, one of these of 2005. None of them knows."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes import World
from fakes.xmpp.jabber import Actor

pytestmark = pytest.mark.real

ALICE, BOB = "alice@example.test", "bob@example.test"
PEOPLE = [{"address": ALICE, "contacts": {BOB: "both"}}, {"address": BOB}]
PATIENCE = 15.0


@contextmanager
def served(tls: str = "required") -> Iterator[tuple[World, Actor]]:
    """A server with TLS, and bob, who is there."""
    ports = {"xmpp": 0} if tls == "off" else {"xmpp": 0, "xmpps": 0}
    with World({"servers": ["xmpp"], "tls": tls, "person": PEOPLE}, ports=ports) as world:
        bob = world.jabber.actor(BOB)
        bob.comes()
        yield world, bob


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed: apt-get install {name}")
    return path


def mechanisms(world: World) -> list[str]:
    return [record.fields["mechanism"] for record in world.records if "mechanism" in record.fields]


def leaves(bob: Actor) -> None:
    """Waits until bob has been told that alice is gone."""
    bob.wait_for(lambda stanza: stanza.type == "unavailable" and (stanza.sender or "").startswith(f"{ALICE}/"))


# ── go-sendxmpp ──────────────────────────────────────────────────────────────────────────────────────────────────


def go(world: World, *options: str, listener: str = "xmpp") -> tuple[list[str], dict[str, str]]:
    host, port = world.address(listener)
    command = [tool("go-sendxmpp"), "-u", ALICE, "-p", "secret", "-j", f"{host}:{port}", *options]
    return command, {**os.environ, "SSL_CERT_FILE": str(world.ca_file), "HOME": str(world.folder)}


@pytest.mark.parametrize(("listener", "options"), [("xmpp", []), ("xmpps", ["-t"])])
def test_go_sendxmpp_checks_the_certificate_logs_in_and_is_heard(listener: str, options: list[str]) -> None:
    with served() as (world, bob):
        command, env = go(world, *options, BOB, listener=listener)
        subprocess.run(command, env=env, input="hello from go", text=True, check=True, timeout=PATIENCE)
        world.jabber.wait_for(lambda stanza: stanza.body == "hello from go")
        assert [stanza.body for stanza in bob.messages] == ["hello from go"]


def test_go_sendxmpp_hears_what_is_said() -> None:
    with served() as (world, bob):
        command, env = go(world, "-l")
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
            world.jabber.wait_for(lambda stanza: stanza.kind == "presence" and (stanza.sender or "").startswith(ALICE))
            bob.says(ALICE, "hello, go")
            assert process.stdout is not None
            assert "hello, go" in process.stdout.readline()
            process.terminate()


def test_go_sendxmpp_is_told_of_a_wrong_password() -> None:
    with served() as (world, _):
        command, env = go(world, BOB)
        command[command.index("secret")] = "wrong"
        done = subprocess.run(command, env=env, input="hello", text=True, timeout=PATIENCE, capture_output=True)
        assert done.returncode != 0
        world.jabber.assert_none()


# ── clients with a screen ────────────────────────────────────────────────────────────────────────────────────────


class Screen:
    """A program in a terminal of its own."""

    def __init__(self, folder: Path, command: list[str], env: dict[str, str]) -> None:
        self._tmux = [tool("tmux"), "-S", str(folder / "tmux"), "-f", "/dev/null"]
        words = ["env", *(f"{name}={value}" for name, value in env.items()), *command]
        self._run("new-session", "-d", "-x", "160", "-y", "40", *words)
        os.mkfifo(folder / "screen")
        self._changes = os.open(folder / "screen", os.O_RDWR)  # what the program writes, so that nobody has to look again
        self._run("pipe-pane", "-o", f"cat > {folder / 'screen'}")

    def _run(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout

    def types(self, line: str) -> None:
        """A line, as at the keyboard."""
        self._run("send-keys", "-l", line)
        self._run("send-keys", "Enter")

    def shows(self, pattern: str) -> None:
        """Waits until the pattern is on the screen."""
        while not re.search(pattern, self._run("capture-pane", "-p")):
            if not select.select([self._changes], [], [], PATIENCE)[0]:
                break
            os.read(self._changes, 65536)
        else:
            return
        pytest.fail(f"{pattern!r} never came on the screen:\n{self._run('capture-pane', '-p')}")

    def close(self) -> None:
        """Ends it, if it has not ended by itself."""
        self._run("kill-server")
        os.close(self._changes)


@contextmanager
def mcabber(world: World, tls: int) -> Iterator[Screen]:
    host, port = world.address("xmpp")
    settings = {
        "jid": ALICE, "password": "secret", "server": host, "port": port, "tls": tls, "ssl_ignore_checks": 1,
        "resource": "mcabber", "disable_random_resource": 1,
    }  # fmt: skip
    file = world.folder / "mcabberrc"
    file.write_text("".join(f"set {key} = {value}\n" for key, value in settings.items()))
    file.chmod(0o600)
    world.folder.chmod(0o700)
    env = {"HOME": str(world.folder), "TERM": "screen", "LC_ALL": "C.UTF-8"}
    screen = Screen(world.folder, [tool("mcabber"), "-f", str(file)], env)
    yield screen
    screen.close()


@contextmanager
def profanity(world: World, policy: str) -> Iterator[Screen]:
    host, port = world.address("xmpp")
    account = {
        "enabled": "true", "jid": ALICE, "server": host, "port": port, "tls.policy": policy, "resource": "profanity",
        "password": "secret", "presence.login": "online", "presence.last": "online", "priority.online": 0,
    }  # fmt: skip
    folder = world.folder / "profanity"
    folder.mkdir()
    (folder / "accounts").write_text(f"[{ALICE}]\n" + "".join(f"{key}={value}\n" for key, value in account.items()))
    home = str(world.folder)
    env = {"HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home, "TERM": "screen", "LC_ALL": "C.UTF-8"}
    screen = Screen(world.folder, [tool("profanity"), "-a", ALICE], env)
    yield screen
    screen.close()


@pytest.mark.parametrize(("tls", "server"), [(1, "required"), (0, "off")])
def test_mcabber_logs_in_by_digest_md5_sees_its_contact_and_talks(tls: int, server: str) -> None:
    with served(server) as (world, bob), mcabber(world, tls) as screen:
        screen.shows(r"Your status has been set")
        assert mechanisms(world) == ["DIGEST-MD5"]
        screen.shows(r"\[o\].*bob")
        screen.types(f"/say_to {BOB} hello from mcabber")
        world.jabber.wait_for(lambda stanza: stanza.body == "hello from mcabber")
        bob.says(ALICE, "hello, mcabber")
        screen.types("/roster unread_next")
        screen.types("")  # from the list of contacts to the conversation
        screen.shows(r"hello, mcabber")
        bob.comes(show="dnd")
        screen.shows(r"\[d\].*bob")
        screen.types("/quit")
        leaves(bob)


@pytest.mark.parametrize(("policy", "server"), [("trust", "required"), ("disable", "off")])
def test_profanity_logs_in_by_scram_sees_its_contact_and_talks(policy: str, server: str) -> None:
    with served(server) as (world, bob), profanity(world, policy) as screen:
        screen.shows(r"logged in successfully, online")
        assert mechanisms(world) == ["SCRAM-SHA-256"]
        screen.shows(r"Online \(0\)[^\n]*\n[^\n]*bob@example")
        screen.types(f"/msg {BOB} hello from profanity")
        world.jabber.wait_for(lambda stanza: stanza.body == "hello from profanity")
        bob.says(ALICE, "hello, profanity")
        screen.shows(r"hello, profanity")
        screen.types("/status set away tea")
        world.jabber.wait_for(lambda stanza: stanza.text("show") == "away" and stanza.text("status") == "tea")
        screen.types("/sub request carol@example.test")
        world.jabber.wait_for(lambda stanza: stanza.type == "subscribe")
        assert world.jabber.roster(ALICE)["carol@example.test"].ask
        screen.types("/quit")
        leaves(bob)
