"""A stand-in for Ruby's Jabber::Simple (xmpp4r-simple), as far as the listings use it, behaving as it was measured.

It takes STARTTLS where it is offered and looks at no certificate, logs in by DIGEST-MD5 before anything else and by PLAIN
with its address as the identity to act as, binds without naming a resource, asks for the contact list without an id (a
`bad-request` on servers of today, so its list is empty), says its presence twice, and acknowledges nothing. It lets in
whoever asks. A message to somebody it may not see is held back until a push shows that it may; and it closes the socket
without a word. What a thread of its own does there is done here whenever the program calls.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement

from comms.clock import Clock
from comms.host import Host
from comms.link import Link, LinkContext
from comms.settings import Server
from comms.xmpp.stream import (
    CLIENT,
    STREAMS,
    End,
    Event,
    Header,
    Reader,
    header,
    split_tag,
    to_bytes,
)

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION = "urn:ietf:params:xml:ns:xmpp-session"
ROSTER = "jabber:iq:roster"


class ClientError(Exception):
    """The login failed, or the server is gone."""


class NoMethodError(Exception):
    """Something was asked of nil: an address without a node, for one."""


class JabberSimple:
    """A client that is on line from its first moment on."""

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self._server, self._clock, self._host = server, clock, host
        self._node, _, self._domain = (server.jid or server.user).partition("/")[0].partition("@")
        self._subscriptions: dict[str, str] = {}
        self._deferred: list[tuple[str, str]] = []
        self._received: list[Element] = []
        self._link = Link.connect(server.host, server.port, clock, server.timeout)
        try:
            self._arrive(host)
        except BaseException:
            self._link.close()
            raise

    def __enter__(self) -> JabberSimple:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()  # as the end of the process does it

    def _arrive(self, host: Host) -> None:
        features = self._restart()
        if features.find(f"{{{TLS}}}starttls") is not None:
            features = self._start_tls()
        self._log_in(features)
        features = self._restart()
        self._query("set", Element(f"{{{BIND}}}bind"), id=host.token(4))
        if features.find(f"{{{SESSION}}}session") is not None:
            self._query("set", Element(f"{{{SESSION}}}session"), id=host.token(4))
        self._query("get", Element(f"{{{ROSTER}}}query"))  # without an id
        for _ in range(2):
            self._send(Element(f"{{{CLIENT}}}presence"))

    # ── what the listings call ───────────────────────────────────────────────────────────────────────────────────

    def add(self, jid: str) -> None:
        """Asks for authorisation."""
        self._send(Element(f"{{{CLIENT}}}presence", {"to": jid, "type": "subscribe"}))

    def deliver(self, jid: str, text: str) -> None:
        """Sends at once, or asks first and holds the message back."""
        self._process()
        if self._subscriptions.get(jid) in ("to", "both"):
            self._say(jid, text)
        else:
            self.add(jid)
            self._deferred.append((jid, text))

    def received_messages(self) -> Iterator[Element]:
        """Everything with a body that has come since the last call: whatever its type, however old."""
        self._process()
        while self._received:
            yield self._received.pop(0)

    def disconnect(self) -> None:
        """Closes the socket; what was held back is gone."""
        self._link.close()

    # ── what its thread does ─────────────────────────────────────────────────────────────────────────────────────

    def _process(self) -> None:
        while (event := self._next(self._clock.time())) is not None:
            if isinstance(event, End):
                raise ClientError("the server has closed the stream")
            if isinstance(event, Element):
                self._take(event)

    def _take(self, element: Element) -> None:
        name = split_tag(element)[1]
        if name == "message" and element.find(f"{{{CLIENT}}}body") is not None:
            self._received.append(element)
        elif name == "presence" and element.get("type") == "subscribe":
            self._send(
                Element(
                    f"{{{CLIENT}}}presence", {"to": element.get("from", ""), "type": "subscribed"}
                )
            )
        elif name == "iq":
            for item in element.iterfind(f"{{{ROSTER}}}query/{{{ROSTER}}}item"):  # from whomever
                self._subscriptions[item.get("jid", "")] = item.get("subscription", "none")
            ready = [
                one for one in self._deferred if self._subscriptions.get(one[0]) in ("to", "both")
            ]
            self._deferred = [one for one in self._deferred if one not in ready]
            for jid, text in ready:
                self._say(jid, text)

    def _say(self, jid: str, text: str) -> None:
        message = Element(f"{{{CLIENT}}}message", {"to": jid, "type": "chat"})
        SubElement(message, f"{{{CLIENT}}}body").text = text
        self._send(message)

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────

    def _restart(self) -> Element:
        self._reader = Reader()
        self._link.sendall(header(self._domain))
        assert isinstance(self._await(), Header)
        return self._element()

    def _start_tls(self) -> Element:
        self._send(Element(f"{{{TLS}}}starttls"))
        self._element()
        context = LinkContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._link.start_tls(context, self._domain)
        return self._restart()

    def _log_in(self, features: Element) -> None:
        offered = [
            one.text for one in features.iterfind(f"{{{SASL}}}mechanisms/{{{SASL}}}mechanism")
        ]
        if "DIGEST-MD5" in offered:
            self._sasl("auth", "", mechanism="DIGEST-MD5")
            challenge = base64.b64decode(self._element().text or "").decode()
            self._sasl("response", self._digest(challenge))
            answer = self._element()
            if split_tag(answer)[1] == "challenge":
                self._sasl("response", "")
                answer = self._element()
        elif "PLAIN" in offered:
            identity = f"{self._node}@{self._domain}"
            self._sasl(
                "auth", f"{identity}\0{self._node}\0{self._server.password}", mechanism="PLAIN"
            )
            answer = self._element()
        else:
            raise ClientError("no way to log in is left: jabber:iq:auth is gone from servers")
        if split_tag(answer)[1] != "success":
            raise ClientError("not-authorized")

    def _digest(self, challenge: str) -> str:
        """RFC 2831 §2.1.2, for the quality of protection `auth`."""
        said = {
            key: quoted or plain
            for key, quoted, plain in re.findall(r'([\w-]+)=(?:"([^"]*)"|([^,]*))', challenge)
        }
        realm, nonce, cnonce = said.get("realm", self._domain), said["nonce"], self._host.token(16)
        uri = f"xmpp/{self._domain}"
        secret = hashlib.md5(f"{self._node}:{realm}:{self._server.password}".encode()).digest()
        a1 = hashlib.md5(secret + f":{nonce}:{cnonce}".encode()).hexdigest()
        a2 = hashlib.md5(f"AUTHENTICATE:{uri}".encode()).hexdigest()
        response = hashlib.md5(f"{a1}:{nonce}:00000001:{cnonce}:auth:{a2}".encode()).hexdigest()
        return (
            f'nonce="{nonce}",charset=utf-8,username="{self._node}",realm="{realm}",cnonce="{cnonce}",nc=00000001,qop=auth,'
            f'digest-uri="{uri}",response={response}'
        )

    def _sasl(self, name: str, text: str, **attributes: str) -> None:
        element = Element(f"{{{SASL}}}{name}", attributes)
        element.text = base64.b64encode(text.encode()).decode()
        self._send(element)

    def _query(self, kind: str, content: Element, **attributes: str) -> None:
        query = Element(f"{{{CLIENT}}}iq", {"type": kind, **attributes})
        query.append(content)
        self._send(query)
        self._take(self._element())

    def _send(self, element: Element) -> None:
        self._link.sendall(to_bytes(element))

    def _element(self) -> Element:
        event = self._await()
        if not isinstance(event, Element) or event.tag == f"{{{STREAMS}}}error":
            raise ClientError("the server has closed the stream")
        return event

    def _await(self) -> Event:
        event = self._next(self._clock.time() + self._server.timeout)
        if event is None:
            raise ClientError("the server does not answer")
        return event

    def _next(self, until: float) -> Event | None:
        while (event := self._reader.next()) is None:
            if not self._clock.wait(self._link, until):
                return None
            data = self._link.recv(1 << 16)
            if not data:
                raise ClientError("the server is gone")
            self._reader.feed(data)
        return event
