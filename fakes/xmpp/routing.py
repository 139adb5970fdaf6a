"""The queue of stanzas on their way.

A stanza that answers another waits until that other one has had all its effects, so that the order
from any one sender to any one recipient is kept (RFC 6120 §10.1).

A presence for ten thousand contacts takes a tenth of a second, in which no other client would get
an answer. So the queue is delivered in shares, each in a turn of the event loop of its own. In a
rehearsal nothing else waits, and all is delivered at once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

from fakes.wire import Runtime
from fakes.xmpp.sessions import Resource
from fakes.xmpp.stanzas import Stanza

Deliver = Callable[[Stanza, Resource | None], None]

SHARE = 100  # stanzas per turn of the loop, which take 2 ms, or 5 on a slow machine
WAITING = 1000  # entries of the queue above which it is delivered at once, so that it cannot grow


class Router:
    """Queues stanzas and hands each to `deliver`, in order."""

    def __init__(self, runtime: Runtime | None = None) -> None:
        # Set by the service: what delivers stanzas needs parts that need this router.
        self.deliver: Deliver = lambda stanza, asker: None
        self._runtime = runtime
        self._queue: deque[tuple[Stanza | Iterator[Stanza], Resource | None]] = deque()
        self._busy = False
        self._direct = False  # in the outermost turn, and nothing was delivered yet
        self._resumes = False  # in another turn of the loop

    def route(self, stanza: Stanza, asker: Resource | None = None) -> None:
        """Sends a stanza that has a sender and a recipient on its way.

        If it cannot be delivered, the error goes to `asker`, if there is one, instead of the sender
        that the stanza names.
        """
        self._queue.append((stanza, asker))
        if not self._busy:
            self.turn(_do_nothing)

    def pass_on(self, stanza: Stanza) -> None:
        """As `route`, as the last act of a turn.

        Most turns route one stanza only. If it answers no other, and none waits, it is delivered at
        once, which saves the way through the queue.
        """
        if self._queue or not self._direct:
            self.route(stanza)
        else:
            self._direct = False
            self.deliver(stanza, None)

    def route_all(self, stanzas: Iterator[Stanza]) -> None:
        """Sends many stanzas on their way. Each is only made when it is about to be delivered."""
        self._queue.append((stanzas, None))
        if not self._busy:
            self.turn(_do_nothing)

    def turn(self, act: Callable[..., object], *arguments: object) -> None:
        """Calls `act`; what it routes is delivered at the end of the outermost turn.

        If that is much, or if earlier stanzas still wait, it is delivered in later turns of the
        loop.
        """
        if self._busy:
            self._direct = False
            act(*arguments)
            return
        self._busy = self._direct = True
        try:
            act(*arguments)
            self._direct = False
            if self._queue and (not self._resumes or len(self._queue) > WAITING):
                self._deliver_share()
        except BaseException:
            self._queue.clear()
            raise
        finally:
            self._busy = self._direct = False

    def clear(self) -> None:
        """Forgets what has not been delivered."""
        self._queue.clear()

    def _deliver_share(self) -> None:
        queue = self._queue
        later = self._runtime.later if self._runtime is not None else None
        left = math.inf if later is None or len(queue) > WAITING else SHARE
        while queue:
            if not left and later is not None:
                if not self._resumes:
                    self._resumes = True
                    later(self._resume)
                return
            left -= 1
            head, asker = queue[0]
            if isinstance(head, Stanza):
                queue.popleft()
                self.deliver(head, asker)
            elif (stanza := next(head, None)) is not None:
                self.deliver(stanza, None)
            else:
                queue.popleft()

    def _resume(self) -> None:
        self._resumes = False
        self.turn(_do_nothing)


def _do_nothing() -> None:
    """An empty turn, used to deliver the queue."""
