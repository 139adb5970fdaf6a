"""The one shell: every socket and all of asyncio in this package, around cores that know neither.

`asyncio.Protocol`, not streams: with streams, octets pipelined behind STARTTLS stay buffered and would be executed inside
TLS, and a reader raises on a reset with data still unread. TLS runs over memory buffers, so that what crosses the socket
is counted exactly, handshakes included: a rehearsal's clock needs to know that everything written has been handled.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass

from fakes.bridge import Bridge
from fakes.certificates import ServerContext
from fakes.wire import Facts, Kit, Session, TlsFacts, Unit, Want

OUTPUT = 1 << 23  # octets that may wait for a slow reader; more, and the connection is reset
LINGER = 2.0  # real seconds that a closed connection waits for the client to close too
SESSIONS = 1000  # a listener; the next one is told that it is crowded


class Tls:
    """The server's side of TLS over two memory buffers."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.ended = False

    def feed(self, raw: bytes) -> bytes:
        """The plaintext in these octets from the socket. Raises ssl.SSLError."""
        self._incoming.write(raw)
        plain = bytearray()
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self.established:
                self._object.do_handshake()
                self.established = True
            while True:
                data = self._object.read(1 << 16)
                if not data:
                    break
                plain += data
            self.ended = True
        return bytes(plain)

    def wrap(self, plain: bytes) -> bytes:
        """The octets for the socket that carry this plaintext (and whatever the handshake has to say)."""
        if plain:
            self._object.write(plain)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """The close_notify alert."""
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()
        return self._outgoing.read()

    def facts(self) -> TlsFacts:
        """What a core may know of it."""
        cipher, version = self._object.cipher(), self._object.version() or ""
        bindings = {}
        if isinstance(self._context, ServerContext) and self._context.end_point:
            bindings["tls-server-end-point"] = self._context.end_point
        unique = self._object.get_channel_binding("tls-unique") if version in ("TLSv1", "TLSv1.1", "TLSv1.2") else None
        if unique:  # TLS 1.3 has none (RFC 8446 Appendix C.5)
            bindings["tls-unique"] = unique
        return TlsFacts(version, cipher[0] if cipher else "", bindings=bindings)


@dataclass
class Listener:
    """A port where sessions of one kind are served."""

    name: str  # smtp, submission, smtps, pop3 … as in the options of `python -m fakes`
    core: Callable[[], Session]
    host: str = "127.0.0.1"
    port: int = 0
    implicit_tls: bool = False
    protocol: str = ""
    server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, or listened before an outage."""
        return (self.host, self.port)


class Connection(asyncio.Protocol):
    """One socket and its core."""

    def __init__(self, shell: Shell, listener: Listener) -> None:
        self.shell = shell
        self.listener = listener
        self.session = listener.core()
        self.session.stir = lambda session: shell.stirred(self)
        self.tls: Tls | None = None
        self.bytes_in = 0  # raw octets handled, and
        self.bytes_out = 0  # raw octets handed to the socket: a rehearsal's clock compares them with the client's
        self.ended = False  # the client will send nothing more
        self.lost = False  # the socket is gone
        self.finished = False  # our FIN or RST is out
        self._tls_stalled = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    # ── asyncio's side ───────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername") or ("127.0.0.1", 0)
        number = self.shell.joined(self)
        crowded = sum(1 for one in self.shell.connections if one.listener is self.listener) > SESSIONS
        self._facts = Facts(number, peer[0], crowded)
        with self.shell.guarded(self):
            if self.listener.implicit_tls:
                self.session.facts = self._facts
                self._begin_tls()
            else:
                self.session.opened(self._facts)
        self.shell.greeted(self, (peer[0], peer[1]))

    def data_received(self, data: bytes) -> None:
        with self.shell.guarded(self):
            self._handle(data)
            if self.session.full:
                self._transport.pause_reading()
        self.bytes_in += len(data)
        self.shell.moved()

    def eof_received(self) -> bool:
        with self.shell.guarded(self):
            self.session.eof()
        self.ended = True
        self.shell.moved()
        return not self.finished  # our side stays open until what we have to say is out

    def connection_lost(self, error: Exception | None) -> None:
        self.finished = True  # nothing more can be written
        with self.shell.guarded(self):
            self.session.eof()
            self.session.written()
        self.ended = self.lost = True
        if self._timer is not None:
            self._timer.cancel()
        self.shell.left(self)

    # ── what crosses ─────────────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, data: bytes) -> None:
        if self.tls is None:
            self.session.receive(data)
            return
        if self._tls_stalled or self.session.closed:
            return
        established = self.tls.established
        try:
            plain = self.tls.feed(data)
        except ssl.SSLError:
            self._write(self.tls.wrap(b""))  # the alert that says why
            self.tls = None
            self.session.close()
            return
        self._write(self.tls.wrap(b""))
        if self.tls.established and not established:
            self.session.secured(self.tls.facts())
            if self.listener.implicit_tls:
                self.session.opened(self._facts)
        if plain:
            self.session.receive(plain)
        if self.tls.ended:
            self.session.eof()

    def _begin_tls(self) -> None:
        fault = self.shell.kit.faults.meet(self.session.protocol, "tls", "", self.session.user)
        if fault is not None and (fault.reset or fault.hang_up):
            self.session.close(Want.RESET if fault.reset else Want.CLOSE)
            return
        self._tls_stalled = fault is not None and fault.stall
        self.tls = Tls(self.shell.context(fault.certificate if fault is not None else ""))

    def flush(self) -> None:
        """Writes what the core has to say, then does what it asks for."""
        session = self.session
        while not self.finished:
            plain = session.take()
            if not plain:
                break
            self._write(self.tls.wrap(plain) if self.tls is not None else plain)
            if session.paced:  # a `split` fault: the loop passes between writes
                self.shell.loop.call_soon(self._flush_on)
                return
        if session.wants is Want.START_TLS:
            session.wants = None
            self._begin_tls()
        elif session.wants is Want.BECOME:
            self.session = session.succeeded()
            self.shell.stirred(self)
        elif session.wants is not None and not self.finished:
            want, session.wants = session.wants, None
            self._end(want)
        session.written()
        if not session.full and not self.finished:
            self._transport.resume_reading()
        self._plan()

    def _flush_on(self) -> None:
        with self.shell.guarded(self):
            self.shell.stirred(self)
        self.shell.moved()

    def _write(self, raw: bytes) -> None:
        if not raw or self.finished:
            return
        if self._transport.get_write_buffer_size() > OUTPUT:
            self._end(Want.RESET)
            return
        self.bytes_out += len(raw)
        self._transport.write(raw)  # one answer may be as large as a mail; what waits behind it may not grow

    def _end(self, want: Want) -> None:
        if want is Want.RESET:
            self._abandon()
            return
        if self.tls is not None and self.tls.established:
            self._write(self.tls.goodbye())
        self.finished = True
        # Close our side only: closing both with octets unread would send RST, and the client could lose our last words.
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        self.shell.loop.call_later(LINGER, self._transport.close)

    def _abandon(self) -> None:
        """RST, at once."""
        self.session.close(Want.RESET)
        self.session.wants = None
        self.finished = True
        raw: socket.socket | None = self._transport.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def cut(self, want: Want = Want.CLOSE) -> None:
        """Ends the connection from outside: a test's cut, or the end of the world."""
        with self.shell.guarded(self):
            self.session.close(want)

    # ── timers ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _plan(self) -> None:
        """On real time, wakes the core when it is due; in a rehearsal the clock does."""
        due = self.session.due
        if self.shell.virtual or due is None or self.lost:
            return
        at = self.shell.loop.time() + max(0.0, due - self.shell.kit.now())
        if self._timer is not None:
            if not self._timer.cancelled() and self._timer.when() <= at:
                return  # it wakes early enough; then it plans again
            self._timer.cancel()
        self._timer = self.shell.loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.tick()
        self._plan()

    def tick(self) -> None:
        """Lets the core do what is due."""
        with self.shell.guarded(self):
            self.session.tick()
        self.shell.moved()


class Shell:
    """All listeners and connections of one world, on one loop."""

    def __init__(self, kit: Kit, bridge: Bridge, context: Callable[[str], ssl.SSLContext], virtual: bool) -> None:
        self.kit = kit
        self.bridge = bridge
        self.context = context
        self.virtual = virtual
        self.listeners: dict[str, Listener] = {}
        self.connections: dict[Connection, None] = {}  # in order of arrival
        self.by_peer: dict[tuple[str, int], Connection] = {}  # in a rehearsal: client address → connection, lost ones too
        self.errors: list[BaseException] = []  # exceptions in cores: the world raises the first at its end
        self.on_move: Callable[[], None] = lambda: None
        self.on_shut: Callable[[], None] = lambda: None  # before the connections are closed
        self._stirred: dict[Connection, None] = {}
        self._sessions = 0
        self._guards = 0
        self._running: Connection | None = None  # whose core is at work just now
        self.loop: asyncio.AbstractEventLoop

    # ── listeners ────────────────────────────────────────────────────────────────────────────────────────────────

    async def listen(self, listener: Listener) -> None:
        """Opens a port. Raises OSError when it is taken."""
        family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
        # IPPROTO_TCP by name: asyncio sets TCP_NODELAY only where the socket says that it is TCP
        raw = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                raw.bind((listener.host, listener.port))
            except OSError as error:
                raise OSError(error.errno, f"port {listener.port} on {listener.host}: {error.strerror}") from None
            raw.setblocking(False)
            listener.port = raw.getsockname()[1]
            listener.server = await self.loop.create_server(lambda: Connection(self, listener), sock=raw, backlog=128)
        except BaseException:
            raw.close()
            raise
        self.listeners[listener.name] = listener

    def silence(self, name: str) -> None:
        """Closes a port; connections that stand stay. `listen` opens it again."""
        listener = self.listeners[name]
        if listener.server is not None:
            listener.server.close()
            listener.server = None

    async def knock(self, port: int) -> None:
        """Somebody is about to connect: the port is closed if a `refuse` fault is due, open if not."""
        for listener in self.listeners.values():
            if listener.port != port or not self.kit.faults.may_refuse(listener.protocol):
                continue
            if self.kit.faults.refuses(listener.protocol):
                self.silence(listener.name)
            elif listener.server is None:
                await self.listen(listener)

    @property
    def stuck(self) -> bool:
        """Whether a core is in the middle of a handler (seen from another thread: it does not come back)."""
        return self._running is not None

    @property
    def holder(self) -> str:
        """Who keeps the world from stopping, in words."""
        if self._running is not None:
            session = self._running.session
            return f"a handler of {session.protocol} session {session.facts.number} that does not return"
        living = [f"{one.session.protocol} session {one.session.facts.number}" for one in self.connections]
        return ", ".join(living) or "nobody"

    async def shut(self) -> None:
        """Closes every port and every connection."""
        self.on_shut()
        for name in list(self.listeners):
            self.silence(name)
        for connection in list(self.connections):
            connection._abandon() if connection.finished else connection.cut(Want.RESET)
        while self.connections:  # closed transports report on the loop's next rounds
            await asyncio.sleep(0)

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────────

    def joined(self, connection: Connection) -> int:
        """Takes in a connection, and numbers it."""
        self._sessions += 1
        self.connections[connection] = None
        return self._sessions

    def greeted(self, connection: Connection, peer: tuple[str, int]) -> None:
        """The first words are out: only now may a rehearsal's clock, in its own thread, count the connection's octets."""
        if self.virtual:
            self.by_peer[peer] = connection
        self.moved()

    def left(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.pop(connection, None)
        self._stirred.pop(connection, None)
        self.moved()

    def stirred(self, connection: Connection) -> None:
        """A core has output: its own, or what another session wrote to it."""
        self._stirred[connection] = None
        if not self._guards:
            self.loop.call_soon(self._flush)

    @contextlib.contextmanager
    def guarded(self, connection: Connection):  # type: ignore[no-untyped-def]
        """Runs a core: its exceptions are the world's, and whatever it stirred is flushed behind it."""
        self._guards += 1
        outer, self._running = self._running, connection
        try:
            yield
            self._stirred.setdefault(connection, None)
        except Exception as error:
            self.errors.append(error)
            connection._abandon()
        finally:
            self._guards -= 1
            self._running = outer
        if not self._guards:
            self._flush()

    def _flush(self) -> None:
        while self._stirred:
            connection = next(iter(self._stirred))
            del self._stirred[connection]
            try:
                connection.flush()
            except Exception as error:
                self.errors.append(error)
                connection._abandon()

    def moved(self) -> None:
        """Something happened: waiters look again."""
        self.on_move()

    # ── the rehearsal's clock ────────────────────────────────────────────────────────────────────────────────────

    def due(self) -> float | None:
        """When the next core wants its tick."""
        dues = [due for connection in self.connections if (due := connection.session.due) is not None]
        return min(dues, default=None)

    def tick(self) -> None:
        """Ticks every core that is due now, in order of arrival."""
        now = self.kit.now()
        for connection in list(self.connections):
            due = connection.session.due
            if due is not None and due <= now:
                connection.tick()

    @property
    def in_flight(self) -> bool:
        """Whether any core has something under way."""
        return any(connection.session.in_flight for connection in self.connections)


__all__ = ["Connection", "Listener", "Shell", "Tls", "Unit"]
