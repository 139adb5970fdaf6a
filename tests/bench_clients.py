"""The work that the benchmark gives to servers: clients that send bytes and count what comes back.

They do as little as possible, because client and server share one processor, and a slow client
would hide the difference between two servers.
"""

from __future__ import annotations

import base64
import contextlib
import os
import poplib
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from tests.bench_measure import Contestant, Measure, Worker, cpu, memory, worker
from tests.bench_servers import PASSWORD, USER, Running, Server, mail, ours

Work = Callable[[Running], object]
PATIENCE = 60.0  # seconds that a server may be silent before that is an error


# ── what is measured while a client works ────────────────────────────────────


def cpu_of(server: Server, work: Work, count: int) -> Contestant:
    """Seconds of the server's processor time for each of the `count` things that `work` does."""

    def measured(running: Running) -> Measure:
        def measure() -> float:
            before = cpu(running.pid)
            work(running)
            return (cpu(running.pid) - before) / count

        return measure

    return lambda: _running(server, measured)


def rate_of(server: Server, work: Work, count: int) -> Contestant:
    """How many of the `count` things that `work` does are done in a second."""

    def measured(running: Running) -> Measure:
        def measure() -> float:
            begin = time.perf_counter()
            work(running)
            return count / (time.perf_counter() - begin)

        return measure

    return lambda: _running(server, measured)


def figure_of(server: Server, work: Callable[[Running], float]) -> Contestant:
    """What `work` returns."""
    return lambda: _running(server, lambda running: lambda: work(running))


@contextlib.contextmanager
def _running(server: Server, measured: Callable[[Running], Measure]) -> Iterator[Measure]:
    with server() as running:
        yield measured(running)


def memory_of(server: Server) -> Contestant:
    """Bytes per idle connection, on a server that is started for it: memory is not returned."""

    def measure() -> float:
        with server() as running:
            return idle(running)

    return lambda: contextlib.nullcontext(measure)


# ── SMTP ─────────────────────────────────────────────────────────────────────

ENVELOPE = (b"MAIL FROM:<c@example.org>\r\n", b"RCPT TO:<alice@example.test>\r\n", b"DATA\r\n")


class Lines:
    """A connection whose answers are read by lines."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.file.readline()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def ask(self, data: bytes) -> bytes:
        """Sends bytes and returns a line of the answer."""
        self.socket.sendall(data)
        return self.file.readline()


def send_mails(port: int, count: int, raw: bytes) -> None:
    """Sends a mail that many times over one connection, waiting for each reply."""
    with Lines(port) as lines:
        lines.ask(b"HELO client.example\r\n")
        for _ in range(count):
            for command in ENVELOPE:
                lines.ask(command)
            reply = lines.ask(raw + b".\r\n")
            if not reply.startswith(b"250"):
                raise RuntimeError(f"a mail was refused: {reply!r}")
        lines.ask(b"QUIT\r\n")


def mails(count: int, size: int) -> Work:
    """Work for an SMTP server: mails over one connection."""
    raw = mail(size)
    return lambda running: send_mails(running.ports["smtp"], count, raw)


def connections(count: int, size: int) -> Work:
    """Work for an SMTP server: mails, each over a connection of its own."""
    raw = mail(size)

    def work(running: Running) -> None:
        for _ in range(count):
            send_mails(running.ports["smtp"], 1, raw)

    return work


# ── POP3 ─────────────────────────────────────────────────────────────────────


def filled(server: Server, count: int, size: int) -> Server:
    """The same server, after that many mails have come for alice."""

    @contextlib.contextmanager
    def with_mails() -> Iterator[Running]:
        with server() as running:
            if running.maildir is None:
                send_mails(running.ports["smtp"], count, mail(size))
            else:
                _write_files(running.maildir, count, mail(size))
            yield running

    return with_mails


def _write_files(maildir: Path, count: int, raw: bytes) -> None:
    for name in ("", "new", "cur", "tmp"):
        (maildir / name).mkdir(mode=0o700, exist_ok=True)
    files = [maildir / "new" / f"{1_000_000_000 + n}.M{n}P1.bench" for n in range(count)]
    for file in files:
        file.write_bytes(raw.replace(b"\r\n", b"\n"))
    owner = maildir.parent.stat()
    for path in (maildir, *maildir.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


def fetch_by_poplib(count: int) -> Work:
    """Work for a POP3 server: a login, and that many mails, by the standard library's client."""

    def work(running: Running) -> None:
        client = poplib.POP3("127.0.0.1", running.ports["pop3"])
        client.user(USER)
        client.pass_(PASSWORD)
        for number in range(1, count + 1):
            client.retr(number)
        client.quit()

    return work


@contextlib.contextmanager
def _logged_in(running: Running) -> Iterator[Lines]:
    with Lines(running.ports["pop3"]) as lines:
        lines.ask(b"USER %b\r\n" % USER.encode())
        lines.ask(b"PASS %b\r\n" % PASSWORD.encode())
        yield lines
        lines.ask(b"QUIT\r\n")


def fetch_raw(running: Running) -> None:
    """Work for a POP3 server: a login, and one mail that is read in large pieces."""
    with _logged_in(running) as lines:
        lines.socket.sendall(b"RETR 1\r\n")
        tail = b""
        while not tail.endswith(b"\r\n.\r\n"):
            tail = (tail + lines.socket.recv(1 << 18))[-5:]


def log_in(count: int) -> Work:
    """Work for a POP3 server: login, STAT and QUIT, each time over a new connection."""

    def work(running: Running) -> None:
        for _ in range(count):
            with _logged_in(running) as lines:
                lines.ask(b"STAT\r\n")

    return work


# ── XMPP ─────────────────────────────────────────────────────────────────────

HEADER = (
    b"<?xml version='1.0'?><stream:stream to='example.test' version='1.0' xmlns='jabber:client'"
    b" xmlns:stream='http://etherx.jabber.org/streams'>"
)
SASL = b"urn:ietf:params:xml:ns:xmpp-sasl"
BIND = b"urn:ietf:params:xml:ns:xmpp-bind"
MESSAGE = (
    b"<message to='bob@example.test/home' type='chat' id='m%d'>"
    b"<body>Wherefore art thou, Romeo?</body></message>"
)
WARM, IDLE = 50, 500  # connections


class Xmpp:
    """A client that is logged in. It only sends bytes and counts what comes back."""

    def __init__(self, port: int, name: str, resource: str, online: bool = False) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        response = base64.b64encode(f"\0{name}\0{PASSWORD}".encode())
        bind = b"<bind xmlns='%b'><resource>%b</resource></bind>" % (BIND, resource.encode())
        self.ask(HEADER, b"</stream:features>")
        auth = b"<auth xmlns='%b' mechanism='PLAIN'>%b</auth>" % (SASL, response)
        self.ask(auth, b"<success")
        self.ask(HEADER, b"</stream:features>")
        self.ask(b"<iq type='set' id='b'>%b</iq>" % bind, b"</iq>")
        if online:
            self.ask(b"<presence/>", b"<presence")

    def __enter__(self) -> Xmpp:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, data: bytes, until: bytes) -> bytes:
        """Sends bytes, reads until others have come, and returns what came."""
        self.socket.sendall(data)
        received = bytearray()
        while until not in received[-100_000:]:
            more = self.socket.recv(65536)
            if not more:
                raise RuntimeError(f"the server closed the connection after {bytes(received)!r}")
            received += more
        return bytes(received)

    def count(self, what: bytes, number: int) -> None:
        """Reads until something has come that many times."""
        found, rest = 0, b""
        while found < number:
            data = rest + self.socket.recv(1 << 18)
            found += data.count(what)
            rest = data[-len(what) + 1 :]


def _alice_and_bob(running: Running) -> AbstractContextManager[tuple[Xmpp, Xmpp]]:
    @contextlib.contextmanager
    def both() -> Iterator[tuple[Xmpp, Xmpp]]:
        port = running.ports["xmpp"]
        with Xmpp(port, "bob", "home", True) as bob, Xmpp(port, "alice", "garden", True) as alice:
            yield alice, bob

    return both()


def pump(count: int) -> Callable[[Running], float]:
    """Work for an XMPP server: messages sent at once. Returns how many arrive in a second."""
    data = b"".join(MESSAGE % n for n in range(count))

    def work(running: Running) -> float:
        with _alice_and_bob(running) as (alice, bob):
            begin = time.perf_counter()
            sender = threading.Thread(target=alice.socket.sendall, args=(data,))
            sender.start()
            bob.count(b"</message>", count)
            took = time.perf_counter() - begin
            sender.join()
            return count / took

    return work


def crossing(count: int, percentile: int = 99) -> Callable[[Running], float]:
    """Work for an XMPP server: messages in turn. Returns that percentile of their seconds."""

    def work(running: Running) -> float:
        times = []
        with _alice_and_bob(running) as (alice, bob):
            for number in range(count):
                begin = time.perf_counter()
                alice.socket.sendall(MESSAGE % number)
                bob.count(b"</message>", 1)
                times.append(time.perf_counter() - begin)
        return statistics.quantiles(times, n=100)[percentile - 1]

    return work


def idle(running: Running, warm: int = WARM, count: int = IDLE) -> float:
    """Returns the bytes that a connection that is bound and idle costs an XMPP server."""
    port = running.ports["xmpp"]
    with contextlib.ExitStack() as stack:
        for number in range(warm):
            stack.enter_context(Xmpp(port, "alice", f"warm{number}"))
        before = memory(running.pid)
        for number in range(count):
            name = "bob" if number % 2 else "alice"
            stack.enter_context(Xmpp(port, name, f"idle{number}"))
        return (memory(running.pid) - before) / count


# ── XMPP clients, whose processor time is measured ───────────────────────────


def sending(kind: str, count: int) -> Contestant:
    """Processor time per message of a client that sends: ours, slixmpp, or the floor."""

    def measure(running: Running, client: Worker) -> float:
        with Xmpp(running.ports["xmpp"], "alice", "garden", True) as alice:
            client.tell("send", count)
            alice.count(b"</message>", count)
            return client.answer()

    return _client(kind, measure)


def receiving(kind: str, count: int) -> Contestant:
    """Processor time per message of a client that receives: ours, slixmpp, or the floor."""
    data = b"".join(MESSAGE % n for n in range(count))

    def measure(running: Running, client: Worker) -> float:
        with Xmpp(running.ports["xmpp"], "alice", "garden", True) as alice:
            client.tell("receive", count)
            alice.socket.sendall(data)
            return client.answer()

    return _client(kind, measure)


def _client(kind: str, measure: Callable[[Running, Worker], float]) -> Contestant:
    @contextlib.contextmanager
    def contestant() -> Iterator[Measure]:
        with ours()() as running, worker("xmpp_client", kind, running.ports["xmpp"]) as client:
            client.ask("send", 0)  # is answered once it is online
            yield lambda: measure(running, client)

    return contestant


# ── connecting while others are connected ────────────────────────────────────


def connect_among(others: int, count: int = 300) -> Contestant:
    """Processor time of our SMTP server for a connection and QUIT while others are connected."""

    @contextlib.contextmanager
    def contestant() -> Iterator[Measure]:
        with ours()() as running, contextlib.ExitStack() as stack:
            port = running.ports["smtp"]
            for _ in range(others):
                stack.enter_context(Lines(port))

            def measure() -> float:
                before = cpu(running.pid)
                for _ in range(count):
                    with Lines(port) as lines:
                        lines.ask(b"QUIT\r\n")
                return (cpu(running.pid) - before) / count

            yield measure

    return contestant
