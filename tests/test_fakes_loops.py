"""Which event loop serves a world."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import uvloop

from fakes import loops
from fakes.control import Control
from fakes.loops import loop_factory, new_loop
from fakes.servers import SERVERS
from fakes.wire import Session
from fakes.world import World, WorldError
from fakes.xmpp.extensions.websocket import PATH
from tests.websocket_raw import masked
from tests.xmpp_raw import HEADER


@pytest.mark.parametrize(
    ("name", "rehearsal", "environment", "uses_uvloop"),
    [
        (None, False, {}, True),
        ("asyncio", False, {}, False),
        ("asyncio", False, {"FAKES_LOOP": "uvloop"}, False),
        (None, False, {"FAKES_LOOP": "asyncio"}, False),
        ("uvloop", False, {"FAKES_LOOP": "asyncio"}, True),
        (None, True, {"FAKES_LOOP": "uvloop"}, False),
    ],
)
def test_uvloop_serves_real_time_unless_asyncio_is_chosen(
    name: str | None, rehearsal: bool, environment: Mapping[str, str], uses_uvloop: bool
) -> None:
    factory = loop_factory(name, rehearsal=rehearsal, environment=environment)
    assert factory is (uvloop.new_event_loop if uses_uvloop else new_loop)


def test_without_uvloop_asyncio_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory(None, rehearsal=False, environment={}) is new_loop
    with pytest.raises(ValueError, match="loop: uvloop is not installed: pip install"):
        loop_factory("uvloop", rehearsal=False, environment={})


def test_an_unknown_loop_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorldError, match="loop: unknown loop 'trio'; write asyncio or uvloop"):
        World(loop="trio")
    with pytest.raises(WorldError, match="a rehearsal runs on asyncio; leave loop out"):
        World(loop="uvloop", rehearsal=True)
    monkeypatch.setenv("FAKES_LOOP", "trio")
    with pytest.raises(WorldError, match="FAKES_LOOP: unknown loop 'trio'"):
        World()


def test_a_uvloop_that_cannot_be_imported_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('undefined symbol: uv_run')")
    monkeypatch.delitem(sys.modules, "uvloop")
    monkeypatch.syspath_prepend(tmp_path)
    said = (
        r"loop: uvloop is installed, but cannot be imported \(undefined symbol: uv_run\): install"
    )
    for name in (None, "uvloop"):
        with pytest.raises(ValueError, match=said):
            loop_factory(name, rehearsal=False, environment={})
    monkeypatch.delenv("FAKES_LOOP", raising=False)
    with pytest.raises(WorldError, match=said):
        World()
    assert World(loop="asyncio").running is False


def test_a_world_on_a_loop_that_runs_cannot_choose_another() -> None:
    async def serve(name: str) -> bool:
        async with World({"servers": ["smtp"], "tls": "off"}, loop=name) as world:
            return world.running

    for factory, name, other in (
        (new_loop, "asyncio", "uvloop"),
        (uvloop.new_event_loop, "uvloop", "asyncio"),
    ):
        with asyncio.Runner(loop_factory=factory) as runner:
            assert runner.run(serve(name))
            with pytest.raises(WorldError, match=f"which is one of {name}; leave loop out"):
                runner.run(serve(other))


# ── every listener, on either loop ───────────────────────────────────────────

# What a client says first, what is in the answer, what it says last, and what is in that answer.
Exchange = tuple[bytes, bytes, bytes, bytes]
SMTP: Exchange = (b"EHLO client.example\r\n", b"250 ", b"QUIT\r\n", b"221 ")
POP3: Exchange = (b"CAPA\r\n", b"\r\n.\r\n", b"QUIT\r\n", b"+OK ")
IMAP: Exchange = (b"a NOOP\r\n", b"a OK ", b"b LOGOUT\r\n", b"b OK ")
IRC: Exchange = (b"CAP LS 302\r\n", b" CAP * LS ", b"QUIT\r\n", b"ERROR ")
TOC: Exchange = (b"FLAPON\r\n\r\n", b"*\x01", b"", b"")
END = b"</stream:stream>"
XMPP: Exchange = (HEADER, b"</stream:features>", END, END)
SERVER: Exchange = (HEADER.replace(b":client", b":server"), *XMPP[1:])
COMPONENT: Exchange = (
    HEADER.replace(b"jabber:client", b"jabber:component:accept").replace(b"='ex", b"='irc.ex"),
    b"id='",
    END,
    END,
)


def request(path: str, *fields: str) -> bytes:
    return "".join(
        f"{one}\r\n" for one in (f"GET {path} HTTP/1.1", "Host: localhost", *fields, "")
    ).encode()


HTTP: Exchange = (
    request("/"),
    b"\r\n\r\n",
    request("/", "Connection: close"),
    b"Connection: close",
)
FRAMED: Exchange = (
    request(
        PATH,
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: xmpp",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    + masked("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.test' version='1.0'/>"),
    b"</stream:features>",
    masked("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"),
    b"<close ",
)
EXCHANGES = [
    ("smtp", SMTP),
    ("submission", SMTP),
    ("smtps", SMTP),
    ("pop3", POP3),
    ("pop3s", POP3),
    ("imap", IMAP),
    ("imaps", IMAP),
    ("irc", IRC),
    ("ircs", IRC),
    ("toc", TOC),
    ("xmpp", XMPP),
    ("xmpps", XMPP),
    ("xmpp-server", SERVER),
    ("component", COMPONENT),
    ("webhook", HTTP),
    ("webhook-tls", HTTP),
    ("webhook", FRAMED),
    ("webhook-tls", FRAMED),
    ("control", HTTP),
]
INSIDE_TLS = [port.name for server in SERVERS for port in server.ports if port.tls]


def open_sessions(world: World) -> list[Session]:
    return world.call(lambda: [one.session for one in world._shell.connections])


def speak(
    world: World, name: str, exchange: Exchange, links: contextlib.ExitStack
) -> socket.socket:
    """Ends one session in order, aborts one, and returns the connection of a third."""
    first, answer, last, farewell = exchange
    before = len(open_sessions(world))

    def begin() -> socket.socket:
        link = socket.create_connection(world.address(name), 10)
        if name in INSIDE_TLS:
            context = ssl.create_default_context(cafile=str(world.ca_file))
            link = context.wrap_socket(link, server_hostname="localhost")
        links.callback(link.close)
        link.sendall(first)
        found = b""
        while answer not in found:
            more = link.recv(65536)
            assert more, (name, found)
            found += more
        return link

    with begin() as ends, begin() as aborts:
        ends.sendall(last)
        if name not in INSIDE_TLS:
            ends.shutdown(socket.SHUT_WR)
        said = b""
        while more := ends.recv(65536):
            said += more
        assert farewell in said, (name, said)
        aborts.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    while len(open_sessions(world)) > before:
        pass
    return begin()


def test_every_listener_is_spoken_to() -> None:
    ports = {port.name for server in SERVERS for port in server.ports}
    assert {name for name, _ in EXCHANGES} == ports | {"control"}


@pytest.mark.parametrize("loop", loops.LOOPS)
def test_every_listener_greets_answers_and_ends_on_either_loop(loop: str) -> None:
    """Sessions that end in order, that the client aborts, and that the server aborts."""
    servers = [server.name for server in SERVERS]
    config = {"servers": servers, "xmpp": {"components": {"irc.example.test": "secret"}}}
    with contextlib.ExitStack() as links:
        with World(config, loop=loop) as world:
            world.serve("control", Control(world).session)
            left = [speak(world, name, exchange, links) for name, exchange in EXCHANGES]
            sessions = [type(session).__name__ for session in open_sessions(world)]
        assert len(sessions) == len(EXCHANGES) and sessions.count("FramedXmpp") == 2
        for link in left:
            with pytest.raises(ConnectionResetError):
                os.read(link.fileno(), 1)  # an SSLSocket would raise another error


@pytest.mark.parametrize("loop", loops.LOOPS)
def test_servers_connect_to_each_other_on_either_loop(loop: str) -> None:
    config = {
        "servers": ["xmpp", "xmpp-server"],
        "person": [{"address": "alice@example.test"}, {"address": "ann@partner.test"}],
        "xmpp": {"domains": ["example.test"], "neighbours": ["partner.test"]},
    }
    with World(config, loop=loop) as world:
        alice = world.jabber.actor("alice@example.test")
        ann = world.neighbour("partner.test").actor("ann@partner.test")
        alice.comes()
        ann.comes()
        alice.says("ann@partner.test", "hello")
        assert world.neighbour("partner.test").wait_for().body == "hello"
        assert "tls" in {one.verb for one in world.records if one.protocol == "xmpp-server"}
