"""The port of components: one connection of XEP-0114, and the server as a world sees it.

The states are:

- START: nothing received
- OPEN: headers exchanged
- READY: the component has proven that it knows the secret
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, ClassVar
from xml.etree.ElementTree import Element

from fakes.descriptor import Port, Server
from fakes.people import Person
from fakes.wire import Facts, Refuse, Rule, Runtime, Secret, Session, Unit, rule
from fakes.xmpp.extensions.components import Components
from fakes.xmpp.markup import CLIENT, STREAMS, escape, local_name, namespace, serialize
from fakes.xmpp.pieces import Piece
from fakes.xmpp.refusals import TOO_BIG, StreamError, named_in_fault, wrong_state
from fakes.xmpp.service import Service
from fakes.xmpp.splitter import Splitter
from fakes.xmpp.stanzas import Stanza, StanzaError, parse_stanza
from fakes.xmpp.units import passwords

if TYPE_CHECKING:
    from fakes.transcripts.codec import Codec
    from fakes.xmpp.jabber import Jabber

ACCEPT = "jabber:component:accept"
LOGIN_TIME = 60.0  # seconds from the connection until the handshake
KINDS = ("message", "presence", "iq")
_NAMESPACE = f"{{{ACCEPT}}}"
# The first text after the name: of a handshake that has no end yet, too.
_HANDSHAKE = re.compile(rb"<(?:[\w.-]++:)?handshake\b[^<>]*+>([^<]++)")


class Component(Session):
    """One connection of a component."""

    protocol: ClassVar[str] = "component"
    states: ClassVar[str] = "START OPEN READY"
    verbs: ClassVar[dict[str, Rule]] = {
        "stream": rule("START", "XEP-0114 §3", then="OPEN"),
        "handshake": rule("OPEN", "XEP-0114 §3", then="READY"),
        "iq": rule("READY", "RFC 6120 §8.2.3"),
        "message": rule("READY", "RFC 6120 §8.2.1"),
        "presence": rule("READY", "RFC 6120 §8.2.2"),
        "error": rule("OPEN READY", "RFC 6120 §4.9.1"),
        "close": rule("OPEN READY", "RFC 6120 §4.4"),
    }

    def __init__(self, runtime: Runtime, service: Service) -> None:
        super().__init__(runtime)
        components = service.extensions.named("components")
        assert isinstance(components, Components)
        self._components = components
        self._splitter = Splitter(service.policy.stanza)
        self.id = ""  # of the stream
        self.host = ""  # the domain of the component
        self._unit: Unit | None = None  # the one that is handled

    def opened(self, facts: Facts) -> None:
        super().opened(facts)
        if not self.closed:
            due = self.runtime.now() + LOGIN_TIME
            error = StreamError("connection-timeout", "no handshake")
            self.timers.at("login", due, lambda: self._finish(error))

    def greet(self) -> None:
        """Sends nothing, because the component speaks first, except if the server is full."""
        if self.facts.crowded:
            self._finish(StreamError("resource-constraint", "too many connections"))

    # ── reading ──────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        piece = self._splitter.next_parsed(self.buffer)
        self._unit = self._read(piece) if piece is not None else None
        return self._unit

    def _read(self, piece: Piece) -> Unit:
        raw, name = piece.raw, local_name(piece.name)
        if piece.kind == "open":
            return Unit(raw, "stream", piece.attributes.get("to", ""), content=piece)
        if piece.kind == "close":
            return Unit(raw, "close")
        if piece.kind == "error":
            extra = TOO_BIG if piece.text == "stanza-too-big" else ""
            error = StreamError(piece.name, "" if extra else piece.text, extra)
            return Unit(raw, "", refusal=Refuse(error, "RFC 6120 §4.9.3"))
        if namespace(piece.name) == STREAMS and name == "error":
            return Unit(raw, "error")
        if namespace(piece.name) not in (ACCEPT, CLIENT) or name not in (*KINDS, "handshake"):
            error = StreamError("unsupported-stanza-type")
            return Unit(raw, "", refusal=Refuse(error, "RFC 6120 §4.9.3"))
        tree = piece.tree(ACCEPT)
        if name == "handshake":
            text = (tree.text or "").strip()
            right = self._components.is_right(self.host, self.id, text)
            label = f"component {self.host}" + ("" if right else " wrong")
            return Unit(raw, name, secrets=_secrets(raw, label), content=right)
        stanza = _stanza(name, tree)
        about = namespace(stanza.payload) if name == "iq" else stanza.to or ""
        return Unit(raw, name, about, passwords(raw), content=stanza)

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        return _secrets(raw, "component unfinished")

    # ── refusing ─────────────────────────────────────────────────────────────

    def handle(self, unit: Unit) -> None:
        try:
            super().handle(unit)
        except StanzaError as error:
            self.refused(Refuse(error))

    def wrong_state(self, unit: Unit) -> Refuse:
        return wrong_state(unit.verb, self.state)

    def refused(self, refusal: Refuse) -> None:
        """Answers a stanza with an error, or ends the stream with one."""
        reply = refusal.reply
        if self.closed:
            return
        if isinstance(reply, StanzaError):
            if self._unit is not None and isinstance(self._unit.content, Stanza):
                # RFC 6120 §8.3.1: an error never comes from a malformed address
                answer = self._unit.content.error(reply)
                self.send(answer.replace(sender=self.host).to_bytes(), "RFC 6120 §8.3")
        else:
            self._finish(reply, refusal.section)

    def scripted_reply(self, text: str) -> None:
        """Sends the text of a fault: XML as it is, or the error that a condition names."""
        verb = self._unit.verb if self._unit is not None else ""
        refusal = None if text.lstrip().startswith("<") else named_in_fault(text, verb)
        if refusal is None:
            self.send(text.encode())
        else:
            self.refused(Refuse(refusal))

    # ── writing ──────────────────────────────────────────────────────────────

    def deliver(self, stanza: Stanza) -> None:
        """Sends a stanza to the component."""
        if not self.closed:
            raw = stanza.to_bytes()
            # A user who registers with a gateway sends it a password.
            self.send(raw, secrets=passwords(raw))

    def _send_header(self) -> None:
        self.id = self.runtime.token(20)
        start = f"<?xml version='1.0'?><stream:stream xmlns='{ACCEPT}' xmlns:stream='{STREAMS}'"
        host = f" from='{escape(self.host)}'" if self.host else ""
        self.send(f"{start}{host} id='{self.id}'>".encode(), "XEP-0114 §3")

    def _finish(self, error: StreamError | None = None, section: str = "") -> None:
        if self.closed:
            return
        if not self.id:  # RFC 6120 §4.9.1.2: a header comes before an error
            self._send_header()
        if error is not None:
            self.send(serialize(error.element()).encode(), section)
        self.send(b"</stream:stream>", "RFC 6120 §4.4")
        self.close()

    def abandoned(self) -> None:
        """The component is gone: what is sent to its domain is answered with an error."""
        self._components.left(self.host, self)

    # ── the verbs ────────────────────────────────────────────────────────────

    def do_stream(self, unit: Unit) -> None:
        """Answers the header if it names a domain of components."""
        piece: Piece = unit.content
        if namespace(piece.name) != STREAMS or self._splitter.default_namespace != ACCEPT:
            raise Refuse(StreamError("invalid-namespace"), "XEP-0114 §3")
        if local_name(piece.name) != "stream":
            text = "a stream begins with <stream:stream>"
            raise Refuse(StreamError("bad-format", text), "RFC 6120 §4.9.3.1")
        self.host = self._components.host(piece.attributes.get("to", ""))
        self._send_header()

    def do_handshake(self, unit: Unit) -> None:
        """Lets the component in if it knows the secret."""
        if not unit.content:
            raise Refuse(StreamError("not-authorized"), "XEP-0114 §3")
        self._components.joined(self.host, self)
        self.user = self.host
        self.timers.cancel("login")
        self.send(b"<handshake/>", "XEP-0114 §3")

    def do_iq(self, unit: Unit) -> None:
        """Sends a stanza of any kind on its way."""
        self._components.accept(self.host, unit.content)

    do_message = do_iq
    do_presence = do_iq

    def do_close(self, unit: Unit) -> None:
        """Closes the stream in answer to the component (RFC 6120 §4.4)."""
        self._finish()

    do_error = do_close


def _secrets(raw: bytes, label: str) -> tuple[Secret, ...]:
    found = _HANDSHAKE.search(raw)
    return (Secret(*found.span(1), label),) if found is not None else ()


def _stanza(kind: str, tree: Element) -> Stanza:
    """A stanza of a component as clients know it: in the namespace of their streams."""
    for element in tree.iter():
        if element.tag.startswith(_NAMESPACE):
            element.tag = f"{{{CLIENT}}}{element.tag.removeprefix(_NAMESPACE)}"
    tree.tag, tree.tail = f"{{{CLIENT}}}{kind}", None
    return parse_stanza(serialize(tree))


# ── the server as a world sees it ────────────────────────────────────────────


def _codec() -> Codec:
    from fakes.xmpp.codec import Stanzas

    class Handshakes(Stanzas):
        """Makes the handshake from the secret and the id of the stream."""

        _id = b""

        def consumed(self, received: bytes) -> None:
            found = re.search(rb"<stream:stream[^>]* id='([^']*)'", received)
            self._id = found[1] if found else self._id

        def _response(self, label: str, first: bool, secret: Any) -> bytes:
            return hashlib.sha1(self._id + secret(label)).hexdigest().encode()

    return Handshakes()


def _secret(jabber: Jabber, label: str) -> bytes:
    """The secret of the domain in a label; with `wrong` after the name, a wrong one."""
    host, _, wrong = label.partition(" ")[2].partition(" ")
    return f"{_components(jabber).secret(host)}{wrong}".encode()


def _components(jabber: Jabber) -> Components:
    components = jabber.service.extensions.named("components")
    assert isinstance(components, Components)
    return components


def _login(jabber: Jabber, person: Person, program: str) -> dict[str, str]:
    """The first domain of the world file, and its secret."""
    components = _components(jabber)
    domain = next(iter(components.domains()), "")
    return {"domain": domain, "password": components.secret(domain)}


SERVER = Server(
    name="component",
    session=Component,
    make=lambda core, runtime, jabber, policy: core(runtime, jabber.service),
    ports=(Port("component", 5347),),
    store="jabber",
    codec=_codec,
    secrets={"component": _secret},
    login=_login,
    on_request=True,
)
