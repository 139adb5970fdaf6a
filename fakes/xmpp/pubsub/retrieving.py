"""To retrieve items, all or by pages (XEP-0060 §6.5, XEP-0059)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import element
from fakes.xmpp.paging import SET, Asked, cut
from fakes.xmpp.pubsub.configuration import ITEMS
from fakes.xmpp.pubsub.events import write_item
from fakes.xmpp.pubsub.hosting import Handler, Hosting, asker, written
from fakes.xmpp.pubsub.names import PUBSUB, refusal
from fakes.xmpp.requests import Request


class Retrieving(Hosting):
    """Handles `<items/>`."""

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {**super().handlers(), ("get", "items"): self._items}

    def _items(self, request: Request, inner: Element) -> Iterable[Element]:
        _, node = self.find(request, inner)
        self.access.check_reader(node, asker(request))
        if inner.get("subid"):
            raise refusal("not-acceptable", "invalid-subid", "subscriptions have no ids here")
        ids = [one.get("id") or "" for one in inner.findall(f"{{{PUBSUB}}}item")]
        if ids:
            found = [node.items[id] for id in dict.fromkeys(ids) if id in node.items]
        else:
            most = _number(inner.get("max_items"), len(node.items))
            found = list(islice(reversed(node.items.values()), most))[::-1]
        end = []
        if request.payload.find(SET) is not None:
            names = [item.id for item in found]
            page = cut(Asked.read(request.payload), names, ITEMS)
            found = found[page.start : page.stop]
            end = [page.element(names[page.start : page.stop])]
        items = (write_item(node, item) for item in found)
        return written(element(f"{{{PUBSUB}}}items", {"node": node.name}, *items), *end)


def _number(text: str | None, most: int) -> int:
    """The value of `max_items` (XEP-0060 §6.5.7). Raises StanzaError."""
    if text is None:
        return most
    if not (text.isascii() and text.isdigit()) or not text.strip("0"):
        raise refusal("bad-request", text="max_items is a positive number")
    return min(most, int(text)) if len(text) < 10 else most
