"""A client's stream: RFC 6120's side of one connection, from the header to the end.

Read the legality table first; then one handler a verb. States: START (nothing said), OPEN (headers exchanged), SASL (a
login under way), AGAIN (logged in, a new header is due), LOGIN (and said), BOUND (a resource is bound). What a bound
client says goes to its session (sessions.py), which is not the stream, and on to routing.py.
"""

from __future__ import annotations

import dataclasses
import re
from typing import ClassVar

from fakes import sasl as mechanisms
from fakes.wire import Facts, Kit, Refuse, Rule, Secret, Session, Unit, Want, rule
from fakes.xmpp import sasl
from fakes.xmpp.addresses import Jid, domain_of, jid
from fakes.xmpp.extensions import EXTENSIONS
from fakes.xmpp.features import features, may_start_tls, must_start_tls
from fakes.xmpp.markup import BIND, CLIENT, LANG, SASL, SESSION, STREAMS, TLS, element, escaped, local, namespace, written
from fakes.xmpp.policy import FEATURES, Policy
from fakes.xmpp.refusals import SASL_CONDITIONS, STREAM_CONDITIONS, TOO_BIG, SaslFailure, StreamError, TlsFailure
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Resource
from fakes.xmpp.splitter import Piece, Splitter
from fakes.xmpp.stanzas import CONDITIONS, KINDS, Stanza, StanzaError, from_piece, made

LOGIN_TIME = 60.0  # seconds from the connection until a resource is bound
HALF_TIME = 60.0  # seconds that the rest of a piece may take
BINDINGS = 6  # tries at binding (RFC 6120 §7.7.3: 5 to 10)

_NAMES = {
    f"{{{SASL}}}auth": "auth", f"{{{SASL}}}response": "response", f"{{{SASL}}}abort": "abort",
    f"{{{TLS}}}starttls": "starttls", f"{{{STREAMS}}}error": "error",
}  # fmt: skip
_HALF_ANSWER = re.compile(rb"<(?:auth|response)\b[^>]*>([^<]*)")
_STANZAS = ("message", "presence", "iq", "bind", "session")


class Xmpp(Session):
    """One connection of a client."""

    protocol: ClassVar[str] = "xmpp"
    verbs: ClassVar[dict[str, Rule]] = {
        "stream": rule("START AGAIN", "RFC 6120 §4.2"),
        "starttls": rule("OPEN", "RFC 6120 §5.4.2"),
        "auth": rule("OPEN SASL", "RFC 6120 §6.4.2"),
        "response": rule("SASL", "RFC 6120 §6.4.3"),
        "abort": rule("SASL", "RFC 6120 §6.4.4"),
        "bind": rule("LOGIN", "RFC 6120 §7"),
        "session": rule("BOUND", "RFC 6121 Appendix E"),
        "iq": rule("LOGIN BOUND", "RFC 6120 §8.2.3"),
        "message": rule("LOGIN BOUND", "RFC 6120 §8.2.1"),
        "presence": rule("LOGIN BOUND", "RFC 6120 §8.2.2"),
        "error": rule("OPEN SASL LOGIN BOUND", "RFC 6120 §4.9.1"),
        "close": rule("OPEN SASL LOGIN BOUND", "RFC 6120 §4.4"),
    }
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"STARTTLS", *sasl.OFFERED, *FEATURES, *(extension.name for extension in EXTENSIONS)}
    )

    def __init__(self, kit: Kit, service: Service) -> None:
        super().__init__(kit)
        self.service = service
        self.policy: Policy = service.policy
        self.state = "START"
        self.domain = service.domains[0]  # the one that the client speaks to
        self.resource: Resource | None = None
        self._splitter = Splitter(self.policy.stanza)
        self._headed = False  # our header is out
        self._claimed = ""  # who the client's header says it is
        self._lang = ""
        self._exchange: mechanisms.Exchange | None = None
        self._failures = 0
        self._bindings = 0
        self._unit: Unit | None = None  # the one that is being handled

    # ── opening, and starting again ──────────────────────────────────────────────────────────────────────────────

    def opened(self, facts: Facts) -> None:
        super().opened(facts)
        if not self.closed:
            self.at("login", self.kit.now() + LOGIN_TIME, lambda: self.end("connection-timeout", "no login"))

    def greet(self) -> None:
        """The client speaks first; only one too many is told so at once."""
        if self.facts.crowded:
            self.end("resource-constraint", "too many connections")

    def upgraded(self) -> None:
        """RFC 6120 §5.4.3.3: all that was said in clear is forgotten."""
        self.state = "START"
        self.user, self._claimed, self._exchange = "", "", None
        self._restart()

    def _restart(self) -> None:
        self._splitter.restart()
        self._headed = False

    # ── units ────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        piece = self._splitter.next(self._in)
        if piece is None:
            if self._in and "half" not in self._timers:
                self.at("half", self.kit.now() + HALF_TIME, lambda: self.end("connection-timeout", "half a stanza"))
            return None
        self.cancel("half")
        self._unit = unit = self._recognised(piece)
        return unit

    def _recognised(self, piece: Piece) -> Unit:
        raw = piece.raw
        if piece.kind == "open":
            return Unit(raw, "stream", piece.attributes.get("to", ""), value=piece)
        if piece.kind == "close":
            return Unit(raw, "close")
        if piece.kind == "error":
            extra = TOO_BIG if piece.text == "stanza-too-big" else ""
            return Unit(raw, "", value=StreamError(piece.name, "" if extra else piece.text, extra))
        if piece.name in KINDS:
            return self._stanza(piece)
        verb = _NAMES.get(piece.name)
        if verb is None:
            return Unit(raw, "", value=_unsupported(piece))
        if verb in ("auth", "response"):
            content = raw[piece.tag_end : raw.rfind(b"<")] if raw[piece.tag_end - 2] != 0x2F else b""
            mechanism = piece.attributes.get("mechanism", "")
            return Unit(raw, verb, mechanism, self._secret(verb, mechanism, piece.tag_end, content), (mechanism, content))
        return Unit(raw, verb, value=piece)

    def _stanza(self, piece: Piece) -> Unit:
        if piece.prefixed:
            # RFC 6120 §4.8.5: never passed on as it is
            return Unit(piece.raw, "", value=StreamError("bad-namespace-prefix", "stanzas are written without a prefix"))
        stanza = from_piece(piece)
        if stanza.kind != "iq":
            return Unit(piece.raw, stanza.kind, stanza.to or "", value=stanza)
        space = namespace(stanza.payload)
        asks = stanza.type == "set" and space in (BIND, SESSION)
        return Unit(piece.raw, {BIND: "bind", SESSION: "session"}[space] if asks else "iq", space, value=stanza)

    def _secret(self, verb: str, mechanism: str, start: int, content: bytes) -> tuple[Secret, ...]:
        if content in (b"", b"="):
            return ()
        said, challenge = "", b""
        if verb == "response" and self._exchange is not None:
            mechanism, said, challenge = self._exchange.mechanism, self._exchange.name, self._exchange.challenge
        try:
            response = sasl.decoded(content)
        except Refuse:
            response = None
        if mechanism == "ANONYMOUS":
            return ()
        if response is None or mechanism not in sasl.OFFERED:
            return (Secret(start, start + len(content), "not base64"),)
        label = mechanisms.label(mechanism, response, self.service.people, said, challenge)
        return (Secret(start, start + len(content), label),)

    def hidden(self, raw: bytes) -> tuple[Secret, ...]:
        """The answer of a login that was cut in its middle."""
        found = _HALF_ANSWER.search(raw)
        return (Secret(found.start(1), found.end(1), "not base64"),) if found and found[1] else ()

    # ── dispatch ─────────────────────────────────────────────────────────────────────────────────────────────────

    def handle(self, unit: Unit) -> None:
        try:
            super().handle(unit)
        except StanzaError as error:
            self.refused(Refuse(error))

    def unknown(self, unit: Unit) -> Refuse:
        return Refuse(unit.value, "RFC 6120 §4.9.3")

    def misplaced(self, unit: Unit) -> Refuse:
        if unit.verb == "starttls":
            return Refuse(TlsFailure(), "RFC 6120 §5.4.2.2")
        if unit.verb in ("bind", "session") and self.state in ("LOGIN", "BOUND"):
            return Refuse(StanzaError("not-allowed", "once, and in its turn"), "RFC 6120 §7")
        if unit.verb in ("response", "abort") and self.state == "OPEN":
            return Refuse(SaslFailure("malformed-request", "nothing was asked"), "RFC 6120 §6.5.8")
        if unit.verb in _STANZAS:
            return Refuse(StreamError("not-authorized", "log in first"), "RFC 6120 §4.9.3.12")
        return Refuse(StreamError("policy-violation", f"{unit.verb} is out of turn"), "RFC 6120 §4.9.3.14")

    def refused(self, refusal: Refuse) -> None:
        """Writes a refusal of any of the four kinds; the last two end the stream."""
        reply, section = refusal.reply, refusal.section
        if self.closed:
            return
        if isinstance(reply, StanzaError):
            if self._unit is not None and isinstance(self._unit.value, Stanza):
                sender = self.resource.jid.text if self.resource is not None else None  # whoever it says it is
                self.send(self._unit.value.but(sender=sender).error(reply).octets(), section or "RFC 6120 §8.3")
        elif isinstance(reply, SaslFailure):
            self._fail(reply, section)
        elif isinstance(reply, TlsFailure):
            self.send(written(reply.element()).encode(), section)
            self.send(b"</stream:stream>", "RFC 6120 §4.4")
            self.close()
        else:
            self._end(reply, section)

    def said_instead(self, text: str) -> None:
        """The text of a fault: XML as it stands, or a condition, made an error of the kind that the unit calls for.

        `conflict later` answers a stanza; `stream:conflict later` ends the stream.
        """
        condition, _, words = text.partition(" ")
        verb = self._unit.verb if self._unit is not None and self._said is not None else ""
        if text.lstrip().startswith("<"):
            self.send(text.encode())
        elif verb in _STANZAS and condition in CONDITIONS:
            self.refused(Refuse(StanzaError(condition, words)))
        elif verb in ("auth", "response", "abort") and condition in SASL_CONDITIONS:
            self.refused(Refuse(SaslFailure(condition, words)))
        elif condition.removeprefix("stream:") in STREAM_CONDITIONS:
            self.end(condition.removeprefix("stream:"), words)
        else:
            self.send(text.encode())

    # ── what an outlet is ────────────────────────────────────────────────────────────────────────────────────────

    def deliver(self, stanza: Stanza) -> None:
        """See Outlet."""
        if not self.closed:
            self.send(stanza.octets())

    def end(self, condition: str, text: str = "") -> None:
        """See Outlet."""
        self._end(StreamError(condition, text), "RFC 6120 §4.9.3")

    def cut(self, want: Want) -> None:
        """See Outlet."""
        self.close(want)

    def _end(self, error: StreamError, section: str) -> None:
        """RFC 6120 §4.9.1: our header if it is not out yet, the error, the end."""
        if self.closed:
            return
        self._open_in_any_case()
        self.send(written(error.element()).encode(), section)
        self.send(b"</stream:stream>", "RFC 6120 §4.4")
        self.close()

    def _open_in_any_case(self) -> None:
        if not self._headed:
            self._headed = True
            self.send(self._header("1.0"), "RFC 6120 §4.9.1.2")

    def abandoned(self) -> None:
        if self.resource is not None:
            self.service.unbind(self.resource)
        elif self.user:
            self.service.left(self.user)

    # ── the header ───────────────────────────────────────────────────────────────────────────────────────────────

    def do_stream(self, unit: Unit) -> None:
        piece: Piece = unit.value
        attributes = piece.attributes
        self._lang = attributes.get(LANG[1:], "")
        self._claimed = _bare(attributes.get("from", ""))
        if namespace(piece.name) != STREAMS or self._splitter.default_namespace not in (CLIENT, STREAMS, ""):
            raise Refuse(StreamError("invalid-namespace"), "RFC 6120 §4.9.3.10")
        if local(piece.name) != "stream":
            raise Refuse(StreamError("bad-format", "a stream begins with <stream:stream>"), "RFC 6120 §4.9.3.1")
        version = _version(attributes.get("version"))
        self._choose_domain(attributes.get("to"))
        if self.user and self.tls is not None and self._claimed not in ("", self.user):
            raise Refuse(StreamError("invalid-from"), "RFC 6120 §6.4.6")
        self.send(self._header(version), "RFC 6120 §4.2")
        self.state = "LOGIN" if self.user else "OPEN"
        self._headed = True
        if version:
            self.send(written(features(self)).encode(), "RFC 6120 §4.3.2")

    def _choose_domain(self, to: str | None) -> None:
        """The domain that the client means. Raises Refuse (RFC 6120 §4.9.3.6)."""
        if to is None:
            return  # old clients leave it out (RFC 6120 §4.7.2)
        try:
            wanted = domain_of(to)
        except ValueError:
            wanted = ""
        if wanted not in self.service.domains or (self.user and wanted != self.domain):
            raise Refuse(StreamError("host-unknown"), "RFC 6120 §4.9.3.6")
        self.domain = wanted

    def _header(self, version: str) -> bytes:
        """Our header (RFC 6120 §4.7): a fresh id each time, the version only for clients that know of versions."""
        said = f"<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}'"
        said += f" from='{self.domain}' id='{self.kit.token(20)}'"
        said += f" to='{escaped(self._claimed)}'" if self._claimed else ""
        said += f" version='{version}'" if version else ""
        return f"{said} xml:lang='en'>".encode()

    # ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def do_starttls(self, unit: Unit) -> None:
        if not may_start_tls(self):
            raise Refuse(TlsFailure(), "RFC 6120 §5.4.2.2")
        self.send(written(element(f"{{{TLS}}}proceed")).encode(), "RFC 6120 §5.4.2.3")
        self.start_tls()

    # ── logging in ───────────────────────────────────────────────────────────────────────────────────────────────

    def do_auth(self, unit: Unit) -> None:
        mechanism, content = unit.value
        self._exchange, self.state = None, "OPEN"  # RFC 6120 §6.4.2: one under way is dropped
        if must_start_tls(self):
            raise Refuse(SaslFailure("encryption-required"), "RFC 6120 §6.5.4")
        if mechanism not in sasl.mechanisms(self):
            raise Refuse(SaslFailure("invalid-mechanism"), "RFC 6120 §6.5.7")
        if content and mechanism not in mechanisms.CLIENT_FIRST:
            text = f"{mechanism} takes no initial response"
            raise Refuse(SaslFailure("malformed-request", text), "RFC 6120 §6.5.8")
        initial = sasl.decoded(content) if content else None
        self._exchange, self.state = sasl.exchange(self, mechanism), "SASL"
        self._step(initial)

    def do_response(self, unit: Unit) -> None:
        self._step(sasl.decoded(unit.value[1]))

    def do_abort(self, unit: Unit) -> None:
        raise Refuse(SaslFailure("aborted"), "RFC 6120 §6.5.1")

    def _step(self, response: bytes | None) -> None:
        exchange = self._exchange
        assert exchange is not None
        try:
            challenge = exchange.start(response) if exchange.step == 0 else exchange.answer(response or b"")
        except mechanisms.SaslError as error:
            if self._said is not None and isinstance(error, mechanisms.WrongCredentials):
                self._said.secrets = tuple(map(_marked_wrong, self._said.secrets))
            raise Refuse(sasl.failure(error), "RFC 6120 §6.5") from None
        if challenge is not None:
            text = sasl.encoded(challenge) if challenge else ""
            self.send(written(element(f"{{{SASL}}}challenge", text=text)).encode(), "RFC 6120 §6.4.3")
            return
        if self.tls is not None and self._claimed not in ("", exchange.user):
            raise Refuse(StreamError("invalid-from", "the header said another address"), "RFC 6120 §6.4.6")
        self.note(user=exchange.user, mechanism=exchange.mechanism)
        text = sasl.encoded(exchange.data) if exchange.data is not None else ""
        self.send(written(element(f"{{{SASL}}}success", text=text)).encode(), "RFC 6120 §6.4.6")
        self.user, self._exchange, self.state = exchange.user, None, "AGAIN"
        self._restart()

    def _fail(self, failure: SaslFailure, section: str) -> None:
        """A failure leaves the stream for another try, but not for ever (RFC 6120 §6.4.5)."""
        self._exchange, self.state = None, "OPEN"
        self.send(written(failure.element()).encode(), section)
        self._failures += failure.condition != "aborted"
        if self._failures >= self.policy.attempts:
            self._end(StreamError("policy-violation", "too many failed logins"), "RFC 6120 §6.4.5")

    # ── binding ──────────────────────────────────────────────────────────────────────────────────────────────────

    def do_bind(self, unit: Unit) -> None:
        stanza: Stanza = unit.value
        self._check_id(stanza)
        wanted = stanza.element[0].findtext(f"{{{BIND}}}resource") or ""
        account = self.service.account(jid(self.user))
        if account is None:
            raise Refuse(StreamError("not-authorized", "the account is gone"), "RFC 6120 §4.9.3.12")
        try:
            name = jid(f"{self.user}/{wanted}").resource if wanted else ""
        except ValueError:
            name = ""  # RFC 6120 §7.7.2.1: better one of ours than none
        try:
            self.resource = self.service.bind(account, name, self)
        except StanzaError as error:
            self._bindings += 1
            self.refused(Refuse(error, "RFC 6120 §7.7.2"))
            if self._bindings >= BINDINGS:
                self.end("policy-violation", "too many tries at binding")
            return
        self.resource.lang = self._lang
        self.state = "BOUND"
        self.cancel("login")
        address = element(f"{{{BIND}}}jid", text=self.resource.jid.text)
        bound = made("iq", type="result", id=stanza.id, inside=(element(f"{{{BIND}}}bind", {}, address),))
        self.note(jid=self.resource.jid.text)
        self.send(bound.octets(), "RFC 6120 §7.6.1")

    def do_session(self, unit: Unit) -> None:
        self._check_id(unit.value)
        if not self.service.offers("session"):
            raise StanzaError("service-unavailable")
        self.send(unit.value.result().octets(), "RFC 6121 Appendix E")

    def _check_id(self, stanza: Stanza) -> None:
        if stanza.id is None:
            raise StanzaError("bad-request", "an iq has an id (RFC 6120 §8.1.3)")

    # ── stanzas ──────────────────────────────────────────────────────────────────────────────────────────────────

    def do_iq(self, unit: Unit) -> None:
        self._hear(unit.value)

    def do_message(self, unit: Unit) -> None:
        self._hear(unit.value)

    def do_presence(self, unit: Unit) -> None:
        self._hear(unit.value)

    def _hear(self, stanza: Stanza) -> None:
        resource = self.resource
        if resource is None:
            self._hear_unbound(stanza)
            return
        if self.policy.wrong_from == "error" and stanza.sender is not None:
            own = (resource.jid, resource.account.jid)
            if _parsed(stanza.sender) not in own:
                raise Refuse(StreamError("invalid-from"), "RFC 6120 §4.9.3.9")
        self.service.router.said(resource, stanza)

    def _hear_unbound(self, stanza: Stanza) -> None:
        """RFC 6120 §7.1: before binding one may speak to the server and to one's own account, and to nobody else."""
        account = self.service.account(jid(self.user))
        to = _parsed(stanza.to) if stanza.to is not None else jid(self.user)
        domain = to is not None and to.text == self.domain
        if account is None or to is None or not (domain or to == account.jid):
            raise Refuse(StreamError("not-authorized", "bind a resource first"), "RFC 6120 §7.1")
        if stanza.kind == "iq" and stanza.type in ("get", "set") and len(stanza.children) == 1:
            self._check_id(stanza)
            asker = Resource(account.jid, account, self)
            self.service.answer(stanza.but(sender=self.user), None if domain else account, to, asker)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────

    def do_error(self, unit: Unit) -> None:
        """The client gives up: nothing is left to say but the end (RFC 6120 §4.9.1.1)."""
        self.do_close(unit)

    def do_close(self, unit: Unit) -> None:
        self._open_in_any_case()
        self.send(b"</stream:stream>", "RFC 6120 §4.4")
        self.close()


def _unsupported(piece: Piece) -> StreamError:
    """RFC 6120 §4.8.3, §4.8.4: what looks like a stanza and is in another namespace, or is none at all."""
    if local(piece.name) in ("message", "presence", "iq"):
        return StreamError("invalid-namespace")
    return StreamError("unsupported-stanza-type")


def _version(text: str | None) -> str:
    """The version of our header: the lower of the two, "" for a client that knows none (RFC 6120 §4.7.5). Raises Refuse."""
    if text is None:
        return ""
    match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", text.strip())
    if match is None:
        raise Refuse(StreamError("unsupported-version"), "RFC 6120 §4.9.3.25")
    return "1.0" if int(match[1]) >= 1 else ""


def _bare(text: str) -> str:
    address = _parsed(text)
    return address.bare if address is not None and address.local else ""


def _parsed(text: str) -> Jid | None:
    try:
        return jid(text)
    except ValueError:
        return None


def _marked_wrong(secret: Secret) -> Secret:
    return secret if secret.label.endswith(" wrong") else dataclasses.replace(secret, label=secret.label + " wrong")
