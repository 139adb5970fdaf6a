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
from fakes.xmpp.pubsub import events
from fakes.xmpp.pubsub.configuration import Config
from fakes.xmpp.pubsub.interests import Capabilities, Interests
from fakes.xmpp.pubsub.names import OWNER, PUBSUB, refusal
from fakes.xmpp.pubsub.nodes import Item, Node, Store
from fakes.xmpp.pubsub.publishing import Publishing
from fakes.xmpp.pubsub.retrieving import Retrieving
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza
from fakes.xmpp.subscriptions import FROM, TO

DEFAULTS = Config(access_model="presence", max_items=1)
FEATURES = (
    "access-authorize",
    "access-open",
    "access-presence",
    "access-roster",
    "access-whitelist",
    "auto-create",
    "auto-subscribe",
    "delete-items",
    "filtered-notifications",
    "item-ids",
    "last-published",
    "persistent-items",
    "presence-notifications",
    "publish",
    "publish-options",
    "retract-items",
    "retrieve-items",
)
CONTACTS = 1000  # clients elsewhere whose capabilities an account remembers


class Pep(Publishing, Retrieving):
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
        if found is not None and removed and found.config.notify_retract:
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
        return (PUBSUB, *(f"{PUBSUB}#{feature}" for feature in FEATURES))

    def account_node(self, account: Account, node: str, asker: Jid) -> Information | None:
        found = self.store(account.address).nodes.get(node)
        if found is None or not self.access.may_read(found, asker):
            return None
        return Information("pubsub", "leaf", found.config.title, (PUBSUB,))

    def account_items(
        self, account: Account, node: str | None, asker: Jid
    ) -> Iterable[dict[str, str | None]] | None:
        """XEP-0163 §6.2: only the nodes that the asker may subscribe to, or read."""
        store = self.store(account.address)
        seen = {one.name: one for one in store.nodes.values() if self.access.may_read(one, asker)}
        if node is None:
            items: list[dict[str, str | None]] = [
                {"jid": store.address, "node": one.name, "name": one.config.title or None}
                for one in seen.values()
            ]
            return items or None
        if node not in seen:
            return None
        self.expire(store, seen[node])
        return [{"jid": store.address, "name": id} for id in seen[node].items]

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
                continue  # §4.3.3: blocked
            for resource in here.available():
                found = Capabilities.of(resource.presence)
                if found is not None:
                    yield resource.jid, found
        for full, known in self._elsewhere.get(address, {}).items():
            if known is not None and not withheld(account, jid(full)):
                yield jid(full), known

    def notify(
        self, store: Store, node: Node, event: Element, recipients: Iterable[str] | None = None
    ) -> None:
        """Sends an event to each client that shares presence and asks for the node."""
        message = events.message(node, store.address, event)
        for client, capabilities in list(self.clients(store.address)):
            if self.access.may_read(node, client):
                send = self._sender(message.replace(to=client.text), node.name)
                self.interests.when_known(store.address, client.text, capabilities, send)

    def _sender(self, message: Stanza, name: str) -> Callable[[frozenset[str]], None]:
        """What sends a message to a client when it is known whether it wants the node."""

        def send(wanted: frozenset[str]) -> None:
            if name in wanted:
                id = self.service.runtime.token(12)
                self.service.router.route(message.replace(id=id))

        return send

    # ── the last item, for those who come online ─────────────────────────────

    def presence_sent(
        self, resource: Resource, stanza: Stanza, to: Jid | None, first: bool
    ) -> None:
        if not first or not self.stored:
            return
        seen = [item.jid for item in resource.account.roster.items.values() if item.state in TO]
        addresses = [one for one in (resource.account.address, *seen) if one in self.stored]
        self._introduce(addresses, resource.jid, resource.presence)

    def presence_received(self, account: Account, stanza: Stanza) -> None:
        sender = jid(stanza.sender or "")
        if stanza.type == "subscribed":
            here = self.service.accounts.find(sender)
            for resource in account.available() if here is not None else ():
                if sender.bare in self.stored:
                    self._introduce([sender.bare], resource.jid, resource.presence)
        if not sender.resource or stanza.type not in (None, "unavailable"):
            return
        known = self._elsewhere.get(account.address, {})
        first = sender.text not in known
        known.pop(sender.text, None)
        if stanza.type is None and not self._sees_here(account, sender):
            self._elsewhere[account.address] = known
            known[sender.text] = Capabilities.of(stanza)
            if len(known) > CONTACTS:
                del known[next(iter(known))]
            if first and account.address in self.stored:
                self._introduce([account.address], sender, stanza)
        elif not known:
            self._elsewhere.pop(account.address, None)

    def _sees_here(self, account: Account, sender: Jid) -> bool:
        """Whether the presence of a client is at hand, and it sees that of the account."""
        here = self.service.accounts.find(sender)
        return here is account or (here is not None and account.roster.state(sender.bare) in FROM)

    def _introduce(self, addresses: list[str], client: Jid, presence: Stanza | None) -> None:
        """Sends a client the last item of each node that it wants (XEP-0163 §4.3.4)."""
        capabilities = Capabilities.of(presence)
        if not addresses or capabilities is None:
            return

        def send(wanted: frozenset[str]) -> None:
            for store in filter(None, map(self.stored.get, addresses)):
                for name in sorted(wanted & store.nodes.keys()):
                    self._send_last(store, store.nodes[name], client)

        self.interests.when_known(addresses[0], client.text, capabilities, send)

    def _send_last(self, store: Store, node: Node, client: Jid) -> None:
        self.expire(store, node)
        item = node.last
        when = node.config.send_last_published_item
        if item is None or when != "on_sub_and_presence" or not self.access.may_read(node, client):
            return
        message = events.message(node, store.address, events.published(node, [item]), item.at)
        id = self.service.runtime.token(12)
        self.service.router.route(message.replace(to=client.text, id=id))

    # ── what clients answer ──────────────────────────────────────────────────

    def result_received(self, account: Account, stanza: Stanza) -> None:
        self.interests.answered(stanza)

    def forget(self, account: Account) -> None:
        super().forget(account)
        self._elsewhere.pop(account.address, None)
