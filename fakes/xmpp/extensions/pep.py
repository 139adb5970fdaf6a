"""XEP-0163 (1.2.2): every account is a publish–subscribe service.

The nodes, and what can be asked of them, are those of XEP-0060, in `fakes/xmpp/pubsub/`. What
presence adds is in sharing.py there: contacts who see the account's presence are subscribed to its
nodes without asking, each client gets only what its capabilities ask for, and a client that comes
online gets the last item of each node.

Another extension can use the nodes of accounts:

    pep = self.service.extensions.named("pep")
    pep.publish(account, "urn:xmpp:avatar:data", payload, id=digest)
    for item in pep.items_of(account, "urn:xmpp:bookmarks:1"): ...

and it overrides the hooks `item_published` and `items_removed` to hear about every change.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.extension import Information
from fakes.xmpp.forms import X
from fakes.xmpp.pubsub import events
from fakes.xmpp.pubsub.configuration import Config
from fakes.xmpp.pubsub.describing import Describing
from fakes.xmpp.pubsub.names import OWNER, PUBSUB, refusal
from fakes.xmpp.pubsub.nodes import Item, Node, Store
from fakes.xmpp.pubsub.owning import Owning
from fakes.xmpp.pubsub.publishing import Publishing
from fakes.xmpp.pubsub.retrieving import Retrieving
from fakes.xmpp.pubsub.sharing import Sharing
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import Stanza

DEFAULTS = Config(access_model="presence", max_items=1)


class Pep(Sharing, Publishing, Retrieving, Owning, Describing):
    """The nodes of each account."""

    name = "pep"
    section = "XEP-0163"
    defaults = DEFAULTS
    creates = True

    # ── for other extensions ─────────────────────────────────────────────────

    def items_of(self, account: Account, node: str) -> list[Item]:
        """The items of a node, oldest first; empty if there is no such node."""
        store = self.store(account.address)
        found = store.nodes.get(node)
        if found is None:
            return []
        self.expire(store, found)
        return list(found.items.values())

    def publish(
        self,
        account: Account,
        node: str,
        payload: Element,
        id: str = "current",
        config: Config = DEFAULTS,
    ) -> Item:
        """Publishes an item as the account itself, and notifies of it.

        A node that does not exist is created with `config`. Raises StanzaError if a limit is
        reached.
        """
        found = self.store(account.address).nodes.get(node)
        new = found is None
        if found is None:
            found = self.create(account.address, node, account.address, config)
        item = Item.of(id, payload, account.address, self.service.runtime.now())
        self.put(self.store(account.address), found, [item], new=new)()
        return item

    def retract(self, account: Account, node: str, *ids: str) -> None:
        """Removes items as the account itself, and notifies of it. Ignores those not there."""
        store = self.store(account.address)
        found = store.nodes.get(node)
        removed = self.take(store, found, ids) if found is not None else []
        if found is not None and removed:
            self.notify(store, found, events.retracted(found, removed))

    # ── what it answers ──────────────────────────────────────────────────────

    def answers(self) -> Answers:
        return {
            ("account", f"{{{PUBSUB}}}pubsub"): self.handle_request,
            ("account", f"{{{OWNER}}}pubsub"): self.handle_request,
        }

    def account_identities(self) -> Iterable[tuple[str, str]]:
        return (("pubsub", "pep"),)

    def account_features(self) -> Iterable[str]:
        return self.features(
            "access-presence",
            "auto-create",
            "auto-subscribe",
            "filtered-notifications",
            "last-published",
            "presence-notifications",
            "presence-subscribe",
        )

    def account_node(self, account: Account, node: str, asker: Jid) -> Information | None:
        store = self.store(account.address)
        seen = self.list_items(store, node, asker) is not None
        return self.describe(store, node) if seen else None

    def account_items(
        self, account: Account, node: str | None, asker: Jid
    ) -> Iterable[dict[str, str | None]] | None:
        """XEP-0163 §6.2: only the nodes that the asker may subscribe to, or read."""
        store = self.store(account.address)
        if node is None:
            return self.list_nodes(store, asker) or None
        return self.list_items(store, node, asker)

    def address(self, request: Request) -> str:
        assert request.account is not None
        return request.account.address

    def check_creator(self, address: str, who: Jid) -> None:
        if who.bare != address:
            raise refusal("forbidden", text="only the account itself creates nodes here")

    def told(self, store: Store, node: Node, items: list[Item], removed: list[Item]) -> None:
        account = self.service.accounts.find(jid(store.address))
        if account is None:
            return
        extensions = self.service.extensions
        for item in items:
            extensions.item_published(account, node.name, item)
        if removed:
            extensions.items_removed(account, node.name, removed)

    # ── what else arrives for an account ─────────────────────────────────────

    def roster_changed(self, account: Account, contact: str) -> None:
        """XEP-0163 §7.1: who loses access loses the subscription."""
        store = self.stored.get(account.address)
        for node in store.nodes.values() if store is not None else ():
            if store is not None and node.subscriptions:
                self.check_subscriptions(store, node, {contact})

    def accepts_incoming(self, account: Account, stanza: Stanza) -> bool:
        """Takes what the account has decided about subscriptions to its nodes (XEP-0060 §8.6)."""
        if X not in stanza.child_names or account.address not in self.stored:
            return True
        sender = jid(stanza.sender or "")
        if stanza.kind != "message" or sender.bare != account.address:
            return True
        return not self.decide(self.stored[account.address], stanza, sender)

    def forget(self, account: Account) -> None:
        super().forget(account)
        for store in self.stored.values():
            for node in store.nodes.values():
                for one in node.subscriptions_of(account.address):
                    del node.subscriptions[one.address]
                node.affiliations.pop(account.address, None)
