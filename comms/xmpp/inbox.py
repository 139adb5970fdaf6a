"""What has arrived and was not taken yet.

A program takes it by polling, or gets it by handlers: one value at a time, in the same order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sized
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from xml.etree.ElementTree import Element

from comms.callbacks import call
from comms.host import Host
from comms.xmpp.addresses import Jid
from comms.xmpp.stanzas import Message, Presence

HELD = 1 << 22  # bytes of messages that may wait: about four thousand short ones
OVERHEAD = 1024  # bytes that each message counts in addition
ERRORS = 1000  # messages of ours that have come back and wait to be taken
PEOPLE = 1000  # how many users' requests, or authorisations, may wait

Handler = Callable[[Any], object]
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class Inbox:
    """Queues of limited size, and the handlers that empty them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.messages: deque[tuple[Message, int]] = deque()  # with the bytes that each counts
        self.errors: deque[Message] = deque()  # messages of ours that have come back
        self.presence: dict[Jid, Presence] = {}
        self.subscriptions: dict[Jid, Presence] = {}
        self.requests: dict[Jid, Presence] = {}
        self._held = 0
        # contact → (show, text) that the program has got last
        self._reported: dict[Jid, tuple[str, str]] = {}
        self._handlers: dict[str, list[Handler]] = {}
        # In which order handlers get what has arrived, where it waits, and how it is taken.
        self._takers: tuple[tuple[str, Sized, Callable[[], Iterator[Any]]], ...] = (
            ("new-subscription", self.subscriptions, partial(take, self.subscriptions)),
            ("subscription-request", self.requests, partial(take, self.requests)),
            ("presence", self.presence, self.take_presence),
            ("error", self.errors, self.take_errors),
            ("message", self.messages, self.take_messages),
        )
        self._served: list[tuple[str, Sized, Callable[[], Iterator[Any]]]] = []
        self._dispatching = False

    # ── arriving ─────────────────────────────────────────────────────────────

    def has_room(self, times: int = 1) -> bool:
        """Returns whether another message may arrive, within `times` the usual limit."""
        return self._held <= times * HELD

    def put(self, message: Message, size: int) -> None:
        """Adds a message that may be acted on. `size` is in bytes."""
        self.messages.append((message, size + OVERHEAD))
        self._held += size + OVERHEAD

    def put_error(self, message: Message) -> None:
        """Adds a message that has come back, without what it contained. Only the last are kept."""
        if len(self.errors) >= ERRORS:
            self.errors.popleft()  # a program need not take them; each is in the log
        self.errors.append(replace(message, element=Element(message.element.tag)))

    def put_presence(self, queue: dict[Jid, Presence], presence: Presence) -> None:
        """Adds a request or an authorisation. There is at most one from each user."""
        if presence.sender is None:
            return
        if len(queue) < PEOPLE or presence.sender.bare in queue:
            queue[presence.sender.bare] = presence
        else:
            sender = str(presence.sender)
            reason = "too many wait for an answer"
            self._host.log("request-ignored", "warning", sender=sender, trouble=reason)

    def forget(self, bare: Jid) -> None:
        """Forgets the presence of a user who is no longer a contact."""
        self.presence.pop(bare, None)
        self._reported.pop(bare, None)

    # ── taking ───────────────────────────────────────────────────────────────

    def take_messages(self) -> Iterator[Message]:
        """Yields and removes the messages, oldest first."""
        while self.messages:
            message, size = self.messages.popleft()
            self._held -= size
            yield message

    def take_errors(self) -> Iterator[Message]:
        """Yields and removes the messages that have come back, oldest first."""
        while self.errors:
            yield self.errors.popleft()

    def take_presence(self) -> Iterator[Presence]:
        """Yields each contact whose presence differs from the one reported last."""
        for presence in take(self.presence):
            bare, news = presence.sender, (presence.show, presence.text)
            if bare is not None and self._reported.get(bare, ("unavailable", "")) != news:
                self._reported[bare] = news
                yield presence

    def on(self, kind: str, handler: _Handler) -> _Handler:
        """Makes `dispatch` call a handler with every value of a kind. Returns the handler."""
        self._handlers.setdefault(kind, []).append(handler)
        # Without handlers of a kind, its values wait to be polled.
        # In place: a handler may add another, which `dispatch` then finds.
        self._served[:] = [taker for taker in self._takers if taker[0] in self._handlers]
        return handler

    def dispatch(self) -> None:
        """Empties the queues into the handlers.

        Does nothing while a handler is at work: a handler that sends and receives would otherwise
        be called inside itself.
        """
        if self._dispatching or not self._handlers:
            return
        self._dispatching = True
        try:
            for kind, waiting, values in self._served:
                if waiting:
                    for value in values():
                        for handler in self._handlers[kind]:
                            call(self._host, handler, value)
        finally:
            self._dispatching = False


def take(queue: dict[Jid, Presence]) -> Iterator[Presence]:
    """Yields and removes the values of a queue, oldest first."""
    while queue:
        yield queue.pop(next(iter(queue)))
