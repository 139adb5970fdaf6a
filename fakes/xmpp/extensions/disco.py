"""XEP-0030: service discovery, from what the extensions announce about themselves."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.extension import Extension, Information
from fakes.xmpp.markup import element
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.service import Service
from fakes.xmpp.stanzas import StanzaError

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"


def domain_information(service: Service) -> Information:
    """The identity of the server, its features, sorted, and its forms."""
    features = {INFO, ITEMS}
    forms: list[Element] = []
    for extension in service.extensions.active:
        features.update(extension.domain_features())
        forms += extension.domain_forms()
    if service.offers("offline"):
        features.add("msgoffline")  # XEP-0160 §4
    return Information("server", "im", "fakes", tuple(sorted(features)), tuple(forms))


def domain_query(service: Service) -> Element:
    """What disco#info of the domain answers."""
    return _info(domain_information(service))[0]


class Disco(Extension):
    """Answers for the domain, for accounts, and for the services at subdomains.

    Only those who may see an account get an answer for it (XEP-0030 §8).
    """

    name = "disco"
    section = "XEP-0030"

    def answers(self) -> Answers:
        return {
            ("domain", f"{{{INFO}}}query"): self._domain_info,
            ("domain", f"{{{ITEMS}}}query"): self._domain_items,
            ("account", f"{{{INFO}}}query"): self._account_info,
            ("account", f"{{{ITEMS}}}query"): self._account_items,
            ("service", f"{{{INFO}}}query"): self._service_info,
            ("service", f"{{{ITEMS}}}query"): self._service_items,
        }

    def account_features(self) -> Iterable[str]:
        return (INFO, ITEMS)

    def _domain_info(self, request: Request) -> Iterable[Element]:
        node = request.payload.get("node")
        active = self.service.extensions.active
        for extension in active if node is not None else ():
            found = extension.node_information(node or "")
            if found is not None:
                _check(request, node_exists=True)
                return _info(found, node)
        nodes = [extension.info_node() for extension in active]
        _check(request, node is None or node in nodes)
        return _info(domain_information(self.service), node)

    def _domain_items(self, request: Request) -> Iterable[Element]:
        node, asker = request.payload.get("node"), _asker(request)
        for extension in self.service.extensions.active if node is not None else ():
            items = extension.node_items(node or "", asker, request.to)
            if items is not None:
                _check(request, node_exists=True)
                return _items(items, node)
        _check(request, node is None)
        return _items({"jid": served} for served in self._services(request))

    def _services(self, request: Request) -> Iterable[str]:
        return self.service.extensions.services_of(request.to.domain)

    def _account_info(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        _check_visible(request)
        node = request.payload.get("node")
        active = self.service.extensions.active
        for extension in active if node is not None else ():
            found = extension.account_node(account, node or "", _asker(request))
            if found is not None:
                _check(request, node_exists=True)
                return _info(found, node)
        _check(request, node is None)
        features, identities = set[str](), list[tuple[str, str]]()
        for extension in active:
            features.update(extension.account_features())
            identities.extend(extension.account_identities())
        kind = "anonymous" if account.person is None else "registered"
        found = Information("account", kind, "", tuple(sorted(features)))
        return _info(found, others=identities)

    def _account_items(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        node = request.payload.get("node")
        parts = [
            extension.account_items(account, node, _asker(request))
            for extension in self.service.extensions.active
        ]
        found = [list(part) for part in parts if part is not None]
        if not found:
            # Others may see the items that an extension shows to everybody.
            _check_visible(request)
        _check(request, node is None or bool(found))
        items = [item for part in found for item in part]
        if node is None and request.may_see:
            items[:0] = [{"jid": resource.jid.text} for resource in account.available()]
        return _items(items, node)

    def _service_info(self, request: Request) -> Iterable[Element]:
        extension, node = self._extension(request), request.payload.get("node")
        _check(request, node_exists=True)
        if node is not None:
            at_node = extension.service_information(node, _asker(request), request.to)
            return (
                _info(at_node, node) if at_node else [element(f"{{{INFO}}}query", {"node": node})]
            )
        found = extension.information(request.to)
        if found is None:
            raise StanzaError("item-not-found")
        features = {INFO, ITEMS, *found.features}
        sorted_features = tuple(sorted(features))
        return _info(
            Information(found.category, found.type, found.name, sorted_features, found.forms)
        )

    def _service_items(self, request: Request) -> Iterable[Element]:
        extension, node = self._extension(request), request.payload.get("node")
        found = extension.service_items(node, _asker(request), request.to)
        _check(request, found is not None)
        if extension.information(request.to) is None:
            raise StanzaError("item-not-found")
        return _items(found or (), node)

    def _extension(self, request: Request) -> Extension:
        extension = self.service.extensions.service_at(request.to.domain)
        assert extension is not None
        return extension


def _check(request: Request, node_exists: bool) -> None:
    """Raises StanzaError for a set, and for a node that does not exist."""
    if request.stanza.type != "get":
        raise StanzaError("bad-request")
    if not node_exists:
        raise StanzaError("item-not-found", f"there is no node {request.payload.get('node')}")


def _check_visible(request: Request) -> None:
    """XEP-0030 §8: to those who may not see it, an account looks like one that does not exist."""
    if not request.may_see:
        raise StanzaError("service-unavailable")


def _asker(request: Request) -> Jid:
    return jid(request.stanza.sender or "")


def _info(
    found: Information, node: str | None = None, others: Iterable[tuple[str, str]] = ()
) -> list[Element]:
    """The content of an answer; `others` are further identities."""
    identities = [
        element(f"{{{INFO}}}identity", {"category": category, "type": type, "name": name or None})
        for category, type, name in [
            (found.category, found.type, found.name),
            *((category, type, "") for category, type in others),
        ]
    ]
    features = (element(f"{{{INFO}}}feature", {"var": feature}) for feature in found.features)
    children = (*identities, *features, *found.forms)
    return [element(f"{{{INFO}}}query", {"node": node}, *children)]


def _items(items: Iterable[dict[str, str | None]], node: str | None = None) -> list[Element]:
    children = (element(f"{{{ITEMS}}}item", item) for item in items)
    return [element(f"{{{ITEMS}}}query", {"node": node}, *children)]
