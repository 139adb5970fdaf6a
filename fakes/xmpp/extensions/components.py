"""XEP-0114 (1.6): components, programs that serve a domain of their own over a port of their own.

The world file says which domains there are, each with its secret:

    [xmpp]
    components = { "aim.example.test" = "secret" }

`fakes/xmpp/component.py` has the streams; here is what happens to the stanzas. A component may
write any address of its domain into `from`, and no other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Protocol

from fakes.wire import Refuse
from fakes.xmpp.addresses import Jid, parse_or_none, prepare_domain
from fakes.xmpp.extension import Extension
from fakes.xmpp.refusals import StreamError
from fakes.xmpp.service import Service
from fakes.xmpp.stanzas import Stanza, StanzaError


class Connected(Protocol):
    """The stream of a component that has shaken hands."""

    def deliver(self, stanza: Stanza) -> None:
        """Sends a stanza to the component."""


class Components(Extension):
    """The domains of components, and which of them are connected."""

    name = "components"
    section = "XEP-0114"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._secrets = dict(_checked(service))  # by domain
        self._connected: dict[str, Connected] = {}

    def domains(self) -> Iterable[str]:
        return self._secrets

    def forwards_requests(self, to: Jid) -> bool:
        return True

    def receive(self, stanza: Stanza, to: Jid) -> bool:
        connected = self._connected.get(to.domain)
        if connected is None:
            # The XEP is silent about this. Prosody and ours call it an error that passes.
            raise StanzaError("remote-server-timeout", "the component is not connected")
        connected.deliver(stanza)
        return True

    # ── what its streams call ────────────────────────────────────────────────

    def host(self, to: str) -> str:
        """Returns the domain that the header of a stream names. Raises Refuse (XEP-0114 §3)."""
        address = parse_or_none(to)
        known = address is not None and address.domain == address.text
        if address is None or not known or address.domain not in self._secrets:
            raise Refuse(StreamError("host-unknown"), "XEP-0114 §3")
        if not self.service.offers(self.name):
            raise Refuse(StreamError("host-unknown"), "XEP-0114 §3")
        return address.domain

    def is_right(self, host: str, stream_id: str, handshake: str) -> bool:
        """Whether a handshake is the hash of the stream's id and the secret."""
        secret = self._secrets.get(host, "")
        expected = hashlib.sha1((stream_id + secret).encode()).hexdigest()
        return hmac.compare_digest(expected.encode(), handshake.strip().lower().encode())

    def secret(self, host: str) -> str:
        """Returns the secret of a domain, "" if there is none. For transcripts."""
        return self._secrets.get(host, "")

    def joined(self, host: str, stream: Connected) -> None:
        """A component has shaken hands. Raises Refuse if its domain has another one already."""
        if host in self._connected:
            raise Refuse(StreamError("conflict", "the component is connected"), "XEP-0114 §3")
        self._connected[host] = stream

    def left(self, host: str, stream: Connected) -> None:
        """The stream of a component is over."""
        if self._connected.get(host) is stream:
            del self._connected[host]

    def accept(self, host: str, stanza: Stanza) -> None:
        """Sends what a component has written on its way.

        Raises Refuse for a sender that is not at its domain, and StanzaError.
        """
        if stanza.sender is None or stanza.to is None:
            text = "a stanza of a component has a from and a to"
            raise Refuse(StreamError("improper-addressing", text), "XEP-0114 §3")
        sender = parse_or_none(stanza.sender)
        if sender is None or sender.domain != host:
            text = f"the domain of every from must be {host}"
            raise Refuse(StreamError("invalid-from", text), "XEP-0114 §3")
        if parse_or_none(stanza.to) is None:
            raise StanzaError("jid-malformed", "the recipient is not an address")
        self.service.dispatcher.on_client_stanza(stanza)
        self.service.router.route(stanza)


def _checked(service: Service) -> Iterable[tuple[str, str]]:
    """Yields the domains, prepared, and their secrets. Raises ValueError."""
    given: Mapping[str, str] = service.policy.components
    for name, secret in given.items():
        domain = prepare_domain(name)
        if domain in service.domains or service.extensions.service_at(domain) is not None:
            raise ValueError(
                f"components: {domain} is served by the server itself; choose another name, "
                f'such as "gateway.{service.domains[0]}"'
            )
        if not secret:
            raise ValueError(f'components: {domain} has an empty secret; write "{domain}" = "word"')
        yield domain, secret
