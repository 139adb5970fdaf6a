"""The socket that every client here stands on: TLS, timeouts on a handed-in clock, octets counted.

smtplib, poplib and imaplib take a Link for a socket (`sendall`, `makefile`, `close`), so their protocols run on it
unchanged. TLS runs over memory buffers, so that the octets that cross the socket are counted exactly: a rehearsal's
clock compares them with what the fake has counted.
"""

from __future__ import annotations

import contextlib
import io
import select
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comms.clock import Clock
from comms.errors import Refused, Unreachable

GOODBYE = 1.0  # seconds that a close waits for the other side to close too


class Link:
    """One TCP connection. `bytes_in` and `bytes_out` count what crossed the socket, TLS included."""

    def __init__(self, raw: socket.socket, clock: Clock, timeout: float) -> None:
        self._raw = raw
        self._clock = clock
        self._timeout = timeout
        self._plain = bytearray()
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._shaking_hands = False
        self._fresh = False  # octets of the handshake have come
        self.reads_lines = (
            False  # readers are given line by line, so that what stands behind the answer is seen
        )
        self.bytes_in = 0
        self.bytes_out = 0
        self.ended = False  # the other side will send nothing more
        self.finished = False  # and we shall not
        self.closed = False
        raw.setblocking(False)
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local: tuple[str, int] = raw.getsockname()[:2]

    @classmethod
    def connect(cls, host: str, port: int, clock: Clock, timeout: float = 30.0) -> Link:
        """A link to a server, in clear. Raises Unreachable."""
        clock.connecting(port)
        try:
            raw = socket.create_connection((host, port), timeout)
        except TimeoutError:
            raise Unreachable(f"{host}:{port} did not answer within {timeout:g} s") from None
        except OSError as error:
            raise Unreachable(
                f"{host}:{port} cannot be reached: {error.strerror or error}"
            ) from None
        link = cls(raw, clock, timeout)
        clock.connected(link)
        return link

    # ── what a socket has ────────────────────────────────────────────────────────────────────────────────────────

    def sendall(self, data: bytes) -> None:
        """Writes everything. Raises OSError when the link is gone, TimeoutError when nobody reads."""
        if self._tls is not None and data:
            self._tls.write(data)
            data = self._outgoing.read()
        self._send_raw(data)

    def recv(self, size: int, line: bool = False) -> bytes:
        """Up to `size` octets, with `line` no further than a LF; b"" at the end. Raises TimeoutError, ConnectionError."""
        self._await()
        if line:
            size = min(size, self._plain.find(b"\n") + 1 or size)
        data = bytes(self._plain[:size])
        del self._plain[:size]
        return data

    def makefile(self, mode: str = "rb", buffering: int = -1) -> io.BufferedReader:
        """A buffered reader on this link; closing it does not close the link."""
        return io.BufferedReader(_Raw(self))

    def settimeout(self, timeout: float | None) -> None:
        """How long a read waits, in seconds; None is not possible here and means the former value."""
        self._timeout = timeout or self._timeout

    def fileno(self) -> int:
        """For select; -1 once closed."""
        return self._raw.fileno()

    def shutdown(self, how: int) -> None:
        """As a socket's."""
        self._raw.shutdown(how)

    def close(self) -> None:
        """Says goodbye and closes. What was written goes out first: a close with octets unread could undo it by RST."""
        if self.closed:
            return
        with contextlib.suppress(OSError, ssl.SSLError):
            if self._tls is not None and not self.ended:
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
                self._send_raw(self._outgoing.read())
            if not self.ended:
                self._clock.writing(self)
                self.finished = True
                self._raw.shutdown(socket.SHUT_WR)
                until = self._clock.time() + GOODBYE
                while not self.ended and self._clock.wait(self, until):
                    self._plain.clear()
        self.abort()

    def abort(self) -> None:
        """Closes without a word."""
        self.closed = self.finished = True
        self._raw.close()

    # ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def start_tls(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        """Upgrades. Raises ssl.SSLError (a certificate that does not fit among them), TimeoutError, ConnectionError."""
        self.reads_lines = False
        self.pump(1)
        if self._plain:
            raise ConnectionError(
                "octets in clear stand behind the answer to STARTTLS: somebody may be injecting"
            )
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._shaking_hands = True
        try:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._send_raw(self._outgoing.read())
                    self._fresh = False
                    self._await()
                    if self.ended:
                        raise ConnectionError(
                            "the server hung up during the TLS handshake"
                        ) from None
        finally:
            self._shaking_hands = False
            with contextlib.suppress(OSError):
                self._send_raw(self._outgoing.read())
        self._tls = tls
        self._decrypt()

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS layer, None in clear."""
        return self._tls

    # ── what a clock needs ───────────────────────────────────────────────────────────────────────────────────────

    def pump(self, limit: int = 1 << 30) -> None:
        """Takes in, without waiting, what has come, in at most so many reads."""
        for _ in range(limit):
            if self.ended or self.closed:
                return
            try:
                data = self._raw.recv(1 << 16)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # reset: what came before it can still be read
                self.ended = True
                return
            if not data:
                self.ended = True
                return
            self.bytes_in += len(data)
            if self._tls is None and not self._shaking_hands:
                self._plain += data
                continue
            self._incoming.write(data)
            self._fresh = True
            if self._tls is not None:
                self._decrypt()

    def readable(self) -> bool:
        """Whether a read would give something at once."""
        return bool(self._plain) or self.ended or (self._shaking_hands and self._fresh)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _await(self) -> None:
        if self._plain:
            return
        if not self._clock.wait(self, self._clock.time() + self._timeout):
            raise TimeoutError(f"no answer within {self._timeout:g} s")

    def _decrypt(self) -> None:
        assert self._tls is not None
        try:
            while True:
                plain = self._tls.read(1 << 16)
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
        view = memoryview(data)
        while view:
            try:
                sent = self._raw.send(view)
            except (BlockingIOError, InterruptedError):
                if not select.select([], [self._raw], [], self._timeout)[1]:
                    raise TimeoutError(
                        f"nobody read what we wrote for {self._timeout:g} s"
                    ) from None
                continue
            self.bytes_out += sent
            view = view[sent:]


class LinkContext(ssl.SSLContext):
    """A client's TLS context whose `wrap_socket` upgrades a Link: what smtplib.starttls and poplib.stls are handed."""

    def wrap_socket(
        self, sock: Any, *args: Any, server_hostname: Any = None, **options: Any
    ) -> Any:
        """Upgrades the link and gives it back."""
        sock.start_tls(self, server_hostname)
        return sock


def client_context(ca_file: Path | None = None) -> LinkContext:
    """A context that verifies: the server's name and its certificate, against `ca_file` or the system's authorities."""
    context = LinkContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_file)
    return context


def secure(
    name: str,
    hostname: str,
    upgrade: Callable[[], object],
    *,
    command: str = "",
    offered: bool = True,
) -> None:
    """Runs `upgrade`, which starts TLS with the server `name`, and turns what goes wrong into errors of comms.

    Raises Refused if the server does not offer `command` (nothing is sent then), or if its certificate is not valid
    for `hostname`; Unreachable if TLS cannot be started. Errors of comms that `upgrade` raises pass through.
    """
    if not offered:
        raise Refused(
            f"{name} does not offer {command}, and the settings require it; nothing is sent in clear text; "
            'write tls = "implicit" for a port that begins with TLS, or tls = "none" to allow clear text'
        )
    try:
        upgrade()
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            f"{name}: its certificate is not trusted for {hostname}: {error.verify_message}; "
            "if your own authority issued it, name the authority's file in ca_file"
        ) from None
    except (
        OSError,
        ValueError,
    ) as error:  # ssl.SSLError is an OSError; ValueError: a host name that cannot be checked
        raise Unreachable(f"{name}: TLS could not be started: {error}") from None


class _Raw(io.RawIOBase):
    def __init__(self, link: Link) -> None:
        self._link = link

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._link.recv(len(buffer), line=self._link.reads_lines)
        buffer[: len(data)] = data
        return len(data)
