"""Presence: who sees whom (RFC 6121 §4). Subscriptions are in subscribing.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fakes.xmpp.accounts import Accounts
from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.markup import ascii_text
from fakes.xmpp.offline import Offline, delay
from fakes.xmpp.policy import Environment
from fakes.xmpp.roster import ITEMS
from fakes.xmpp.routing import Router
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, build_stanza, with_child
from fakes.xmpp.subscriptions import FROM, STIMULI, TO


class Presence:
    """Broadcasts, directed presence and probes, for the accounts of one service.

    `withheld` says whether an extension keeps an account's presence from a contact.
    """

    def __init__(
        self,
        environment: Environment,
        accounts: Accounts,
        router: Router,
        offline: Offline,
        withheld: Callable[[Account, Jid], bool],
    ) -> None:
        self._environment = environment
        self._accounts = accounts
        self._router = router
        self._offline = offline
        self._withheld = withheld

    # ── what a client sends ──────────────────────────────────────────────────

    def send(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        """Handles presence from a client, stamped with its full address. Raises StanzaError."""
        # RFC 6121 §4.7.1
        if stanza.type not in (None, "unavailable", "error", "probe"):
            text = (
                f"there is no presence of type {ascii_text(stanza.type)} (RFC 6121 section 4.7.1)"
            )
            raise StanzaError("bad-request", text)
        if to is None:
            if stanza.type is None:
                self._available(resource, stanza)
            elif stanza.type == "unavailable":
                self.unavailable(resource, stanza)
        elif stanza.type == "probe":
            self._router.route(stanza.replace(sender=resource.account.address))
        else:
            if stanza.type != "error":
                self._note_directed(resource, to, stanza)
            self._router.route(stanza)

    def _available(self, resource: Resource, stanza: Stanza) -> None:
        """RFC 6121 §4.2.2, §4.4.2: tells the contacts, and all resources of the account itself."""
        account = resource.account
        first = resource.presence is None
        shown = stanza
        if self._environment.policy.delay_presence:
            shown = with_child(stanza, delay(account.jid.domain, self._environment.runtime.now()))
        resource.presence, resource.priority = shown, _priority(stanza)
        self._broadcast(resource, stanza)
        for other in account.available():
            other.deliver(stanza.replace(to=account.address if first else other.jid.text))
        if first:
            self._introduce(resource)
        if resource.priority >= 0:
            self._offline.deliver(resource)

    def _introduce(self, resource: Resource) -> None:
        """Tells a resource that has just become available what it has missed.

        These are the user's other resources, the presence of the contacts, and open requests.
        """
        account = resource.account
        for other in account.available():
            if other is not resource and other.presence is not None:
                resource.deliver(other.presence.replace(to=resource.jid.text))
        items = account.roster.items.values()
        seen = [item.jid for item in items if item.state in TO]
        self._router.route_all(self._fetched(resource, seen))
        # RFC 6121 §3.1.3: at each login until the request is answered
        for request in [item.request for item in items if item.request is not None]:
            resource.deliver(request)

    def _fetched(self, resource: Resource, contacts: list[str]) -> Iterator[Stanza]:
        """RFC 6121 §4.3.1: yields the presence of contacts, a probe for those that are not here."""
        sender = resource.account.address
        for contact in contacts:
            account = self._accounts.find(jid(contact))
            probe = build_stanza("presence", type="probe", sender=sender, to=contact)
            if account is None:
                probe.id = "probe-" + self._environment.runtime.token(6)
                yield probe
                continue
            for answer in self._answers(account, account.jid, probe):
                # An `unsubscribed` is for the account, presence is for the resource.
                to_account = answer.type in STIMULI
                yield answer if to_account else answer.replace(to=resource.jid.text)

    def unavailable(self, resource: Resource, stanza: Stanza | None = None) -> None:
        """RFC 6121 §4.5.2: tells everyone that a resource is gone.

        Without a stanza from the client the server writes one.
        """
        account = resource.account
        sender = resource.jid.text
        gone = stanza or build_stanza("presence", type="unavailable", sender=sender)
        notified = set()
        if resource.presence is not None:
            self._broadcast(resource, gone)
            notified = {item.jid for item in account.roster.items.values() if item.state in FROM}
        for address in resource.directed:
            contact = jid(address)
            if contact.bare not in notified and not self._withheld(account, contact):
                self._router.route(gone.replace(to=address))
        if resource.presence is not None:
            for other in account.available():
                if other is not resource:
                    other.deliver(gone.replace(to=other.jid.text))
            account.last_unavailable = (self._environment.runtime.now(), gone)
        if stanza is not None:
            resource.deliver(gone.replace(to=resource.jid.text))
        resource.presence, resource.priority = None, 0
        resource.directed.clear()

    def _broadcast(self, resource: Resource, stanza: Stanza) -> None:
        account = resource.account
        contacts = [item.jid for item in account.roster.items.values() if item.state in FROM]
        self._router.route_all(
            stanza.replace(to=contact)
            for contact in contacts
            if not self._withheld(account, jid(contact))
        )

    def _note_directed(self, resource: Resource, to: Jid, stanza: Stanza) -> None:
        """RFC 6121 §4.6.3: notes who must be notified when the resource goes.

        Contacts that a broadcast reaches need no note.
        """
        account = resource.account
        broadcast = resource.presence is not None and account.roster.state(to.bare) in FROM
        if stanza.type == "unavailable":
            resource.directed.pop(to.text, None)
        elif not broadcast and to.bare != account.address:
            if len(resource.directed) >= ITEMS:
                text = f"directed presence reaches {ITEMS} at most"
                raise StanzaError("resource-constraint", text)
            resource.directed[to.text] = None

    # ── what arrives for an account ──────────────────────────────────────────

    def receive(self, account: Account | None, to: Jid, stanza: Stanza) -> None:
        """Handles presence for an address of this server (RFC 6121 §8.5)."""
        target = None
        if account is not None and to.resource:
            target = account.resources.get(to.resource)
        if stanza.type == "probe":
            for answer in self._answers(account, to, stanza):
                self._router.route(answer)
        elif account is None:
            return
        elif stanza.type in (None, "unavailable"):
            if stanza.type == "unavailable":
                # RFC 6121 §4.6.1: an entity that is gone for a resource need not learn its end.
                sender = jid(stanza.sender or "").text
                told = account.resources.values() if not to.resource else filter(None, [target])
                for resource in told:
                    resource.directed.pop(sender, None)
            if not to.resource:
                for resource in account.available():
                    resource.deliver(stanza)
            elif target is not None:
                target.deliver(stanza)
        elif stanza.type == "error" and target is not None:
            target.deliver(stanza)

    def _answers(self, account: Account | None, to: Jid, probe: Stanza) -> list[Stanza]:
        """RFC 6121 §4.3.2, §4.6.6: the answers to a probe, in the order of the rules there."""
        asker = jid(probe.sender or "")
        if account is None or self._withheld(account, asker):
            return []
        allowed = account.roster.state(asker.bare) in FROM or asker.bare == account.address
        if not allowed:
            target = account.resources.get(to.resource)
            if target is not None and has_directed(target, asker):
                return [_bare_presence(to, probe)]
            answer = build_stanza(
                "presence", type="unsubscribed", sender=to.bare, to=asker.bare, id=probe.id
            )
            return [answer]
        if to.resource:
            target = account.resources.get(to.resource)
            available = target is not None and target.presence is not None
            return [_bare_presence(to, probe, None if available else "unavailable")]
        shown = [
            resource.presence.replace(to=probe.sender)
            for resource in account.available()
            if resource.presence is not None
        ]
        return shown or [self.last_seen(account).replace(to=probe.sender, id=probe.id)]

    def last_seen(self, account: Account) -> Stanza:
        """Unavailable presence of the account, with the time of the last one if there was one."""
        gone = build_stanza("presence", type="unavailable", sender=account.address)
        if account.last_unavailable is None:
            return gone
        return with_child(gone, delay(account.jid.domain, account.last_unavailable[0]))

    def show(self, account: Account, contact: str, gone: bool) -> None:
        """Sends a contact the presence of each available resource, or that it is unavailable."""
        if self._withheld(account, jid(contact)):
            return
        for resource in account.available():
            shown = resource.presence
            if gone:
                shown = build_stanza("presence", type="unavailable", sender=resource.jid.text)
            if shown is not None:
                self._router.route(shown.replace(to=contact))


def has_directed(resource: Resource, asker: Jid) -> bool:
    """Whether the resource has sent directed presence to an address or its bare address."""
    return asker.text in resource.directed or asker.bare in resource.directed


def _bare_presence(to: Jid, probe: Stanza, type: str | None = None) -> Stanza:
    """The answer to a probe for one resource: presence without details."""
    return build_stanza("presence", type=type, sender=to.text, to=probe.sender, id=probe.id)


def _priority(stanza: Stanza) -> int:
    """RFC 6121 §4.7.2.3: the priority, -128 to 127; 0 if it is absent or not a number."""
    text = stanza.child_text("priority").strip()
    try:
        return min(max(int(text), -128), 127) if len(text) < 8 else 0
    except ValueError:
        return 0
