"""A TOC client at the level of octets, written from the specification of the protocol alone: the referee of the server.

It imports neither `fakes` nor `comms`, and knows no more than what the two ends of a wire have agreed on. Whatever a
server may not say makes it fail: a gap in the numbers, a NUL, a frame too long, a message that its form of TOC has not, a
field that a real client of the day died of.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from types import TracebackType

SIGNON, DATA, SIGNOFF, KEEP_ALIVE = 1, 2, 4, 5
LONGEST = 8185  # octets of a server's payload
WAIT = 5.0  # real seconds

_UUID = r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}"
_CLASS = r"[ A][ OAUCI][ U]"
_BUDDY = rf"[^:]+:(?:T:(?:[1-9]?[0-9]|100):[0-9]+:[0-9]+:{_CLASS}|F:0:0:0:   )"
_ALWAYS = {
    "NICK": r"[^:]+",
    "ERROR": r"(?:90[123]|91[1-5]|93[01]|950|96[012]|97[0-9]|98[01239]|998)(?::.*)?",
    "EVILED": r"(?:[1-9]?[0-9]|100):[^:]*",
    "CHAT_JOIN": r"[1-9][0-9]*:[^:]+",
    "CHAT_UPDATE_BUDDY": r"[1-9][0-9]*:[TF](?::[^:]+)+",
    "CHAT_INVITE": r"[^:]+:[1-9][0-9]*:[^:]+:.*",
    "CHAT_LEFT": r"[1-9][0-9]*",
    "GOTO_URL": r"[^:]+:[^:]{1,232}",
    "DIR_STATUS": r"[0-9]+",
    "ADMIN_NICK_STATUS": r"[0-9]+",
    "ADMIN_PASSWD_STATUS": r"[0-9]+",
}
_TOC1 = {
    **_ALWAYS,
    "SIGN_ON": r"TOC1\.0",
    "CONFIG": r".*",
    "IM_IN": r"[^:]+:[TF]:.*",
    "UPDATE_BUDDY": _BUDDY,
    "CHAT_IN": r"[1-9][0-9]*:[^:]+:[TF]:.*",
}
_TOC2 = {
    **_ALWAYS,
    "SIGN_ON": r"TOC2\.0",
    "CONFIG2": r"(?:[gbpd]:[^\n]+\n)*m:[1-5]\ndone:\n",
    "IM_IN2": r"[^:]+:[TF]:F:.*",
    "UPDATE_BUDDY2": _BUDDY + ":",
    "BUDDY_CAPS2": rf"[^:]+:{_UUID}(?:,{_UUID})*",
    "CHAT_IN": r"[1-9][0-9]*:[^:]+:[TF]:.*",
    "NEW_BUDDY_REPLY2": r"[^:]+:(?:added|auth)",
    "CLIENT_EVENT2": r"[^:]+:[012]",
}
_ENCODED = {
    **_TOC2,
    "IM_IN_ENC2": rf"[^:]+:[TF]:F:[TF]:{_CLASS},?:F:[ALU]:[A-Za-z-]+:.*",
    "CHAT_IN_ENC": r"[1-9][0-9]*:[^:]+:[TF]:A:[A-Za-z-]+:.*",
}
del _ENCODED["IM_IN2"], _ENCODED["CHAT_IN"]
FORMS = {"toc_signon": _TOC1, "toc2_signon": _TOC2, "toc2_login": _ENCODED}


class ServerError(AssertionError):
    """The server said what it may not."""


def roasted(password: str) -> str:
    """The password as a sign-on command carries it."""
    return "0x" + "".join(f"{ord(c) ^ ord('Tic/Toc'[n % 7]):02x}" for n, c in enumerate(password))


def long_code(name: str, password: str) -> int:
    """The number behind toc2_signon, in the longer of its two published forms."""
    n, w = ord(name[0]) - 96, ord(password[0]) - 96
    a, b = 7696 * n + 738816, 746512 * n
    c = w * a
    return c - a + b + 71665152


def quoted(text: str) -> str:
    """An argument in quotes; AOL's document asks for a backslash before nine characters."""
    return '"' + re.sub(r'([$(){}\[\]"\\])', r"\\\1", text) + '"'


def folded(name: str) -> str:
    """A screen name as a client sends it."""
    return name.replace(" ", "").lower()


class Raw:
    """One client, without a socket: `feed` it what came, send what the other methods give."""

    def __init__(self, name: str, password: str = "secret", form: str = "toc_signon", start: int = 0) -> None:
        self.name = name
        self.password = password
        self.form = form
        self.messages: list[str] = []  # every message so far
        self.seen: dict[str, str] = {}  # folded name → the rest of the last UPDATE_BUDDY
        self.ready = False  # toc_init_done is out
        self.over = False  # an error that ends the session has come
        self.pings = 0  # keep-alives of the server
        self._out = start
        self.buffer: int | None = None
        self._buffer = b""

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def frame(self, kind: int, payload: bytes = b"") -> bytes:
        """A frame with the next number."""
        self._out = (self._out + 1) % 65536
        return struct.pack(">cBHH", b"*", kind, self._out, len(payload)) + payload

    def command(self, text: str) -> bytes:
        """A command."""
        self.ready = self.ready or text.startswith("toc_init_done")
        return self.frame(DATA, text.encode("latin-1") + b"\0")

    def opening(self) -> bytes:
        """FLAPON, the SIGNON frame and the sign-on command."""
        name = folded(self.name).encode()
        signon = self.frame(SIGNON, struct.pack(">LHH", 1, 1, len(name)) + name)
        words = f'{self.form} login.example.test 5190 {name.decode()} {roasted(self.password)} english "raw"'
        if self.form == "toc2_signon":
            words += f" 160 {long_code(name.decode(), self.password)}"
        elif self.form == "toc2_login":
            words += f' 160 US "" "" 3 0 30303 -kentucky -utf8 {long_code(name.decode(), self.password)}'
        return b"FLAPON\r\n\r\n" + signon + self.command(words)

    def im(self, to: str, text: str, auto: bool = False) -> bytes:
        """An instant message."""
        return self.command(f"toc_send_im {folded(to)} {quoted(text)}{' auto' if auto else ''}")

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, data: bytes) -> list[str]:
        """The messages in what came. Raises ServerError."""
        self._buffer += data
        new = []
        while len(self._buffer) >= 6:
            mark, kind, sequence, length = struct.unpack_from(">cBHH", self._buffer)
            self._check(mark == b"*", f"a frame begins with *, not {mark!r}")
            if len(self._buffer) < 6 + length:
                break
            payload, self._buffer = self._buffer[6 : 6 + length], self._buffer[6 + length :]
            self._check(self.buffer is None or sequence == (self.buffer + 1) % 65536, f"number {sequence} after {self.buffer}")
            self._check(length <= LONGEST, f"a payload of {length} octets")
            if self.buffer is None:
                self._check(kind == SIGNON and payload == b"\0\0\0\1", "the first frame is SIGNON, version 1")
            elif kind == KEEP_ALIVE:
                self.pings += 1
            else:
                self._check(kind == DATA, f"a frame of type {kind}")
                new.append(self._message(payload))
            self.buffer = sequence
        return new

    def _message(self, payload: bytes) -> str:
        self._check(b"\0" not in payload, f"a NUL in {payload!r}")
        self._check(not self.over, f"{payload!r} after an error that ends the session")
        text = payload.decode("latin-1")
        word, colon, rest = text.partition(":")
        if text == "PAUSE":
            self.ready = False
        else:
            pattern = FORMS[self.form].get(word)
            self._check(pattern is not None and bool(colon), f"{text!r} is no message for {self.form}")
            self._check(re.fullmatch(str(pattern), rest, re.S) is not None, f"{text!r} is not in its form")
        if not self.messages:
            self._check(word in ("SIGN_ON", "ERROR"), f"{text!r} before SIGN_ON")
        elif not self.ready and len(self.messages) < 3 and word != "ERROR":
            order = ["CONFIG", "NICK"] if self.form == "toc_signon" else ["NICK", "CONFIG2"]
            self._check(word == order[len(self.messages) - 1], f"{text!r} out of order")
        elif not self.ready:
            told = word.startswith(("UPDATE_BUDDY", "IM_IN", "CHAT_"))
            self._check(not told, f"{text!r} before toc_init_done")
        if word.startswith("UPDATE_BUDDY"):
            name, _, status = rest.partition(":")
            self.seen[folded(name)] = status
        self.over = word == "ERROR" and rest[:2] == "98"
        self.messages.append(text)
        return text

    def _check(self, holds: bool, why: str) -> None:
        if not holds:
            raise ServerError(f"to {self.name}: {why}")

    def online(self, name: str) -> bool:
        """Whether somebody is on line, by what was said of him."""
        return self.seen.get(folded(name), "F").startswith("T")


class RawOnSocket(Raw):
    """The same on a socket, reading as it needs to."""

    def __init__(self, address: tuple[str, int], name: str, password: str = "secret", form: str = "toc_signon") -> None:
        super().__init__(name, password, form, start=65530)
        self._socket = socket.create_connection(address, WAIT)
        self._read = 0  # messages that `until` has gone past

    def __enter__(self) -> RawOnSocket:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def send(self, raw: bytes) -> None:
        """Octets to the server."""
        self._socket.sendall(raw)

    def say(self, text: str) -> None:
        """A command to the server."""
        self.send(self.command(text))

    def sign_on(self) -> None:
        """All the way to toc_init_done."""
        self.send(self.opening())
        self.until(lambda message: message.startswith(("NICK", "ERROR")))
        if not self.over:
            self.say("toc_init_done")

    def until(self, wanted: str | Callable[[str], bool]) -> str:
        """Reads on until a message comes that is this, or fits; those before it are gone past. Raises AssertionError."""
        fits = wanted if callable(wanted) else lambda message: message == wanted
        while True:
            while self._read < len(self.messages):
                self._read += 1
                if fits(self.messages[self._read - 1]):
                    return self.messages[self._read - 1]
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                data = b""
            if not data:
                raise AssertionError(f"to {self.name}: {wanted} never came; what did: {self.messages}")
            self.feed(data)

    def ended(self) -> bool:
        """Whether the server hangs up; what it says before is read."""
        try:
            while data := self._socket.recv(1 << 16):
                self.feed(data)
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True
