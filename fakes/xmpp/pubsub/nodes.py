"""The nodes of one address as values: their items, affiliations and subscriptions.

Nothing here sends or asks anything. A node keeps its items in the order in which they were
published, and to publish one takes the same time however many there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.markup import serialize
from fakes.xmpp.pubsub.configuration import Config, Options
from fakes.xmpp.pubsub.names import refusal

NODES = 1000  # nodes of one address
PEOPLE = 10_000  # subscriptions and affiliations of all nodes of one address
BYTES = 1 << 24  # of the payloads at one address


@dataclass(frozen=True)
class Item:
    """An item. `payload` must not be changed; `publisher` is a bare address, `at` is a time."""

    id: str
    payload: Element | None
    publisher: str
    at: float
    size: int  # bytes of the payload

    @classmethod
    def of(cls, id: str, payload: Element | None, publisher: str, at: float) -> Item:
        """An item with its size. The time is in seconds since the epoch."""
        size = len(serialize(payload).encode()) if payload is not None else 0
        return cls(id, payload, publisher, at, size)


@dataclass
class Subscription:
    """That an address is notified: `state` is pending or subscribed (XEP-0060 §4.2)."""

    address: str
    state: str = "subscribed"
    options: Options = field(default_factory=Options)


@dataclass
class Node:
    """A leaf node. `affiliations` are those other than none, by bare address."""

    name: str
    config: Config
    creator: str  # bare address
    created: float  # seconds since the epoch
    affiliations: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)  # by address
    # Oldest first. Taking the first key of a plain dict gets slow when many were removed before.
    items: OrderedDict[str, Item] = field(default_factory=OrderedDict)

    @property
    def last(self) -> Item | None:
        """The item that was published last; None if there is none."""
        return self.items[next(reversed(self.items))] if self.items else None

    def affiliation(self, who: Jid) -> str:
        """The affiliation of an entity (§4.1)."""
        return self.affiliations.get(who.bare, "none")

    def subscription(self, who: Jid) -> Subscription | None:
        """The subscription of an address, or of its bare address."""
        return self.subscriptions.get(who.text) or self.subscriptions.get(who.bare)

    def subscriptions_of(self, bare: str) -> list[Subscription]:
        """All subscriptions of a user."""
        return [one for one in self.subscriptions.values() if jid(one.address).bare == bare]

    def owners(self) -> list[str]:
        """The bare addresses of the owners."""
        return [who for who, affiliation in self.affiliations.items() if affiliation == "owner"]


@dataclass
class Store:
    """The nodes of one address, by name, within the limits above."""

    address: str
    nodes: dict[str, Node] = field(default_factory=dict)
    size: int = 0  # bytes of all payloads

    def add(self, node: Node) -> None:
        """Adds a node. Raises StanzaError if there are too many."""
        if len(self.nodes) >= NODES:
            text = f"{NODES} nodes are kept at most"
            raise refusal("conflict", "max-nodes-exceeded", text)
        self.nodes[node.name] = node

    @property
    def is_crowded(self) -> bool:
        """Whether nobody more can subscribe or get an affiliation."""
        nodes = self.nodes.values()
        return sum(len(one.subscriptions) + len(one.affiliations) for one in nodes) >= PEOPLE

    def drop(self, node: Node) -> None:
        """Removes a node with all that it has."""
        self.purge(node)
        self.nodes.pop(node.name, None)

    def put(self, node: Node, items: Sequence[Item]) -> list[Item]:
        """Stores items as the last ones of their node; returns those that make room for them.

        Items with the same id are replaced. If the node persists nothing, an item is kept only
        because it is the last one. Raises StanzaError if the node or the address is full; then
        nothing is stored.
        """
        most = node.config.max_items if node.config.persist_items else 1
        replaced = [node.items[id] for id in {item.id for item in items} if id in node.items]
        count = len(node.items) + len({item.id for item in items}) - len(replaced)
        rejects = node.config.persist_items and node.config.publish_node_full == "reject"
        if count > most and rejects:
            raise refusal("conflict", "node-full", f"the node has {most} items")
        items = list({item.id: item for item in items}.values())
        more = sum(item.size for item in items) - sum(item.size for item in replaced)
        if self.size + more > BYTES:
            raise refusal("resource-constraint", text=f"{BYTES:,} bytes are kept at most")
        self.remove(node, [item.id for item in replaced])
        for item in items:
            node.items[item.id] = item
            self.size += item.size
        oldest = [node.items.popitem(last=False)[1] for _ in range(count - most)]
        self.size -= sum(one.size for one in oldest)
        return oldest

    def remove(self, node: Node, ids: Iterable[str]) -> list[Item]:
        """Removes the items with these ids that are there; returns them."""
        removed = [item for id in ids if (item := node.items.pop(id, None)) is not None]
        self.size -= sum(item.size for item in removed)
        return removed

    def purge(self, node: Node) -> list[Item]:
        """Removes all items; returns them."""
        return self.remove(node, list(node.items))

    def shrink(self, node: Node) -> list[Item]:
        """Removes the oldest items that the node has above its maximum; returns them."""
        most = node.config.max_items if node.config.persist_items else 1
        excess = max(0, len(node.items) - most)
        return self.remove(node, list(node.items)[:excess])
