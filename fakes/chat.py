"""What every chat server keeps, whatever it speaks: who is known, who is on line, and what has been said.

Names are compared by the protocol's own rule, handed in as `fold`. State belongs to the world's loop; a test reads it
through the classes that stand on these.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, overload

from fakes.bridge import Bridge

WAIT = 5.0  # real seconds that a test waits for a message before it fails
MOST = 100_000  # messages that are remembered, the last ones: a server may run for months

Account = TypeVar("Account")
Session = TypeVar("Session")
Said = TypeVar("Said")


class Known(Generic[Account]):
    """The accounts, each under its name."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._accounts: dict[str, Account] = {}

    def add(self, name: str, account: Account) -> None:
        """Opens an account. Raises ValueError when the name, or one that folds to it, has one already."""
        if self._fold(name) in self._accounts:
            raise ValueError(f"{name} is in this world twice; give each account a name of its own")
        self._accounts[self._fold(name)] = account

    def find(self, name: str) -> Account | None:
        """Whose name this is."""
        return self._accounts.get(self._fold(name))

    def remove(self, name: str) -> None:
        """Closes an account. Raises KeyError when there is none."""
        del self._accounts[self._fold(name)]

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def __len__(self) -> int:
        return len(self._accounts)


class Online(Generic[Session]):
    """Who is signed on: under each name its sessions, in order of arrival."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._sessions: dict[str, list[Session]] = {}

    def enter(self, name: str, session: Session) -> None:
        """A session begins."""
        self._sessions.setdefault(self._fold(name), []).append(session)

    def leave(self, name: str, session: Session) -> bool:
        """A session ends; whether it was there."""
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
        """Every session that there is now; those of one name together, names in order of their arrival."""
        return iter([session for sessions in self._sessions.values() for session in sessions])

    def __len__(self) -> int:
        return sum(map(len, self._sessions.values()))


class Heard(Generic[Said]):
    """The messages that have reached somebody, in order; a test reads them and waits for them."""

    def __init__(self, bridge: Bridge, what: str) -> None:
        self._bridge = bridge
        self._what = what  # how one message is called in a failure: "IM", "message"
        self._heard: deque[Said] = deque(maxlen=MOST)

    def tell(self, message: Said) -> None:
        """A message has reached somebody. Called on the loop's thread."""
        self._heard.append(message)
        self._bridge.changed()

    @property
    def all(self) -> list[Said]:
        """Every message so far."""
        return self._bridge.call(lambda: list(self._heard))

    @overload
    def wait_for(self, wanted: Callable[[Said], bool], timeout: float = WAIT) -> Said: ...
    @overload
    def wait_for(self, wanted: int = 1, timeout: float = WAIT) -> list[Said]: ...
    def wait_for(self, wanted: int | Callable[[Said], bool] = 1, timeout: float = WAIT) -> Said | list[Said]:
        """Waits for one message that fits a predicate and gives it, or for n messages in all and gives them.

        Raises AssertionError, saying what did come, when it does not come in time or more than asked for comes.
        """
        return self._judged(wanted, timeout, self._bridge.wait_until(lambda: self._found(wanted), timeout))

    @overload
    async def arrival(self, wanted: Callable[[Said], bool], timeout: float = WAIT) -> Said: ...
    @overload
    async def arrival(self, wanted: int = 1, timeout: float = WAIT) -> list[Said]: ...
    async def arrival(self, wanted: int | Callable[[Said], bool] = 1, timeout: float = WAIT) -> Said | list[Said]:
        """The twin of `wait_for` for tests that run on a loop."""
        return self._judged(wanted, timeout, await self._bridge.until(lambda: self._found(wanted), timeout))

    def forget(self) -> None:
        """Forgets the messages so far."""
        self._bridge.call(self._heard.clear)

    def assert_none(self, unwanted: Callable[[Said], bool] = lambda message: True, within: float = 0.0) -> None:
        """Fails if a message that fits has come, or comes within so many real seconds."""

        def found() -> list[Said] | None:
            return [message for message in self._heard if unwanted(message)] or None

        seen = self._bridge.wait_until(found, within) if within else self._bridge.call(found)
        if seen:
            raise AssertionError(f"no such {self._what} was expected, but there came:\n{_listing(seen)}")

    def _found(self, wanted: int | Callable[[Said], bool]) -> list[Said] | None:
        if callable(wanted):
            return [message for message in self._heard if wanted(message)] or None
        return list(self._heard) if len(self._heard) >= wanted else None

    def _judged(self, wanted: int | Callable[[Said], bool], timeout: float, found: list[Said] | None) -> Said | list[Said]:
        asked = f"one {self._what} that fits" if callable(wanted) else f"{wanted} {self._what}(s)"
        if found is None:
            raise AssertionError(f"{asked} expected within {timeout:g} s; what came:\n{_listing(self.all)}")
        if len(found) > (1 if callable(wanted) else wanted):
            raise AssertionError(f"{asked} expected, but there came:\n{_listing(found)}")
        return found[0] if callable(wanted) else found


def _listing(messages: list[Said]) -> str:
    return "\n".join(f"  {message}" for message in messages) or "  (nothing)"
