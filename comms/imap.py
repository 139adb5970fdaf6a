r"""Fetching mail by IMAP (RFC 3501). A `Mailbox` is a context manager, as that of comms.pop3.

    with Mailbox(settings.server("imap"), clock) as mailbox:
        for entry in mailbox.entries():       # ids and sizes, oldest first; nothing is fetched yet
            raw = mailbox.fetch(entry)        # \Seen stays as it is
            mailbox.delete(entry)             # noted; the end of the block removes it

The ids of entries are UIDVALIDITY and UID, as in `3.17`. If a server must number its mails again,
it changes UIDVALIDITY (RFC 3501 §2.3.1.1), so that the old ids are gone and none of them ever names
another mail. Whether such a mail is known is then decided by its Message-ID (comms.ledger).

`delete` is noted here, and the server hears of it when the block ends, even with an exception, as
long as the session is in step: no answer is outstanding, and every line was understood. Otherwise
the connection is cut, and nothing was marked. What removes the mails:

- STORE marks them as \Deleted, and with a keyword of ours. Then UID EXPUNGE (RFC 4315) removes
  ours, and none that other programs have marked.
- A server without UID EXPUNGE can only remove all marked mails. That is done if no others are
  marked; else ours stay marked, and Refused says so.
- If the connection is lost in between, the mails stay marked. `entries` lists what has our keyword,
  so that it is removed in the next session. Mails that others have marked are not listed.
- With the setting `trash`, the mails are moved to that folder (RFC 6851).

This module uses imaplib through `Link`, and improves on it:

- Lines have no limit of their own, but an answer has one. A literal that is larger than what was
  asked for is refused when it is announced.
- Every argument is quoted, and none can contain line breaks.
- What a server sends unasked is never taken for the answer: mails are known by their UIDs.
- Capabilities are those after the login, and never those from before TLS.
- Texts of the server are shown, and never obeyed. Those that it wants a user to see go to `alert`.
"""

from __future__ import annotations

import binascii
import imaplib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from comms import mailbox, sasl
from comms.clock import Clock
from comms.errors import CommsError, OddReply, Refused, RefusedNow, TryLater, Unknown, Unreachable
from comms.imap_syntax import Piece, Value, fetched, folder_name, quoted, uid_sets
from comms.link import ANSWER, MAYBE_TLS, Link, client_context, secure
from comms.mailbox import Entry
from comms.numbers import number
from comms.words import one_line

if TYPE_CHECKING:
    from comms.settings import Server

LISTING = 1 << 24  # bytes of a list of all mails
ENTRIES = 100_000  # mails of a list that are looked at; the others come when these are deleted
MESSAGE = 1 << 26  # bytes of a mail, unless the caller sets another limit
SLACK = 1 << 16  # bytes by which a mail may exceed its stated size
CHUNK = 1 << 16  # bytes of one read
STEPS = 5  # challenges of one login; no mechanism has more, and a server may go on for ever
TEXT = 300  # characters of a server's text that are shown
LINE = 10 * TEXT  # of what is searched for secrets first: a part of one could not be found
RENEW = 28 * 60.0  # seconds after which IDLE is begun again (RFC 2177 §3: before 29 minutes)
ALERTS = 10  # texts for the user that one session may show
UIDS = 2**32 - 1  # the largest UID, and the largest UIDVALIDITY (RFC 3501 §9)
HANDLED = "comms-handled"  # the keyword of mails that we have marked as deleted
# Before Python 3.14, imaplib does not know this command.
imaplib.Commands.setdefault("IDLE", ("AUTH", "SELECTED"))
# What every server must be able to do, and the codes that say that it will not (RFC 5530 §3).
REQUIRED = (
    *("the connection", "CAPABILITY", "the folder INBOX"),
    *("UID FETCH", "UID SEARCH", "UID STORE", "UID EXPUNGE", "EXPUNGE"),
)
PERMANENT = ("NOPERM", "CANNOT", "EXPIRED", "PRIVACYREQUIRED", "CONTACTADMIN", "NONEXISTENT")
TEMPORARY = ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG")
STATUS = (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH")
# The untagged responses, and codes in brackets, that are kept until the next command.
KEPT = frozenset(
    "OK NO BAD BYE PREAUTH CAPABILITY SEARCH UIDVALIDITY PERMANENTFLAGS READ-ONLY".split()
)
_CODE = re.compile(rb"\A \[[A-Za-z-]+")  # the name of a response code, in any case


class _OutOfStep(ConnectionError):
    """What arrived is not IMAP, or is too much: nothing after it can be understood."""


class _OddNumber(_OutOfStep):
    """A number that the server sent is not one, or is larger than any that there can be."""


def _ignore(items: dict[str, Value]) -> None:
    """What is done with the answers to FETCH that nobody asked for."""


class _Client(imaplib.IMAP4):
    """imaplib's client on a link, with its own reader."""

    # imaplib would choose the tags at random, and a rehearsal must be the same each time.
    tagpre = property(lambda self: b"A", lambda self, value: None)

    def __init__(self, link: Link, host: str, alert: Callable[[str], None]) -> None:
        self.link = link
        self.limit = ANSWER  # bytes of an answer, and of a literal in it
        self.answer = ("", "")  # how the last command ended: OK, NO or BAD, and the text
        self.on_fetch: Callable[[dict[str, Value]], None] = _ignore
        self.arrived = False  # whether mail has come since the last command was sent
        self._count = 0  # mails in the folder, as far as the server has told
        self._alert, self._alerts = alert, 0
        self._buffer = bytearray()
        self._pieces: list[Piece] = []  # of an answer to FETCH that is not complete yet
        super().__init__(host)

    # ── what imaplib reads and writes with ───────────────────────────────────

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Takes the link as the connection."""
        self.host, self.port = host, port
        self.sock = self.link  # type: ignore[assignment]

    def shutdown(self) -> None:
        """Does nothing: the mailbox closes the link, in order."""

    def send(self, data: Any) -> None:
        """Writes a command, whose answer begins then."""
        self.link.sendall(data)
        self.link.expect(self.limit + SLACK)

    def readline(self) -> bytes:
        """Returns a line as imaplib understands it. Raises ConnectionError, TimeoutError.

        imaplib wants words in capitals, and text after each status. It takes a `{5}` at the end of
        a text for a literal, and would wait for one.
        """
        line = self._line()
        match = re.match(rb"(\* (?:[0-9]+ )?|A[0-9]+ )([A-Za-z-]+)", line)
        if match is not None:
            word, rest = match[2].upper(), line[match.end() :]
            if word in STATUS:
                rest = _CODE.sub(lambda code: code[0].upper(), rest)
                self._show(rest)
                return match[1] + word + rest + b" \r\n"
            line = match[1] + word + rest
        literal = re.search(rb"\{([0-9]+)\}$", line)
        if literal is not None and number(literal[1], self.limit) is None:
            size = literal[1][:20].decode()
            raise _OutOfStep(f"a literal of {size} bytes is announced, the limit is {self.limit}")
        return line + b"\r\n"

    def read(self, size: int) -> bytes:
        """Returns the bytes of a literal. Raises ConnectionError, TimeoutError."""
        while len(self._buffer) < size:
            self._receive()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    @property
    def unread(self) -> bytes:
        """What has been received and not been read yet."""
        return bytes(self._buffer)

    def _line(self) -> bytes:
        scanned = 0
        while (at := self._buffer.find(b"\r\n", scanned)) < 0:
            # The line end may be split between two reads, so look again at the last byte.
            scanned = max(0, len(self._buffer) - 1)
            self._receive()
        line = bytes(self._buffer[:at])
        del self._buffer[: at + 2]
        if re.search(rb"[\r\n\0]", line):
            raise _OutOfStep(f"a line break or NUL within a line: {line[:LINE]!r}")
        return line

    def _receive(self) -> None:
        data = self.link.recv(CHUNK)
        if not data:
            raise ConnectionError("the connection ended in the middle of an answer")
        self._buffer += data

    def _show(self, rest: bytes) -> None:
        """Shows a text for the user (RFC 3501 §7.1). A server may not flood the log with them."""
        alert = re.match(rb" \[ALERT\](.*)", rest, re.I)
        if alert is not None and self._alerts < ALERTS:
            self._alerts += 1
            self._alert(one_line(alert[1].decode("utf-8", "replace")))

    # ── commands and answers ─────────────────────────────────────────────────

    def _command(self, name: str, *args: Any) -> Any:
        for word in args:
            if re.search(r"[\r\n\0]", word):
                raise Refused(
                    f"a line break or NUL after {name} could add a command; nothing was sent"
                )
        # What came unasked after the last answer is not an answer to this command.
        self.untagged_responses.clear()
        self._pieces.clear()
        self.arrived = False
        return super()._command(name, *args)  # type: ignore[misc]

    def _command_complete(self, name: str, tag: bytes) -> Any:
        """Reads an answer. BAD is one, too; imaplib would raise it without its text."""
        kind, data = self._get_tagged_response(tag, expect_bye=name == "LOGOUT")
        self.answer = kind, data[-1].decode("utf-8", "replace").strip()
        return kind, data

    def _append_untagged(self, kind: str, data: Any) -> None:
        """Keeps what is asked for, and hands on each answer to FETCH when it is complete."""
        if kind == "FETCH":
            self._pieces.append(data)
            if isinstance(data, bytes):  # the rest of the line: no literal follows
                pieces, self._pieces = self._pieces, []
                try:
                    items = fetched(pieces)
                except ValueError as error:
                    raise _OutOfStep(f"not an answer to FETCH: {error}") from None
                self.on_fetch(items)
        elif kind == "EXISTS":
            # Some servers repeat the number, which is no news.
            count = number(data, UIDS) if isinstance(data, bytes) else None
            self.arrived = self.arrived or (count or 0) > self._count
            self._count = self._count if count is None else count
        elif kind == "EXPUNGE":
            self._count -= 1
        elif kind in KEPT:
            super()._append_untagged(kind, data)  # type: ignore[misc]

    def _get_capabilities(self) -> None:
        """Does not ask yet: to imaplib, a failure would be one of the greeting."""
        self.capabilities = ("IMAP4REV1",)

    def ask_capabilities(self) -> None:
        """Asks what the server offers. It depends on TLS and on the login (RFC 3501 §6.1.1)."""
        _, data = self.capability()
        self.capabilities = tuple((data[-1] or b"").decode("ascii", "replace").upper().split())

    def await_mail(self, wait: Callable[[], bool]) -> None:
        """Lets the server tell what happens (IDLE, RFC 2177), until mail arrives.

        `wait` waits for something to read, and returns False if it is time to end.
        """
        tag = self._command("IDLE")
        ready = False
        while not ready and self.tagged_commands[tag] is None:
            ready = self._get_response() is None
        while ready and not self.arrived and wait():
            self.link.expect(self.limit + SLACK)  # each line has the time of an answer
            self._get_response()
            if "BYE" in self.untagged_responses or self.tagged_commands[tag] is not None:
                ready = False  # the server has ended it
            else:
                self.untagged_responses.clear()  # some say every two minutes that they are there
        if ready:
            self.send(b"DONE\r\n")
        self._command_complete("IDLE", tag)
        if not ready and self.answer[0] == "OK":
            raise _OutOfStep("the server has ended IDLE, which only a client may do")

    def numbers(self, code: str) -> list[int]:
        """Returns the numbers of a response, such as those of SEARCH. Raises ConnectionError."""
        found = []
        for data in self.untagged_responses.get(code, []):
            if isinstance(data, tuple):
                raise _OddNumber(f"not a number in {code}: a literal")
            # imaplib keeps the text after a code if that has brackets, too.
            for word in data.partition(b"]")[0].split():
                value = number(word, UIDS)
                if not value:
                    raise _OddNumber(f"not a number in {code}: {word[:LINE]!r}")
                found.append(value)
        return found


class Mailbox(mailbox.Mailbox):
    r"""A folder, with the login done. `alert` is called with each text that its user should see.

    Mails that others have marked as \Deleted are not in it. Raises Unreachable, Refused, or
    TryLater if the server is busy.
    """

    def __init__(
        self,
        server: Server,
        clock: Clock,
        alert: Callable[[str], None] = lambda text: None,
        token: Callable[[int], str] | None = None,
    ) -> None:
        """`token` returns random characters, which SCRAM needs; without it, that is not used."""
        self.server = server
        self._name = f"{server.host}:{server.port}"
        self._clock, self._alert, self._token = clock, alert, token
        self._in_step = True  # no answer is outstanding, and every line was understood
        self._marked: set[int] = set()  # UIDs
        self._handled: set[int] = set()  # UIDs of mails that were marked in an earlier session
        self._validity = 0  # UIDVALIDITY; 0 if the server has no lasting UIDs
        self._read_only = self._keywords = False
        self._link = link = Link.connect(server.host, server.port, clock, server.timeout)
        try:
            if server.tls == "implicit":
                secure(self._name, server.host, self._upgrade)
            self._client = self._greeted()
            self._run("CAPABILITY", self._client.ask_capabilities)
            if server.tls == "starttls":
                self._start_tls()
            if self._client.state == "NONAUTH":
                self._log_in()
                self._run("CAPABILITY", self._client.ask_capabilities)
            self._client.limit = LISTING
            self._select()
        except BaseException:
            link.close()
            raise

    # ── what every mailbox can do (comms.mailbox) ────────────────────────────

    def entries(self) -> list[Entry]:
        """Returns all mails with their sizes, oldest first. Raises Unreachable, Refused."""
        sizes = sorted(self._sizes().items())[:ENTRIES]
        validity = self._validity
        return [Entry(f"{validity}.{uid}" if validity else "", size, uid) for uid, size in sizes]

    def header(self, entry: Entry) -> bytes:
        """Returns the header of a mail and the empty line after it.

        Raises Unreachable, and Refused if the mail is gone.
        """
        return self._content(entry, "HEADER", MESSAGE)

    def fetch(self, entry: Entry, limit: int = MESSAGE) -> bytes:
        r"""Returns a mail as it is stored. It stays as unread (\Seen) as it was.

        Raises Refused if it is gone, or larger than `limit` bytes; nothing is fetched then. Raises
        Unreachable if it turns out to be much larger than the server stated.
        """
        if entry.size > limit:
            raise Refused(
                f"{self._name}: message {entry.number} has {entry.size} bytes, the limit is {limit}"
            )
        # Servers that count a line end as one byte state up to half of the real size.
        return self._content(entry, "", min(limit, 2 * entry.size) + SLACK)

    def delete(self, entry: Entry) -> None:
        """Notes that a mail is to be removed when the block ends. Raises Refused, Unreachable.

        It is not an error if it is gone by then: the mailbox is not locked.
        """
        self._check_step()
        self._marked.add(self._uid(entry))

    def undelete(self) -> None:
        """Forgets what was to be removed."""
        self._marked.clear()

    def commit(self) -> None:
        """Removes the noted mails now.

        Raises Refused if the server does not, and Unknown if the connection is lost before the
        last answer: then some may have been removed.
        """
        uids, self._marked = self._marked, set()
        if not uids:
            return
        try:
            if self._read_only:
                raise RefusedNow(f"{self._name}: {self.server.folder} can only be read")
            if self.server.trash and "MOVE" in self._client.capabilities:
                self._on_sets(uids, "MOVE", self._quoted("trash", self.server.trash))
                return
            if self.server.trash:
                # What stayed marked is in the trash already, and may stay marked for long.
                new = uids - self._handled
                self._on_sets(new, "COPY", self._quoted("trash", self.server.trash))
            self._remove(uids)
        except (Unreachable, OddReply) as error:
            raise Unknown(
                f"{error}; it is unknown whether {len(uids)} messages were removed"
            ) from None

    def count(self) -> tuple[int, int]:
        """Returns the number of mails and their size in bytes. Raises Unreachable, Refused."""
        sizes = self._sizes()
        return len(sizes), sum(sizes.values())

    def unseen(self) -> int:
        r"""Returns how many mails nobody has read (\Seen). Raises Unreachable, Refused."""
        return len(self._search("UNSEEN", "UNDELETED"))

    @property
    def can_wait(self) -> bool:
        """Whether the server has IDLE, which `wait` needs."""
        return "IDLE" in self._client.capabilities

    def wait(self, seconds: float) -> bool:
        """Waits until mail arrives (IDLE), at most that long; returns whether any has arrived.

        Mail that has arrived since the last answer counts, too. Returns False before the time is
        over after 28 minutes, because a server may take more for inactivity, and when the program
        is asked to stop. Raises Unreachable, Refused, TryLater.
        """
        client, clock = self._client, self._clock
        end = clock.monotonic() + min(seconds, RENEW)

        def more() -> bool:
            left = end - clock.monotonic()
            if left <= 0 or clock.stopping():  # even if a server tells something all the time
                return False
            return bool(client.unread) or clock.wait(self._link, clock.time() + left, or_stop=True)

        self._run("IDLE", lambda: client.await_mail(more))
        return client.arrived

    def close(self) -> None:
        """Removes the noted mails and logs out, or cuts the connection if it is out of step.

        Raises what `commit` raises.
        """
        try:
            if self._in_step:
                self.commit()
        finally:
            # Without marks nothing is in doubt, however the server says goodbye.
            if self._in_step:
                try:
                    self._run("LOGOUT", self._client.logout)
                except CommsError:
                    pass
            self._in_step = False
            self._link.close()

    # ── greeting, TLS and login ──────────────────────────────────────────────

    def _greeted(self) -> _Client:
        self._in_step = False
        try:
            client = _Client(self._link, self.server.host, self._shown)
        except imaplib.IMAP4.error as error:
            # A greeting that is neither OK nor PREAUTH is raised as it was received.
            greeting = error.args[0]
            if isinstance(greeting, bytes) and greeting.startswith(b"* BYE"):
                raise TryLater(self._text("refused the connection", greeting)) from None
            raise self._no_greeting(error) from None
        except OSError as error:
            raise self._no_greeting(error) from None
        self._in_step = True
        if client.state == "AUTH" and self.server.tls == "starttls":
            # Anybody who can write to the connection could make us skip TLS this way.
            raise Refused(
                f"{self._name} says in clear text that we are logged in already (PREAUTH), so that "
                "TLS cannot be started, and the settings require it"
            )
        return client

    def _no_greeting(self, error: Exception) -> Unreachable:
        hint = "" if self.server.tls == "implicit" else f"; {MAYBE_TLS}"
        return Unreachable(self._text("sent no IMAP greeting", error) + hint)

    def _start_tls(self) -> None:
        client = self._client

        def upgrade() -> None:
            self._run("STARTTLS", lambda: client._simple_command("STARTTLS"))
            if client.unread:
                raise Unreachable(
                    f"{self._name}: bytes in clear text follow the answer to STARTTLS: "
                    "this may be an injection attack"
                )
            self._upgrade()

        offered = "STARTTLS" in client.capabilities
        secure(self._name, self.server.host, upgrade, command="STARTTLS", offered=offered)
        self._run("CAPABILITY", client.ask_capabilities)

    def _upgrade(self) -> None:
        # If the handshake fails, no command can follow, not even LOGOUT.
        self._in_step = False
        self._link.start_tls(client_context(self.server.ca_file), self.server.host)
        self._in_step = True

    def _log_in(self) -> None:
        """Logs in as the settings say, or else in the strongest way on offer.

        If that fails, no second way is tried: it might reveal the password.
        """
        client, user, password = self._client, self.server.user, self.server.password
        if re.search(r"[\r\n\0]", user + password):
            raise Refused(
                f"{self._name}: a line break or NUL in user or password could add a command; "
                "nothing was sent"
            )
        known = (*(sasl.SCRAM if self._token else ()), "PLAIN", "CRAM-MD5")
        offered = {name for name in known if f"AUTH={name}" in client.capabilities}
        # RFC 3501 §6.2.3: LOGIN must not be sent then. It has no charset, so it is for ASCII only.
        if "LOGINDISABLED" not in client.capabilities and (user + password).isascii():
            offered.add("LOGIN")
        # CRAM-MD5 hides the password on a connection in clear text. Inside TLS it only has the
        # disadvantage that the server must store the password itself. SCRAM never has it.
        strongest = ["PLAIN", "CRAM-MD5", "LOGIN"]
        if self._link.tls is None:
            strongest = ["CRAM-MD5", "LOGIN", "PLAIN"]
        strongest = [*sasl.SCRAM, *strongest]
        wanted = strongest if self.server.auth == "auto" else [self.server.auth.upper()]
        way = next((name for name in wanted if name in offered), None)
        if way is None:
            remedy = "" if self._link.tls else '; write tls = "starttls" if it needs TLS for that'
            raise Refused(
                f"{self._name} offers no way to log in that the settings allow (offered: "
                f"{' '.join(sorted(offered)) or 'none'}; auth = {self.server.auth!r}){remedy}"
            )
        what = f"the login of {user} by {way}"
        if way == "LOGIN":
            # imaplib quotes the password, but not the user.
            self._run(what, lambda: client.login(quoted(user), password))
            return
        nonce = self._token(24) if self._token and way in sasl.SCRAM else ""
        responder = sasl.responder(way, user, password, nonce)
        steps = 0

        def respond(challenge: bytes) -> bytes:
            nonlocal steps
            steps += 1
            if steps > STEPS:
                raise _OutOfStep("one challenge after another in the login")
            return responder(challenge)

        self._run(what, lambda: client.authenticate(way, respond))
        if isinstance(responder, sasl.Scram):
            responder.require_proof(self._name)

    def _select(self) -> None:
        client = self._client
        folder = self._quoted("folder", self.server.folder)

        def select() -> None:
            try:
                client.select(folder)
            except imaplib.IMAP4.readonly:  # it is selected
                self._read_only = True
            self._validity = next(iter(client.numbers("UIDVALIDITY")), 0)

        self._run(f"the folder {self.server.folder}", select)
        flags = b" ".join(self._texts("PERMANENTFLAGS")).split(b")")[0].strip(b"( ").split()
        self._keywords = rb"\*" in flags or HANDLED.encode() in (flag.lower() for flag in flags)

    def _quoted(self, key: str, folder: str) -> str:
        try:
            return quoted(folder_name(folder))
        except ValueError as error:
            raise Refused(f"{self._name}: imap.{key}: {error}; nothing was sent") from None

    # ── mails ────────────────────────────────────────────────────────────────

    def _uid(self, entry: Entry) -> int:
        """Returns the UID of a mail. Raises Refused if it is from before UIDVALIDITY changed."""
        validity, _, _ = entry.id.partition(".")
        if entry.id and validity != str(self._validity):
            raise Refused(
                f"{self._name}: message {entry.id} is gone: the server has numbered its mails "
                f"again (UIDVALIDITY {self._validity})"
            )
        return entry.number

    def _sizes(self) -> dict[int, int]:
        """Returns UID → size of the mails that nobody else has marked as deleted."""
        sizes: dict[int, int] = {}
        flags: dict[int, set[str]] = {}

        def take(items: dict[str, Value]) -> None:
            # An answer that nobody asked for may have only flags, or not even a UID.
            if "UID" not in items:
                return
            uid = self._number(items["UID"])
            if not uid:
                raise _OddNumber("a mail has the UID 0")
            if "RFC822.SIZE" in items:
                sizes[uid] = self._number(items["RFC822.SIZE"])
            if isinstance(given := items.get("FLAGS"), list):
                flags[uid] = {str(flag).lower() for flag in given} & {r"\deleted", HANDLED}

        self._fetch("1:*", "(UID RFC822.SIZE FLAGS)", take)
        self._handled = {uid for uid, found in flags.items() if found == {r"\deleted", HANDLED}}
        return {uid: size for uid, size in sizes.items() if flags.get(uid) != {r"\deleted"}}

    def _content(self, entry: Entry, section: str, limit: int) -> bytes:
        uid = self._uid(entry)
        found: list[bytes] = []

        def take(items: dict[str, Value]) -> None:
            content = items.get(f"BODY[{section}]")
            if items.get("UID") == str(uid) and isinstance(content, bytes):
                found.append(content)

        self._client.limit = limit
        try:
            # RFC 3501 §6.4.5: PEEK sets no flag.
            self._fetch(str(uid), f"(UID BODY.PEEK[{section}])", take)
        finally:
            self._client.limit = LISTING
        if not found:
            raise Refused(f"{self._name}: message {uid} is gone")
        return found[-1]

    def _fetch(self, uids: str, items: str, take: Callable[[dict[str, Value]], None]) -> None:
        self._client.on_fetch = take
        try:
            self._uid_command("FETCH", uids, items)
        finally:
            self._client.on_fetch = _ignore

    def _remove(self, uids: set[int]) -> None:
        r"""Marks mails as \Deleted, and removes these and no others."""
        flags = rf"(\Deleted {HANDLED})" if self._keywords else r"(\Deleted)"
        self._on_sets(uids, "STORE", "+FLAGS.SILENT", flags)
        if "UIDPLUS" in self._client.capabilities:
            self._on_sets(uids, "EXPUNGE")
            return
        if others := set(self._search("DELETED")) - uids:
            raise RefusedNow(
                f"{self._name}: {len(others)} other messages are marked as deleted, and this "
                "server (without UIDPLUS) could only remove all of them; ours stay marked"
            )
        self._run("EXPUNGE", self._client.expunge)

    def _on_sets(self, uids: set[int], verb: str, *words: str) -> None:
        for some in uid_sets(uids):
            self._uid_command(verb, some, *words)

    def _search(self, *keys: str) -> list[int]:
        self._uid_command("SEARCH", *keys)
        return self._found

    def _uid_command(self, verb: str, *words: str) -> None:
        def command() -> None:
            # imaplib would take the numbers out of its untagged responses, and leave our own.
            self._client._simple_command("UID", verb, *words)
            self._found = self._client.numbers("SEARCH")

        self._run(f"UID {verb}", command)

    def _number(self, value: Value) -> int:
        found = number(value) if isinstance(value, str) else None
        if found is None:
            raise _OddNumber(f"not a number in an answer to FETCH: {value!r:.{LINE}}")
        return found

    # ── commands and answers ─────────────────────────────────────────────────

    def _check_step(self) -> None:
        if not self._in_step:
            raise Unreachable(f"{self._name}: the session is over; open another one")

    def _run(self, what: str, exchange: Callable[[], object]) -> None:
        """Calls `exchange`, which sends a command and reads the whole answer. Raises CommsError.

        In the meantime the session is out of step, so that an interruption cuts the connection.
        """
        self._check_step()
        self._in_step = False
        self._client.answer = ("", "")
        try:
            exchange()
            validity = self._client.numbers("UIDVALIDITY")
            if validity and validity[-1] != self._validity:
                raise _OutOfStep("UIDVALIDITY has changed, so that our UIDs mean other mails")
        except imaplib.IMAP4.abort as error:
            raise self._lost(error) from None
        except imaplib.IMAP4.error as error:  # a login that was refused; there is an answer, too
            if self._client.answer[0] in ("", "OK"):
                raise self._lost(error) from None
        except Refused:
            # Our own refusal of what we were to send, or of what a server says in a login.
            self._in_step = not self._client.tagged_commands
            raise
        except binascii.Error:
            raise self._lost(_OutOfStep("a challenge of the login is not base64")) from None
        except (OSError, ValueError) as error:
            raise self._lost(error) from None
        self._in_step = True
        kind, text = self._client.answer
        if kind not in ("OK", "BYE"):
            raise self._refusal(what, f"{kind} {text}")

    def _lost(self, error: Exception) -> Unreachable | OddReply:
        self._in_step = False
        kind = OddReply if isinstance(error, _OddNumber) else Unreachable
        return kind(self._text("", str(error) or "the server ends the session (BYE)"))

    def _refusal(self, what: str, answer: str) -> Refused | TryLater:
        text = self._text(f"refused {what}", answer)
        code = re.match(r"\w+ \[([A-Z-]+)", answer, re.I)
        name = code[1].upper() if code else ""
        if name in TEMPORARY:
            return TryLater(text)
        return (RefusedNow if what in REQUIRED and name not in PERMANENT else Refused)(text)

    def _texts(self, code: str) -> list[bytes]:
        found = self._client.untagged_responses.get(code, [])
        return [data for data in found if isinstance(data, bytes)]

    def _shown(self, text: str) -> None:
        self._alert(self.server.masked(text)[:TEXT])

    def _text(self, verb: str, said: object) -> str:
        """Returns what happened at the server, with its own words, as one short line.

        Some servers repeat the command that they refuse, password and all.
        """
        if isinstance(said, bytes):
            said = said.decode("utf-8", "replace")
        start = f"{self._name} {verb}" if verb else self._name
        return f"{start}: {one_line(self.server.masked(str(said)))[:TEXT]}"
