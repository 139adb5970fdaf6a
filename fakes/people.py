"""Who has an account: one person has one address and one password, for mail and for Jabber."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from fakes.empty import EMPTY

_LOGIN = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}(?:@[^\s@\x00-\x1f\x7f]{1,255})?")


@dataclass(slots=True)
class Person:
    """An account.

    `quota` is in bytes of mail. `login_delay` is in seconds between two POP3 logins; without it the
    policy of the server holds. `folders` are those of IMAP besides INBOX; without it, the usual
    ones. `contacts` maps bare JIDs to subscriptions: none, to, from or both.
    """

    address: str
    password: str = "secret"
    aliases: tuple[str, ...] = ()
    quota: int | None = None
    login_delay: int | None = None
    contacts: Mapping[str, Literal["none", "to", "from", "both"]] = EMPTY
    folders: tuple[str, ...] | None = None


class People:
    """The accounts of a world. Addresses are compared without regard to case.

    Where `any_login` is a domain, every login to the mail servers is right, whatever its password;
    a name without a domain is in that one.
    """

    __slots__ = ("_by_address", "_by_alias", "any_login")

    def __init__(self, people: Iterable[Person] = ()) -> None:
        self.any_login = ""
        self._by_address: dict[str, Person] = {}
        self._by_alias: dict[str, list[Person]] = {}
        for person in people:
            self.add(person)

    def __repr__(self) -> str:
        return f"<People {', '.join(person.address for person in self) or '(none)'}>"

    def add(self, person: Person) -> None:
        """Opens an account. Raises ValueError if the address has one already."""
        # Interned, because most worlds have the same people, and a process may have many worlds.
        key = sys.intern(person.address.casefold())
        if key in self._by_address:
            raise ValueError(
                f"{person.address} is in this world twice; use each address for one person only"
            )
        self._by_address[key] = person
        for alias in person.aliases:
            self._by_alias.setdefault(alias.casefold(), []).append(person)

    def stored(self) -> tuple[Person, ...]:
        """Returns a copy of the accounts."""
        return tuple(copy.deepcopy(person) for person in self)

    def restore(self, stored: Iterable[Person]) -> None:
        """Opens the accounts of another world that are not in this one."""
        for person in stored:
            if person.address.casefold() not in self._by_address:
                self.add(copy.deepcopy(person))

    def __iter__(self) -> Iterator[Person]:
        return iter(self._by_address.values())

    def find(self, login: str) -> Person | None:
        """The person with this login: a whole address, or a local part that only one person has."""
        key = login.casefold()
        if "@" in key:
            return self._by_address.get(key)
        found = [
            person
            for address, person in self._by_address.items()
            if address.partition("@")[0] == key
        ]
        return found[0] if len(found) == 1 else None

    def for_login(self, login: str, password: str) -> Person | None:
        """The person whose password this login must have.

        Where every login is right, that is this password. No account is opened: the names that
        clients invent would fill the memory. The maildrop of such a name is made, and is one of
        those that nobody owns (`keep.maildrops`).
        """
        person = self.find(login)
        if not self.any_login or not _LOGIN.fullmatch(login):
            return person
        local, _, domain = login.partition("@")
        address = f"{local}@{domain or self.any_login}"
        return Person(person.address if person is not None else address, password)

    def reached_by(self, address: str) -> list[Person]:
        """The people who get mail to this address.

        That is its owner, or else everyone who has it as an alias. Without an owner, NAME+anything
        reaches NAME.
        """
        key = address.casefold()
        if key in self._by_address:
            return [self._by_address[key]]
        if key in self._by_alias:
            return list(self._by_alias[key])
        local, _, domain = key.rpartition("@")
        name, plus, _ = local.partition("+")
        return self.reached_by(f"{name}@{domain}") if plus and name else []
