"""The accounts of the served domains, and the contacts with which a world begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fakes.people import People, Person
from fakes.xmpp.addresses import Jid, jid, parse_or_none, prepare_domain
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.subscriptions import MIRROR, SUBSCRIPTION

_STATES = {"none": "N", "to": "T", "from": "F", "both": "B"}  # subscription → state


class Accounts:
    """The accounts of people, and anonymous ones.

    Accounts of people are opened when they are first looked up, because a test may add people to
    a running world.
    """

    def __init__(self, people: People, domains: Iterable[str]) -> None:
        self.people = people
        self.domains = tuple(dict.fromkeys(prepare_domain(domain) for domain in domains))
        self.gone: set[str] = set()  # the addresses of accounts that were deleted
        self.opened: set[str] = set()  # those of accounts that were opened by a client
        self._known: dict[str, Account] = {}  # by prepared bare address

    def find(self, address: Jid) -> Account | None:
        """The account of an address, with or without a resource; None if there is none."""
        account = self._known.get(address.bare)
        if account is None and address.local and address.domain in self.domains:
            person = self.people.find(address.bare) if address.bare not in self.gone else None
            if person is not None:
                account = self._known[address.bare] = Account(jid(address.bare), person)
        return account

    def all(self) -> list[Account]:
        """Every account. Raises ValueError if two people have the same prepared address."""
        for person in self.people:
            address = parse_or_none(person.address)
            if address is None or address.domain not in self.domains or address.bare in self.gone:
                continue
            known = self._known.get(address.bare)
            if known is None:
                self._known[address.bare] = Account(address, person)
            elif known.person is not person:
                raise ValueError(
                    f"{address.bare} is in this world twice; use each name for one account only"
                )
        return list(self._known.values())

    def resource(self, address: str | None) -> Resource | None:
        """The session bound to a full address; None if there is none."""
        where = jid(address or "x")
        account = self._known.get(where.bare)
        return account.resources.get(where.resource) if account is not None else None

    def open(self, address: Jid, password: str) -> bool:
        """Opens an account for a person who was not here; False if the address has one."""
        if self.find(address) is not None:
            return False
        self.gone.discard(address.bare)
        person = self.people.find(address.bare)
        if person is None:
            self.people.add(Person(address.bare, password))
        else:
            person.password = password  # of an account that was deleted
        self.opened.add(address.bare)
        return self.find(address) is not None

    def open_anonymous(self, domain: str, token: Callable[[int], str]) -> Account:
        """Opens an account under a new UUID (XEP-0175 §3); `token` is the source of randomness."""
        digits = "".join(f"{ord(character):02x}" for character in token(16))
        parts = (digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}", digits[20:32])
        account = Account(jid(f"{'-'.join(parts)}@{domain}"))
        self._known[account.address] = account
        return account

    def close(self, account: Account) -> None:
        """Removes an account. That of a person is remembered as gone, and not opened again.

        Does nothing if it is removed already.
        """
        if self._known.get(account.address) is not account:
            return
        del self._known[account.address]
        self.opened.discard(account.address)
        if account.person is not None:
            self.gone.add(account.address)

    # ── contacts ─────────────────────────────────────────────────────────────

    def add_contacts(self) -> None:
        """Fills the rosters with the contacts of people. Raises ValueError if two disagree."""
        for account in self.all():
            contacts = account.person.contacts if account.person is not None else {}
            for contact, subscription in contacts.items():
                self.befriend(account.address, contact, subscription, strict=True)

    def befriend(
        self, user: str, contact: str, subscription: str = "both", *, strict: bool = False
    ) -> None:
        """Puts a contact into a roster, and the user into the contact's if that account is here.

        `subscription` is none, to, from or both, as the user sees it. Raises ValueError if the user
        does not exist, the subscription is unknown, or with `strict` a roster says otherwise.
        """
        account, other = self.find(jid(user)), jid(contact)
        if account is None:
            raise ValueError(f"no account with the address {user}; add a person with this address")
        if subscription not in _STATES:
            raise ValueError(
                f"contacts of {account.address}: unknown subscription {subscription!r} "
                f"for {other.bare}; choose none, to, from or both"
            )
        state = _STATES[subscription]
        self._set_state(account, other.bare, state, strict)
        other_account = self.find(other)
        if other_account is not None and other_account is not account:
            self._set_state(other_account, account.address, MIRROR[state], strict)

    def _set_state(self, account: Account, contact: str, state: str, strict: bool) -> None:
        item = account.roster.item(contact)
        if strict and item.visible and item.state != state:
            raise ValueError(
                f"contacts of {account.address}: {contact} is {item.subscription!r} in one entry "
                f"and {SUBSCRIPTION[state]!r} in another; 'to' on one side means 'from' on the "
                "other, so write the entry on one side only"
            )
        item.state = state
        # Without a subscription the contact is in the roster only if the world file says so.
        named = account.person is not None and contact in account.person.contacts
        if state != "N" or named:
            account.roster.mark_changed(item)
        account.roster.discard_if_empty(item)
