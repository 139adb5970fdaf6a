"""Fetching mail by POP3: a maildrop as a context manager. It stands on poplib, through the link.

    with Mailbox(settings.server("pop3"), clock) as mailbox:
        for entry in mailbox.entries():           # ids and sizes, oldest first; nothing is fetched yet
            octets = mailbox.fetch(entry)
            mailbox.delete(entry)                 # marked; the QUIT at the end of the block removes it

What is marked is removed when the block ends, also by an exception, as long as the session is in step: no reply is
outstanding and no line was in error. Otherwise the link is cut, and the server forgets the marks (RFC 1939 §6).

Where poplib stops short, this does not: lines of any length (poplib refuses 2,047 octets and is then out of step), lines
that end in CRLF only (a bare LF before a dot is no end of a message), no line break in an argument, an end of the
connection told apart from a refusal, an answer to QUIT that was lost told apart from one that was bad.
"""

from __future__ import annotations

import base64
import hashlib
import poplib
import re
import types
from collections.abc import Callable
from typing import TypeVar

from comms import sasl
from comms.clock import Clock
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.link import Link, client_context, secure
from comms.mailbox import Entry
from comms.settings import Server

T = TypeVar("T")

STATUS_LINE = 8192  # octets; RFC 2449 §4 allows 512, and some servers talk more
LISTING = 1 << 26  # octets of a list of all messages
MESSAGE = 1 << 26  # octets of a message, when the caller says no other limit
SLACK = (
    1 << 16
)  # octets that a message may be larger than the server said: servers that count line ends as one octet


class _OutOfStep(ConnectionError):
    """What came is no POP3, or too much: whatever follows cannot be understood any more."""


class _Client(poplib.POP3):
    """poplib's client on a link, with a reader of its own."""

    def __init__(self, link: Link, host: str) -> None:
        self.link = link
        self._buffer = bytearray()
        super().__init__(host)

    def _create_socket(self, timeout: float) -> Link:
        return self.link

    def _putcmd(self, line: str) -> None:
        if re.search(r"[\r\n\0]", line):
            raise Refused(
                f"a line break or NUL behind {line.split()[0]} could smuggle a command in; nothing was sent"
            )
        self.link.sendall(line.encode(self.encoding) + b"\r\n")

    def _getline(self) -> tuple[bytes, int]:
        line = self.until(b"\r\n", STATUS_LINE)
        return line, len(line) + 2

    def _getresp(self) -> bytes:
        line, _ = self._getline()
        if line.startswith(b"+"):
            return line
        if line.startswith(b"-"):
            raise poplib.error_proto(line)
        raise _OutOfStep(f"no POP3 answer: {line[:100]!r}")

    def until(self, end: bytes, limit: int) -> bytes:
        """What comes before `end`. Raises ConnectionError at the end of the link, and for more octets than `limit`."""
        scanned = 0
        while (at := self._buffer.find(end, scanned)) < 0:
            scanned = max(0, len(self._buffer) - len(end) + 1)
            if len(self._buffer) > limit:
                raise _OutOfStep(f"more than {limit} octets came")
            data = self.link.recv(1 << 16)
            if not data:
                raise ConnectionError("the connection ended in the middle of an answer")
            self._buffer += data
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(end)]
        return found

    def content(self, limit: int) -> bytes:
        """The lines of a multi-line response, dots unstuffed, each ended by CRLF (RFC 1939 §3)."""
        if self._peek(3) == b".\r\n":
            del self._buffer[:3]
            return b""
        stuffed = self.until(b"\r\n.\r\n", limit) + b"\r\n"
        unstuffed = stuffed.replace(b"\r\n.", b"\r\n")
        return unstuffed[1:] if unstuffed.startswith(b".") else unstuffed

    def _peek(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self.link.recv(1 << 16)
            if not data:
                raise ConnectionError("the connection ended in the middle of an answer")
            self._buffer += data
        return bytes(self._buffer[:count])

    def command(self, line: str) -> bytes:
        """One command and its status line. Raises error_proto, OSError."""
        self._putcmd(line)
        return self._getresp()

    def listing(self, line: str) -> list[bytes]:
        """One command and its multi-line response."""
        self.command(line)
        return self.content(LISTING).split(b"\r\n")[:-1]


class Mailbox:
    """A maildrop, logged in to. Raises Unreachable, TryLater (it is locked, or the server is busy) or Refused."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self.server = server
        self._name = f"{server.host}:{server.port}"
        self._clock = clock
        self._open()

    def _open(self) -> None:
        server = self.server
        self._in_step = True  # no reply is outstanding, and no line was in error
        self._marked = 0
        link = Link.connect(server.host, server.port, self._clock, server.timeout)
        self._link = link
        try:
            if server.tls == "implicit":
                secure(self._name, server.host, self._upgrade)
            self._client = self._ask("the connection", lambda: _Client(link, server.host))
            if server.tls == "starttls":
                self._start_tls()
            self._log_in()
        except BaseException:
            link.close()
            raise

    def __enter__(self) -> Mailbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()
        except CommsError as second:
            error.add_note(f"and leaving the mailbox: {second}")

    # ── what a mailbox has, whatever the protocol ────────────────────────────

    def entries(self) -> list[Entry]:
        """Every message, oldest first, with its size: look at it before fetching. Raises Unreachable, Refused."""
        sizes = self._numbered("LIST")
        try:
            ids = self._numbered("UIDL")
        except Refused:  # optional (RFC 1939 §7)
            ids = {}
        if not all(size.isdigit() for size in sizes.values()):
            raise self._lost(_OutOfStep("a size that is no number"))
        return [
            Entry(ids.get(number, ""), int(size), number) for number, size in sorted(sizes.items())
        ]

    def header(self, entry: Entry) -> bytes:
        """The header and the empty line behind it. Raises Refused where the server has no TOP."""
        return self._content(f"TOP {entry.number} 0", MESSAGE)

    def fetch(self, entry: Entry, limit: int = MESSAGE) -> bytes:
        """The message, as it lies there. Raises Refused when it is larger than `limit` octets; nothing is fetched then.

        A message much larger than its size in the list ends the session: Unreachable.
        """
        if entry.size > limit:
            raise Refused(
                f"{self._name}: message {entry.number} has {entry.size} octets, the limit is {limit}"
            )
        return self._content(f"RETR {entry.number}", min(limit, 2 * entry.size) + SLACK)

    def delete(self, entry: Entry) -> None:
        """Marks a message; it is removed when the block ends. Raises Unreachable, Refused."""
        self._command(f"DELE {entry.number}")
        self._marked += 1

    def undelete(self) -> None:
        """Takes all marks back. Raises Unreachable, Refused."""
        self._command("RSET")
        self._marked = 0

    def commit(self) -> None:
        """Removes what is marked, now: POP3 can do that only by ending the session, so another one begins.

        Raises what `close` and the constructor raise.
        """
        self.close()
        self._open()

    def count(self) -> tuple[int, int]:
        """How many messages, and how many octets. Raises Unreachable, Refused."""
        said = self._command("STAT")
        match = re.match(rb"\+OK (\d+) (\d+)", said)
        if match is None:
            raise self._lost(_OutOfStep(f"STAT was answered {said[:100]!r}"))
        return int(match[1]), int(match[2])

    def close(self) -> None:
        """Ends the session: by QUIT, which removes what was marked, if it is in step; else by cutting the link.

        Raises Unknown when something was marked and the answer to QUIT was lost, Refused when not all was removed.
        """
        marked, self._marked = self._marked, 0
        if not self._in_step:
            self._link.close()
            return
        try:
            self._command("QUIT")
        except Unreachable as error:
            if marked:
                raise Unknown(
                    f"{error}; whether {marked} messages were removed is not known"
                ) from None
        except (Refused, TryLater):
            if marked:
                raise
        finally:
            self._in_step = False
            self._link.close()

    # ── opening ──────────────────────────────────────────────────────────────

    def _start_tls(self) -> None:
        def upgrade() -> None:
            self._command("STLS")
            if self._client._buffer:
                raise Unreachable(
                    f"{self._name}: octets in clear stand behind the answer to STLS: somebody may be injecting"
                )
            self._upgrade()

        secure(
            self._name,
            self.server.host,
            upgrade,
            command="STLS",
            offered=b"STLS" in self._capabilities(),
        )

    def _upgrade(self) -> None:
        self._in_step = False
        self._link.start_tls(client_context(self.server.ca_file), self.server.host)
        self._in_step = True

    def _capabilities(self) -> dict[bytes, list[bytes]]:
        try:
            lines = self._ask("CAPA", lambda: self._client.listing("CAPA"))
        except Refused:  # older than RFC 2449
            return {}
        return {words[0].upper(): words[1:] for words in (line.split() for line in lines) if words}

    def _log_in(self) -> None:
        """By the one way that the settings name, or the strongest there is; never by a second one."""
        offered = self._capabilities()
        if (
            b"UTF8" in offered
        ):  # RFC 6856 §2.1: without it, mail with UTF-8 in its header may not be had at all
            self._command("UTF8")
        stamp = re.search(rb"<[^<>\r\n]+@[^<>\r\n]+>", self._client.getwelcome())
        way = self.server.auth
        if way == "auto":
            in_clear = self._link.tls is None
            way = (
                "apop"
                if stamp and in_clear
                else "plain"
                if b"PLAIN" in offered.get(b"SASL", [])
                else "user"
            )
        user, password = self.server.user, self.server.password
        if way == "apop":
            if stamp is None:
                raise Refused(
                    f"{self._name} has no timestamp in its greeting, so there is no APOP; "
                    'the password is not sent in clear instead (auth = "user" would allow it)'
                )
            digest = hashlib.md5(stamp[0] + password.encode()).hexdigest()  # RFC 1939 §7
            self._command(f"APOP {user} {digest}", f"the login of {user} by APOP")
        elif way == "plain":
            self._log_in_by_plain(user, password)
        else:
            self._command(f"USER {user}", f"the user {user}")
            self._command(f"PASS {password}", f"the login of {user}")

    def _log_in_by_plain(self, user: str, password: str) -> None:
        """RFC 5034 §4: the answer goes with the command where it fits in 255 octets, else behind an empty challenge."""
        answer = base64.b64encode(sasl.plain(user, password)(b"")).decode()
        whole = f"AUTH PLAIN {answer}"
        what = f"the login of {user} by PLAIN"
        if len(whole) <= 253:
            self._command(whole, what)
            return
        self._command("AUTH PLAIN", what)
        self._command(answer, what)

    # ── the dialogue ─────────────────────────────────────────────────────────

    def _numbered(self, command: str) -> dict[int, str]:
        lines = self._ask(command, lambda: self._client.listing(command))
        found = {}
        for line in lines:
            number, _, value = line.decode("ascii", "replace").partition(" ")
            if not number.isdigit() or not value:
                raise self._lost(_OutOfStep(f"{command} was answered {line[:100]!r}"))
            found[int(number)] = value.split()[0]
        return found

    def _command(self, line: str, what: str = "") -> bytes:
        """Sends a command and returns its status line. `what` describes it in errors; the default is its first word."""
        return self._ask(what or line.split()[0], lambda: self._client.command(line))

    def _content(self, command: str, limit: int) -> bytes:
        def ask() -> bytes:
            self._client.command(command)
            return self._client.content(limit)

        return self._ask(command, ask)

    def _ask(self, what: str, ask: Callable[[], T]) -> T:
        """One command and its whole answer. While it is under way the session is out of step. Raises CommsError."""
        if not self._in_step:
            raise Unreachable(f"{self._name}: the session is over; open another")
        self._in_step = False
        try:
            answer = ask()
        except poplib.error_proto as error:
            self._in_step = True  # a refusal is a whole answer
            raise self._trouble(what, error.args[0]) from None
        except Refused:  # by us: nothing was sent
            self._in_step = True
            raise
        except OSError as error:
            raise self._lost(error) from None
        self._in_step = True
        return answer

    def _lost(self, error: OSError) -> Unreachable:
        self._in_step = False
        return Unreachable(f"{self._name}: {error}")

    def _trouble(self, what: str, line: bytes) -> Refused | TryLater:
        said = line.decode("utf-8", "replace")
        if self.server.password:
            said = said.replace(self.server.password, "…")  # a server that repeats what it was told
        code = re.match(r"-ERR \[([^\]]*)\]", said, re.I)
        # RFC 2449 §8.1, RFC 3206 §4: what may be better next time
        later = code is not None and code[1].upper().startswith(
            ("IN-USE", "LOGIN-DELAY", "SYS/TEMP")
        )
        return (TryLater if later else Refused)(f"{self._name} refused {what}: {said}")
