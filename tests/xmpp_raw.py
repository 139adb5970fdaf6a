"""XMPP by raw bytes, on a core without a socket: helpers for the tests of streams and stanzas."""

from __future__ import annotations

import base64
from itertools import count
from typing import Any

from fakes import World
from fakes.wire import Facts, TlsFacts, Want
from fakes.xmpp import Jabber, Xmpp
from tests.bare_core import drain

HEADER = (
    b"<stream:stream to='example.test' version='1.0' xmlns='jabber:client'"
    b" xmlns:stream='http://etherx.jabber.org/streams'>"
)
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
_BIND = "urn:ietf:params:xml:ns:xmpp-bind"
_NUMBERS = count(1)  # of sessions


def plain(name: str, password: str = "secret", authzid: str = "") -> bytes:
    """A login with PLAIN, in one step."""
    response = base64.b64encode(f"{authzid}\0{name}\0{password}".encode()).decode()
    return f"<auth xmlns='{SASL}' mechanism='PLAIN'>{response}</auth>".encode()


def bind(resource: str = "") -> bytes:
    """A bind request."""
    inside = f"<resource>{resource}</resource>" if resource else ""
    return f"<iq type='set' id='b'><bind xmlns='{_BIND}'>{inside}</bind></iq>".encode()


def login(name: str, resource: str = "here") -> bytes:
    """Everything that leads to a bound resource, in one write."""
    return HEADER + plain(name) + HEADER + bind(resource)


class Client:
    """A client on a bare core: of the world's own Jabber, or of `jabber`."""

    def __init__(
        self, world: World, *, crowded: bool = False, jabber: Jabber | None = None
    ) -> None:
        core = Xmpp(world.runtime, jabber.service) if jabber is not None else world.core("xmpp")
        assert isinstance(core, Xmpp)
        self.core = core
        core.opened(Facts(next(_NUMBERS), crowded=crowded))

    def says(self, *chunks: bytes) -> bytes:
        """Sends bytes, each chunk by itself; returns everything that comes back."""
        for chunk in chunks:
            self.core.receive(chunk)
        return self.hears()

    def hears(self) -> bytes:
        """Returns everything that has come and was not read yet."""
        return drain(self.core)

    def starts_tls(self) -> bytes:
        """Asks for TLS and shakes hands; returns the answer to STARTTLS."""
        answer = self.says(STARTTLS)
        assert self.core.wants is Want.START_TLS, answer
        self.core.wants = None
        bindings = {"tls-server-end-point": bytes(32)}
        self.core.secured(TlsFacts("TLSv1.3", bindings=bindings))
        return answer


def world(**config: Any) -> World:
    """A world of romeo and juliet that serves only Jabber, without sockets."""
    people = [{"address": "romeo@example.test"}, {"address": "juliet@example.test"}]
    return World({"servers": ["xmpp"], "person": people, **config}, rehearsal=True)


def bound(
    world: World, name: str = "romeo", resource: str = "here", *, jabber: Jabber | None = None
) -> Client:
    """A client that has logged in and bound a resource."""
    client = Client(world, jabber=jabber)
    answer = client.says(login(name, resource))
    assert b"<jid>" in answer, answer
    return client
