"""Presence: who is told of whom (RFC 6121 §4), and requests to be told (RFC 6121 §3, by the table in subscriptions.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.offline import delay
from fakes.xmpp.roster import ITEMS, Item
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, made, with_child
from fakes.xmpp.subscriptions import SEEN, SEES, STIMULI, rule

if TYPE_CHECKING:
    from fakes.xmpp.service import Service

TYPES = frozenset({None, "unavailable", "error", "probe", *STIMULI})


class Presence:
    """What presence does, for the accounts of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    # ── what a client says ───────────────────────────────────────────────────────────────────────────────────────

    def said(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        """A client's presence, stamped with its full address. Raises StanzaError."""
        if stanza.type not in TYPES:
            raise StanzaError("bad-request", f"there is no presence of type {stanza.type} (RFC 6121 §4.7.1)")
        if to is None:
            if stanza.type is None:
                self._available(resource, stanza)
            elif stanza.type == "unavailable":
                self.unavailable(resource, stanza)
            elif stanza.type in STIMULI:
                raise StanzaError("bad-request", f"{stanza.type} whom? (RFC 6121 §3)")
        elif stanza.type in STIMULI:
            self._subscription(resource, to, stanza)
        elif stanza.type == "probe":
            self._service.router.route(stanza.but(sender=resource.account.address))
        else:
            if stanza.type != "error":
                self._direct(resource, to, stanza)
            self._service.router.route(stanza)

    def _available(self, resource: Resource, stanza: Stanza) -> None:
        """RFC 6121 §4.2.2, §4.4.2: to whoever sees us, and to all of our own, this one too."""
        account = resource.account
        first = resource.presence is None
        resource.presence, resource.priority = stanza, _priority(stanza)
        self._broadcast(resource, stanza)
        for other in account.available():
            other.deliver(stanza.but(to=account.address if first else other.jid.text))
        if first:
            self._introduce(resource)
        if resource.priority >= 0:
            self._service.offline.hand_over(resource)

    def _introduce(self, resource: Resource) -> None:
        """What a resource that has just become available is told: the others, its contacts, requests still open."""
        account = resource.account
        for other in account.available():
            if other is not resource and other.presence is not None:
                resource.deliver(other.presence.but(to=resource.jid.text))
        for item in list(account.roster.items.values()):
            if item.state in SEES:
                self._learn(resource, jid(item.jid))
        for item in list(account.roster.items.values()):
            if item.request is not None:
                resource.deliver(item.request)  # RFC 6121 §3.1.3: at each login until it is answered

    def _learn(self, resource: Resource, contact: Jid) -> None:
        """RFC 6121 §4.3.1: a contact here needs no probe, the server knows; one elsewhere is asked."""
        account = self._service.account(contact)
        probe = made("presence", type="probe", sender=resource.account.address, to=contact.text)
        if account is None or not self._service.is_here(contact):
            probe.id = "probe-" + self._service.kit.token(6)
            self._service.router.route(probe)
            return
        for answer in self._answers(account, account.jid, probe):
            bare = answer.type in STIMULI
            self._service.router.route(answer if bare else answer.but(to=resource.jid.text))

    def unavailable(self, resource: Resource, stanza: Stanza | None = None) -> None:
        """RFC 6121 §4.5.2: the resource is gone; without a stanza the server says so for it."""
        account = resource.account
        said = stanza or made("presence", type="unavailable", sender=resource.jid.text)
        told = set()
        if resource.presence is not None:
            self._broadcast(resource, said)
            told = {item.jid for item in account.roster.items.values() if item.state in SEEN}
        for contact in resource.directed:
            if jid(contact).bare not in told and not self._service.withheld(account, jid(contact)):
                self._service.router.route(said.but(to=contact))
        if resource.presence is not None:
            for other in account.available():
                if other is not resource:
                    other.deliver(said.but(to=other.jid.text))
            account.left = (self._service.kit.now(), said)
        if stanza is not None:
            resource.deliver(said.but(to=resource.jid.text))
        resource.presence, resource.priority = None, 0
        resource.directed.clear()

    def _broadcast(self, resource: Resource, stanza: Stanza) -> None:
        for item in list(resource.account.roster.items.values()):
            if item.state in SEEN and not self._service.withheld(resource.account, jid(item.jid)):
                self._service.router.route(stanza.but(to=item.jid))

    def _direct(self, resource: Resource, to: Jid, stanza: Stanza) -> None:
        """RFC 6121 §4.6.3: whoever was greeted directly is told when we go, unless a broadcast tells him."""
        seen = resource.account.roster.state(to.bare) in SEEN and resource.presence is not None
        if stanza.type == "unavailable":
            resource.directed.pop(to.text, None)
        elif not seen and to.bare != resource.account.address:
            if len(resource.directed) >= ITEMS:
                raise StanzaError("resource-constraint", f"directed presence reaches {ITEMS} at most")
            resource.directed[to.text] = None

    # ── what comes to an account ─────────────────────────────────────────────────────────────────────────────────

    def arrived(self, account: Account | None, to: Jid, stanza: Stanza) -> None:
        """Presence for an address here: the table of delivery, RFC 6121 §8.5."""
        kind = stanza.type
        target = account.resources.get(to.resource) if account is not None and to.resource else None
        if kind == "probe":
            for answer in self._answers(account, to, stanza):
                self._service.router.route(answer)
        elif account is None:
            if kind == "subscribe" and self._service.policy.subscribe_unknown == "error":
                raise StanzaError("item-not-found")
        elif kind in STIMULI:
            if not to.resource or target is not None or kind == "subscribe":
                self._subscribed(account, stanza)
        elif kind in (None, "unavailable"):
            if kind == "unavailable":
                self._forget_direct(account, stanza)
            for resource in account.available() if not to.resource else [target] if target is not None else []:
                resource.deliver(stanza)
        elif kind == "error" and target is not None:
            target.deliver(stanza)

    def _forget_direct(self, account: Account, stanza: Stanza) -> None:
        """RFC 6121 §4.6.1: one who has gone need not be told that we go."""
        sender = jid(stanza.sender or "")
        for resource in account.resources.values():
            resource.directed.pop(sender.text, None)
            resource.directed.pop(sender.bare, None)

    def _answers(self, account: Account | None, to: Jid, probe: Stanza) -> list[Stanza]:
        """RFC 6121 §4.3.2, §4.6.6: the answers to a probe, in the order of its rules."""
        asker = jid(probe.sender or "")
        if account is None or self._service.withheld(account, asker):
            return []
        if account.roster.state(asker.bare) not in SEEN and asker.bare != account.address:
            if self._greeted(account, to, asker):
                return [made("presence", sender=to.text, to=probe.sender, id=probe.id)]
            return [made("presence", type="unsubscribed", sender=to.bare, to=asker.bare, id=probe.id)]
        if to.resource:
            target = account.resources.get(to.resource)
            shown = target is not None and target.presence is not None
            return [made("presence", sender=to.text, to=probe.sender, id=probe.id, type=None if shown else "unavailable")]
        shown_by = [one.presence.but(to=probe.sender) for one in account.available() if one.presence is not None]
        return shown_by or [self.last_seen(account).but(to=probe.sender, id=probe.id)]

    def _greeted(self, account: Account, to: Jid, asker: Jid) -> bool:
        resource = account.resources.get(to.resource)
        return resource is not None and (asker.text in resource.directed or asker.bare in resource.directed)

    def last_seen(self, account: Account) -> Stanza:
        """Unavailable presence of the account, with the time of the last one if there was any."""
        gone = made("presence", type="unavailable", sender=account.address)
        if account.left is None:
            return gone
        return with_child(gone, delay(account.jid.domain, account.left[0]))

    # ── subscriptions ────────────────────────────────────────────────────────────────────────────────────────────

    def _subscription(self, resource: Resource, to: Jid, stanza: Stanza) -> None:
        """The user wants to see a contact, or lets himself be seen, or no more: the `out` table."""
        account, contact = resource.account, to.bare
        if contact == account.address:
            return  # one's own presence comes without asking
        if contact not in account.roster.items and len(account.roster.items) >= ITEMS:
            raise StanzaError("resource-constraint", f"a roster holds {ITEMS} items")
        stanza = stanza.but(sender=account.address, to=contact)  # RFC 6121 §3: bare, both
        self._follow("out", account, account.roster.item(contact), stanza, resource)

    def _subscribed(self, account: Account, stanza: Stanza) -> None:
        """A contact's wish or answer comes: the `in` table."""
        contact = jid(stanza.sender or "").bare
        known = contact in account.roster.items or len(account.roster.items) < 2 * ITEMS
        if known and contact != account.address:
            self._follow("in", account, account.roster.item(contact), stanza)

    def _follow(self, direction: str, account: Account, item: Item, stanza: Stanza, asker: Resource | None = None) -> None:
        row = rule(direction, stanza.type or "", item.state, item.approved)
        item.state = row.next
        if direction == "out" and stanza.type == "unsubscribed":
            item.approved = False  # RFC 6121 §3.4.2: an approval survives its use, but not this, in any state
        if "approve" not in row.do or self._service.offers("pre-approval"):
            for action in row.do:
                self._do(action, account, item, stanza, asker)
        account.roster.tidy(item)

    def _do(self, action: str, account: Account, item: Item, stanza: Stanza, asker: Resource | None) -> None:
        """One action of a row of the table."""
        contact = item.jid
        if action == "route":
            self._service.router.route(stanza, asker)
        elif action == "deliver":
            # requests go to whoever is there, answers to whoever follows the roster (RFC 6121 §3.1.3, §3.1.6)
            reached = account.available() if stanza.type == "subscribe" else account.interested()
            for resource in reached:
                resource.deliver(stanza)
        elif action == "push" or (action == "push?" and item.made):
            self._service.rosters.push(account, item)
        elif action in ("presence", "unavail"):
            self.show(account, contact, gone=action == "unavail")
        elif action.startswith("reply:"):
            answer = made("presence", type=action.removeprefix("reply:"), sender=account.address, to=contact)
            self._service.router.route(answer)
        elif action == "store":
            item.request = stanza
        elif action == "forget":
            item.request = None
        elif action in ("approve", "unapprove"):
            item.approved = action == "approve"

    def show(self, account: Account, contact: str, gone: bool) -> None:
        """The contact is shown each available resource, as it stands or as gone."""
        if self._service.withheld(account, jid(contact)):
            return
        for resource in account.available():
            shown = made("presence", type="unavailable", sender=resource.jid.text) if gone else resource.presence
            if shown is not None:
                self._service.router.route(shown.but(to=contact))


def _priority(stanza: Stanza) -> int:
    """RFC 6121 §4.7.2.3: -128 to 127, and 0 for what is none."""
    text = stanza.text("priority").strip()
    try:
        return min(max(int(text), -128), 127) if len(text) < 8 else 0
    except ValueError:
        return 0
