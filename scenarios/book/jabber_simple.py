"""A stand-in for Ruby's Jabber::Simple (xmpp4r-simple), as far as the listings use it, as measured.

Mistakes

13. A message to a contact whose presence the bot may not see is held back until a push shows that
    it may; at the end of the program it is lost. Every subscription request is accepted.
14. Every message with a body is returned, whatever its type, age and origin. A roster push is
    believed from any sender.

Beyond the chapter's list: STARTTLS is used without checking the certificate; the login is by
DIGEST-MD5, or by PLAIN with the address as the identity to act as; no resource is named; the roster
is requested without an id, which servers of today reject, so that it is empty; the presence is sent
twice; and the socket is closed without ending the stream.

What a thread does in the library is done here whenever the program calls.
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
    """A method was called on nil, such as on the node of an address that has none."""


class JabberSimple:
    """A client that logs in when it is made."""

    def __init__(self, server: Server, clock: Clock, host: Host, at_once: bool = False) -> None:
        """With `at_once` no message is held back, and no request is accepted."""
        self._at_once = at_once
        self._server, self._clock, self._host = server, clock, host
        self._node, _, self._domain = (server.jid or server.user).partition("/")[0].partition("@")
        self._subscriptions: dict[str, str] = {}
        self._deferred: list[tuple[str, str]] = []
        self._received: list[Element] = []
        self._link = Link.connect(server.host, server.port, clock, server.timeout)
        self._link.expect(None)  # the server may send at any time
        try:
            self._arrive(host)
        except BaseException:
            self._link.close()
            raise

    def __enter__(self) -> JabberSimple:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()  # as the end of a process does

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

    # ── called by the listings ───────────────────────────────────────────────

    def add(self, jid: str) -> None:
        """Asks for authorisation."""
        self._send(Element(f"{{{CLIENT}}}presence", {"to": jid, "type": "subscribe"}))

    def deliver(self, jid: str, text: str) -> None:
        """Sends a message, or asks for authorisation and holds the message back."""
        self._process()
        if self._at_once or self._subscriptions.get(jid) in ("to", "both"):
            self._say(jid, text)
        else:
            self.add(jid)
            self._deferred.append((jid, text))  # mistake 13

    def received_messages(self) -> Iterator[Element]:
        """Yields the messages that have arrived since the last call."""
        self._process()
        while self._received:
            yield self._received.pop(0)

    def disconnect(self) -> None:
        """Closes the socket; messages that were held back are lost."""
        self._link.close()

    # ── the work of its thread ───────────────────────────────────────────────

    def _process(self) -> None:
        while (event := self._next(self._clock.time())) is not None:
            if isinstance(event, End):
                raise ClientError("the server has closed the stream")
            if isinstance(event, Element):
                self._take(event)

    def _take(self, element: Element) -> None:
        name = split_tag(element)[1]
        if name == "message" and element.find(f"{{{CLIENT}}}body") is not None:
            self._received.append(element)  # mistake 14: of any type, age and origin
        elif name == "presence" and element.get("type") == "subscribe":
            if self._at_once:
                return
            # mistake 13: accepted
            attributes = {"to": element.get("from", ""), "type": "subscribed"}
            self._send(Element(f"{{{CLIENT}}}presence", attributes))
        elif name == "iq":
            # mistake 14: a push from any sender
            for item in element.iterfind(f"{{{ROSTER}}}query/{{{ROSTER}}}item"):
                self._subscriptions[item.get("jid", "")] = item.get("subscription", "none")
            waiting, self._deferred = self._deferred, []
            for jid, text in waiting:
                if self._subscriptions.get(jid) in ("to", "both"):
                    self._say(jid, text)
                else:
                    self._deferred.append((jid, text))

    def _say(self, jid: str, text: str) -> None:
        message = Element(f"{{{CLIENT}}}message", {"to": jid, "type": "chat"})
        SubElement(message, f"{{{CLIENT}}}body").text = text
        self._send(message)

    # ── the stream ───────────────────────────────────────────────────────────

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
            item.text for item in features.iterfind(f"{{{SASL}}}mechanisms/{{{SASL}}}mechanism")
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
            raise ClientError("no mechanism left: servers do not offer jabber:iq:auth any more")
        if split_tag(answer)[1] != "success":
            raise ClientError("not-authorized")

    def _digest(self, challenge: str) -> str:
        """RFC 2831 §2.1.2, for the quality of protection `auth`."""
        fields = {
            key: quoted or plain
            for key, quoted, plain in re.findall(r'([\w-]+)=(?:"([^"]*)"|([^,]*))', challenge)
        }
        realm, nonce, cnonce = (
            fields.get("realm", self._domain),
            fields["nonce"],
            self._host.token(16),
        )
        uri = f"xmpp/{self._domain}"
        secret = hashlib.md5(f"{self._node}:{realm}:{self._server.password}".encode()).digest()
        a1 = hashlib.md5(secret + f":{nonce}:{cnonce}".encode()).hexdigest()
        a2 = hashlib.md5(f"AUTHENTICATE:{uri}".encode()).hexdigest()
        response = hashlib.md5(f"{a1}:{nonce}:00000001:{cnonce}:auth:{a2}".encode()).hexdigest()
        return (
            f'nonce="{nonce}",charset=utf-8,username="{self._node}",realm="{realm}",'
            f'cnonce="{cnonce}",nc=00000001,qop=auth,digest-uri="{uri}",response={response}'
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
