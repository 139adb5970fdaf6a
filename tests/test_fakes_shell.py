"""The shell, on sockets: how connections begin and end, TLS, outages, and what happens when a core fails."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import subprocess
import sys
import threading

import pytest

from comms.link import Link
from fakes.clock import START
from fakes.faults import UnmetFault
from fakes.smtp import Smtp
from fakes.wire import Unit
from fakes.world import World
from tests.linechat import LineChat


def dial(world: World, listener: str = "smtp") -> socket.socket:
    return socket.create_connection(world.address(listener), 5)


def read_until(link: socket.socket, end: bytes) -> bytes:
    said = b""
    while not said.endswith(end):
        more = link.recv(65536)
        if not more:
            break
        said += more
    return said


def read_all(link: socket.socket) -> bytes:
    return read_until(link, b"never said")


def test_octets_pipelined_behind_starttls_are_not_run_inside_tls() -> None:
    with World({"servers": ["smtp"], "tls": "optional"}) as world, dial(world) as link:
        read_until(link, b"\r\n")
        link.sendall(b"EHLO client.example\r\n")
        read_until(link, b"250 HELP\r\n")
        link.sendall(b"STARTTLS\r\nEHLO injected.example\r\n")
        assert read_until(link, b"\r\n").startswith(b"220")
        context = ssl.create_default_context(cafile=str(world.ca_file))
        with context.wrap_socket(link, server_hostname="localhost") as inside:
            inside.sendall(b"MAIL FROM:<a@b.c>\r\n")
            assert read_until(inside, b"\r\n") == b"503 5.5.1 Send EHLO first\r\n"
    assert not any(b"injected" in one.raw and one.verb == "EHLO" for one in world.records)


@pytest.mark.parametrize(("flaw", "reason"), [
    ("expired", "expired"), ("other-name", "localhost"), ("self-signed", "self-signed"),
])  # fmt: skip
def test_a_flawed_certificate_is_what_the_fault_says(flaw: str, reason: str) -> None:
    config = {"servers": ["smtp"], "tls": "optional"}
    with World(config, faults=[f"tls certificate {flaw}"], ports={"smtps": 0}) as world:
        context = ssl.create_default_context(cafile=str(world.ca_file))
        with (
            dial(world, "smtps") as link,
            pytest.raises(ssl.SSLCertVerificationError, match=reason),
        ):
            context.wrap_socket(link, server_hostname="localhost")


def test_implicit_tls_greets_inside() -> None:
    with World({"servers": ["smtp"], "tls": "optional"}, ports={"smtps": 0}) as world:
        context = ssl.create_default_context(cafile=str(world.ca_file))
        with (
            dial(world, "smtps") as link,
            context.wrap_socket(link, server_hostname="localhost") as inside,
        ):
            assert read_until(inside, b"\r\n").startswith(b"220 ")
            inside.sendall(b"QUIT\r\n")
            assert read_until(inside, b"\r\n").startswith(b"221 ")
            assert inside.recv(10) == b"", "close_notify, not a bare FIN"


@pytest.mark.parametrize("what", ["hang up", "reset", "stall"])
def test_a_handshake_that_fails(what: str) -> None:
    with World(
        {"servers": ["smtp"], "tls": "optional"}, faults=[f"tls {what}"], ports={"smtps": 0}
    ) as world:
        context = ssl.create_default_context(cafile=str(world.ca_file))
        with pytest.raises((ssl.SSLError, OSError)), dial(world, "smtps") as link:
            link.settimeout(0.1 if what == "stall" else 5)
            context.wrap_socket(link, server_hostname="localhost")


def test_octets_that_are_no_tls_end_the_handshake_and_not_the_server() -> None:
    with World({"servers": ["smtp"], "tls": "optional"}, ports={"smtp": 0, "smtps": 0}) as world:
        with dial(world, "smtps") as link:
            link.sendall(b"EHLO client.example\r\n")
            assert b"220" not in read_all(link)
        with dial(world) as link:
            assert read_until(link, b"\r\n").startswith(b"220")


def test_a_hang_up_is_a_fin_and_a_reset_an_rst() -> None:
    with World({"servers": ["smtp"]}, faults=["NOOP nth 1 hang up; NOOP nth 2 reset"]) as world:
        with dial(world) as link:
            read_until(link, b"\r\n")
            link.sendall(b"NOOP\r\n")
            assert link.recv(10) == b""
        with dial(world) as link:
            read_until(link, b"\r\n")
            link.sendall(b"NOOP\r\n")
            with pytest.raises(ConnectionResetError):
                link.recv(10)


def test_the_last_words_arrive_though_the_client_said_more_than_was_read() -> None:
    with World({"servers": ["smtp"]}) as world, dial(world) as link:
        link.sendall(b"QUIT\r\n" + b"NOOP\r\n" * 50_000)
        said = read_all(link)
        assert said.endswith(b"221 2.0.0 Bye\r\n")


def test_after_its_last_words_the_server_goes_on_reading_for_a_while() -> None:
    # If the server closed its socket at once, what the client still sends would be answered by RST,
    # and a client in the middle of sending would see an error instead of the last words.
    with World({"servers": ["smtp"]}) as world, dial(world) as link:
        read_until(link, b"\r\n")
        link.sendall(b"QUIT\r\n")
        assert read_all(link) == b"221 2.0.0 Bye\r\n"
        for _ in range(5):
            world.call(lambda: None)  # returns when the server's loop has run once more
            link.sendall(b"NOOP\r\n")


def test_a_client_that_resets_leaves_nothing_behind() -> None:
    with World({"servers": ["smtp"]}) as world:
        link = dial(world)
        read_until(link, b"\r\n")
        link.sendall(b"EHLO client.example\r\nMAIL FROM:<a@b.c>\r\n")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.close()
        with dial(world) as other:
            assert read_until(other, b"\r\n").startswith(b"220")
    assert world.mail.messages == []


def test_too_many_sessions_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakes.shell.SESSIONS", 2)
    with World({"servers": ["smtp"]}) as world:
        links = [dial(world) for _ in range(3)]
        greetings = [read_until(link, b"\r\n") for link in links]
        assert [greeting[:3] for greeting in greetings] == [b"220", b"220", b"421"]
        for link in links:
            link.close()


@pytest.mark.slow
def test_a_reader_that_does_not_read_is_cut_off_and_others_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fakes.shell.OUTPUT", 100_000)
    with World({"servers": ["smtp"]}) as world:
        with dial(world) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with pytest.raises(OSError):
                for _ in range(20_000):
                    slow.sendall(b"HELP\r\n" * 500)
        with dial(world) as link:
            assert read_until(link, b"\r\n").startswith(b"220")


def test_an_outage_refuses_and_the_same_port_comes_back() -> None:
    with World({"servers": ["smtp"]}) as world:
        address = world.address("smtp")
        world.close_port("smtp")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 5)
        world.open_port("smtp")
        assert world.address("smtp") == address
        with dial(world) as link:
            assert read_until(link, b"\r\n").startswith(b"220")


def test_a_refused_connection_is_a_closed_port() -> None:
    with (
        World({"servers": ["smtp"]}, faults=["connect refuse"]) as world,
        pytest.raises(ConnectionRefusedError),
    ):
        dial(world)


def test_a_cut_from_outside_ends_every_connection() -> None:
    with World({"servers": ["smtp"]}) as world, dial(world) as one, dial(world) as two:
        read_until(one, b"\r\n")
        read_until(two, b"\r\n")
        assert world.cut("smtp") == 2
        assert (one.recv(10), two.recv(10)) == (b"", b"")


def test_an_exception_in_a_fake_fails_the_test_and_spares_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: Smtp, unit: Unit) -> None:
        raise ZeroDivisionError("a bug in the fake")

    monkeypatch.setattr(Smtp, "do_NOOP", broken)
    with (
        pytest.raises(ZeroDivisionError, match="a bug in the fake"),
        World({"servers": ["smtp"]}) as world,
    ):
        with dial(world) as link:
            read_until(link, b"\r\n")
            link.sendall(b"NOOP\r\n")
            with pytest.raises(ConnectionResetError):
                link.recv(10)
        with dial(world) as link:
            assert read_until(link, b"\r\n").startswith(b"220")


def test_a_fault_never_met_fails_the_test_and_can_be_forgotten() -> None:
    with (
        pytest.raises(UnmetFault, match="smtp RCPT reset"),
        World({"servers": ["smtp"]}, faults=["RCPT reset"]),
    ):
        pass
    with World({"servers": ["smtp"]}, faults=["RCPT reset"]) as world:
        world.faults.disarm()


STUCK = """
import socket, threading
import fakes.world
from fakes import World
from fakes.smtp import Smtp
fakes.life.STOP = 0.1
Smtp.do_NOOP = lambda self, unit: threading.Event().wait()
with World({"servers": ["smtp"]}) as world:
    link = socket.create_connection(world.address("smtp"))
    link.recv(100)
    link.sendall(b"NOOP\\r\\n")
    while not world._shell._running:
        pass
"""


def test_a_world_that_does_not_stop_names_the_session_that_holds_it() -> None:
    """In a process of its own, which ends with it."""
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=30)
    assert (
        "RuntimeError: the world did not stop within 0.1 s, held by a handler of smtp session 1"
        in done.stderr
    )


async def test_a_world_serves_on_the_test_s_own_loop() -> None:
    async with World({"servers": ["smtp"]}) as world:
        reader, writer = await asyncio.open_connection(*world.address("smtp"))
        assert (await reader.readline()).startswith(b"220")
        for line in (
            b"HELO c",
            b"MAIL FROM:<a@b.c>",
            b"RCPT TO:<alice@example.test>",
            b"DATA",
            b"Subject: hi\r\n\r\n.",
        ):
            writer.write(line + b"\r\n")
            await reader.readline()
        mail = await world.mail.arrival(lambda mail: mail.subject == "hi")
        assert mail.envelope.to == ["alice@example.test"]
        writer.close()
        await writer.wait_closed()


async def test_a_blocking_wait_on_the_loop_that_must_do_the_work_raises_at_once() -> None:
    async with World({"servers": ["smtp"]}) as world:
        with pytest.raises(RuntimeError, match=r"await …arrival"):
            world.mail.wait_for()


def test_real_timers_run_on_real_time() -> None:
    with World({"servers": ["smtp"]}, faults=["NOOP delay 0.05"]) as world, dial(world) as link:
        read_until(link, b"\r\n")
        link.sendall(b"NOOP\r\n")
        assert read_until(link, b"\r\n") == b"250 2.0.0 OK\r\n"


def test_a_rehearsal_s_servers_keep_simulated_time() -> None:
    with World({"servers": ["smtp"]}, rehearsal=True) as world, dial(world) as link:
        read_until(link, b"\r\n")
        world.clock.advance(301)
        assert read_all(link).startswith(b"421 4.4.2")
        assert world.clock.time() == START + 301


# ── timers of services ───────────────────────────────────────────────────────────


class Reminder(LineChat):
    """NAME sets a timer of the service."""

    seconds = 5.0
    ran = threading.Event()

    def do_NAME(self, unit: Unit) -> None:
        super().do_NAME(unit)
        due = self.runtime.now() + self.seconds
        self.runtime.timers.at("remind", due, self.ran.set)


def test_a_timer_of_a_service_runs_after_its_connection_is_gone_in_a_rehearsal() -> None:
    Reminder.ran.clear()
    with World({"servers": ["smtp"]}, rehearsal=True) as world:
        address = world.serve("chat", lambda: Reminder(world.runtime))
        link = Link.connect(*address, clock=world.clock)
        link.sendall(b"NAME romeo\r\n")
        link.close()
        world.clock.advance(4.9)
        assert not Reminder.ran.is_set() and not world._shell.connections
        world.clock.advance(0.2)
        assert Reminder.ran.is_set()


def test_a_timer_of_a_service_runs_after_its_connection_is_gone_in_real_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Reminder.ran.clear()
    monkeypatch.setattr(Reminder, "seconds", 0.05)
    with World({"servers": ["smtp"]}) as world:
        address = world.serve("chat", lambda: Reminder(world.runtime))
        with socket.create_connection(address) as client:
            client.sendall(b"NAME romeo\r\n")
            client.recv(100)
        assert Reminder.ran.wait(5.0)


def test_an_error_in_a_timer_of_a_service_is_raised_by_the_world() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), World({"servers": ["smtp"]}, rehearsal=True) as world:
        world.runtime.timers.at("broken", world.clock.now() + 1, broken)
        world.clock.advance(2)
