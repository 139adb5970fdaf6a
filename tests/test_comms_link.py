"""The link on plain sockets and in real time. TLS and rehearsals are tested where they are used."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from comms import imap, pop3, smtp, xmpp
from comms.clock import RealClock
from comms.errors import Refused, TryLater, Unreachable
from comms.link import QUIET, Link, secure
from comms.settings import Server
from fakes.wire import Record
from fakes.world import World
from tests.scripted import RecordingHost


@pytest.fixture
def clock() -> Iterator[RealClock]:
    clock = RealClock()
    yield clock
    clock.close()


@contextlib.contextmanager
def pair(clock: RealClock, timeout: float = 5.0) -> Iterator[tuple[Link, socket.socket]]:
    """A link, and the socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = Link.connect("127.0.0.1", listener.getsockname()[1], clock, timeout)
        other, _ = listener.accept()
        with other:
            yield link, other
    link.abort()


def test_it_reads_and_writes_like_a_socket_and_counts_bytes(clock: RealClock) -> None:
    with pair(clock) as (link, other):
        link.sendall(b"hello")
        assert other.recv(10) == b"hello"
        other.sendall(b"line one\r\nrest")
        reader = link.makefile("rb")
        assert reader.readline() == b"line one\r\n"
        assert (link.bytes_out, link.bytes_in) == (5, 14)
        other.close()
        assert reader.read() == b"rest"


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="not on this system")
def test_the_system_asks_whether_a_silent_other_side_is_still_there(clock: RealClock) -> None:
    with pair(clock) as (link, _), socket.socket(fileno=os.dup(link.fileno())) as raw:
        assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == QUIET


def test_a_reader_that_reads_lines_buffers_nothing_after_the_line(clock: RealClock) -> None:
    with pair(clock) as (link, other):
        link.reads_lines = True
        reader = link.makefile("rb")
        other.sendall(b"220 go\r\ninjected")
        assert reader.readline() == b"220 go\r\n"
        assert link.recv(100) == b"injected"


def test_silence_is_a_timeout(clock: RealClock) -> None:
    with pair(clock, timeout=0.02) as (link, _), pytest.raises(TimeoutError, match=r"within 0\.02"):
        link.recv(1)


def test_a_port_without_a_listener_is_unreachable_and_named(clock: RealClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{port} cannot be reached"):
        Link.connect("127.0.0.1", port, clock)


def test_a_name_that_does_not_resolve_is_unreachable(clock: RealClock) -> None:
    with pytest.raises(Unreachable, match=r"no-such-host\.invalid:25 cannot be reached"):
        Link.connect("no-such-host.invalid", 25, clock)


def test_a_stop_ends_the_wait_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comms.link.STOPPING", 0.02)
    clock = RealClock()
    clock.stop()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(3):  # more than wait for an accept, so that nobody answers the next one
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(("127.0.0.1", port))
        with pytest.raises(Unreachable, match="cannot be reached: the program was asked to stop"):
            Link.connect("127.0.0.1", port, clock, 30)
    clock.close()


def test_a_connection_that_the_clock_gives_up_is_closed() -> None:
    class Impatient(RealClock):
        def connected(self, link: Any) -> None:
            links.append(link)
            raise TimeoutError("after 5 s without activity")

    links: list[Link] = []
    clock = Impatient()
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(TimeoutError):
        Link.connect("127.0.0.1", listener.getsockname()[1], clock)
    clock.close()
    assert links[0].fileno() == -1


def test_everything_written_before_a_close_arrives(clock: RealClock) -> None:
    with pair(clock) as (link, other):
        sent = b"x" * 20_000_000  # more than the kernel buffers
        received = bytearray()

        def read() -> None:
            while data := other.recv(1 << 16):
                received.extend(data)
            other.close()  # otherwise the link waits a second for the other side to close

        reader = threading.Thread(target=read)
        reader.start()
        link.sendall(sent)
        link.close()
        reader.join()
        assert bytes(received) == sent


def test_a_flood_waits_in_the_kernel_and_not_in_the_link(clock: RealClock) -> None:
    with pair(clock) as (link, other):
        other.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                other.send(b"x" * 65536)
        link.recv(1)
        link.recv(1)
        assert len(link._plain) <= 1 << 16


# ── starting TLS ─────────────────────────────────────────────────────────────


def certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("raised", "expected", "text"),
    [
        (certificate_error(), Refused, "not trusted for mail.test: self-signed certificate; if"),
        (ssl.SSLError("wrong version"), Unreachable, "TLS could not be started: .*wrong version"),
        (ConnectionResetError("reset"), Unreachable, "TLS could not be started: reset"),
        (ValueError("bad name"), Unreachable, "TLS could not be started: bad name"),
        (TryLater("busy"), TryLater, "^busy$"),
    ],
)
def test_errors_of_the_upgrade_are_translated(
    raised: Exception, expected: type[Exception], text: str
) -> None:
    def upgrade() -> None:
        raise raised

    with pytest.raises(expected, match=text):
        secure("10.0.0.1:587", "mail.test", upgrade)


def test_a_server_without_tls_is_refused_before_anything_is_sent() -> None:
    def upgrade() -> None:
        pytest.fail("nothing may be sent")

    with pytest.raises(Refused, match=r"does not offer STARTTLS, .* nothing is sent"):
        secure("10.0.0.1:587", "mail.test", upgrade, command="STARTTLS", offered=False)


# ── TLS where clear text is expected, and the other way round ────────────────

TLS_FIRST = "begins in clear text, and the settings want TLS from the start; write tls = "
MAYBE = "if this port begins with TLS, write tls = "
TLS_ARRIVED = "a TLS handshake, but "
LEFT = "the client left before the TLS handshake"


@pytest.mark.parametrize(
    ("listener", "tls", "problem", "remark"),
    [
        ("smtp", "implicit", TLS_FIRST, ""),  # if the greeting came first, no TLS is sent
        ("pop3", "implicit", TLS_FIRST, ""),
        ("imap", "implicit", TLS_FIRST, ""),
        ("xmpp", "implicit", TLS_FIRST, TLS_ARRIVED),
        ("smtps", "starttls", MAYBE, LEFT),
        ("pop3s", "none", MAYBE, LEFT),
        ("imaps", "none", MAYBE, LEFT),
        ("xmpps", "starttls", MAYBE, "clear text, but here a TLS handshake was due"),
    ],
)
def test_a_client_at_the_wrong_port_and_the_server_say_what_happened(
    listener: str, tls: str, problem: str, remark: str
) -> None:
    protocol = listener.removesuffix("s")
    # A rehearsal: else a client that gives up may leave before the server has read anything.
    with World({"tls": "optional", "servers": [protocol]}, rehearsal=True) as world:
        clock = world.clock
        port = world.address(listener)[1]
        keys: dict[str, Any] = {"jid": "alice@example.test", "ca_file": world.ca_file}
        server = Server(protocol, "127.0.0.1", port, tls, user="alice", timeout=2.0, **keys)
        opened: dict[str, Callable[[], object]] = {
            "smtp": lambda: smtp.Session(server, clock, RecordingHost()),
            "pop3": lambda: pop3.Mailbox(server, clock),
            "imap": lambda: imap.Mailbox(server, clock),
            "xmpp": lambda: xmpp.Client(server, clock, RecordingHost()),
        }
        with pytest.raises(Unreachable, match=re.escape(problem)):
            opened[protocol]()
    remarks = [one.fields.get("remark", "") for one in world.recording if isinstance(one, Record)]
    assert any(remark in found for found in remarks), remarks
