"""A server that says what a test tells it to, octet by octet if it likes: it knows no protocol, and so believes nothing.

with Peer(play) as peer:                 # play(peer) runs in a thread: peer.reads(b"…"), peer.says(b"…")
    client = Client(peer.server(), clock, host)
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from comms.clock import RealClock
from comms.host import RealHost
from comms.settings import Server

PATIENCE = 5.0  # seconds that the script waits for what the client should say
MOMENT = 0.01  # seconds after which `Hasty` looks again at a script that is busy


class Peer:
    """One listening port, and a script for the connections that come; what it did not expect fails the test."""

    running: ClassVar[set[Peer]] = set()

    def __init__(self, *plays: Callable[[Peer], object], chop: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._plays, self._chop, self._tls = plays, chop, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._source: socket.socket | None = None  # where the script waits for something to arrive
        self._silent: threading.Event | None = None
        self.port: int = self._listener.getsockname()[1]
        self.heard = b""  # by the connection that stands
        self.said: list[bytes] = []  # what each connection heard in all
        self.link: Any = None

    def __enter__(self) -> Peer:
        self._thread.start()
        self.running.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.running.discard(self)
        if error is not None:
            self._listener.close()
        self._thread.join(2 * PATIENCE)
        self._listener.close()
        assert not self._thread.is_alive(), "the script never came to its end"
        if error is None and self._error is not None:
            raise self._error

    def server(self, **changes: Any) -> Server:
        """The settings of an account on it."""
        keys: dict[str, Any] = {"tls": "none", "auth": "plain", "timeout": 2.0, "jid": "bot@example.test"}
        return Server("xmpp", "127.0.0.1", self.port, user="", password="secret", **(keys | changes))

    def reads(self, *wanted: bytes) -> bytes:
        """What the client says, up to where all of this stands in it; the rest is kept for the next reading."""
        while True:
            at = [self.heard.find(one) for one in wanted]
            if all(place >= 0 for place in at):
                end = max((place + len(one) for place, one in zip(at, wanted, strict=True)), default=0)
                found, self.heard = self.heard[:end], self.heard[end:]
                return found
            data = self._receive()
            assert data, f"the client hung up where {wanted!r} was due, behind {self.heard[-300:]!r}"
            self.heard += data
            self.said[-1] += data

    def says(self, data: bytes) -> None:
        """Says this, in pieces if the test wants it so."""
        size = self._chop or len(data) or 1
        for at in range(0, len(data), size):
            self.link.sendall(data[at : at + size])

    def starts_tls(self) -> None:
        """The server's side of TLS; a client that does not want it is no error of the script."""
        assert self._tls is not None
        self.link = self._tls.wrap_socket(self.link, server_side=True)

    def hangs_up(self) -> None:
        """Closes its side; reads what still comes."""
        with contextlib.suppress(OSError):
            self.link.shutdown(socket.SHUT_WR)
            while data := self._receive():
                self.heard += data
                self.said[-1] += data

    def falls_silent(self, until: threading.Event) -> None:
        """Does nothing until the event is set."""
        self._silent = until
        until.wait(PATIENCE)
        self._silent = None

    def is_idle(self) -> bool:
        """Returns whether the script sends nothing more until the client has acted."""
        with self._lock:
            if not self._thread.is_alive():
                return True
            silent, source = self._silent, self._source
            if silent is not None:
                return not silent.is_set()
            return source is not None and not select.select([source], [], [], 0)[0]

    def _wait_for(self, source: socket.socket) -> None:
        """Waits until something has arrived, but does not take it.

        The source is still readable when `is_idle` is told that the script no longer waits for it, so
        that there is no instant at which input has been taken and the script seems idle.
        """
        with self._lock:
            self._source = source
        arrived = select.select([source], [], [], PATIENCE)[0]
        with self._lock:
            self._source = None
        if not arrived:
            raise TimeoutError(f"the client did nothing within {PATIENCE:g} s")

    def _receive(self) -> bytes:
        if not (isinstance(self.link, ssl.SSLSocket) and self.link.pending()):
            self._wait_for(self.link)
        data: bytes = self.link.recv(1 << 16)
        return data

    def _run(self) -> None:
        try:
            for number, play in enumerate(self._plays, 1):
                self._wait_for(self._listener)
                self.link, _ = self._listener.accept()
                if number == len(self._plays):
                    self._listener.close()  # nobody else is served
                self.link.settimeout(PATIENCE)
                self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.heard = b""
                self.said.append(b"")
                try:
                    play(self)
                    self.hangs_up()
                finally:
                    self.link.close()
        except BaseException as error:
            self._error = error


class Hasty(RealClock):
    """A clock that jumps to the time waited for as soon as every script waits for the client."""

    def __init__(self) -> None:
        super().__init__()
        self._jumped = 0.0

    def time(self) -> float:
        """Real time, and all the jumps."""
        return super().time() + self._jumped

    def wait(self, link: Any, until: float | None, or_stop: bool = False) -> bool:
        """See Clock."""
        if until is None:
            return super().wait(link, None, or_stop)
        while True:
            # Look at the scripts first: an idle script has already sent whatever it was to send.
            idle = all(peer.is_idle() for peer in Peer.running)
            if super().wait(link, super().time(), or_stop):
                return True
            if (or_stop and self._stopped) or until <= self.time():
                return False
            if idle:
                self._jumped += until - self.time()
                return False
            super().wait(link, super().time() + MOMENT, or_stop)


class Notebook(RealHost):
    """A host that writes down what is said and logged; its chance is a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "host.example.test"
        self.lines: list[str] = []
        self._tokens = 0

    def token(self, length: int) -> str:
        """See Host."""
        self._tokens += 1
        return f"{self._tokens:0{length}d}"[-length:]

    def say(self, text: str) -> None:
        """See Host."""
        self.lines.append(text)

    def log(self, event: str, level: str = "info", **fields: object) -> None:
        """See Host."""
        self.lines.append(" ".join([event, *(f"{key}={value}" for key, value in fields.items())]))


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for these names, and the file of its authority."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return context, path
