"""One stream to a server: found, encrypted as the settings say, logged in, bound to a resource.

    with Session(settings.server("xmpp"), clock, host) as session:
        session.send(element)
        element = session.receive(clock.time() + 30)      # None when the time is come

Nothing falls back: TLS is what the settings say, a refused password is not tried again with another mechanism. After
an error the session is over.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import NoReturn
from xml.etree.ElementTree import Element, SubElement

from comms.clock import Clock
from comms.errors import CommsError, Refused, SettingsError, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.link import Link, client_context, secure
from comms.settings import Server
from comms.xmpp import srv, stanzas
from comms.xmpp.addresses import Jid, ascii_domain
from comms.xmpp.login import Login
from comms.xmpp.stream import (
    FOOTER,
    STREAM_ERRORS,
    STREAMS,
    End,
    Event,
    Header,
    Malformed,
    Reader,
    header,
    split_tag,
    stream_error,
    to_bytes,
)  # fmt: skip

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION = "urn:ietf:params:xml:ns:xmpp-session"

GOODBYE = 2.0  # seconds that a close waits for the other side's closing tag
FLOOD = 1 << 21  # octets that one look takes in without finding a whole element

# Stream errors after which trying again is pointless; RFC 6120 §4.9.3.3: after a conflict, the two would chase each other.
_FINAL = frozenset({
    "conflict", "host-gone", "host-unknown", "invalid-from", "invalid-namespace", "not-authorized", "see-other-host",
    "unsupported-encoding", "unsupported-feature", "unsupported-version",
})  # fmt: skip


class Session:
    """A stream on which stanzas can be exchanged, as `jid`. Raises Unreachable, TryLater, Refused, SettingsError."""

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self.server = server
        self.account = account(server)
        self.jid = self.account
        self._clock, self._host = clock, host
        self._reader = Reader()
        self._ended = False  # the server has said its last word
        self.link = self._connect()
        try:
            if server.tls == "implicit":
                secure(self._name, self.account.domain, self._upgrade)
            features = self._restart()
            if server.tls == "starttls":
                features = self._start_tls(features)
            self._log_in(features)
            self.features = self._restart()
            self._bind()
        except Malformed as error:
            self._fail(error)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    # ── stanzas ──────────────────────────────────────────────────────────────

    def send(self, element: Element) -> None:
        """Writes a stanza. Raises Unreachable when the link was gone before, Unknown when it is lost while writing."""
        self._write(to_bytes(element))

    def receive(self, until: float) -> Element | None:
        """The next element; None when there is none by then. Raises Unreachable, or Refused for a final stream error."""
        try:
            event = self._next(until)
        except Malformed as error:
            self._fail(error)
        if isinstance(event, Header):
            self._fail(Malformed("bad-format", f"{self._name} opens its stream twice"))
        return event if isinstance(event, Element) else None

    def close(self, take: Callable[[Element], None] = lambda element: None) -> None:
        """Ends the stream. What was written is on the wire before; what still comes is handed to `take`. Never raises."""
        if self.link.closed:
            return
        try:
            if not self._ended:
                self._write(FOOTER)
                until = self._clock.time() + GOODBYE
                # RFC 6120 §4.4: who closes still takes what comes, until the other closes too
                while self._clock.time() < until and (event := self._next(until)) is not None:
                    if isinstance(event, Element):
                        take(event)
        except CommsError:
            pass
        finally:
            self.link.close()

    # ── opening ──────────────────────────────────────────────────────────────

    def _connect(self) -> Link:
        server = self.server
        if server.host:
            candidates = [(server.host, server.port)]
        else:
            candidates = srv.candidates(
                self.account.domain, server.tls, server.port, self._host, server.timeout
            )
        troubles = []
        for name, port in candidates[:10]:
            self._name = f"{name}:{port}"
            try:
                return Link.connect(name, port, self._clock, server.timeout)
            except Unreachable as trouble:
                troubles.append(str(trouble))
            except UnicodeError:
                troubles.append(f"{name!r} is no host's name")
        raise Unreachable("; ".join(troubles))

    def _restart(self) -> Element:
        """A new stream on the connection that stands, and what the server offers on it (RFC 6120 §4.3)."""
        if self._reader.rest.strip():
            raise Unreachable(
                f"{self._name} speaks before its turn: somebody may be injecting (RFC 6120 §5.4.3.3)"
            )
        self._reader = Reader()
        # RFC 6120 §4.7.1: who we are is told only where nobody else can read it
        self._write(
            header(self.account.domain, str(self.account.bare) if self.link.tls is not None else "")
        )
        opening = self._event("the opening of its stream")
        if not isinstance(opening, Header):
            raise Malformed(
                "bad-format", f"{self._name} sends an element where a stream should open"
            )
        if opening.attributes.get("version", "0").split(".")[0] in ("", "0"):
            raise Refused(f"{self._name} speaks a Jabber from before XMPP 1.0 (RFC 6120 §4.7.5)")
        return self._element(f"{{{STREAMS}}}features")

    def _start_tls(self, features: Element) -> Element:
        def upgrade() -> None:
            self._write(f"<starttls xmlns='{TLS}'/>".encode())
            self._element(f"{{{TLS}}}proceed")
            self._upgrade()

        offered = features.find(f"{{{TLS}}}starttls") is not None
        secure(self._name, self.account.domain, upgrade, command="STARTTLS", offered=offered)
        return self._restart()

    def _upgrade(self) -> None:
        """TLS; the certificate must be the domain's (RFC 6120 §13.7.2.1), whatever host it was found on."""
        if self._reader.rest:
            raise Unreachable(
                f"{self._name} speaks in clear behind <proceed/>: somebody may be injecting"
            )
        self._ended = True  # RFC 6120 §5.4.3.2: if it fails, there is no closing tag
        context = client_context(self.server.ca_file)
        if self.server.tls == "implicit":
            context.set_alpn_protocols(["xmpp-client"])  # XEP-0368 §3
        self.link.start_tls(context, ascii_domain(self.account.domain))
        self._ended = False

    def _log_in(self, features: Element) -> None:
        login = Login(
            self._name,
            self.server,
            self.account,
            self._host,
            write=self._write,
            receive=self._element,
        )
        login.run(features, encrypted=self.link.tls is not None)

    def _bind(self) -> None:
        """A resource of our own (RFC 6120 §7), and the session of older servers (RFC 3921 §3) where they insist."""
        wanted = Element(f"{{{BIND}}}bind")
        if self.account.resource:
            SubElement(wanted, f"{{{BIND}}}resource").text = self.account.resource
        bound = self._ask(wanted, "a resource")
        try:
            self.jid = Jid.parse((bound.findtext(f"{{{BIND}}}bind/{{{BIND}}}jid") or "").strip())
        except ValueError as error:
            raise Unreachable(f"{self._name} binds us to no address: {error}") from None
        session = self.features.find(f"{{{SESSION}}}session")
        if session is not None and all(split_tag(child)[1] != "optional" for child in session):
            self._ask(Element(f"{{{SESSION}}}session"), "a session")

    def _ask(self, child: Element, what: str) -> Element:
        query = stanzas.iq("set", child)
        query.set("id", self._host.token(8))
        self.send(query)
        while True:
            said = self._element(stanzas.IQ)
            if said.get("id") == query.get("id") and said.get("type") in ("result", "error"):
                break
        if said.get("type") == "error":
            raise stanzas.as_exception(said, f"{self._name} refused {what}")
        return said

    # ── octets ───────────────────────────────────────────────────────────────

    def _write(self, data: bytes) -> None:
        if self.link.closed or self.link.ended:
            raise Unreachable(f"{self._name}: the link is gone")
        try:
            self.link.sendall(data)
        except OSError as error:
            self.link.abort()
            raise Unknown(f"{self._name}: the link was lost while writing: {error}") from None

    def _next(self, until: float) -> Event | None:
        """The next event; None when the time is come. Raises Malformed, Unreachable, Refused."""
        taken = 0
        while True:
            event = self._reader.next()
            if isinstance(event, Element) and event.tag == f"{{{STREAMS}}}error":
                self._ended = True
                raise self._stream_trouble(event)
            if isinstance(event, End):
                self._ended = True
                raise Unreachable(f"{self._name} has ended the stream")
            if event is not None:
                return event
            if taken > FLOOD and self._clock.time() >= until:
                return None
            if self.link.closed or not self._clock.wait(self.link, until):
                return None
            try:
                data = self.link.recv(1 << 16)
            except OSError as error:
                raise Unreachable(f"{self._name}: {error}") from None
            if not data:
                self._ended = True
                raise Unreachable(f"{self._name} hung up")
            taken += len(data)
            self._reader.feed(data)

    def _event(self, what: str) -> Event:
        event = self._next(self._clock.time() + self.server.timeout)
        if event is None:
            raise Unreachable(
                f"{self._name} did not answer within {self.server.timeout:g} s: {what} was due"
            )
        return event

    def _element(self, *tags: str) -> Element:
        """The next element, which must be one of these."""
        wanted = " or ".join(f"<{tag.rpartition('}')[2]}/>" for tag in tags)
        event = self._event(wanted)
        if isinstance(event, Element) and event.tag in tags:
            return event
        found = split_tag(event)[1][:100] if isinstance(event, Element) else "stream"
        if found == "failure":
            raise TryLater(f"{self._name} cannot start TLS now (RFC 6120 §5.4.2.2)")
        raise Malformed("bad-format", f"{self._name} sends <{found}/> where {wanted} was due")

    def _stream_trouble(self, error: Element) -> CommsError:
        names = [split_tag(child) for child in error]
        said = next(
            (name for space, name in names if space == STREAM_ERRORS and name != "text"),
            "undefined-condition",
        )
        text = (error.findtext(f"{{{STREAM_ERRORS}}}text") or "").strip()[:200]
        if said == "see-other-host":
            other = (error.findtext(f"{{{STREAM_ERRORS}}}see-other-host") or "").strip()[:200]
            text = f"it names {other}: write that as host"
        kind = Refused if said in _FINAL else Unreachable
        return kind(f"{self._name} ended the stream: {said}" + (f" ({text})" if text else ""))

    def _fail(self, error: Malformed) -> NoReturn:
        """Says why and leaves: behind what is no XML, nothing can be understood."""
        try:
            if not self._ended:
                self._write(stream_error(error.condition))
        except CommsError:
            pass
        self._ended = True
        self.close()
        raise Unreachable(f"{self._name}: {error}") from None


def account(server: Server) -> Jid:
    """The account that the settings name. Raises SettingsError."""
    text = server.jid or (server.user if "@" in server.user else f"{server.user}@{server.host}")
    try:
        jid = Jid.parse(text)
    except ValueError as error:
        raise SettingsError(f'xmpp.jid: {error}; write jid = "bot@example.org"') from None
    if not jid.is_account:
        raise SettingsError(f'xmpp.jid: {text!r} is a server; write jid = "bot@example.org"')
    return jid
