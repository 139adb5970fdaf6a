"""Who has an account: one person, one password, for mail and for Jabber."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass
class Person:
    """`quota` counts octets of mail; `contacts` maps a bare JID to a subscription (none, to, from, both).

    `login_delay`: seconds that must pass between POP3 logins, where they are others than everybody's.
    """

    address: str
    password: str = "secret"
    aliases: tuple[str, ...] = ()
    quota: int | None = None
    login_delay: int | None = None
    contacts: dict[str, str] = field(default_factory=dict)


class People:
    """The accounts of a world. Addresses compare without regard to case here; what was written is kept."""

    def __init__(self, people: Iterable[Person] = ()) -> None:
        self._by_address: dict[str, Person] = {}
        self._by_alias: dict[str, list[Person]] = {}
        for person in people:
            self.add(person)

    def add(self, person: Person) -> None:
        """Opens an account. Raises ValueError when the address has one already."""
        key = person.address.casefold()
        if key in self._by_address:
            raise ValueError(f"{person.address} is in this world twice; give each person one address")
        self._by_address[key] = person
        for alias in person.aliases:
            self._by_alias.setdefault(alias.casefold(), []).append(person)

    def __iter__(self) -> Iterator[Person]:
        return iter(self._by_address.values())

    def find(self, login: str) -> Person | None:
        """Who logs in with this: a whole address, or its local part when only one person has it."""
        key = login.casefold()
        if "@" in key:
            return self._by_address.get(key)
        having = [person for address, person in self._by_address.items() if address.partition("@")[0] == key]
        return having[0] if len(having) == 1 else None

    def reached_by(self, address: str) -> list[Person]:
        """Who gets mail to this address: its owner, all who have it as an alias, `NAME+anything` too."""
        key = address.casefold()
        if key in self._by_address:
            return [self._by_address[key]]
        if key in self._by_alias:
            return list(self._by_alias[key])
        local, _, domain = key.rpartition("@")
        name, plus, _ = local.partition("+")
        return self.reached_by(f"{name}@{domain}") if plus and name else []
