"""A component: a program that serves a domain of a Jabber server (XEP-0114), such as a gateway.

    def handle(stanza):                       # each message, presence and request for the domain
        ...
        return True                           # False: an unknown request, which gets an error

    with Component(settings.server("component"), clock, host, handle) as component:
        component.send(stanzas.message(jid, "hello"), "bob@aim.example.org")
        component.wait()                      # until the program is asked to stop

It may write any address of its domain as the sender. After the loss of its connection it connects
again, as a client does; `greet` is called at the beginning of each connection.
"""

from __future__ import annotations

import contextlib
import hashlib
import types
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from comms.callbacks import call
from comms.clock import Clock
from comms.errors import CommsError
from comms.host import Host
from comms.xmpp import stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.connection import Connection
from comms.xmpp.inbox import Inbox
from comms.xmpp.questions import Questions
from comms.xmpp.session import FINAL, Session
from comms.xmpp.stanzas import IQ
from comms.xmpp.stream import ACCEPT, CLIENT, STREAMS, Header, Malformed, Reader, to_bytes

if TYPE_CHECKING:
    from comms.settings import Server

Handle = Callable[[Element], bool]


class ComponentSession(Session):
    """The stream of a component: no TLS, no features, and a handshake instead of a login."""

    # The name may be taken by our own lost connection, which the server has not noticed yet.
    final = FINAL - {"conflict"}

    def _open(self, new_resource: bool) -> None:
        self._reader = Reader(ACCEPT)
        start = f"<?xml version='1.0'?><stream:stream to='{self.account.domain}' "
        self._write(f"{start}xmlns='{ACCEPT}' xmlns:stream='{STREAMS}'>".encode())
        opening = self._event("the opening of its stream")
        if not isinstance(opening, Header):
            raise Malformed("bad-format", f"{self._name} sends an element before its stream")
        secret = opening.attributes.get("id", "") + self.server.password
        handshake = Element(f"{{{CLIENT}}}handshake")
        handshake.text = hashlib.sha1(secret.encode()).hexdigest()
        # If the server has refused our name and is gone, what it said says why.
        with contextlib.suppress(CommsError):
            self._write(to_bytes(handshake))
        self._element(handshake.tag)


class Component:
    """A component that is connected. `handle` gets each stanza for its domain.

    Raises Unreachable, TryLater or Refused if the first attempt to connect fails.
    """

    def __init__(
        self,
        server: Server,
        clock: Clock,
        host: Host,
        handle: Handle,
        greet: Callable[[], None] = lambda: None,
    ) -> None:
        self.domain = Jid.parse(server.domain)
        self._host, self._handler, self._server = host, handle, server
        self._questions = Questions()
        self._connection = Connection(
            server,
            clock,
            host,
            Inbox(host),
            self._questions,
            greet=lambda session: greet(),
            handle=self._handle,
            lost=lambda: None,
            open_session=ComponentSession,
        )
        # A filter gets every stanza and returns it, changed or not, or None to drop it.
        self.incoming = self._connection.incoming
        self._connection.outgoing.append(self._addressed)
        self._connection.connect()

    def __enter__(self) -> Component:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._connection.disconnect()

    @property
    def connected(self) -> bool:
        """Whether we are connected, as far as is known."""
        return self._connection.session is not None

    def send(self, element: Element, sender: str | Jid = "") -> None:
        """Sends a stanza from an address of the domain, "" for the domain itself.

        Raises Unreachable if we are not connected, Unknown if the connection is lost with it, and
        ValueError for a sender of another domain and for a stanza that is too long.
        """
        address = Jid.of(sender) if sender else self.domain
        if address.domain != self.domain.domain:
            raise ValueError(f"{address} is not an address of {self.domain}")
        element.set("from", str(address))
        self._connection.send(element)

    def request(self, query: Element) -> Element:
        """Sends a query (`stanzas.iq`) from the domain itself, and returns the result.

        Raises Refused or TryLater for an answer of type error, TryLater if there is none in time,
        Unknown if the connection is lost before it comes.
        """
        return self._connection.request(query, self._server.timeout)

    def wait(self, until: float | None = None) -> None:
        """Handles what arrives, until the time, or until the program is stopped.

        Raises Refused if connecting again would be pointless.
        """
        self._connection.attend(lambda: False, until)

    def look(self) -> None:
        """Handles what has arrived, without waiting for more. Raises as `wait` does."""
        self._connection.look(())

    def _addressed(self, element: Element) -> Element:
        """Adds the addresses that every stanza must have (XEP-0114 §3).

        What is for nobody else, such as a ping to see whether the link works, is for ourselves.
        """
        for name in ("from", "to"):
            if element.get(name) is None:
                element.set(name, str(self.domain))
        return element

    def _handle(self, element: Element, size: int) -> None:
        kind = element.get("type", "")
        try:
            sender = Jid.parse(element.get("from", ""))
        except ValueError as error:
            self._host.log("stanza-ignored", "warning", trouble=str(error))
            return
        if element.tag == IQ and kind in ("result", "error"):
            self._questions.answered(element, sender)
            return
        done, handled = call(self._host, self._handler, element)
        if element.tag != IQ or (done and handled):
            return
        ping = sender == self.domain and element.find(f"{{{stanzas.PING}}}ping") is not None
        condition = "service-unavailable" if done else "internal-server-error"
        answer = stanzas.result(element) if ping else stanzas.error(element, condition)
        try:
            self.send(answer, element.get("to", ""))
        except (CommsError, ValueError) as error:  # the connection has logged why it was lost
            self._host.log("answer-not-sent", "warning", to=str(sender), trouble=str(error))
