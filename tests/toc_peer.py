"""A scripted TOC server and its clock, for the tests of comms.toc.

    peer = Peer()
    peer.on["toc_send_im"] = lambda session, rest: session.send("ERROR:903")
    client = Client(peer.server(), peer.clock, peer.host)

It is written from the protocol alone and shares no code with comms or fakes, except for the fakes'
host. Everything runs in the test's thread: whenever the client waits, the peer answers what has
arrived. The time is simulated: it does not pass while data is in flight, and then jumps to the next
cue.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

from comms.settings import Server
from fakes.host import Event, Host

PATIENCE = 5.0  # real seconds that data on the loopback interface may take
PASSWORD = "secret"


class Session:
    """One connection of the client, as the server sees it."""

    def __init__(self, peer: Peer, raw: socket.socket, link: Any) -> None:
        self.peer, self._raw, self._link = peer, raw, link
        self.budget = peer.budgets.pop(0) if peer.budgets else None
        raw.settimeout(PATIENCE)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bytes_in = self.bytes_out = 0
        self.name = ""
        self.ended = ""  # how the client ended it: "close" or "reset"
        self.received: list[tuple[int, bytes]] = []  # the client's frames: kind, payload
        self._buffer = b""
        self._number = 65530  # soon wraps around
        self._expected: int | None = None
        self._flapped = self.closed = False

    # ── for scripts ──────────────────────────────────────────────────────────

    def send(self, *messages: str, kind: int = 2) -> None:
        """Sends each message as a frame, in one write per frame."""
        for message in messages:
            self.write(self.frames(message, kind=kind))

    def frames(self, *messages: str, kind: int = 2) -> bytes:
        """Returns the bytes of the next frames. The caller has to write them."""
        raw = b""
        for payload in (message.encode("latin-1") for message in messages):
            raw += b"*" + struct.pack(">BHH", kind, self._number, len(payload)) + payload
            self._number = (self._number + 1) % 65536
        return raw

    def write(self, raw: bytes) -> None:
        """Writes bytes, as many as the budget allows. After that it closes the connection."""
        left = len(raw) if self.budget is None else self.budget - self.bytes_out
        if not self.closed:
            self._raw.sendall(raw[:left])
            self.bytes_out += len(raw[:left])
            if left < len(raw):
                self.hang_up()

    def skip_frame(self) -> None:
        """Leaves out a sequence number, as if a frame had been lost."""
        self._number += 1

    def sign_off(self) -> None:
        """Sends a SIGNOFF frame."""
        self.send("", kind=4)

    def hang_up(self) -> None:
        """Ends the connection by FIN."""
        self.closed = True
        self._raw.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection by RST."""
        self.closed = True
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._raw.close()

    def close(self) -> None:
        """Closes the socket at the end of the test."""
        self.closed = True
        self._raw.close()

    def commands(self, *without: str) -> list[str]:
        """Returns the client's commands, without sign-on and status queries."""
        ignored = ("toc2_signon", "toc_init_done", "toc_get_status", *without)
        lines = [
            payload.rstrip(b"\0").decode("latin-1") for kind, payload in self.received if kind == 2
        ]
        return [line for line in lines if not line.startswith(ignored)]

    # ── for the peer ─────────────────────────────────────────────────────────

    def serve(self) -> bool:
        """Moves all data that is in flight. Returns whether there was any.

        Answers everything that the client has written, and makes the client take in the answers.
        """
        moved = False
        while self._raw.fileno() >= 0 and not self.ended and self.bytes_in < self._link.bytes_out:
            moved |= self._receive()
        if self._raw.fileno() >= 0 and not self.ended and select.select([self._raw], [], [], 0)[0]:
            moved |= self._receive()
        while (
            not self._link.closed and not self._link.ended and self._link.bytes_in < self.bytes_out
        ):
            self._link.pump()
            moved = True
        if self.closed and not self._link.closed and not self._link.ended:
            assert select.select([self._link], [], [], PATIENCE)[0]
            self._link.pump()
            moved = True
        return moved

    def _receive(self) -> bool:
        try:
            data = self._raw.recv(1 << 16)
        except ConnectionError:
            self.ended = "reset"
            return True
        if not data:
            self.ended = "close"
            if not self.closed:
                self.hang_up()
            self._raw.close()
            return True
        self.bytes_in += len(data)
        self._buffer += data
        self._take_frames()
        return True

    def _take_frames(self) -> None:
        if not self._flapped and len(self._buffer) >= 10:
            assert self._buffer[:10] == b"FLAPON\r\n\r\n", self._buffer
            self._buffer, self._flapped = self._buffer[10:], True
            self.send("\0\0\0\1", kind=1)
        while self._flapped and len(self._buffer) >= 6:
            star, kind, number, length = struct.unpack(">cBHH", self._buffer[:6])
            assert star == b"*" and self._expected in (None, number), (star, number, self._expected)
            if len(self._buffer) < 6 + length:
                return
            payload, self._buffer = self._buffer[6 : 6 + length], self._buffer[6 + length :]
            self._expected = (number + 1) % 65536
            self._handle(kind, payload)

    def _handle(self, kind: int, payload: bytes) -> None:
        self.received.append((kind, payload))
        if kind == 1:
            assert payload[:6] == b"\0\0\0\1\0\1"
            self.name = payload[8:].decode()
        if kind != 2 or self.closed:
            return
        assert payload.endswith(b"\0") and len(payload) + 6 <= 2048, "one NUL, within 2,048 bytes"
        line = payload[:-1].decode("latin-1")
        command, _, rest = line.partition(" ")
        if command in self.peer.on:
            self.peer.on[command](self, rest)


class Peer:
    """The server. It signs clients on and does what `on` says.

    `on` maps a command to a function of the session and the rest of the line.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.sessions: list[Session] = []
        self.clock = Time(self)
        self.events: list[Event] = []
        self.host = Host("web1.example.test", self.clock.time, self.events.append)
        self.config = "g:Friends\nb:Bob\nb:Ann Lee\nm:1\ndone:\n"
        self.present: list[str] = []  # UPDATE_BUDDY2 messages that follow toc_init_done
        self.on: dict[str, Callable[[Session, str], None]] = {
            "toc2_signon": self._sign_on,
            "toc_init_done": lambda session, rest: session.send(*self.present),
            "toc_get_status": self._status,
        }
        self.refusal = ""
        self.budgets: list[int] = []  # bytes after which the next sessions are cut off

    def server(self, **changes: Any) -> Server:
        """Returns the settings of this server."""
        port = self._listener.getsockname()[1]
        facts = {"password": PASSWORD, "screen_name": "OpsBot", "timeout": 5.0, **changes}
        return Server("toc", "127.0.0.1", port, "none", **facts)

    @property
    def session(self) -> Session:
        """The latest session."""
        return self.sessions[-1]

    def log(self) -> list[str]:
        """Returns what the client has logged."""
        return [event.text for event in self.events]

    def close(self) -> None:
        """Stops listening and closes every session."""
        self._listener.close()
        for session in self.sessions:
            session.close()

    def accept(self, link: Any) -> None:
        """Accepts the connection of a link."""
        raw, _ = self._listener.accept()
        self.sessions.append(Session(self, raw, link))

    def serve(self) -> None:
        """Serves all sessions until no data is in flight."""
        while sum(session.serve() for session in self.sessions):
            pass

    def _sign_on(self, session: Session, rest: str) -> None:
        if self.refusal:
            session.send(self.refusal)
            session.hang_up()
        else:
            session.send("SIGN_ON:TOC2.0", "NICK:OpsBot", f"CONFIG2:{self.config}")

    def _status(self, session: Session, rest: str) -> None:
        session.send("UPDATE_BUDDY2:OpsBot:T:0:1767571200:0: O :")


class Time:
    """A simulated clock (comms.clock.Clock). Cues are functions that it calls at their time."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._now = 1767571200.0
        self._jumped = 0.0
        self._cues: list[tuple[float, Callable[[], object]]] = []

    def at(self, seconds: float, cue: Callable[[], object]) -> None:
        """Schedules a cue, that many seconds from now."""
        self._cues.append((self._now + seconds, cue))
        self._cues.sort(key=lambda cue: cue[0])

    def jump(self, seconds: float) -> None:
        """Sets the wall clock forward or back. Cues keep their time."""
        self._jumped += seconds

    def time(self) -> float:
        return self._now + self._jumped

    def monotonic(self) -> float:
        return self._now

    def stopping(self) -> bool:
        return False

    def limit(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def every(self, seconds: float) -> Iterator[None]:
        start = self._now
        while True:
            over = not self._cues
            yield
            if over:
                return
            due = start + ((self._now - start) // seconds + 1) * seconds
            self.wait(None, due + self._jumped)

    def wait(self, link: Any, until: float | None, or_stop: bool = False) -> bool:
        until = None if until is None else until - self._jumped
        while True:
            self._peer.serve()
            if link is not None and link.readable():
                return True
            if self._cues and (until is None or self._cues[0][0] <= until):
                due, cue = self._cues.pop(0)
                self._now = max(self._now, due)
                cue()
            elif until is None:
                return False
            else:
                self._now = max(self._now, until)
                return False

    def connecting(self, port: int) -> None:
        pass

    def connected(self, link: Any) -> None:
        self._peer.accept(link)

    def writing(self, link: Any) -> None:
        pass


def update(name: str, online: str = "T", *, evil: int = 0, idle: int = 0, kind: str = " O ") -> str:
    """Returns an UPDATE_BUDDY2 about a user."""
    return f"UPDATE_BUDDY2:{name}:{online}:{evil}:1767571200:{idle}:{kind}:"


def arguments(rest: str) -> list[str]:
    """Splits a command's arguments as servers do.

    An argument is bare or in quotes, where a backslash makes the next character literal.
    """
    found = []
    for quoted, bare in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', rest, re.S):
        found.append(re.sub(r"\\(.)", r"\1", quoted or bare, flags=re.S))
    return found
