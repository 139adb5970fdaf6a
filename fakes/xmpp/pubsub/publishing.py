"""To publish items and to delete them (XEP-0060 §7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid
from fakes.xmpp.markup import element, namespace
from fakes.xmpp.pubsub import events
from fakes.xmpp.pubsub.configuration import Config, check_preconditions, read_options
from fakes.xmpp.pubsub.hosting import Handler, Hosting, asker, written
from fakes.xmpp.pubsub.names import PUBSUB, refusal, unsupported
from fakes.xmpp.pubsub.nodes import Item
from fakes.xmpp.requests import Request

_ITEM = f"{{{PUBSUB}}}item"


class Publishing(Hosting):
    """Handles `<publish/>` and `<retract/>`."""

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {
            **super().handlers(),
            ("set", "publish"): self._publish,
            ("set", "retract"): self._retract,
        }

    def _publish(self, request: Request, inner: Element) -> Iterable[Element]:
        who, name = asker(request), inner.get("node")
        if not name:
            raise refusal("bad-request", "nodeid-required")
        options = read_options(request.payload.find(f"{{{PUBSUB}}}publish-options"))
        address = self.address(request)
        node, new = self.store(address).nodes.get(name), False
        if node is None:
            config = self._config_of_new(address, who)
            config = config.changed(options) if options is not None else config
            items = self._read_items(config, who, inner)
            node = self.create(address, name, who.bare, config)
            new = True
        else:
            self.access.check_publisher(node, who)
            check_preconditions(node.config, options)
            self.expire(self.store(address), node)
            items = self._read_items(node.config, who, inner)
        request.after.append(self.put(self.store(address), node, items, new=new))
        ids = [element(_ITEM, {"id": item.id}) for item in items]
        return written(element(f"{{{PUBSUB}}}publish", {"node": name}, *ids))

    def _config_of_new(self, address: str, who: Jid) -> Config:
        """The configuration of a node that is created by publishing to it (§7.1.4)."""
        if not self.creates:
            raise refusal("item-not-found", text="there is no such node")
        self.check_creator(address, who)
        return self.defaults

    def _read_items(self, config: Config, who: Jid, inner: Element) -> list[Item]:
        """The items of a publish request, checked against the configuration (§7.1.3)."""
        written_items = inner.findall(_ITEM)
        if not config.persist_items and not config.deliver_payloads:
            if written_items:
                raise refusal("bad-request", "item-forbidden")
            return []
        if not written_items:
            raise refusal("bad-request", "item-required")
        if len(written_items) > 1 and len(written_items) > config.max_items:
            # §12.11
            text = f"the node has {config.max_items} items at most"
            raise refusal("not-allowed", "max-items-exceeded", text)
        return [self._read_item(config, who, one) for one in written_items]

    def _read_item(self, config: Config, who: Jid, written_item: Element) -> Item:
        if len(written_item) > 1:
            raise refusal("bad-request", "invalid-payload", "an item holds one element")
        payload = written_item[0] if len(written_item) else None
        if payload is None and config.deliver_payloads:
            raise refusal("bad-request", "payload-required")
        if payload is not None and config.type and namespace(payload.tag) != config.type:
            raise refusal("bad-request", "invalid-payload", "the payload has another namespace")
        id = written_item.get("id") or self.service.runtime.token(20)
        item = Item.of(id, payload, who.bare, self.service.runtime.now())
        if item.size > config.max_payload_size:
            text = f"a payload has {config.max_payload_size:,} bytes at most"
            raise refusal("not-acceptable", "payload-too-big", text)
        return item

    def _retract(self, request: Request, inner: Element) -> Iterable[Element]:
        store, node = self.find(request, inner)
        who = asker(request)
        self.access.check_publisher(node, who)
        ids = [one.get("id") or "" for one in inner.findall(_ITEM)]
        if not ids or not all(ids):
            raise refusal("bad-request", "item-required")
        if not node.config.persist_items:
            raise unsupported("persistent-items")
        for id in ids:
            item = node.items.get(id)
            if item is None:
                raise refusal("item-not-found", text="there is no such item")
            if item.publisher != who.bare and node.affiliation(who) not in ("owner", "publisher"):
                raise refusal("forbidden", text="others than publishers only delete their own")
        wanted = inner.get("notify", "false").strip() in ("1", "true")
        removed = self.take(store, node, ids)
        if wanted or node.config.notify_retract:
            event = events.retracted(node, removed)
            request.after.append(lambda: self.notify(store, node, event))
        return ()
