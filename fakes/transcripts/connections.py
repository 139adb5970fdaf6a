"""The two kinds of connection on which a transcript is played: to a bare core, and on a socket."""

from __future__ import annotations

import selectors
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fakes.clock import Rehearsal
from fakes.wire import Facts, Session, TlsFacts, Want

PATIENCE = 5.0  # real seconds that a player on a socket waits for an answer


class Connection(Protocol):
    """A client's connection, as the player drives it."""

    def send(self, data: bytes) -> None:
        """Sends bytes to the server."""

    def read(self, enough: Callable[[bytes], bool]) -> bytes:
        """Returns everything received and not yet used, waiting until it is enough or the end."""

    def put_back(self, data: bytes) -> None:
        """Returns bytes that were read and not used."""

    def ended(self) -> str:
        """Waits for the end of the connection: `closes`, `resets`, or "" if it does not come."""

    def start_tls(self) -> None:
        """Does the client's side of the TLS handshake. Raises ValueError if there is no TLS."""

    def leave(self) -> None:
        """Ends the client's side."""

    def close(self) -> None:
        """Frees what the connection holds."""


class OnCore:
    """A connection without sockets: the player is a second shell around a bare core."""

    def __init__(self, session: Session, number: int) -> None:
        self._session = session
        self._buffer = b""
        session.opened(Facts(number))

    def send(self, data: bytes) -> None:
        """Hands the bytes to the core."""
        self._session.receive(data)
        if self._session.wants is Want.HAND_OVER:
            self._session = self._session.hand_over()

    def tick(self) -> None:
        """Runs the core's timers that are due."""
        self._session.tick()

    def read(self, enough: Callable[[bytes], bool]) -> bytes:
        """Returns all output of the core. There is nothing to wait for."""
        while data := self._session.take():
            self._buffer += data
        self._session.written()
        read, self._buffer = self._buffer, b""
        return read

    def put_back(self, data: bytes) -> None:
        """Returns bytes that were read and not used."""
        self._buffer = data + self._buffer

    def ended(self) -> str:
        """How the core wants the connection to end."""
        if self._session.wants is Want.CLOSE:
            return "closes"
        return "resets" if self._session.wants is Want.RESET else ""

    def start_tls(self) -> None:
        """Tells the core that TLS is established."""
        if self._session.wants is not Want.START_TLS:
            raise ValueError("the server did not agree to TLS; write what it answered before")
        self._session.wants = None
        binding = {"tls-server-end-point": bytes(32)}
        self._session.secured(TlsFacts("TLSv1.3", bindings=binding))

    def leave(self) -> None:
        """Tells the core that the client has left."""
        self._session.eof()

    def close(self) -> None:
        """There is nothing to free."""


@dataclass
class Traffic:
    """What the clock of a rehearsal must know about a connection (see fakes.clock.Link)."""

    local: tuple[str, int]
    take: Callable[[], None]
    bytes_in: int = 0
    bytes_out: int = 0
    ended: bool = False
    finished: bool = False
    closed: bool = False

    def pump(self, most: int = 0) -> None:
        """Takes in what has come."""
        self.take()

    def readable(self) -> bool:
        """No program waits for this connection."""
        return False


class OnSocket:
    """A connection on a socket, to our server or to another one.

    With the clock of a rehearsal, each step is handled completely before the next one begins. Over
    TLS the player cannot count the bytes on the wire, so that it waits for answers only.
    """

    def __init__(
        self,
        address: tuple[str, int],
        context: ssl.SSLContext | None = None,
        clock: Rehearsal | None = None,
    ) -> None:
        if clock is not None:
            clock.connecting(address[1])
        self._socket = socket.create_connection(address, PATIENCE)
        # Else a second small piece waits 40 ms until the first is acknowledged.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._context = context
        self._buffer = b""
        self._end = ""
        self._clock = clock
        self._traffic = Traffic(self._socket.getsockname()[:2], self._take)
        if clock is not None:
            clock.connected(self._traffic)

    def send(self, data: bytes) -> None:
        """Sends bytes, and waits until the fake has handled them."""
        try:
            self._socket.sendall(data)
        except OSError:
            self._end = "resets"
        self._traffic.bytes_out += len(data)
        if self._clock is not None:
            self._clock.settle()

    def read(self, enough: Callable[[bytes], bool]) -> bytes:
        """Returns everything received, waiting until it is enough or the connection ends."""
        while not enough(self._buffer) and not self._end:
            self._receive()
        read, self._buffer = self._buffer, b""
        return read

    def _take(self) -> None:
        # Not select.select, which refuses descriptors above 1023.
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while not self._end and selector.select(0):
                self._receive()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
            self._end = "" if data else "closes"
            self._buffer += data
            self._traffic.bytes_in += len(data)
        except ssl.SSLError:
            self._end = "closes"
        except TimeoutError:
            self._end = "sends nothing more"
        except OSError:
            self._end = "resets"
        self._traffic.ended = bool(self._end)

    def put_back(self, data: bytes) -> None:
        """Returns bytes that were read and not used."""
        self._buffer = data + self._buffer

    def ended(self) -> str:
        """Waits for the end of the connection."""
        while not self._end and not self._buffer:
            self._receive()
        return self._end

    def start_tls(self) -> None:
        """Does the client's side of the handshake, verifying the server's certificate."""
        if self._context is None:
            raise ValueError('the servers have no TLS; write given: tls = "optional"')
        if self._clock is not None:
            self._clock.forget(self._traffic)
            self._clock = None
        self._socket = self._context.wrap_socket(self._socket, server_hostname="localhost")

    def leave(self) -> None:
        """Sends FIN."""
        self._traffic.finished = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._end = self._end or "resets"

    def close(self) -> None:
        """Frees the socket."""
        self._traffic.finished = self._traffic.closed = True
        self._socket.close()
