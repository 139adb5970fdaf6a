"""What both kinds of publish–subscribe have: nodes by address, and how requests reach them.

A `Hosting` is an extension that keeps nodes. What is asked of them is in files of its own:
publishing.py, retrieving.py, subscribing.py and owning.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, TypeAlias
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import ascii_text, element, local_name, namespace
from fakes.xmpp.pubsub import events
from fakes.xmpp.pubsub.access import Access
from fakes.xmpp.pubsub.configuration import Config
from fakes.xmpp.pubsub.names import OWNER, PUBSUB, refusal
from fakes.xmpp.pubsub.nodes import Item, Node, Store
from fakes.xmpp.requests import Request
from fakes.xmpp.service import Service
from fakes.xmpp.stanzas import Stanza, StanzaError

Handler: TypeAlias = Callable[[Request, Element], Iterable[Element]]


class Hosting(Extension):
    """Keeps nodes, and finds what handles a request. `stored` has the nodes of each address."""

    stored: dict[str, Store]
    defaults: ClassVar[Config]  # of a node that its creator does not configure
    creates: ClassVar[bool] = False  # nodes by publishing to them (XEP-0060 §7.1.4)

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.access = Access(service.accounts)

    # ── what the two kinds differ in ─────────────────────────────────────────

    def address(self, request: Request) -> str:
        """The address whose nodes a request is about."""
        raise NotImplementedError

    def check_creator(self, address: str, who: Jid) -> None:
        """Raises StanzaError if the entity may not create nodes at an address."""

    def told(self, store: Store, node: Node, items: list[Item], removed: list[Item]) -> None:
        """Called when items were published or removed, before anybody is notified."""

    # ── requests ─────────────────────────────────────────────────────────────

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        """Maps (type of the IQ, name of the child of `<pubsub/>`) to what handles it."""
        return {}

    def owner_handlers(self) -> Mapping[tuple[str, str], Handler]:
        """The same for what owners ask, in the namespace `#owner`."""
        return {}

    def handle_request(self, request: Request) -> Iterable[Element]:
        """Answers a `<pubsub/>`. Raises StanzaError."""
        space = namespace(request.payload.tag)
        table = self.owner_handlers() if space == OWNER else self.handlers()
        for child in request.payload:
            handler = table.get((request.stanza.type or "", local_name(child.tag)))
            if handler is not None and namespace(child.tag) == space:
                return handler(request, child)
        names = [local_name(child.tag) for child in request.payload]
        if not names:
            raise refusal("bad-request", text="a request holds an element that says what is asked")
        raise refusal("feature-not-implemented", text=f"nothing answers {ascii_text(names[0])}")

    def store(self, address: str) -> Store:
        """The nodes of an address, which are only kept once there is one."""
        return self.stored.get(address) or Store(address)

    def find(self, request: Request, inner: Element) -> tuple[Store, Node]:
        """The node that a request names, and where it is. Raises StanzaError."""
        name = inner.get("node")
        if not name:
            raise refusal("bad-request", "nodeid-required")
        store = self.store(self.address(request))
        node = store.nodes.get(name)
        if node is None:
            raise refusal("item-not-found", text="there is no such node")
        self.expire(store, node)
        return store, node

    def expire(self, store: Store, node: Node) -> None:
        """Removes the items that are older than the node keeps them."""
        oldest, removed = self.service.runtime.now() - node.config.item_expire, list[Item]()
        while node.items and next(iter(node.items.values())).at < oldest:
            removed += store.remove(node, [next(iter(node.items))])
        if removed:
            self.told(store, node, [], removed)

    def create(self, address: str, name: str, owner: str, config: Config) -> Node:
        """Creates a node. Raises StanzaError if there are too many."""
        store = self.stored.setdefault(address, Store(address))
        node = Node(name, config, owner, self.service.runtime.now(), {owner: "owner"})
        store.add(node)
        return node

    # ── notifications ────────────────────────────────────────────────────────

    def end_leases(self, node: Node) -> None:
        """Removes the subscriptions whose time is over."""
        now = self.service.runtime.now()
        for one in list(node.subscriptions.values()):
            if one.options.expires is not None and one.options.expires <= now:
                del node.subscriptions[one.address]

    def subscribers(self, node: Node) -> list[str]:
        """The addresses that have subscribed and are notified."""
        self.end_leases(node)
        return [
            one.address
            for one in node.subscriptions.values()
            if one.state == "subscribed"
            and one.options.deliver
            and self.access.may_read(node, jid(one.address))
        ]

    def notify(self, store: Store, node: Node, event: Element) -> None:
        """Sends an event to those who get one."""
        message = events.message(node, store.address, event)
        for recipient in self.subscribers(node):
            self.send(message, recipient)

    def send(self, message: Stanza, to: str) -> None:
        """Sends a message, with an id of its own (XEP-0060 §7.1.2)."""
        id = self.service.runtime.token(12)
        self.service.router.route(message.replace(to=to, id=id))

    def tell(self, store: Store, node: Node, to: str, event: Element) -> None:
        """Sends an event to one address only."""
        self.send(events.message(node, store.address, event), to)

    def put(
        self, store: Store, node: Node, items: list[Item], *, new: bool = False
    ) -> Callable[[], None]:
        """Stores items; returns what notifies of them.

        Raises StanzaError if there is no room; then a `new` node does not remain.
        """
        try:
            removed = store.put(node, items) if items else []
        except StanzaError:
            if new:
                store.drop(node)
            raise
        retracts = node.config.persist_items and node.config.publish_node_full == "retract-oldest"
        gone = removed if retracts and node.config.notify_retract else []
        self.told(store, node, items, removed)

        def notify() -> None:
            if node.config.deliver_notifications:
                self.notify(store, node, events.published(node, items, gone))

        return notify

    def take(self, store: Store, node: Node, ids: Iterable[str]) -> list[Item]:
        """Removes items, without a notification; returns those that were there."""
        removed = store.remove(node, ids)
        if removed:
            self.told(store, node, [], removed)
        return removed


def asker(request: Request) -> Jid:
    """Who asks."""
    return jid(request.stanza.sender or "")


def written(*inside: Element, space: str = PUBSUB) -> list[Element]:
    """The content of an answer."""
    return [element(f"{{{space}}}pubsub", {}, *inside)]
