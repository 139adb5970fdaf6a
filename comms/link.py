"""The socket under every client: TLS, timeouts on a passed-in clock, and counted bytes.

smtplib and poplib accept a `Link` in place of a socket (`sendall`, `makefile`, `close`), so their
protocols run on it unchanged. TLS runs over memory buffers instead of an SSLSocket. That way the
bytes on the wire can be counted exactly, and a rehearsal's clock can compare them with what the
fake server has counted.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.errors import Refused, Unreachable
from comms.waiting import wait_until_ready

if TYPE_CHECKING:
    from pathlib import Path

GOODBYE = 1.0  # seconds that a close waits for the other side to close, too
STOPPING = 2.0  # seconds that an exchange may still take when the program is asked to stop
SLOWEST = 10_000  # bytes per second that a long answer, or a long message, must reach
ANSWER = 1 << 16  # bytes of one answer, unless the caller expects more
MOMENT = 0.001  # seconds that are too short to wait for
TICK = 0.5  # seconds between two looks at the clock while the other side does not read
CHUNK = 1 << 16  # bytes of one read
UNLIMITED = 1 << 30  # reads
# Seconds of silence after which the system asks the other side whether it is there, seconds between
# two questions, and how many may stay unanswered. Not every protocol has a ping of its own, and who
# only reads would wait for ever on a connection that only the other side has lost.
QUIET, PROBE, PROBES = 120, 30, 4


class _ClearText(ConnectionError):
    """Bytes in clear text arrived before the TLS handshake."""


class Link:
    """One TCP connection. `bytes_in` and `bytes_out` count the bytes on the wire, TLS included.

    What arrives after a write is one answer. A whole answer has at most ANSWER bytes, or as many as
    `expect` has set, and must be complete after `timeout` seconds, plus one second for each SLOWEST
    bytes. So a server that sends a byte now and then, or bytes without end, cannot hold a program.
    When the program is asked to stop, an answer has STOPPING seconds left.
    """

    def __init__(self, raw: socket.socket, clock: Clock, timeout: float) -> None:
        self._raw = raw
        self._clock = clock
        self._timeout = timeout
        self._plain = bytearray()  # decrypted, not read yet
        self._tls: ssl.SSLObject | None = None
        self._encrypted_in, self._encrypted_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._in_handshake = False
        self._handshake_data = False  # bytes have arrived that the handshake has not seen yet
        # Readers of `makefile` get one line at a time. STARTTLS needs this: a reader must not
        # buffer what follows the server's answer, because `start_tls` has to find it.
        self.reads_lines = False
        self.bytes_in = 0
        self.bytes_out = 0
        self.ended = False  # the other side will send nothing more
        self.finished = False  # we will send nothing more
        self.closed = False
        self._limit: int | None = ANSWER  # bytes of the current answer; None: a stream
        self._taken = 0  # bytes of it that were read
        self._begin()
        raw.setblocking(False)
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in (("IDLE", QUIET), ("INTVL", PROBE), ("CNT", PROBES)):
                if option := getattr(socket, f"TCP_KEEP{name}", None):
                    raw.setsockopt(socket.IPPROTO_TCP, option, value)
        self.local: tuple[str, int] = raw.getsockname()[:2]

    @classmethod
    def connect(cls, host: str, port: int, clock: Clock, timeout: float = 30.0) -> Link:
        """Connects to a server, without TLS. Raises Unreachable."""
        clock.connecting(port)
        try:
            raw = _connected(host, port, clock, timeout)
        except OSError as error:
            reason = error.strerror or error
            raise Unreachable(f"{host}:{port} cannot be reached: {reason}") from None
        link = cls(raw, clock, timeout)
        try:
            clock.connected(link)
        except BaseException:  # a rehearsal may find that the server never accepted it
            link.abort()
            raise
        return link

    # ── the methods of a socket ──────────────────────────────────────────────

    def sendall(self, data: bytes) -> None:
        """Writes everything.

        Raises OSError if the connection is lost, TimeoutError if the other side does not read.
        """
        if self._tls is not None and data:
            self._tls.write(data)
            data = self._encrypted_out.read()
        self._send_raw(data)
        if self._limit is not None:
            self.expect(ANSWER)

    def expect(self, limit: int | None) -> None:
        """Begins an answer of at most `limit` bytes. With None, what arrives is a stream.

        A stream has no end, so its reader decides how long it waits. A write begins a new answer,
        but does not end a stream.
        """
        self._limit, self._taken = limit, 0
        self._begin()

    def recv(self, size: int, line: bool = False) -> bytes:
        """Returns up to `size` bytes, b"" at the end. With `line`, stops after a line feed.

        Raises TimeoutError, ConnectionError.
        """
        self._await()
        if line:
            size = min(size, self._plain.find(b"\n") + 1 or size)
        data = bytes(self._plain[:size])
        del self._plain[:size]
        self._taken += len(data)
        if self._limit is not None and self._taken > self._limit:
            raise ConnectionError(f"the answer has more than {self._limit} bytes")
        return data

    def wait(self, seconds: float) -> bool:
        """Waits for something to read, at most that long; returns whether there is something.

        Raises TimeoutError if the time of the answer is over before that.
        """
        end = self._clock.monotonic() + seconds
        or_stop = self._limit is not None
        while True:
            left = max(0.0, end - self._clock.monotonic())
            if self._limit is not None:
                left = min(left, self._left(self._taken))
            if self._clock.wait(self, self._clock.time() + left, or_stop):
                return True
            # The clock may also have returned because the program is asked to stop.
            or_stop = False
            if end - self._clock.monotonic() < MOMENT:
                return False

    def makefile(self, mode: str = "rb", buffering: int = -1) -> io.BufferedReader:
        """Returns a buffered reader of this link. Closing the reader does not close the link."""
        return io.BufferedReader(_Raw(self))

    def settimeout(self, timeout: float | None) -> None:
        """Sets how long a read waits, in seconds. None leaves it as it is."""
        self._timeout = timeout or self._timeout

    def fileno(self) -> int:
        """Returns the file descriptor, for select; -1 after a close."""
        return self._raw.fileno()

    def shutdown(self, how: int) -> None:
        """Shuts down one or both directions, as `socket.shutdown`."""
        self._raw.shutdown(how)

    def close(self) -> None:
        """Closes the connection in order: what was written arrives first.

        Closing a socket with unread data makes the kernel send RST, and a reset may discard at the
        other side what it has not read yet. So this announces the end, reads for up to GOODBYE
        seconds until the other side closes as well, and only then closes the socket.
        """
        if self.closed:
            return
        self._timeout = min(self._timeout, GOODBYE)
        with contextlib.suppress(OSError, ssl.SSLError):
            if self._tls is not None and not self.ended:
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
                self._send_raw(self._encrypted_out.read())
            if not self.ended:
                self._clock.writing(self)
                self.finished = True
                self._raw.shutdown(socket.SHUT_WR)
                # A flood keeps the link readable, so the time decides, too.
                end = self._clock.monotonic() + GOODBYE
                while not self.ended and (left := end - self._clock.monotonic()) > 0:
                    self._clock.wait(self, self._clock.time() + left)
                    self._plain.clear()
        self.abort()

    def abort(self) -> None:
        """Closes the socket at once, without announcing the end."""
        self.closed = self.finished = True
        self._raw.close()

    # ── TLS ──────────────────────────────────────────────────────────────────

    def start_tls(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        """Starts TLS on the open connection.

        Raises ssl.SSLError (for a certificate that is not valid, too), TimeoutError,
        ConnectionError.
        """
        self.reads_lines = False
        self._begin()
        self.pump(1)
        if self._plain:
            # Anybody on the network could have put these bytes after the server's answer. Inside
            # TLS they would be taken for the server's own words.
            raise _ClearText(
                "bytes in clear text follow the answer to STARTTLS: this may be an injection attack"
            )
        tls = context.wrap_bio(
            self._encrypted_in, self._encrypted_out, server_hostname=server_hostname
        )
        self._in_handshake = True
        try:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._send_raw(self._encrypted_out.read())
                    self._handshake_data = False
                    self._await()
                    # What came before the end says more: clear text, or an alert.
                    if self.ended and not self._encrypted_in.pending:
                        raise ConnectionError(
                            "the server hung up during the TLS handshake"
                        ) from None
        finally:
            self._in_handshake = False
            # A failed handshake leaves an alert in the buffer that tells the server why.
            with contextlib.suppress(OSError):
                self._send_raw(self._encrypted_out.read())
        self._tls = tls
        self._decrypt()
        if self._limit is not None:
            self.expect(ANSWER)

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS layer; None before `start_tls`."""
        return self._tls

    # ── the methods that a clock needs ───────────────────────────────────────

    def pump(self, limit: int = UNLIMITED) -> None:
        """Takes in what has arrived, without waiting, in at most `limit` reads."""
        for _ in range(limit):
            if self.ended or self.closed:
                return
            try:
                data = self._raw.recv(CHUNK)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # reset: what arrived before it can still be read
                self.ended = True
                return
            if not data:
                self.ended = True
                return
            self.bytes_in += len(data)
            if self._tls is None and not self._in_handshake:
                self._plain += data
                continue
            self._encrypted_in.write(data)
            self._handshake_data = True
            if self._tls is not None:
                self._decrypt()

    def readable(self) -> bool:
        """Returns whether a read would return at once."""
        in_handshake = self._in_handshake and self._handshake_data
        return bool(self._plain) or self.ended or in_handshake

    # ── inside ───────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        """Begins an exchange, whose time is measured."""
        self._began = self._clock.monotonic()
        self._stop_at: float | None = None  # when it is given up, once we are asked to stop

    def _left(self, size: int) -> float:
        """Returns the seconds that an exchange may still take; `size` bytes of it are done.

        Raises TimeoutError if there are none.
        """
        now = self._clock.monotonic()
        if self._stop_at is None and self._clock.stopping():
            self._stop_at = now + STOPPING
        if self._stop_at is not None and self._stop_at - now < MOMENT:
            raise TimeoutError("the program was asked to stop")
        left = self._began + self._timeout + size / SLOWEST - now
        if left < MOMENT:
            raise TimeoutError(
                f"too slow: only {size} bytes within {self._timeout:g} s"
                if size
                else f"no answer within {self._timeout:g} s"
            )
        return left if self._stop_at is None else min(left, self._stop_at - now)

    def _await(self) -> None:
        """Waits for something to read. Raises TimeoutError."""
        if self._limit is not None:
            self._left(self._taken)  # what has arrived does not help a server that is too slow
        if not self._plain and not self.wait(self._timeout):
            raise TimeoutError(f"no answer within {self._timeout:g} s")

    def _decrypt(self) -> None:
        assert self._tls is not None
        try:
            while True:
                plain = self._tls.read(CHUNK)
                if not plain:
                    break
                self._plain += plain
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.ended = True

    def _send_raw(self, data: bytes) -> None:
        if data:
            self._clock.writing(self)
        view, size = memoryview(data), 0
        self._begin()
        while view:
            try:
                sent = self._raw.send(view)
            except (BlockingIOError, InterruptedError):
                try:
                    # Short waits, because a wait for writing does not hear that we must stop.
                    wait_until_ready([], min(TICK, self._left(size)), [self._raw])
                except TimeoutError as error:
                    raise TimeoutError(f"the other side does not read: {error}") from None
                continue
            self.bytes_out += sent
            size += sent
            view = view[sent:]


def _connected(host: str, port: int, clock: Clock, timeout: float) -> socket.socket:
    """Connects to the first address that accepts. Raises OSError.

    `socket.create_connection` would not hear that the program is asked to stop.
    """
    failure = OSError("it has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        with contextlib.ExitStack() as undo:
            try:
                raw = undo.enter_context(socket.socket(family, kind, protocol))
                raw.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    raw.connect(address)
                _await_connection(raw, clock, timeout)
            except InterruptedError:
                raise  # no other address is tried
            except OSError as error:
                failure = error
            else:
                undo.pop_all()
                return raw
    raise failure


def _await_connection(raw: socket.socket, clock: Clock, timeout: float) -> None:
    """Waits until a connection is open. Raises OSError if it cannot be, or takes too long."""
    left = timeout
    while True:
        if clock.stopping():
            left = min(left, STOPPING)
        if wait_until_ready([], min(TICK, left), [raw]):
            break
        left -= TICK  # counted, because the clock of a rehearsal stands still meanwhile
        if left <= 0 and clock.stopping():
            raise InterruptedError("the program was asked to stop")
        if left <= 0:
            raise TimeoutError(f"no answer within {timeout:g} s")
    if code := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))


class LinkContext(ssl.SSLContext):
    """A client's TLS context for smtplib.starttls: its `wrap_socket` starts TLS on a Link."""

    def wrap_socket(
        self, sock: Any, *args: Any, server_hostname: Any = None, **options: Any
    ) -> Any:
        """Starts TLS on the link and returns the link."""
        sock.start_tls(self, server_hostname)
        return sock


def client_context(ca_file: Path | None = None) -> LinkContext:
    """Returns a TLS context that verifies the server's name and certificate.

    The certificate must be issued by an authority in `ca_file`, or else by one that the system
    trusts.
    """
    context = LinkContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_file)
    return context


# What OpenSSL calls a server whose first bytes are not TLS; the name depends on its version.
_CLEAR_TEXT = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
# Servers wait for the client to begin TLS, or hang up at once if it begins otherwise.
MAYBE_TLS = 'if this port begins with TLS, write tls = "implicit"'


def secure(
    name: str,
    hostname: str,
    upgrade: Callable[[], object],
    *,
    command: str = "",
    offered: bool = True,
) -> None:
    """Calls `upgrade`, which starts TLS with the server called `name`, and translates its errors.

    Raises Refused if the server does not offer `command` (nothing is sent then), or if its
    certificate is not valid for `hostname`. Raises Unreachable if TLS cannot be started. A
    CommsError that `upgrade` raises passes through.
    """
    if not offered:
        raise Refused(
            f"{name} does not offer {command}, and the settings require it; nothing is sent in "
            'clear text; write tls = "implicit" for a port that begins with TLS, '
            'or tls = "none" to allow clear text'
        )
    try:
        upgrade()
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            f"{name}: its certificate is not trusted for {hostname}: {error.verify_message}; "
            "if your own authority issued it, name the authority's file in ca_file"
        ) from None
    except (ssl.SSLError, _ClearText) as error:
        reason = getattr(error, "reason", "")
        in_clear = isinstance(error, _ClearText) or reason in _CLEAR_TEXT
        if command or not in_clear:
            raise Unreachable(f"{name}: TLS could not be started: {error}") from None
        raise Unreachable(
            f"{name}: this port begins in clear text, and the settings want TLS from the start; "
            'write tls = "starttls", or the port that begins with TLS'
        ) from None
    # A host name that no certificate can contain is a ValueError.
    except (OSError, ValueError) as error:
        raise Unreachable(f"{name}: TLS could not be started: {error}") from None


class _Raw(io.RawIOBase):
    """The unbuffered stream under `Link.makefile`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._link.recv(len(buffer), line=self._link.reads_lines)
        buffer[: len(data)] = data
        return len(data)
