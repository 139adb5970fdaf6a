"""Servers that send too much, too slowly, or nonsense: an error in time, never a hang or a bug."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from comms import imap, pop3, smtp
from comms.clock import RealClock
from comms.errors import CommsError, OddReply, Unreachable
from comms.irc import session as irc
from comms.link import ANSWER, Link
from comms.mailbox import Entry
from comms.settings import Server
from tests.scripted import JumpingClock, Peer, RecordingHost

HOST = RecordingHost()
MAIL = b"Subject: x\r\n\r\nx\r\n"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are what is tested here, not how long they are."""
    monkeypatch.setattr("comms.link.STOPPING", 0.1)
    monkeypatch.setattr("comms.link.GOODBYE", 0.05)


@pytest.fixture
def clock() -> Iterator[JumpingClock]:
    clock = JumpingClock()
    yield clock
    clock.close()


def server(protocol: str, port: int, timeout: float = 2.0) -> Server:
    return Server(protocol, "127.0.0.1", port, tls="none", user="", timeout=timeout)


@contextlib.contextmanager
def endless(first: bytes, again: bytes, pause: float) -> Iterator[int]:
    """A server that sends `again` for ever after `first`, with a pause between two of them."""
    if not pause:  # TCP joins them anyway, and a system call for each byte takes most of the time
        again *= max(1, 60_000 // len(again))
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while not over.is_set():
                peer, _ = listener.accept()
                with peer, contextlib.suppress(OSError):
                    peer.settimeout(5)
                    peer.sendall(first)
                    while not over.is_set():
                        peer.sendall(again)
                        over.wait(pause)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def in_smtp(port: int, clock: RealClock, timeout: float) -> object:
    return smtp.Session(server("smtp", port, timeout), clock, HOST)


def in_pop3(port: int, clock: RealClock, timeout: float) -> object:
    return pop3.Mailbox(server("pop3", port, timeout), clock)


def in_imap(port: int, clock: RealClock, timeout: float) -> object:
    return imap.Mailbox(server("imap", port, timeout), clock)


def in_irc(port: int, clock: RealClock, timeout: float) -> object:
    session = irc.Session(
        dataclasses.replace(server("irc", port, timeout), nick="bot"), clock, HOST
    )
    try:
        session.register()
    finally:
        session.close()
    return session


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "first", "again"),
    [
        (in_irc, b"", b"x"),
        (in_irc, b"", b" " * 500 + b"\r\n"),
        (in_irc, b"", b":s NOTICE * :x\r\n"),
        (in_irc, b":s 001 bot :Hi\r\n", b":s 372 bot :x\r\n"),
        (in_irc, b":s CAP * LS * :", b"x "),
        (in_smtp, b"", b"220-more\r\n"),
        (in_smtp, b"", b"220-" + b"x" * 60_000 + b"\r\n"),
        (in_smtp, b"220 hello\r\n", b"250-X\r\n"),
        (in_smtp, b"", b"x"),
        (in_smtp, b"", b"\r\n"),
        (in_pop3, b"", b"x"),
        (in_pop3, b"+OK\r\n+OK\r\n", b"STLS\r\n"),
        (in_pop3, b"+OK", b" "),
        (in_imap, b"", b"x"),
        (in_imap, b"* OK\r\n", b"* OK [ALERT] x\r\n"),
        (in_imap, b"* OK\r\n", b"+ \r\n"),
        (in_imap, b"* OK\r\n", b"* 1 FETCH (UID {1}\r\n1)\r\n"),
        (in_imap, b"* OK\r\n* CAPABILITY ", b"X "),
    ],
)
def test_a_flood_ends_after_the_limit_of_an_answer(
    client: Callable[[int, RealClock, float], object],
    first: bytes,
    again: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in ("imap.ANSWER", "imap.SLACK", "irc.session.WELCOME"):
        # tracing the allocations of that many answers is slow
        monkeypatch.setattr(f"comms.{limit}", 1 << 14)
    real = RealClock()
    tracemalloc.start()
    try:
        with endless(first, again, 0.0) as port, pytest.raises(CommsError):
            client(port, real, 60.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        real.close()
    assert peak < 5_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "first", "again"),
    [
        (in_irc, b"", b":"),
        (in_irc, b"", b":s NOTICE * :x\r\n"),
        (in_smtp, b"", b"220-more\r\n"),
        (in_smtp, b"", b"2"),
        (in_smtp, b"220 hello\r\n", b"250-X\r\n"),
        (in_pop3, b"", b"+"),
        (in_pop3, b"+OK\r\n+OK\r\n", b"X\r\n"),
        (in_imap, b"", b"*"),
        (in_imap, b"* OK\r\n", b"* 1 EXISTS\r\n"),
    ],
)
def test_an_answer_that_drips_ends_when_its_time_is_over(
    client: Callable[[int, RealClock, float], object], first: bytes, again: bytes
) -> None:
    real = RealClock()
    began = time.monotonic()
    with endless(first, again, 0.02) as port, pytest.raises(Unreachable, match="too slow"):
        client(port, real, 0.1)
    real.close()
    assert time.monotonic() - began < 5


@pytest.mark.slow
@pytest.mark.parametrize("again", [b"220-more\r\n", b"2", b""])
def test_a_program_that_is_asked_to_stop_does_not_wait_for_an_answer(again: bytes) -> None:
    real = RealClock()
    began = time.monotonic()
    with endless(b"", again, 0.05) as port:
        stop = threading.Timer(0.1, real.stop)
        stop.start()
        with pytest.raises(Unreachable, match="asked to stop"):
            in_smtp(port, real, 60.0)
        stop.join()
    real.close()
    assert time.monotonic() - began < 8


def test_a_close_ends_though_the_other_side_floods() -> None:
    real = RealClock()
    with endless(b"", b"x" * 60_000, 0.0) as port:
        link = Link.connect("127.0.0.1", port, real, 60.0)
        began = time.monotonic()
        link.close()
    real.close()
    assert time.monotonic() - began < 5


def test_an_answer_has_a_limit_and_a_stream_has_none(clock: JumpingClock) -> None:
    with Peer(lambda peer: peer.send(b"x" * (ANSWER + 1))) as peer:
        link = Link.connect("127.0.0.1", peer.port, clock, 2.0)
        with pytest.raises(ConnectionError, match="more than 65536 bytes"):
            while link.recv(1000):
                pass
        link.close()
    with Peer(lambda peer: peer.send(b"x" * (ANSWER + 1))) as peer:
        link = Link.connect("127.0.0.1", peer.port, clock, 2.0)
        link.expect(None)
        assert sum(map(len, iter(lambda: link.recv(1000), b""))) == ANSWER + 1
        link.close()


# ── numbers ──────────────────────────────────────────────────────────────────


LOGIN = [(b"CAPA", b"-ERR\r\n"), (b"USER", b"+OK\r\n"), (b"PASS", b"+OK\r\n")]


def pop3_script(*dialogue: tuple[bytes, bytes]) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        for command, answer in (*LOGIN, *dialogue):
            peer.expect(command, b"\r\n")
            peer.send(answer)

    return script


@pytest.mark.parametrize(
    "reply",
    [
        b"+OK " + b"9" * 5000 + b" 1",
        b"+OK 1 " + b"9" * 5000,
        b"+OK",
        b"+OK one 1",
        b"+OK -1 1",
        b"+OK 1",
        b"+OK \xb2 1",
        b"+OK 1_0 1",
    ],
)
def test_an_odd_reply_to_stat_is_refused(clock: JumpingClock, reply: bytes) -> None:
    with Peer(pop3_script((b"STAT", reply + b"\r\n"))) as peer:
        mailbox = pop3.Mailbox(server("pop3", peer.port), clock)
        with pytest.raises(OddReply, match="not a reply to STAT"):
            mailbox.count()
        mailbox.close()


@pytest.mark.parametrize(
    "line",
    [b"9" * 5000 + b" 1", b"1 " + b"9" * 5000, b"1", b"1 ", b"1  ", b"x 1", b"1 x", b"", b"-1 1"],
)
def test_an_odd_line_of_list_is_refused(clock: JumpingClock, line: bytes) -> None:
    with Peer(pop3_script((b"LIST", b"+OK\r\n" + line + b"\r\n.\r\n"))) as peer:
        mailbox = pop3.Mailbox(server("pop3", peer.port), clock)
        with pytest.raises(OddReply, match="not a reply to LIST"):
            mailbox.entries()
        mailbox.close()


@pytest.mark.parametrize("line", [b"1 ", b"1  ", b"1", b"", b"9" * 5000 + b" x", b"x y", b"\t"])
def test_an_odd_line_of_uidl_is_a_mail_without_an_id(clock: JumpingClock, line: bytes) -> None:
    uidl = b"+OK\r\n" + line + b"\r\n2 two\r\n.\r\n"
    script = pop3_script(
        (b"LIST", b"+OK\r\n1 10\r\n2 20\r\n.\r\n"), (b"UIDL", uidl), (b"QUIT", b"+OK\r\n")
    )
    with Peer(script) as peer, pop3.Mailbox(server("pop3", peer.port), clock) as mailbox:
        assert [entry.id for entry in mailbox.entries()] == ["", "two"]


def test_a_program_goes_on_after_an_odd_reply_within_a_mail(clock: JumpingClock) -> None:
    script = pop3_script((b"DELE", b"odd\r\n"))
    with Peer(script) as peer, pytest.raises(Unreachable):
        with pop3.Mailbox(server("pop3", peer.port), clock) as mailbox:
            mailbox.delete(Entry("", 1, 1))


def test_a_pop3_server_without_initial_responses_gets_the_response(clock: JumpingClock) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        plain = b"AHUAc2VjcmV0\r\n"
        for command, answer in (
            (b"CAPA\r\n", b"+OK\r\nSASL PLAIN\r\n.\r\n"),
            (b"AUTH PLAIN " + plain, b"+ \r\n"),
            (plain, b"+OK\r\n"),
            (b"STAT\r\n", b"+OK 0 0\r\n"),
            (b"QUIT\r\n", b"+OK\r\n"),
        ):
            peer.expect(command)
            peer.send(answer)

    with Peer(script) as peer:
        given = Server("pop3", "127.0.0.1", peer.port, tls="none", user="u", password="secret")
        with pop3.Mailbox(given, clock) as mailbox:
            assert mailbox.count() == (0, 0)


@pytest.mark.parametrize(
    ("size", "accepted"),
    [
        ("9" * 5000, True),
        ("-1", True),
        ("x", True),
        ("", True),
        ("0", True),
        ("1_0", True),
        ("000010", False),
        ("10", False),
    ],
)
def test_an_odd_size_of_smtp_is_no_limit(clock: JumpingClock, size: str, accepted: bool) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"220 x\r\n")
        peer.expect(b"EHLO", b"\r\n")
        peer.send(f"250-x\r\n250 SIZE {size}\r\n".encode())
        if accepted:
            for command, answer in (
                (b"MAIL", b"250"),
                (b"RCPT", b"250"),
                (b"DATA", b"354"),
                (b"\r\n.", b"250"),
            ):
                peer.expect(command, b"\r\n")
                peer.send(answer + b"\r\n")
        peer.expect(b"QUIT\r\n")
        peer.send(b"221\r\n")

    with Peer(script) as peer, smtp.Session(server("smtp", peer.port), clock, HOST) as session:
        assert (session.send("a@b.test", ["c@d.test"], MAIL)["c@d.test"] is None) == accepted


@pytest.mark.slow  # tracing every allocation is slow
@pytest.mark.parametrize(("line", "at_most"), [(b"1 1\r\n", 320 << 10), (b"%d 1\r\n", 6 << 20)])
def test_a_long_list_costs_the_memory_of_its_mails(
    clock: JumpingClock, line: bytes, at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pop3, "ENTRIES", 40_000)
    numbered = b"%d" in line
    lines = 44_000  # more than are kept
    listing = b"".join(line % n if numbered else line for n in range(1, lines + 1))
    script = pop3_script((b"LIST", b"+OK\r\n" + listing + b".\r\n"))
    with Peer(script) as peer:
        mailbox = pop3.Mailbox(server("pop3", peer.port, 60.0), clock)
        tracemalloc.start()
        try:
            with pytest.raises(CommsError):  # UIDL is not answered
                mailbox.entries()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            mailbox.close()
    assert peak < at_most, "each line is read when it arrives; at most 40,000 mails are kept"


@pytest.mark.parametrize("auth", ["plain", "login", "cram-md5"])
@pytest.mark.parametrize("challenge", [b"334 YQ==\r\n", b"334\r\n", b"334 \xff!\r\n"])
def test_a_login_that_never_ends_is_given_up(
    clock: JumpingClock, auth: str, challenge: bytes
) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"220 x\r\n")
        peer.expect(b"EHLO", b"\r\n")
        peer.send(b"250-x\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n")
        for _ in range(smtp.STEPS + 1):
            peer.expect(b"\r\n")
            peer.send(challenge)

    with Peer(script) as peer:
        given = Server("smtp", "127.0.0.1", peer.port, tls="none", user="u", auth=auth)
        with pytest.raises(Unreachable, match="one challenge after another"):
            smtp.Session(given, clock, HOST)
    assert b"QUIT" not in peer.received[0]


@pytest.mark.parametrize(
    "offer", [b"AUTH=LOGIN PLAIN", b"auth=PLAIN\r\n250-AUTH LOGIN", b"AUTH LOGIN\r\n250-AUTH=PLAIN"]
)
def test_old_servers_write_an_equals_sign_after_auth(clock: JumpingClock, offer: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"220 x\r\n")
        peer.expect(b"EHLO", b"\r\n")
        peer.send(b"250-x\r\n250-" + offer + b"\r\n250 OK\r\n")
        peer.expect(b"AUTH LOGIN\r\n")
        for answer in (b"334 VXNlcm5hbWU6", b"334 UGFzc3dvcmQ6", b"235 in"):
            peer.send(answer + b"\r\n")
            peer.expect(b"\r\n")

    with Peer(script) as peer:
        given = Server("smtp", "127.0.0.1", peer.port, tls="none", user="u", auth="login")
        smtp.Session(given, clock, HOST).close()


@pytest.mark.parametrize("reply", [b"421 4.3.2 busy", b"100 go on", b"\0\0\0"])
def test_a_recipient_that_ends_the_session_is_reported_with_the_reason(
    clock: JumpingClock, reply: bytes
) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"220 x\r\n")
        for answer in (b"250 x", b"250 ok", reply):
            peer.expect(b"\r\n")
            peer.send(answer + b"\r\n")

    with Peer(script) as peer, smtp.Session(server("smtp", peer.port), clock, HOST) as session:
        errors = session.send("a@x.test", ["b@x.test"], MAIL)
    assert "refused RCPT TO:<b@x.test>" in str(errors["b@x.test"])
