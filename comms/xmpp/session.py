"""One stream to a server: found, encrypted as the settings say, logged in, bound to a resource.

    with Session(settings.server("xmpp"), clock, host) as session:
        session.send(element)
        element = session.receive(clock.time() + 30)      # None if nothing arrives until then

Nothing falls back: TLS is used exactly as the settings say, and a refused password is not tried
again with another mechanism. After an error, the session is over.
"""

from __future__ import annotations

import contextlib
import types
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn
from xml.etree.ElementTree import Element, SubElement

from comms.clock import Clock
from comms.errors import CommsError, Refused, SettingsError, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.link import MAYBE_TLS, Link, client_context, secure
from comms.xmpp import srv, stanzas
from comms.xmpp.addresses import Jid, ascii_domain
from comms.xmpp.login import Login
from comms.xmpp.resumption import SM, Resumption
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
)

if TYPE_CHECKING:
    from comms.settings import Server

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION = "urn:ietf:params:xml:ns:xmpp-session"

GOODBYE = 2.0  # seconds that a close waits for the closing tag of the server
EARLY = 100  # stanzas that may come before the answer to what follows the binding
FLOOD = 1 << 21  # bytes that one look takes in without finding a complete element
CANDIDATES = 10  # addresses of a domain that are tried

_ERROR = f"{{{STREAMS}}}error"
# Stream errors after which another attempt is pointless. `conflict` is among them because two
# clients with the same resource would disconnect each other for ever (RFC 6120 §4.9.3.3).
FINAL = frozenset(
    "conflict host-gone host-unknown invalid-from invalid-namespace not-authorized "
    "unsupported-encoding unsupported-feature unsupported-version".split()
)


class ResourceTaken(Refused):
    """The resource is in use, often by the ghost of our own lost connection. Another one is not.

    RFC 6120 §7.7.2.2.
    """


class Redirected(Unreachable):
    """The server wants us to connect to `place` instead (RFC 6120 §4.9.3.19).

    Raised inside TLS only: in clear text, anybody on the way could have written it.
    """

    def __init__(self, text: str, place: srv.Place) -> None:
        super().__init__(text)
        self.place = place


class Session:
    """A stream that is ready for stanzas. `jid` is our full address.

    `place` is where the server has sent us, if not where the settings say. With `new_resource`, the
    resource of the settings is not asked for. With a `resumption`, the earlier session goes on if
    the server still has it, and then `resumed` is true. Raises Unreachable, TryLater, Refused or
    SettingsError.
    """

    final = FINAL  # the stream errors after which another attempt is pointless

    def __init__(
        self,
        server: Server,
        clock: Clock,
        host: Host,
        *,
        place: srv.Place | None = None,
        new_resource: bool = False,
        resumption: Resumption | None = None,
    ) -> None:
        self.server = server
        self.resumed = False
        self.lost: list[Element] = []  # stanzas of an earlier session that nobody has acknowledged
        self._resumption = resumption
        self.account = account(server)
        self.jid = self.account
        self._clock, self._host = clock, host
        self._reader = Reader()
        self._early: deque[tuple[Element, int]] = deque()  # that came before all was prepared
        self.size = 0  # bytes of the element that was received last
        self._ended = False  # nothing more can be exchanged, not even a closing tag
        self.closed = False  # the server has closed the stream, so it has read everything before
        self._logged_in = False
        self._condition = ""  # of the stream error that has ended the stream
        self.link = self._connect(place)
        try:
            self._open(new_resource)
            self._logged_in = True
            self.link.expect(None)  # from now on the server may send at any time
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
        """Writes a stanza.

        Raises Unreachable if the connection was lost before, Unknown if it is lost while writing.
        """
        self.send_bytes(to_bytes(element))

    def send_bytes(self, stanza: bytes) -> None:
        """Writes a stanza that is XML already, as `send`."""
        self._write(stanza)

    def send_kept(self, element: Element, stanza: bytes) -> None:
        """Writes a stanza, and keeps it until the server has acknowledged it."""
        resumption = self._managed
        if resumption is None:
            self._write(stanza)
            return
        asks = resumption.sent(element, stanza)
        self._write(stanza + (f"<r xmlns='{SM}'/>".encode() if asks else b""))

    def acknowledge(self) -> None:
        """Tells a server that counts how many of its stanzas have been handled."""
        if (resumption := self._managed) is not None:
            self._write(f"<a xmlns='{SM}' h='{resumption.handled}'/>".encode())

    @property
    def _managed(self) -> Resumption | None:
        """The resumption, if the server counts stanzas, too."""
        resumption = self._resumption
        return resumption if resumption is not None and resumption.active else None

    def receive(self, until: float) -> Element | None:
        """Returns the next element, None if none arrives until then.

        Raises Unreachable, or Refused for a stream error after which another attempt is pointless.
        """
        if self._early:
            element, self.size = self._early.popleft()
            return element
        while True:
            try:
                event = self._next(until)
                self.size = self._reader.size
                if isinstance(event, Element) and self._counted(event):
                    continue
            except Malformed as error:
                self._fail(error)
            if isinstance(event, Header):
                self._fail(Malformed("bad-format", f"{self._name} opens its stream twice"))
            return event if isinstance(event, Element) else None

    def _counted(self, element: Element) -> bool:
        """Counts a stanza. Returns whether the element has nothing else to say (XEP-0198 §4)."""
        resumption = self._managed
        if resumption is None:
            return False
        if element.tag == f"{{{SM}}}r":
            self.acknowledge()
            return True
        if element.tag == f"{{{SM}}}a":
            resumption.acknowledge(element.get("h", ""))
            return True
        if element.tag in (stanzas.MESSAGE, stanzas.PRESENCE, stanzas.IQ):
            return resumption.received()
        return False

    def close(self, take: Callable[[Element, int], None] = lambda element, size: None) -> None:
        """Closes the stream. Everything written arrives first. Never raises.

        The elements that still arrive are passed to `take`, with their sizes in bytes.
        """
        if self.link.closed:
            return
        while self._early:
            take(*self._early.popleft())
        try:
            if not self._ended:
                if self._logged_in:
                    # What has been handled here must not be delivered again elsewhere.
                    self.acknowledge()
                self._write(FOOTER)
                until = self._clock.time() + GOODBYE
                # RFC 6120 §4.4: the other side may send stanzas until it closes the stream, too.
                while self._clock.time() < until and (event := self._next(until)) is not None:
                    if isinstance(event, Element):
                        take(event, self._reader.size)
        except CommsError:
            pass
        finally:
            self.link.close()

    # ── opening ──────────────────────────────────────────────────────────────

    def _open(self, new_resource: bool) -> None:
        """Does everything between the connection and the first stanza."""
        if self.server.tls == "implicit":
            secure(self._name, self.account.domain, self._upgrade)
        features = self._restart()
        if self.server.tls == "starttls":
            features = self._start_tls(features)
        self._log_in(features)
        self.features = self._restart()
        if not self._resumes():
            self._bind(new_resource)
            self._enable_resumption()

    def _connect(self, place: srv.Place | None) -> Link:
        server = self.server
        if place is not None:
            candidates = srv.candidates_at(place, server.tls, self._host, server.timeout)
        elif server.host:
            candidates = [(server.host, server.port)]
        else:
            candidates = srv.candidates(
                self.account.domain, server.tls, server.port, self._host, server.timeout
            )
        errors = []
        for name, port in candidates[:CANDIDATES]:
            self._name = f"{name}:{port}"
            try:
                return Link.connect(name, port, self._clock, server.timeout)
            except Unreachable as error:
                errors.append(str(error))
            except UnicodeError:
                errors.append(f"{name!r} is not a host name")
        raise Unreachable("; ".join(errors))

    def _restart(self) -> Element:
        """Opens a new stream on the connection. Returns what the server offers (RFC 6120 §4.3)."""
        if self._reader.rest.strip():
            raise Unreachable(
                f"{self._name} sends before it may: this may be an injection attack "
                "(RFC 6120 §5.4.3.3)"
            )
        self._reader = Reader()
        # RFC 6120 §4.7.1: our own address is sent inside TLS only.
        own = str(self.account.bare) if self.link.tls is not None else ""
        self._write(header(self.account.domain, own))
        opening = self._event("the opening of its stream")
        if not isinstance(opening, Header):
            raise Malformed(
                "bad-format", f"{self._name} sends an element where a stream should open"
            )
        if opening.attributes.get("version", "0").split(".")[0] in ("", "0"):
            raise Refused(f"{self._name} uses Jabber from before XMPP 1.0 (RFC 6120 §4.7.5)")
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
        """Starts TLS. The certificate must be that of the domain (RFC 6120 §13.7.2.1).

        The host on which the server was found does not matter, because DNS can be forged.
        """
        if self._reader.rest:
            raise Unreachable(
                f"{self._name} sends clear text after <proceed/>: this may be an injection attack"
            )
        # RFC 6120 §5.4.3.2: if the handshake fails, the stream is not closed by a tag.
        self._ended = True
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

    def _resumes(self) -> bool:
        """Goes on with the earlier session, if there is one and the server has it (XEP-0198 §5)."""
        resumption = self._resumption
        if resumption is None:
            return False
        if not resumption.id or resumption.jid is None:
            self.lost = resumption.forget()
            return False
        if self.features.find(f"{{{SM}}}sm") is None:
            self.lost = resumption.forget()
            return False
        id, jid = resumption.id, resumption.jid
        self.send(Element(f"{{{SM}}}resume", {"previd": id, "h": str(resumption.handled)}))
        answer = self._element(f"{{{SM}}}resumed", f"{{{SM}}}failed")
        if answer.tag == f"{{{SM}}}failed":
            # The session is over, and must not be asked for again, whatever the count is.
            with contextlib.suppress(Malformed):
                if answer.get("h") is not None:
                    resumption.acknowledge(answer.get("h", ""))
            self.lost = resumption.forget()
            return False
        resumption.acknowledge(answer.get("h", ""))
        self.jid, self.resumed = jid, True
        resumption.resumed()
        for data in resumption.again():
            self._write(data)
        return True

    def _enable_resumption(self) -> None:
        resumption = self._resumption
        if resumption is None:
            return
        if self.features.find(f"{{{SM}}}sm") is None:
            return
        self.send(Element(f"{{{SM}}}enable", {"resume": "true"}))
        answer = self._answer(
            "<enabled/>", lambda element: element.tag in (f"{{{SM}}}enabled", f"{{{SM}}}failed")
        )
        if answer.tag == f"{{{SM}}}enabled":
            may_resume = answer.get("resume") in ("true", "1")
            id = answer.get("id", "") if may_resume else ""
            resumption.begin(id, self.jid, self._clock.time())

    def _bind(self, new_resource: bool) -> None:
        """Binds a resource (RFC 6120 §7).

        Older servers require a session afterwards (RFC 3921 §3), which newer ones call optional.
        """
        try:
            bound = self._bound(self._host.token(8) if new_resource else self.account.resource)
        except ResourceTaken as taken:
            # RFC 6120 §7.7.2.2 no. 2: the stream stays open, so that we can choose another one.
            try:
                bound = self._bound(self._host.token(8))
            except CommsError:
                raise taken from None
        try:
            self.jid = Jid.parse((bound.findtext(f"{{{BIND}}}bind/{{{BIND}}}jid") or "").strip())
        except ValueError as error:
            raise Unreachable(f"{self._name} binds us to an invalid address: {error}") from None
        session = self.features.find(f"{{{SESSION}}}session")
        if session is not None and all(split_tag(child)[1] != "optional" for child in session):
            self._request(Element(f"{{{SESSION}}}session"), "a session")

    def _bound(self, resource: str) -> Element:
        """Asks for a resource, "" for one that the server chooses. Raises ResourceTaken."""
        wanted = Element(f"{{{BIND}}}bind")
        if resource:
            SubElement(wanted, f"{{{BIND}}}resource").text = resource
        try:
            return self._request(wanted, "a resource")
        except Refused as error:
            if self._condition == "conflict":
                raise ResourceTaken(str(error)) from None
            raise

    def _request(self, child: Element, what: str) -> Element:
        query = stanzas.iq("set", child)
        query.set("id", self._host.token(8))
        self.send(query)
        reply = self._answer(
            f"the answer about {what}",
            lambda element: (
                (element.tag, element.get("id")) == (stanzas.IQ, query.get("id"))
                and element.get("type") in ("result", "error")
            ),
        )
        if reply.get("type") == "error":
            error = stanzas.as_exception(reply, f"{self._name} refused {what}")
            if stanzas.condition(reply) == "conflict":
                raise ResourceTaken(str(error))
            raise error
        return reply

    # ── reading and writing ──────────────────────────────────────────────────

    def _write(self, data: bytes) -> None:
        if self.link.closed or self.link.ended:
            raise Unreachable(f"{self._name}: the connection is lost")
        try:
            self.link.sendall(data)
        except OSError as error:
            self.link.abort()
            raise Unknown(f"{self._name}: the connection was lost while writing: {error}") from None

    def _next(self, until: float) -> Event | None:
        """Returns the next event, None if there is none until then.

        Raises Malformed, Unreachable, Refused.
        """
        taken = 0
        while True:
            event = self._reader.next()
            if isinstance(event, Element) and event.tag == _ERROR:
                self._ended = True
                raise self._stream_error(event)
            if isinstance(event, End):
                self._ended = self.closed = True
                raise Unreachable(f"{self._name} has ended the stream")
            if event is not None:
                return event
            # A server that sends without end must not keep us here for ever.
            if taken > FLOOD and self._clock.time() >= until:
                return None
            if self.link.closed or not self._readable(until):
                return None
            try:
                data = self.link.recv(1 << 16)
            except OSError as error:
                raise Unreachable(f"{self._name}: {error}") from None
            if not data:
                self._ended = True
                clear = self.server.tls != "implicit" and not self.link.bytes_in
                hint = f" before its first word; {MAYBE_TLS}" if clear else ""
                raise Unreachable(f"{self._name} hung up{hint}")
            taken += len(data)
            self._reader.feed(data)

    def _readable(self, until: float) -> bool:
        """Waits until there is something to read (True), or until the time (False)."""
        if self._logged_in:
            return self._clock.wait(self.link, until)
        try:
            return self.link.wait(until - self._clock.time())
        except TimeoutError:
            return False

    def _event(self, what: str) -> Event:
        """Returns the next event within the timeout. `what` describes it in the error."""
        event = self._next(self._clock.time() + self.server.timeout)
        if event is None:
            raise Unreachable(f"{self._name} did not send {what} within {self.server.timeout:g} s")
        return event

    def _element(self, *tags: str) -> Element:
        """Returns the next element within the timeout. It must have one of these tags."""
        expected = " or ".join(f"<{tag.rpartition('}')[2]}/>" for tag in tags)
        event = self._event(expected)
        if isinstance(event, Element) and event.tag in tags:
            return event
        found = split_tag(event)[1][:100] if isinstance(event, Element) else "stream"
        if found == "failure":
            raise TryLater(f"{self._name} cannot start TLS now (RFC 6120 §5.4.2.2)")
        raise Malformed("bad-format", f"{self._name} sends <{found}/> instead of {expected}")

    def _answer(self, what: str, is_it: Callable[[Element], bool]) -> Element:
        """Returns the answer within the timeout.

        Everybody may write to a resource as soon as it is bound. Stanzas that come before the
        answer are received afterwards.
        """
        for _ in range(EARLY):
            event = self._event(what)
            if isinstance(event, Element):
                if is_it(event):
                    return event
                if event.tag in (stanzas.MESSAGE, stanzas.PRESENCE, stanzas.IQ):
                    self._early.append((event, self._reader.size))
                    continue
            found = split_tag(event)[1][:100] if isinstance(event, Element) else "stream"
            raise Malformed("bad-format", f"{self._name} sends <{found}/> instead of {what}")
        raise Unreachable(f"{self._name} sends stanzas instead of {what}")

    def _stream_error(self, error: Element) -> CommsError:
        names = [split_tag(child) for child in error]
        conditions = (name for space, name in names if space == STREAM_ERRORS and name != "text")
        condition = self._condition = next(conditions, "undefined-condition")
        text = (error.findtext(f"{{{STREAM_ERRORS}}}text") or "").strip()[:200]
        if condition == "see-other-host":
            other = (error.findtext(f"{{{STREAM_ERRORS}}}see-other-host") or "").strip()[:200]
            text = f"it names {other}"
            place = srv.place(other)
            if self.link.tls is not None and place is not None:
                return Redirected(f"{self._name} ended the stream: {condition} ({text})", place)
            if self.link.tls is None:
                text += ", which is not trusted without TLS; if it is right, write that as host"
        kind = Refused if condition in self.final else Unreachable
        text = self.server.masked(text)
        return kind(f"{self._name} ended the stream: {condition}" + (f" ({text})" if text else ""))

    def _fail(self, error: Malformed) -> NoReturn:
        """Sends a stream error and closes: nothing after invalid XML can be understood."""
        try:
            if not self._ended:
                self._write(stream_error(error.condition))
        except CommsError:
            pass
        self._ended = True
        self.close()
        raise Unreachable(f"{self._name}: {error}") from None


def account(server: Server) -> Jid:
    """Returns the account in the settings, or the domain of a component. Raises SettingsError."""
    if server.protocol == "component":
        return Jid.parse(server.domain)
    text = server.jid or (server.user if "@" in server.user else f"{server.user}@{server.host}")
    try:
        jid = Jid.parse(text)
    except ValueError as error:
        raise SettingsError(f'xmpp.jid: {error}; write jid = "bot@example.org"') from None
    if not jid.is_account:
        raise SettingsError(f'xmpp.jid: {text!r} is a server; write jid = "bot@example.org"')
    return jid
