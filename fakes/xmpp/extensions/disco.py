"""XEP-0030: what the server can do, told from what the extensions say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import element
from fakes.xmpp.service import Answer, Extension, Request, Service
from fakes.xmpp.stanzas import StanzaError

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"


def information(service: Service) -> tuple[tuple[str, str, str], list[str]]:
    """The domain's identity (category, type, name) and its features, sorted."""
    features = {INFO, ITEMS, *(feature for one in service.extensions for feature in one.domain_features())}
    if service.offers("offline"):
        features.add("msgoffline")  # XEP-0160 §5
    return ("server", "im", "fakes"), sorted(features)


class Disco(Extension):
    """Answers for the domain, and for accounts to those who may see them (XEP-0030 §8)."""

    name = "disco"
    section = "XEP-0030"

    def answers(self) -> dict[tuple[str, str], Answer]:
        return {
            ("domain", f"{{{INFO}}}query"): self._domain_info,
            ("domain", f"{{{ITEMS}}}query"): self._domain_items,
            ("account", f"{{{INFO}}}query"): self._account_info,
            ("account", f"{{{ITEMS}}}query"): self._account_items,
        }

    def _domain_info(self, request: Request) -> Iterable[Element]:
        node = request.payload.get("node")
        nodes = [extension.info_node() for extension in self.service.extensions]
        _asked(request, node is None or node in nodes)
        (category, kind, name), features = information(self.service)
        return _info({"category": category, "type": kind, "name": name}, features, node)

    def _domain_items(self, request: Request) -> Iterable[Element]:
        _asked(request, request.payload.get("node") is None)
        items = (item for extension in self.service.extensions for item in extension.domain_items())
        return [element(f"{{{ITEMS}}}query", {}, *(element(f"{{{ITEMS}}}item", item) for item in items))]

    def _account_info(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        _asked(request, request.payload.get("node") is None)
        if not request.may_see:
            raise StanzaError("service-unavailable")  # XEP-0030 §8: as if there were nobody
        kind = "anonymous" if account.person is None else "registered"
        features = {feature for one in self.service.extensions for feature in one.account_features()}
        return _info({"category": "account", "type": kind}, sorted(features), None)

    def _account_items(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        _asked(request, request.payload.get("node") is None)
        if not request.may_see:
            raise StanzaError("service-unavailable")
        items = (element(f"{{{ITEMS}}}item", {"jid": one.jid.text}) for one in account.available())
        return [element(f"{{{ITEMS}}}query", {}, *items)]

    def account_features(self) -> Iterable[str]:
        return (INFO, ITEMS)


def _asked(request: Request, known: bool) -> None:
    """Raises StanzaError for a set, or a node that is not there."""
    if request.stanza.type != "get":
        raise StanzaError("bad-request")
    if not known:
        raise StanzaError("item-not-found", f"there is no node {request.payload.get('node')}")


def _info(identity: dict[str, str | None], features: Iterable[str], node: str | None) -> list[Element]:
    parts = [element(f"{{{INFO}}}identity", identity), *(element(f"{{{INFO}}}feature", {"var": one}) for one in features)]
    return [element(f"{{{INFO}}}query", {"node": node}, *parts)]
