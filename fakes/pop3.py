"""A POP3 server's side of one connection: RFC 1939, with CAPA, UIDL, TOP, APOP, STLS, AUTH, PIPELINING, UTF8 and LANG.

Read the legality table first; then one handler a verb. A handler says what happened, `_say` and `_list` alone write. What
the RFCs leave open is settled here: a mail's octets are sent as they lie in the maildrop, a bare LF and eight bits
included; a line over 255 octets is refused and the session goes on; so it does after a wrong password; USER says +OK to
any name; APOP is offered to those who may also use PASS (`off` takes either away).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from fakes import sasl
from fakes.maildrop import Row, dot_stuff
from fakes.mailstore import Mailstore
from fakes.wire import Kit, Refuse, Rule, Secret, Session, Unit, rule

COMMAND_LINE = 255  # octets with CRLF (RFC 2449 §4), an initial response included (RFC 5034 §4)
AUTH_LINE = 12288  # octets with CRLF of an answer to a challenge: as long as any mechanism here needs
IDLE = 600.0  # seconds of silence before the autologout (RFC 1939 §3: at least 10 minutes)
LANGUAGES = {"en": "English"}  # tag → its name in itself (RFC 6856 §3.2)


class Reply(NamedTuple):
    """A status indicator, a response code (RFC 2449 §8; "" for none) and a text, which never begins with a bracket."""

    ok: bool
    code: str
    text: str


# The replies, by name. Texts that depend on the case are given with `_replace(text=…)`.
OK = Reply(True, "", "Done")
BYE = Reply(True, "", "Bye")
SEND_PASS = Reply(True, "", "Now the password")
READY_FOR_TLS = Reply(True, "", "Begin TLS negotiation")
CROWDED = Reply(False, "SYS/TEMP", "Too many connections, try later")
UNKNOWN_VERB = Reply(False, "", "Unknown command")
LINE_TOO_LONG = Reply(False, "", "Line too long")
BAD_ARGUMENT = Reply(False, "", "Bad argument")
WRONG_STATE = Reply(False, "", "Not in this state")
NO_SUCH_MESSAGE = Reply(False, "", "No such message")
DELETED = Reply(False, "", "That message is marked as deleted")
WRONG_CREDENTIALS = Reply(False, "AUTH", "Authentication failed")
TLS_FIRST = Reply(False, "", "Say STLS first")
IN_USE = Reply(False, "IN-USE", "Another session has this maildrop")
TOO_SOON = Reply(False, "LOGIN-DELAY", "Too soon after the last login")
NEEDS_UTF8 = Reply(False, "UTF8", "This message has UTF-8 in its header; say UTF8 before logging in")


@dataclass(frozen=True)
class Policy:
    """How this server is set up. `off` names capabilities that it does not have, to play an old one."""

    tls: str = "off"  # STLS: "off", "optional", or "required" before any login
    login_delay: int = 0  # seconds between logins of one person, where the person has no other
    off: frozenset[str] = frozenset()


class Pop3(Session):
    """One POP3 connection. States: AUTHORIZATION, NAMED (USER was said), AUTH (an exchange), TRANSACTION."""

    protocol: ClassVar[str] = "pop3"
    verbs: ClassVar[dict[str, Rule]] = {
        "USER": rule("AUTHORIZATION NAMED", "RFC 1939 §7"),
        "PASS": rule("NAMED", "RFC 1939 §7"),
        "APOP": rule("AUTHORIZATION NAMED", "RFC 1939 §7"),
        "AUTH": rule("AUTHORIZATION NAMED", "RFC 5034 §4"),
        "response": rule("AUTH", "RFC 5034 §4"),
        "STLS": rule("AUTHORIZATION NAMED", "RFC 2595 §4"),
        "UTF8": rule("AUTHORIZATION NAMED", "RFC 6856 §2.1"),
        "LANG": rule("AUTHORIZATION NAMED TRANSACTION", "RFC 6856 §3"),
        "CAPA": rule("AUTHORIZATION NAMED TRANSACTION", "RFC 2449 §5"),
        "STAT": rule("TRANSACTION", "RFC 1939 §5"),
        "LIST": rule("TRANSACTION", "RFC 1939 §5"),
        "RETR": rule("TRANSACTION", "RFC 1939 §5"),
        "DELE": rule("TRANSACTION", "RFC 1939 §5"),
        "NOOP": rule("TRANSACTION", "RFC 1939 §5"),
        "RSET": rule("TRANSACTION", "RFC 1939 §5"),
        "TOP": rule("TRANSACTION", "RFC 1939 §7"),
        "UIDL": rule("TRANSACTION", "RFC 1939 §7"),
        "QUIT": rule("AUTHORIZATION NAMED TRANSACTION", "RFC 1939 §6"),
    }
    capabilities: ClassVar[frozenset[str]] = frozenset(
        "CAPA TOP USER APOP SASL UIDL RESP-CODES AUTH-RESP-CODE PIPELINING EXPIRE LOGIN-DELAY STLS UTF8 LANG "
        "IMPLEMENTATION".split()
    ) | frozenset(sasl.MECHANISMS)
    # verb → the capability that brings it; what stands nowhere here is always there (RFC 1939 §5)
    _BROUGHT_BY: ClassVar[dict[str, str]] = {
        "USER": "USER", "PASS": "USER", "AUTH": "SASL",
        **{name: name for name in ("APOP", "STLS", "UTF8", "LANG", "CAPA", "TOP", "UIDL")},
    }  # fmt: skip

    def __init__(self, kit: Kit, store: Mailstore, policy: Policy | None = None) -> None:
        super().__init__(kit)
        self.store = store
        self.policy = policy or Policy()
        self.state = "AUTHORIZATION"
        self._off = self.policy.off | {name for name in self.capabilities if self.lacks(name)}
        self._scanned = 0  # how far into the buffer the end of the line was looked for
        self._overlong = False  # the line exceeded its limit: it is thrown away as it comes
        self._stamp = ""  # the greeting's timestamp, "" where APOP is off
        self._name = ""  # what USER said
        self._exchange: sasl.Exchange | None = None
        self._utf8 = False
        self._rows: list[Row] = []  # the maildrop as it was at the login: message n is row n - 1
        self._marked: set[int] = set()  # numbers of messages marked as deleted

    # ── opening and closing ──────────────────────────────────────────────────────────────────────────────────────

    def greet(self) -> None:
        self._await_command()
        if self.facts.crowded:
            self._say(CROWDED, "RFC 3206 §4")
            self.close()
            return
        if "APOP" not in self._off:
            self._stamp = f"<{self.kit.token(16)}@{self.store.host}>"
        self._say(OK._replace(text=f"{self.store.host} POP3 {self._stamp}".strip()), "RFC 1939 §4")

    def upgraded(self) -> None:
        """RFC 2595 §4: what was said in clear is forgotten, a USER among it."""
        self.state, self._name, self._utf8 = "AUTHORIZATION", "", False
        self._scanned, self._overlong = 0, False

    def abandoned(self) -> None:
        """RFC 1939 §6: only QUIT commits; however a session ends, its lock goes with it."""
        if self.user and self.store.maildrop(self.user).holder is self:
            self.store.maildrop(self.user).holder = None

    def _await_command(self) -> None:
        self.at("idle", self.kit.now() + IDLE, self.close)  # RFC 1939 §3: not a word, and nothing is removed

    # ── units ────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        limit = AUTH_LINE if self.state == "AUTH" else COMMAND_LINE
        end = self._in.find(b"\r\n", self._scanned)
        if end < 0:
            self._scanned = max(0, len(self._in) - 1)
            if len(self._in) > AUTH_LINE:  # bounded: an endless line is thrown away as it comes
                del self._in[: self._scanned]
                self._scanned, self._overlong = 0, True
            return None
        line = bytes(self._in[: end + 2])
        del self._in[: end + 2]
        self._scanned = 0
        overlong, self._overlong = self._overlong or len(line) > limit, False
        if self.state == "AUTH":
            secrets = self._response_secret(line, 0, None)
            return Unit(line, "response", secrets=secrets, value=LINE_TOO_LONG if overlong else None)
        verb, _, argument = line[:-2].partition(b" ")
        return Unit(
            line,
            "" if overlong else verb.decode("ascii", "replace").upper(),
            argument.decode("utf-8", "surrogateescape"),
            self._secrets(line),
            LINE_TOO_LONG if overlong else None,
        )

    def _secrets(self, line: bytes) -> tuple[Secret, ...]:
        """The span of a password or digest, wherever somebody says one, legal or not."""
        match = _SECRET.match(line)
        if match is None:
            return ()
        start, end, verb = match.start("secret"), match.end("secret"), match["verb"].upper()
        said = match["secret"].decode("utf-8", "replace")
        if match["mechanism"]:
            return self._response_secret(line, start, match["mechanism"].decode("ascii", "replace").upper())
        name = self._name or "nobody"
        if verb == b"APOP":
            name, _, said = said.partition(" ")
            start += len(name.encode("utf-8", "replace")) + 1
            if not said or start >= end:
                return ()
        account = self.store.people.find(name)
        right = account is not None and said == (self._digest(account).decode() if verb == b"APOP" else account.password)
        return (Secret(start, end, f"{verb.decode().lower()} {name}" + ("" if right else " wrong")),)

    def _response_secret(self, line: bytes, start: int, mechanism: str | None) -> tuple[Secret, ...]:
        end = len(line) - 2
        if line[start:end] in (b"*", b"=", b""):
            return ()
        name, challenge = "", b""
        if mechanism is None and self._exchange is not None:
            mechanism, name, challenge = self._exchange.mechanism, self._exchange.name, self._exchange.challenge
        try:
            response = base64.b64decode(line[start:end], validate=True)
        except binascii.Error:
            return (Secret(start, end, "not base64"),)
        return (Secret(start, end, sasl.label(mechanism or "", response, self.store.people, name, challenge)),)

    # ── dispatch ─────────────────────────────────────────────────────────────────────────────────────────────────

    def handle(self, unit: Unit) -> None:
        self._await_command()
        super().handle(unit)
        if self.state == "NAMED" and unit.verb != "USER":
            self.state, self._name = "AUTHORIZATION", ""  # RFC 1939 §7: PASS only right behind USER

    def offers(self, verb: str) -> bool:
        capability = self._BROUGHT_BY.get(verb, "")
        if capability in self._off or (verb == "STLS" and self.policy.tls == "off"):
            return False
        if verb == "APOP" and not self._stamp:
            return False
        if self.policy.tls == "required" and self.tls is None and verb in ("USER", "PASS", "APOP", "AUTH"):
            raise Refuse(TLS_FIRST, "RFC 2595 §4")
        return verb != "AUTH" or bool(self._mechanisms())

    def unknown(self, unit: Unit) -> Refuse:
        if isinstance(unit.value, Reply):
            return Refuse(unit.value, "RFC 2449 §4")
        return Refuse(UNKNOWN_VERB, "RFC 1939 §3")

    def misplaced(self, unit: Unit) -> Refuse:
        text = "Say USER first" if unit.verb == "PASS" else "Log in first"
        if self.state == "TRANSACTION":
            text = "You are logged in"
        return Refuse(WRONG_STATE._replace(text=text), "RFC 1939 §3")

    def refused(self, refusal: Refuse) -> None:
        if not self.closed:
            self._say(refusal.reply, refusal.section)

    def said_instead(self, text: str) -> None:
        """A reply dictated by a fault: the unit has no effect. Behind QUIT, and in place of a greeting, it ends."""
        greeting = self._said is None
        self.send(text.encode() + b"\r\n")
        self._await_command()
        if self.state in ("AUTH", "NAMED"):
            self._exchange, self.state = None, "AUTHORIZATION"
        if not text.startswith("+") and (greeting or (self._said is not None and self._said.verb == "QUIT")):
            self.close()

    def _say(self, reply: Reply, section: str = "", lines: bytes | None = None) -> None:
        """A status line; `lines`, dots stuffed, make it a multi-line response (RFC 1939 §3)."""
        code = reply.code if "RESP-CODES" not in self._off else ""
        if "AUTH-RESP-CODE" in self._off and code.startswith(("AUTH", "SYS/")):
            code = ""
        text = reply.text.replace("§", "section ")  # RFC 1939 §3: printable ASCII
        status = f"{'+OK' if reply.ok else '-ERR'} {f'[{code}] ' if code else ''}{text}\r\n".encode()
        self.send(status if lines is None else status + lines + b".\r\n", section)

    def _list(self, text: str, lines: Iterable[str], section: str) -> None:
        self._say(OK._replace(text=text), section, "".join(f"{line}\r\n" for line in lines).encode())

    # ── AUTHORIZATION ────────────────────────────────────────────────────────────────────────────────────────────

    def do_USER(self, unit: Unit) -> None:
        (self._name,) = self._words(unit, 1)
        self.state = "NAMED"
        self._say(SEND_PASS, "RFC 1939 §7")

    def do_PASS(self, unit: Unit) -> None:
        account = self.store.people.find(self._name)
        right = hmac.compare_digest(
            account.password.encode() if account else b"\0", unit.arg.encode("utf-8", "surrogateescape")
        )
        self._log_in(account.address if account is not None and right else None, "RFC 1939 §7")

    def do_APOP(self, unit: Unit) -> None:
        name, digest = self._words(unit, 2)
        account = self.store.people.find(name)
        right = hmac.compare_digest(self._digest(account), digest.encode("utf-8", "replace"))
        self._log_in(account.address if account is not None and right else None, "RFC 1939 §7")

    def _digest(self, account: sasl.Account | None) -> bytes:
        return hashlib.md5((self._stamp + (account.password if account else "\0")).encode()).hexdigest().encode()

    def _log_in(self, address: str | None, section: str) -> None:
        """Opens the maildrop, once somebody is known to be who they say. Raises Refuse."""
        if address is None:
            raise Refuse(WRONG_CREDENTIALS, "RFC 3206 §5")
        drop = self.store.maildrop(address)
        if drop.holder is not None:
            raise Refuse(IN_USE, "RFC 2449 §8.1.2")
        if self.kit.now() < drop.last_login + self._delay(address):
            raise Refuse(TOO_SOON, "RFC 2449 §8.1.1")
        drop.holder, drop.last_login = self, self.kit.now()
        self.user, self.state = address, "TRANSACTION"
        self._rows = list(drop.rows)  # numbers and sizes are fixed from here on (RFC 1939 §4)
        self.note(user=address)
        self._say(OK._replace(text=f"{self._counted()} in the maildrop"), section)

    def _delay(self, address: str) -> int:
        person = self.store.people.find(address)
        return self.policy.login_delay if person is None or person.login_delay is None else person.login_delay

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
        name, blank, initial = unit.arg.partition(" ")
        mechanism = name.upper()
        if mechanism not in self._mechanisms():
            text = f"Say AUTH and one of: {' '.join(self._mechanisms())}"
            raise Refuse(BAD_ARGUMENT._replace(text=text), "RFC 5034 §4")
        if blank and mechanism not in sasl.TAKES_INITIAL_RESPONSE:
            raise Refuse(BAD_ARGUMENT._replace(text=f"{mechanism} takes no initial response"), "RFC 5034 §4")
        context = sasl.Context(self.store.people, lambda: self.kit.token(16), self.store.host)
        self._exchange = sasl.Exchange(mechanism, context)
        self.state = "AUTH"
        self._step(b"" if initial == "=" else initial.encode("utf-8", "surrogateescape") if blank else None)

    def do_response(self, unit: Unit) -> None:
        if isinstance(unit.value, Reply):
            self._exchange, self.state = None, "AUTHORIZATION"
            raise Refuse(unit.value, "RFC 5034 §4")
        if unit.raw == b"*\r\n":
            self._exchange, self.state = None, "AUTHORIZATION"
            raise Refuse(WRONG_CREDENTIALS._replace(code="", text="Authentication cancelled"), "RFC 5034 §4")
        self._step(unit.raw[:-2])

    def _step(self, encoded: bytes | None) -> None:
        """One step of the exchange. A failure leaves everything as if AUTH had not been said (RFC 5034 §4)."""
        exchange = self._exchange
        assert exchange is not None
        try:
            response = None if encoded is None else base64.b64decode(encoded, validate=True)
            challenge = exchange.start(response) if exchange.step == 0 else exchange.answer(response or b"")
        except (binascii.Error, sasl.SaslError) as error:
            self._exchange, self.state = None, "AUTHORIZATION"
            if isinstance(error, sasl.WrongCredentials):
                raise Refuse(WRONG_CREDENTIALS, "RFC 3206 §5") from None
            text = error.reason if isinstance(error, sasl.SaslError) else "Cannot decode base64"
            raise Refuse(BAD_ARGUMENT._replace(text=text), "RFC 5034 §4") from None
        if challenge is not None:
            self.send(b"+ " + base64.b64encode(challenge) + b"\r\n", "RFC 5034 §4")
            return
        self._exchange, self.state = None, "AUTHORIZATION"
        self._log_in(exchange.user, "RFC 5034 §4")

    # ── in both states ───────────────────────────────────────────────────────────────────────────────────────────

    def do_CAPA(self, unit: Unit) -> None:
        self._words(unit, 0)
        self._list("What this server can do", self._capabilities(), "RFC 2449 §5")

    def _capabilities(self) -> Iterable[str]:
        """RFC 2449 §5: the same before and after the login, but for STLS, which is only there while it is permitted."""
        for name in ("TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UTF8", "LANG"):
            if name not in self._off:
                yield name
        may_log_in = self.policy.tls != "required" or self.tls is not None
        if "USER" not in self._off and may_log_in:
            yield "USER"
        if self._mechanisms() and may_log_in:
            yield "SASL " + " ".join(self._mechanisms())
        if "EXPIRE" not in self._off:
            yield "EXPIRE NEVER"
        if "LOGIN-DELAY" not in self._off:
            yield self._login_delay()
        if self.policy.tls != "off" and self.tls is None and self.state != "TRANSACTION" and "STLS" not in self._off:
            yield "STLS"
        if "IMPLEMENTATION" not in self._off:
            yield "IMPLEMENTATION fakes"

    def _login_delay(self) -> str:
        """RFC 2449 §6.5: before the login the longest of all, marked when it may be shorter for some."""
        if self.user:
            return f"LOGIN-DELAY {self._delay(self.user)}"
        every = {self._delay(person.address) for person in self.store.people}
        return f"LOGIN-DELAY {max(every, default=0)}{' USER' if len(every) > 1 else ''}"

    def _mechanisms(self) -> list[str]:
        return [] if "SASL" in self._off else [name for name in sasl.MECHANISMS if name not in self._off]

    def do_LANG(self, unit: Unit) -> None:
        if not unit.arg:
            self._list("Languages", (f"{tag} {name}" for tag, name in LANGUAGES.items()), "RFC 6856 §3")
            return
        (wanted,) = self._words(unit, 1)
        tag = "en" if wanted == "*" else wanted.lower()
        if tag not in LANGUAGES:
            raise Refuse(BAD_ARGUMENT._replace(text="No such language; LANG alone lists those there are"), "RFC 6856 §3")
        self._say(OK._replace(text=f"{tag} is spoken from now on"), "RFC 6856 §3")

    def do_QUIT(self, unit: Unit) -> None:
        self._words(unit, 0)
        if self.state == "TRANSACTION":
            self.store.remove(self.user, [self._rows[number - 1] for number in self._marked])
            self.note(removed=len(self._marked))
        self._say(BYE, "RFC 1939 §6")
        self.close()

    # ── TRANSACTION ──────────────────────────────────────────────────────────────────────────────────────────────

    def do_STAT(self, unit: Unit) -> None:
        self._words(unit, 0)
        rows = [row for _, row in self._visible()]
        self._say(OK._replace(text=f"{len(rows)} {sum(row.size for row in rows)}"), "RFC 1939 §5")

    def do_LIST(self, unit: Unit) -> None:
        if unit.arg:
            number, row = self._message(unit)
            self._say(OK._replace(text=f"{number} {row.size}"), "RFC 1939 §5")
            return
        self._list(self._counted(), (f"{number} {row.size}" for number, row in self._visible()), "RFC 1939 §5")

    def do_UIDL(self, unit: Unit) -> None:
        if unit.arg:
            number, row = self._message(unit)
            self._say(OK._replace(text=f"{number} {row.unique_id}"), "RFC 1939 §7")
            return
        self._list("Unique ids", (f"{number} {row.unique_id}" for number, row in self._visible()), "RFC 1939 §7")

    def do_RETR(self, unit: Unit) -> None:
        _, row = self._message(unit)
        self._check_utf8(row)
        self.note(uid=row.uid)
        self._say(OK._replace(text=f"{row.size} octets"), "RFC 1939 §5", row.stuffed)

    def do_TOP(self, unit: Unit) -> None:
        number, count = self._words(unit, 2)
        if not re.fullmatch(r"[0-9]{1,9}", count):
            raise Refuse(BAD_ARGUMENT._replace(text="Say: TOP, the number of a message, and of lines"), "RFC 1939 §7")
        _, row = self._message(unit, number)
        self._check_utf8(row)
        self._say(OK._replace(text="The top of it"), "RFC 1939 §7", dot_stuff(_top(row.raw, int(count))))

    def do_DELE(self, unit: Unit) -> None:
        number, row = self._message(unit)
        self._marked.add(number)
        self.note(uid=row.uid)
        self._say(OK._replace(text=f"Message {number} is marked as deleted"), "RFC 1939 §5")

    def do_RSET(self, unit: Unit) -> None:
        self._words(unit, 0)
        self._marked.clear()
        self._say(OK._replace(text=self._counted()), "RFC 1939 §5")

    def do_NOOP(self, unit: Unit) -> None:
        self._words(unit, 0)
        self._say(OK, "RFC 1939 §5")

    def _visible(self) -> list[tuple[int, Row]]:
        """Number and row of each message that is not marked as deleted."""
        return [(number, row) for number, row in enumerate(self._rows, 1) if number not in self._marked]

    def _counted(self) -> str:
        rows = [row for _, row in self._visible()]
        return f"{len(rows)} message{'' if len(rows) == 1 else 's'} ({sum(row.size for row in rows)} octets)"

    def _message(self, unit: Unit, number: str = "") -> tuple[int, Row]:
        """The message that a command names. Raises Refuse."""
        word = number or self._words(unit, 1)[0]
        if not re.fullmatch(r"[0-9]{1,9}", word):
            raise Refuse(BAD_ARGUMENT._replace(text=f"Say: {unit.verb} and the number of a message"), "RFC 1939 §5")
        if not 1 <= int(word) <= len(self._rows):
            raise Refuse(NO_SUCH_MESSAGE, "RFC 1939 §5")
        if int(word) in self._marked:
            raise Refuse(DELETED, "RFC 1939 §5")
        return int(word), self._rows[int(word) - 1]

    def _check_utf8(self, row: Row) -> None:
        if not self._utf8 and "UTF8" not in self._off and row.international:
            raise Refuse(NEEDS_UTF8, "RFC 6856 §5")

    def _words(self, unit: Unit, count: int) -> list[str]:
        """The arguments, parted by single blanks (RFC 2449 §4). Raises Refuse when they are not so many."""
        words = unit.arg.split(" ") if unit.arg else []
        if len(words) != count or not all(words) or any("\udc80" <= c <= "\udcff" for c in unit.arg):
            wants = ("no argument", "one argument", "two arguments")[count]
            raise Refuse(BAD_ARGUMENT._replace(text=f"{unit.verb} takes {wants}"), "RFC 1939 §3")
        return words


_SECRET = re.compile(rb"\s*(?P<verb>PASS|APOP|AUTH\s+(?P<mechanism>\S+))\s(?P<secret>[^\r\n]+)", re.I)


def _top(raw: bytes, count: int) -> bytes:
    """The header, the empty line behind it, and so many lines of the body (RFC 1939 §7)."""
    end = raw.find(b"\r\n\r\n")
    at = len(raw) if end < 0 else end + 4
    while count and at < len(raw):
        line_end = raw.find(b"\r\n", at)
        at = len(raw) if line_end < 0 else line_end + 2
        count -= 1
    top = raw[:at]
    return top if top.endswith(b"\r\n") or not top else top + b"\r\n"
