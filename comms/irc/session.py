"""One connection to an IRC server: registration, login, and lines.

A PING is answered as soon as it is read, whatever else is going on. What a server says about a
message of ours comes before the answer to a PING that was sent after it (RFC 2812 §3.7.2), or it
has the label of the message (IRCv3 labeled-response).
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import itertools
import re
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.irc.lines import Line, parse
from comms.irc.support import Support
from comms.link import MOMENT, STOPPING, Link, client_context, secure
from comms.sasl import Scram, plain

if TYPE_CHECKING:
    from comms.settings import Server

SILENCE, PATIENCE = 90.0, 30.0  # seconds until we send a PING, and for its answer
INBOX = 4096  # lines that may wait to be handled; if there are more, nothing is read
LONGEST = 16384  # bytes of a line with its tags; a longer one is no IRC
WELCOME = 1 << 20  # bytes until the end of the message of the day
BURST, INTERVAL = 5, 2.0  # lines at once, and seconds for each one after that
GOODBYE = 2.0  # seconds that the server has for its ERROR after our QUIT
CHUNK = 400  # characters of base64 in a line of AUTHENTICATE
RESPONSE = 16384  # characters of a challenge

WANTED = (
    "account-notify account-tag batch cap-notify chghost echo-message extended-join "
    "labeled-response message-tags multi-prefix sasl server-time"
).split()
_REFUSALS = r"denied|password|banned|\b[dgkz]-?lined"
_IN_USE = ("433", "437")
# More than the server takes in some time; 437: not while the network is split (RFC 2812 §5.2).
_NOT_NOW = ("437", "439", "480", "500", "707")
_LOGIN_FAILED = ("902", "904", "905", "906", "907")


class NoLogin(Refused):
    """The server offers no login, as while the services of its network are away."""


class Session:
    """A connection to the server, before the registration. Raises Unreachable and Refused."""

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self.where = f"{server.host}:{server.port}"
        self.nick = server.nick
        self.user, self.user_host = "", ""  # as the server shows them to others; "": not known
        self.support = Support()
        self.capabilities: set[str] = set()
        self.account = ""  # to which we have logged in
        self.inbox: deque[Line] = deque()  # received, and not handled yet
        self.online_since = 0.0  # on the monotonic clock
        self.welcomed_at = ""  # the server's time of the welcome, if it tells times
        self.is_throttled = False  # the server wants us to come back later
        self._server, self._clock, self._host = server, clock, host
        self._buffer = bytearray()
        self._taken = 0  # bytes received
        self._heard = clock.monotonic()
        self._asked: float | None = None  # when we sent a PING that was not answered by anything
        self._registered = False
        self._credit, self._credited = float(BURST), clock.monotonic()
        self._link = Link.connect(server.host, server.port, clock, server.timeout)
        if server.tls == "implicit":
            try:
                secure(self.where, server.host, self._start_tls)
            except BaseException:
                self._link.close()
                raise

    def _start_tls(self) -> None:
        context = client_context(self._server.ca_file)
        if self._server.certificate is not None:
            context.load_cert_chain(self._server.certificate)
        self._link.start_tls(context, self._server.host)

    # ── registration ─────────────────────────────────────────────────────────

    def register(self) -> None:
        """Registers, with a login if there is a password. Returns when the server is ready.

        Raises Refused, TryLater, Unreachable.
        """
        until = self._clock.monotonic() + self._server.timeout
        nicks = self._nicks()
        self.nick = next(nicks)
        if self._server.server_password:
            self.send(f"PASS :{self._server.server_password}")
        self.send("CAP LS 302")
        self.send(f"NICK {self.nick}")
        self.send(f"USER {_user_name(self._server.user or self.nick)} 0 * :{self._server.nick}")
        self._negotiate(until, nicks)
        for line in self._lines(until):
            if line.verb in ("376", "422"):
                break
            if len(self.inbox) >= INBOX:
                raise Unreachable(f"{self.where} has a message of the day without end")
            self.inbox.append(line)
        self._registered, self.online_since = True, self._clock.monotonic()
        self._link.expect(None)  # from now on the server may send at any time

    def _nicks(self) -> Iterator[str]:
        """Yields the nicks to try; the server has not said yet how long they may be."""
        nick = self._server.nick
        for _ in range(3):
            yield nick
            nick += "_"
        while True:
            yield f"{self._server.nick[:5]}{self._host.token(4)}"

    def _lines(self, until: float) -> Iterator[Line]:
        """Yields lines of the registration. Raises Unreachable, and Refused where it is over."""
        refused = {
            "432": "the nick is not valid there",
            "464": "the password of the server is wrong",
            "465": "we are banned",
        }
        # A server that answers each of our lines with the next one must not keep us here for ever.
        while not self._is_over(until) and (line := self._receive(until)) is not None:
            if line.verb == "432" and self.nick != self._server.nick:
                # It is our nick with a _, which has become too long.
                line = dataclasses.replace(line, verb="433")
            if line.verb in refused:
                raise Refused(self._masked(f"{self.where}: {refused[line.verb]}: {line[-1]}"))
            if line.verb == "005":
                self.support.learn(line.parameters[1:-1])
            yield line
        seconds = f"{self._server.timeout:g} s"
        raise Unreachable(f"{self.where} is too slow: no registration within {seconds}")

    def _negotiate(self, until: float, nicks: Iterator[str]) -> None:
        """Asks for capabilities, logs in, and reads up to the welcome."""
        offered: dict[str, str] = {}
        login = _Login(self, self._server, self._host)
        for line in self._lines(until):
            if line.verb == "001":
                login.require()
                self.nick = line[0] or self.nick
                self.welcomed_at = line.tags.get("time", "")
                self.learn_source(line[-1].rpartition(" ")[2])
                self.inbox.append(line)
                return
            if line.verb in _IN_USE:
                self.nick = next(nicks)
                self.send(f"NICK {self.nick}")
            elif line.verb == "CAP":
                self._on_cap(line, offered, login)
            elif line.verb in ("410", "421") and "CAP" in line.parameters:
                login.require()
            elif line.verb in login.verbs and login.handle(line):
                self.send("CAP END")

    def _on_cap(self, line: Line, offered: dict[str, str], login: _Login) -> None:
        subcommand = line[1].upper()
        if subcommand == "LS":
            offered.update(_capabilities(line[-1]))
            if line[2] == "*" and len(line.parameters) > 3:
                return  # more lines follow
            wanted = [name for name in WANTED if name in offered]
            if not self._server.password and self._server.auth != "external":
                wanted = [name for name in wanted if name != "sasl"]
            if "sasl" not in wanted:
                login.require()
            login.offered = [name for name in offered.get("sasl", "").upper().split(",") if name]
            self.send(f"CAP REQ :{' '.join(wanted)}" if wanted else "CAP END")
        elif subcommand == "ACK":
            self.change_capabilities(line)
            if line[2] == "*" and len(line.parameters) > 3:
                return  # more lines follow
            if "sasl" not in self.capabilities:
                self.send("CAP END")
            elif not login.has_begun:
                login.begin()
        elif subcommand == "NAK":
            login.require()
            self.send("CAP END")

    def change_capabilities(self, line: Line) -> None:
        """Takes over an ACK, or a DEL."""
        for word in line[-1].split():
            name = word.lstrip("-~=").partition("=")[0]
            if word.startswith("-") or line[1].upper() == "DEL":
                self.capabilities.discard(name)
            else:
                self.capabilities.add(name)

    def learn_source(self, source: str) -> None:
        """Takes over how the server shows us to others, if this is nick!user@host."""
        match = re.fullmatch(r"[^!@\s]+!([^!@\s]+)@(\S+)", source)
        if match:
            self.user, self.user_host = match[1], match[2]

    @property
    def overhead(self) -> int:
        """The bytes that the server puts before a line of ours: `:nick!user@host `."""
        user = len(self.user.encode()) if self.user else 10
        host = len(self.user_host.encode()) if self.user_host else 63
        return len(self.nick.encode()) + user + host + len(":!@ ")

    # ── sending ──────────────────────────────────────────────────────────────

    def send(self, line: str) -> None:
        """Sends a line. Raises Unreachable, and ValueError for more than one line."""
        if re.search(r"[\r\n\0]", line):
            raise ValueError(f"{line[:40]!r}…: a command is one line")
        try:
            self._link.sendall(line.encode("utf-8", "replace") + b"\r\n")
        except OSError as error:
            reason = error.strerror or error
            raise Unreachable(f"{self.where}: the connection is lost: {reason}") from None
        if not self._registered:
            self._link.expect(WELCOME)

    def wait_for_turn(self, lines: int) -> None:
        """Waits until that many lines may be sent, by the rate that networks tolerate.

        Raises TryLater if that would take longer than an answer may, because too much was sent
        before, or if the program is asked to stop; ValueError if it always would.
        """
        if lines > BURST + self._server.timeout / INTERVAL:
            raise ValueError(f"the text needs {lines} lines, which would take too long to send")
        self._earn()
        wait = (lines - self._credit) * INTERVAL
        if wait > STOPPING and self._clock.stopping():
            raise TryLater(f"{self.where}: the program was asked to stop")
        if wait > self._server.timeout:
            raise TryLater(f"{self.where}: {lines} lines would have to wait for {wait:.0f} s")

    def pay(self) -> None:
        """Waits until one line may be sent, and counts it."""
        self._earn()
        if self._credit < 1:
            until = self._clock.monotonic() + (1 - self._credit) * INTERVAL
            for _ in self.receive_for(until):
                pass
            left = until - self._clock.monotonic()
            if left > MOMENT:  # the inbox is full
                self._clock.wait(None, self._clock.time() + left)
            self._earn()
        self._credit -= 1

    def _earn(self) -> None:
        now = self._clock.monotonic()
        self._credit = min(float(BURST), self._credit + (now - self._credited) / INTERVAL)
        self._credited = now

    def confirm(self, commands: list[str], errors: frozenset[str]) -> None:
        """Sends commands with one target, and waits until the server has handled them.

        Raises Refused if it answers one of them with one of these numerics, or TryLater if that is
        only for now, such as because of our pace, and Unknown if it is one of several; Unreachable
        if the first was not sent, Unknown if the connection was lost afterwards.
        """
        labelled = "labeled-response" in self.capabilities and "batch" in self.capabilities
        waiting = set()
        start, first = len(self.inbox), True
        try:
            for command in commands:
                self.pay()
                if labelled:
                    waiting.add(label := self._host.token(8))
                    command = f"@label={label} {command}"
                self.send(command)
                first = False
            if not labelled:
                waiting.add(token := self._host.token(8))
                self.send(f"PING :{token}")
            target = "" if labelled else commands[0].split()[1]
            refusal = self._await_answers(waiting, errors, target, start)
        except Unreachable as error:
            if first:
                raise
            raise Unknown(f"{error}; the last message may have arrived or not") from None
        if refusal is not None:
            words = " ".join(refusal.parameters[1:])
            kind: type[CommsError] = Refused
            if refusal.verb in _NOT_NOW:  # of several lines, the others may have arrived
                kind = TryLater if len(commands) == 1 else Unknown
            raise kind(self._masked(f"{self.where}: {refusal.verb} {words}"))
        if waiting:
            raise Unknown(f"{self.where} does not answer; the last message may have arrived or not")

    def _await_answers(
        self, waiting: set[str], errors: frozenset[str], target: str, start: int
    ) -> Line | None:
        """Waits for answers with these labels, or the answer to this PING, and removes them.

        Returns the first that is an error: one with a label of ours, or one about the target. The
        answers may have come already, after the first `start` lines of the inbox.
        """
        ours, batches = frozenset(waiting), dict[str, str]()  # batch → label
        refusal: Line | None = None
        until = self._clock.monotonic() + self._server.timeout
        come = list(itertools.islice(self.inbox, start, None))
        for line in itertools.chain(come, self._answers(until)):
            label = line.tags.get("label", "") or batches.get(line.tags.get("batch", ""), "")
            about = self.support.fold(line[1]) == self.support.fold(target)
            if line.verb in errors and (about if target else label in ours):
                refusal = refusal or line
            if line.verb == "BATCH" and line[0].startswith("+") and label in ours:
                batches[line[0][1:]] = label
            elif line.verb == "BATCH" and line[0][1:] in batches:
                waiting.discard(batches[line[0][1:]])
            elif line.verb == "PONG":
                waiting.discard(line[-1])
            elif "batch" not in line.tags:
                waiting.discard(label)
            if not waiting:
                break
        return refusal

    # ── receiving ────────────────────────────────────────────────────────────

    def next(self, until: float | None) -> Line | None:
        """Returns the next line to handle.

        Returns None at `until`, a time of the monotonic clock, or when the program is asked to
        stop. Raises Unreachable, also if the server has been silent for too long.
        """
        if self.inbox:
            return self.inbox.popleft()
        return self._receive(until)

    def receive_for(self, until: float) -> Iterator[Line]:
        """Yields the lines that arrive until then, and leaves them in the inbox, in order.

        Raises Unreachable.
        """
        while len(self.inbox) < INBOX and (line := self._receive(until)) is not None:
            self.inbox.append(line)
            yield line

    def _answers(self, until: float) -> Iterator[Line]:
        """As `receive_for`, but only STOPPING seconds more when the program is asked to stop."""
        or_stop = True
        while len(self.inbox) < INBOX:
            if or_stop and self._clock.stopping():
                or_stop, until = False, min(until, self._clock.monotonic() + STOPPING)
            line = self._receive(until, or_stop)
            if line is not None:
                self.inbox.append(line)
                yield line
            elif or_stop and self._clock.monotonic() < until - MOMENT:
                or_stop = self._clock.stopping()  # if not, the play of a rehearsal is over
            else:
                return

    def _receive(self, until: float | None, or_stop: bool = False) -> Line | None:
        """Returns the next line that is not a PING. Raises Unreachable.

        Returns None at `until`; without it, or with `or_stop`, if the program is asked to stop.
        """
        others = 0
        while (raw := self._line(until, or_stop)) is not None:
            line = parse(raw)
            if line.verb == "PING":
                self.send(f"PONG :{line[-1]}")
            elif line.verb == "ERROR":
                self._on_error(line)
            elif line.verb:
                return line
            others += 1
            if others > INBOX and self._is_over(until):
                return None
        return None

    def _on_error(self, line: Line) -> None:
        """The server ends the connection. Raises Unreachable, or Refused if it does not want us."""
        text = line[-1]
        self.is_throttled = bool(re.search("throttl|too fast|too many", text, re.I))
        # ngircd and InspIRCd say in no other way that the password is wrong, or that we are banned.
        is_refusal = not self._registered and re.search(_REFUSALS, text, re.I)
        error = Refused if is_refusal and not self.is_throttled else Unreachable
        raise error(self._masked(f"{self.where}: {text}"))

    def _is_over(self, until: float | None) -> bool:
        return self._clock.stopping() if until is None else self._clock.monotonic() >= until

    def _line(self, until: float | None, or_stop: bool) -> bytes | None:
        """Takes the next line, without its end."""
        while True:
            end = self._buffer.find(b"\n")
            if end >= 0:
                raw = bytes(self._buffer[:end]).rstrip(b"\r")
                del self._buffer[: end + 1]
                return raw
            if len(self._buffer) > LONGEST:
                raise Unreachable(f"{self.where} sends a line of more than {LONGEST} bytes")
            if not self._readable(until, or_stop or until is None):
                return None
            try:
                data = self._link.recv(1 << 16)
            except OSError as error:
                raise Unreachable(f"{self.where}: {error}") from None
            if not data:
                raise Unreachable(f"{self.where} hung up")
            self._buffer += data
            self._heard, self._asked = self._clock.monotonic(), None
            self._taken += len(data)
            if not self._registered and self._taken > WELCOME:
                raise Unreachable(
                    f"{self.where} sends more than {WELCOME} bytes before it lets us in"
                )

    def _readable(self, until: float | None, or_stop: bool) -> bool:
        """Waits until there is something to read (True), or until the time (False).

        In between, asks a silent server whether it is there. Raises Unreachable if it is not.
        """
        if not self._registered:
            assert until is not None
            try:
                return self._link.wait(max(0.0, until - self._clock.monotonic()))
            except TimeoutError as error:
                raise Unreachable(f"{self.where}: {error}") from None
        while True:
            now = self._clock.monotonic()
            due = self._heard + SILENCE if self._asked is None else self._asked + PATIENCE
            end = due if until is None else min(due, until)
            wait_until = self._clock.time() + max(0.0, end - now)
            if self._clock.wait(self._link, wait_until, or_stop):
                return True
            now = self._clock.monotonic()
            # In a rehearsal, a wait also returns early when the play is over.
            if or_stop and (now < end - MOMENT or self._clock.stopping()):
                return False
            if now >= due - MOMENT:
                if self._asked is not None:
                    raise Unreachable(f"{self.where} has been silent for {now - self._heard:.0f} s")
                self._asked = now
                self.send(f"PING :{self._host.token(8)}")
            if until is not None and now >= until - MOMENT:
                return False

    # ── the end ──────────────────────────────────────────────────────────────

    def quit(self, why: str = "") -> None:
        """Takes leave, waits a moment for the server's ERROR, and closes the connection."""
        try:
            self.send(f"QUIT :{why}" if why else "QUIT")
            for _ in self.receive_for(self._clock.monotonic() + GOODBYE):
                pass
        except Unreachable:
            pass
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._link.close()

    def _masked(self, text: str) -> str:
        return self._server.masked(text)


class _Login:
    """The login of one registration: SASL, strongest mechanism first (IRCv3 sasl-3.1)."""

    verbs = ("AUTHENTICATE", "900", "903", "908", *_LOGIN_FAILED)

    def __init__(self, session: Session, server: Server, host: Host) -> None:
        self.offered: list[str] = []  # mechanisms; empty if the server does not say
        self._session, self._server, self._host = session, server, host
        self._tried: list[str] = []
        self._respond: Scram | None = None
        self._challenge = ""
        self._is_done = False
        self._is_retried = False  # the 904 after 908 belongs to the attempt before

    @property
    def has_begun(self) -> bool:
        """Whether a mechanism was tried."""
        return bool(self._tried)

    @property
    def _is_wanted(self) -> bool:
        return bool(self._server.password) or self._server.auth == "external"

    def require(self) -> None:
        """Raises NoLogin where a login is wanted, and is not there: we never go on without it."""
        if self._is_wanted and not self._is_done:
            raise NoLogin(
                f"{self._session.where} offers no login, and the settings have a password; "
                "nobody would know that it is us"
            )

    def _mechanisms(self) -> list[str]:
        """What we may use, strongest first; a password in clear text only if the settings say."""
        auth = self._server.auth
        if auth != "auto":
            return [auth.upper()]
        return ["SCRAM-SHA-256", *(["PLAIN"] if self._server.tls == "implicit" else [])]

    def begin(self) -> None:
        """Begins with the strongest mechanism that both sides have. Raises Refused."""
        for name in self._mechanisms():
            if name not in self._tried and (not self.offered or name in self.offered):
                self._tried.append(name)
                self._respond, self._challenge = None, ""
                self._session.send(f"AUTHENTICATE {name}")
                return
        offered = ", ".join(self.offered) or "unknown ones"
        hint = ""
        if "PLAIN" in self.offered and self._server.tls == "none":
            hint = '; PLAIN would show the password: write auth = "plain" to allow that'
        raise Refused(f"{self._session.where} offers these logins: {offered}; none is ours{hint}")

    def handle(self, line: Line) -> bool:
        """Handles a line of the login. Returns whether it is complete. Raises Refused."""
        if line.verb == "AUTHENTICATE":
            self._on_challenge(line[0])
        elif line.verb == "900":
            self._session.account = line[2]
        elif line.verb == "908":
            self.offered = line[1].upper().split(",")
            self.begin()
            self._is_retried = True
        elif line.verb == "903":
            if isinstance(self._respond, Scram):
                self._respond.require_proof(self._session.where)
            self._is_done = True
            return True
        elif self._is_retried and line.verb == "904":
            self._is_retried = False
        else:
            text = f"{self._session.where} refuses the login: {line.verb} {line[-1]}"
            raise Refused(self._server.masked(text))
        return False

    def _on_challenge(self, chunk: str) -> None:
        self._challenge += "" if chunk == "+" else chunk
        if len(self._challenge) > RESPONSE:
            raise Refused(f"{self._session.where}: the challenge is too long")
        if len(chunk) == CHUNK:
            return
        encoded, self._challenge = self._challenge, ""
        try:
            challenge = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise Refused(f"{self._session.where}: the challenge is not base64") from None
        response = base64.b64encode(self._response(challenge)).decode()
        for start in range(0, len(response), CHUNK):
            self._session.send(f"AUTHENTICATE {response[start : start + CHUNK]}")
        if len(response) % CHUNK == 0:
            self._session.send("AUTHENTICATE +")

    def _response(self, challenge: bytes) -> bytes:
        mechanism = self._tried[-1] if self._tried else ""
        user, password = self._server.user or self._server.nick, self._server.password
        if mechanism == "EXTERNAL":
            return b""
        if mechanism == "PLAIN":
            return plain(user, password)(challenge)
        if self._respond is None:
            self._respond = Scram("sha256", user, password, self._host.token(24))
        return self._respond(challenge)


def _capabilities(text: str) -> dict[str, str]:
    found = {}
    for word in text.split():
        name, _, value = word.partition("=")
        found[name] = value
    return found


def _user_name(text: str) -> str:
    """Returns what USER may carry: printable ASCII, without a space and the signs of a source."""
    return re.sub(r"[^!-~]|[!@:]", "", text)[:9] or "bot"
