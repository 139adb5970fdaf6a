"""A server that does what a test's script says, and the clock and host for its client.

    def script(peer):                        # runs in a thread
        peer.expect(b"<stream:stream")
        peer.send(b"…")

    with Peer(script) as peer:
        client = Client(peer.server(), clock, host)

The server knows no protocol, so it can send anything, split in any way.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from comms.clock import RealClock
from comms.host import RealHost
from comms.settings import Server

PATIENCE = 5.0  # seconds that a script waits for what the client should send


class Peer:
    """A listening port and a script for each connection, in order.

    Whatever the script does not expect fails the test. With `chunk`, everything is sent in pieces
    of that size. `tls` is the context for `start_tls`.
    """

    _running: ClassVar[list[Peer]] = []

    def __init__(
        self,
        *scripts: Callable[[Peer], object],
        chunk: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._scripts, self._chunk, self._tls = scripts, chunk, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._waiting_for: Any = None  # the socket from which the script waits for data
        self.port: int = self._listener.getsockname()[1]
        self.unread = b""  # received on the current connection, and not expected yet
        self.received: list[bytes] = []  # everything that each connection has received
        self.socket: Any = None

    def __enter__(self) -> Peer:
        self._running.append(self)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if error is not None:
            self._listener.close()
        self._thread.join(2 * PATIENCE)
        self._running.remove(self)
        self._listener.close()
        assert not self._thread.is_alive(), "the script has not ended"
        if self._error is not None:
            if error is None:
                raise self._error
            # The client has failed, too. Show both, because either may be the cause.
            error.add_note(f"the script failed: {type(self._error).__name__}: {self._error}")

    @classmethod
    def all_at_rest(cls) -> bool:
        """Returns whether every script waits for the client, and nothing for it is in flight."""
        return all(peer._at_rest() for peer in cls._running)

    def _at_rest(self) -> bool:
        if not self._thread.is_alive():
            return True
        with self._lock:
            source = self._waiting_for
            return source is not None and not select.select([source], [], [], 0)[0]

    def server(self, **changes: Any) -> Server:
        """Returns the settings of an account on this server."""
        keys: dict[str, Any] = {
            "tls": "none",
            "auth": "plain",
            "timeout": 2.0,
            "jid": "bot@example.test",
        }
        keys |= changes
        return Server("xmpp", "127.0.0.1", self.port, user="", password="secret", **keys)

    # ── for scripts ──────────────────────────────────────────────────────────

    def expect(self, *wanted: bytes) -> bytes:
        """Reads until all of `wanted` has been received; returns the bytes up to its end.

        What follows is kept for the next call.
        """
        while True:
            starts = [self.unread.find(item) for item in wanted]
            if all(start >= 0 for start in starts):
                ends = (start + len(item) for start, item in zip(starts, wanted, strict=True))
                end = max(ends, default=0)
                found, self.unread = self.unread[:end], self.unread[end:]
                return found
            data = self._receive()
            assert data, f"the client hung up before {wanted!r}, after {self.unread[-300:]!r}"

    def send(self, data: bytes) -> None:
        """Sends bytes, in pieces if the test wants that."""
        size = self._chunk or len(data) or 1
        for at in range(0, len(data), size):
            self.socket.sendall(data[at : at + size])

    def start_tls(self) -> None:
        """Starts TLS. Raises an error if the client rejects the certificate."""
        assert self._tls is not None
        self.socket = self._tls.wrap_socket(self.socket, server_side=True)

    def read_to_end(self) -> None:
        """Reads until the client ends the connection, and sends nothing."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: the script has closed it
            while self._receive():
                pass

    def hang_up(self) -> None:
        """Closes our direction, and reads until the client closes the other one."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self.read_to_end()

    # ── inside ───────────────────────────────────────────────────────────────

    def _receive(self) -> bytes:
        """Returns received bytes, b"" at the end of the connection."""
        buffered = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()
        if not buffered:
            self._await(self.socket)
        data: bytes = self.socket.recv(1 << 16)
        self.unread += data
        self.received[-1] += data
        return data

    def _await(self, source: Any) -> None:
        """Waits until a socket is readable. In the meantime the script is at rest.

        The mark is removed before the data is taken. So if the mark is there, and nothing can be
        read, the script has handled everything.
        """
        with self._lock:
            self._waiting_for = source
        try:
            if not select.select([source], [], [], PATIENCE)[0]:
                raise TimeoutError(f"the client sent nothing for {PATIENCE:g} s")
        finally:
            with self._lock:
                self._waiting_for = None

    def _run(self) -> None:
        try:
            for number, script in enumerate(self._scripts, 1):
                self._await(self._listener)
                self.socket, _ = self._listener.accept()
                if number == len(self._scripts):
                    self._listener.close()  # further connections are refused
                self.socket.settimeout(PATIENCE)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.unread = b""
                self.received.append(b"")
                try:
                    script(self)
                    self.hang_up()
                finally:
                    self.socket.close()
        except BaseException as error:
            self._error = error


class JumpingClock(RealClock):
    """A clock that jumps to the awaited time as soon as no data can arrive any more.

    That is the case when every script waits for the client. However busy the machine is, a script
    that is only slow does not become a timeout.
    """

    moment = 0.01  # seconds that data on the loopback interface may take

    def __init__(self) -> None:
        super().__init__()
        self._jumped = 0.0

    def time(self) -> float:
        """Returns the real time plus all jumps."""
        return super().time() + self._jumped

    def monotonic(self) -> float:
        """Returns the real time plus all jumps, too."""
        return super().monotonic() + self._jumped

    def wait(self, link: Any, until: float | None, or_stop: bool = False) -> bool:
        """Waits for the link, and jumps to `until` if nothing can arrive."""
        if until is None or until <= self.time() + self.moment:
            return super().wait(link, None if until is None else until - self._jumped, or_stop)
        deadline = time.monotonic() + PATIENCE
        at_rest = False
        while not at_rest and time.monotonic() < deadline:
            at_rest = Peer.all_at_rest()
            # What was in flight before the scripts came to rest arrives within a moment.
            if super().wait(link, super().time() + self.moment, or_stop):
                return True
            if or_stop and self._stopped:
                return False
        self._jumped += max(0.0, until - self.time())
        return False


class RecordingHost(RealHost):
    """A host that records what is printed and logged. Its tokens are a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "host.example.test"
        self.lines: list[str] = []
        self._tokens = 0

    def token(self, length: int) -> str:
        """Returns the next number with that many digits."""
        self._tokens += 1
        return f"{self._tokens:0{length}d}"[-length:]

    def say(self, text: str) -> None:
        """Records a line."""
        self.lines.append(text)

    def log(self, event: str, level: str = "info", **fields: object) -> None:
        """Records an event as one line."""
        self.lines.append(" ".join([event, *(f"{key}={value}" for key, value in fields.items())]))


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """Returns a server context with a certificate for these names, and its authority's file."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return context, path
