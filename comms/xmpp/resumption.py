"""The client's side of XEP-0198: what was sent and not acknowledged, and how a session goes on.

A `Resumption` counts and keeps; it does no I/O, so that it can be tested without a connection. It
outlives the connections of one client. Both sides count stanzas modulo 2³².
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from comms.xmpp.addresses import Jid
from comms.xmpp.stream import Malformed

SM = "urn:xmpp:sm:3"
MODULO = 1 << 32
EVERY = 5  # stanzas after which the server is asked for an acknowledgement
KEPT = 1000  # stanzas that are kept; a server that acknowledges none of them is not waited for


class Resumption:
    """What a session needs to go on with another connection.

    With `confirms`, a stanza of the server counts as handled only when the program has confirmed
    that: see `Client.confirm`.
    """

    def __init__(self, confirms: bool = False) -> None:
        self._confirms = confirms
        self.id = ""  # of the session; "" if it cannot be resumed
        self.jid: Jid | None = None
        self.active = False  # the server counts, too
        self.since: float = math.inf  # when the session began, in seconds since the epoch
        self.handled = 0  # stanzas of the server, which it may forget
        self._arrived = 0  # stanzas of the server
        self._taken = 0  # how many had arrived when the program took its messages last
        self._again = 0  # stanzas that will come again, because the server could not forget them
        self._acknowledged = 0  # stanzas of ours that the server has handled
        self._waiting: deque[tuple[Element, bytes]] = deque()

    def begin(self, id: str, jid: Jid, now: float) -> None:
        """Stream management is on. What waited before has been taken by `forget`."""
        self.id, self.jid, self.active = id, jid, True
        self.since = math.floor(now)  # the times in stamps are in whole seconds
        self.handled = self._acknowledged = self._arrived = self._taken = self._again = 0
        self._waiting.clear()

    def forget(self) -> list[Element]:
        """The session is over. Returns the stanzas that were not acknowledged, oldest first."""
        lost = [element for element, _ in self._waiting]
        self.id, self.jid, self.active, self.since = "", None, False, math.inf
        self._waiting.clear()
        return lost

    def received(self) -> bool:
        """Counts a stanza of the server. Returns whether it had arrived before."""
        if self._again:
            self._again -= 1
            return True
        self._arrived = (self._arrived + 1) % MODULO
        if not self._confirms:
            self.handled = self._arrived
        return False

    def taken(self) -> None:
        """The program has taken the messages that had arrived."""
        self._taken = self._arrived

    def confirm(self) -> bool:
        """The program has handled what it has taken. Returns whether the server should know."""
        before, self.handled = self.handled, self._taken if self._confirms else self.handled
        return self.handled != before

    def resumed(self) -> None:
        """The session goes on: the server sends again what it could not forget."""
        self._again = (self._arrived - self.handled) % MODULO

    @property
    def is_full(self) -> bool:
        """Whether to wait for acknowledgements before more is sent, except for answers."""
        return 2 * len(self._waiting) >= KEPT

    def sent(self, element: Element, data: bytes) -> bool:
        """Keeps a stanza that is sent now. Returns whether to ask for an acknowledgement.

        Raises Malformed if the server acknowledges nothing.
        """
        if len(self._waiting) >= KEPT:
            raise Malformed("resource-constraint", f"{KEPT} stanzas were not acknowledged")
        self._waiting.append((element, data))
        return len(self._waiting) % EVERY == 0

    def acknowledge(self, h: str) -> None:
        """The server has handled `h` stanzas in all. Raises Malformed if that cannot be."""
        if not (h.isascii() and h.isdigit() and len(h) <= 10 and int(h) < MODULO):
            raise Malformed("policy-violation", f"{h[:20]!r} is not a count of stanzas")
        count = (int(h) - self._acknowledged) % MODULO
        if count > len(self._waiting):
            raise Malformed("undefined-condition", f"{h} stanzas are acknowledged, fewer were sent")
        for _ in range(count):
            self._waiting.popleft()
        self._acknowledged = int(h)

    def again(self) -> Iterator[bytes]:
        """What must be sent again on the connection that goes on."""
        return (data for _, data in list(self._waiting))
