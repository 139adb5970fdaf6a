"""The queue of stanzas on their way.

A stanza that answers another waits until that other one has had all its effects, so that the order
from any one sender to any one recipient is kept (RFC 6120 §10.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from fakes.xmpp.sessions import Resource
from fakes.xmpp.stanzas import Stanza

Deliver = Callable[[Stanza, Resource | None], None]


class Router:
    """Queues stanzas and hands each to `deliver`, in order."""

    def __init__(self) -> None:
        # Set by the service: what delivers stanzas needs parts that need this router.
        self.deliver: Deliver = lambda stanza, asker: None
        self._queue: deque[tuple[Stanza, Resource | None]] = deque()
        self._busy = False

    def route(self, stanza: Stanza, asker: Resource | None = None) -> None:
        """Sends a stanza that has a sender and a recipient on its way.

        If it cannot be delivered, the error goes to `asker`, if there is one, instead of the sender
        that the stanza names.
        """
        self._queue.append((stanza, asker))
        if not self._busy:
            self.turn(_do_nothing)

    def turn(self, act: Callable[[], object]) -> None:
        """Runs `act`; what it routes is delivered at the end of the outermost turn."""
        if self._busy:
            act()
            return
        self._busy = True
        try:
            act()
            while self._queue:
                self.deliver(*self._queue.popleft())
        finally:
            self._busy = False
            self._queue.clear()  # not empty only after an exception


def _do_nothing() -> None:
    """An empty turn, used to deliver the queue."""
