"""XEP-0163 (1.2.2): every account is a publish–subscribe service.

The nodes, and what can be asked of them, are those of XEP-0060, in `fakes/xmpp/pubsub/`. Here is
what presence adds: contacts who see the account's presence are subscribed to its nodes without
asking, each client gets only what its capabilities ask for, and a client that comes online gets the
last item of each node.

Another extension can use the nodes of accounts:

    pep = self.service.extensions.named("pep")
    pep.publish(account, "urn:xmpp:avatar:data", payload, id=digest)
    for item in pep.items_of(account, "urn:xmpp:bookmarks:1"): ...

and it overrides the hooks `item_published` and `items_removed` to hear about every change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.extension import Information
from fakes.xmpp.forms import DATA
from fakes.xmpp.pubsub import events
from fakes.xmpp.pubsub.configuration import Config
from fakes.xmpp.pubsub.describing import Describing
from fakes.xmpp.pubsub.interests import Capabilities, Interests
from fakes.xmpp.pubsub.names import OWNER, PUBSUB, refusal
from fakes.xmpp.pubsub.nodes import Item, Node, Store
from fakes.xmpp.pubsub.owning import Owning
from fakes.xmpp.pubsub.publishing import Publishing
from fakes.xmpp.pubsub.retrieving import Retrieving
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza
from fakes.xmpp.subscriptions import FROM, TO

DEFAULTS = Config(access_model="presence", max_items=1)
CONTACTS = 1000  # clients elsewhere whose capabilities an account remembers


class Pep(Publishing, Retrieving, Owning, Describing):
    """The nodes of each account."""

    name = "pep"
    section = "XEP-0163"
    defaults = DEFAULTS
    creates = True

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.interests = Interests(service)
        # account → full address of a client that has sent it presence → capabilities. Clients of
        # this server's accounts are here only if they are not contacts who see the account.
        self._elsewhere: dict[str, dict[str, Capabilities | None]] = {}

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
        store = self.store(account.address)
        found = store.nodes.get(node)
        if found is None:
            found = self.create(account.address, node, account.address, config)
            store = self.stored[account.address]
        item = Item.of(id, payload, account.address, self.service.runtime.now())
        self.put(store, found, [item])()
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

    # ── who is notified ──────────────────────────────────────────────────────

    def clients(self, address: str) -> Iterator[tuple[Jid, Capabilities]]:
        """The clients that share presence with an account, and have capabilities."""
        account = self.service.accounts.find(jid(address))
        if account is None:
            return
        seeing = [item.jid for item in account.roster.items.values() if item.state in FROM]
        withheld = self.service.extensions.withhold_presence
        for bare in (address, *seeing):
            here = self.service.accounts.find(jid(bare))
            if here is None or withheld(account, here.jid):
                continue  # XEP-0163 §4.3.3: blocked
            for resource in here.available():
                found = Capabilities.of(resource.presence)
                if found is not None:
                    yield resource.jid, found
        for full, known in self._elsewhere.get(address, {}).items():
            if known is not None and not withheld(account, jid(full)):
                yield jid(full), known

    def notify(self, store: Store, node: Node, event: Element) -> None:
        """Sends an event to the clients that share presence and ask for the node.

        Explicit subscribers get it too: a full address by itself, a bare one at the clients that
        ask for the node, or if there are none at the bare address (XEP-0163 §4.3.2).
        """
        message = events.message(node, store.address, event)
        subscribed = set(self.subscribers(store, node)) if node.subscriptions else set()
        clients: dict[str, list[tuple[Jid, Capabilities]]] = {}
        for client, capabilities in self.clients(store.address):
            if client.text not in subscribed and self.access.may_read(node, client):
                clients.setdefault(client.bare, []).append((client, capabilities))
        for address in sorted(subscribed):
            if address not in clients:
                self.send(message, address)
        for bare, some in clients.items():
            self._send_filtered(message, node.name, some, bare if bare in subscribed else "")

    def _send_filtered(
        self, message: Stanza, node: str, clients: list[tuple[Jid, Capabilities]], bare: str
    ) -> None:
        """Sends a message to the clients of one user that ask for a node, when that is known.

        If none does, and `bare` is not empty, it is sent there.
        """
        unknown, sent = len(clients), 0

        def send_to(client: Jid) -> Callable[[frozenset[str]], None]:
            def act(wanted: frozenset[str]) -> None:
                nonlocal unknown, sent
                unknown -= 1
                if node in wanted:
                    sent += 1
                    self.send(message, client.text)
                elif bare and not unknown and not sent:
                    self.send(message, bare)

            return act

        for client, capabilities in clients:
            asks = message.sender or ""
            self.interests.when_known(asks, client.text, capabilities, send_to(client))

    # ── the last item, for those who come online ─────────────────────────────

    def presence_sent(
        self, resource: Resource, stanza: Stanza, to: Jid | None, first: bool
    ) -> None:
        if to is not None or stanza.type is not None:
            return
        before = None if first else resource.extension_data.get(self.name)
        resource.extension_data[self.name] = stanza
        if self.stored:
            items = resource.account.roster.items.values()
            seen = [item.jid for item in items if item.state in TO]
            addresses = [one for one in (resource.account.address, *seen) if one in self.stored]
            previous = Capabilities.of(before)
            self._introduce(addresses, resource.jid, Capabilities.of(stanza), previous)

    def presence_received(self, account: Account, stanza: Stanza) -> None:
        sender = jid(stanza.sender or "")
        if stanza.type == "subscribed" and sender.bare in self.stored:
            for resource in account.available():
                self._introduce([sender.bare], resource.jid, Capabilities.of(resource.presence))
        if not sender.resource or stanza.type not in (None, "unavailable"):
            return
        known = self._elsewhere.get(account.address, {})
        before = known.pop(sender.text, None)
        if stanza.type is None and not self._sees_here(account, sender):
            self._elsewhere[account.address] = known
            now = known[sender.text] = Capabilities.of(stanza)
            if len(known) > CONTACTS:
                del known[next(iter(known))]
            if account.address in self.stored:
                self._introduce([account.address], sender, now, before)
        elif not known:
            self._elsewhere.pop(account.address, None)

    def _sees_here(self, account: Account, sender: Jid) -> bool:
        """Whether the presence of a client is at hand, and it sees that of the account."""
        here = self.service.accounts.find(sender)
        return here is account or (here is not None and account.roster.state(sender.bare) in FROM)

    def _introduce(
        self,
        addresses: list[str],
        client: Jid,
        capabilities: Capabilities | None,
        before: Capabilities | None = None,
    ) -> None:
        """Sends a client the last item of each node that it wants (XEP-0163 §4.3.4).

        That is when it has come online, and when a later presence asks for nodes for which the
        capabilities `before` did not ask (XEP-0060 §12.2).
        """
        if not addresses or capabilities is None or capabilities == before:
            return

        def send(wanted: frozenset[str]) -> None:
            known = self.interests.known(client.text, before) if before else frozenset()
            for store in filter(None, map(self.stored.get, addresses)):
                for name in sorted((wanted - known) & store.nodes.keys()):
                    self._send_last(store, store.nodes[name], client)

        self.interests.when_known(addresses[0], client.text, capabilities, send)

    def _send_last(self, store: Store, node: Node, client: Jid) -> None:
        self.expire(store, node)
        item = node.last
        when = node.config.send_last_published_item
        if item is None or when != "on_sub_and_presence" or not self.access.may_read(node, client):
            return
        event = events.published(node, [item])
        self.send(events.message(node, store.address, event, item.at), client.text)

    # ── what else arrives for an account ─────────────────────────────────────

    def result_received(self, account: Account, stanza: Stanza) -> None:
        self.interests.answered(stanza)

    def roster_changed(self, account: Account, contact: str) -> None:
        """XEP-0163 §7.1: who loses access loses the subscription."""
        store = self.stored.get(account.address)
        for node in store.nodes.values() if store is not None else ():
            if store is not None and node.subscriptions:
                self.check_subscriptions(store, node, contact)

    def accepts_incoming(self, account: Account, stanza: Stanza) -> bool:
        """Takes what the account has decided about subscriptions to its nodes (XEP-0060 §8.6)."""
        if f"{{{DATA}}}x" not in stanza.child_names or account.address not in self.stored:
            return True
        sender = jid(stanza.sender or "")
        if stanza.kind != "message" or sender.bare != account.address:
            return True
        return not self.decide(self.stored[account.address], stanza, sender)

    def forget(self, account: Account) -> None:
        super().forget(account)
        self._elsewhere.pop(account.address, None)
        for store in self.stored.values():
            for node in store.nodes.values():
                for one in node.subscriptions_of(account.address):
                    del node.subscriptions[one.address]
                node.affiliations.pop(account.address, None)
