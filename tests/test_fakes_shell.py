"""The shell, on sockets: how connections begin and end, TLS, outages, and a core that fails."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
from typing import Any

import pytest

from comms.link import Link
from fakes.clock import START
from fakes.faults import UnmetFault
from fakes.imap.messages import ImapMessages
from fakes.shell import HANDSHAKE, NO_HANDSHAKE
from fakes.smtp import Smtp
from fakes.wire import Unit
from fakes.world import World
from tests.linechat import LineChat

SMTP = {"servers": ["smtp"]}
WITH_TLS = {"servers": ["smtp"], "tls": "optional"}


def dial(world: World, listener: str = "smtp") -> socket.socket:
    return socket.create_connection(world.address(listener), 5)


def read_until(link: socket.socket, end: bytes) -> bytes:
    """Reads until what was received ends like this, or until the server hangs up."""
    received = b""
    while not received.endswith(end):
        more = link.recv(65536)
        if not more:
            break
        received += more
    return received


def read_all(link: socket.socket) -> bytes:
    """Reads until the server hangs up."""
    received = b""
    while more := link.recv(65536):
        received += more
    return received


def client_context(world: World) -> ssl.SSLContext:
    """The context of a client that trusts this world's certificates."""
    return ssl.create_default_context(cafile=str(world.ca_file))


# ── TLS ──────────────────────────────────────────────────────────────────────


def test_input_pipelined_after_starttls_is_not_handled_inside_tls() -> None:
    with World(WITH_TLS) as world, dial(world) as link:
        read_until(link, b"\r\n")
        link.sendall(b"EHLO client.example\r\n")
        read_until(link, b"250 HELP\r\n")
        link.sendall(b"STARTTLS\r\nEHLO injected.example\r\n")
        assert read_until(link, b"\r\n").startswith(b"220")
        with client_context(world).wrap_socket(link, server_hostname="localhost") as inside:
            inside.sendall(b"MAIL FROM:<a@b.c>\r\n")
            assert read_until(inside, b"\r\n") == b"503 5.5.1 Send EHLO first\r\n"
    assert not any(b"injected" in one.raw and one.verb == "EHLO" for one in world.records)


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [("expired", "expired"), ("other-name", "localhost"), ("self-signed", "self-signed")],
)
def test_a_fault_makes_the_server_show_a_flawed_certificate(flaw: str, reason: str) -> None:
    with World(WITH_TLS, faults=[f"tls certificate {flaw}"], ports={"smtps": 0}) as world:
        context = client_context(world)
        with dial(world, "smtps") as link:
            with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                context.wrap_socket(link, server_hostname="localhost")


def test_on_a_port_for_implicit_tls_greeting_and_end_are_encrypted() -> None:
    with World(WITH_TLS, ports={"smtps": 0}) as world, dial(world, "smtps") as link:
        # By default, SSLSocket takes a bare FIN for the same as close_notify followed by FIN.
        with client_context(world).wrap_socket(
            link, server_hostname="localhost", suppress_ragged_eofs=False
        ) as inside:
            assert read_until(inside, b"\r\n").startswith(b"220 ")
            inside.sendall(b"QUIT\r\n")
            assert read_until(inside, b"\r\n").startswith(b"221 ")
            assert inside.recv(10) == b"", "close_notify comes before FIN"


def handshake(link: socket.socket, context: ssl.SSLContext) -> None:
    """Does the client's side of a TLS handshake over memory buffers.

    Raises EOFError if the server hangs up, and otherwise what the socket raises. Unlike
    `wrap_socket`, it leaves the socket to the caller: when a reset has arrived before it is called,
    `wrap_socket` raises without closing the socket that it has taken over.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            link.sendall(outgoing.read())
            received = link.recv(65536)
            if not received:
                raise EOFError("the server hung up during the handshake") from None
            incoming.write(received)
    link.sendall(outgoing.read())


@pytest.mark.parametrize(
    ("failure", "error"),
    [("hang up", EOFError), ("reset", ConnectionResetError), ("stall", TimeoutError)],
)
def test_a_fault_at_tls_ends_one_handshake_and_not_the_next(
    failure: str, error: type[Exception]
) -> None:
    with World(WITH_TLS, faults=[f"tls {failure} times 1"], ports={"smtps": 0}) as world:
        context = client_context(world)
        # The reset may arrive while the client still connects, so that `dial` raises already.
        with pytest.raises(error), dial(world, "smtps") as link:
            link.settimeout(0.1 if failure == "stall" else 5)
            handshake(link, context)
        with dial(world, "smtps") as link:
            handshake(link, context)


def test_a_client_that_never_begins_its_handshake_is_disconnected_without_a_word() -> None:
    with World(WITH_TLS) as world, dial(world) as link:
        link.sendall(b"EHLO client.example\r\nSTARTTLS\r\n")
        read_until(link, b"Ready to start TLS\r\n")
        world.skip(Smtp.idle_timeout)
        assert read_all(link) == b"", "no reply can be encrypted yet"


@pytest.mark.parametrize("listener", ["smtps", "pop3s", "xmpps", "ircs", "webhook-tls"])
def test_a_client_that_never_completes_its_handshake_is_disconnected_too(listener: str) -> None:
    with World({"tls": "optional"}, ports={listener: 0}) as world:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = client_context(world)
        client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        with dial(world, listener) as link:
            link.sendall(outgoing.read())
            assert link.recv(1) == b"\x16", "the server's part of the handshake"
            world.skip(HANDSHAKE)
            read_all(link)
        (record,) = [one for one in world.records if one.verb == "tls-fails"]
        assert record.fields["remark"] == NO_HANDSHAKE


def test_a_client_that_has_completed_its_handshake_is_not_disconnected() -> None:
    with World({"servers": ["pop3"]}, ports={"pop3s": 0}) as world, dial(world, "pop3s") as link:
        with client_context(world).wrap_socket(link, server_hostname="localhost") as inside:
            read_until(inside, b"\r\n")
            world.skip(HANDSHAKE)
            inside.sendall(b"QUIT\r\n")
            assert read_until(inside, b"\r\n").startswith(b"+OK")


def test_bytes_that_are_not_tls_end_the_handshake_and_not_the_server() -> None:
    with World(WITH_TLS, ports={"smtp": 0, "smtps": 0}) as world:
        with dial(world, "smtps") as link:
            link.sendall(b"EHLO client.example\r\n")
            assert b"220" not in read_all(link)
        with dial(world) as link:
            assert read_until(link, b"\r\n").startswith(b"220")


# ── how connections end ──────────────────────────────────────────────────────


def test_a_hang_up_is_a_fin_and_a_reset_is_an_rst() -> None:
    with World(SMTP, faults=["NOOP nth 1 hang up; NOOP nth 2 reset"]) as world:
        with dial(world) as link:
            read_until(link, b"\r\n")
            link.sendall(b"NOOP\r\n")
            assert link.recv(10) == b""
        with dial(world) as link:
            read_until(link, b"\r\n")
            link.sendall(b"NOOP\r\n")
            with pytest.raises(ConnectionResetError):
                link.recv(10)


def test_the_last_reply_arrives_although_much_input_was_left_unread() -> None:
    # Closing a socket with unread input sends RST, and the client could lose the last reply.
    with World(SMTP) as world, dial(world) as link:
        link.sendall(b"QUIT\r\n" + b"NOOP\r\n" * 50_000)
        assert read_all(link).endswith(b"221 2.0.0 Bye\r\n")


def test_after_its_last_reply_the_server_goes_on_reading_for_a_while() -> None:
    # If the server closed its socket at once, what the client still sends would be answered by RST,
    # and a client in the middle of sending would see an error instead of the last reply.
    with World(SMTP) as world, dial(world) as link:
        read_until(link, b"\r\n")
        link.sendall(b"QUIT\r\n")
        assert read_all(link) == b"221 2.0.0 Bye\r\n"
        for _ in range(5):
            world.call(lambda: None)  # returns when the server's loop has run once more
            link.sendall(b"NOOP\r\n")


def test_a_client_that_resets_in_a_transaction_leaves_no_trace() -> None:
    with World(SMTP) as world:
        link = dial(world)
        read_until(link, b"\r\n")
        link.sendall(b"EHLO client.example\r\nMAIL FROM:<a@b.c>\r\n")
        # With a linger time of 0 seconds, closing sends RST.
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.close()
        with dial(world) as other:
            assert read_until(other, b"\r\n").startswith(b"220")
    assert world.mail.messages == []


def test_one_session_too_many_is_asked_to_try_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakes.shell.SESSIONS", 2)
    with World(SMTP) as world:
        links = [dial(world) for _ in range(3)]
        greetings = [read_until(link, b"\r\n") for link in links]
        assert [greeting[:3] for greeting in greetings] == [b"220", b"220", b"421"]
        for link in links:
            link.close()


def test_a_client_that_reads_nothing_is_reset_and_others_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fakes.shell.OUTPUT", 100_000)
    with World({"servers": ["pop3"]}) as world:
        world.mail.deliver("alice@example.test", b"x" * 1_000_000)
        with dial(world, "pop3") as slow:
            # More than the socket buffers of both sides can hold.
            slow.sendall(b"USER alice\r\nPASS secret\r\n" + b"RETR 1\r\n" * 30)
            reset = select.poll()
            reset.register(slow, 0)  # nothing but errors, because nothing is to be read
            assert reset.poll(30_000), "the server goes on writing to a client that reads nothing"
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                slow.sendall(b"NOOP\r\n")
        with dial(world, "pop3") as link:
            assert read_until(link, b"\r\n").startswith(b"+OK")


@pytest.mark.slow
def test_a_client_that_reads_gets_all_answers_that_it_has_asked_for_at_once() -> None:
    with World({"servers": ["pop3"]}) as world, dial(world, "pop3") as link:
        for _ in range(15):
            world.mail.deliver("alice@example.test", b"x" * 1_000_000)
        link.sendall(b"USER alice\r\nPASS secret\r\n" + b"RETR 1\r\n" * 15 + b"DELE 1\r\n")
        link.sendall(b"QUIT\r\n")
        link.shutdown(socket.SHUT_WR)
        received = read_until(link, b"+OK Message 1 is marked as deleted\r\n+OK Bye\r\n")
        assert len(received) > 15_000_000
        assert len(world.mail.inbox("alice@example.test")) == 14


def test_a_long_answer_is_made_while_the_client_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    fetched = ImapMessages._fetched

    def counting(self: ImapMessages, number: int, *others: Any) -> list[bytes]:
        made.append(number)
        return fetched(self, number, *others)

    monkeypatch.setattr(ImapMessages, "_fetched", counting)
    with World({"servers": ["imap"]}) as world, dial(world, "imap") as link:
        inbox = world.mail.folder("alice@example.test")
        for _ in range(24):
            inbox.deliver(b"x" * 1_000_000)
        link.sendall(b"a LOGIN alice secret\r\nb SELECT INBOX\r\n")
        read_until(link, b"Selected\r\n")
        link.sendall(b"c FETCH 1:* BODY.PEEK[]\r\n")
        read = len(link.recv(1))
        len(inbox)  # asks the thread of the server, which has made all that it can by then
        assert 0 < len(made) < 20, "the socket buffers of both sides hold a few megabytes"
        link.shutdown(socket.SHUT_WR)
        while more := link.recv(1 << 20):
            read += len(more)
        assert read > 24_000_000 and made == list(range(1, 25))


def test_a_cut_from_outside_ends_every_connection() -> None:
    with World(SMTP) as world, dial(world) as first, dial(world) as second:
        read_until(first, b"\r\n")
        read_until(second, b"\r\n")
        assert world.cut("smtp") == 2
        assert (first.recv(10), second.recv(10)) == (b"", b"")


# ── outages ──────────────────────────────────────────────────────────────────


def test_a_closed_port_refuses_connections_and_opens_again_with_its_number() -> None:
    with World(SMTP) as world:
        address = world.address("smtp")
        world.close_port("smtp")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 5)
        world.open_port("smtp")
        assert world.address("smtp") == address
        with dial(world) as link:
            assert read_until(link, b"\r\n").startswith(b"220")


def test_no_other_process_can_take_the_number_of_a_closed_port() -> None:
    with World(SMTP) as world:
        world.close_port("smtp")
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(world.address("smtp"))


def test_a_world_that_ends_with_a_closed_port_frees_its_number() -> None:
    with World(SMTP) as world:
        world.close_port("smtp")
    with socket.socket() as other:
        other.bind(world.address("smtp"))
        assert other.getsockname() == world.address("smtp")


def test_a_refuse_fault_closes_the_port() -> None:
    with World(SMTP, faults=["connect refuse"]) as world, pytest.raises(ConnectionRefusedError):
        dial(world)


# ── a core that fails ────────────────────────────────────────────────────────


def test_an_exception_in_a_fake_fails_the_test_but_not_other_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: Smtp, unit: Unit) -> None:
        raise ZeroDivisionError("a bug in the fake")

    monkeypatch.setattr(Smtp, "do_NOOP", broken)
    with pytest.raises(ZeroDivisionError, match="a bug in the fake"), World(SMTP) as world:
        with dial(world) as link:
            read_until(link, b"\r\n")
            link.sendall(b"NOOP\r\n")
            with pytest.raises(ConnectionResetError):
                link.recv(10)
        with dial(world) as link:
            assert read_until(link, b"\r\n").startswith(b"220")


def test_a_watcher_that_raises_at_each_record_cuts_the_client_off() -> None:
    def watch(one: object) -> None:
        raise ZeroDivisionError("a bug in the watcher")

    with pytest.raises(ZeroDivisionError, match="a bug in the watcher"):
        with World(SMTP, watch=watch) as world, pytest.raises(ConnectionResetError):
            with dial(world) as link:  # the reset may arrive while it still connects
                link.recv(10)


def test_a_fault_that_nothing_met_fails_the_test_unless_it_is_disarmed() -> None:
    with pytest.raises(UnmetFault, match="smtp RCPT reset"), World(SMTP, faults=["RCPT reset"]):
        pass
    with World(SMTP, faults=["RCPT reset"]) as world:
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


def test_a_world_that_cannot_stop_names_the_session_that_holds_it() -> None:
    # In another process: the thread that is stuck in the handler ends only with its process.
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=30)
    assert (
        "RuntimeError: the world did not stop within 0.1 s, "
        "held by a handler of smtp session 1" in done.stderr
    )


# ── the test's own loop ──────────────────────────────────────────────────────


async def test_a_world_can_be_served_on_the_loop_of_the_test() -> None:
    async with World(SMTP) as world:
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


async def test_a_blocking_wait_on_the_loop_that_serves_the_world_raises_at_once() -> None:
    async with World(SMTP) as world:
        with pytest.raises(RuntimeError, match=r"await …arrival"):
            world.mail.wait_for()


# ── timers of cores ──────────────────────────────────────────────────────────


def test_a_timer_runs_in_real_time() -> None:
    with World(SMTP, faults=["NOOP delay 0.05"]) as world, dial(world) as link:
        read_until(link, b"\r\n")
        link.sendall(b"NOOP\r\n")
        assert read_until(link, b"\r\n") == b"250 2.0.0 OK\r\n"


def test_in_a_rehearsal_a_timer_runs_in_simulated_time() -> None:
    with World(SMTP, rehearsal=True) as world, dial(world) as link:
        read_until(link, b"\r\n")
        world.clock.advance(301)
        assert read_all(link).startswith(b"421 4.4.2")
        assert world.clock.time() == START + 301


# ── timers of services ───────────────────────────────────────────────────────


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
    with World(SMTP, rehearsal=True) as world:
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
    with World(SMTP) as world:
        address = world.serve("chat", lambda: Reminder(world.runtime))
        with socket.create_connection(address) as client:
            client.sendall(b"NAME romeo\r\n")
            client.recv(100)
        assert Reminder.ran.wait(5.0)


def test_an_error_in_a_timer_of_a_service_is_raised_by_the_world() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), World(SMTP, rehearsal=True) as world:
        world.runtime.timers.at("broken", world.clock.now() + 1, broken)
        world.clock.advance(2)
