"""A client's stream over WebSocket (RFC 7395): each message is one element.

`<open/>` and `<close/>` stand for the tags of the stream. The frames are read and written here, so
that the stream, its faults and its records are the same as over TCP.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

from fakes import websocket
from fakes.websocket import Broken, Message
from fakes.wire import Refuse, Runtime, Secret, Unit, Want
from fakes.xmpp.extensions.websocket import websocket_url
from fakes.xmpp.features import must_start_tls
from fakes.xmpp.markup import CLIENT, LANG, STREAMS, TLS, element, escape, serialize
from fakes.xmpp.pieces import Piece
from fakes.xmpp.refusals import TOO_BIG, StreamError, TlsFailure
from fakes.xmpp.sasl import secrets_of_broken
from fakes.xmpp.service import Service
from fakes.xmpp.splitter import Splitter
from fakes.xmpp.stream import LOGIN_TIME, REST_TIME, Xmpp

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
PROTOCOL = "xmpp"

_SPACE = b" \t\r\n"
_END = b"</stream:stream>"
_HEADER = re.compile(rb"<\?xml[^>]*+><stream:stream xmlns='[^']*+' xmlns:stream='[^']*+'")
_ROOT = re.compile(rb"<([\w:.-]++)([^>]*+)>")
_VALUE = re.compile(rb"'[^']*+'|\"[^\"]*+\"")


class FramedXmpp(Xmpp):
    """One connection of a client, after the handshake of the web server."""

    framed: ClassVar[bool] = True

    def __init__(self, runtime: Runtime, service: Service) -> None:
        super().__init__(runtime, service)
        self._reader = websocket.Reader(self.policy.stanza)
        self._code = websocket.NORMAL  # with which the server closes
        due = runtime.now() + LOGIN_TIME
        self.timers.at("login", due, lambda: self.end("connection-timeout", "no login"))

    # ── reading ──────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        try:
            while (message := self._reader.next(self.buffer)) is not None:
                if self._awaits_rest:
                    self._rest_has_come()
                if message.kind == websocket.TEXT:
                    return self._read(message.payload)
                self._control(message)
        except Broken as broken:
            return self._fail(broken)
        if (self.buffer or self._reader.waits) and not self._awaits_rest:
            self._awaits_rest = True
            due = self.runtime.now() + REST_TIME
            self.timers.at("rest", due, lambda: self.end("connection-timeout", "half a message"))
        return None

    def _control(self, message: Message) -> None:
        """Answers a control frame (RFC 6455 §5.5, RFC 7395 §3.8).

        Raises Broken for binary data.
        """
        if message.kind == websocket.PING:
            self.output.append(websocket.frame(websocket.PONG, message.payload))
            self.on_output()
        elif message.kind == websocket.CLOSE:
            # RFC 7395 §3.6: without <close/>, the session may be resumed.
            self.output.append(websocket.closing(websocket.read_close(message.payload)))
            self.close()
        elif message.kind == websocket.BINARY:
            text = "messages are text"  # RFC 7395 §3.2
            raise Broken(websocket.UNSUPPORTED_DATA, text)

    def _fail(self, broken: Broken) -> Unit | None:
        """Ends the connection, because the frames are wrong; the stream says what it can say."""
        self._code = broken.code
        if broken.code == websocket.TOO_BIG:
            return _refused(b"", StreamError("policy-violation", "", TOO_BIG))
        remark = f"WebSocket: {broken.code} {broken.reason}"
        self._event("unfinished", fields={"remark": remark})
        self.output.append(websocket.closing(broken.code, broken.reason))
        self.close()
        return None

    def _read(self, payload: bytes) -> Unit:
        """Returns the unit of a message, as if it had come over TCP (RFC 7395 §3.3.3)."""
        payload = payload.rstrip(_SPACE)
        if payload.startswith(b"<?xml"):  # not recommended, and not forbidden
            payload = payload.partition(b"?>")[2].lstrip(_SPACE)
        if not payload.startswith(b"<"):
            return _refused(payload, StreamError("bad-format", "a message begins with <"))
        tag = _framing(payload)
        frames, self.buffer = self.buffer, bytearray(tag or payload)
        unit = super().next_unit()
        rest, self.buffer = self.buffer, frames
        if unit is None:
            return _refused(payload, StreamError("not-well-formed", "a message is a whole element"))
        if unit.refusal is not None and not unit.verb:
            return unit
        if rest:
            return _refused(payload, StreamError("bad-format", "a message is one element"))
        if unit.verb in ("stream", "close") and not tag:
            text = "a stream begins with <open/> and ends with <close/>"
            return _refused(payload, StreamError("bad-format", text))
        if tag:
            unit.raw = payload
        return unit

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        return (Secret(0, len(raw), "half a frame"),)  # the mask hides nothing

    # ── writing ──────────────────────────────────────────────────────────────

    def send(
        self,
        raw: bytes,
        section: str = "",
        visible: tuple[int, int] | None = None,
        secrets: tuple[Secret, ...] = (),
        **fields: Any,
    ) -> None:
        sent = _standalone(raw)
        more = len(sent) - len(raw)  # in the start tag
        moved = (Secret(one.start + more, one.end + more, one.label) for one in secrets)
        super().send(sent, section, visible, tuple(moved), **fields)

    def send_element(self, sent: Element, section: str) -> None:
        if sent.tag == f"{{{STREAMS}}}features":
            for child in sent.findall(f"{{{TLS}}}starttls"):
                sent.remove(child)  # RFC 7395 §3.9
        super().send_element(sent, section)

    def encoded(self, raw: bytes) -> bytes:
        # What a fault has cut within an element is a frame that does not end.
        return websocket.frame(websocket.TEXT, raw, missing=0 if _is_whole(raw) else 1)

    def close(self, want: Want = Want.CLOSE) -> None:
        # RFC 7395 §3.5: after <close/>, that of the connection
        if self._over and want is Want.CLOSE and self._captured is None and not self.closed:
            self.output.append(websocket.closing(self._code))
        super().close(want)

    # ── TLS ──────────────────────────────────────────────────────────────────

    def do_stream(self, unit: Unit) -> None:
        """Answers `<open/>` (RFC 7395 §3.4).

        Where TLS is required, the client has to come again, inside TLS.
        """
        needs_tls = must_start_tls(self.service, self.tls)
        place = websocket_url(self.service.web_url(self.domain)) if needs_tls else ""
        if not place.startswith("wss:"):
            super().do_stream(unit)
            return
        sent = element(f"{{{FRAMING}}}close", {"see-other-uri": place})
        self.send(serialize(sent).encode(), "RFC 7395 §3.6.1")
        self._over = True
        self.close()

    def do_starttls(self, unit: Unit) -> None:
        raise Refuse(TlsFailure(), "RFC 7395 §3.9")


def _refused(raw: bytes, error: StreamError) -> Unit:
    secrets = secrets_of_broken(raw)
    return Unit(raw, "", secrets=secrets, refusal=Refuse(error, "RFC 7395 §3.3.3"))


def _framing(payload: bytes) -> bytes:
    """The tag of a stream that `<open/>` or `<close/>` stands for; b"" for another element."""
    if FRAMING.encode() not in payload:
        return b""
    splitter, buffer = Splitter(len(payload) + 3), bytearray(b"<x>" + payload)
    splitter.next(buffer)
    piece = splitter.next(buffer)
    if piece is None or piece.kind != "element" or buffer or piece.child_names:
        return b""
    if piece.name == f"{{{FRAMING}}}close":
        return _END
    return _header(piece) if piece.name == f"{{{FRAMING}}}open" else b""


def _header(piece: Piece) -> bytes:
    """The header that an `<open/>` stands for. It declares no namespace: each message does that."""
    known = {name: piece.attributes.get(name) for name in ("to", "from", "version")}
    known["xml:lang"] = piece.attributes.get(LANG[1:])
    written = (f" {name}='{escape(value)}'" for name, value in known.items() if value is not None)
    return f"<stream:stream xmlns:stream='{STREAMS}'{''.join(written)}>".encode()


def _standalone(raw: bytes) -> bytes:
    """An element that is sent, as a document of its own (RFC 7395 §3.3.3)."""
    if raw == _END:
        return f"<close xmlns='{FRAMING}'/>".encode()
    if header := _HEADER.match(raw):
        return f"<open xmlns='{FRAMING}'".encode() + raw[header.end() : -1] + b"/>"
    root = _ROOT.match(raw)
    if root is None:
        return raw
    name, attributes = root[1], _VALUE.sub(b"", root[2])
    declared = b""
    if b"xmlns=" not in attributes and not name.startswith(b"stream:"):
        declared = f" xmlns='{CLIENT}'".encode()
    if b"stream:" in raw and b"xmlns:stream=" not in attributes:
        declared += f" xmlns:stream='{STREAMS}'".encode()
    at = root.end(1)
    return raw[:at] + declared + raw[at:]


def _is_whole(raw: bytes) -> bool:
    root = _ROOT.match(raw)
    return root is not None and raw.rstrip().endswith((b"/>", b"</%b>" % root[1]))
