"""What discovery says about nodes (XEP-0060 §5.2 to §5.5)."""

from __future__ import annotations

from fakes.xmpp.addresses import Jid
from fakes.xmpp.extension import Information
from fakes.xmpp.forms import DATA, Field, build
from fakes.xmpp.offline import timestamp
from fakes.xmpp.paging import RSM
from fakes.xmpp.pubsub.hosting import Hosting
from fakes.xmpp.pubsub.names import METADATA, PUBSUB
from fakes.xmpp.pubsub.nodes import Node, Store

_SHOWN = ("title", "description", "type", "access_model", "publish_model", "max_items")
# What both kinds can do (§10).
FEATURES = (
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "instant-nodes",
    "item-ids",
    "leased-subscription",
    "manage-subscriptions",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "publish",
    "publish-node-full",
    "publish-only-affiliation",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-default-sub",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
    "subscription-notifications",
    "subscription-options",
)


class Describing(Hosting):
    """Describes the nodes of an address to those who ask."""

    @staticmethod
    def features(*others: str) -> tuple[str, ...]:
        """The names of the features, with some of one kind only."""
        named = sorted({*FEATURES, *others})
        return (PUBSUB, RSM, *(f"{PUBSUB}#{name}" for name in named))

    def describe(self, store: Store, name: str) -> Information | None:
        """The identity of a node, and more about it (§5.3, §5.4); None if there is none."""
        node = store.nodes.get(name)
        if node is None:
            return None
        shown = [Field(f"pubsub#{one}", values=node.config.values(one)) for one in _SHOWN]
        owners, subscribers = node.owners(), self.subscribers(node)
        publishers = [who for who, what in node.affiliations.items() if what == "publisher"]
        shown += [
            Field("pubsub#creator", values=(node.creator,)),
            Field("pubsub#creation_date", values=(timestamp(node.created),)),
            Field("pubsub#owner", values=owners),
            Field("pubsub#publisher", values=publishers),
            Field("pubsub#num_subscribers", values=(str(len(subscribers)),)),
        ]
        form = build(METADATA, shown, type="result")
        return Information("pubsub", "leaf", node.config.title, (PUBSUB, DATA), (form,))

    def list_nodes(self, store: Store, asker: Jid) -> list[dict[str, str | None]]:
        """The nodes whose items an entity may retrieve, or to which it may subscribe (§5.2)."""
        return [
            {"jid": store.address, "node": node.name, "name": node.config.title or None}
            for node in store.nodes.values()
            if self._is_seen(node, asker)
        ]

    def list_items(self, store: Store, name: str, asker: Jid) -> list[dict[str, str | None]] | None:
        """The items of a node (§5.5); None if the entity may not know about it."""
        node = store.nodes.get(name)
        if node is None or not self._is_seen(node, asker):
            return None
        self.expire(store, node)
        items = node.items if self.access.may_read(node, asker) else ()
        return [{"jid": store.address, "name": id} for id in items]

    def _is_seen(self, node: Node, asker: Jid) -> bool:
        return self.access.may_be_subscribed(node, asker)
