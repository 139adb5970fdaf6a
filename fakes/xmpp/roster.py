"""The roster of an account: its items as values, versions, and what a client may ask and set (RFC 6121 §2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import jid
from fakes.xmpp.markup import ROSTER, element
from fakes.xmpp.stanzas import Stanza, StanzaError, made
from fakes.xmpp.subscriptions import ASKED, ASKING, SEEN, SEES, SUBSCRIPTION

if TYPE_CHECKING:
    from fakes.xmpp.service import Request, Service
    from fakes.xmpp.sessions import Account, Resource

NAME = 1023  # characters of a name or a group (RFC 6121 §2.3.3: a limit of the server's)
ITEMS = 1000  # items of a roster


@dataclass(slots=True)
class Item:
    """What one account holds of one contact. An item that was never made is a note on the side (RFC 6121 A.1)."""

    jid: str
    name: str = ""
    groups: tuple[str, ...] = ()
    state: str = "N"
    approved: bool = False
    made: bool = False  # it shows in the roster
    request: Stanza | None = None  # theirs, until it is answered
    version: int = 0

    @property
    def subscription(self) -> str:
        """none, to, from or both."""
        return SUBSCRIPTION[self.state]

    @property
    def ask(self) -> bool:
        """Whether a request of ours is pending."""
        return self.state in ASKED

    def element(self) -> Element:
        """It as a client sees it (RFC 6121 §2.1.2)."""
        shown = element(
            f"{{{ROSTER}}}item",
            {
                "jid": self.jid,
                "name": self.name or None,
                "subscription": self.subscription,
                "ask": "subscribe" if self.ask else None,
                "approved": "true" if self.approved else None,
            },
        )
        shown.extend(element(f"{{{ROSTER}}}group", text=group) for group in self.groups)
        return shown


@dataclass
class Roster:
    """All items of one account. `version` counts what pushes have shown; `removed` is what they took away."""

    items: dict[str, Item] = field(default_factory=dict)
    version: int = 0
    removed: dict[str, int] = field(default_factory=dict)

    def shown(self) -> Iterator[Item]:
        """The items that a client sees."""
        return (item for item in self.items.values() if item.made)

    def state(self, contact: str) -> str:
        """The subscription state, N when there is none."""
        item = self.items.get(contact)
        return item.state if item is not None else "N"

    def item(self, contact: str) -> Item:
        """The item of a contact, made on the side when there is none."""
        return self.items.setdefault(contact, Item(contact))

    def touch(self, item: Item) -> None:
        """The item is about to be pushed: it shows from now on, as a new version."""
        item.made = True
        self.version += 1
        item.version = self.version
        self.removed.pop(item.jid, None)

    def remove(self, contact: str) -> None:
        """Takes an item away; versions remember it."""
        del self.items[contact]
        self.version += 1
        self.removed[contact] = self.version
        while len(self.removed) > ITEMS:
            del self.removed[next(iter(self.removed))]

    def tidy(self, item: Item) -> None:
        """Forgets a note that says nothing any more."""
        if not item.made and item.state == "N" and not item.approved:
            self.items.pop(item.jid, None)


class Rosters:
    """What clients ask of rosters, and what is pushed to them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._mark = f"{int(service.runtime.now()):x}"  # a version of another world, kept by a client, is none of ours

    def handle(self, request: Request) -> Iterable[Element] | None:
        """A get or set of jabber:iq:roster."""
        if request.resource is None or request.account is not request.resource.account:
            raise StanzaError("forbidden")  # RFC 6121 §2.3.3
        if request.stanza.type == "set":
            self._set(request.account, request.payload)
            return ()
        return self._get(request.account, request.resource, request.payload, request.stanza.id is not None)

    def _get(self, account: Account, resource: Resource, query: Element, answered: bool) -> Iterable[Element] | None:
        if len(query):
            raise StanzaError("bad-request", "a roster is asked for without items (RFC 6121 §2.1.3)")
        resource.interested = True
        roster = account.roster
        since = self._known(roster, query.get("ver")) if self._service.offers("rosterver") else None
        if since is not None:
            changed: list[tuple[int, Element]] = [
                (item.version, item.element()) for item in roster.shown() if item.version > since
            ]
            changed += [(version, _removal(contact)) for contact, version in roster.removed.items() if version > since]
            changed.sort(key=lambda one: one[0])
            # behind the empty result, one push for each change, in order (RFC 6121 §2.6.3)
            for version, shown in changed:
                self._service.later(partial(self._push, resource, shown, version))
            return ()
        found = element(f"{{{ROSTER}}}query", {"ver": self._version(roster.version)})
        found.extend(item.element() for item in roster.shown())
        return (found,)

    def _known(self, roster: Roster, version: str | None) -> int | None:
        """The version that a client says it has, if pushes can bring it up to date."""
        mark, _, digits = (version or "").partition("-")
        if mark != self._mark or not digits.isascii() or not digits.isdigit() or len(digits) > 12:
            return None
        oldest = min(roster.removed.values()) if len(roster.removed) == ITEMS else 0
        return int(digits) if oldest <= int(digits) <= roster.version else None

    def _version(self, number: int) -> str | None:
        return f"{self._mark}-{number}" if self._service.offers("rosterver") else None

    def _set(self, account: Account, query: Element) -> None:
        items = query.findall(f"{{{ROSTER}}}item")
        if len(items) != 1 or len(query) != 1:
            raise StanzaError("bad-request", "one item at a time (RFC 6121 §2.1.5)")
        said = items[0]
        try:
            contact = jid(said.get("jid", "")).bare  # RFC 6121 §2.1.2.3; a resource says nothing here
        except ValueError as error:
            raise StanzaError("jid-malformed" if said.get("jid") else "bad-request", str(error)) from None
        roster = account.roster
        if said.get("subscription") == "remove":
            if contact not in roster.items or not roster.items[contact].made:
                raise StanzaError("item-not-found")  # RFC 6121 §2.5.3
            self.remove(account, contact)
            return
        if contact == account.address:
            raise StanzaError("not-allowed", "nobody is a contact of himself")
        name = said.get("name", "")
        groups = [group.text or "" for group in said.findall(f"{{{ROSTER}}}group")]
        if len(set(groups)) < len(groups):
            raise StanzaError("bad-request", "a group is named twice")
        if "" in groups or len(name) > NAME or any(len(group) > NAME for group in groups):
            raise StanzaError("not-acceptable", "a name or group is empty or too long")
        if contact not in roster.items and len(roster.items) >= ITEMS:
            raise StanzaError("resource-constraint", f"a roster holds {ITEMS} items")
        item = roster.item(contact)
        item.name, item.groups = name, tuple(groups)  # RFC 6121 §2.4.1: exactly as sent, the subscription kept
        self.push(account, item)

    def remove(self, account: Account, contact: str) -> None:
        """RFC 6121 §2.5.2: the item goes, and with it every subscription and request, either way."""
        state = account.roster.items[contact].state
        account.roster.remove(contact)
        for resource in account.interested():
            self._push(resource, _removal(contact), account.roster.version)
        if state in SEEN:
            self._service.presence.show(account, contact, gone=True)  # RFC 6121 §3.2.2: unavailable first
        if state in SEES | ASKED:
            self._service.router.route(made("presence", type="unsubscribe", sender=account.address, to=contact))
        if state in SEEN | ASKING:
            self._service.router.route(made("presence", type="unsubscribed", sender=account.address, to=contact))

    def push(self, account: Account, item: Item) -> None:
        """Shows an item to every interested resource (RFC 6121 §2.1.6)."""
        account.roster.touch(item)
        shown = item.element()
        for resource in account.interested():
            self._push(resource, shown, item.version)

    def _push(self, resource: Resource, item: Element, version: int) -> None:
        query = element(f"{{{ROSTER}}}query", {"ver": self._version(version)}, item)
        token = "push-" + self._service.runtime.token(8)
        resource.deliver(made("iq", type="set", to=resource.jid.text, id=token, inside=(query,)))


def _removal(contact: str) -> Element:
    return element(f"{{{ROSTER}}}item", {"jid": contact, "subscription": "remove"})
