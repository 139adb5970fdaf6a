"""What subscribers are told: the messages with an `<event/>` (XEP-0060 §7.1.2, §7.2.2, §8)."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import element
from fakes.xmpp.offline import delay
from fakes.xmpp.pubsub.names import EVENT, PUBSUB
from fakes.xmpp.pubsub.nodes import Item, Node
from fakes.xmpp.stanzas import Stanza, build_stanza


def write_item(node: Node, item: Item, space: str = PUBSUB, *, payload: bool = True) -> Element:
    """Builds the `<item/>`; it names its publisher if the node is set up so (§7.1.2.3)."""
    publisher = item.publisher if node.config.itemreply == "publisher" else None
    inside = [item.payload] if payload and item.payload is not None else []
    return element(f"{{{space}}}item", {"id": item.id, "publisher": publisher}, *inside)


def published(node: Node, items: Iterable[Item], removed: Iterable[Item] = ()) -> Element:
    """The event of new items, and of those that were removed to make room for them (§7.1.2)."""
    written = [
        write_item(node, item, EVENT, payload=node.config.deliver_payloads) for item in items
    ]
    return _event("items", node, *written, *_retractions(removed))


def retracted(node: Node, items: Iterable[Item]) -> Element:
    """The event of items that were removed (§7.2.2.1)."""
    return _event("items", node, *_retractions(items))


def purged(node: Node) -> Element:
    """The event of a node without items (§8.5.2)."""
    return _event("purge", node)


def deleted(node: Node, uri: str = "") -> Element:
    """The event of a node that is gone, and where its replacement is (§8.4.2)."""
    redirect = [element(f"{{{EVENT}}}redirect", {"uri": uri})] if uri else []
    return _event("delete", node, *redirect)


def configured(node: Node) -> Element:
    """The event of a new configuration (§8.2.5.3)."""
    form = [node.config.form(type="result")] if node.config.deliver_payloads else []
    return _event("configuration", node, *form)


def subscribed(node: Node, address: str, state: str) -> Element:
    """The event of a subscription that has changed (§12.14)."""
    about = {"node": node.name, "jid": address, "subscription": state}
    return element(f"{{{EVENT}}}event", {}, element(f"{{{EVENT}}}subscription", {**about}))


def _retractions(items: Iterable[Item]) -> list[Element]:
    return [element(f"{{{EVENT}}}retract", {"id": item.id}) for item in items]


def _event(name: str, node: Node, *inside: Element) -> Element:
    return element(
        f"{{{EVENT}}}event", {}, element(f"{{{EVENT}}}{name}", {"node": node.name}, *inside)
    )


def message(node: Node, sender: str, event: Element, at: float | None = None) -> Stanza:
    """The message with an event, still without a recipient and an id.

    `at` is the time of an item that was published before, in seconds since the epoch.
    """
    type = "headline" if node.config.notification_type == "headline" else None
    late = [delay(sender, at)] if at is not None else []
    return build_stanza("message", type=type, sender=sender, children=[event, *late])
