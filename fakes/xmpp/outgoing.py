"""A stream on which this server sends stanzas to another one (RFC 6120 §4.5; XEP-0220 §2.1).

Read the legality table first. The states are:

- START: our header is sent, and the other server's is due
- OPEN: its header has come, and its features are due
- TLS: we have asked for TLS
- SASL: we have asked to be believed by our certificate
- READY: dialback may begin, or stanzas may be sent
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, ClassVar
from xml.etree.ElementTree import Element

from fakes.wire import Facts, Refuse, Rule, Runtime, Unit, rule
from fakes.xmpp.markup import SASL, TLS, element
from fakes.xmpp.refusals import StreamError
from fakes.xmpp.server_stream import NEGOTIATION, ServerStream, starttls
from fakes.xmpp.service import Service

if TYPE_CHECKING:
    from fakes.xmpp.extensions.server_to_server import Link


class Outgoing(ServerStream):
    """One connection to another server, for a link, which says what is sent on it."""

    states: ClassVar[str] = "START OPEN TLS SASL READY"
    verbs: ClassVar[dict[str, Rule]] = {
        "stream": rule("START", "RFC 6120 §4.2", then="OPEN READY"),
        "features": rule("OPEN", "RFC 6120 §4.3.2", then="TLS SASL READY"),
        "proceed": rule("TLS", "RFC 6120 §5.4.2.3", then="START"),
        "success": rule("SASL", "RFC 6120 §6.4.6", then="START"),
        "failure": rule("TLS SASL", "RFC 6120 §6.4.5", then="READY"),
        "result": rule("READY", "XEP-0220 §2.1.1"),
        "verify": rule("READY", "XEP-0220 §2.1.2"),
        "error": rule("START OPEN TLS SASL READY", "RFC 6120 §4.9.1"),
        "close": rule("START OPEN TLS SASL READY", "RFC 6120 §4.4"),
        # Stanzas come on a stream of the other server (RFC 6120 §4.5).
        **{name: rule("", "RFC 6120 §4.5") for name in ("iq", "message", "presence")},
    }

    def __init__(self, runtime: Runtime, service: Service, link: Link) -> None:
        super().__init__(runtime, service)
        self._link = link
        self.id = ""  # of the other server's last header
        self.certified = False  # the other server has believed our certificate

    def opened(self, facts: Facts) -> None:
        super().opened(facts)
        due = self.runtime.now() + NEGOTIATION
        self.timers.at("negotiation", due, self.finish)

    def greet(self) -> None:
        """Sends our header: the server that connects speaks first."""
        self.send_header(self._link.own, self._link.other)

    def upgraded(self) -> None:
        """TLS is established: begins again (RFC 6120 §5.4.3.3)."""
        self._begin_again()

    def _begin_again(self) -> None:
        self.state = "START"
        self.restart()
        self.greet()

    def abandoned(self) -> None:
        """The connection is over, or was never established."""
        self._link.lost(self)

    # ── negotiation ──────────────────────────────────────────────────────────

    def do_stream(self, unit: Unit) -> None:
        """Keeps the id, from which the key of dialback is made."""
        self.check_header(unit.content)
        self.id = unit.content.attributes.get("id", "")
        if unit.content.attributes.get("version"):
            self.state = "OPEN"
            return
        # Before RFC 3920 there were neither features nor TLS.
        self._check_tls()
        self._ready()

    def _check_tls(self) -> None:
        """Raises Refuse if the other side cannot or will not begin TLS, and it is required."""
        if self.tls is None and self.policy.tls == "required":
            raise Refuse(StreamError("unsupported-feature"), "RFC 6120 §4.9.3.23")

    def do_features(self, unit: Unit) -> None:
        """Takes the next step: TLS, then the certificate, then dialback."""
        features: Element = unit.content
        if self.tls is None and self.policy.tls != "off":
            if features.find(f"{{{TLS}}}starttls") is not None:
                self.state = "TLS"
                self.send_element(starttls(), "RFC 6120 §5.4.2.1")
                return
            self._check_tls()
        names = [one.text for one in features.iter(f"{{{SASL}}}mechanism")]
        if "EXTERNAL" in names and not self.certified:
            self.state = "SASL"
            identity = base64.b64encode(self._link.own.encode()).decode()
            auth = element(f"{{{SASL}}}auth", {"mechanism": "EXTERNAL"}, text=identity)
            self.send_element(auth, "XEP-0178 §3")
            return
        self._ready()

    def do_proceed(self, unit: Unit) -> None:
        """Begins TLS."""
        self.start_tls()

    def do_success(self, unit: Unit) -> None:
        """The other server believes our certificate."""
        self.certified = True
        self._begin_again()

    def do_failure(self, unit: Unit) -> None:
        """Goes on with dialback if the certificate was not believed."""
        if self.state == "TLS":
            raise Refuse(StreamError("unsupported-feature"), "RFC 6120 §5.4.2.2")
        self._ready()

    def _ready(self) -> None:
        self.state = "READY"
        self.timers.cancel("negotiation")
        self._link.ready()

    # ── dialback ─────────────────────────────────────────────────────────────

    def do_result(self, unit: Unit) -> None:
        """The other server says whether it believes us (XEP-0220 §2.1.1)."""
        self._link.answered(unit.content)

    def do_verify(self, unit: Unit) -> None:
        """The server of a domain says whether a key is its own (XEP-0220 §2.1.2)."""
        self._link.verified(unit.content)

    def do_message(self, unit: Unit) -> None:
        """Never called: the table has no state in which the other server may send a stanza."""

    do_iq = do_message
    do_presence = do_message
