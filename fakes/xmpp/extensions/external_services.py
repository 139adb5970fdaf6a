"""XEP-0215 (1.0.0): services outside of XMPP, such as relays for calls, and logins to them.

They are those of `external_services` in the world file. A test changes them while the world runs:

    external = service.extensions.named("external-services")
    external.offer([ExternalService("turn.example.test", "turn", secret="hush")])
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import element
from fakes.xmpp.offline import timestamp
from fakes.xmpp.policy import ExternalService
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Resource
from fakes.xmpp.stanzas import StanzaError, build_stanza

EXTDISCO = "urn:xmpp:extdisco:2"
SERVICE = f"{{{EXTDISCO}}}service"
MOST = 100  # services that are asked for at once


class ExternalServices(Extension):
    """The services; only users of this server learn about them."""

    name = "external-services"
    section = "XEP-0215"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.services = tuple(service.policy.external_services)

    def answers(self) -> Answers:
        return {
            ("domain", f"{{{EXTDISCO}}}services"): self._list,
            ("domain", f"{{{EXTDISCO}}}credentials"): self._credentials,
        }

    def domain_features(self) -> Iterable[str]:
        return (EXTDISCO,)

    def offer(self, services: Iterable[ExternalService]) -> None:
        """Offers other services, and pushes the changes to clients that have asked (§3.2)."""
        old = {_key(one): one for one in self.services}
        self.services = tuple(services)
        new = {_key(one): one for one in self.services}
        changes = [("delete", old[key]) for key in old.keys() - new.keys()]
        changes.sort(key=lambda change: _key(change[1]))
        for key, one in new.items():
            if key not in old:
                changes.append(("add", one))
            elif one != old[key]:
                changes.append(("modify", one))
        self.service.router.turn(self._push, changes)

    def _push(self, changes: list[tuple[str, ExternalService]]) -> None:
        for account in self.service.accounts.all():
            for resource in account.resources.values():
                asked = resource.extension_data.get(self.name, ())
                for type in sorted(asked):
                    told = [
                        self._element(one, resource, action)
                        for action, one in changes
                        if type in ("", one.type)
                    ]
                    if told:
                        services = element(f"{{{EXTDISCO}}}services", {"type": type or None}, *told)
                        push = build_stanza(
                            "iq",
                            type="set",
                            sender=account.jid.domain,
                            to=resource.jid.text,
                            id=self.service.runtime.token(12),
                            children=(services,),
                        )
                        self.service.router.route(push)

    # ── what it answers ──────────────────────────────────────────────────────

    def _list(self, request: Request) -> Iterable[Element]:
        resource, type = _asker(request), request.payload.get("type")
        # The types that it has asked for; "" stands for all.
        asked: set[str] = resource.extension_data.setdefault(self.name, set())
        if len(asked) < MOST:
            asked.add(type or "")
        found = [one for one in self.services if type in (None, one.type)]
        children = [self._element(one, resource) for one in found]
        return [element(f"{{{EXTDISCO}}}services", {"type": type}, *children)]

    def _credentials(self, request: Request) -> Iterable[Element]:
        """XEP-0215 §3.3: the login to each service that is named."""
        resource, wanted = _asker(request), request.payload.findall(SERVICE)
        if not 0 < len(wanted) <= MOST:
            raise StanzaError("bad-request", f"from 1 to {MOST} services are named")
        names = []
        for one in wanted:
            host, type, port = one.get("host"), one.get("type"), one.get("port", "")
            if not host or not type:
                raise StanzaError("bad-request", "a service is named by its host and its type")
            names.append((host, type, port))
        found = [
            service
            for service in self.services
            if {(service.host, service.type, port) for port in ("", str(service.port))} & set(names)
            and (service.username or service.password or service.secret)
        ]
        if not found:
            raise StanzaError("item-not-found", "there is no login to such a service")
        children = [self._element(one, resource, shown=True) for one in found]
        return [element(f"{{{EXTDISCO}}}credentials", {}, *children)]

    def _element(
        self, one: ExternalService, resource: Resource, action: str = "", shown: bool = False
    ) -> Element:
        """Builds a service. Its login is `shown` on request only if it is restricted."""
        attributes: dict[str, str | None] = {
            "action": action or None,
            "host": one.host,
            "name": one.name or None,
            "port": str(one.port) if one.port else None,
            "restricted": "true" if one.restricted or one.password or one.secret else None,
            "transport": one.transport or None,
            "type": one.type,
        }
        if action == "delete" or (one.restricted and not shown):
            return element(SERVICE, attributes)
        username, password, expires = one.username, one.password, ""
        if one.secret:
            # As relays check it that share the secret with the server (XEP-0215 §3.3, TURN REST).
            until = self.service.runtime.now() + one.lifetime
            username = f"{int(until)}:{resource.account.address}"
            digest = hmac.digest(one.secret.encode(), username.encode(), "sha1")
            password, expires = base64.b64encode(digest).decode(), timestamp(int(until))
        attributes |= {
            "username": username or None,
            "password": password or None,
            "expires": expires or None,
        }
        return element(SERVICE, attributes)


def _key(one: ExternalService) -> tuple[str, str, int]:
    """What makes a service another one than the rest."""
    return (one.host, one.type, one.port)


def _asker(request: Request) -> Resource:
    if request.resource is None:
        raise StanzaError("forbidden", "only users of this server may ask")
    if request.stanza.type != "get":
        raise StanzaError("bad-request")
    return request.resource
