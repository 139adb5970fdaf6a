"""Applies the table of subscriptions (subscriptions.py) to the stanzas of one service."""

from __future__ import annotations

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.policy import Environment
from fakes.xmpp.presence import Presence
from fakes.xmpp.pushes import RosterPushes
from fakes.xmpp.roster import ITEMS, Item
from fakes.xmpp.routing import Router
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, build_stanza
from fakes.xmpp.subscriptions import FROM, PENDING_IN, PENDING_OUT, TO, rule


class Subscriptions:
    """Requests to see presence, their answers, and their end (RFC 6121 §3)."""

    def __init__(
        self,
        environment: Environment,
        router: Router,
        pushes: RosterPushes,
        presence: Presence,
    ) -> None:
        self._environment = environment
        self._router = router
        self._pushes = pushes
        self._presence = presence

    def send(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        """Handles a stimulus that a client sends: the `out` rows. Raises StanzaError."""
        if to is None:
            raise StanzaError("bad-request", f"{stanza.type} whom? (RFC 6121 section 3)")
        account, contact = resource.account, to.bare
        if contact == account.address:
            return  # a user's own presence needs no subscription
        if contact not in account.roster.items and len(account.roster.items) >= ITEMS:
            raise StanzaError("resource-constraint", f"a roster holds {ITEMS} items")
        # RFC 6121 §3: both addresses are bare
        stanza = stanza.replace(sender=account.address, to=contact)
        self._apply("out", account, account.roster.item(contact), stanza, resource)

    def receive(self, account: Account | None, to: Jid, stanza: Stanza) -> None:
        """Handles a stimulus for an address of this server: the `in` rows. Raises StanzaError."""
        policy = self._environment.policy
        if stanza.type == "subscribe" and policy.acknowledge_requests:
            self._acknowledge(account, to, stanza)
        if account is None:
            if stanza.type == "subscribe" and policy.subscribe_unknown == "error":
                raise StanzaError("item-not-found")
            return
        # RFC 6121 §8.5.3: only a request may come to a resource that is not there
        if to.resource and to.resource not in account.resources and stanza.type != "subscribe":
            return
        contact = jid(stanza.sender or "").bare
        # Twice the limit, because requests that were not answered take items too.
        room = contact in account.roster.items or len(account.roster.items) < 2 * ITEMS
        if room and contact != account.address:
            self._apply("in", account, account.roster.item(contact), stanza)

    def _acknowledge(self, account: Account | None, to: Jid, stanza: Stanza) -> None:
        """Says that a request has arrived, even for an unknown user (RFC 6121 §3.1.3)."""
        asker = jid(stanza.sender or "").bare
        if account is None or account.roster.state(asker) not in FROM:
            gone = build_stanza("presence", type="unavailable", sender=to.bare, to=asker)
            self._router.route(gone)

    def remove(self, account: Account, contact: str) -> None:
        """RFC 6121 §2.5.2: removes an item, and ends every subscription and request with it.

        Raises KeyError if there is no item.
        """
        state = account.roster.items[contact].state
        account.roster.remove(contact)
        self._pushes.push_removal(account, contact)
        if state in FROM:
            # RFC 6121 §3.2.2: unavailable presence comes first
            self._presence.show(account, contact, gone=True)
        if state in TO | PENDING_OUT:
            self._route(account, contact, "unsubscribe")
        if state in FROM | PENDING_IN:
            self._route(account, contact, "unsubscribed")

    def _apply(
        self,
        direction: str,
        account: Account,
        item: Item,
        stanza: Stanza,
        asker: Resource | None = None,
    ) -> None:
        """Applies a row of the table: the new state, then the actions."""
        row = rule(direction, stanza.type or "", item.state, item.approved)
        item.state = row.next
        if direction == "out" and stanza.type == "unsubscribed":
            # RFC 6121 §3.4.2: an approval survives its use, but this ends it in any state
            item.approved = False
        if "approve" not in row.do or self._environment.offers("pre-approval"):
            for action in row.do:
                self._act(action, account, item, stanza, asker)
        account.roster.discard_if_empty(item)

    def _act(
        self, action: str, account: Account, item: Item, stanza: Stanza, asker: Resource | None
    ) -> None:
        """Runs one action of a row."""
        if action == "route":
            self._router.route(stanza, asker)
        elif action == "deliver":
            # RFC 6121 §3.1.3: a request goes to the available resources;
            # §3.1.6: an answer to those that asked for the roster
            request = stanza.type == "subscribe"
            for resource in account.available() if request else account.interested():
                resource.deliver(stanza)
        elif action == "push" or (action == "push?" and item.visible):
            self._pushes.push(account, item)
        elif action in ("presence", "unavail"):
            self._presence.show(account, item.jid, gone=action == "unavail")
        elif action.startswith("reply:"):
            self._route(account, item.jid, action.removeprefix("reply:"))
        elif action == "store":
            item.request = stanza
        elif action == "forget":
            item.request = None
        elif action in ("approve", "unapprove"):
            item.approved = action == "approve"

    def _route(self, account: Account, contact: str, type: str) -> None:
        """Sends a stimulus in the user's name."""
        answer = build_stanza("presence", type=type, sender=account.address, to=contact)
        self._router.route(answer)
