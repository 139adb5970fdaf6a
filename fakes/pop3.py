"""The server side of one POP3 connection: RFC 1939 and its extensions.

CAPA, UIDL, TOP, APOP, STLS, AUTH, PIPELINING, UTF8, LANG. Read the legality table first, then one
handler per command.

Where the RFCs leave a choice: a message is sent byte for byte as it is stored, bare LFs and 8-bit
characters included, except that a bare LF before a dot, or at the end, is sent as CRLF; for TOP, a
bare LF ends a line; UTF-8 in a header is sent to clients that did not ask for it, too; a line over
255 bytes is refused, and the session goes on; so it does after a wrong password; USER accepts any
name; APOP is offered to users who may also use PASS (`off` takes either away). What real servers
choose is in `mail_manners.py`.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, NamedTuple

from fakes import sasl
from fakes.descriptor import Port, Server, deferred_table
from fakes.mail_header import find_empty_line
from fakes.mail_manners import POP3_MANNERS
from fakes.maildrop import Row
from fakes.mailstore import Mailstore
from fakes.rows import Rows, Seen
from fakes.wire import Refuse, Rule, Runtime, Secret, Unit, rule
from fakes.wire.dots import dot_stuff
from fakes.wire.lines import LONGEST_LINE, LineSession

COMMAND_LINE = 255  # bytes with CRLF (RFC 2449 §4), an initial response included (RFC 5034 §4)
LANGUAGES = {"en": "English"}  # tag → name in the language itself (RFC 6856 §3.2)


class Reply(NamedTuple):
    """A status, a response code (RFC 2449 §8; "" for none) and a text without leading bracket."""

    ok: bool
    code: str
    text: str


# The replies, by name. `_replace(text=…)` returns one with another text.
OK = Reply(True, "", "Done")
BYE = Reply(True, "", "Bye")
SEND_PASS = Reply(True, "", "Now the password")
READY_FOR_TLS = Reply(True, "", "Begin TLS negotiation")
CROWDED = Reply(False, "SYS/TEMP", "Too many connections, try later")
TOO_MANY_COMMANDS = Reply(False, "", "Too many bad commands")
UNKNOWN_VERB = Reply(False, "", "Unknown command")
LINE_TOO_LONG = Reply(False, "", "Line too long")
BAD_ARGUMENT = Reply(False, "", "Bad argument")
WRONG_STATE = Reply(False, "", "Not in this state")
NO_SUCH_MESSAGE = Reply(False, "", "No such message")
DELETED = Reply(False, "", "That message is marked as deleted")
GONE = Reply(False, "", "That message was removed by another program")
WRONG_CREDENTIALS = Reply(False, "AUTH", "Authentication failed")
TLS_FIRST = Reply(False, "", "Say STLS first")
IN_USE = Reply(False, "IN-USE", "Another session has this maildrop")
TOO_SOON = Reply(False, "LOGIN-DELAY", "Too soon after the last login")
NEEDS_UTF8 = Reply(
    False, "UTF8", "This message has UTF-8 in its header; say UTF8 before logging in"
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How this server is configured. `off` names capabilities that it does not have."""

    tls: Literal["off", "optional", "required"] = "off"  # STLS; required: before any login
    login_delay: int = 0  # seconds between two logins of a person without a delay of their own
    # Refuse a mail with UTF-8 in its header to a client that has not sent UTF8 (RFC 6856 §5).
    # Real servers send it as it is.
    withhold_utf8: bool = False
    # A message that RETR has sent is \Seen for IMAP, as on some real servers.
    seen_by_retr: bool = False
    # Commands before the login that do not exist there, in a row, the last of which ends the
    # connection; 0: any number. RFC 1939 §3 only says that they are -ERR.
    bad_commands_before_login: int = 0
    several_sessions: bool = False  # a maildrop may be open more than once, against RFC 1939 §4
    capa_without_logins: bool = False  # after the login, CAPA lists no logins (RFC 2449 §5, §6.3)
    extra_arguments: bool = False  # ignore what follows a command without arguments (RFC 1939 §5)
    ignore_initial_response: bool = False  # where the server begins, against RFC 5034 §4
    bare_lf: bool = False  # a bare LF ends a line, too, against RFC 1939 §3
    wrong_login_text: str = WRONG_CREDENTIALS.text  # after -ERR [AUTH]
    wrong_login_delay: float = 0.0  # seconds until a wrong login is answered
    # Which refusals of AUTH have the code AUTH (RFC 3206 §5): wrong logins, or always.
    auth_code: Literal["wrong-login", "always"] = "wrong-login"
    auth_lists: bool = False  # AUTH alone lists the mechanisms, against RFC 5034 §4
    scram: bool = False  # offer SCRAM, too, which many mail servers do not
    off: frozenset[str] = frozenset()


_WRONG_LOGIN = "RFC 3206 §5"
_BEFORE_LOGIN = "AUTHORIZATION NAMED"
_ANYWHERE = "AUTHORIZATION NAMED TRANSACTION"


class Pop3(LineSession):
    """One POP3 connection.

    States: AUTHORIZATION, NAMED (USER was accepted), AUTH (a login is under way), TRANSACTION.
    """

    protocol: ClassVar[str] = "pop3"
    states: ClassVar[str] = "AUTHORIZATION NAMED AUTH TRANSACTION"
    verbs: ClassVar[dict[str, Rule]] = {
        "USER": rule(_BEFORE_LOGIN, "RFC 1939 §7", then="NAMED"),
        "PASS": rule("NAMED", "RFC 1939 §7", then="TRANSACTION"),
        "APOP": rule(_BEFORE_LOGIN, "RFC 1939 §7", then="TRANSACTION"),
        "AUTH": rule(_BEFORE_LOGIN, "RFC 5034 §4", then="AUTH TRANSACTION"),
        "response": rule("AUTH", "RFC 5034 §4", then="AUTH TRANSACTION"),
        "STLS": rule(_BEFORE_LOGIN, "RFC 2595 §4", then="AUTHORIZATION"),
        "UTF8": rule(_BEFORE_LOGIN, "RFC 6856 §2.1"),
        "LANG": rule(_ANYWHERE, "RFC 6856 §3"),
        "CAPA": rule(_ANYWHERE, "RFC 2449 §5"),
        "STAT": rule("TRANSACTION", "RFC 1939 §5"),
        "LIST": rule("TRANSACTION", "RFC 1939 §5"),
        "RETR": rule("TRANSACTION", "RFC 1939 §5"),
        "DELE": rule("TRANSACTION", "RFC 1939 §5"),
        "NOOP": rule("TRANSACTION", "RFC 1939 §5"),
        "RSET": rule("TRANSACTION", "RFC 1939 §5"),
        "TOP": rule("TRANSACTION", "RFC 1939 §7"),
        "UIDL": rule("TRANSACTION", "RFC 1939 §7"),
        "QUIT": rule(_ANYWHERE, "RFC 1939 §6"),
    }
    # Capability → the verbs that exist only with it, in the order in which CAPA lists them. All
    # other verbs always exist (RFC 1939 §5).
    brings: ClassVar[dict[str, tuple[str, ...]]] = {
        "TOP": ("TOP",),
        "UIDL": ("UIDL",),
        "RESP-CODES": (),
        "AUTH-RESP-CODE": (),
        "PIPELINING": (),
        "UTF8": ("UTF8",),
        "LANG": ("LANG",),
        "USER": ("USER", "PASS"),
        "SASL": ("AUTH",),
        "EXPIRE": (),
        "LOGIN-DELAY": (),
        "STLS": ("STLS",),
        "IMPLEMENTATION": (),
        # These two are not listed. A client knows CAPA by its answer, and APOP by the greeting.
        "CAPA": ("CAPA",),
        "APOP": ("APOP",),
    }
    capabilities: ClassVar[frozenset[str]] = frozenset({*brings, *sasl.SCRAM, *sasl.MECHANISMS})
    idle_timeout: ClassVar[float] = 600.0  # seconds; at least 10 minutes (RFC 1939 §3)
    unauthenticated: ClassVar[str] = "AUTHORIZATION"
    auth_section: ClassVar[str] = "RFC 5034 §4"

    def __init__(self, runtime: Runtime, store: Mailstore, policy: Policy | None = None) -> None:
        super().__init__(runtime, store.people, store.host)
        self.store = store
        self.policy = policy or Policy()
        self._off = self.policy.off | self.lacking()
        # A capability that is off removes its verbs.
        self._missing = {verb for name in self._off for verb in self.brings.get(name, ())}
        if self.policy.bare_lf:
            self.bare_lf = True
        self._bad_commands = 0  # in a row, before the login
        self._stamp = ""  # the timestamp of the greeting; "" where APOP is off
        self._name = ""  # the argument of USER
        self._utf8 = False
        # The maildrop at login time: message n is row n - 1. A mail that arrives during the session
        # is not among them.
        self._rows: Seen[Row] = Rows[Row]().seen()
        self._marked: set[int] = set()  # numbers of the messages marked as deleted
        self._left = (0, 0)  # number and size of the messages that are not marked

    # ── opening and closing ──────────────────────────────────────────────────

    def greet(self) -> None:
        if self.facts.crowded:
            self._say(CROWDED, "RFC 3206 §4")
            self.close()
            return
        if "APOP" not in self._off:
            self._stamp = f"<{self.runtime.token(16)}@{self.store.host}>"
        self._say(OK._replace(text=f"{self.store.host} POP3 {self._stamp}".strip()), "RFC 1939 §4")

    def upgraded(self) -> None:
        """RFC 2595 §4: the server forgets everything it learnt before TLS, USER included."""
        super().upgraded()
        self.state, self._name, self._utf8 = "AUTHORIZATION", "", False

    def abandoned(self) -> None:
        """Releases the lock. Only QUIT commits deletions (RFC 1939 §6)."""
        if self.user and self.store.maildrop(self.user).holder is self:
            self.store.maildrop(self.user).holder = None

    # ── units ────────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        line = self.next_line(LONGEST_LINE if self.state == "AUTH" else COMMAND_LINE)
        if line is None:
            return None
        if self.state == "AUTH":
            refusal = Refuse(LINE_TOO_LONG, "RFC 5034 §4") if self.too_long else None
            secrets = self.response_secret(line, 0)
            return Unit(line, "response", secrets=secrets, refusal=refusal)
        # Only PASS, APOP and AUTH hold a secret, and matching each line costs as much as a reply.
        may_be_secret = line.lstrip()[:1] in b"pPaA"
        secrets = self._secrets(line) if may_be_secret else ()
        if b"\n" in line[:-2]:
            secrets = self.secrets_in_fragment(line)
        if self.too_long:
            refusal = Refuse(LINE_TOO_LONG, "RFC 2449 §4")
            secrets = self.long_line_secret(line) or secrets
            return Unit(line, "", secrets=secrets, refusal=refusal)
        verb, _, argument = line[:-2].partition(b" ")
        name = verb.decode("ascii", "replace").upper()
        if name not in self.verbs:
            secrets = secrets or self.secrets_in_fragment(line)
        return Unit(line, name, argument.decode("utf-8", "surrogateescape"), secrets)

    def _secrets(self, line: bytes) -> tuple[Secret, ...]:
        """Returns the span of a password or digest, in a legal command or not."""
        match = _SECRET.match(line)
        if match is None:
            return ()
        start, end = match.span("secret")
        if match["mechanism"]:
            mechanism = match["mechanism"].decode("ascii", "replace").upper()
            return self.response_secret(line, start, mechanism)
        secret = match["secret"].decode("utf-8", "replace")
        if match["verb"].upper() == b"PASS":
            name = self._name or "nobody"
            account = self.store.people.for_login(name, secret)
            right = account is not None and secret == account.password
            return (_labelled(start, end, "pass", name, right),)
        name, _, digest = secret.partition(" ")
        start += len(name.encode("utf-8", "replace")) + 1
        if not digest or start >= end:
            return ()
        account = self.store.people.find(name)
        right = account is not None and digest == self._digest(account).decode()
        return (_labelled(start, end, "apop", name, right),)

    # ── dispatch ─────────────────────────────────────────────────────────────

    def handle(self, unit: Unit) -> None:
        bad = self._bad_commands
        super().handle(unit)
        if bad and bad == self._bad_commands:
            self._bad_commands = 0
        if self.state == "NAMED" and unit.verb != "USER":
            # RFC 1939 §7: PASS is only valid immediately after USER.
            self.state, self._name = "AUTHORIZATION", ""

    def permits(self, unit: Unit) -> None:
        in_clear = self.policy.tls == "required" and self.tls is None
        if in_clear and unit.verb in ("USER", "PASS", "APOP", "AUTH") and self.offers(unit.verb):
            raise Refuse(TLS_FIRST, "RFC 2595 §4")

    def offers(self, verb: str) -> bool:
        if verb in self._missing:
            return False
        if verb == "STLS":
            return self.policy.tls != "off"
        if verb == "APOP":
            return bool(self._stamp)
        return verb != "AUTH" or bool(self._mechanisms())

    def unknown(self, unit: Unit) -> Refuse:
        self._count_bad(UNKNOWN_VERB)
        return Refuse(UNKNOWN_VERB, "RFC 1939 §3")

    def wrong_state(self, unit: Unit) -> Refuse:
        text = "Say USER first" if unit.verb == "PASS" else "Log in first"
        if self.state == "TRANSACTION":
            text = "You are logged in"
        reply = WRONG_STATE._replace(text=text)
        if unit.verb != "PASS":
            self._count_bad(reply)
        return Refuse(reply, "RFC 1939 §3")

    def _count_bad(self, reply: Reply) -> None:
        """Ends the connection, with this reply, if that was one bad command too many."""
        if self.policy.bad_commands_before_login and not self.user:
            self._bad_commands += 1
            if self._bad_commands == self.policy.bad_commands_before_login:
                self._say(reply, "RFC 1939 §3")
                self._say(TOO_MANY_COMMANDS)
                self.close()

    def refused(self, refusal: Refuse) -> None:
        if refusal.section == _WRONG_LOGIN and self.policy.wrong_login_delay:
            self.delay(self.policy.wrong_login_delay, partial(self._refused, refusal))
        else:
            self._refused(refusal)

    def _refused(self, refusal: Refuse) -> None:
        if self.state == "AUTH":
            self.end_exchange()
        if not self.ending:
            self._say(refusal.reply, refusal.section)

    def scripted_reply(self, text: str) -> None:
        """The command has no effect. After QUIT, and in place of a greeting, the session ends."""
        greeting = self.current is None
        self.send_lines(text)
        self.heard = self.runtime.now()
        if self.state in ("AUTH", "NAMED"):
            self._exchange, self.state = None, "AUTHORIZATION"
        after_quit = self.current is not None and self.current.verb == "QUIT"
        if not text.startswith("+") and (greeting or after_quit):
            self.close()

    def _say(self, reply: Reply, section: str = "", *lines: bytes) -> None:
        """Sends a status line; `lines`, dots stuffed, make it a multi-line response."""
        code = reply.code if "RESP-CODES" not in self._off else ""
        if "AUTH-RESP-CODE" in self._off and code.startswith(("AUTH", "SYS/")):
            code = ""
        text = reply.text.replace("§", "section ")  # RFC 1939 §3: printable ASCII
        prefix = f"{'+OK' if reply.ok else '-ERR'} {f'[{code}] ' if code else ''}"
        status = f"{prefix}{text}\r\n".encode()
        # One copy, however many pieces there are: a message may be large.
        self.send(b"".join((status, *lines, b".\r\n")) if lines else status, section)

    def _list(self, text: str, lines: Iterable[str], section: str) -> None:
        body = "".join(f"{line}\r\n" for line in lines).encode()
        self._say(OK._replace(text=text), section, body)

    # ── AUTHORIZATION ────────────────────────────────────────────────────────

    def do_USER(self, unit: Unit) -> None:
        (self._name,) = self._words(unit, 1)
        self._say(SEND_PASS, "RFC 1939 §7")

    def do_PASS(self, unit: Unit) -> None:
        account = self.store.people.for_login(self._name, unit.arg)
        # Unknown users take the same path and the same time: nobody learns which names exist.
        password = account.password.encode("utf-8", "surrogateescape") if account else b"\0"
        right = hmac.compare_digest(password, unit.arg.encode("utf-8", "surrogateescape"))
        self._log_in(account.address if account is not None and right else None, "RFC 1939 §7")

    def do_APOP(self, unit: Unit) -> None:
        name, digest = self._words(unit, 2)
        account = self.store.people.find(name)
        right = hmac.compare_digest(self._digest(account), digest.encode("utf-8", "replace"))
        self._log_in(account.address if account is not None and right else None, "RFC 1939 §7")

    def _digest(self, account: sasl.Account | None) -> bytes:
        password = account.password if account else "\0"
        return hashlib.md5((self._stamp + password).encode()).hexdigest().encode()

    def _log_in(self, address: str | None, section: str) -> None:
        """Opens the maildrop of an authenticated user (None: the login failed). Raises Refuse."""
        if address is None:
            raise self._wrong_login()
        drop = self.store.maildrop(address)
        if drop.holder is not None and not self.policy.several_sessions:
            raise Refuse(IN_USE, "RFC 2449 §8.1.2")
        if self.runtime.now() < drop.last_login + self._delay(address):
            raise Refuse(TOO_SOON, "RFC 2449 §8.1.1")
        drop.holder, drop.last_login = self, self.runtime.now()
        self.user = address
        # Numbers and sizes are fixed for the session, whatever is delivered now (RFC 1939 §4).
        self._rows = drop.rows
        self._left = (len(self._rows), drop.size)
        self.note(user=address)
        self._say(OK._replace(text=f"{self._counted()} in the maildrop"), section)

    def _delay(self, address: str) -> int:
        person = self.store.people.find(address)
        if person is None or person.login_delay is None:
            return self.policy.login_delay
        return person.login_delay

    def do_STLS(self, unit: Unit) -> None:
        self._words(unit, 0)
        if self.tls is not None:
            raise Refuse(WRONG_STATE._replace(text="TLS is active already"), "RFC 2595 §4")
        if self._utf8:
            raise Refuse(WRONG_STATE._replace(text="STLS comes before UTF8"), "RFC 6856 §2.1")
        self._say(READY_FOR_TLS, "RFC 2595 §4")
        self.start_tls()

    def do_UTF8(self, unit: Unit) -> None:
        self._words(unit, 0)
        self._utf8 = True
        self._say(OK._replace(text="UTF8 enabled"), "RFC 6856 §2.1")

    def do_AUTH(self, unit: Unit) -> None:
        name, space, initial = unit.arg.partition(" ")
        mechanism = name.upper()
        if not unit.arg and self.policy.auth_lists:
            self._list("Mechanisms", self._mechanisms(), "RFC 5034 §4")
            return
        if mechanism not in self._mechanisms():
            text = f"Say AUTH and one of: {' '.join(self._mechanisms())}"
            raise Refuse(self._bad_login(text), "RFC 5034 §4")
        if space and mechanism not in sasl.TAKES_INITIAL_RESPONSE:
            if self.policy.ignore_initial_response:
                self.begin_exchange(mechanism, None)
                return
            text = f"{mechanism} takes no initial response"
            raise Refuse(BAD_ARGUMENT._replace(text=text), "RFC 5034 §4")
        encoded = initial.encode("utf-8", "surrogateescape")
        self.begin_exchange(mechanism, encoded if space else None)

    def authenticated(self, exchange: sasl.Exchange) -> None:
        self._log_in(exchange.user, "RFC 5034 §4")
        self.state = "TRANSACTION"

    def rejected(self, error: binascii.Error | sasl.SaslError) -> Refuse:
        if isinstance(error, sasl.WrongCredentials):
            return self._wrong_login()
        text = error.reason if isinstance(error, sasl.SaslError) else "Cannot decode base64"
        return Refuse(self._bad_login(text), "RFC 5034 §4")

    def _bad_login(self, text: str) -> Reply:
        code = "AUTH" if self.policy.auth_code == "always" else ""
        return BAD_ARGUMENT._replace(code=code, text=text)

    def _wrong_login(self) -> Refuse:
        reply = WRONG_CREDENTIALS._replace(text=self.policy.wrong_login_text)
        return Refuse(reply, _WRONG_LOGIN)

    def cancelled(self) -> Refuse:
        text = "Authentication cancelled"
        return Refuse(WRONG_CREDENTIALS._replace(code="", text=text), "RFC 5034 §4")

    # ── in both states ───────────────────────────────────────────────────────

    def do_CAPA(self, unit: Unit) -> None:
        self._words(unit, 0)
        self._list("What this server can do", self._capabilities(), "RFC 2449 §5")

    def _capabilities(self) -> Iterable[str]:
        """The same before and after the login, except STLS, which ends with it (RFC 2449 §5)."""
        may_log_in = self.policy.tls != "required" or self.tls is not None
        if self.user and self.policy.capa_without_logins:
            may_log_in = False
        may_start_tls = self.policy.tls != "off" and self.tls is None
        lines = {
            "USER": "USER" if may_log_in else "",
            "SASL": " ".join(["SASL", *self._mechanisms()]) if may_log_in else "",
            "EXPIRE": "EXPIRE NEVER",  # RFC 2449 §6.7
            "LOGIN-DELAY": self._login_delay(),
            "STLS": "STLS" if may_start_tls and self.state != "TRANSACTION" else "",
            "IMPLEMENTATION": "IMPLEMENTATION fakes",  # RFC 2449 §6.9
            "CAPA": "",
            "APOP": "",
        }
        if not self._mechanisms():
            lines["SASL"] = ""
        listed = (lines.get(name, name) for name in self.brings if name not in self._off)
        return filter(None, listed)

    def _login_delay(self) -> str:
        """Before the login, the longest delay of all, marked if it differs (RFC 2449 §6.5)."""
        if self.user:
            return f"LOGIN-DELAY {self._delay(self.user)}"
        delays = {self._delay(person.address) for person in self.store.people}
        return f"LOGIN-DELAY {max(delays, default=0)}{' USER' if len(delays) > 1 else ''}"

    def _mechanisms(self) -> list[str]:
        if "SASL" in self._off:
            return []
        return sasl.offered(self.policy.scram, self._off)

    def do_LANG(self, unit: Unit) -> None:
        if not unit.arg:
            self._list(
                "Languages", (f"{tag} {name}" for tag, name in LANGUAGES.items()), "RFC 6856 §3"
            )
            return
        (wanted,) = self._words(unit, 1)
        tag = "en" if wanted == "*" else wanted.lower()
        if tag not in LANGUAGES:
            text = "No such language; LANG alone lists those there are"
            raise Refuse(BAD_ARGUMENT._replace(text=text), "RFC 6856 §3")
        self._say(OK._replace(text=f"{tag} is spoken from now on"), "RFC 6856 §3")

    def do_QUIT(self, unit: Unit) -> None:
        self._words(unit, 0)
        if self.state == "TRANSACTION":
            removed = [self._rows[number - 1] for number in self._marked]
            self.abandoned()  # first the lock: without it, removing needs no copy
            if removed:
                self.store.remove(self.user, removed)
            self.note(removed=len(removed))
        self._say(BYE, "RFC 1939 §6")
        self.close()

    # ── TRANSACTION ──────────────────────────────────────────────────────────

    def do_STAT(self, unit: Unit) -> None:
        self._words(unit, 0)
        count, size = self._left
        self._say(OK._replace(text=f"{count} {size}"), "RFC 1939 §5")

    def do_LIST(self, unit: Unit) -> None:
        if unit.arg:
            number, row = self._message(unit)
            self._say(OK._replace(text=f"{number} {row.size}"), "RFC 1939 §5")
            return
        lines = (f"{number} {row.size}" for number, row in self._unmarked())
        self._list(self._counted(), lines, "RFC 1939 §5")

    def do_UIDL(self, unit: Unit) -> None:
        if unit.arg:
            number, row = self._message(unit)
            self._say(OK._replace(text=f"{number} {row.unique_id}"), "RFC 1939 §7")
            return
        lines = (f"{number} {row.unique_id}" for number, row in self._unmarked())
        self._list("Unique ids", lines, "RFC 1939 §7")

    def do_RETR(self, unit: Unit) -> None:
        _, row = self._message(unit)
        self._check_there(row)
        self._check_utf8(row)
        self.note(uid=row.uid)
        if self.policy.seen_by_retr:
            self.store.maildrop(self.user).change([row.uid], ["\\Seen"], "+")
        # Not by `_say`, which costs a tenth of all this: a maildrop is fetched mail by mail.
        status = b"+OK %d octets\r\n" % row.size
        self.send(b"".join((status, *row.stuffed(), b".\r\n")), "RFC 1939 §5")

    def do_TOP(self, unit: Unit) -> None:
        number, count = self._words(unit, 2)
        if not _NUMBER.fullmatch(count):
            text = "Say: TOP, the number of a message, and of lines"
            raise Refuse(BAD_ARGUMENT._replace(text=text), "RFC 1939 §7")
        _, row = self._message(unit, number)
        self._check_there(row)
        self._check_utf8(row)
        top = dot_stuff(_top(row.served(), int(count)))
        self._say(OK._replace(text="The top of it"), "RFC 1939 §7", row.trace, top)

    def do_DELE(self, unit: Unit) -> None:
        number, row = self._message(unit)
        self._marked.add(number)
        count, size = self._left
        self._left = (count - 1, size - row.size)
        self.note(uid=row.uid)
        self._say(OK._replace(text=f"Message {number} is marked as deleted"), "RFC 1939 §5")

    def do_RSET(self, unit: Unit) -> None:
        self._words(unit, 0)
        sizes = sum(self._rows[number - 1].size for number in self._marked)
        self._left = (len(self._rows), self._left[1] + sizes)
        self._marked.clear()
        self._say(OK._replace(text=self._counted()), "RFC 1939 §5")

    def do_NOOP(self, unit: Unit) -> None:
        self._words(unit, 0)
        self._say(OK, "RFC 1939 §5")

    def _unmarked(self) -> list[tuple[int, Row]]:
        """Returns number and row of each message that is not marked as deleted."""
        rows = enumerate(self._rows, 1)
        return [(number, row) for number, row in rows if number not in self._marked]

    def _counted(self) -> str:
        count, size = self._left
        return f"{count} message{'' if count == 1 else 's'} ({size} octets)"

    def _message(self, unit: Unit, number: str = "") -> tuple[int, Row]:
        """Returns number and row of the message that a command names. Raises Refuse."""
        word = number or unit.arg
        if not _NUMBER.fullmatch(word):
            if not number:
                self._words(unit, 1)
            text = f"Say: {unit.verb} and the number of a message"
            raise Refuse(BAD_ARGUMENT._replace(text=text), "RFC 1939 §5")
        at = int(word)
        if not 1 <= at <= len(self._rows):
            raise Refuse(NO_SUCH_MESSAGE, "RFC 1939 §5")
        if at in self._marked:
            raise Refuse(DELETED, "RFC 1939 §5")
        return at, self._rows[at - 1]

    def _check_there(self, row: Row) -> None:
        """Raises Refuse if a session of IMAP has removed a message, which it may at any time."""
        if self.store.maildrop(self.user).lacks(row, self._rows):
            raise Refuse(GONE, "RFC 1939 §5")

    def _check_utf8(self, row: Row) -> None:
        withheld = self.policy.withhold_utf8 and "UTF8" not in self._off
        if withheld and not self._utf8 and row.international():
            raise Refuse(NEEDS_UTF8, "RFC 6856 §5")

    def _words(self, unit: Unit, count: int) -> list[str]:
        """Returns the arguments, separated by single spaces (RFC 2449 §3).

        Raises Refuse if there are more or fewer than `count`.
        """
        words = unit.arg.split(" ") if unit.arg else []
        undecodable = _UNDECODABLE.search(unit.arg)
        if len(words) != count or not all(words) or undecodable:
            if not count and self.policy.extra_arguments:
                return []
            wants = ("no argument", "one argument", "two arguments")[count]
            text = f"{unit.verb} takes {wants}"
            raise Refuse(BAD_ARGUMENT._replace(text=text), "RFC 1939 §3")
        return words


_NUMBER = re.compile(r"[0-9]+")
_UNDECODABLE = re.compile(r"[\udc80-\udcff]")  # what was not UTF-8
_SECRET = re.compile(
    rb"\s*(?P<verb>PASS|APOP|AUTH\s+(?P<mechanism>\S+))\s(?P<secret>[^\r\n]+)", re.I
)


def _labelled(start: int, end: int, kind: str, name: str, right: bool) -> Secret:
    return Secret(start, end, f"{kind} {name}" + ("" if right else " wrong"))


def _top(raw: bytes, count: int) -> bytes:
    """Returns the header, the empty line, and up to `count` lines of the body (RFC 1939 §7).

    The trace, which is the beginning of the header, is not in it: to join the two would copy all.
    """
    at = find_empty_line(raw)[1]
    while count and at < len(raw):
        at = raw.find(b"\n", at) + 1 or len(raw)
        count -= 1
    top = raw[:at]
    return top if top.endswith(b"\r\n") or not top else top.removesuffix(b"\n") + b"\r\n"


SERVER = Server(
    name="pop3",
    session=Pop3,
    ports=(Port("pop3", 1110), Port("pop3s", 1995, tls=True)),
    make=lambda core, runtime, mail, policy: core(runtime, mail.store, policy),
    store="mail",
    policy=Policy,
    table="mail",
    words=deferred_table("fakes.transcripts.mail", "WORDS"),
    manners=POP3_MANNERS,
)
