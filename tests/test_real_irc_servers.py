# apt-get install: inspircd ngircd
"""The IRC client of comms with servers written by others: ngircd and InspIRCd."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from comms import settings
from comms.clock import RealClock
from comms.errors import Refused
from comms.host import RealHost
from comms.irc import Client, Message
from tests.real import Authority, Server, folder, free_port, need, need_root, wait_until

pytestmark = pytest.mark.real

NGIRCD = """
[Global]
    Name = irc.example.test
    Info = A server for tests
    Listen = 127.0.0.1
    Ports = {port}
    Password = {password}
    ServerUID = root
    ServerGID = root
    MotdPhrase = Welcome
[Limits]
    MaxConnectionsIP = 0
    MaxNickLength = 20
    MaxPenaltyTime = 0
[Options]
    DNS = no
    Ident = no
    PAM = no
"""
INSPIRCD = """
<server name="irc.example.test" description="A server for tests" network="Tests" id="1AB">
<admin name="Root" nick="root" email="root@example.test">
<bind address="127.0.0.1" port="{port}" type="clients"{bind}>
<connect allow="*" timeout="30" pingfreq="120" hardsendq="1M" softsendq="64K" recvq="64K"
  localmax="50" globalmax="50" password="{password}" threshold="30" commandrate="10000"
  resolvehostnames="no">
<options casemapping="rfc1459" syntaxhints="no">
<log method="file" type="*" level="default" target="{folder}/log">
<pid file="{folder}/pid">
<path datadir="{folder}" logdir="{folder}" runtimedir="{folder}">
{modules}
"""
MODULES = (
    "ircv3 ircv3_accounttag ircv3_batch ircv3_capnotify ircv3_chghost ircv3_echomessage "
    "ircv3_labeledresponse ircv3_msgid ircv3_servertime ircv3_ctctags cap botmode "
    "services_account"
).split()


def ngircd(path: Path, port: int, authority: Authority | None) -> list[str]:
    file = path / "ngircd.conf"
    file.write_text(NGIRCD.format(port=port, password="open"))
    return [need("ngircd", "ngircd"), "-n", "-f", str(file)]


def inspircd(path: Path, port: int, authority: Authority | None) -> list[str]:
    need_root("inspircd")
    names, bind, extra = list(MODULES), "", ""
    if authority is not None:
        names.append("ssl_gnutls")
        bind = ' sslprofile="tests"'
        extra = (
            f'<sslprofile name="tests" provider="gnutls" certfile="{authority.cert_file}" '
            f'keyfile="{authority.key_file}">'
        )
    modules = "\n".join([*(f'<module name="{name}">' for name in names), extra])
    text = INSPIRCD.format(port=port, password="open", folder=path, bind=bind, modules=modules)
    file = path / "inspircd.conf"
    file.write_text(text)
    # Debian's InspIRCd crashes when it ends, and would leave a core file in the working directory.
    command = ["prlimit", "--core=0", need("inspircd", "inspircd")]
    return [*command, "--nofork", "--runasroot", "--nopid", "--config", str(file)]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """These servers take what comes; at the rate of a network, the tests would take minutes."""
    monkeypatch.setattr("comms.irc.session.INTERVAL", 0.02)


Command = Callable[[Path, int, Authority | None], list[str]]


@contextmanager
def running(command: Command, tls: bool = False) -> Iterator[tuple[Server, dict[str, Any]]]:
    """Runs a server, and yields it with the settings of a client."""
    with folder() as path:
        authority = Authority(path) if tls else None
        port = free_port()
        server = Server(command(path, port, authority), port)
        server.start()
        keys: dict[str, Any] = {
            "host": "localhost" if tls else "127.0.0.1",
            "port": port,
            "tls": "implicit" if tls else "none",
            "server_password": "open",
            "timeout": 5,
        }
        if authority is not None:
            keys["ca_file"] = str(authority.ca_file)
        try:
            yield server, keys
        finally:
            server.stop()


@contextmanager
def online(keys: dict[str, Any], nick: str, *channels: str) -> Iterator[Client]:
    clock = RealClock()
    config = {**keys, "nick": nick, "channels": list(channels)}
    with contextlib.closing(clock):
        loaded = settings.load({"irc": config}).server("irc")
        with Client(loaded, clock, RealHost()) as client:
            client.connect()
            yield client


def until(client: Client, done: Callable[[], object], what: str) -> None:
    """Handles what arrives until `done` returns something true."""

    def look() -> object:
        client.wait(0.05)
        return done()

    wait_until(look, what)


BOTH = pytest.mark.parametrize("command", [ngircd, inspircd])


@BOTH
def test_two_clients_talk(command: Command) -> None:
    text = " ".join(f"word{number} é€😀" for number in range(60))
    heard: list[Message] = []
    with running(command) as (_, keys), online(keys, "ann", "#ops") as ann:
        with online(keys, "bot", "#ops", "#locked key") as bot:
            ann.on_message(heard.append)
            # A server that marks bots would mark this message, too, and no bot would hear it.
            bot.send_line("MODE bot -B")
            bot.say("#ops", text)
            bot.act("ann", "waves")
            bot.notice("ann", "is not heard")
            until(ann, lambda: len(heard) > 2, "ann hears")
            *parts, last = heard
            assert " ".join(message.text for message in parts) == text
            assert (last.nick, last.channel, last.text, last.is_action) == (
                "bot",
                "",
                "waves",
                True,
            )
            assert sorted(bot.present("#OPS")) == ["ann", "bot"]
            assert {message.account for message in heard} == {""}
            with pytest.raises(Refused, match="401 nobody"):
                bot.say("nobody", "x")
            ann.send_line("MODE #ops +m")
            ann.send_line("MODE #ops -o bot")
            ann.wait(0.1)
            with pytest.raises(Refused, match="404 #ops"):
                bot.say("#ops", "x")
            ann.send_line("KICK #ops bot :out")
            ann.send_line("MODE #ops +k-m secret")
            ann.wait(0.1)
            bot.wait(0.1)
            assert bot.present("#ops") == []
            with pytest.raises(Refused, match="475 #ops"):
                bot.join("#ops")
            bot.join("#ops", "secret")


@BOTH
def test_a_nick_in_use_is_taken_when_its_holder_leaves(command: Command) -> None:
    with running(command) as (_, keys), online(keys, "bot", "#ops") as holder:
        with online(keys, "bot", "#ops") as bot:
            assert bot.nick == "bot_"
            holder.disconnect()
            until(bot, lambda: bot.nick == "bot", "bot has its nick")


@BOTH
def test_it_comes_back_after_a_restart(command: Command) -> None:
    with running(command) as (server, keys), online(keys, "bot", "#ops") as bot:
        server.stop()
        server.start()
        until(bot, lambda: "bot" in bot.present("#ops"), "bot is back")
        bot.say("#ops", "back")


@BOTH
def test_a_wrong_password_of_the_server_is_refused(command: Command) -> None:
    with running(command) as (_, keys):
        with (
            pytest.raises(Refused, match=r"password|denied"),
            online({**keys, "server_password": "wrong"}, "bot"),
        ):
            pass
        with pytest.raises(Refused, match="login"), online({**keys, "password": "x"}, "bot"):
            pass


def test_inspircd_inside_tls() -> None:
    with running(inspircd, tls=True) as (_, keys), online(keys, "bot", "#ops") as bot:
        bot.say("#ops", "hello")
        assert bot.present("#ops") == ["bot"]
