"""The bytes of SMTP: commands as lines, replies of one or more lines, and dots.

    dialogue = Dialogue(socket)
    dialogue.reply("the greeting")
    dialogue.ask("EHLO desk.yourco.test")     # Reply(250, ("mail.yourco.test", "SIZE 1000"))

Any object with a socket's `sendall` and `recv` will do.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

from comms.errors import CommsError, Refused, TryLater
from comms.link import Link, client_context, secure
from comms.settings import Server

LINE = re.compile(r"(?P<code>[2-5][0-9][0-9])(?P<more>[ -]?)(?P<text>.*)")  # RFC 5321 §4.2
DONE, GO_ON, NEVER = 2, 3, 5  # first digits; 4 is: not now


class Socket(Protocol):
    """What is needed of a socket."""

    def sendall(self, data: bytes) -> object:
        """Writes everything. Raises OSError."""

    def recv(self, size: int) -> bytes:
        """Returns what has arrived, b"" at the end. Raises OSError."""


class Reply(NamedTuple):
    """A reply: its code, and the text of each of its lines."""

    code: int
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.code} {' / '.join(self.lines)}"


class Dialogue:
    """A conversation with a server. `show` is called with each line.

    `step` is what the next reply is about; `open` becomes False when the server says goodbye.
    """

    def __init__(self, socket: Socket, show: Callable[[str], object] = lambda line: None) -> None:
        self.step = "the greeting"
        self.open = True
        self.unread = b""  # arrived, and not part of a reply yet
        self._socket, self._show = socket, show

    def ask(self, *commands: str, wanted: int = DONE) -> Reply:
        """Sends commands in one write, and returns the last reply.

        Raises Refused or TryLater if one of them is refused, OSError if the connection is lost.
        """
        for command in commands:
            self._show(f"C: {command}")
        self._socket.sendall("".join(f"{command}\r\n" for command in commands).encode())
        return [self.reply(command, wanted) for command in commands][-1]

    def send_mail(self, raw: bytes) -> Reply:
        """Sends a mail and the dot that ends it, and returns the reply. Raises as `ask`."""
        # RFC 5321 §4.5.2: the server removes the first dot of a line; a dot alone is the end.
        self._socket.sendall(re.sub(rb"(?m)^\.", b"..", raw))
        self._show(f"C: (the mail: {len(raw)} bytes)")
        self.step = "."  # from here on, the server may have accepted the mail
        return self.ask(".")

    def quit(self) -> None:
        """Says QUIT if the server still listens. Nothing depends on the answer."""
        if self.open:
            with contextlib.suppress(CommsError, OSError):
                self.ask("QUIT")

    def reply(self, step: str, wanted: int = DONE) -> Reply:
        """Returns the next reply if it begins with the wanted digit. Raises as `ask`."""
        self.step = step
        texts: list[str] = []
        code, more = 0, "-"
        while more == "-":  # RFC 5321 §4.2.1: a hyphen after the code means that a line follows
            line = self._line()
            self._show(f"S: {line}")
            match = LINE.fullmatch(line)
            if match is None:
                raise ConnectionError(f"this is not SMTP: {line[:80]!r}")
            code, more = int(match["code"]), match["more"]
            texts.append(match["text"])
        reply = Reply(code, tuple(texts))
        if reply.code == 421:  # RFC 5321 §3.8: the server closes the connection
            self.open = False
        if reply.code // 100 == wanted:
            return reply
        kind = Refused if reply.code // 100 == NEVER else TryLater
        raise kind(f"{step}: {reply}")

    def _line(self) -> str:
        """Returns the next line. It may arrive in pieces, or together with others."""
        while b"\n" not in self.unread:
            data = self._socket.recv(4096)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.unread += data
        line, _, self.unread = self.unread.partition(b"\n")
        return line.decode("utf-8", "replace").rstrip("\r")


def offers(reply: Reply, word: str) -> bool:
    """Whether a reply to EHLO lists this extension: one on each line but the first."""
    return word in (line.partition(" ")[0].upper() for line in reply.lines[1:])


def start_tls(dialogue: Dialogue, link: Link, server: Server, offered: bool = True) -> None:
    """Starts TLS as the settings want it. Never goes on in clear text instead."""

    def upgrade() -> None:
        if server.tls == "starttls":
            dialogue.ask("STARTTLS")
        if dialogue.unread:  # anybody on the network may have written it: RFC 3207 §6
            raise ConnectionError("the server sent more than its answer to STARTTLS")
        dialogue.open = False  # if TLS fails, nothing more can be said
        link.start_tls(client_context(server.ca_file), server.host)
        dialogue.open = True

    command = "STARTTLS" if server.tls == "starttls" else ""
    secure(f"{server.host}:{server.port}", server.host, upgrade, command=command, offered=offered)
