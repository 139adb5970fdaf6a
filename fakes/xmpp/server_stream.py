"""What both directions of a stream between two servers share (RFC 6120 §4, §8.1.1.2).

A stream carries stanzas in one direction only. incoming.py is the side that receives them, and
outgoing.py the side that sends them.
"""

from __future__ import annotations

from typing import ClassVar
from xml.etree.ElementTree import Element

from fakes.wire import Refuse, Runtime, Session, Unit
from fakes.xmpp.markup import (
    DIALBACK,
    SASL,
    SERVER,
    STREAMS,
    TLS,
    element,
    escape,
    namespace,
    serialize,
)
from fakes.xmpp.pieces import Piece
from fakes.xmpp.policy import Policy
from fakes.xmpp.refusals import StreamError
from fakes.xmpp.service import Service
from fakes.xmpp.splitter import Splitter
from fakes.xmpp.stanzas import KINDS, Stanza, from_piece
from fakes.xmpp.units import passwords

DIALBACK_FEATURE = "{urn:xmpp:features:dialback}dialback"
NEGOTIATION = 30.0  # seconds until two servers must be ready for each other
_SPACE_OF_STREAM = f"xmlns='{SERVER}' xmlns:stream='{STREAMS}' xmlns:db='{DIALBACK}'"
_VERBS = {
    f"{{{SASL}}}auth": "auth",
    f"{{{SASL}}}success": "success",
    f"{{{SASL}}}failure": "failure",
    f"{{{TLS}}}starttls": "starttls",
    f"{{{TLS}}}proceed": "proceed",
    f"{{{TLS}}}failure": "failure",
    f"{{{STREAMS}}}features": "features",
    f"{{{STREAMS}}}error": "error",
    f"{{{DIALBACK}}}result": "result",
    f"{{{DIALBACK}}}verify": "verify",
}


class ServerStream(Session):
    """One connection between two servers."""

    protocol: ClassVar[str] = "xmpp-server"

    def __init__(self, runtime: Runtime, service: Service) -> None:
        super().__init__(runtime)
        self.service = service
        self.policy: Policy = service.policy
        self._splitter = Splitter(self.policy.stanza, scope=SERVER)
        self._header_sent = False

    def restart(self) -> None:
        """Both sides begin a new document: after TLS, and after a login."""
        self._splitter.restart()
        self._header_sent = False

    # ── reading ──────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        piece = self._splitter.next(self.buffer)
        return None if piece is None else _unit(piece)

    def check_header(self, piece: Piece) -> None:
        """Raises Refuse if the first element is not the header of a stream between servers."""
        if namespace(piece.name) != STREAMS or self._splitter.default_namespace != SERVER:
            raise Refuse(StreamError("invalid-namespace"), "RFC 6120 §4.9.3.10")

    def unknown(self, unit: Unit) -> Refuse:
        return Refuse(StreamError("unsupported-stanza-type"), "RFC 6120 §4.9.3.24")

    def wrong_state(self, unit: Unit) -> Refuse:
        if unit.verb in KINDS.values():
            return Refuse(StreamError("not-authorized"), "RFC 6120 §4.9.3.12")
        error = StreamError("policy-violation", f"{unit.verb} is out of turn")
        return Refuse(error, "RFC 6120 §4.9.3.14")

    # ── writing ──────────────────────────────────────────────────────────────

    def send_element(self, sent: Element, section: str) -> None:
        """Sends an element that is not a stanza."""
        self.send(serialize(sent, SERVER).encode(), section)

    def send_stanza(self, stanza: Stanza) -> None:
        """Sends a stanza to the other server."""
        raw = stanza.to_bytes()
        self.send(raw, "RFC 6120 §10.4", secrets=passwords(raw))

    def send_header(self, sender: str, to: str, id: str = "") -> None:
        """Sends the header of our side (RFC 6120 §4.7)."""
        header = f"<?xml version='1.0'?><stream:stream {_SPACE_OF_STREAM}"
        header += f" from='{escape(sender)}'" if sender else ""
        header += f" to='{escape(to)}'" if to else ""
        header += f" id='{id}'" if id else ""
        self._header_sent = True
        self.send(f"{header} version='1.0' xml:lang='en'>".encode(), "RFC 6120 §4.7")

    def refused(self, refusal: Refuse) -> None:
        """Ends the stream: between servers there is no refusal after which it could go on."""
        reply = refusal.reply
        error = reply if isinstance(reply, StreamError) else StreamError("undefined-condition")
        self.finish(error, refusal.section)

    def scripted_reply(self, text: str) -> None:
        """Sends the text of a fault as it is, or the stream error that a condition names."""
        if text.lstrip().startswith("<"):
            self.send(text.encode())
        else:
            condition, _, words = text.removeprefix("stream:").partition(" ")
            self.finish(StreamError(condition, words), "RFC 6120 §4.9.3")

    def finish(self, error: StreamError | None = None, section: str = "") -> None:
        """Ends the stream, with an error if one is given (RFC 6120 §4.9.1.2)."""
        if self.closed:
            return
        if not self._header_sent:
            self.send_header(self.service.domains[0], "", self.runtime.token(20))
        if error is not None:
            self.send_element(error.element(), section)
        self.send(b"</stream:stream>", "RFC 6120 §4.4")
        self.close()

    def do_close(self, unit: Unit) -> None:
        """Closes the stream in answer to the other side (RFC 6120 §4.4)."""
        self.finish()

    # RFC 6120 §4.9.1.1: after a stream error of the other side nothing is left but the end
    do_error = do_close


def _unit(piece: Piece) -> Unit:
    """Recognises a piece; the content of a unit is the stanza, the piece, or the element."""
    raw = piece.raw
    if piece.kind == "open":
        return Unit(raw, "stream", piece.attributes.get("from", ""), content=piece)
    if piece.kind == "close":
        return Unit(raw, "close")
    if piece.kind == "error":
        error = StreamError(piece.name, piece.text)
        return Unit(raw, "", refusal=Refuse(error, "RFC 6120 §4.9.3"))
    if piece.name in KINDS and not piece.prefixed:
        stanza = from_piece(piece)
        if b"db:" not in stanza.content:
            unused = f" xmlns:db='{DIALBACK}'"  # which every header declares
            stanza.extra_attributes = stanza.extra_attributes.replace(unused, "")
        return Unit(raw, stanza.kind, stanza.to or "", passwords(raw), content=stanza)
    verb = _VERBS.get(piece.name, "")
    if not verb:
        error = StreamError("unsupported-stanza-type")
        return Unit(raw, "", refusal=Refuse(error, "RFC 6120 §4.9.3.24"))
    return Unit(raw, verb, piece.attributes.get("from", ""), content=piece.tree(SERVER))


def starttls() -> Element:
    """The request to begin TLS."""
    return element(f"{{{TLS}}}starttls")
