"""The shell: every socket and all of asyncio in this package, around cores that know neither.

It uses `asyncio.Protocol`, not streams. With streams, bytes pipelined after STARTTLS stay buffered
and would be handled as if TLS had protected them, and a reader raises on a reset while data is
still unread. TLS runs over memory buffers, so that the bytes that cross the socket are counted
exactly, handshakes included: the clock of a rehearsal must know when everything written has been
handled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

from fakes.bridge import Bridge
from fakes.certificates import Authority, ServerContext
from fakes.wire import Destination, Facts, Runtime, Session, TlsFacts, Want

OUTPUT = 1 << 23  # bytes that may wait for a slow reader; beyond that, the connection is reset
LARGE = 1 << 18  # bytes that the kernel does not take at once
LINGER = 2.0  # real seconds that a closed connection waits for the client to close too
BACKLOG = 128  # connections that the kernel keeps until they are accepted
ERRORS = 100  # exceptions that are kept
TLS_RECORDS = (b"\x14", b"\x15", b"\x16", b"\x17")  # the first byte of each (RFC 8446 §5.1)
# The struct linger that makes a close send RST: of shorts on Windows.
_LINGER_ZERO = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
# On Windows, SO_REUSEADDR would let two servers share a port.
_ONE_OWNER = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
CLEAR_IN_TLS = "clear text, but here a TLS handshake was due"
LEFT_BEFORE_TLS = "the client left before the TLS handshake: it may have waited for clear text"
NO_HANDSHAKE = "the client did not complete the TLS handshake in time"
HANDSHAKE = 300.0  # seconds that a client may take for it
DIALLING = 10.0  # real seconds that a connection to another server may take
SESSIONS = 1000  # per listener; the next one is told that the server is crowded


class Tls:
    """One side of TLS over two memory buffers: the client's if there is a `server` to verify."""

    def __init__(self, context: ssl.SSLContext, server: str = "") -> None:
        self._context = context
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=not server, server_hostname=server or None
        )
        self.established = False
        self.ended = False

    def feed(self, raw: bytes) -> bytes:
        """Returns the plaintext in these bytes from the socket. Raises ssl.SSLError."""
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
        """Returns the bytes for the socket: this plaintext, and any handshake messages.

        What a core says before TLS is established, such as that a client is idle, is left out.
        """
        if plain and self.established:
            self._object.write(plain)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """Returns the close_notify alert."""
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()
        return self._outgoing.read()

    def facts(self) -> TlsFacts:
        """Returns what a core may know about this TLS connection."""
        cipher, version = self._object.cipher(), self._object.version() or ""
        bindings = {}
        if isinstance(self._context, ServerContext) and self._context.end_point:
            bindings["tls-server-end-point"] = self._context.end_point
        # TLS 1.3 has no tls-unique (RFC 8446 Appendix C.5).
        if version in ("TLSv1", "TLSv1.1", "TLSv1.2"):
            unique = self._object.get_channel_binding("tls-unique")
            if unique:
                bindings["tls-unique"] = unique
        # Without verification, or without a certificate of the other side, it is empty.
        other = self._object.getpeercert() or {}
        alternatives = cast("tuple[tuple[str, str], ...]", other.get("subjectAltName", ()))
        names = tuple(value for kind, value in alternatives if kind == "DNS")
        return TlsFacts(version, cipher[0] if cipher else "", bindings, names)


@dataclass(slots=True)
class Listener:
    """A port where sessions of one kind are served, or a connection of ours to another server."""

    name: str  # as in the options of `python -m fakes`: smtp, submission, smtps, pop3 …
    core: Callable[[], Session]
    host: str = "127.0.0.1"
    port: int = 0
    implicit_tls: bool = False
    protocol: str = ""
    reserved: socket.socket | None = None  # while the port is closed: bound, does not listen
    socket: socket.socket | None = None  # None while the port is closed
    connections: int = 0  # open now
    names: tuple[str, ...] = ()  # of the server, among servers that verify each other
    other: str = ""  # the server that we connect to

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, or listened before an outage."""
        return (self.host, self.port)


class Guard:
    """Runs a core: `with guard:` keeps its exception for the world, and flushes output afterwards.

    Guards nest, because what one core does may end the connection of another. Only the outermost
    flushes: a core must not be flushed while it is in the middle of a handler. A connection makes
    one and enters it at each read: making one at each read costs as much as reading a command.
    """

    __slots__ = ("_connection", "_shell")

    def __init__(self, shell: Shell, connection: Connection | None = None) -> None:
        self._shell, self._connection = shell, connection

    def __enter__(self) -> None:
        self._shell.running.append(self._connection)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        shell, connection = self._shell, self._connection
        shell.running.pop()
        if error is None:
            if connection is not None:
                shell.to_flush.setdefault(connection, None)
        elif isinstance(error, Exception):
            shell.failed(connection, error)
        else:  # such as KeyboardInterrupt
            return False
        if not shell.running:
            shell.flush()
        return True


class Connection(asyncio.Protocol):
    """One socket and its core."""

    __slots__ = (
        "_facts",
        "_full",
        "_paused",
        "_timer",
        "_tls_stalled",
        "_transport",
        "_wakes_at",
        "bytes_in",
        "bytes_out",
        "ended",
        "finished",
        "guard",
        "listener",
        "lost",
        "session",
        "shell",
        "tls",
    )

    def __init__(self, shell: Shell, listener: Listener) -> None:
        self.shell = shell
        self.guard = Guard(shell, self)
        self.listener = listener
        self._serve(listener.core())
        self.tls: Tls | None = None
        # What the clock of a rehearsal compares with the client's counts:
        self.bytes_in = 0  # raw bytes handled
        self.bytes_out = 0  # raw bytes given to the socket
        self.ended = False  # the client will send nothing more
        self.lost = False  # the socket is gone
        self.finished = False  # our FIN or RST is sent
        self._tls_stalled = False
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0  # what `_timer` was set for, in seconds since the epoch
        self._paused = False  # whether reading is paused
        self._full = False  # whether the client has to read before more is written
        self._transport: asyncio.Transport

    def __repr__(self) -> str:
        state = "lost" if self.lost else "closing" if self.finished else "open"
        return f"<Connection {self.session!r} {state}>"

    def _serve(self, session: Session) -> None:
        """Lets a core serve the connection from now on."""
        self.session = session
        session.on_output = partial(self.shell.schedule_flush, self)
        session.timers.on_change = self._plan

    # ── called by asyncio ────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an assertion: the transports of uvloop are of a class of its own.
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("127.0.0.1", 0)
        self._facts = self.shell.register(self, peer[0])
        with self.guard:
            if self.listener.implicit_tls:
                self.session.facts = self._facts
                self._begin_tls()
            else:
                self.session.opened(self._facts)
        self.shell.publish(self, (peer[0], peer[1]))

    def data_received(self, data: bytes) -> None:
        shell = self.shell
        if self.tls is None and not shell.running and not shell.flushing:
            self._handle_in_clear(data)
        else:
            with self.guard:
                if self.tls is None:
                    self.session.receive(data)
                else:
                    self._decrypt(self.tls, data)
                if self.session.buffer and self.session.backlogged:
                    self._pause()
        self.bytes_in += len(data)
        shell.on_activity()

    def _handle_in_clear(self, data: bytes) -> None:
        """Does what the guard and `flush` do, without their calls if there is one answer.

        Nearly all that is read is one command. Their calls are 7 % of what a mail of 1 kB costs.
        """
        shell, session, to_flush = self.shell, self.session, self.shell.to_flush
        shell.running.append(self)
        try:
            session.receive(data)
            if session.buffer and session.backlogged:
                self._pause()
        except Exception as error:
            shell.failed(self, error)
        finally:
            shell.running.pop()
        only_this = len(to_flush) == 1 and self in to_flush and not shell.pipes
        more = session.waits or session.wants is not None or self.finished or self._paused
        if only_this and not more and not self._full and session.output.is_one_write:
            del to_flush[self]
            try:
                self._write(session.output.take())
                if session.after_write:
                    session.written()
            except Exception as error:
                shell.failed(self, error)
        elif more or session.after_write:  # else there is nothing to do here that is not planned
            to_flush.setdefault(self, None)
        if to_flush or shell.pipes:
            shell.flush()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        with self.guard:
            if self.tls is not None and not self.tls.established and not self.session.closed:
                self.session.tls_failed(LEFT_BEFORE_TLS)
            self.session.eof()
        self.ended = True
        self.shell.notify()
        return not self.finished  # our side stays open until the output is written

    def connection_lost(self, error: Exception | None) -> None:
        self.finished = True  # nothing more can be written
        self.session.answering, self.session.blocked = None, False
        with self.guard:
            self.session.eof()
            self.session.written()
        self.ended = self.lost = True
        if self._timer is not None:
            self._timer.cancel()
        self.shell.unregister(self)

    def pause_writing(self) -> None:
        self._full = self.session.blocked = True

    def resume_writing(self) -> None:
        self._full = self.session.blocked = False
        self._flush_on()

    # ── bytes in both directions ─────────────────────────────────────────────

    def _decrypt(self, tls: Tls, data: bytes) -> None:
        if self._tls_stalled or self.session.closed:
            return
        established = tls.established
        try:
            plain = tls.feed(data)
        except ssl.SSLError as error:
            self._write(tls.wrap(b""))  # the alert that names the reason
            self.tls = None
            in_clear = not established and data[:1] not in TLS_RECORDS
            self.session.tls_failed(CLEAR_IN_TLS if in_clear else str(error.reason))
            return
        self._write(tls.wrap(b""))
        if tls.established and not established:
            self.session.timers.cancel("handshake")
            self.session.secured(tls.facts())
            if self.listener.implicit_tls:
                self.session.opened(self._facts)
        if plain:
            self.session.receive(plain)
        if tls.ended:
            self.session.eof()

    def _begin_tls(self) -> None:
        session = self.session
        fault = self.shell.runtime.faults.meet(session.protocol, "tls", "", session.user)
        if fault is not None and (fault.reset or fault.hang_up):
            session.close(Want.RESET if fault.reset else Want.CLOSE)
            return
        self._tls_stalled = fault is not None and fault.stall
        if not self._tls_stalled:
            due = self.shell.runtime.now() + HANDSHAKE
            session.timers.at("handshake", due, partial(session.tls_failed, NO_HANDSHAKE))
        flaw = fault.certificate if fault is not None else ""
        other, names = self.listener.other, self.listener.names
        authority = self.shell.authority()
        context = authority.peer_context(names, flaw, bool(other)) if names else None
        self.tls = Tls(context or authority.context(flaw), other)
        if other:
            self._decrypt(self.tls, b"")  # the client speaks first

    def flush(self) -> None:
        """Writes the core's output, then does what it asks for."""
        session = self.session
        while not self.finished:
            if self._full and session.answering is not None:
                return  # a long answer is made while the client reads
            plain = session.take()
            if not plain:
                break
            self._write(plain if self.tls is None else self.tls.wrap(plain))
            if session.exhausted:
                break
            if session.paced:
                # A `split` fault: without a turn of the loop, the kernel would join the writes.
                self.shell.paced += 1
                self.shell.loop.call_soon(self._flush_next)
                return
        if session.wants is not None:
            self._obey(session, session.wants)
        if session.after_write:
            session.written()
        if self._paused and not session.backlogged and not self.finished:
            self._paused = False
            self._transport.resume_reading()

    def _obey(self, session: Session, want: Want) -> None:
        """Does what a core asks for, once its output is written."""
        if want is Want.START_TLS:
            session.wants = None
            self._begin_tls()
        elif want is Want.HAND_OVER:
            self._serve(session.hand_over())
            self._plan()  # for the timers that the successor has set already
            self.shell.schedule_flush(self)
        elif not self.finished:
            session.wants = None
            self._end(want)

    def _flush_next(self) -> None:
        self.shell.paced -= 1
        self._flush_on()

    def _flush_on(self) -> None:
        with self.guard:
            self.shell.schedule_flush(self)
        self.shell.notify()

    def _write(self, raw: bytes) -> None:
        if not raw or self.finished:
            return
        # A single answer may be as large as a mail; what already waits must not grow without end.
        if self._full and self._transport.get_write_buffer_size() > OUTPUT:
            self._end(Want.RESET)
            return
        self.bytes_out += len(raw)
        # A view, of which the transport keeps the rest without a copy of what comes before.
        self._transport.write(raw if len(raw) < LARGE else memoryview(raw))

    def _end(self, want: Want) -> None:
        if want is Want.RESET:
            self.abandon()
            return
        if self.tls is not None and self.tls.established:
            self._write(self.tls.goodbye())
        self.finished = True
        # Close our side only. Closing both while input is unread would send RST, and the client
        # could lose the last reply.
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        self.shell.loop.call_later(LINGER, self._transport.close)

    def abandon(self) -> None:
        """Sends RST, at once."""
        try:
            self.session.close(Want.RESET)
        finally:
            self.session.wants = None
            self.finished = True
            raw: socket.socket | None = self._transport.get_extra_info("socket")
            if raw is not None:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            self._transport.abort()

    def cut(self, want: Want = Want.CLOSE) -> None:
        """Ends the connection from outside: a test cuts it, or the world ends."""
        with self.guard:
            self.session.close(want)

    # ── timers ───────────────────────────────────────────────────────────────

    def _plan(self) -> None:
        """In real time, wakes the core when it is due; in a rehearsal the clock does that."""
        if self.shell.virtual:
            return
        due = self.session.due
        if due is None or self.lost:
            return
        if self._timer is not None:
            if self._wakes_at <= due:
                # It wakes early enough, and then plans again. Idle timers move with each command,
                # and a new handle for each would cost more than the command.
                return
            self._timer.cancel()
        self._wakes_at = due
        delay = max(0.0, due - self.shell.runtime.now())
        self._timer = self.shell.loop.call_later(delay, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.tick()
        self._plan()

    def plan_again(self) -> None:
        """The clock was set."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._plan()

    def tick(self) -> None:
        """Runs the core's timers that are due."""
        with self.guard:
            self.session.tick()
        self.shell.notify()


class Pipe(asyncio.Transport):
    """One end of a connection between two servers of a rehearsal, without a socket."""

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self._shell = shell
        self._connection: Connection | None = None
        self._other: Pipe
        self._written = self._closed = False

    @classmethod
    def pair(cls, shell: Shell) -> tuple[Pipe, Pipe]:
        """Returns the two ends of a new connection."""
        ends = cls(shell), cls(shell)
        ends[0]._other, ends[1]._other = ends[1], ends[0]
        return ends

    def attach(self, connection: Connection) -> None:
        """Begins: the connection is established."""
        self._connection = connection
        connection.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._later(lambda connection: connection.data_received(bytes(data)))

    def write_eof(self) -> None:
        if not self._written:
            self._written = True
            self._later(lambda connection: connection.eof_received())
            # Nobody waits for the rest of what the other side may still send.
            self.close()

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        for end in (self, self._other):
            if not end._closed:
                end._closed = True
                self._shell.carry(end._lost)

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Does nothing: what is written here is read at once."""

    resume_reading = pause_reading

    def _lost(self) -> None:
        if self._connection is not None:
            self._connection.connection_lost(None)

    def _later(self, act: Callable[[Connection], object]) -> None:
        def run() -> None:
            other = self._other._connection
            if other is not None and not other.lost:
                act(other)

        self._shell.carry(run)


def _nothing(*_: object) -> None:
    """What a callback of a Shell does until it is set."""


class Shell:
    """All listeners and connections of one world, on one loop."""

    __slots__ = (
        "_accepting",
        "_loop",
        "_sessions",
        "_timer",
        "authority",
        "bridge",
        "connections",
        "errors",
        "failures",
        "flushing",
        "listeners",
        "on_activity",
        "on_connection",
        "on_failure",
        "paced",
        "pipes",
        "running",
        "runtime",
        "to_flush",
        "virtual",
    )

    def __init__(
        self,
        runtime: Runtime,
        bridge: Bridge,
        authority: Callable[[], Authority],
        virtual: bool,
    ) -> None:
        """`authority` returns what makes the certificates; it is asked for when TLS begins."""
        self.runtime = runtime
        self.bridge = bridge
        self.authority = authority
        self.virtual = virtual
        self.listeners: dict[str, Listener] = {}
        self.connections: dict[Connection, None] = {}  # in order of arrival
        # Raised by cores; the world raises the first ones at its end.
        self.errors: tuple[Exception, ...] = ()
        self.failures = 0  # how many were raised
        self.on_activity: Callable[[], None] = _nothing
        # Called with the client's address, the port of the server, and the connection.
        self.on_connection: Callable[[tuple[str, int], int, Connection], None] = _nothing
        # Called with each exception of a core, and the session, if one caused it.
        self.on_failure: Callable[[Exception, Session | None], None] = _nothing
        self.to_flush: dict[Connection, None] = {}  # their cores may have output
        # In a rehearsal: what happens next on connections between servers of this world. Made when
        # first needed: an empty one takes 760 bytes, of the 25 thousand that a world takes.
        self.pipes: deque[Callable[[], object]] | None = None
        self.flushing = False
        self.paced = 0  # connections whose next write waits for another turn of the loop
        # The connections whose cores are at work, the innermost last; None for a service.
        self.running: list[Connection | None] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sessions = 0
        # Not a set: an empty one takes 216 bytes, of the 25 thousand that a world takes.
        self._accepting: dict[asyncio.Task[object], None] = {}
        self._timer: asyncio.TimerHandle | None = None
        runtime.timers.on_change = self._plan

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that everything here runs on."""
        assert self._loop is not None
        return self._loop

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs on this loop from now on."""
        self._loop = loop
        if not self.virtual:
            self.runtime.later = self._later
        self._plan()

    # ── listeners ────────────────────────────────────────────────────────────

    def listen(self, listener: Listener) -> None:
        """Opens a port. Raises OSError if it is in use."""
        raw = listener.reserved
        try:
            if raw is None:
                raw = self._bound(listener)
            raw.listen(BACKLOG)
        except OSError as error:
            if raw is not None:
                raw.close()
            where = f"port {listener.port} on {listener.host}"
            raise OSError(error.errno, f"{where}: {error.strerror}") from None
        listener.socket, listener.reserved = raw, None
        self.loop.add_reader(raw, self._accept, listener, raw)
        self.listeners[listener.name] = listener

    def _bound(self, listener: Listener) -> socket.socket:
        """Returns a socket that has the port, and refuses connections until it listens."""
        family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
        # IPPROTO_TCP by name: asyncio sets TCP_NODELAY only if the socket says that it is TCP.
        raw = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            raw.setsockopt(socket.SOL_SOCKET, _ONE_OWNER, 1)
            raw.setblocking(False)
            raw.bind((listener.host, listener.port))
        except BaseException:
            raw.close()
            raise
        listener.port = raw.getsockname()[1]
        return raw

    def _accept(self, listener: Listener, raw: socket.socket) -> None:
        # Not `loop.create_server`: when its server is closed while it accepts, the new socket is
        # neither served nor closed, and a test that ends just then leaks it.
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                accepted, _ = raw.accept()
                accepted.setblocking(False)
                task = self.loop.create_task(
                    self.loop.connect_accepted_socket(lambda: Connection(self, listener), accepted)
                )
                self._accepting[task] = None
                task.add_done_callback(self._accepting.pop)

    def close_port(self, name: str) -> None:
        """Closes a port; established connections stay. `listen` opens it again."""
        listener = self.listeners[name]
        if listener.socket is not None:
            self._close(listener)
            # Another process, or a client's own end of a connection, could take the number.
            listener.reserved = self._bound(listener)

    def _close(self, listener: Listener) -> None:
        if listener.socket is not None:
            self.loop.remove_reader(listener.socket)
            listener.socket.close()
        if listener.reserved is not None:
            listener.reserved.close()
        listener.socket = listener.reserved = None

    def before_connect(self, port: int) -> None:
        """A client is about to connect: closes the port if a `refuse` fault is due."""
        faults = self.runtime.faults
        for listener in self.listeners.values():
            if listener.port != port or not faults.may_refuse(listener.protocol):
                continue
            if faults.refuses(listener.protocol):
                self.close_port(listener.name)
            elif listener.socket is None:
                self.listen(listener)

    @property
    def holder(self) -> str:
        """Describes what keeps the world from stopping, for an error."""
        if self.running and self.running[-1] is not None:
            session = self.running[-1].session
            name = f"{session.protocol} session {session.facts.number}"
            return f"a handler of {name} that does not return"
        sessions = [one.session for one in self.connections]
        return (
            ", ".join(f"{one.protocol} session {one.facts.number}" for one in sessions) or "nothing"
        )

    async def stop(self, first: Callable[[], None]) -> None:
        """Calls `first`, then closes every port and every connection."""
        first()
        if self._timer is not None:
            self._timer.cancel()
        for listener in self.listeners.values():
            self._close(listener)
        # What was accepted just now becomes a connection in the next turns of the loop.
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for connection in list(self.connections):
            connection.abandon() if connection.finished else connection.cut(Want.RESET)
        while self.connections:  # closed transports report in the next turns of the loop
            await asyncio.sleep(0)

    # ── connections to other servers ─────────────────────────────────────────

    def connect(self, session: Session, to: Destination) -> bool:
        """Lets a core speak to another server. If it cannot be reached, the session is over.

        Returns False if that is known at once, as in a rehearsal.
        """
        host, port = to.address
        link = Listener("link", lambda: session, host, port, names=to.names, other=to.domain)
        if not self.virtual:
            task = self.loop.create_task(self._dial(link))
            self._accepting[task] = None
            task.add_done_callback(self._accepting.pop)
            return True
        # A rehearsal needs no sockets between its own servers, and so no barrier.
        found = [one for one in self.listeners.values() if one.address == to.address and one.socket]
        if not found:
            return False
        ends = Pipe.pair(self)
        for end, listener in zip(ends, (found[0], link), strict=True):
            self.carry(partial(end.attach, Connection(self, listener)))
        return True

    async def _dial(self, link: Listener) -> None:
        family = socket.AF_INET6 if ":" in link.host else socket.AF_INET
        raw = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        raw.setblocking(False)
        try:
            connected = self.loop.sock_connect(raw, link.address)
            await asyncio.wait_for(connected, DIALLING)
            await self.loop.create_connection(lambda: Connection(self, link), sock=raw)
        except (TimeoutError, OSError):
            raw.close()
            self._unreachable(link.core())

    def _unreachable(self, session: Session) -> None:
        with Guard(self):
            session.close(Want.RESET)

    # ── connections ──────────────────────────────────────────────────────────

    def register(self, connection: Connection, peer: str) -> Facts:
        """Adds a connection, and returns what its core may know."""
        self._sessions += 1
        self.connections[connection] = None
        connection.listener.connections += 1
        return Facts(self._sessions, peer, crowded=connection.listener.connections > SESSIONS)

    def publish(self, connection: Connection, peer: tuple[str, int]) -> None:
        """Lets the clock of a rehearsal, in its own thread, count a connection's bytes.

        Only after the greeting is written: earlier, the clock would see a connection without
        traffic and take it for one at rest.
        """
        self.on_connection(peer, connection.listener.port, connection)
        self.notify()

    def unregister(self, connection: Connection) -> None:
        """Removes a connection that is lost."""
        del self.connections[connection]
        connection.listener.connections -= 1
        self.to_flush.pop(connection, None)
        self.notify()

    def schedule_flush(self, connection: Connection) -> None:
        """A core has output: an answer, or something that another session sent to its client."""
        self.to_flush[connection] = None
        if not self.running:
            self.loop.call_soon(self.flush)

    def carry(self, act: Callable[[], object]) -> None:
        """Lets something happen on a pipe, after all that is to happen on pipes before."""
        if self.pipes is None:
            self.pipes = deque()
        self.pipes.append(act)
        if not self.running:
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Writes the output of all cores that may have some."""
        if self.flushing:  # what a pipe carries may cause more output
            return
        self.flushing, waiting = True, self.to_flush
        try:
            while waiting or self.pipes:
                if self.pipes and not waiting:
                    self.pipes.popleft()()
                    continue
                connection = next(iter(waiting))
                del waiting[connection]
                try:
                    connection.flush()
                except Exception as error:
                    self.failed(connection, error)
        finally:
            self.flushing = False

    def failed(self, connection: Connection | None, error: Exception) -> None:
        """Keeps an exception, with the session and unit that caused it, and drops the client."""
        session = connection.session if connection is not None else None
        if session is not None:
            error.add_note(f"in the fake's session {session!r}")
            if session.current is not None:
                error.add_note(
                    f"while it handled {session.current.verb}: {session.current.shown()!r}"
                )
        self.failures += 1
        if len(self.errors) < ERRORS:
            self.errors += (error,)
        if connection is not None:
            with contextlib.suppress(Exception):  # who watches may raise at each record
                connection.abandon()
        with contextlib.suppress(Exception):  # such as a stderr that is closed: nobody to tell
            self.on_failure(error, session)

    def notify(self) -> None:
        """Something happened: the clock of a rehearsal compares its counts again."""
        self.on_activity()

    # ── timers ───────────────────────────────────────────────────────────────

    def _plan(self) -> None:
        """In real time, wakes the services when one of their timers is due."""
        due = self.runtime.timers.due
        if self.virtual or due is None or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        delay = max(0.0, due - self.runtime.now())
        self._timer = self.loop.call_later(delay, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._run_timers()
        self._plan()

    def _run_timers(self) -> None:
        with Guard(self):
            self.runtime.timers.run()
        self.notify()

    def _later(self, run: Callable[[], None]) -> None:
        self.loop.call_soon(self._run_later, run)

    def _run_later(self, run: Callable[[], None]) -> None:
        with Guard(self):
            run()
        self.notify()

    def due(self) -> float | None:
        """When the next timer of a service or a core is due; for the clock of a rehearsal."""
        dues = [connection.session.due for connection in list(self.connections)]
        known = [due for due in (self.runtime.timers.due, *dues) if due is not None]
        return min(known, default=None)

    def tick(self) -> None:
        """Runs every timer that is due: the services', then the cores' in order of arrival."""
        now = self.runtime.now()
        due = self.runtime.timers.due
        if due is not None and due <= now:
            self._run_timers()
        for connection in list(self.connections):
            due = connection.session.due
            if due is not None and due <= now:
                connection.tick()

    def clock_was_set(self) -> None:
        """In real time: runs the timers that are due now, and plans the others again."""
        self.tick()
        self._plan()
        for connection in self.connections:
            connection.plan_again()

    @property
    def in_flight(self) -> bool:
        """Whether any core has something under way."""
        return any(connection.session.in_flight for connection in self.connections)
