"""A client's stream: one connection of RFC 6120, from the header to the end.

Read the legality table first, then the handlers, one per verb. The states are:

- START: nothing received
- OPEN: headers exchanged
- SASL: a login under way
- AGAIN: logged in, a new header is due
- LOGIN: logged in, and no header is due
- BOUND: a resource is bound

What a bound client sends goes to its session (sessions.py), which is not the stream, and on to
dispatch.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Protocol
from xml.etree.ElementTree import Element

from fakes import sasl as mechanisms
from fakes.wire import Facts, Handler, Refuse, Rule, Runtime, Secret, Session, Unit, Want, rule
from fakes.xmpp import binding, sasl
from fakes.xmpp.addresses import parse_or_none
from fakes.xmpp.extensions import EXTENSIONS
from fakes.xmpp.features import features, may_start_tls, must_start_tls
from fakes.xmpp.header import check_header, choose_domain, serialize_header
from fakes.xmpp.markup import LANG, TLS, element, serialize
from fakes.xmpp.pieces import Piece
from fakes.xmpp.policy import FEATURES, Policy
from fakes.xmpp.refusals import (
    Refusal,
    SaslFailure,
    StreamError,
    TlsFailure,
    named_in_fault,
    wrong_state,
)
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Resource
from fakes.xmpp.splitter import Splitter
from fakes.xmpp.stanzas import Stanza, StanzaError, parse_stanza
from fakes.xmpp.units import (
    FOREIGN,
    foreign,
    passwords,
    read_unit,
    stanza_unit,
    texts_named,
)

LOGIN_TIME = 60.0  # seconds from the connection until a resource is bound
REST_TIME = 60.0  # seconds that the rest of an incomplete piece may take
BIND_ATTEMPTS = 6  # failed attempts at binding (RFC 6120 §7.7.3: 5 to 10)

# The verbs that extensions add: by the names of their elements, and whether they are in an IQ.
_ADDED = {
    (verb.tag, verb.in_iq): (name, extension.name)
    for extension in EXTENSIONS
    for name, verb in extension.verbs.items()
}
# The answers that have another secret than a password in them: its name, by that of the payload.
_SECRET = {tag: name for extension in EXTENSIONS for tag, name in extension.secrets.items()}
_OWNERS = dict(_ADDED.values())
# The versions of SASL that extensions add.
_PROFILES = {
    tag: (verb, extension.profile, extension.name)
    for extension in EXTENSIONS
    if extension.profile is not None
    for tag, verb in extension.profile.verbs.items()
}


class Observer(Protocol):
    """What an extension wants to know about the stanzas of a stream after binding."""

    def received(self) -> None:
        """A stanza of the client was handled."""

    def sent(self, stanza: Stanza) -> None:
        """A stanza was sent to the client."""


class Xmpp(Session):
    """One connection of a client. It is the outlet of the session that is bound to it."""

    protocol: ClassVar[str] = "xmpp"
    states: ClassVar[str] = "START OPEN SASL AGAIN LOGIN BOUND"
    verbs: ClassVar[dict[str, Rule]] = {
        "stream": rule("START AGAIN", "RFC 6120 §4.2", then="OPEN LOGIN"),
        "starttls": rule("OPEN", "RFC 6120 §5.4.2", then="START"),
        "auth": rule("OPEN SASL", "RFC 6120 §6.4.2", then="SASL AGAIN LOGIN BOUND"),
        "response": rule("SASL", "RFC 6120 §6.4.3", then="SASL AGAIN LOGIN BOUND"),
        "abort": rule("SASL", "RFC 6120 §6.4.4"),
        "bind": rule("LOGIN", "RFC 6120 §7", then="LOGIN BOUND"),
        "session": rule("BOUND", "RFC 6121 Appendix E"),
        "iq": rule("LOGIN BOUND", "RFC 6120 §8.2.3"),
        "message": rule("LOGIN BOUND", "RFC 6120 §8.2.1"),
        "presence": rule("LOGIN BOUND", "RFC 6120 §8.2.2"),
        "error": rule("OPEN SASL LOGIN BOUND", "RFC 6120 §4.9.1"),
        "close": rule("OPEN SASL LOGIN BOUND", "RFC 6120 §4.4"),
        **{name: verb.rule for one in EXTENSIONS for name, verb in one.verbs.items()},
    }
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {
            "STARTTLS",
            *sasl.OFFERED,
            *mechanisms.HASHED_TOKEN,
            *FEATURES,
            *(extension.name for extension in EXTENSIONS),
        }
    )

    def __init__(self, runtime: Runtime, service: Service) -> None:
        super().__init__(runtime)
        self.service = service
        self.policy: Policy = service.policy
        self.domain = service.domains[0]  # the one that the client speaks to
        self.resource: Resource | None = None
        self.observer: Observer | None = None
        self._splitter = Splitter(self.policy.stanza)
        self.login = sasl.Login(service, _PROFILES)
        self.id = ""  # of the last header that was sent
        self._header_sent = False
        self._over = False  # the stream has ended, not only its connection
        self.claimed = ""  # the bare address in the client's last header, "" without one
        self._lang = ""
        self._hidden: list[tuple[bytes, str]] = []  # what transcripts must not show, and its label
        self.sasl_failed = False  # at least once
        self._bind_failures = 0
        self._awaits_rest = False  # of an incomplete piece
        self._unit: Unit | None = None  # the one being handled

    # ── opening and restarting ───────────────────────────────────────────────

    def opened(self, facts: Facts) -> None:
        super().opened(facts)
        if not self.closed:
            due = self.runtime.now() + LOGIN_TIME
            self.timers.at("login", due, lambda: self.end("connection-timeout", "no login"))

    def greet(self) -> None:
        """Sends nothing, because the client speaks first, except an error if the server is full."""
        if self.facts.crowded:
            self.end("resource-constraint", "too many connections")

    def upgraded(self) -> None:
        """RFC 6120 §5.4.3.3: forgets what was sent in clear."""
        self.state = "START"
        self.user, self.claimed = "", ""
        self.login.drop()
        self.restart()

    def restart(self) -> None:
        """Both sides begin a new document: after TLS, and after a login."""
        self._splitter.restart()
        self._header_sent = False

    # ── reading ──────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        if self.state == "SASL" and self.login.begun.profile.strict and self.buffer[:1].isspace():
            error = StreamError("policy-violation", "white space during a login")
            return Unit(bytes(self.buffer[:1]), "", refusal=Refuse(error, "XEP-0388 §2.4"))
        plain = self._splitter.next_plain(self.buffer)
        if plain is not None:
            if self._awaits_rest:
                self._rest_has_come()
            raw, fields = plain
            self._unit = unit = stanza_unit(raw, Stanza(*fields), self._verb_of)
            return unit
        if not self.buffer and self._splitter.is_idle:
            return None
        # Another protocol does not begin like XML.
        begin = b"" if self.buffer.startswith(b"<") else bytes(self.buffer[:FOREIGN])
        piece = self._splitter.next_parsed(self.buffer)
        if piece is None:
            if self.buffer and not self._awaits_rest:
                self._awaits_rest = True
                due = self.runtime.now() + REST_TIME
                self.timers.at("rest", due, lambda: self.end("connection-timeout", "half a stanza"))
            return None
        if self._awaits_rest:
            self._rest_has_come()
        self._unit = unit = read_unit(piece, self.login, self._verb_of)
        if piece.kind == "error" and (remark := foreign(begin)):
            unit.fields = {**unit.fields, "remark": remark}
        return unit

    def _verb_of(self, tag: str, in_iq: bool) -> str:
        """The verb of an extension that is on, "" if there is none."""
        verb, owner = _ADDED.get((tag, in_iq), ("", ""))
        return verb if verb and self.service.offers(owner) else ""

    def handler(self, verb: str) -> Handler:
        owner = _OWNERS.get(verb)
        if owner is None:
            handler: Handler = getattr(self, self._methods[verb])
            return handler
        return partial(self.service.extensions.named(owner).handle, self)

    def _rest_has_come(self) -> None:
        self._awaits_rest = False
        self.timers.cancel("rest")

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        return sasl.secrets_of_broken(raw)

    # ── refusing ─────────────────────────────────────────────────────────────

    def handle(self, unit: Unit) -> None:
        try:
            super().handle(unit)
        except StanzaError as error:
            self.refused(Refuse(error))
        if self.observer is not None and isinstance(unit.content, Stanza):
            self.observer.received()

    def wrong_state(self, unit: Unit) -> Refuse:
        # An IQ of an extension is refused like any other.
        is_stanza = unit.verb in _OWNERS and isinstance(unit.content, Stanza)
        return wrong_state("iq" if is_stanza else unit.verb, self.state)

    def refused(self, refusal: Refuse) -> None:
        """Sends a refusal; a TLS failure or a stream error ends the stream too."""
        reply: Refusal = refusal.reply
        section = refusal.section
        if self.closed:
            return
        if isinstance(reply, StanzaError):
            if self._unit is not None and isinstance(self._unit.content, Stanza):
                # The error goes to the client's own address, whatever `from` it has sent.
                sender = self.resource.jid.text if self.resource is not None else None
                answer = self._unit.content.replace(sender=sender).error(reply)
                self.send_stanza(answer, section or "RFC 6120 §8.3")
        elif isinstance(reply, SaslFailure):
            self.state = "OPEN"
            self.sasl_failed = self.sasl_failed or reply.condition != "aborted"
            step = self._unit.content if self._unit is not None else None
            begun = step if isinstance(step, sasl.Step) else self.login.begun
            self.send_element(begun.profile.failure(reply), section)
            # RFC 6120 §6.4.5: the stream stays open for another try, but not for ever
            if not self.login.fail(reply):
                error = StreamError("policy-violation", "too many failed logins")
                self._finish(error.element(), "RFC 6120 §6.4.5")
        else:
            self._finish(reply.element(), section)

    def scripted_reply(self, text: str) -> None:
        """Sends the text of a fault: XML as it is, or the error that a condition names.

        See `refusals.named_in_fault`.
        """
        # To the client, a stanza that a fault answers is handled.
        if self.observer is not None and self._unit and isinstance(self._unit.content, Stanza):
            self.observer.received()
        verb = self._unit.verb if self._unit is not None else ""
        refusal = None if text.lstrip().startswith("<") else named_in_fault(text, verb)
        if refusal is None:
            self.send(text.encode())
            # A client counts every stanza that it gets, this one too.
            if self.observer is not None and (stanza := _stanza_or_none(text)) is not None:
                self.observer.sent(stanza)
        else:
            section = "RFC 6120 §4.9.3" if isinstance(refusal, StreamError) else ""
            self.refused(Refuse(refusal, section))

    # ── the outlet of a session ──────────────────────────────────────────────

    def deliver(self, stanza: Stanza) -> None:
        """Sends a stanza to the client."""
        if not self.closed:
            self.send_stanza(stanza)

    def end(self, condition: str, text: str = "") -> None:
        """Ends the stream with a stream error."""
        self._finish(StreamError(condition, text).element(), "RFC 6120 §4.9.3")

    def cut(self, want: Want) -> None:
        """Ends the connection without sending anything."""
        self.close(want)

    def abandoned(self) -> None:
        """Ends the session, or forgets an anonymous user who has not bound a resource.

        A session whose connection was lost may go on: an extension may keep it.
        """
        if self.resource is not None and self._over:
            self.service.unbind(self.resource)
        elif self.resource is not None:
            self.service.disconnected(self.resource)
        elif self.user:
            self.service.logged_out(self.user)

    # ── writing ──────────────────────────────────────────────────────────────

    def send_stanza(self, stanza: Stanza, section: str = "") -> None:
        """Sends a stanza, and tells the observer."""
        raw = stanza.to_bytes()
        # Only a record has to know where they are.
        secrets = _secrets_of(stanza, raw) if self.runtime.record is not None else ()
        self.send(raw, section, secrets=secrets)
        if self.observer is not None:
            self.observer.sent(stanza)

    def send_element(self, sent: Element, section: str) -> None:
        """Sends an element that is not a stanza."""
        raw = serialize(sent).encode()
        found = [(raw.find(text), len(text), label) for text, label in self._hidden]
        secrets = (Secret(at, at + size, label) for at, size, label in found if at >= 0)
        self.send(raw, section, secrets=tuple(secrets))

    def conceal(self, text: str, label: str) -> None:
        """Has transcripts show a label in place of a text, wherever an element contains it."""
        self._hidden.append((text.encode(), label))

    def _send_header(self, version: str, section: str) -> None:
        # RFC 6120 §4.7.3: the id of every stream is new
        self.id = self.runtime.token(20)
        header = serialize_header(self.domain, self.id, self.claimed, version)
        self._header_sent = True
        self.send(header, section)

    def _finish(self, error: Element | None = None, section: str = "") -> None:
        """Ends the stream, with an error if one is given.

        RFC 6120 §4.9.1.2: a header that has not been sent yet comes first.
        """
        if self.closed:
            return
        if not self._header_sent:
            self._send_header("1.0", "RFC 6120 §4.9.1.2")
        if error is not None:
            self.send_element(error, section)
        self.send(b"</stream:stream>", "RFC 6120 §4.4")
        self._over = True
        self.close()

    # ── the header ───────────────────────────────────────────────────────────

    def do_stream(self, unit: Unit) -> None:
        """Answers a header with the server's own, and with the features that come next."""
        piece: Piece = unit.content
        self._lang = piece.attributes.get(LANG[1:], "")
        # Stored before anything is checked, because the header of a refusal repeats it.
        claimed = parse_or_none(piece.attributes.get("from", ""))
        self.claimed = claimed.bare if claimed is not None and claimed.local else ""
        version = check_header(piece, self._splitter.default_namespace)
        # After login the domain cannot be changed.
        domains = (self.domain,) if self.user else self.service.domains
        self.domain = choose_domain(piece.attributes.get("to"), domains, self.domain)
        if self.user:
            self.check_claimed(self.user)
        self._send_header(version, "RFC 6120 §4.2")
        self.state = "LOGIN" if self.user else "OPEN"
        if version:
            offered = features(self.service, self.tls, logged_in=bool(self.user))
            self.send_element(offered, "RFC 6120 §4.3.2")

    def check_claimed(self, user: str, text: str = "") -> None:
        """RFC 6120 §6.4.6: inside TLS the header must not claim another address. Raises Refuse."""
        if self.tls is not None and self.claimed not in ("", user):
            raise Refuse(StreamError("invalid-from", text), "RFC 6120 §6.4.6")

    # ── TLS ──────────────────────────────────────────────────────────────────

    def do_starttls(self, unit: Unit) -> None:
        """Starts TLS, or refuses it and ends the stream (RFC 6120 §5.4.2.2)."""
        if not may_start_tls(self.service, self.tls):
            raise Refuse(TlsFailure(), "RFC 6120 §5.4.2.2")
        self.send_element(element(f"{{{TLS}}}proceed"), "RFC 6120 §5.4.2.3")
        self.start_tls()

    # ── login ────────────────────────────────────────────────────────────────

    def do_auth(self, unit: Unit) -> None:
        """Starts a login with the mechanism that the client names (RFC 6120 §6.4.2)."""
        step: sasl.Step = unit.content
        if self.state == "SASL":
            self.login.check_turn(unit.verb, step)
        # RFC 6120 §6.4.2: an exchange that is under way is dropped
        self.login.drop()
        self.login.begun = step
        self.state = "OPEN"
        if must_start_tls(self.service, self.tls):
            raise Refuse(SaslFailure("encryption-required"), "RFC 6120 §6.5.4")
        self._log_in(lambda: step.profile.start(self, step))

    def do_response(self, unit: Unit) -> None:
        """Goes on with a login (RFC 6120 §6.4.3)."""
        step: sasl.Step = unit.content
        self.login.check_turn(unit.verb, step)
        self._log_in(lambda: self.login.respond(step.content or b""))

    def do_abort(self, unit: Unit) -> None:
        """Ends a login without a result (RFC 6120 §6.4.4)."""
        self.login.check_turn(unit.verb, unit.content)
        raise Refuse(SaslFailure("aborted"), "RFC 6120 §6.5.1")

    def _log_in(self, step: Callable[[], bytes | None]) -> None:
        """Takes a step of the exchange, and sends its challenge or the success."""
        try:
            challenge = step()
        except mechanisms.SaslError as error:
            # Only now it is known that the password of a SCRAM or DIGEST-MD5 response was wrong.
            if self.current is not None and isinstance(error, mechanisms.WrongCredentials):
                self.current.secrets = tuple(map(sasl.marked_wrong, self.current.secrets))
            raise Refuse(sasl.failure(error), "RFC 6120 §6.5") from None
        profile = self.login.begun.profile
        if challenge is not None:
            self.state = "SASL"
            self.send_element(profile.challenge(challenge), "RFC 6120 §6.4.3")
            return
        exchange = self.login.exchange
        assert exchange is not None
        profile.succeed(self, exchange)

    def logged_in(self, user: str, state: str) -> None:
        """The user has logged in; the exchange is over, and the stream goes on in this state."""
        self.user, self.state = user, state
        self.login.drop()
        self.login.begun = sasl.Step(self.login.begun.profile)  # the request is not needed again

    def login_failed(self) -> bool:
        """Counts a failed login that was not by SASL; returns whether another try is allowed."""
        return self.login.fail(SaslFailure("not-authorized"))

    # ── binding ──────────────────────────────────────────────────────────────

    def do_bind(self, unit: Unit) -> None:
        """Binds a resource; too many failures end the stream (RFC 6120 §7.7.3)."""
        stanza: Stanza = unit.content
        binding.check_id(stanza)
        try:
            self.resource = binding.bind(self.service, self.user, stanza, self)
        except StanzaError as error:
            self._bind_failures += 1
            self.refused(Refuse(error, "RFC 6120 §7.7.2"))
            if self._bind_failures >= BIND_ATTEMPTS:
                self.end("policy-violation", "too many tries at binding")
            return
        self.attach(self.resource)
        self.send(binding.bound(stanza, self.resource).to_bytes(), "RFC 6120 §7.6.1")

    def attach(self, resource: Resource) -> None:
        """Makes this stream the connection of a session: the state is BOUND from now on."""
        self.resource = resource
        resource.lang = self._lang
        self.state = "BOUND"
        self.timers.cancel("login")
        self.note(jid=resource.jid.text)

    def do_session(self, unit: Unit) -> None:
        """Answers the request for a session, which means nothing (RFC 6121 Appendix E)."""
        binding.check_id(unit.content)
        if not self.service.offers("session"):
            raise StanzaError("service-unavailable")
        self.send_stanza(unit.content.result(), "RFC 6121 Appendix E")

    # ── stanzas ──────────────────────────────────────────────────────────────

    def do_iq(self, unit: Unit) -> None:
        """Hands a stanza of any kind to the service."""
        stanza: Stanza = unit.content
        resource = self.resource
        if resource is None:
            binding.handle_unbound(self.service, self.user, self.domain, stanza, self)
            return
        if stanza.sender is not None and self.policy.wrong_from == "error":
            own = (resource.jid, resource.account.jid)
            if parse_or_none(stanza.sender) not in own:
                raise Refuse(StreamError("invalid-from"), "RFC 6120 §4.9.3.9")
        # In place, because the stanza was read here and nobody else has it.
        stanza.sender = resource.jid.text
        stanza.lang = stanza.lang or resource.lang or None
        self.service.dispatcher.from_stream(resource, stanza)

    do_message = do_iq
    do_presence = do_iq

    # ── the end ──────────────────────────────────────────────────────────────

    def do_close(self, unit: Unit) -> None:
        """Closes the stream in answer to the client (RFC 6120 §4.4)."""
        self._finish()

    # RFC 6120 §4.9.1.1: after a stream error of the client nothing is left but the end
    do_error = do_close


def _secrets_of(stanza: Stanza, raw: bytes) -> tuple[Secret, ...]:
    """The secrets in a stanza that is sent as `raw`."""
    name = _SECRET.get(stanza.payload, "") if stanza.kind == "iq" else ""
    return texts_named(raw, name) if name else passwords(raw)


def _stanza_or_none(text: str) -> Stanza | None:
    """Reads what a fault sends; None if it is not one stanza."""
    try:
        return parse_stanza(text)
    except ValueError:
        return None
