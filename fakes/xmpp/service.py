"""One world's Jabber service: its domains and accounts, who is bound, what may be asked, and its parts.

The parts (routing, rosters, presence, offline messages, delivery) know the service; extensions plug into it by what they
answer and by what they want to see, and nothing here knows one of them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from xml.etree.ElementTree import Element

from fakes.chat import Known
from fakes.people import People, Person
from fakes.wire import Kit
from fakes.xmpp.addresses import Jid, domain_of, jid
from fakes.xmpp.delivery import Delivery
from fakes.xmpp.markup import ROSTER
from fakes.xmpp.offline import Offline
from fakes.xmpp.policy import Policy
from fakes.xmpp.presence import Presence
from fakes.xmpp.roster import Rosters
from fakes.xmpp.routing import Router
from fakes.xmpp.sessions import Account, Outlet, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError
from fakes.xmpp.subscriptions import MIRROR, SEEN, SUBSCRIPTION

_SEEDS = {"none": "N", "to": "T", "from": "F", "both": "B"}


@dataclass(frozen=True)
class Request:
    """An IQ get or set that is for the server, or for it to answer in an account's name.

    `account` is None when the domain itself is asked; `resource` is the session that asks, None when it is elsewhere.
    """

    stanza: Stanza
    payload: Element
    to: Jid
    account: Account | None
    resource: Resource | None
    service: Service

    @property
    def own(self) -> bool:
        """Whether one asks about one's own account."""
        return self.resource is not None and self.resource.account is self.account

    @property
    def may_see(self) -> bool:
        """Whether the account shows its presence to whoever asks."""
        asker = jid(self.stanza.sender or "x")
        return self.own or (self.account is not None and self.account.roster.state(asker.bare) in SEEN)


Answer: TypeAlias = Callable[[Request], Iterable[Element] | None]


class Extension:
    """What plugs into the service. A subclass has a `name`, by which it is switched off, and says what it does."""

    name = ""
    section = ""  # its document

    def __init__(self, service: Service) -> None:
        self.service = service

    def answers(self) -> dict[tuple[str, str], Answer]:
        """("domain" or "account", `{namespace}name` of the payload) → what answers it."""
        return {}

    def domain_features(self) -> Iterable[str]:
        """What disco#info of the domain lists."""
        return ()

    def account_features(self) -> Iterable[str]:
        """What disco#info of an account lists."""
        return ()

    def domain_items(self) -> Iterable[dict[str, str | None]]:
        """What disco#items of the domain lists: services of their own, as attributes of an item."""
        return ()

    def info_node(self) -> str:
        """Another node at which disco#info of the domain answers the same; "" for none."""
        return ""

    def stream_features(self) -> Iterable[Element]:
        """What is offered on a stream after login."""
        return ()

    def withholds(self, account: Account, contact: Jid) -> bool:
        """Whether the account's presence must not reach the contact."""
        return False

    def leaves(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        """A client says something. Raises StanzaError when it may not."""

    def arrives(self, account: Account, stanza: Stanza) -> bool:
        """Something comes for an account; False: it is dropped in silence. Raises StanzaError."""
        return True

    def forgets(self, account: Account) -> None:
        """The account is gone, with all that is kept of it."""


class Service:
    """Everything of a world's Jabber that outlives a connection."""

    def __init__(
        self,
        kit: Kit,
        people: People,
        domains: Iterable[str],
        policy: Policy | None = None,
        extensions: Iterable[type[Extension]] = (),
    ) -> None:
        self.kit = kit
        self.people = people
        self.domains = tuple(dict.fromkeys(domain_of(domain) for domain in domains))
        self.policy = policy or Policy()
        self.started = kit.now()
        self.peers: set[str] = set()  # domains elsewhere that a test speaks for
        self.gone: set[str] = set()  # accounts that were deleted
        self.told: Callable[[Stanza], None] = lambda stanza: None  # whoever watches what clients say
        self.known: Known[Account] = Known(str)  # by prepared bare address
        self._closed = False
        self._later: list[Callable[[], object]] = []
        self.router = Router(self)
        self.rosters = Rosters(self)
        self.presence = Presence(self)
        self.offline = Offline(self)
        self.delivery = Delivery(self)
        self._extensions = [kind(self) for kind in extensions]
        self._leaving = [one for one in self._extensions if type(one).leaves is not Extension.leaves]
        self._arriving = [one for one in self._extensions if type(one).arrives is not Extension.arrives]
        self._withholding = [one for one in self._extensions if type(one).withholds is not Extension.withholds]
        # what may be asked → who answers, and the name by which that is switched off
        self._answers: dict[tuple[str, str], tuple[str, Answer]] = {
            ("account", f"{{{ROSTER}}}query"): ("roster", self.rosters.handle)
        }
        for extension in self._extensions:
            self._answers.update({asked: (extension.name, answer) for asked, answer in extension.answers().items()})
        self._seed()

    def _seed(self) -> None:
        """The contacts that the world's people begin with. Raises ValueError where two of them disagree."""
        for account in self.accounts():
            for contact, subscription in account.person.contacts.items() if account.person else ():
                self.befriend(account.address, contact, subscription, agreed=True)

    def befriend(self, user: str, contact: str, subscription: str = "both", *, agreed: bool = False) -> None:
        """Puts contacts into rosters, mirrored where the contact is here too.

        `agreed`: what stands there already must say the same. Raises ValueError.
        """
        account, other = self.account(jid(user)), jid(contact)
        if account is None:
            raise ValueError(f"nobody here has the address {user}")
        if subscription not in _SEEDS:
            raise ValueError(f"contacts: {subscription!r} is none of {', '.join(_SEEDS)}")
        state = _SEEDS[subscription]
        self._befriended(account, other.bare, state, agreed)
        mirrored = self.account(other)
        if mirrored is not None and mirrored is not account:
            self._befriended(mirrored, account.address, MIRROR[state], agreed)

    def _befriended(self, account: Account, contact: str, state: str, agreed: bool) -> None:
        item = account.roster.item(contact)
        if agreed and item.made and item.state != state:
            raise ValueError(
                f"contacts of {account.address}: {contact} is {item.subscription!r} by one entry and "
                f"{SUBSCRIPTION[state]!r} by another; what one sees as 'to' the other sees as 'from'"
            )
        item.state = state
        if state != "N" or contact in (account.person.contacts if account.person else ()):
            account.roster.touch(item)
        account.roster.tidy(item)

    # ── who and what there is ────────────────────────────────────────────────────────────────────────────────────

    def offers(self, name: str) -> bool:
        """Whether the server has this feature or extension."""
        faults = self.kit.faults
        return name not in self.policy.off and not (faults and faults.lacks("xmpp", name))

    @property
    def extensions(self) -> list[Extension]:
        """Those that are not switched off."""
        return [extension for extension in self._extensions if self.offers(extension.name)]

    def leaves(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        """A client says something. Raises StanzaError when an extension says that it may not."""
        for extension in self._leaving:
            if self.offers(extension.name):
                extension.leaves(resource, stanza, to)

    def arrives(self, account: Account, stanza: Stanza) -> bool:
        """Something comes for an account; whether every extension lets it through. Raises StanzaError."""
        return all(one.arrives(account, stanza) for one in self._arriving if self.offers(one.name))

    def is_here(self, address: Jid) -> bool:
        """Whether the domain is served here."""
        return address.domain in self.domains

    def account(self, address: Jid) -> Account | None:
        """The account of an address here, with or without a resource; None when there is none."""
        account = self.known.find(address.bare)
        if account is None and address.local and self.is_here(address) and address.bare not in self.gone:
            person = self.people.find(address.bare)
            if person is not None:
                account = Account(jid(address.bare), person)
                self.known.add(address.bare, account)
        return account

    def accounts(self) -> list[Account]:
        """Every account: of all people here, and anonymous ones."""
        for person in self.people:
            address = self._jid_of(person)
            if address is None or not self.is_here(address) or address.bare in self.gone:
                continue
            known = self.known.find(address.bare)
            if known is None or known.person is not person:
                self.known.add(address.bare, Account(address, person))  # two who share one address are an error
        return list(self.known)

    def _jid_of(self, person: Person) -> Jid | None:
        try:
            return jid(person.address)
        except ValueError:
            return None

    def anonymous(self, domain: str) -> str:
        """A fresh account that goes with its session (XEP-0175 §3)."""
        digits = "".join(f"{ord(one):02x}" for one in self.kit.token(16))
        name = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"
        account = Account(jid(f"{name}@{domain}"))
        self.known.add(account.address, account)
        return account.address

    def remove(self, account: Account) -> None:
        """Deletes an account, and whatever was kept or subscribed for it."""
        for resource in list(account.resources.values()):
            self.unbind(resource)
            resource.outlet.end("not-authorized", "the account is gone")
        for contact in [item.jid for item in account.roster.items.values()]:
            account.roster.items[contact].made = True
            self.router.turn(partial(self.rosters.remove, account, contact))
        for extension in self._extensions:
            extension.forgets(account)
        self.known.remove(account.address)
        if account.person is not None:
            self.gone.add(account.address)

    def resource_of(self, address: str | None) -> Resource | None:
        """The session bound to a full address."""
        where = jid(address or "x")
        account = self.known.find(where.bare)
        return account.resources.get(where.resource) if account is not None else None

    def withheld(self, account: Account, contact: Jid) -> bool:
        """Whether the account's presence must not reach the contact."""
        return any(one.withholds(account, contact) for one in self._withholding if self.offers(one.name))

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────

    def bind(self, account: Account, wanted: str, outlet: Outlet) -> Resource:
        """Binds a session (RFC 6120 §7). Raises StanzaError."""
        name = wanted
        if wanted in account.resources:
            if self.policy.conflict == "refuse":
                raise StanzaError("conflict", type="modify")
            if self.policy.conflict == "replace":
                old = account.resources[wanted]
                self.unbind(old)
                old.outlet.end("conflict", "another session took the resource")
            else:
                name = ""
        if len(account.resources) >= self.policy.resources:
            raise StanzaError("resource-constraint", f"an account has {self.policy.resources} sessions at most")
        resource = Resource(jid(f"{account.address}/{name or self.kit.token(12)}"), account, outlet)
        account.resources[resource.jid.resource] = resource
        return resource

    def unbind(self, resource: Resource) -> None:
        """The session is over."""
        account = resource.account
        if account.resources.get(resource.jid.resource) is not resource:
            return
        del account.resources[resource.jid.resource]
        if self._closed:
            return
        self.router.turn(lambda: self.presence.unavailable(resource))
        self.left(account.address)

    def left(self, address: str) -> None:
        """Somebody who had logged in is gone: an anonymous account goes with its last session (XEP-0175 §3)."""
        account = self.known.find(address)
        if account is not None and account.person is None and not account.resources:
            self.remove(account)

    def close(self) -> None:
        """From now on sessions end in silence: their ends are the world's, and nobody's news."""
        self._closed = True

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, stanza: Stanza, account: Account | None, to: Jid, asker: Resource | None = None) -> None:
        """Answers a get or set for the domain or an account; `asker` is a session that is not bound. Raises StanzaError."""
        asked = ("account" if account is not None else "domain", stanza.payload)
        name, handler = self._answers.get(asked, ("", None))
        if handler is None or not self.offers(name) or (account is None and to.resource):
            raise StanzaError("service-unavailable")  # RFC 6120 §8.4
        resource = asker or self.resource_of(stanza.sender)
        request = Request(stanza, stanza.element[0], to, account, resource, self)
        self._later.clear()
        answer = stanza.result(*(handler(request) or ()))
        if resource is not None:
            resource.deliver(answer)
        else:
            self.router.route(answer)
        waiting, self._later = self._later, []
        for act in waiting:
            act()

    def later(self, act: Callable[[], object]) -> None:
        """Has something done behind the answer to the request that is being handled."""
        self._later.append(act)

    def abroad(self, to: Jid, stanza: Stanza) -> None:
        """A stanza for another domain. There are no links to others; a test may speak for one. Raises StanzaError."""
        if to.domain not in self.peers:
            raise StanzaError("remote-server-not-found")  # RFC 6120 §10.4.3
