"""A TOC client at the level of bytes, which checks everything that the server sends.

It is written from the specification of the protocol alone and imports neither `fakes` nor `comms`,
so it can judge the server. It fails if the server does what it must not: a gap in the sequence
numbers, a NUL, a frame that is too long, a message that does not belong to the client's form of
TOC, or a field with which a real client of the time could not cope.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from types import TracebackType

SIGNON, DATA, SIGNOFF, KEEP_ALIVE = 1, 2, 4, 5
LONGEST = 8185  # bytes of a server's payload
WAIT = 5.0  # real seconds

# The fields of each message, by form.
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
    """The server sent what it must not send."""


def roasted(password: str) -> str:
    """Return the password as a sign-on command carries it."""
    key = "Tic/Toc"
    return "0x" + "".join(f"{ord(c) ^ ord(key[n % 7]):02x}" for n, c in enumerate(password))


def long_code(name: str, password: str) -> int:
    """Return the number at the end of toc2_signon, by the longer of its two published formulas."""
    n, w = ord(name[0]) - 96, ord(password[0]) - 96
    a, b = 7696 * n + 738816, 746512 * n
    c = w * a
    return c - a + b + 71665152


def quoted(text: str) -> str:
    """Return an argument in quotes, with a backslash before the nine characters of AOL's list."""
    return '"' + re.sub(r'([$(){}\[\]"\\])', r"\\\1", text) + '"'


def folded(name: str) -> str:
    """Return a screen name as a client sends it."""
    return name.replace(" ", "").lower()


class Raw:
    """A client without a socket: `feed` it what came, and send what the other methods return."""

    def __init__(
        self, name: str, password: str = "secret", form: str = "toc_signon", start: int = 0
    ) -> None:
        """`form` is the sign-on command; `start` precedes the first sequence number."""
        self.name = name
        self.password = password
        self.form = form
        self.messages: list[str] = []  # all messages so far
        self.seen: dict[str, str] = {}  # folded name → the rest of its last UPDATE_BUDDY
        self.ready = False  # toc_init_done has been written
        self.over = False  # an error that ends the session has come
        self.pings = 0  # keep-alives of the server
        self._out = start
        self.buffer: int | None = None
        self._buffer = b""

    @property
    def unread(self) -> bytes:
        """What has come of a frame that is not complete."""
        return self._buffer

    # ── output ───────────────────────────────────────────────────────────────

    def frame(self, kind: int, payload: bytes = b"") -> bytes:
        """Return a frame with the next sequence number."""
        self._out = (self._out + 1) % 65536
        return struct.pack(">cBHH", b"*", kind, self._out, len(payload)) + payload

    def skip(self, count: int) -> None:
        """Leave a gap of `count` sequence numbers before the next frame."""
        self._out += count

    def command(self, text: str) -> bytes:
        """Return a command."""
        self.ready = self.ready or text.startswith("toc_init_done")
        return self.frame(DATA, text.encode("latin-1") + b"\0")

    def opening(self) -> bytes:
        """Return FLAPON, the SIGNON frame and the sign-on command."""
        name = folded(self.name)
        tlv = struct.pack(">LHH", 1, 1, len(name)) + name.encode()
        signon = self.frame(SIGNON, tlv)
        login = f'{self.form} login.example.test 5190 {name} {roasted(self.password)} english "raw"'
        if self.form == "toc2_signon":
            login += f" 160 {long_code(name, self.password)}"
        elif self.form == "toc2_login":
            code = long_code(name, self.password)
            login += f' 160 US "" "" 3 0 30303 -kentucky -utf8 {code}'
        return b"FLAPON\r\n\r\n" + signon + self.command(login)

    def im(self, to: str, text: str, auto: bool = False) -> bytes:
        """Return an instant message."""
        return self.command(f"toc_send_im {folded(to)} {quoted(text)}{' auto' if auto else ''}")

    # ── input ────────────────────────────────────────────────────────────────

    def feed(self, data: bytes) -> list[str]:
        """Return the messages in what came. Raises ServerError."""
        self._buffer += data
        new = []
        while len(self._buffer) >= 6:
            mark, kind, sequence, length = struct.unpack_from(">cBHH", self._buffer)
            self._check(mark == b"*", f"a frame begins with *, not {mark!r}")
            if len(self._buffer) < 6 + length:
                break
            payload, self._buffer = self._buffer[6 : 6 + length], self._buffer[6 + length :]
            follows = self.buffer is None or sequence == (self.buffer + 1) % 65536
            self._check(follows, f"number {sequence} after {self.buffer}")
            self._check(length <= LONGEST, f"a payload of {length} bytes")
            if self.buffer is None:
                opened = kind == SIGNON and payload == b"\0\0\0\1"
                self._check(opened, "the first frame is SIGNON, version 1")
            elif kind == KEEP_ALIVE:
                self.pings += 1
            else:
                self._check(kind == DATA, f"a frame of type {kind}")
                new.append(self._message(payload))
            self.buffer = sequence
        return new

    def message(self, text: str) -> str:
        """Check a message as if it had come, and return it. Raises ServerError."""
        return self._message(text.encode("latin-1"))

    def _message(self, payload: bytes) -> str:
        self._check(b"\0" not in payload, f"a NUL in {payload!r}")
        self._check(not self.over, f"{payload!r} after an error that ends the session")
        text = payload.decode("latin-1")
        word, colon, rest = text.partition(":")
        if text == "PAUSE":
            self.ready = False
        else:
            pattern = FORMS[self.form].get(word)
            known = pattern is not None and bool(colon)
            self._check(known, f"{text!r} is not a message for {self.form}")
            self._check(
                re.fullmatch(str(pattern), rest, re.S) is not None, f"{text!r} is malformed"
            )
        self._check_order(text, word)
        if word.startswith("UPDATE_BUDDY"):
            name, _, status = rest.partition(":")
            self.seen[folded(name)] = status
        self.over = word == "ERROR" and rest[:2] == "98"
        self.messages.append(text)
        return text

    def _check_order(self, text: str, word: str) -> None:
        """The greeting has a fixed order, and only then may other users appear."""
        if not self.messages:
            self._check(word in ("SIGN_ON", "ERROR"), f"{text!r} before SIGN_ON")
        elif not self.ready and len(self.messages) < 3 and word != "ERROR":
            order = ["CONFIG", "NICK"] if self.form == "toc_signon" else ["NICK", "CONFIG2"]
            self._check(word == order[len(self.messages) - 1], f"{text!r} out of order")
        elif not self.ready:
            early = word.startswith(("UPDATE_BUDDY", "IM_IN", "CHAT_"))
            self._check(not early, f"{text!r} before toc_init_done")

    def _check(self, holds: bool, why: str) -> None:
        if not holds:
            raise ServerError(f"to {self.name}: {why}")

    def online(self, name: str) -> bool:
        """Whether a user is online, by the last message about it."""
        return self.seen.get(folded(name), "F").startswith("T")


class RawOnSocket(Raw):
    """The same client on a socket. Leaving the `with` block closes the socket."""

    def __init__(
        self,
        address: tuple[str, int],
        name: str,
        password: str = "secret",
        form: str = "toc_signon",
    ) -> None:
        super().__init__(name, password, form, start=65530)  # the numbers wrap after a few frames
        self._socket = socket.create_connection(address, WAIT)
        self._read = 0  # how many messages `until` has passed

    def __enter__(self) -> RawOnSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, raw: bytes) -> None:
        """Send bytes to the server."""
        self._socket.sendall(raw)

    def receive(self) -> bytes:
        """Receive what has come, unread by `feed`."""
        return self._socket.recv(1 << 16)

    def say(self, text: str) -> None:
        """Send a command to the server."""
        self.send(self.command(text))

    def sign_on(self) -> None:
        """Sign on and go online."""
        self.send(self.opening())
        self.until(lambda message: message.startswith(("NICK", "ERROR")))
        if not self.over:
            self.say("toc_init_done")

    def until(self, wanted: str | Callable[[str], bool]) -> str:
        """Read until a message comes that equals `wanted` or fits it, and return that message.

        The messages before it are passed over. Raises AssertionError if it never comes.
        """
        fits = wanted if callable(wanted) else lambda message: message == wanted
        while True:
            while self._read < len(self.messages):
                self._read += 1
                if fits(self.messages[self._read - 1]):
                    return self.messages[self._read - 1]
            try:
                data = self.receive()
            except TimeoutError:
                data = b""
            if not data:
                raise AssertionError(
                    f"to {self.name}: {wanted} never came; what did: {self.messages}"
                )
            self.feed(data)

    def ending(self) -> str:
        """Read to the end and return how the server ends the connection.

        "closes" (FIN) or "resets" (RST); "stays" if it does neither within WAIT seconds.
        """
        try:
            while data := self.receive():
                self.feed(data)
        except ConnectionError:
            return "resets"
        except TimeoutError:
            return "stays"
        return "closes"
