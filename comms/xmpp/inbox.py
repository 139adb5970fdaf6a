"""What has come and was not taken yet: taken by polling, or handed to handlers, one value at a time, in the same order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from comms.callbacks import call
from comms.host import Host
from comms.xmpp.addresses import Jid
from comms.xmpp.stanzas import Message, Presence

HELD = (
    1 << 22
)  # octets of messages that may wait (each counts 1 KiB more): about four thousand short ones
PEOPLE = 1000  # whose wish to see us, or whose permission, may wait

Handler = Callable[[Any], object]
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class Inbox:
    """Bounded queues, and the handlers that empty them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.messages: deque[tuple[Message, int]] = deque()
        self.presence: dict[Jid, Presence] = {}
        self.subscriptions: dict[Jid, Presence] = {}
        self.requests: dict[Jid, Presence] = {}
        self._held = 0
        self._told: dict[Jid, tuple[str, str]] = {}  # contact → what the program knows of it
        self._handlers: dict[str, list[Handler]] = {}
        self._handling = False

    # ── coming ───────────────────────────────────────────────────────────────

    def has_room(self, times: int = 1) -> bool:
        """Whether more messages may come; up to so many times what should be enough."""
        return self._held <= times * HELD

    def put(self, message: Message, octets: int) -> None:
        """A message that may be acted on."""
        self.messages.append((message, octets + 1024))
        self._held += octets + 1024

    def put_presence(self, kind: dict[Jid, Presence], presence: Presence) -> None:
        """Somebody's wish to see us, or their permission to see them: one a person."""
        if presence.sender is None:
            return
        if len(kind) < PEOPLE or presence.sender.bare in kind:
            kind[presence.sender.bare] = presence
        else:
            sender = str(presence.sender)
            self._host.log(
                "request-ignored", "warning", sender=sender, trouble="too many wait for an answer"
            )

    def forget(self, bare: Jid) -> None:
        """Somebody is no longer a contact."""
        self.presence.pop(bare, None)
        self._told.pop(bare, None)

    # ── going ────────────────────────────────────────────────────────────────

    def take_messages(self) -> Iterator[Message]:
        """The messages, oldest first."""
        while self.messages:
            message, octets = self.messages.popleft()
            self._held -= octets
            yield message

    def take_presence(self) -> Iterator[Presence]:
        """Each contact whose presence is another than the one that was told last, once."""
        for presence in take(self.presence):
            bare, news = presence.sender, (presence.show, presence.text)
            if bare is not None and self._told.get(bare, ("unavailable", "")) != news:
                self._told[bare] = news
                yield presence

    def on(self, kind: str, handler: _Handler) -> _Handler:
        """From now on `dispatch` calls this with every value of a kind. Returns it, to decorate with."""
        self._handlers.setdefault(kind, []).append(handler)
        return handler

    def dispatch(self) -> None:
        """Empties the queues into the handlers. While one is at work nothing else is handed out: it is not called again."""
        if self._handling or not self._handlers:
            return
        self._handling = True
        try:
            for kind, taken in (
                ("new-subscription", take(self.subscriptions)),
                ("subscription-request", take(self.requests)),
                ("presence", self.take_presence()),
                ("message", self.take_messages()),
            ):
                for value in taken if kind in self._handlers else ():
                    for handler in self._handlers[kind]:
                        call(self._host, handler, value)
        finally:
            self._handling = False


def take(waiting: dict[Jid, Presence]) -> Iterator[Presence]:
    """Empties a queue of people, oldest first."""
    while waiting:
        yield waiting.pop(next(iter(waiting)))
