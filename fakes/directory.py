"""What every chat server keeps: who has an account, and who is online.

Each protocol compares names by its own rule, which it passes as `fold`. The state belongs to the
loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Account = TypeVar("Account")
Session = TypeVar("Session")


class Accounts(Generic[Account]):
    """The accounts, each under its name."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._accounts: dict[str, Account] = {}

    def add(self, name: str, account: Account) -> None:
        """Opens an account. Raises ValueError if the name has one already."""
        if self._fold(name) in self._accounts:
            raise ValueError(f"{name} is in this world twice; use each name for one account only")
        self._accounts[self._fold(name)] = account

    def find(self, name: str) -> Account | None:
        """The account with this name, or None."""
        return self._accounts.get(self._fold(name))

    def remove(self, name: str) -> None:
        """Closes an account. Raises KeyError if it does not exist."""
        del self._accounts[self._fold(name)]

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def __len__(self) -> int:
        return len(self._accounts)


class Sessions(Generic[Session]):
    """The sessions that are online: for each name a list, in order of arrival."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._sessions: dict[str, list[Session]] = {}

    def enter(self, name: str, session: Session) -> None:
        """Adds a session that begins."""
        self._sessions.setdefault(self._fold(name), []).append(session)

    def leave(self, name: str, session: Session) -> bool:
        """Removes a session that ends. Returns False if it was not there."""
        key = self._fold(name)
        sessions = self._sessions.get(key, [])
        if session not in sessions:
            return False
        sessions.remove(session)
        if not sessions:
            del self._sessions[key]
        return True

    def of(self, name: str) -> list[Session]:
        """The sessions of a name, oldest first."""
        return list(self._sessions.get(self._fold(name), ()))

    def __iter__(self) -> Iterator[Session]:
        """Iterates over a snapshot, so that sessions may leave meanwhile.

        The sessions of one name come together; names come in order of arrival.
        """
        return iter([session for sessions in self._sessions.values() for session in sessions])

    def __len__(self) -> int:
        return sum(map(len, self._sessions.values()))
