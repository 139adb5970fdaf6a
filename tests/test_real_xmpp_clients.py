# apt-get install: go-sendxmpp mcabber poezio profanity python3-slixmpp sendxmpp tmux
"""Jabber clients written by others, with our server: go-sendxmpp, mcabber, poezio and others.

mcabber is of 2005 and logs in by DIGEST-MD5, as does sendxmpp; the others are of today. Debian's
slixmpp knows channel binding by tls-unique only, which TLS 1.3 does not have.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes import World
from fakes.xmpp.jabber import Actor
from tests.real import PATIENCE, Screen, need

pytestmark = pytest.mark.real

ALICE, BOB = "alice@example.test", "bob@example.test"
PEOPLE = [{"address": ALICE, "contacts": {BOB: "both"}}, {"address": BOB}]


@contextmanager
def served(tls: str = "required") -> Iterator[tuple[World, Actor]]:
    """Runs a server on which bob is online. The client under test logs in as alice."""
    ports = {"xmpp": 0} if tls == "off" else {"xmpp": 0, "xmpps": 0}
    with World({"servers": ["xmpp"], "tls": tls, "person": PEOPLE}, ports=ports) as world:
        bob = world.jabber.actor(BOB)
        bob.comes()
        yield world, bob


def mechanisms(world: World) -> list[str]:
    """Returns the SASL mechanisms that were used."""
    return [record.fields["mechanism"] for record in world.records if "mechanism" in record.fields]


def wait_until_alice_has_left(bob: Actor) -> None:
    """Waits until bob has received the unavailable presence of alice."""
    bob.wait_for(
        lambda stanza: (
            stanza.type == "unavailable" and (stanza.sender or "").startswith(f"{ALICE}/")
        )
    )


# ── go-sendxmpp ──────────────────────────────────────────────────────────────


def go_sendxmpp(
    world: World, *options: str, listener: str = "xmpp", password: str = "secret"
) -> tuple[list[str], dict[str, str]]:
    """Returns the command line and the environment of a go-sendxmpp that logs in as alice."""
    host, port = world.address(listener)
    account = ["-u", ALICE, "-p", password, "-j", f"{host}:{port}"]
    environment = {"SSL_CERT_FILE": str(world.ca_file), "HOME": str(world.folder)}
    return [need("go-sendxmpp", "go-sendxmpp"), *account, *options], {**os.environ, **environment}


@pytest.mark.parametrize(("listener", "options"), [("xmpp", []), ("xmpps", ["-t"])])
def test_go_sendxmpp_checks_the_certificate_and_sends(listener: str, options: list[str]) -> None:
    with served() as (world, bob):
        command, env = go_sendxmpp(world, *options, BOB, listener=listener)
        subprocess.run(
            command, env=env, input="hello from go", text=True, check=True, timeout=PATIENCE
        )
        world.jabber.wait_for(lambda stanza: stanza.body == "hello from go")
        assert [stanza.body for stanza in bob.messages] == ["hello from go"]


def test_go_sendxmpp_receives() -> None:
    with served() as (world, bob):
        command, env = go_sendxmpp(world, "-l")
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
            world.jabber.wait_for(
                lambda stanza: stanza.kind == "presence" and (stanza.sender or "").startswith(ALICE)
            )
            bob.says(ALICE, "hello, go")
            assert process.stdout is not None
            assert "hello, go" in process.stdout.readline()
            process.terminate()


def test_go_sendxmpp_fails_with_a_wrong_password() -> None:
    with served() as (world, _):
        command, env = go_sendxmpp(world, BOB, password="wrong")
        done = subprocess.run(
            command, env=env, input="hello", text=True, timeout=PATIENCE, capture_output=True
        )
        assert done.returncode != 0
        world.jabber.assert_none()


# ── sendxmpp, and Debian's slixmpp ───────────────────────────────────────────

ALL_TLS = pytest.mark.parametrize("tls", ["off", "optional", "required"])


@ALL_TLS
def test_sendxmpp_logs_in_by_digest_md5_and_sends(tls: str) -> None:
    with served(tls) as (world, bob):
        host, port = world.address("xmpp")
        command = [need("sendxmpp", "sendxmpp"), "-j", f"{host}:{port}", "-o", "example.test"]
        command += ["-u", "alice", "-p", "secret", BOB]
        if tls != "off":
            command += ["-t", "--tls-ca-path", str(world.ca_file)]
        env = {**os.environ, "HOME": str(world.folder)}
        subprocess.run(command, env=env, input="hi", text=True, check=True, timeout=PATIENCE)
        assert mechanisms(world) == ["DIGEST-MD5"]
        assert bob.wait_for(lambda stanza: stanza.kind == "message").body == "hi"


SLIXMPP = """
import sys
import slixmpp

host, port, tls, ca_file = sys.argv[1:]
client = slixmpp.ClientXMPP("alice@example.test", "secret")
client.ca_certs = ca_file or None

def start(event):
    client.send_presence()
    client.send_message("bob@example.test", "hi")

def answered(message):
    print(message["body"])
    client.disconnect()

client.add_event_handler("session_start", start)
client.add_event_handler("message", answered)
client.add_event_handler("failed_all_auth", lambda event: client.disconnect())
options = {} if tls != "off" else {"disable_starttls": True, "force_starttls": False}
client.connect((host, int(port)), **options)
client.process(forever=False)
"""


@ALL_TLS
def test_slixmpp_of_debian_logs_in_with_its_defaults_and_chats(tls: str) -> None:
    if not Path("/usr/lib/python3/dist-packages/slixmpp").is_dir():
        pytest.fail("slixmpp is not installed; run: apt-get install python3-slixmpp", pytrace=False)
    with served(tls) as (world, bob):
        host, port = world.address("xmpp")
        ca_file = "" if tls == "off" else str(world.ca_file)
        words = ["/usr/bin/python3", "-c", SLIXMPP, host, str(port), tls, ca_file]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            bob.wait_for(lambda stanza: stanza.body == "hi")
            bob.says(ALICE, "hello, slixmpp")
            assert process.communicate(timeout=PATIENCE)[0].strip() == "hello, slixmpp"
        assert mechanisms(world) == ["SCRAM-SHA-256"]


# ── clients with a screen ────────────────────────────────────────────────────


@contextmanager
def mcabber(world: World, tls: int) -> Iterator[Screen]:
    host, port = world.address("xmpp")
    settings = {
        "jid": ALICE,
        "password": "secret",
        "server": host,
        "port": port,
        "tls": tls,
        "ssl_ignore_checks": 1,
        "resource": "mcabber",
        "disable_random_resource": 1,
    }
    file = world.folder / "mcabberrc"
    file.write_text("".join(f"set {key} = {value}\n" for key, value in settings.items()))
    # mcabber wants files that only their owner may read.
    file.chmod(0o600)
    world.folder.chmod(0o700)
    env = {"HOME": str(world.folder), "TERM": "screen", "LC_ALL": "C.UTF-8"}
    screen = Screen(world.folder, [need("mcabber", "mcabber"), "-f", str(file)], env)
    try:
        yield screen
    finally:
        screen.close()


@contextmanager
def profanity(world: World, policy: str) -> Iterator[Screen]:
    host, port = world.address("xmpp")
    account = {
        "enabled": "true",
        "jid": ALICE,
        "server": host,
        "port": port,
        "tls.policy": policy,
        "resource": "profanity",
        "password": "secret",
        "presence.login": "online",
        "presence.last": "online",
        "priority.online": 0,
    }
    folder = world.folder / "profanity"
    folder.mkdir()
    lines = [f"[{ALICE}]\n", *(f"{key}={value}\n" for key, value in account.items())]
    (folder / "accounts").write_text("".join(lines))
    env = dict.fromkeys(["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"], str(world.folder))
    env |= {"TERM": "screen", "LC_ALL": "C.UTF-8"}
    screen = Screen(world.folder, [need("profanity", "profanity"), "-a", ALICE], env)
    try:
        yield screen
    finally:
        screen.close()


@pytest.mark.parametrize(("tls", "server"), [(1, "required"), (0, "off")])
def test_mcabber_logs_in_by_digest_md5_sees_its_contact_and_chats(tls: int, server: str) -> None:
    with served(server) as (world, bob), mcabber(world, tls) as screen:
        screen.shows(r"Your status has been set")
        assert mechanisms(world) == ["DIGEST-MD5"]
        screen.shows(r"\[o\].*bob")
        screen.types(f"/say_to {BOB} hello from mcabber")
        world.jabber.wait_for(lambda stanza: stanza.body == "hello from mcabber")
        bob.says(ALICE, "hello, mcabber")
        screen.types("/roster unread_next")
        screen.types("")  # Enter leads from the list of contacts to the conversation
        screen.shows(r"hello, mcabber")
        bob.comes(show="dnd")
        screen.shows(r"\[d\].*bob")
        screen.types("/quit")
        wait_until_alice_has_left(bob)


@pytest.mark.parametrize(("policy", "server"), [("trust", "required"), ("disable", "off")])
def test_profanity_logs_in_by_scram_sees_its_contact_and_chats(policy: str, server: str) -> None:
    with served(server) as (world, bob), profanity(world, policy) as screen:
        screen.shows(r"logged in successfully, online")
        assert mechanisms(world) == ["SCRAM-SHA-256"]
        screen.shows(r"Online \(0\)[^\n]*\n[^\n]*bob@example")
        screen.types(f"/msg {BOB} hello from profanity")
        world.jabber.wait_for(lambda stanza: stanza.body == "hello from profanity")
        bob.says(ALICE, "hello, profanity")
        screen.shows(r"hello, profanity")
        screen.types("/status set away tea")
        world.jabber.wait_for(
            lambda stanza: (
                stanza.child_text("show") == "away" and stanza.child_text("status") == "tea"
            )
        )
        screen.types("/sub request carol@example.test")
        world.jabber.wait_for(lambda stanza: stanza.type == "subscribe")
        assert world.jabber.roster(ALICE)["carol@example.test"].ask
        screen.types("/quit")
        wait_until_alice_has_left(bob)


def test_profanity_enters_a_room_and_talks_in_it() -> None:
    room = "hall@conference.example.test"
    with served("off") as (world, bob), profanity(world, "disable") as screen:
        screen.shows(r"logged in successfully, online")
        screen.types(f"/join {room} nick alice")
        world.jabber.wait_for(lambda stanza: (stanza.to or "").startswith(f"{room}/"))
        screen.shows(r"Room|room|hall")
        screen.types("/room accept")  # the configuration of a new room
        world.jabber.wait_for(lambda stanza: stanza.payload.endswith("muc#owner}query"))
        bob.joins(room, "bob")
        screen.types("hello from profanity")
        world.jabber.wait_for(lambda stanza: stanza.body == "hello from profanity")
        bob.says(room, "hello, profanity", "groupchat")
        screen.shows(r"bob.*hello, profanity")
        bob.wait_for(lambda stanza: stanza.body == "hello from profanity")
        screen.types("/leave")
        bob.wait_for(lambda stanza: stanza.type == "unavailable" and "alice" in str(stanza.sender))


@contextmanager
def poezio(world: World, room: str) -> Iterator[Screen]:
    """Runs poezio, which enters a room. It refuses to run as root, so it is nobody then."""
    host, port = world.address("xmpp")
    folder = world.folder / "poezio"
    folder.mkdir()
    settings = {
        "jid": ALICE,
        "password": "secret",
        "custom_host": host,
        "custom_port": port,
        "force_encryption": "false",
        "rooms": f"{room}/alice",
        "log_dir": folder,
        "use_log": "false",
        "enable_avatars": "false",
    }
    file = folder / "poezio.cfg"
    lines = [f"{key} = {value}\n" for key, value in settings.items()]
    file.write_text("".join(["[Poezio]\n", *lines]))
    command = [need("poezio", "poezio"), "-f", str(file)]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        os.chown(folder, 65534, 65534)
        os.chown(file, 65534, 65534)
        world.folder.chmod(0o711)
    env = dict.fromkeys(["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"], str(folder))
    env |= {"TERM": "screen", "LC_ALL": "C.UTF-8", "XDG_CACHE_HOME": str(folder)}
    screen = Screen(world.folder, command, env)
    try:
        yield screen
    finally:
        screen.close()


def test_poezio_enters_a_room_and_talks_in_it() -> None:
    room = "hall@conference.example.test"
    with served("off") as (world, bob):
        bob.joins(room, "bob")
        form = "<x xmlns='jabber:x:data' type='submit'/>"  # the room as it is
        owner = "http://jabber.org/protocol/muc#owner"
        bob.sends(f"<iq type='set' id='1' to='{room}'><query xmlns='{owner}'>{form}</query></iq>")
        with poezio(world, room) as screen:
            bob.wait_for(
                lambda stanza: stanza.kind == "presence" and str(stanza.sender) == f"{room}/alice"
            )
            screen.shows(r"1\.hall")
            screen.presses("C-n")  # from the list of contacts to the room
            bob.says(room, "hello, poezio", "groupchat")
            screen.shows(r"bob.*hello, poezio")
            screen.types("hello from poezio")
            bob.wait_for(lambda stanza: stanza.body == "hello from poezio")
