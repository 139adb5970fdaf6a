"""Who is notified of the nodes of accounts: those who share presence (XEP-0163 §4, XEP-0060 §9).

They need not subscribe. What their clients want is known from their capabilities (interests.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.pubsub import events
from fakes.xmpp.pubsub.hosting import Hosting
from fakes.xmpp.pubsub.interests import Capabilities, Interests
from fakes.xmpp.pubsub.nodes import Node, Store
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza
from fakes.xmpp.subscriptions import FROM, TO

CONTACTS = 1000  # clients elsewhere whose capabilities an account remembers


class Sharing(Hosting):
    """Notifies the clients of an account and of its contacts."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.interests = Interests(service)
        # account → full address of a client that has sent it presence → capabilities. Clients of
        # this server's accounts are here only if they are not contacts who see the account.
        self._elsewhere: dict[str, dict[str, Capabilities | None]] = {}

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
        subscribed = set(self.subscribers(node)) if node.subscriptions else set()
        clients: dict[str, list[tuple[Jid, Capabilities]]] = {}
        for client, capabilities in self.clients(store.address):
            if client.text not in subscribed and self.access.may_read(node, client):
                clients.setdefault(client.bare, []).append((client, capabilities))
        for address in sorted(subscribed):
            if address not in clients:
                self.send(message, address)
        for bare, some in clients.items():
            self._send_filtered(message, node, some, bare if bare in subscribed else "")

    def _send_filtered(
        self, message: Stanza, node: Node, clients: list[tuple[Jid, Capabilities]], bare: str
    ) -> None:
        """Sends a message to the clients of one user that ask for a node, when that is known.

        If none does, and `bare` is not empty, it is sent there.
        """
        unknown, sent = len(clients), 0

        def send_to(client: Jid) -> Callable[[frozenset[str]], None]:
            def act(wanted: frozenset[str]) -> None:
                nonlocal unknown, sent
                unknown -= 1
                # Access may be lost while a client is asked.
                if node.name in wanted and self.access.may_read(node, client):
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

    # ── what clients answer, and accounts that are gone ──────────────────────

    def result_received(self, account: Account, stanza: Stanza) -> None:
        self.interests.answered(stanza)

    def forget(self, account: Account) -> None:
        super().forget(account)
        self._elsewhere.pop(account.address, None)
