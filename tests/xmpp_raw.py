"""XMPP by raw octets, on a core without a socket: what the tests of streams and stanzas are written with."""

from __future__ import annotations

import base64
from itertools import count
from typing import Any

from fakes import World
from fakes.wire import Facts, TlsFacts, Want
from fakes.xmpp import Xmpp

HEADER = (
    b"<stream:stream to='example.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
_NUMBERS = count(1)  # of sessions
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


def plain(name: str, password: str = "secret", authzid: str = "") -> bytes:
    """A login by PLAIN, in one step."""
    response = base64.b64encode(f"{authzid}\0{name}\0{password}".encode()).decode()
    return f"<auth xmlns='{SASL}' mechanism='PLAIN'>{response}</auth>".encode()


def bind(resource: str = "") -> bytes:
    """Binding a resource."""
    inside = f"<resource>{resource}</resource>" if resource else ""
    return f"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{inside}</bind></iq>".encode()


def login(name: str, resource: str = "here") -> bytes:
    """All that leads to a bound resource, in one piece."""
    return HEADER + plain(name) + HEADER + bind(resource)


class Client:
    """A client on a bare core."""

    def __init__(self, world: World, *, crowded: bool = False) -> None:
        core = world.core("xmpp")
        assert isinstance(core, Xmpp)
        self.core = core
        core.opened(Facts(next(_NUMBERS), crowded=crowded))

    def says(self, *chunks: bytes) -> bytes:
        """Sends octets, each chunk by itself; gives all that comes back."""
        for chunk in chunks:
            self.core.receive(chunk)
        return self.hears()

    def hears(self) -> bytes:
        """All that has come and was not read yet."""
        said = b""
        while more := self.core.take():
            said += more
        self.core.written()
        return said

    def starts_tls(self) -> bytes:
        """Asks for TLS, and shakes hands."""
        said = self.says(STARTTLS)
        assert self.core.wants is Want.START_TLS, said
        self.core.wants = None
        self.core.secured(TlsFacts("TLSv1.3", bindings={"tls-server-end-point": bytes(32)}))
        return said


def world(**config: Any) -> World:
    """A world of romeo and juliet that serves nothing but Jabber, without sockets."""
    people = [{"address": "romeo@example.test"}, {"address": "juliet@example.test"}]
    return World({"servers": ["xmpp"], "person": people, **config}, rehearsal=True)


def bound(world: World, name: str = "romeo", resource: str = "here") -> Client:
    """A client that has logged in."""
    client = Client(world)
    said = client.says(login(name, resource))
    assert b"<jid>" in said, said
    return client
