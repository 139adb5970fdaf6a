"""An SMTP server's side of one connection: RFC 5321, with STARTTLS, AUTH, SIZE, 8BITMIME, SMTPUTF8, DSN, PIPELINING.

Read the legality table first; then one handler a verb. A handler says what happened, `_say` alone writes. What RFC 5321
leaves open is settled here: a bare LF ends no line and is kept in content; a content line of any length is accepted;
a command line over 2,048 octets is refused; mail for another domain is kept and shown to the test as relayed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

from fakes import sasl
from fakes.mail import Envelope, Mail, Recipient
from fakes.mailstore import Mailstore
from fakes.wire import Facts, Kit, Refuse, Rule, Secret, Session, Unit, rule

COMMAND_LINE = 2048  # octets with CRLF; 512 must pass, DSN and other parameters add up (RFC 5321 §4.5.3.1.4)
AUTH_LINE = 12288  # octets with CRLF of an answer to a challenge (RFC 4954 §4)
IDLE = 300.0  # seconds of silence before 421 (RFC 5321 §4.5.3.2.7)
HOPS = 100  # Received lines; more is a loop (RFC 5321 §6.3)


class Reply(NamedTuple):
    """A reply: the code, the enhanced code (RFC 3463; "" where none belongs), the text; `\\n` parts lines."""

    code: int
    enhanced: str
    text: str


# The replies, by name. Texts that depend on the case are given with `_replace(text=…)`.
BYE = Reply(221, "2.0.0", "Bye")
OK = Reply(250, "2.0.0", "OK")
SENDER_OK = Reply(250, "2.1.0", "Sender OK")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient OK")
AUTHENTICATED = Reply(235, "2.7.0", "Authentication successful")
CANNOT_VERIFY = Reply(252, "2.5.2", "Cannot verify, but will take mail for it")
GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
READY_FOR_TLS = Reply(220, "2.0.0", "Ready to start TLS")
SHUTTING = Reply(421, "4.3.2", "Closing connection")
IDLE_TOO_LONG = Reply(421, "4.4.2", "Idle for too long, closing connection")
TOO_MANY_SESSIONS = Reply(421, "4.3.2", "Too many connections, try later")
TOO_MANY_FAILURES = Reply(421, "4.7.0", "Too many failed logins, closing connection")
TLS_NOT_NOW = Reply(454, "4.7.0", "TLS is not available now")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients; send the rest in another transaction")
MAILBOX_FULL = Reply(452, "4.2.2", "Mailbox full")
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


@dataclass(frozen=True)
class Policy:
    """How this server is set up. `off` names capabilities that it does not have, to play an old one."""

    tls: str = "off"  # STARTTLS: "off", "optional", or "required" before anything else
    login: str = "optional"  # or "required"
    relay: str = "keep"  # mail for other domains: "keep" it for the test, "refuse" it, or keep it after "login"
    unknown: str = "reject"  # mail for nobody here: "reject" at RCPT, or "bounce" later
    size: int = 52_428_800  # octets of a message
    recipients: int = 1000  # a transaction; at least 100 (RFC 5321 §4.5.3.1.8)
    bad_logins: int = 3  # at least 3 (RFC 4954 §9)
    shuns_http: bool = False  # hang up on a browser (RFC 5321 §7.8)
    off: frozenset[str] = frozenset()


class Smtp(Session):
    """One SMTP connection. States: START, READY (greeted), MAIL (sender given), RCPT (a recipient too), DATA, AUTH."""

    protocol: ClassVar[str] = "smtp"
    verbs: ClassVar[dict[str, Rule]] = {
        "EHLO": rule("START READY MAIL RCPT", "RFC 5321 §4.1.1.1"),
        "HELO": rule("START READY MAIL RCPT", "RFC 5321 §4.1.1.1"),
        "MAIL": rule("READY", "RFC 5321 §4.1.1.2"),
        "RCPT": rule("MAIL RCPT", "RFC 5321 §4.1.1.3"),
        "DATA": rule("RCPT", "RFC 5321 §4.1.1.4"),
        ".": rule("DATA", "RFC 5321 §4.1.1.4"),
        "RSET": rule("START READY MAIL RCPT", "RFC 5321 §4.1.1.5"),
        "VRFY": rule("START READY MAIL RCPT", "RFC 5321 §4.1.1.6"),
        "EXPN": rule("START READY MAIL RCPT", "RFC 5321 §4.1.1.7"),
        "HELP": rule("START READY MAIL RCPT", "RFC 5321 §4.1.1.8"),
        "NOOP": rule("START READY MAIL RCPT", "RFC 5321 §4.1.1.9"),
        "QUIT": rule("START READY MAIL RCPT", "RFC 5321 §4.1.1.10"),
        "STARTTLS": rule("READY MAIL RCPT", "RFC 3207 §4"),
        "AUTH": rule("READY", "RFC 4954 §4"),
        "response": rule("AUTH", "RFC 4954 §4"),
    }
    capabilities: ClassVar[frozenset[str]] = frozenset(
        "PIPELINING SIZE 8BITMIME SMTPUTF8 ENHANCEDSTATUSCODES DSN STARTTLS AUTH EXPN VRFY HELP".split()
    ) | frozenset(sasl.MECHANISMS)

    def __init__(self, kit: Kit, store: Mailstore, policy: Policy | None = None) -> None:
        super().__init__(kit)
        self.store = store
        self.policy = policy or Policy()
        self.state = "START"
        self.helo = ""
        self.esmtp = False
        self._off = self.policy.off | {name for name in self.capabilities if self.lacks(name)}
        self._scanned = 0  # how far into the buffer the end of the unit was looked for
        self._overlong = False  # the unit exceeded its limit: it is thrown away as it comes
        self._failed_logins = 0
        self._exchange: sasl.Exchange | None = None
        self._refusing = False  # greeted with 554: only QUIT is taken (RFC 5321 §3.1)
        self._reset()

    def _reset(self) -> None:
        """Forgets the mail transaction, not the greeting nor the login (RFC 5321 §4.1.1.5)."""
        self._sender = ""
        self._params: dict[str, str | None] = {}
        self._recipients: list[Recipient] = []
        self._tried = 0  # recipients, accepted or not
        if self.state != "START":
            self.state = "READY"

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, facts: Facts) -> None:
        super().opened(facts)
        self._await_command()

    def greet(self) -> None:
        if self.facts.crowded:
            self._say(TOO_MANY_SESSIONS)
            self.close()
        else:
            self.send(f"220 {self.store.host} ESMTP\r\n".encode(), "RFC 5321 §4.2")

    def upgraded(self) -> None:
        """RFC 3207 §4.2: all that was said in clear is forgotten; with implicit TLS nothing was."""
        self.state = "START"
        self.helo, self.user, self.esmtp = "", "", False
        self._scanned, self._overlong, self._exchange = 0, False, None
        self._reset()

    # ── units ────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        if self.state == "DATA":
            return self._next_content()
        limit = AUTH_LINE if self.state == "AUTH" else COMMAND_LINE
        end = self._in.find(b"\r\n", self._scanned)
        if end < 0:
            self._scanned = max(0, len(self._in) - 1)
            if len(self._in) > limit:  # bounded: an endless line is thrown away as it comes
                del self._in[: self._scanned]
                self._scanned, self._overlong = 0, True
            return None
        line = bytes(self._in[: end + 2])
        del self._in[: end + 2]
        self._scanned = 0
        overlong, self._overlong = self._overlong or len(line) > limit, False
        if self.state == "AUTH":
            return Unit(line, "response", secrets=self._secret(line, 0), value=ANSWER_TOO_LONG if overlong else None)
        if overlong:
            return Unit(line, "", value=LINE_TOO_LONG)
        verb, _, argument = line[:-2].partition(b" ")
        name = verb.decode("ascii", "replace").upper()
        secrets: tuple[Secret, ...] = ()
        if name == "AUTH":
            mechanism, blank, initial = argument.partition(b" ")
            if initial.strip():
                start = len(verb) + 1 + len(mechanism) + len(blank)
                secrets = self._secret(line, start, mechanism.decode("ascii", "replace").upper())
        return Unit(line, name, argument.decode("utf-8", "surrogateescape"), secrets)

    def _next_content(self) -> Unit | None:
        """Up to CRLF.CRLF and nothing less: LF.LF, LF.CRLF and CR.CR end nothing (RFC 5321 §2.3.8, §4.1.1.4)."""
        if self._scanned == 0 and not self._overlong and self._in.startswith(b".\r\n"):
            end = 0
        else:
            end = self._in.find(b"\r\n.\r\n", self._scanned) + 2
            if end < 2:
                self._scanned = max(0, len(self._in) - 4)
                if len(self._in) > self.policy.size and self._unstuffed_size() > self.policy.size:
                    del self._in[: self._scanned]
                    self._scanned, self._overlong = 0, True
                return None
        with memoryview(self._in) as view:
            raw = bytes(view[: end + 3])  # one copy: mails can be large
        del self._in[: end + 3]
        overlong, self._overlong, self._scanned = self._overlong, False, 0
        content = raw[:-3]
        if b"." in content:
            content = content.replace(b"\r\n.", b"\r\n")  # RFC 5321 §4.5.2: the first dot of a line is removed
            content = content[1:] if content.startswith(b".") else content
        overlong = overlong or len(content) > self.policy.size
        return Unit(raw, ".", value=TOO_BIG if overlong else content)

    def _unstuffed_size(self) -> int:
        return len(self._in) - self._in.count(b"\r\n.")  # RFC 1870 §5 counts without the added dots

    def _secret(self, line: bytes, start: int, mechanism: str = "") -> tuple[Secret, ...]:
        """The span of a login's answer, labelled so that a transcript can say it again without saying it."""
        end = len(line) - 2
        if line[start:end] in (b"*", b"="):
            return ()
        name, challenge = "", b""
        if self._exchange is not None:
            mechanism, name, challenge = self._exchange.mechanism, self._exchange.name, self._exchange.challenge
        try:
            response = base64.b64decode(line[start:end], validate=True)
        except binascii.Error:
            return (Secret(start, end, "not base64"),)
        return (Secret(start, end, sasl.label(mechanism, response, self.store.people, name, challenge)),)

    def hidden(self, raw: bytes) -> tuple[Secret, ...]:
        """Half a login is not shown either."""
        verb, _, argument = raw.partition(b" ")
        mechanism, blank, _ = argument.partition(b" ")
        if self.state == "AUTH":
            return (Secret(0, len(raw), "unfinished"),)
        if verb.upper() == b"AUTH" and blank:
            return (Secret(len(verb) + len(mechanism) + 2, len(raw), "unfinished"),)
        return ()

    # ── dispatch ─────────────────────────────────────────────────────────────────────────────────────────────────

    def handle(self, unit: Unit) -> None:
        self._await_command()
        super().handle(unit)

    def offers(self, verb: str) -> bool:
        """Refuses, before the legality table, what the policy does not allow yet. Raises Refuse."""
        if self._refusing and verb != "QUIT":
            raise Refuse(BAD_SEQUENCE, "RFC 5321 §3.1")
        if self.policy.tls == "required" and self.tls is None and verb not in ("EHLO", "NOOP", "STARTTLS", "QUIT"):
            raise Refuse(TLS_FIRST, "RFC 3207 §4")
        if self.policy.login == "required" and not self.user and verb in ("MAIL", "RCPT", "DATA", "VRFY", "EXPN"):
            raise Refuse(LOGIN_FIRST, "RFC 4954 §6")
        return self._exists(verb)

    def _exists(self, verb: str) -> bool:
        """Whether this server has the verb at all, as it is set up."""
        if verb == "STARTTLS":
            return (self.policy.tls != "off" or self.tls is not None) and verb not in self._off
        if verb == "AUTH":
            return bool(self._mechanisms())
        return verb in ("VRFY", "HELP") or verb not in self._off

    def unknown(self, unit: Unit) -> Refuse:
        if isinstance(unit.value, Reply):
            return Refuse(unit.value, "RFC 5321 §4.5.3.1")
        if unit.verb in self.verbs:
            return Refuse(NOT_OFFERED, "RFC 5321 §4.2.4")
        if self.policy.shuns_http and unit.verb in ("GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT"):
            self._say(SHUTTING, "RFC 5321 §7.8")
            self.close()
        return Refuse(UNKNOWN_VERB, "RFC 5321 §4.2.4")

    def misplaced(self, unit: Unit) -> Refuse:
        if unit.verb == "DATA" and self._tried:
            return Refuse(NO_VALID_RECIPIENTS, "RFC 5321 §3.3")
        if self.state == "START":
            return Refuse(BAD_SEQUENCE._replace(text="Send EHLO first"), "RFC 5321 §4.1.4")
        before = {"RCPT": "Send MAIL first", "DATA": "Send RCPT first"}
        text = before.get(unit.verb, "A mail transaction is open; finish it or send RSET")
        return Refuse(BAD_SEQUENCE._replace(text=text), "RFC 5321 §4.1.4")

    def refused(self, refusal: Refuse) -> None:
        if not self.closed:
            self._say(refusal.reply, refusal.section)

    def said_instead(self, text: str) -> None:
        """A reply dictated by a fault has its effects: 421 closes, a 554 greeting takes only QUIT."""
        self.send(text.encode() + b"\r\n")
        self._await_command()
        if self.state == "DATA":
            self._reset()
        elif self.state == "AUTH":
            self._exchange, self.state = None, "READY"
        if text.startswith("421"):
            self.close()  # RFC 5321 §3.8
        elif self._said is None and text.startswith("5"):
            self._refusing = True

    def _say(self, reply: Reply, section: str = "") -> None:
        self.send(_written(reply, "ENHANCEDSTATUSCODES" not in self._off), section)

    def _await_command(self) -> None:
        self.at("idle", self.kit.now() + IDLE, self._timed_out)

    def _timed_out(self) -> None:
        self._say(IDLE_TOO_LONG, "RFC 5321 §4.5.3.2.7")
        self.close()

    # ── verbs ────────────────────────────────────────────────────────────────────────────────────────────────────

    def do_EHLO(self, unit: Unit) -> None:
        self._hello(unit)
        self.esmtp = True
        lines = [f"{self.store.host} greets {self.helo}", *self._capabilities()]
        self._say(Reply(250, "", "\n".join(lines)), "RFC 5321 §4.1.1.1")

    def do_HELO(self, unit: Unit) -> None:
        self._hello(unit)
        self.esmtp = False
        self._say(Reply(250, "", self.store.host), "RFC 5321 §4.1.1.1")

    def _hello(self, unit: Unit) -> None:
        if not re.fullmatch(r"[!-;=?-~]+", unit.arg.strip()):
            raise Refuse(BAD_SYNTAX._replace(text=f"Say who you are: {unit.verb} client.example"), "RFC 5321 §4.1.1.1")
        self.helo = unit.arg.strip()
        self.state = "READY"
        self._reset()  # RFC 5321 §4.1.4: a second greeting clears the transaction

    def _capabilities(self) -> Iterable[str]:
        on = [name for name in ("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN")
              if name not in self._off]  # fmt: skip
        for name in on:
            if name == "SIZE":
                yield f"SIZE {self.policy.size}"
            elif name != "SMTPUTF8" or "8BITMIME" in on:  # RFC 6531 §3.1 (8)
                yield name
        if self.policy.tls != "off" and self.tls is None and "STARTTLS" not in self._off:
            yield "STARTTLS"
        if self._mechanisms() and (self.policy.tls != "required" or self.tls is not None):
            yield "AUTH " + " ".join(self._mechanisms())
        yield from (name for name in ("EXPN", "HELP") if name not in self._off)

    def _mechanisms(self) -> list[str]:
        return [] if "AUTH" in self._off else [name for name in sasl.MECHANISMS if name not in self._off]

    def _has(self, capability: str) -> bool:
        """Whether the client may use an extension: offered, and the client said EHLO."""
        return self.esmtp and capability not in self._off

    def do_MAIL(self, unit: Unit) -> None:
        sender, params = self._path("FROM:", unit)
        self._check_params(params, MAIL_PARAMETERS)
        if not sender.isascii() and "SMTPUTF8" not in params:
            raise Refuse(UTF8_SENDER, "RFC 6531 §3.5")
        size = int(params.get("SIZE") or 0)
        if size > self.policy.size:
            raise Refuse(TOO_BIG, "RFC 1870 §6.1")
        self._reset()
        self._sender, self._params, self.state = sender, params, "MAIL"
        self.note(sender=sender)
        self._say(SENDER_OK)

    def do_RCPT(self, unit: Unit) -> None:
        self._tried += 1
        recipient, params = self._path("TO:", unit)
        self._check_params(params, RCPT_PARAMETERS)
        if not recipient.isascii() and "SMTPUTF8" not in self._params:
            raise Refuse(UTF8_RECIPIENT, "RFC 6531 §3.5")
        if len(self._recipients) >= self.policy.recipients:
            raise Refuse(TOO_MANY_RECIPIENTS, "RFC 5321 §4.5.3.1.10")
        owners = self.store.owners(recipient)
        if owners is None and (self.policy.relay == "refuse" or (self.policy.relay == "login" and not self.user)):
            raise Refuse(NO_RELAY, "RFC 5321 §7.9")
        postmaster = recipient.casefold().partition("@")[0] == "postmaster"  # RFC 5321 §4.5.1: always accepted
        if owners == [] and self.policy.unknown == "reject" and not postmaster:
            raise Refuse(NO_SUCH_MAILBOX._replace(text=f"No such mailbox here: <{recipient}>"), "RFC 5321 §3.3")
        size = int(self._params.get("SIZE") or 0)
        if owners and self.policy.unknown == "reject" and all(self.store.full(one.address, size) for one in owners):
            raise Refuse(MAILBOX_FULL, "RFC 1870 §6.1")
        self._recipients.append(Recipient(recipient, params))
        self.state = "RCPT"
        self.note(recipient=recipient)
        self._say(RECIPIENT_OK)

    def _path(self, keyword: str, unit: Unit) -> tuple[str, dict[str, str | None]]:
        """The address and parameters of MAIL or RCPT. Raises Refuse."""
        example = f"{unit.verb} {keyword}<{'bob' if keyword == 'TO:' else 'alice'}@example.org>"
        text = unit.arg
        if text[: len(keyword)].upper() != keyword:
            raise Refuse(BAD_SYNTAX._replace(text=f"Say: {example}"), "RFC 5321 §4.1.2")
        try:
            address, rest = parse_path(text[len(keyword) :], null=keyword == "FROM:")
        except ValueError as error:
            raise Refuse(Reply(501, "5.1.3" if keyword == "TO:" else "5.1.7", f"{error}; say: {example}"),
                         "RFC 5321 §4.1.2") from None  # fmt: skip
        params: dict[str, str | None] = {}
        for word in rest.split(" "):
            if not word:
                continue
            match = _PARAMETER.fullmatch(word)
            if match is None or match[1].upper() in params:
                raise Refuse(BAD_SYNTAX._replace(text="Parameters are KEYWORD or KEYWORD=value, each once"),
                             "RFC 5321 §4.1.2")  # fmt: skip
            params[match[1].upper()] = match[2]
        return address, params

    def _check_params(self, params: dict[str, str | None], known: dict[str, tuple[str, str, str]]) -> None:
        for name, value in params.items():
            if name not in known or not self._has(known[name][0]):
                raise Refuse(UNKNOWN_PARAMETER._replace(text=f"Parameter {name} not recognised"), "RFC 5321 §4.1.1.11")
            _, form, section = known[name]
            if value is None if form else value is not None:
                raise Refuse(BAD_SYNTAX._replace(text=f"{name} {'needs a' if form else 'takes no'} value"), section)
            if form and not re.fullmatch(form, value or "", re.I):
                raise Refuse(BAD_SYNTAX._replace(text=f"{name} has a bad value"), section)

    def do_DATA(self, unit: Unit) -> None:
        self._no_argument(unit)
        self.state = "DATA"
        self._say(GO_AHEAD, "RFC 5321 §3.3")

    def do_end_of_data(self, unit: Unit) -> None:
        envelope = Envelope(
            self._sender, tuple(self._recipients), self._params,
            self.helo, self.facts.peer, self._with(), self.user,
        )  # fmt: skip
        self._reset()
        if isinstance(unit.value, Reply):
            raise Refuse(unit.value, "RFC 1870 §6.1")
        raw: bytes = unit.value
        if len(_RECEIVED.findall(raw.partition(b"\r\n\r\n")[0])) > HOPS:
            raise Refuse(TOO_MANY_HOPS, "RFC 5321 §6.3")
        mail = Mail(raw, envelope, self.kit.now(), self.kit.token(10))
        if self.policy.unknown == "reject" and len(self.store.undeliverable(mail)) == len(mail.envelope.recipients):
            raise Refuse(MAILBOX_FULL, "RFC 5321 §4.2.5")  # one reply for all: it could go to nobody
        self.store.accept(mail)
        self.note(queue_id=mail.queue_id)
        self._say(OK._replace(text=f"Queued as {mail.queue_id}"), "RFC 5321 §6.1")
        self.when_written(lambda: self.store.acknowledged(mail))

    def _with(self) -> str:
        """The WITH of the Received line (RFC 4954 §7, RFC 6531 §4.3)."""
        name = "UTF8SMTP" if "SMTPUTF8" in self._params else "ESMTP"
        return (name if self.esmtp else "SMTP") + ("S" if self.tls else "") + ("A" if self.user else "")

    def do_RSET(self, unit: Unit) -> None:
        self._no_argument(unit)
        self._reset()
        self._say(OK)

    def do_NOOP(self, unit: Unit) -> None:
        self._say(OK)

    def do_QUIT(self, unit: Unit) -> None:
        self._no_argument(unit)
        self._say(BYE, "RFC 5321 §4.1.1.10")
        self.close()

    def _no_argument(self, unit: Unit) -> None:
        if unit.arg.strip():
            raise Refuse(BAD_SYNTAX._replace(text=f"{unit.verb} takes no argument"), "RFC 5321 §4.3.2")

    def do_VRFY(self, unit: Unit) -> None:
        if "VRFY" in self._off:
            raise Refuse(CANNOT_VERIFY, "RFC 5321 §7.3")
        address = self._named(unit)
        if "@" in address:
            owners = self.store.owners(address)
        else:
            owners = [one for one in self.store.people if one.address.casefold().startswith(address.casefold() + "@")]
        if owners is None:
            raise Refuse(CANNOT_VERIFY, "RFC 5321 §3.5.3")
        if not owners:
            raise Refuse(NO_SUCH_MAILBOX, "RFC 5321 §3.5.3")
        if len(owners) > 1:
            raise Refuse(AMBIGUOUS._replace(text="That is more than one; say which"), "RFC 5321 §3.5.1")
        self._say(Reply(250, "2.1.5", f"<{owners[0].address}>"), "RFC 5321 §3.5.3")

    def do_EXPN(self, unit: Unit) -> None:
        address = self._named(unit)
        owners = self.store.owners(address)
        if not owners or any(owner.address.casefold().startswith(address.casefold()) for owner in owners):
            raise Refuse(Reply(550, "5.1.1", "No such list here"), "RFC 5321 §3.5.3")
        self._say(Reply(250, "2.1.5", "\n".join(f"<{owner.address}>" for owner in owners)), "RFC 5321 §3.5.2")

    def _named(self, unit: Unit) -> str:
        words = unit.arg.strip()
        utf8 = False
        if words.upper().endswith(" SMTPUTF8") and self._has("SMTPUTF8"):
            words, utf8 = words[:-9].rstrip(), True  # RFC 6531 §3.7.4.2
        if not utf8 and not words.isascii():
            raise Refuse(UTF8_SENDER, "RFC 6531 §3.7.4.2")
        if not words or re.search("[\udc80-\udcff]", words):
            raise Refuse(BAD_SYNTAX._replace(text=f"Say: {unit.verb} alice"), "RFC 5321 §4.1.1.6")
        if words.startswith("<"):
            try:
                return parse_path(words, null=False)[0]
            except ValueError:
                raise Refuse(BAD_SYNTAX._replace(text=f"Say: {unit.verb} alice"), "RFC 5321 §4.1.1.6") from None
        return words

    def do_HELP(self, unit: Unit) -> None:
        topic = unit.arg.strip().upper()
        row = self.verbs.get(topic)
        if topic and row is None:
            raise Refuse(Reply(504, "5.5.4", "No help about that"), "RFC 5321 §4.1.1.8")
        if row is not None:
            self._say(Reply(214, "2.0.0", f"{topic}: see {row.section}"))
            return
        verbs = [verb for verb in self.verbs if verb.isupper() and self._exists(verb)]
        self._say(Reply(214, "2.0.0", "This server knows:\n" + " ".join(verbs)))

    def do_STARTTLS(self, unit: Unit) -> None:
        self._no_argument(unit)
        if self.tls is not None:
            raise Refuse(BAD_SEQUENCE._replace(text="TLS is active already"), "RFC 3207 §4")
        self._say(READY_FOR_TLS, "RFC 3207 §4")
        self.start_tls()

    def do_AUTH(self, unit: Unit) -> None:
        if self.user or not self.esmtp:
            text = "Already authenticated" if self.user else "Send EHLO first"
            raise Refuse(BAD_SEQUENCE._replace(text=text), "RFC 4954 §4")
        name, blank, initial = unit.arg.strip().partition(" ")
        mechanism = name.upper()
        if not mechanism:
            raise Refuse(BAD_SYNTAX._replace(text="Say: AUTH mechanism"), "RFC 4954 §4")
        if mechanism not in self._mechanisms():
            raise Refuse(UNKNOWN_MECHANISM, "RFC 4954 §4")
        if blank and mechanism not in sasl.TAKES_INITIAL_RESPONSE:
            raise Refuse(BAD_SYNTAX._replace(text=f"{mechanism} takes no initial response"), "RFC 4954 §4")
        context = sasl.Context(self.store.people, lambda: self.kit.token(16), self.store.host)
        self._exchange = sasl.Exchange(mechanism, context)
        self.state = "AUTH"
        self.note(mechanism=mechanism)
        self._step(_decoded("" if initial == "=" else initial) if blank else None)

    def do_response(self, unit: Unit) -> None:
        if isinstance(unit.value, Reply):
            self._exchange, self.state = None, "READY"
            raise Refuse(unit.value, "RFC 4954 §4")
        line = unit.raw[:-2]
        if line == b"*":
            self._exchange, self.state = None, "READY"
            raise Refuse(CANCELLED, "RFC 4954 §4")
        self._step(_decoded(line.decode("latin-1")))

    def _step(self, response: bytes | Reply | None) -> None:
        """One step of the exchange. A failure leaves everything as it was before AUTH (RFC 4954 §4)."""
        exchange = self._exchange
        assert exchange is not None
        try:
            if isinstance(response, Reply):
                raise Refuse(response, "RFC 4954 §4")
            challenge = exchange.start(response) if exchange.step == 0 else exchange.answer(response or b"")
        except (Refuse, sasl.SaslError) as error:
            self._exchange, self.state = None, "READY"
            if isinstance(error, sasl.WrongCredentials):
                self._failed_logins += 1
                if self._failed_logins >= self.policy.bad_logins:
                    self._say(TOO_MANY_FAILURES, "RFC 4954 §9")
                    self.close()
                    return
                raise Refuse(WRONG_CREDENTIALS, "RFC 4954 §6") from None
            if isinstance(error, sasl.Malformed):
                raise Refuse(BAD_SYNTAX._replace(text=error.reason), "RFC 4954 §4") from None
            raise
        if challenge is not None:
            self.send(b"334 " + base64.b64encode(challenge) + b"\r\n", "RFC 4954 §4")
            return
        self.user, self._exchange, self.state = exchange.user, None, "READY"
        self.note(user=self.user, mechanism=exchange.mechanism)
        self._say(AUTHENTICATED, "RFC 4954 §4")


@lru_cache(512)  # the same few replies are most of what a server says
def _written(reply: Reply, enhanced: bool) -> bytes:
    code = reply.enhanced + " " if reply.enhanced and enhanced else ""
    *lines, last = reply.text.replace("§", "section ").split("\n")  # RFC 5321 §4.2: a reply's text is ASCII
    text = "".join(f"{reply.code}-{code}{line}\r\n" for line in lines)
    return f"{text}{reply.code} {code}{last}\r\n".encode()


def _decoded(text: str) -> bytes | Reply:
    try:
        return base64.b64decode(text.encode("latin-1", "replace"), validate=True)
    except binascii.Error:
        return BAD_BASE64


# Parameter → the extension that brings it, the form of its value ("" none), the section.
_XTEXT = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+"  # RFC 3461 §4
MAIL_PARAMETERS: dict[str, tuple[str, str, str]] = {
    "SIZE": ("SIZE", r"\d{1,20}", "RFC 1870 §6"),
    "BODY": ("8BITMIME", r"7BIT|8BITMIME", "RFC 6152 §2"),
    "SMTPUTF8": ("SMTPUTF8", "", "RFC 6531 §3.4"),
    "RET": ("DSN", r"FULL|HDRS", "RFC 3461 §4.3"),
    "ENVID": ("DSN", rf"(?=.{{1,100}}$){_XTEXT}", "RFC 3461 §4.4"),
    "AUTH": ("AUTH", rf"<>|{_XTEXT}", "RFC 4954 §5"),
}
RCPT_PARAMETERS: dict[str, tuple[str, str, str]] = {
    "NOTIFY": ("DSN", r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*", "RFC 3461 §4.1"),
    "ORCPT": ("DSN", r"(?=.{1,500}$)[a-z0-9-]+;(?:[!-*,-<>-~\u0080-\U0010ffff]|\+[0-9A-F]{2})+", "RFC 3461 §4.2"),
}
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f\udc80-\udcff]+))?")
_RECEIVED = re.compile(rb"^received:", re.I | re.M)

# RFC 5321 §4.1.2 and, for what is not ASCII, RFC 6531 §3.3
_BEYOND = r"\u0080-\ud7ff\ue000-\U0010ffff"
_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{_BEYOND}-]+"
_LABEL = rf"[A-Za-z0-9{_BEYOND}](?:[A-Za-z0-9{_BEYOND}-]*[A-Za-z0-9{_BEYOND}])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_LITERAL = r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]+|[A-Za-z0-9-]*[A-Za-z0-9]:[!-Z^-~]+)\]"
_QUOTED = rf'"(?:[ !#-\[\]-~{_BEYOND}]|\\[ -~])*"'
_SIMPLE = re.compile(rf"<({_ATOM}(?:\.{_ATOM})*@{_DOMAIN})>(?: (.*))?", re.S)
_FULL = re.compile(
    rf"<(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"  # a source route is stripped (RFC 5321 §4.1.1.3)
    rf"(?:(?P<atoms>{_ATOM}(?:\.{_ATOM})*)|(?P<quoted>{_QUOTED}))@(?P<domain>{_DOMAIN}|{_LITERAL})>(?: (?P<rest>.*))?",
    re.S,
)
_SPECIAL = re.compile(r"<(|postmaster)>(?: (.*))?", re.I | re.S)


def parse_path(text: str, *, null: bool) -> tuple[str, str]:
    """Parts `<address> parameters` into the address, one form for all its quotings, and the parameters.

    `null`: whether `<>` is a path here; `<Postmaster>` is one where it is not. Raises ValueError.
    """
    match = _SIMPLE.fullmatch(text)
    if match:
        return match[1], match[2] or ""
    match = _FULL.fullmatch(text)
    if match:
        local = match["atoms"]
        if local is None:
            content = re.sub(r"\\(.)", r"\1", match["quoted"][1:-1])
            plain = re.fullmatch(rf"{_ATOM}(?:\.{_ATOM})*", content)
            local = content if plain else '"' + re.sub(r'(["\\])', r"\\\1", content) + '"'
        return f"{local}@{match['domain']}", match["rest"] or ""
    match = _SPECIAL.fullmatch(text)
    if match and bool(match[1]) != null:
        return match[1], match[2] or ""
    raise ValueError("No address in angle brackets")
