"""A stream on which another server sends stanzas to this one (RFC 6120 §4.5, §8.1.1.2; XEP-0220).

Read the legality table first. The states are:

- START: nothing received, or a new header is due
- OPEN: headers exchanged

Nothing is accepted from a domain before it has proved that it is that domain: by a certificate
(SASL EXTERNAL, XEP-0178 §3), or by dialback.
"""

from __future__ import annotations

import base64
import binascii
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast
from xml.etree.ElementTree import Element

from fakes.descriptor import Port, Server, deferred_codec
from fakes.wire import Facts, Refuse, Rule, Runtime, Unit, rule
from fakes.xmpp import dialback
from fakes.xmpp.addresses import parse_or_none, prepare_domain
from fakes.xmpp.markup import SASL, STREAMS, TLS, element
from fakes.xmpp.pieces import Piece
from fakes.xmpp.policy import Policy
from fakes.xmpp.refusals import SaslFailure, StreamError, TlsFailure
from fakes.xmpp.server_stream import DIALBACK_FEATURE, NEGOTIATION, ServerStream
from fakes.xmpp.service import Service
from fakes.xmpp.stanzas import Stanza

if TYPE_CHECKING:
    from fakes.xmpp.extensions.server_to_server import ServerToServer

PAIRS = 100  # pairs of domains that one stream may carry (XEP-0220 §2.6)


class Incoming(ServerStream):
    """One connection of another server."""

    states: ClassVar[str] = "START OPEN"
    verbs: ClassVar[dict[str, Rule]] = {
        "stream": rule("START", "RFC 6120 §4.2", then="OPEN"),
        "starttls": rule("OPEN", "RFC 6120 §5.4.2", then="START"),
        "auth": rule("OPEN", "RFC 6120 §6.4.2", then="OPEN START"),
        "result": rule("OPEN", "XEP-0220 §2.2.1"),
        "verify": rule("OPEN", "XEP-0220 §2.2.2"),
        "iq": rule("OPEN", "RFC 6120 §8.2.3"),
        "message": rule("OPEN", "RFC 6120 §8.2.1"),
        "presence": rule("OPEN", "RFC 6120 §8.2.2"),
        "error": rule("OPEN", "RFC 6120 §4.9.1"),
        "close": rule("OPEN", "RFC 6120 §4.4"),
    }
    capabilities: ClassVar[frozenset[str]] = frozenset({"STARTTLS", "EXTERNAL", "dialback"})

    def __init__(self, runtime: Runtime, service: Service) -> None:
        super().__init__(runtime, service)
        self._links = cast("ServerToServer", service.extensions.named("server-to-server"))
        self.id = ""  # of the last header that was sent
        self._from = ""  # the domain that the header names; nothing is proved by it
        self._to = service.domains[0]  # the domain of ours that the header names
        self._proved: set[tuple[str, str]] = set()  # their domain, ours
        self._pending = 0  # keys whose verification is under way
        self._failures = 0  # of EXTERNAL

    # ── opening ──────────────────────────────────────────────────────────────

    def opened(self, facts: Facts) -> None:
        super().opened(facts)
        if not self.closed:
            due = self.runtime.now() + 2 * NEGOTIATION
            self.timers.at("login", due, partial(self.finish, StreamError("connection-timeout")))

    def greet(self) -> None:
        """Sends nothing, because the other server speaks first, except if this one is full."""
        if self.facts.crowded:
            self.finish(StreamError("resource-constraint", "too many connections"))

    def upgraded(self) -> None:
        """RFC 6120 §5.4.3.3: forgets what was sent in clear."""
        self.state = "START"
        self._proved.clear()
        self.restart()

    def do_stream(self, unit: Unit) -> None:
        """Answers a header with our own, and with what the other server may do next."""
        piece: Piece = unit.content
        self.check_header(piece)
        sender = _domain(piece.attributes.get("from", ""))
        to = _domain(piece.attributes.get("to", ""))
        if to and not self._links.serves(to):
            raise Refuse(StreamError("host-unknown"), "RFC 6120 §4.9.3.6")
        if sender and self._links.denies(sender):
            error = StreamError("policy-violation", "this domain is denied")
            raise Refuse(error, "RFC 6120 §4.9.3.14")
        self._from, self._to = sender, to or self._to
        # RFC 6120 §4.7.3: the id of every stream is new
        self.id = self.runtime.token(20)
        self.send_header(self._to, sender, self.id)
        if piece.attributes.get("version"):
            features = element(f"{{{STREAMS}}}features")
            features.extend(self._features())
            self.send_element(features, "RFC 6120 §4.3.2")

    def _features(self) -> list[Element]:
        required = self._needs_tls()
        found = []
        if self._may_start_tls():
            children = [f"{{{TLS}}}required"] if required else []
            found.append(element(f"{{{TLS}}}starttls", {}, *children))
        if not required and self._may_log_in():
            name = element(f"{{{SASL}}}mechanism", text="EXTERNAL")
            found.append(element(f"{{{SASL}}}mechanisms", {}, name))
        if not required and not self.lacks("dialback"):
            errors = "{urn:xmpp:features:dialback}errors"
            found.append(element(DIALBACK_FEATURE, {}, errors))
        return found

    # ── TLS and login ────────────────────────────────────────────────────────

    def _may_start_tls(self) -> bool:
        return self.tls is None and self.policy.tls != "off" and not self.lacks("STARTTLS")

    def _needs_tls(self) -> bool:
        return self.tls is None and self.policy.tls == "required"

    def _may_log_in(self) -> bool:
        """XEP-0178 §3: EXTERNAL is offered if the certificate names the domain of the header."""
        certified = self.tls is not None and _certifies(self.tls.names, self._from)
        logged_in = (self._from, self._to) in self._proved
        return certified and not logged_in and not self.lacks("EXTERNAL")

    def do_starttls(self, unit: Unit) -> None:
        """Starts TLS, or refuses it and ends the stream (RFC 6120 §5.4.2.2)."""
        if not self._may_start_tls():
            self.send_element(TlsFailure().element(), "RFC 6120 §5.4.2.2")
            self.finish()
            return
        self.send_element(element(f"{{{TLS}}}proceed"), "RFC 6120 §5.4.2.3")
        self.start_tls()

    def do_auth(self, unit: Unit) -> None:
        """Accepts a server whose certificate names its domain (XEP-0178 §3)."""
        auth: Element = unit.content
        if auth.get("mechanism") != "EXTERNAL" or not self._may_log_in():
            self._fail("invalid-mechanism")
            return
        identity = _decode(auth.text or "=")
        # XEP-0178 §3: the identity is the domain of the header, which the certificate names
        if identity not in ("", self._from):
            self._fail("invalid-authzid")
            return
        self._prove(self._from, self._to)
        self.send_element(element(f"{{{SASL}}}success"), "RFC 6120 §6.4.6")
        self.state = "START"
        self.restart()

    def _fail(self, condition: str) -> None:
        self.state = "OPEN"
        self.send_element(SaslFailure(condition).element(), "RFC 6120 §6.5")
        self._failures += 1
        if self._failures >= self.policy.attempts:
            error = StreamError("policy-violation", "too many logins failed")
            self.finish(error, "RFC 6120 §6.4.5")

    # ── dialback ─────────────────────────────────────────────────────────────

    def do_result(self, unit: Unit) -> None:
        """Verifies a key where the domain that it speaks for is known to be (XEP-0220 §2.2.1)."""
        sender, to = self._pair(unit.content)
        refusal = self._refusal(sender, to)
        if refusal:
            self.send(dialback.answer("result", to, sender, refusal), "XEP-0220 §2.4.2")
            return
        self._pending += 1
        text = (unit.content.text or "").strip()
        self._links.verify(to, sender, self.id, text, partial(self._verified, sender, to))

    def _refusal(self, sender: str, to: str) -> str:
        """The condition of the error for a key that is not even verified; "" if it is."""
        if self._needs_tls() or self.lacks("dialback") or self._links.denies(sender):
            return "policy-violation"
        if not self._links.serves(to):
            return "item-not-found"
        if len(self._proved) + self._pending >= PAIRS:
            return "resource-constraint"
        return ""

    def _verified(self, sender: str, to: str, outcome: str) -> None:
        self._pending -= 1
        if self.closed:
            return
        if outcome == dialback.VALID:
            self._prove(sender, to)
        self.send(dialback.answer("result", to, sender, outcome), "XEP-0220 §2.2.1")
        if outcome == dialback.INVALID and not self._proved:
            self.finish()

    def do_verify(self, unit: Unit) -> None:
        """Says whether a key is ours (XEP-0220 §2.2.2)."""
        sender, to = self._pair(unit.content)
        id, text = unit.content.get("id", ""), (unit.content.text or "").strip()
        if not self._links.serves(to):
            outcome = "item-not-found"
        else:
            good = dialback.is_key(self._links.secret, sender, to, id, text)
            outcome = dialback.VALID if good else dialback.INVALID
        self.send(dialback.answer("verify", to, sender, outcome, id), "XEP-0220 §2.2.2")

    def _pair(self, sent: Element) -> tuple[str, str]:
        """The two domains of a dialback element. Raises Refuse."""
        if sent.get("type") is not None:
            # XEP-0220 §3.1: an answer to what was never asked on this stream
            error = StreamError("policy-violation", "nothing was asked")
            raise Refuse(error, "XEP-0220 §3.1")
        sender, to = _domain(sent.get("from", "")), _domain(sent.get("to", ""))
        if not sender or not to:
            raise Refuse(StreamError("improper-addressing"), "RFC 6120 §4.9.3.7")
        return sender, to

    def _prove(self, sender: str, to: str) -> None:
        self._proved.add((sender, to))
        self.user = self.user or sender
        self.timers.cancel("login")
        self.note(domain=sender)

    # ── stanzas ──────────────────────────────────────────────────────────────

    def do_message(self, unit: Unit) -> None:
        """Hands a stanza to the service, if its sender is at a domain that was proved."""
        stanza: Stanza = unit.content
        sender, to = parse_or_none(stanza.sender or ""), parse_or_none(stanza.to or "")
        if sender is None or to is None:
            raise Refuse(StreamError("improper-addressing"), "RFC 6120 §4.9.3.7")
        if not self._links.serves(to.domain):
            raise Refuse(StreamError("host-unknown"), "RFC 6120 §4.9.3.6")
        if not self._proved:
            raise Refuse(StreamError("not-authorized"), "RFC 6120 §4.9.3.12")
        if (sender.domain, to.domain) not in self._proved:
            raise Refuse(StreamError("invalid-from"), "RFC 6120 §8.1.2.2")
        self.service.dispatcher.from_server(stanza)

    do_presence = do_message
    do_iq = do_message


def _domain(text: str) -> str:
    """A prepared domain; "" if the text is none."""
    try:
        return prepare_domain(text) if text and "@" not in text and "/" not in text else ""
    except ValueError:
        return ""


def _certifies(names: tuple[str, ...], domain: str) -> bool:
    """Whether a certificate is for a domain: RFC 6120 §13.7.1.2, a wildcard is one whole label."""
    return bool(domain) and (domain in names or f"*.{domain.partition('.')[2]}" in names)


def _decode(text: str) -> str:
    """The authorization identity of EXTERNAL; a text that is not base64 is no domain."""
    if text == "=":
        return ""
    try:
        return _domain(base64.b64decode(text, validate=True).decode()) or "?"
    except (binascii.Error, UnicodeDecodeError):
        return "?"


SERVER = Server(
    name="xmpp-server",
    session=Incoming,
    make=lambda core, runtime, jabber, policy: core(runtime, jabber.service),
    ports=(Port("xmpp-server", 5269),),
    store="jabber",
    policy=Policy,
    table="xmpp",
    codec=deferred_codec("fakes.xmpp.codec", "Stanzas"),
    login=None,
    on_request=True,
    verifies=True,
)
