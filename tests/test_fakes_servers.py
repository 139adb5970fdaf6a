"""What a new protocol costs: a file (linechat.py), and one line where the world is made."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.config import WorldError
from fakes.descriptor import deferred
from fakes.faults import FaultError
from fakes.servers import SERVERS
from fakes.smtp import Smtp
from fakes.transcripts.player import play_on_core, play_on_socket
from fakes.transcripts.recorder import render
from fakes.transcripts.text import parse
from fakes.world import World
from tests import linechat
from tests.bare_core import exchanged

ROOT = Path(__file__).parent.parent
WITH_CHAT = (*SERVERS, linechat.SERVER)  # the one line

DIALOGUE = parse(
    """CHAT: a message to oneself
given: chat.welcome = "good day"
fault: chat SAY nth 2 reply "try later"

C: NAME romeo
S: good day
C: SAY romeo hi
S: romeo: hi
C: SAY romeo again
S: try later
C: QUIT
S: (closes)
"""
)


@pytest.fixture
def world() -> Iterator[World]:
    with World({"servers": ["chat"]}, servers=WITH_CHAT) as world:
        yield world


def test_it_listens_and_is_found_by_name(world: World) -> None:
    with socket.create_connection(world.address("chat")) as client:
        client.sendall(b"NAME romeo\r\n")
        assert client.recv(100) == b"hello\r\n"
    assert world.settings["chat"]["port"] == world.address("chat")[1]


def test_its_policy_is_a_table_of_the_world_file() -> None:
    with pytest.raises(WorldError, match=r"chat.welcom: unknown key .did you mean 'welcome'"):
        World({"chat": {"welcom": "hi"}}, servers=WITH_CHAT)


def test_faults_know_its_verbs() -> None:
    World({"servers": ["chat"]}, servers=WITH_CHAT, faults=["SAY reset"])
    with pytest.raises(FaultError, match="did you mean 'say'"):
        World({"servers": ["chat"]}, servers=WITH_CHAT, faults=["SYA reset"])


def test_transcripts_of_it_play_on_the_core_and_on_a_socket() -> None:
    on_core = play_on_core(DIALOGUE, WITH_CHAT)
    on_socket = play_on_socket(DIALOGUE, WITH_CHAT)
    assert exchanged(on_core) == exchanged(on_socket)
    commands = [verb for direction, verb, _ in exchanged(on_core) if direction == "C"]
    assert commands == ["NAME", "SAY", "SAY", "QUIT"]


def test_a_recording_of_it_is_a_transcript() -> None:
    world = play_on_core(DIALOGUE, WITH_CHAT)
    given = 'chat.welcome = "good day"'
    text = render(world.recording, DIALOGUE.title, given)
    again = play_on_core(parse(text), WITH_CHAT)
    assert render(again.recording, DIALOGUE.title, given) == text


def test_the_other_servers_run_beside_it() -> None:
    with World(servers=WITH_CHAT) as world:
        assert list(world.listeners) == ["smtp", "pop3", "toc", "xmpp", "chat"]


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_the_first_port_of_every_server_has_the_name_of_the_server(server: object) -> None:
    assert server.ports[0].name == server.name  # type: ignore[attr-defined]


def test_a_protocol_is_imported_when_a_world_serves_it() -> None:
    program = """
import sys
from fakes import World
from fakes.servers import read_faults

def imported():
    names = ("smtp", "pop3", "toc", "xmpp", "irc", "webhook", "confirmations", "html_text")
    return " ".join(name for name in names if f"fakes.{name}" in sys.modules)

print(imported() if read_faults("http GET hang up; toc-901") else "")
print(imported() if World({"servers": ["smtp"]}) else "")
with World({"servers": ["smtp"], "tls": "off"}):
    print(imported())
print(imported() if World({"servers": ["smtp"], "xmpp": {"anonymous": True}}) else "")
with World({"servers": ["pop3", "toc"]}) as world:
    print(imported() if world.aim.online == [] else "")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["", "", "smtp", "smtp xmpp", "smtp pop3 toc xmpp"]


def test_mechanisms_and_transcripts_are_imported_when_they_are_used() -> None:
    program = """
import smtplib, sys
from fakes import World
from fakes.servers import SERVERS

AFTER_A_LOGIN = ("fakes.sasl.", "fakes.transcripts", "fakes.preparation", "tomllib")
OTHERS = ("fakes.pop3", "fakes.imap", "fakes.toc", "fakes.xmpp", "fakes.irc", "fakes.http")

def imported(prefixes):
    names = {name for name in sys.modules if name.startswith(prefixes)}
    return " ".join(sorted(names - {"fakes.sasl.names"}))

with World({"servers": ["smtp"], "tls": "off"}) as world:
    with smtplib.SMTP(*world.address("smtp"), "client.example") as client:
        client.ehlo()
        print(imported(AFTER_A_LOGIN + OTHERS))
        client.user, client.password = "alice@example.test", "secret"
        client.auth("PLAIN", client.auth_plain)
    print(imported(AFTER_A_LOGIN + OTHERS))
print(*SERVERS[0].words)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    login = ("context", "exchange", "labels", "simple")
    assert done.stdout.splitlines() == [
        "",
        " ".join(f"fakes.sasl.{name}" for name in login),
        "mail inbox envelope content",
    ]


def test_a_server_that_is_not_imported_yet_can_be_used_like_any_other() -> None:
    by_name = {server.name: server for server in SERVERS}
    assert repr(deferred("smtp", "fakes.smtp", table="mail")) == "<Server smtp>"
    assert by_name["smtp"].session is Smtp and by_name["smtp"].ports[0].number == 1025
    with pytest.raises(AttributeError, match="no attribute 'prots'"):
        by_name["smtp"].prots  # type: ignore[attr-defined]  # noqa: B018
