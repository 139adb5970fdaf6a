"""The two connections of a player, to a bare core and on a socket, show the same."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fakes.transcripts.connections import Connection, OnCore, OnSocket
from fakes.world import World

Connect = Callable[..., Any]


@contextmanager
def on_core(**config: Any) -> Iterator[Connection]:
    faults = config.pop("faults", ())
    world = World({"servers": ["smtp"], "tls": "off", **config}, rehearsal=True, faults=faults)
    yield OnCore(world.core("smtp"), 1)


@contextmanager
def on_socket(**config: Any) -> Iterator[Connection]:
    faults = config.pop("faults", ())
    tls = config.get("tls", "off")
    config = {"servers": ["smtp"], **config, "tls": tls}
    with World(config, rehearsal=True, faults=faults) as world:
        context = ssl.create_default_context(cafile=str(world.ca_file)) if tls != "off" else None
        connection = OnSocket(world.address("smtp"), context, world.clock)
        try:
            yield connection
        finally:
            connection.leave()
            connection.close()


BOTH = pytest.mark.parametrize("connect", [on_core, on_socket])


def a_line(received: bytes) -> bool:
    return b"\r\n" in received


@BOTH
def test_what_is_read_and_not_used_can_be_put_back(connect: Connect) -> None:
    with connect() as connection:
        greeting = connection.read(a_line)
        assert greeting.startswith(b"220 ")
        connection.put_back(greeting[4:])
        assert connection.read(a_line) == greeting[4:]
        connection.send(b"NOOP\r\n")
        assert connection.read(a_line) == b"250 2.0.0 OK\r\n"
        connection.leave()
        assert connection.ended() == "closes"


@BOTH
@pytest.mark.parametrize(("fault", "end"), [("NOOP hang up", "closes"), ("NOOP reset", "resets")])
def test_a_hang_up_and_a_reset_can_be_distinguished(connect: Connect, fault: str, end: str) -> None:
    with connect(faults=[fault]) as connection:
        connection.read(a_line)
        connection.send(b"NOOP\r\n")
        assert connection.ended() == end
        assert connection.read(a_line) == b""


@BOTH
def test_tls_can_be_started_when_the_server_is_ready(connect: Connect) -> None:
    with connect(tls="optional") as connection:
        connection.read(a_line)
        connection.send(b"EHLO client.example\r\n")
        connection.read(lambda received: b"250 HELP\r\n" in received)
        connection.send(b"STARTTLS\r\n")
        assert connection.read(a_line).startswith(b"220 ")
        connection.start_tls()
        connection.send(b"MAIL FROM:<a@b.c>\r\n")
        assert connection.read(a_line) == b"503 5.5.1 Send EHLO first\r\n", "EHLO is forgotten"


@BOTH
def test_tls_that_the_server_does_not_offer_raises_value_error(connect: Connect) -> None:
    with connect() as connection, pytest.raises(ValueError, match="; write "):
        connection.start_tls()
