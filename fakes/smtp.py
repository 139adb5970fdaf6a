"""The server side of one SMTP connection: RFC 5321 and its extensions.

STARTTLS, AUTH, SIZE, 8BITMIME, SMTPUTF8, DSN, PIPELINING, ENHANCEDSTATUSCODES, CHUNKING,
BINARYMIME. Read the legality table first, then one handler per command. The grammar of addresses
and parameters is in `smtp_syntax.py`.

Where RFC 5321 leaves a choice: a bare LF does not end a line, and is kept in content; a content
line may have any length; a command line over 2,048 bytes is refused; mail for another domain is
accepted and shown to the test as relayed. What real servers choose is in `mail_manners.py`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

from fakes import sasl
from fakes.descriptor import Port, Server, deferred_table
from fakes.mail import NO_PARAMETERS, Envelope, Mail, Recipient
from fakes.mail_header import find_empty_line
from fakes.mail_manners import SMTP_MANNERS
from fakes.mailstore import Mailstore, is_postmaster
from fakes.people import Person
from fakes.smtp_syntax import (
    MAIL_PARAMETERS,
    RCPT_PARAMETERS,
    Parameter,
    parse_parameters,
    parse_path,
)
from fakes.wire import Refuse, Rule, Runtime, Secret, Unit, rule
from fakes.wire.lines import LONGEST_LINE, LineSession

# 512 bytes must be accepted; the parameters of DSN and other extensions come on top of that
# (RFC 5321 §4.5.3.1.4).
COMMAND_LINE = 2048  # bytes with CRLF
REPLY_LINE = 512  # bytes with CRLF (RFC 5321 §4.5.3.1.5)
HOPS = 100  # Received lines; a message with more is in a loop (RFC 5321 §6.3)


class Reply(NamedTuple):
    """Code, enhanced code (RFC 3463; "" for none), and text with lines separated by `\\n`."""

    code: int
    enhanced: str
    text: str


# The replies, by name. `_replace(text=…)` returns one with another text.
BYE = Reply(221, "2.0.0", "Bye")
OK = Reply(250, "2.0.0", "OK")
QUEUED = Reply(250, "2.0.0", "Queued as %s")
SENDER_OK = Reply(250, "2.1.0", "Sender OK")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient OK")
AUTHENTICATED = Reply(235, "2.7.0", "Authentication successful")
CANNOT_VERIFY = Reply(252, "2.5.2", "Cannot verify, but will take mail for it")
UTF8_REPLY = Reply(252, "2.6.8", "The address has UTF-8; ask again with SMTPUTF8")
GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
READY_FOR_TLS = Reply(220, "2.0.0", "Ready to start TLS")
SHUTTING = Reply(421, "4.3.2", "Closing connection")
IDLE_TOO_LONG = Reply(421, "4.4.2", "Idle for too long, closing connection")
TOO_MANY_SESSIONS = Reply(421, "4.3.2", "Too many connections, try later")
TOO_MANY_FAILURES = Reply(421, "4.7.0", "Too many failed logins, closing connection")
TOO_MANY_RECIPIENTS = Reply(
    452, "4.5.3", "Too many recipients; send the rest in another transaction"
)
GREYLISTED = Reply(450, "4.2.0", "Greylisted, come back later")
MAILBOX_FULL = Reply(452, "4.2.2", "Mailbox full")
NO_STORAGE = Reply(452, "4.3.1", "Insufficient system storage")
NOTHING_QUEUED = Reply(458, "", "Unable to queue messages")
LINE_TOO_LONG = Reply(500, "5.5.2", "Line too long")
ANSWER_TOO_LONG = Reply(500, "5.5.6", "Authentication exchange line too long")
UNKNOWN_VERB = Reply(500, "5.5.2", "Command not recognised")
BAD_SYNTAX = Reply(501, "5.5.4", "Syntax error in the argument")
BAD_BASE64 = Reply(501, "5.5.2", "Cannot decode base64")
CANCELLED = Reply(501, "5.7.0", "Authentication cancelled")
NOT_OFFERED = Reply(502, "5.5.1", "Command not implemented here")
BAD_SEQUENCE = Reply(503, "5.5.1", "Bad sequence of commands")
UNKNOWN_MECHANISM = Reply(504, "5.5.4", "Unrecognised authentication mechanism")
LOGIN_FIRST = Reply(530, "5.7.0", "Authentication required")
TLS_FIRST = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
WRONG_CREDENTIALS = Reply(535, "5.7.8", "Authentication credentials invalid")
NO_SUCH_MAILBOX = Reply(550, "5.1.1", "No such mailbox here")
NO_RELAY = Reply(550, "5.7.1", "Relaying denied")
UTF8_SENDER = Reply(550, "5.6.7", "Address needs SMTPUTF8")
TOO_BIG = Reply(552, "5.3.4", "Message exceeds the size limit")
UTF8_RECIPIENT = Reply(553, "5.6.7", "Address needs SMTPUTF8")
AMBIGUOUS = Reply(553, "5.1.4", "Ambiguous; say the whole address")
NO_VALID_RECIPIENTS = Reply(554, "5.5.1", "No valid recipients")
TOO_MANY_HOPS = Reply(554, "5.4.6", "Too many hops: the message loops")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "Parameter not recognised or not implemented")


@dataclass(frozen=True, slots=True)
class Policy:
    """How this server is configured. `off` names capabilities that it does not have."""

    tls: Literal["off", "optional", "required"] = "off"  # STARTTLS
    login: Literal["optional", "required"] = "optional"
    relay: Literal["keep", "refuse", "login"] = "keep"  # mail for other domains; login: for users
    unknown: Literal["reject", "bounce"] = "reject"  # mail for unknown users: at RCPT, or later
    size: int = 52_428_800  # bytes per message
    recipients: int = 1000  # per message; at least 100 (RFC 5321 §4.5.3.1.8)
    # Failed logins per connection, the last of which is answered with 421; at least 3 (RFC 4954
    # §9). Clients such as smtplib try each mechanism in one login, so 3 would end their first one.
    bad_logins: int = 10
    lenient: bool = False  # accept spaces after the colon of MAIL FROM: and RCPT TO:
    greylist: float = 0.0  # seconds from a first attempt to its acceptance; 0: no greylisting
    bare_addresses: bool = False  # accept MAIL FROM:a@b.c, which RFC 5321 §4.1.2 forbids
    raw_utf8: bool = False  # accept UTF-8 in an address without SMTPUTF8, against RFC 6531 §3.1
    # A bare LF ends a line, and content ends at LF.LF, too, against RFC 5321 §2.3.8.
    bare_lf: bool = False
    auth_535: bool = False  # for bad responses and unknown mechanisms, too, against RFC 4954 §4
    data_without_recipients: Literal["503", "554"] = "503"  # RFC 5321 §3.3 allows both
    # What EHLO lists (RFC 5321 §4.1.1.1), in this order. What it can list, and is not here, is off.
    ehlo: tuple[
        Literal[
            "PIPELINING",
            "SIZE",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "DSN",
            "CHUNKING",
            "BINARYMIME",
            "STARTTLS",
            "AUTH",
            "EXPN",
            "HELP",
            "VRFY",
            "ETRN",
        ],
        ...,
    ] = ()
    hang_up_on_http: bool = False  # at a command of HTTP (RFC 5321 §7.8)
    scram: bool = False  # offer SCRAM, too, which many mail servers do not
    off: frozenset[str] = frozenset()


class Extension(NamedTuple):
    """What EHLO may list; the parameters that it adds to MAIL and RCPT are in smtp_syntax.py."""

    verb: str = ""  # the command that exists only with it
    needs: str = ""  # the extension without which it must not be offered


EXTENSIONS = {  # in the order in which EHLO lists them
    "PIPELINING": Extension(),  # RFC 2920
    "SIZE": Extension(),  # RFC 1870
    "8BITMIME": Extension(),  # RFC 6152
    "SMTPUTF8": Extension(needs="8BITMIME"),  # RFC 6531 §3.1 (8)
    "ENHANCEDSTATUSCODES": Extension(),  # RFC 2034
    "DSN": Extension(),  # RFC 3461
    "CHUNKING": Extension(verb="BDAT"),  # RFC 3030 §2
    "BINARYMIME": Extension(needs="CHUNKING"),  # RFC 3030 §3
}
_LISTED = frozenset({*EXTENSIONS, "STARTTLS", "AUTH", "EXPN", "HELP"})
_VERBS = {one.verb: name for name, one in EXTENSIONS.items() if one.verb}
_HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT"})
_IN_TRANSACTION = "READY MAIL RCPT CHUNKS BROKEN"
_ANYWHERE = f"START {_IN_TRANSACTION}"

_EXAMPLES = {
    "FROM:": "MAIL FROM:<alice@example.org>",
    "TO:": "RCPT TO:<bob@example.org>",
}


class Smtp(LineSession):
    """One SMTP connection.

    States: START (not greeted), READY (greeted), MAIL (a transaction has a sender), RCPT (and a
    recipient), DATA (content is being sent), CHUNKS (BDAT has brought part of it), BROKEN (a BDAT
    failed: only RSET helps), AUTH (a login is under way).
    """

    protocol: ClassVar[str] = "smtp"
    states: ClassVar[str] = "START READY MAIL RCPT DATA CHUNKS BROKEN AUTH"
    verbs: ClassVar[dict[str, Rule]] = {
        "EHLO": rule(_ANYWHERE, "RFC 5321 §4.1.1.1", then="READY"),
        "HELO": rule(_ANYWHERE, "RFC 5321 §4.1.1.1", then="READY"),
        "MAIL": rule("READY", "RFC 5321 §4.1.1.2", then="MAIL"),
        "RCPT": rule("MAIL RCPT", "RFC 5321 §4.1.1.3", then="RCPT"),
        "DATA": rule("RCPT", "RFC 5321 §4.1.1.4", then="DATA"),
        ".": rule("DATA", "RFC 5321 §4.1.1.4", then="READY"),
        "BDAT": rule("RCPT CHUNKS", "RFC 3030 §2", then="CHUNKS READY"),
        "RSET": rule(_ANYWHERE, "RFC 5321 §4.1.1.5", then="START READY"),
        "VRFY": rule(_ANYWHERE, "RFC 5321 §4.1.1.6"),
        "EXPN": rule(_ANYWHERE, "RFC 5321 §4.1.1.7"),
        "HELP": rule(_ANYWHERE, "RFC 5321 §4.1.1.8"),
        "NOOP": rule(_ANYWHERE, "RFC 5321 §4.1.1.9"),
        "QUIT": rule(_ANYWHERE, "RFC 5321 §4.1.1.10"),
        "STARTTLS": rule(_IN_TRANSACTION, "RFC 3207 §4", then="START"),
        "AUTH": rule("READY", "RFC 4954 §4", then="AUTH READY"),
        "response": rule("AUTH", "RFC 4954 §4", then="AUTH READY"),
    }
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {*EXTENSIONS, "STARTTLS", "AUTH", "EXPN", "VRFY", "HELP", *sasl.SCRAM, *sasl.MECHANISMS}
    )
    idle_timeout: ClassVar[float] = 300.0  # seconds (RFC 5321 §4.5.3.2.7)
    unauthenticated: ClassVar[str] = "READY"
    challenge_prefix: ClassVar[bytes] = b"334 "
    auth_section: ClassVar[str] = "RFC 4954 §4"

    def __init__(self, runtime: Runtime, store: Mailstore, policy: Policy | None = None) -> None:
        super().__init__(runtime, store.people, store.host)
        self.store = store
        self.policy = policy or Policy()
        self.helo = ""
        self.esmtp = False
        self._off = self.policy.off | self.lacking()
        if self.policy.ehlo:
            self._off |= _LISTED.difference(self.policy.ehlo)
        if self.policy.bare_lf:
            self.bare_lf = True
        self._enhanced = "ENHANCEDSTATUSCODES" not in self._off
        self._failed_logins = 0
        self._rejecting = False  # greeted with 554: only QUIT is accepted (RFC 5321 §3.1)
        self._forget_transaction()

    def _forget_transaction(self) -> None:
        """Forgets sender and recipients, but neither the greeting nor the login."""
        self._sender = ""
        self._params: Mapping[str, str | None] = NO_PARAMETERS
        self._recipients: list[Recipient] = []
        self._attempts = 0  # RCPT commands, accepted or not
        self._chunks = bytearray()  # what BDAT has brought so far

    # ── opening ──────────────────────────────────────────────────────────────

    def greet(self) -> None:
        if self.facts.crowded:
            self._say(TOO_MANY_SESSIONS)
            self.close()
        else:
            self.send(f"220 {self.store.host} ESMTP\r\n".encode(), "RFC 5321 §4.2")

    def upgraded(self) -> None:
        """RFC 3207 §4.2: the server forgets everything it learnt before TLS."""
        super().upgraded()
        self.state = "START"
        self.helo, self.user, self.esmtp = "", "", False
        self._forget_transaction()

    def idle(self) -> None:
        self._say(IDLE_TOO_LONG, "RFC 5321 §4.5.3.2.7")
        self.close()

    # ── units ────────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        if not self.buffer:
            return None
        state = self.state
        if state == "DATA":
            return self._next_content()
        if self.buffer[0] in b"bB" and self._takes_chunks():
            if self.bare_lf:
                self.end_line()
            chunk = _CHUNK.match(self.buffer)
            if chunk is not None:
                return self._next_chunk(chunk)
        line = self.next_line(LONGEST_LINE if state == "AUTH" else COMMAND_LINE)
        if line is None:
            return None
        if state == "AUTH":
            refusal = Refuse(ANSWER_TOO_LONG, "RFC 4954 §4") if self.too_long else None
            secrets = self.response_secret(line, 0)
            return Unit(line, "response", secrets=secrets, refusal=refusal)
        verb, _, argument = line[:-2].partition(b" ")
        name = verb.decode("ascii", "replace").upper()
        secrets = self._initial_response_secret(line, argument) if name == "AUTH" else ()
        if name not in self.verbs or b"\n" in line[:-2]:
            secrets = self.secrets_in_fragment(line)
        if self.too_long:
            refusal = Refuse(LINE_TOO_LONG, "RFC 5321 §4.5.3.1")
            secrets = self.long_line_secret(line) or secrets
            return Unit(line, "", secrets=secrets, refusal=refusal)
        return Unit(line, name, argument.decode("utf-8", "surrogateescape"), secrets)

    def _takes_chunks(self) -> bool:
        """Whether a BDAT command may begin here: it is offered, and this is not inside a line."""
        return self.offers("BDAT") and self.state != "AUTH" and not self.discarding_line

    def _next_content(self) -> Unit | None:
        content = self.next_dotted(self.policy.size)
        if content is None:
            return None
        refusal = Refuse(TOO_BIG, "RFC 1870 §6.3") if self.too_long else None
        raw, dot = content.sent or content.data, content.sent is None
        return Unit(raw, ".", content=content.data, refusal=refusal, final_dot=dot)

    def _next_chunk(self, line: re.Match[bytes]) -> Unit | None:
        """A BDAT command and its chunk are one unit: a refused chunk has been read completely.

        RFC 3030 §2 demands this of a server, whatever the reason of the refusal.
        """
        arg = line["arg"].decode()
        room = self.policy.size - len(self._chunks)
        content = self.next_counted(line.end(), int(line["size"]), room)
        if content is None:
            return None
        refusal = Refuse(TOO_BIG, "RFC 1870 §6.3") if self.too_long else None
        return Unit(content.raw, "BDAT", arg, content=content.data, refusal=refusal)

    def _initial_response_secret(self, line: bytes, argument: bytes) -> tuple[Secret, ...]:
        mechanism, space, initial = argument.partition(b" ")
        if not initial.strip():
            return ()
        start = len("AUTH ") + len(mechanism) + len(space)
        return self.response_secret(line, start, mechanism.decode("ascii", "replace").upper())

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        return () if self.state == "DATA" else super().secrets_in_fragment(raw)

    # ── dispatch ─────────────────────────────────────────────────────────────

    def permits(self, unit: Unit) -> None:
        verb = unit.verb
        if self._rejecting and verb != "QUIT":
            raise Refuse(BAD_SEQUENCE, "RFC 5321 §3.1")
        policy = self.policy
        if policy.tls == "required" and self.tls is None and verb not in _BEFORE_TLS:
            raise Refuse(TLS_FIRST, "RFC 3207 §4")
        if policy.login == "required" and not self.user and verb in _AFTER_LOGIN:
            raise Refuse(LOGIN_FIRST, "RFC 4954 §6")

    def offers(self, verb: str) -> bool:
        if verb in _EVERY_SERVER_HAS:
            return True
        if verb == "STARTTLS":
            # Once TLS is active the verb still exists, to be refused with 503 (RFC 3207 §4.2).
            return (self.policy.tls != "off" or self.tls is not None) and verb not in self._off
        if verb == "AUTH":
            return bool(self._mechanisms())
        return _VERBS.get(verb, verb) not in self._off

    def unknown(self, unit: Unit) -> Refuse:
        if unit.verb in self.verbs:
            return Refuse(NOT_OFFERED, "RFC 5321 §4.2.4")
        if self.policy.hang_up_on_http and unit.verb in _HTTP_METHODS:
            self._say(SHUTTING, "RFC 5321 §7.8")
            self.close()
        if unit.verb == "ETRN" and "ETRN" in self.policy.ehlo:
            return Refuse(NOTHING_QUEUED, "RFC 1985 §5.3")
        return Refuse(UNKNOWN_VERB, "RFC 5321 §4.2.4")

    def wrong_state(self, unit: Unit) -> Refuse:
        if (
            unit.verb in ("DATA", "BDAT")
            and self.state == "MAIL"
            and (self._attempts or self.policy.data_without_recipients == "554")
        ):
            return Refuse(NO_VALID_RECIPIENTS, "RFC 5321 §3.3")
        if self.state == "START":
            return Refuse(BAD_SEQUENCE._replace(text="Send EHLO first"), "RFC 5321 §4.1.4")
        text = "A mail transaction is open; finish it or send RSET"
        if self.state == "BROKEN":
            text = "BDAT failed; send RSET"
        elif self.state == "READY":
            text = "Send MAIL first"
        elif self.state == "MAIL" and unit.verb in ("DATA", "BDAT"):
            text = "Send RCPT first"
        return Refuse(BAD_SEQUENCE._replace(text=text), "RFC 5321 §4.1.4")

    def refused(self, refusal: Refuse) -> None:
        self._leave_exchange_or_content()
        if not self.ending:
            self._say(refusal.reply, refusal.section)

    def scripted_reply(self, text: str) -> None:
        """A scripted reply has its effect: 421 closes, a 5xx greeting leaves nothing but QUIT."""
        self.send_lines(text)
        self.heard = self.runtime.now()
        self._leave_exchange_or_content()
        if text.startswith("421"):
            self.close()  # RFC 5321 §3.8
        elif self.current is None and text.startswith("5"):
            self._rejecting = True

    def _leave_exchange_or_content(self) -> None:
        """A refusal in the middle of a login or of content ends it, and the transaction with it."""
        if self.state == "AUTH":
            self.end_exchange()
        elif self.state == "DATA":
            self._forget_transaction()
            self.state = "READY"
        elif self.state in ("RCPT", "CHUNKS") and self._handling("BDAT"):
            # RFC 3030 §2: chunks that follow in the pipeline must not become a message.
            self._forget_transaction()
            self.state = "BROKEN"

    def _handling(self, verb: str) -> bool:
        return self.current is not None and self.current.verb == verb

    def _say(self, reply: Reply, section: str = "") -> None:
        self.send(_encoded(reply, self._enhanced), section)

    # ── greeting and capabilities ────────────────────────────────────────────

    def do_EHLO(self, unit: Unit) -> None:
        self._hello(unit)
        self.esmtp = True
        lines = [f"{self.store.host} greets {self.helo}", *self._listed()]
        self._say(Reply(250, "", "\n".join(lines)), "RFC 5321 §4.1.1.1")

    def do_HELO(self, unit: Unit) -> None:
        self._hello(unit)
        self.esmtp = False
        self._say(Reply(250, "", self.store.host), "RFC 5321 §4.1.1.1")

    def _hello(self, unit: Unit) -> None:
        if not re.fullmatch(r"[!-;=?-~]+", unit.arg.strip()):
            text = f"Say who you are: {unit.verb} client.example"
            raise Refuse(BAD_SYNTAX._replace(text=text), "RFC 5321 §4.1.1.1")
        self.helo = unit.arg.strip()
        self._forget_transaction()  # RFC 5321 §4.1.4: a second greeting ends the transaction

    def _listed(self) -> Iterable[str]:
        """What EHLO lists, in the order of the policy."""
        order = self.policy.ehlo
        if not order:
            return self._capabilities()
        lines = {line.partition(" ")[0]: line for line in self._capabilities()}
        lines |= {name: name for name in ("VRFY", "ETRN") if name not in self._off}
        return [lines[name] for name in order if name in lines]

    def _capabilities(self) -> Iterable[str]:
        for name in EXTENSIONS:
            if self._offered(name):
                yield f"SIZE {self.policy.size}" if name == "SIZE" else name
        if self.policy.tls != "off" and self.tls is None and "STARTTLS" not in self._off:
            yield "STARTTLS"
        if self._mechanisms() and (self.policy.tls != "required" or self.tls is not None):
            yield "AUTH " + " ".join(self._mechanisms())
        yield from (name for name in ("EXPN", "HELP") if name not in self._off)

    def _mechanisms(self) -> list[str]:
        if "AUTH" in self._off:
            return []
        return sasl.offered(self.policy.scram, self._off)

    def _offered(self, extension: str) -> bool:
        needs = EXTENSIONS[extension].needs if extension in EXTENSIONS else ""
        return self._off.isdisjoint((extension, needs))

    def _usable(self, extension: str) -> bool:
        """Whether the client may use an extension: it is offered, and the client sent EHLO."""
        return self.esmtp and self._offered(extension)

    # ── the mail transaction ─────────────────────────────────────────────────

    def do_MAIL(self, unit: Unit) -> None:
        sender, params = self._path("FROM:", unit)
        if params:
            self._check_params(params, MAIL_PARAMETERS)
        if not (sender.isascii() or "SMTPUTF8" in params or self.policy.raw_utf8):
            raise Refuse(UTF8_SENDER, "RFC 6531 §3.5")
        size = int(params.get("SIZE") or 0)
        if size > self.policy.size:
            raise Refuse(TOO_BIG, "RFC 1870 §6.1")
        self._forget_transaction()
        self._sender, self._params = sender, params
        self.note(sender=sender)
        self._say(SENDER_OK)

    def do_RCPT(self, unit: Unit) -> None:
        self._attempts += 1
        recipient, params = self._path("TO:", unit)
        if params:
            self._check_params(params, RCPT_PARAMETERS)
        if not (recipient.isascii() or "SMTPUTF8" in self._params or self.policy.raw_utf8):
            raise Refuse(UTF8_RECIPIENT, "RFC 6531 §3.5")
        if len(self._recipients) >= self.policy.recipients:
            raise Refuse(TOO_MANY_RECIPIENTS, "RFC 5321 §4.5.3.1.10")
        self._check_recipient(recipient, self.store.owners(recipient))
        self._check_greylist(recipient)
        self._recipients.append(Recipient(recipient, params))
        self.note(recipient=recipient)
        self._say(RECIPIENT_OK)

    def _check_recipient(self, recipient: str, owners: list[Person] | None) -> None:
        """Raises Refuse if this server does not take mail for a recipient now."""
        if owners is None:  # another domain
            login_missing = self.policy.relay == "login" and not self.user
            if self.policy.relay == "refuse" or login_missing:
                raise Refuse(NO_RELAY, "RFC 5321 §7.9")
            return
        if self.policy.unknown != "reject":
            return
        if not owners:
            if is_postmaster(recipient):
                return
            text = f"No such mailbox here: <{recipient}>"
            raise Refuse(NO_SUCH_MAILBOX._replace(text=text), "RFC 5321 §3.3")
        size = int(self._params.get("SIZE") or 0)
        if not self.store.with_room(owners, size):
            raise Refuse(MAILBOX_FULL, "RFC 1870 §6.4")

    def _check_greylist(self, recipient: str) -> None:
        """Raises Refuse if this sender has not tried this recipient long enough ago."""
        delay = self.policy.greylist
        if delay and not self.store.greylist.accepts(
            self.facts.peer, self._sender, recipient, self.runtime.now(), delay
        ):
            raise Refuse(GREYLISTED, "RFC 6647 §2.4")

    def _path(self, keyword: str, unit: Unit) -> tuple[str, Mapping[str, str | None]]:
        """Returns the address and the parameters of MAIL or RCPT. Raises Refuse."""
        text = unit.arg
        if text[: len(keyword)].upper() != keyword:
            say = f"Say: {_EXAMPLES[keyword]}"
            raise Refuse(BAD_SYNTAX._replace(text=say), "RFC 5321 §4.1.2")
        path = text[len(keyword) :]
        if self.policy.lenient:
            path = path.lstrip(" ")
        if self.policy.bare_addresses and path[:1] not in ("", " ", "<"):
            path = "<{}>{}{}".format(*path.partition(" "))
        try:
            address, rest = parse_path(path, null=keyword == "FROM:")
        except ValueError as error:
            enhanced = "5.1.3" if keyword == "TO:" else "5.1.7"
            text = f"{error}; say: {_EXAMPLES[keyword]}"
            raise Refuse(Reply(501, enhanced, text), "RFC 5321 §4.1.2") from None
        if not rest:
            return address, NO_PARAMETERS
        try:
            return address, parse_parameters(rest) or NO_PARAMETERS
        except ValueError as error:
            raise Refuse(BAD_SYNTAX._replace(text=str(error)), "RFC 5321 §4.1.2") from None

    def _check_params(self, params: Mapping[str, str | None], known: dict[str, Parameter]) -> None:
        """Raises Refuse for a parameter that is unknown, not offered, or has a wrong value."""
        for name, value in params.items():
            parameter = known.get(name)
            if parameter is None or not self._usable(parameter.extension):
                text = f"Parameter {name} not recognised"
                raise Refuse(UNKNOWN_PARAMETER._replace(text=text), "RFC 5321 §4.1.1.11")
            if (value is not None) != bool(parameter.form):
                text = f"{name} {'needs a' if parameter.form else 'takes no'} value"
                raise Refuse(BAD_SYNTAX._replace(text=text), parameter.section)
            needed = dict(parameter.needs).get((value or "").upper())
            lacking = needed is not None and not self._usable(needed)
            if value is not None and (lacking or not re.fullmatch(parameter.form, value, re.I)):
                text = f"{name} has a bad value"
                raise Refuse(BAD_SYNTAX._replace(text=text), parameter.section)

    def do_DATA(self, unit: Unit) -> None:
        self._no_argument(unit)
        if (self._params.get("BODY") or "").upper() == "BINARYMIME":
            text = "Send BDAT: the message is BINARYMIME"
            raise Refuse(BAD_SEQUENCE._replace(text=text), "RFC 3030 §3")
        self._say(GO_AHEAD, "RFC 5321 §3.3")

    def do_BDAT(self, unit: Unit) -> None:
        match = _CHUNK_SIZE.fullmatch(unit.arg)
        if match is None:
            text = "Say: BDAT and a number of octets, with LAST for the last chunk"
            raise Refuse(BAD_SYNTAX._replace(text=text), "RFC 3030 §2")
        if not self.esmtp:
            raise Refuse(BAD_SEQUENCE._replace(text="Send EHLO first"), "RFC 3030 §2")
        if match["last"]:
            self._accept(b"".join((self._chunks, unit.content)))
            self.state = "READY"
            return
        self._chunks += unit.content
        self.state = "CHUNKS"
        text = f"{len(unit.content)} octets received"
        self._say(OK._replace(text=text), "RFC 3030 §2")

    def do_end_of_data(self, unit: Unit) -> None:
        self._accept(unit.content)

    def _accept(self, raw: bytes) -> None:
        """Stores a message and ends the transaction. Raises Refuse."""
        envelope = Envelope(
            self._sender,
            tuple(self._recipients),
            self._params,
            self.helo,
            self.facts.peer,
            self._protocol_name(),
            self.user,
        )
        if _received(raw) > HOPS:
            raise Refuse(TOO_MANY_HOPS, "RFC 5321 §6.3")
        mail = Mail(raw, envelope, self.runtime.now(), self.runtime.token(10))
        plan = self.store.plan(mail)
        if self.policy.unknown == "reject" and plan.fails:
            # One reply for all recipients: refusing is right only if no copy could be delivered.
            raise Refuse(MAILBOX_FULL, "RFC 5321 §4.2.5")
        try:
            self.store.on_received(mail)
        except OSError:
            raise Refuse(NO_STORAGE, "RFC 5321 §4.2.2") from None
        self.store.accept(mail, plan)
        self._forget_transaction()
        self.note(queue_id=mail.queue_id)
        queued = _encoded(QUEUED, self._enhanced) % mail.queue_id.encode()
        self.send(queued, "RFC 5321 §6.1")
        # 250 means stored (RFC 5321 §6.1). A test may see the mail once the client can know.
        self.when_written(lambda: self.store.acknowledged(mail))

    def _protocol_name(self) -> str:
        """Returns the WITH of the Received line (RFC 4954 §7, RFC 6531 §4.3)."""
        name = "UTF8SMTP" if "SMTPUTF8" in self._params else "ESMTP"
        name = name if self.esmtp else "SMTP"
        return name + ("S" if self.tls else "") + ("A" if self.user else "")

    def do_RSET(self, unit: Unit) -> None:
        self._no_argument(unit)
        self._forget_transaction()
        if self.state != "START":
            self.state = "READY"
        self._say(OK)

    # ── other commands ───────────────────────────────────────────────────────

    def do_NOOP(self, unit: Unit) -> None:
        self._say(OK)

    def do_QUIT(self, unit: Unit) -> None:
        self._no_argument(unit)
        self._say(BYE, "RFC 5321 §4.1.1.10")
        self.close()

    def _no_argument(self, unit: Unit) -> None:
        if unit.arg.strip():
            text = f"{unit.verb} takes no argument"
            raise Refuse(BAD_SYNTAX._replace(text=text), "RFC 5321 §4.3.2")

    def do_VRFY(self, unit: Unit) -> None:
        if "VRFY" in self._off:
            raise Refuse(CANNOT_VERIFY, "RFC 5321 §7.3")
        name = self._named(unit)
        if "@" in name:
            owners = self.store.owners(name)
        else:
            prefix = name.casefold() + "@"
            people = self.store.people
            found = [person for person in people if person.address.casefold().startswith(prefix)]
            owners = found or self.store.owners(name)
        if owners is None or (not owners and is_postmaster(name)):
            raise Refuse(CANNOT_VERIFY, "RFC 5321 §3.5.3")
        if not owners:
            raise Refuse(NO_SUCH_MAILBOX, "RFC 5321 §3.5.3")
        if len(owners) > 1:
            text = "That is more than one; say which"
            raise Refuse(AMBIGUOUS._replace(text=text), "RFC 5321 §3.5.1")
        self._say_names(unit, owners, "RFC 5321 §3.5.3")

    def do_EXPN(self, unit: Unit) -> None:
        name = self._named(unit).casefold()
        owners = self.store.owners(name) or []
        # A person's own address is a mailbox; only an alias can be a list.
        own = [owner.address.casefold() for owner in owners]
        if not owners or any(name in (address, address.partition("@")[0]) for address in own):
            raise Refuse(Reply(550, "5.1.1", "No such list here"), "RFC 5321 §3.5.1")
        self._say_names(unit, owners, "RFC 5321 §3.5.2")

    def _say_names(self, unit: Unit, people: list[Person], section: str) -> None:
        """Answers VRFY or EXPN. Raises Refuse if the client does not expect UTF-8."""
        text = "\n".join(f"<{person.address}>" for person in people)
        if not (text.isascii() or self._ends_with_smtputf8(unit.arg.strip())):
            raise Refuse(UTF8_REPLY, "RFC 6531 §3.7.4.2")
        self._say(Reply(250, "2.1.5", text), section)

    def _ends_with_smtputf8(self, words: str) -> bool:
        return words.upper().endswith(" SMTPUTF8") and self._usable("SMTPUTF8")

    def _named(self, unit: Unit) -> str:
        """Returns the name or address that VRFY or EXPN asks about. Raises Refuse."""
        words = unit.arg.strip()
        utf8 = self._ends_with_smtputf8(words)
        if utf8:
            words = words[:-9].rstrip()  # RFC 6531 §3.7.4.2
        if not utf8 and not words.isascii():
            raise Refuse(UTF8_SENDER, "RFC 6531 §3.7.4.2")
        example = BAD_SYNTAX._replace(text=f"Say: {unit.verb} alice")
        if not words or re.search("[\udc80-\udcff]", words):
            raise Refuse(example, "RFC 5321 §4.1.1.6")
        if words.startswith("<"):
            try:
                return parse_path(words, null=False)[0]
            except ValueError:
                raise Refuse(example, "RFC 5321 §4.1.1.6") from None
        return words

    def do_HELP(self, unit: Unit) -> None:
        topic = unit.arg.strip().upper()
        row = self.verbs.get(topic)
        if topic and row is None:
            raise Refuse(Reply(504, "5.5.4", "No help about that"), "RFC 5321 §4.1.1.8")
        if row is not None:
            self._say(Reply(214, "2.0.0", f"{topic}: see {row.section}"))
            return
        verbs = [verb for verb in self.verbs if verb.isupper() and self.offers(verb)]
        self._say(Reply(214, "2.0.0", "This server knows:\n" + " ".join(verbs)))

    def do_STARTTLS(self, unit: Unit) -> None:
        self._no_argument(unit)
        if self.tls is not None:
            raise Refuse(BAD_SEQUENCE._replace(text="TLS is active already"), "RFC 3207 §4.2")
        self._say(READY_FOR_TLS, "RFC 3207 §4")
        self.start_tls()

    # ── login ────────────────────────────────────────────────────────────────

    def do_AUTH(self, unit: Unit) -> None:
        if self.user or not self.esmtp:
            text = "Already authenticated" if self.user else "Send EHLO first"
            raise Refuse(BAD_SEQUENCE._replace(text=text), "RFC 4954 §4")
        name, space, initial = unit.arg.strip().partition(" ")
        mechanism = name.upper()
        if not mechanism:
            raise Refuse(BAD_SYNTAX._replace(text="Say: AUTH mechanism"), "RFC 4954 §4")
        if mechanism not in self._mechanisms():
            reply = WRONG_CREDENTIALS if self.policy.auth_535 else UNKNOWN_MECHANISM
            raise Refuse(reply, "RFC 4954 §4")
        if space and mechanism not in sasl.TAKES_INITIAL_RESPONSE:
            text = f"{mechanism} takes no initial response"
            raise Refuse(BAD_SYNTAX._replace(text=text), "RFC 4954 §4")
        self.begin_exchange(mechanism, initial.encode("latin-1", "replace") if space else None)

    def authenticated(self, exchange: sasl.Exchange) -> None:
        self.user = exchange.user
        self.note(user=self.user, mechanism=exchange.mechanism)
        self._say(AUTHENTICATED, "RFC 4954 §4")

    def rejected(self, error: binascii.Error | sasl.SaslError) -> Refuse:
        if isinstance(error, sasl.WrongCredentials):
            self._failed_logins += 1
            if self._failed_logins >= self.policy.bad_logins:
                self._say(TOO_MANY_FAILURES, "RFC 4954 §9")
                self.close()
            return Refuse(WRONG_CREDENTIALS, "RFC 4954 §6")
        if self.policy.auth_535:
            return Refuse(WRONG_CREDENTIALS, "RFC 4954 §4")
        if isinstance(error, sasl.SaslError):
            return Refuse(BAD_SYNTAX._replace(text=error.reason), "RFC 4954 §4")
        return Refuse(BAD_BASE64, "RFC 4954 §4")

    def cancelled(self) -> Refuse:
        return Refuse(CANCELLED, "RFC 4954 §4")


# A server without VRFY must still answer it, with 252 (RFC 5321 §7.3).
_EVERY_SERVER_HAS = Smtp.verbs.keys() - {"STARTTLS", "AUTH", "EXPN", *_VERBS}
_BEFORE_TLS = frozenset({"EHLO", "NOOP", "STARTTLS", "QUIT"})  # RFC 3207 §4
_AFTER_LOGIN = frozenset({"MAIL", "RCPT", "DATA", "BDAT", "VRFY", "EXPN"})  # RFC 4954 §6
_CHUNK = re.compile(rb"BDAT +(?P<arg>(?P<size>\d{1,20})(?: +LAST)?) *\r\n", re.I)
_CHUNK_SIZE = re.compile(r"\d{1,20}(?P<last> +LAST)?", re.I)
_RECEIVED = re.compile(rb"^received:", re.I | re.M)


def _received(raw: bytes) -> int:
    """Returns how many Received lines the header of a message has."""
    return len(_RECEIVED.findall(raw, 0, find_empty_line(raw)[0]))


def _encode(reply: Reply, enhanced: bool) -> bytes:
    code = reply.enhanced + " " if reply.enhanced and enhanced else ""
    # RFC 5321 §4.2: the text of a reply is ASCII.
    *lines, last = reply.text.replace("§", "section ").split("\n")
    whole = [f"{reply.code}-{code}{line}" for line in lines] + [f"{reply.code} {code}{last}"]
    # They repeat what a client has sent.
    cut = (line.encode()[: REPLY_LINE - 2].decode("utf-8", "ignore") for line in whole)
    return "".join(f"{line}\r\n" for line in cut).encode()


_encoded = lru_cache(512)(_encode)  # for the few replies that make up most of what a server sends


SERVER = Server(
    name="smtp",
    session=Smtp,
    ports=(
        Port("smtp", 1025),
        Port("submission", 1587, policy={"login": "required"}),  # RFC 6409 §4.3
        Port("smtps", 1465, tls=True),
    ),
    make=lambda core, runtime, mail, policy: core(runtime, mail.store, policy),
    store="mail",
    policy=Policy,
    table="mail",
    words=deferred_table("fakes.transcripts.mail", "WORDS"),
    manners=SMTP_MANNERS,
)
