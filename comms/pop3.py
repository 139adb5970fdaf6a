"""Fetching mail by POP3 (RFC 1939). A `Mailbox` is a context manager.

    with Mailbox(settings.server("pop3"), clock) as mailbox:
        for entry in mailbox.entries():       # ids and sizes, oldest first; nothing is fetched yet
            raw = mailbox.fetch(entry)
            mailbox.delete(entry)             # marks it; QUIT at the end of the block removes it

The marked mails are removed when the block ends, even with an exception, as long as the session is
in step: no reply is outstanding, and every line was understood. Otherwise the connection is cut,
and the server forgets the marks (RFC 1939 §6).

This module uses poplib through `Link`, and improves on it:

- Lines can have any length. poplib refuses more than 2,047 bytes and is then out of step.
- Lines end in CRLF only, so that a bare LF before a dot does not end a mail.
- Arguments cannot contain line breaks.
- The end of the connection is distinguished from a refusal, and a lost answer to QUIT from a
  negative one.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import poplib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from comms import mailbox, sasl
from comms.clock import Clock
from comms.errors import OddReply, Refused, RefusedNow, TryLater, Unknown, Unreachable
from comms.link import ANSWER, MAYBE_TLS, Link, client_context, secure
from comms.mailbox import Entry
from comms.numbers import number

if TYPE_CHECKING:
    from comms.settings import Server

T = TypeVar("T")

TEXT = 300  # characters of an error that shows what a server has sent
STATUS_LINE = 8192  # bytes; RFC 2449 §4 allows 512, but some servers send more
LISTING = 1 << 24  # bytes of a list of all mails
ENTRIES = 100_000  # mails of a list that are looked at; the others come when these are deleted
MESSAGE = 1 << 26  # bytes of a mail, unless the caller sets another limit
SLACK = 1 << 16  # bytes by which a mail may exceed its stated size
CHUNK = 1 << 16  # bytes of one read
REQUIRED = ("the connection", "STAT", "LIST", "QUIT")  # what every server must be able to do
LONGEST_COMMAND = 253  # bytes without CRLF (RFC 2449 §4: 255 with it)


# RFC 1939 §7: it is written like a Message-ID, so it is printable ASCII. With the digests of other
# bytes, a false server can find out the beginning of the password (CVE-2007-1558).
_TIMESTAMP = re.compile(rb"<[ -;=?-~][ -;=?A-~]*@[ -;=?-~]+>")

# RFC 1939 §7 allows 70 characters; some servers send more.
_ID = re.compile(r"[!-~]{1,250}")


def _unique_id(word: bytes) -> str | None:
    """Returns a unique id, None if it is not as RFC 1939 §7 wants it."""
    text = word.decode("ascii", "replace")
    return text if _ID.fullmatch(text) else None


class _OutOfStep(ConnectionError):
    """What arrived is not POP3, or is too much: nothing after it can be understood."""


class _OddNumber(_OutOfStep):
    """A number that the server sent is not one, or is larger than any that there can be."""


class _Client(poplib.POP3):
    """poplib's client on a link, with its own reader."""

    def __init__(self, link: Link, host: str) -> None:
        self.link = link
        self._buffer = bytearray()
        super().__init__(host)

    def _create_socket(self, timeout: float) -> Link:
        return self.link

    def _putcmd(self, line: str) -> None:
        if re.search(r"[\r\n\0]", line):
            raise Refused(
                f"a line break or NUL after {line.split()[0]} could add a command; nothing was sent"
            )
        self.link.sendall(line.encode(self.encoding) + b"\r\n")

    def _getline(self) -> tuple[bytes, int]:
        line = self.read_until(b"\r\n", STATUS_LINE)
        return line, len(line) + 2

    def _getresp(self) -> bytes:
        line, _ = self._getline()
        if line.startswith(b"+"):
            return line
        if line.startswith(b"-"):
            raise poplib.error_proto(line)
        raise _OutOfStep(f"not a POP3 reply: {line!r}")

    @property
    def unread(self) -> bytes:
        """What has been received and not been read yet."""
        return bytes(self._buffer)

    def read_until(self, end: bytes, limit: int) -> bytes:
        """Returns the bytes before `end`.

        Raises ConnectionError at the end of the connection, and after `limit` bytes without `end`.
        """
        scanned = 0
        while (at := self._buffer.find(end, scanned)) < 0:
            # `end` may be split between two reads, so look again at the last bytes.
            scanned = max(0, len(self._buffer) - len(end) + 1)
            if len(self._buffer) > limit:
                raise _OutOfStep(f"the reply has more than {limit} bytes")
            self._receive()
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(end)]
        return found

    def content(self, limit: int) -> bytes:
        """Returns the lines of a multi-line response (RFC 1939 §3), each with its CRLF.

        Dots that the server has added (dot-stuffing) are removed.
        """
        self.link.expect(limit + SLACK)
        while len(self._buffer) < 3:
            self._receive()
        if self._buffer.startswith(b".\r\n"):
            del self._buffer[:3]
            return b""
        stuffed = self.read_until(b"\r\n.\r\n", limit) + b"\r\n"
        unstuffed = stuffed.replace(b"\r\n.", b"\r\n")
        return unstuffed[1:] if unstuffed.startswith(b".") else unstuffed

    def _receive(self) -> None:
        data = self.link.recv(CHUNK)
        if not data:
            raise ConnectionError("the connection ended in the middle of a reply")
        self._buffer += data

    def command(self, line: str) -> bytes:
        """Sends a command and returns its status line. Raises error_proto, OSError."""
        self._putcmd(line)
        return self._getresp()

    def listing(self, line: str, limit: int = LISTING) -> Iterator[bytes]:
        """Sends a command and yields the lines of its multi-line response, as they arrive."""
        self.command(line)
        self.link.expect(limit)
        while (found := self.read_until(b"\r\n", STATUS_LINE)) != b".":
            yield found.removeprefix(b".")


class Mailbox(mailbox.Mailbox):
    """A maildrop, with the login done.

    Raises Unreachable, Refused, or TryLater if it is locked or the server is busy.
    """

    def __init__(self, server: Server, clock: Clock) -> None:
        self.server = server
        self._name = f"{server.host}:{server.port}"
        self._clock = clock
        self._open()

    def _open(self) -> None:
        server = self.server
        self._in_step = True  # no reply is outstanding, and every line was understood
        self._marked = 0
        self._link = link = Link.connect(server.host, server.port, self._clock, server.timeout)
        try:
            if server.tls == "implicit":
                secure(self._name, server.host, self._upgrade)
            try:
                self._client = self._run("the connection", lambda: _Client(link, server.host))
            except Unreachable as error:
                if server.tls == "implicit":
                    raise
                raise Unreachable(f"{error}; {MAYBE_TLS}") from None
            if server.tls == "starttls":
                self._start_tls()
            self._log_in()
        except BaseException:
            link.close()
            raise

    # ── what every mailbox can do (comms.mailbox) ────────────────────────────

    def entries(self) -> list[Entry]:
        """Returns all mails with their sizes, oldest first. Raises Unreachable, Refused."""
        sizes = self._numbered("LIST", number)
        try:
            ids = self._ids()
        except OddReply:
            raise
        except Refused:  # optional (RFC 1939 §7)
            ids = {}
        return [Entry(ids.get(key, ""), size, key) for key, size in sorted(sizes.items())]

    def header(self, entry: Entry) -> bytes:
        """Returns the header of a mail and the empty line after it.

        Raises Refused if the server does not support TOP, which is optional.
        """
        return self._content(f"TOP {entry.number} 0", MESSAGE)

    def fetch(self, entry: Entry, limit: int = MESSAGE) -> bytes:
        """Returns a mail as it is stored.

        Raises Refused if it is larger than `limit` bytes; nothing is fetched then. Raises
        Unreachable if it turns out to be much larger than the server stated.
        """
        if entry.size > limit:
            raise Refused(
                f"{self._name}: message {entry.number} has {entry.size} bytes, the limit is {limit}"
            )
        # Servers that count a line end as one byte state up to half of the real size.
        return self._content(f"RETR {entry.number}", min(limit, 2 * entry.size) + SLACK)

    def delete(self, entry: Entry) -> None:
        """Marks a mail, which is removed when the block ends. Raises Unreachable, Refused."""
        self._command(f"DELE {entry.number}")
        self._marked += 1

    def undelete(self) -> None:
        """Removes all marks. Raises Unreachable, Refused."""
        self._command("RSET")
        self._marked = 0

    def commit(self) -> None:
        """Removes the marked mails now. Raises what `close` and the constructor raise.

        POP3 can only do that at the end of a session, so this closes it and opens another one.
        """
        self.close()
        self._open()

    def count(self) -> tuple[int, int]:
        """Returns the number of mails and their size in bytes. Raises Unreachable, Refused."""
        reply = self._command("STAT")
        found = [number(word) for word in reply.split()[1:3]]
        if len(found) != 2 or found[0] is None or found[1] is None:
            raise self._lost(_OddNumber(f"not a reply to STAT: {reply!r}"))
        return found[0], found[1]

    def unseen(self) -> int:
        """Returns the number of mails: POP3 does not know which of them were read."""
        return self.count()[0]

    def close(self) -> None:
        """Ends the session: by QUIT, which removes the marked mails, or by cutting the connection.

        It is cut if the session is out of step. Raises Unknown if mails were marked and the reply
        to QUIT was lost, Refused if the server could not remove all of them.
        """
        marked, self._marked = self._marked, 0
        if not self._in_step:
            self._link.close()
            return
        try:
            self._command("QUIT")
        except (Unreachable, OddReply) as error:
            if marked:
                raise Unknown(
                    f"{error}; it is unknown whether {marked} messages were removed"
                ) from None
        except (Refused, TryLater):
            if marked:
                raise
        finally:
            self._in_step = False
            self._link.close()

    # ── TLS and login ────────────────────────────────────────────────────────

    def _start_tls(self) -> None:
        def upgrade() -> None:
            self._command("STLS")
            if self._client.unread:
                raise Unreachable(
                    f"{self._name}: bytes in clear text follow the answer to STLS: "
                    "this may be an injection attack"
                )
            self._upgrade()

        offered = b"STLS" in self._capabilities()
        secure(self._name, self.server.host, upgrade, command="STLS", offered=offered)

    def _upgrade(self) -> None:
        # If the handshake fails, no command can follow, not even QUIT.
        self._in_step = False
        self._link.start_tls(client_context(self.server.ca_file), self.server.host)
        self._in_step = True

    def _capabilities(self) -> dict[bytes, list[bytes]]:
        try:
            lines = self._run("CAPA", lambda: [*self._client.listing("CAPA", ANSWER)])
        except OddReply:
            raise
        except Refused:  # a server that is older than RFC 2449
            return {}
        return {words[0].upper(): words[1:] for words in (line.split() for line in lines) if words}

    def _log_in(self) -> None:
        """Logs in as the settings say, or else in the strongest way on offer.

        If that fails, no second way is tried: it might reveal the password.
        """
        offered = self._capabilities()
        if b"UTF8" in offered:
            # RFC 6856 §2.1: otherwise the server may withhold mails with UTF-8 in their header.
            # Some servers offer it and then refuse it; their other mails can be fetched anyway.
            with contextlib.suppress(Refused):
                self._command("UTF8")
        timestamp = _TIMESTAMP.search(self._client.getwelcome())
        way = self.server.auth
        if way == "auto":
            # APOP hides the password on a connection in clear text. Inside TLS it has no advantage.
            if timestamp and self._link.tls is None:
                way = "apop"
            else:
                way = "plain" if b"PLAIN" in offered.get(b"SASL", []) else "user"
        user, password = self.server.user, self.server.password
        if way == "apop":
            if timestamp is None:
                raise Refused(
                    f"{self._name} has no timestamp in its greeting, so APOP is impossible; the "
                    'password is not sent in clear text instead; write auth = "user" to allow it'
                )
            digest = hashlib.md5(timestamp[0] + password.encode()).hexdigest()  # RFC 1939 §7
            try:
                self._command(f"APOP {user} {digest}", f"the login of {user} by APOP")
            except Refused as error:
                # Some servers send a timestamp, and cannot or must not use it.
                raise Refused(
                    f"{error}; if the password is right, the server may not support APOP: write "
                    'auth = "user" to send the password itself'
                ) from None
        elif way == "plain":
            self._log_in_by_plain(user, password)
        else:
            self._command(f"USER {user}", f"the user {user}")
            self._command(f"PASS {password}", f"the login of {user}")

    def _log_in_by_plain(self, user: str, password: str) -> None:
        """Logs in by AUTH PLAIN (RFC 5034 §4).

        The response is part of the command if the line is short enough. Otherwise it follows an
        empty challenge, and for servers that are older than RFC 5034, too.
        """
        response = base64.b64encode(sasl.plain(user, password)(b"")).decode()
        command = f"AUTH PLAIN {response}"
        what = f"the login of {user} by PLAIN"
        reply = self._command(command if len(command) <= LONGEST_COMMAND else "AUTH PLAIN", what)
        if reply[:3].upper() != b"+OK":
            self._command(response, what)

    # ── commands and replies ─────────────────────────────────────────────────

    def _numbered(
        self, command: str, read: Callable[[bytes], T | None], odd: bool = False
    ) -> dict[int, T]:
        """Returns the list that LIST or UIDL sends: number of the mail → its size or id.

        With `odd`, lines that cannot be read are left out: without ids, there is still mail.

        Each line is read when it arrives, so that a long list costs no more memory than its mails.
        """

        def run() -> dict[int, T]:
            found: dict[int, T] = {}
            for line in self._client.listing(command):
                words = line.split(maxsplit=2)
                key = number(words[0]) if len(words) > 1 else None
                value = read(words[1]) if key is not None else None
                if key is None or value is None:
                    if odd:
                        continue
                    raise _OddNumber(f"not a reply to {command}: {line!r}")
                if len(found) < ENTRIES:
                    found[key] = value
            return found

        return self._run(command, run)

    def _ids(self) -> dict[int, str]:
        """Returns the unique ids that UIDL sends: number of the mail → its id.

        An id that is missing, or not as RFC 1939 §7 wants it, is left out: without an id, a mail
        can still be fetched and deleted. So are ids that two mails share.
        """
        ids = self._numbered("UIDL", _unique_id, odd=True)
        counts = Counter(ids.values())
        return {key: value for key, value in ids.items() if counts[value] == 1}

    def _content(self, line: str, limit: int) -> bytes:
        def run() -> bytes:
            self._client.command(line)
            return self._client.content(limit)

        return self._run(line, run)

    def _command(self, line: str, what: str = "") -> bytes:
        """Sends a command and returns its status line. Raises CommsError.

        `what` describes the command in errors. The default is its first word.
        """
        return self._run(what or line.split()[0], lambda: self._client.command(line))

    def _run(self, what: str, exchange: Callable[[], T]) -> T:
        """Calls `exchange`, which sends a command and reads the whole reply. Raises CommsError.

        In the meantime the session is out of step, so that an interruption cuts the connection.
        """
        if not self._in_step:
            raise Unreachable(f"{self._name}: the session is over; open another one")
        self._in_step = False
        try:
            result = exchange()
        except poplib.error_proto as error:
            self._in_step = True  # a refusal is a whole reply
            raise self._refusal(what, error.args[0]) from None
        except Refused:  # our own refusal: nothing was sent
            self._in_step = True
            raise
        except OSError as error:
            raise self._lost(error) from None
        self._in_step = True
        return result

    def _lost(self, error: OSError) -> Unreachable | OddReply:
        self._in_step = False
        kind = OddReply if isinstance(error, _OddNumber) else Unreachable
        # The mask first: it would not find a part of a secret.
        return kind(self.server.masked(f"{self._name}: {error}")[:TEXT])

    def _refusal(self, what: str, line: bytes) -> Refused | TryLater:
        reply = line.decode("utf-8", "replace")
        reply = self.server.masked(reply)  # some servers repeat the command that they refuse
        code = re.match(r"-ERR \[([^\]]*)\]", reply, re.I)
        # RFC 2449 §8.1, RFC 3206 §4: conditions that may pass.
        temporary = ("IN-USE", "LOGIN-DELAY", "SYS/TEMP")
        text = f"{self._name} refused {what}: {reply}"
        if code is not None and code[1].upper().startswith(temporary):
            return TryLater(text)
        permanent = code is not None and code[1].upper().startswith(("SYS/PERM", "AUTH"))
        return (RefusedNow if what in REQUIRED and not permanent else Refused)(text)
