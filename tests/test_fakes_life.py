"""The start and the end of a world: on a thread, or on the loop of an async test."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from fakes.bridge import Bridge
from fakes.life import Life
from fakes.shell import Listener, Shell
from fakes.wire import Runtime
from fakes.world import World
from tests.linechat import LineChat


class Bench:
    """A shell that serves the chat protocol on one port, and its life."""

    def __init__(self, port: int = 0) -> None:
        self.runtime = Runtime(lambda: 0.0, lambda length: "x" * length)
        self.bridge = Bridge()

        def no_tls() -> Any:
            raise AssertionError("this world has no TLS")

        self.shell = Shell(self.runtime, self.bridge, no_tls, virtual=False)
        self.listener = Listener("chat", lambda: LineChat(self.runtime), port=port)
        self.life = Life(self.shell)

    def open(self) -> None:
        self.shell.listen(self.listener)

    def dial(self) -> socket.socket:
        return socket.create_connection(self.listener.address, 5)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "world"]


def test_a_world_is_served_on_a_thread_until_it_is_stopped() -> None:
    bench = Bench()
    bench.life.start(bench.open)
    assert threads() == ["world"] and not bench.bridge.here
    with bench.dial() as link:
        link.sendall(b"NAME romeo\r\n")
        assert link.recv(100) == b"hello\r\n"
        bench.life.stop()
        with pytest.raises(ConnectionResetError):
            link.recv(100)
    assert threads() == []
    with pytest.raises(ConnectionRefusedError):
        bench.dial()


def test_a_port_in_use_is_an_error_that_leaves_no_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        bench = Bench(port)
        with pytest.raises(OSError, match=f"port {port} on 127.0.0.1: Address already in use"):
            bench.life.start(bench.open)
    assert threads() == []


async def test_a_port_in_use_leaves_no_other_port_open_on_the_loop_of_the_test() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"smtp": 0, "pop3": taken.getsockname()[1]}
        world = World(servers=["smtp", "pop3"], ports=ports)
        with pytest.raises(OSError, match="Address already in use"):
            await world.__aenter__()
    host, port = world.listeners["smtp"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port), 5)


async def test_a_world_is_served_on_the_loop_that_starts_it() -> None:
    bench = Bench()
    await bench.life.start_here(bench.open)
    assert bench.bridge.here and threads() == []
    reader, writer = await asyncio.open_connection(*bench.listener.address)
    writer.write(b"NAME romeo\r\n")
    assert await reader.readline() == b"hello\r\n"
    await bench.life.stop_here()
    with pytest.raises(ConnectionResetError):
        await reader.readline()
    writer.close()


async def test_a_world_that_cannot_stop_on_the_loop_of_a_test_says_what_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fakes.life.STOP", 0.01)
    bench = Bench()
    await bench.life.start_here(bench.open)
    reader, writer = await asyncio.open_connection(*bench.listener.address)
    writer.write(b"NAME romeo\r\n")
    await reader.readline()
    endless = asyncio.get_running_loop().create_future()
    bench.shell._accepting[endless] = None  # type: ignore[index]
    with pytest.raises(RuntimeError, match=r"did not stop within 0\.01 s, held by chat session 1"):
        await bench.life.stop_here()
    del bench.shell._accepting[endless]  # type: ignore[arg-type]
    await bench.life.stop_here()
    writer.close()


def test_two_worlds_can_run_at_the_same_time() -> None:
    with World({"servers": ["smtp"]}) as first, World({"servers": ["smtp"]}) as second:
        assert threads() == ["world", "world"]
        assert first.address("smtp") != second.address("smtp")
    assert threads() == []
