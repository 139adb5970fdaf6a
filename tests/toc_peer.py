"""A scripted TOC server and its clock, for the tests of comms.toc: written from the protocol alone, nothing shared.

    peer = Peer()
    peer.on["toc_send_im"] = lambda session, words: session.says("ERROR:903")
    client = Client(peer.server(), peer.clock, peer.host)

Everything runs in the test's own thread: whenever the client waits, the peer answers what has come. Time stands still
until nothing moves, then it jumps to the next cue.
"""

from __future__ import annotations

import re
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

from comms.settings import Server
from fakes.host import Event, Host

PATIENCE = 5.0  # real seconds that octets on the loopback may take
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
        self.ended = ""  # how the client left: closes or resets
        self.said: list[tuple[int, bytes]] = []  # the client's frames: kind, payload
        self._buffer = b""
        self._number = 65530  # wraps soon
        self._expected: int | None = None
        self._flapped = self.closed = False

    # ── what the script does ─────────────────────────────────────────────────

    def says(self, *messages: str, kind: int = 2) -> None:
        """Frames to the client, a write each."""
        for message in messages:
            self.writes(self.framed(message, kind=kind))

    def framed(self, *messages: str, kind: int = 2) -> bytes:
        """The octets of the next frames; whoever asks for them sends them."""
        raw = b""
        for payload in (message.encode("latin-1") for message in messages):
            raw += b"*" + struct.pack(">BHH", kind, self._number, len(payload)) + payload
            self._number = (self._number + 1) % 65536
        return raw

    def writes(self, raw: bytes) -> None:
        """Octets to the client, as many as the budget allows; then it is cut off."""
        left = len(raw) if self.budget is None else self.budget - self.bytes_out
        if not self.closed:
            self._raw.sendall(raw[:left])
            self.bytes_out += len(raw[:left])
            if left < len(raw):
                self.hangs_up()

    def skips(self) -> None:
        """A frame is lost on the way."""
        self._number += 1

    def signs_off(self) -> None:
        """A SIGNOFF frame."""
        self.says("", kind=4)

    def hangs_up(self) -> None:
        """FIN."""
        self.closed = True
        self._raw.shutdown(socket.SHUT_WR)

    def resets(self) -> None:
        """RST."""
        self.closed = True
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._raw.close()

    def leaves(self) -> None:
        """The end of the script."""
        self.closed = True
        self._raw.close()

    def commands(self, *but: str) -> list[str]:
        """What the client asked for, without sign-on and housekeeping."""
        quiet = ("toc2_signon", "toc_init_done", "toc_get_status", *but)
        lines = [
            payload.rstrip(b"\0").decode("latin-1") for kind, payload in self.said if kind == 2
        ]
        return [line for line in lines if not line.startswith(quiet)]

    # ── what the peer does ───────────────────────────────────────────────────

    def serve(self) -> bool:
        """Takes in all that the client wrote, answers it, and has the client hold it; whether anything moved."""
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
            self.ended = "resets"
            return True
        if not data:
            self.ended = "closes"
            if not self.closed:
                self.hangs_up()
            self._raw.close()
            return True
        self.bytes_in += len(data)
        self._buffer += data
        self._take()
        return True

    def _take(self) -> None:
        if not self._flapped and len(self._buffer) >= 10:
            assert self._buffer[:10] == b"FLAPON\r\n\r\n", self._buffer
            self._buffer, self._flapped = self._buffer[10:], True
            self.says("\0\0\0\1", kind=1)
        while self._flapped and len(self._buffer) >= 6:
            star, kind, number, length = struct.unpack(">cBHH", self._buffer[:6])
            assert star == b"*" and self._expected in (None, number), (star, number, self._expected)
            if len(self._buffer) < 6 + length:
                return
            payload, self._buffer = self._buffer[6 : 6 + length], self._buffer[6 + length :]
            self._expected = (number + 1) % 65536
            self._heard(kind, payload)

    def _heard(self, kind: int, payload: bytes) -> None:
        self.said.append((kind, payload))
        if kind == 1:
            assert payload[:6] == b"\0\0\0\1\0\1"
            self.name = payload[8:].decode()
        if kind != 2 or self.closed:
            return
        assert payload.endswith(b"\0") and len(payload) + 6 <= 2048, "one NUL, within 2,048 octets"
        line = payload[:-1].decode("latin-1")
        word, _, rest = line.partition(" ")
        if word in self.peer.on:
            self.peer.on[word](self, rest)


class Peer:
    """Accepts the client, signs it on, and does what `on` says: command → function (session, the rest of the line)."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.sessions: list[Session] = []
        self.clock = Time(self)
        self.events: list[Event] = []
        self.host = Host("web1.example.test", self.clock.time, self.events.append)
        self.config = "g:Friends\nb:Bob\nb:Ann Lee\nm:1\ndone:\n"
        self.present: list[str] = []  # UPDATE_BUDDY2 lines that follow toc_init_done
        self.on: dict[str, Callable[[Session, str], None]] = {
            "toc2_signon": self._sign_on,
            "toc_init_done": lambda session, rest: session.says(*self.present),
            "toc_get_status": self._status,
        }
        self.refusal = ""
        self.budgets: list[int] = []  # after so many octets the next sessions are cut off

    def server(self, **changes: Any) -> Server:
        """The settings that lead here."""
        port = self._listener.getsockname()[1]
        facts = {"password": PASSWORD, "screen_name": "OpsBot", "timeout": 5.0, **changes}
        return Server("toc", "127.0.0.1", port, "none", **facts)

    @property
    def session(self) -> Session:
        """The latest."""
        return self.sessions[-1]

    def log(self) -> list[str]:
        """What the client logged."""
        return [event.text for event in self.events]

    def close(self) -> None:
        """Nobody is there any more."""
        self._listener.close()
        for session in self.sessions:
            session.leaves()

    def accept(self, link: Any) -> None:
        """The link has connected."""
        raw, _ = self._listener.accept()
        self.sessions.append(Session(self, raw, link))

    def serve(self) -> None:
        """Answers until nothing moves."""
        while sum(session.serve() for session in self.sessions):
            pass

    def _sign_on(self, session: Session, rest: str) -> None:
        if self.refusal:
            session.says(self.refusal)
            session.hangs_up()
        else:
            session.says("SIGN_ON:TOC2.0", "NICK:OpsBot", f"CONFIG2:{self.config}")

    def _status(self, session: Session, rest: str) -> None:
        session.says("UPDATE_BUDDY2:OpsBot:T:0:1767571200:0: O :")


class Time:
    """Fits comms.clock.Clock."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._now = 1767571200.0
        self._cues: list[tuple[float, Callable[[], object]]] = []

    def at(self, seconds: float, cue: Callable[[], object]) -> None:
        """Has something happen so many seconds from now."""
        self._cues.append((self._now + seconds, cue))
        self._cues.sort(key=lambda cue: cue[0])

    def time(self) -> float:
        return self._now

    def every(self, seconds: float) -> Iterator[None]:
        start = self._now
        while True:
            over = not self._cues
            yield
            if over:
                return
            self.wait(None, start + ((self._now - start) // seconds + 1) * seconds)

    def wait(self, link: Any, until: float | None, or_stop: bool = False) -> bool:
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
    """An UPDATE_BUDDY2 of somebody."""
    return f"UPDATE_BUDDY2:{name}:{online}:{evil}:1767571200:{idle}:{kind}:"


def arguments(rest: str) -> list[str]:
    """A command's arguments, by the rules of servers: bare, or quoted, where a backslash makes the next literal."""
    found = []
    for quoted, bare in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', rest, re.S):
        found.append(re.sub(r"\\(.)", r"\1", quoted or bare, flags=re.S))
    return found
