"""The mail of one address: what a test waits for when others share its world.

    inbox = Inbox(world, "inbox-1@example.test", "secret")
    send_receipt(to=inbox.address)
    assert inbox.wait_for(subject="Order *").text == "Thank you!"

It waits in the words of `world.mail`, and sees no mail but that to its address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fakes.arrivals import TIMEOUT
from fakes.mail import Mail
from fakes.world import World

Predicate = Callable[[Mail], bool]


@dataclass(frozen=True)
class Inbox:
    """An account of a world, and the mail that was sent to it."""

    world: World
    address: str
    password: str

    @property
    def mails(self) -> list[Mail]:
        """What is in the maildrop now, oldest first."""
        return self.world.mail.inbox(self.address)

    def wait_for(
        self, predicate: Predicate | None = None, timeout: float = TIMEOUT, **wanted: Any
    ) -> Mail:
        """Waits for one mail to this address. See Arrivals.wait_for."""
        __tracebackhide__ = True
        return self.world.mail.wait_for(predicate, timeout, to=self.address, **wanted)

    def wait_for_n(
        self, n: int, predicate: Predicate | None = None, timeout: float = TIMEOUT, **wanted: Any
    ) -> list[Mail]:
        """Waits for n mails to this address, oldest first. See Arrivals.wait_for_n."""
        __tracebackhide__ = True
        return self.world.mail.wait_for_n(n, predicate, timeout, to=self.address, **wanted)

    async def arrival(
        self, predicate: Predicate | None = None, timeout: float = TIMEOUT, **wanted: Any
    ) -> Mail:
        """Like `wait_for`, for a test that runs on a loop."""
        __tracebackhide__ = True
        return await self.world.mail.arrival(predicate, timeout, to=self.address, **wanted)

    async def arrival_n(
        self, n: int, predicate: Predicate | None = None, timeout: float = TIMEOUT, **wanted: Any
    ) -> list[Mail]:
        """Like `wait_for_n`, for a test that runs on a loop."""
        __tracebackhide__ = True
        return await self.world.mail.arrival_n(n, predicate, timeout, to=self.address, **wanted)

    def assert_none(
        self, predicate: Predicate | None = None, within: float = 0.0, **wanted: Any
    ) -> None:
        """Raises AssertionError if a mail to this address is there, or comes meanwhile."""
        __tracebackhide__ = True
        self.world.mail.assert_none(predicate, within, to=self.address, **wanted)

    async def no_arrival(
        self, predicate: Predicate | None = None, within: float = 0.0, **wanted: Any
    ) -> None:
        """Like `assert_none`, for a test that runs on a loop."""
        __tracebackhide__ = True
        await self.world.mail.no_arrival(predicate, within, to=self.address, **wanted)
