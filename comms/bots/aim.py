"""AIM, over TOC, as a network for bots.

The server vouches for the screen name, but TOC has no TLS: everyone who can change what is on the
wire can say anything in anybody's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from comms.bots.network import Heard, Network, shortened
from comms.clock import Clock
from comms.host import Host
from comms.toc.buddies import Buddy
from comms.toc.client import Client
from comms.toc.markup import Html
from comms.toc.messages import normalize

if TYPE_CHECKING:
    from comms.settings import Server
    from comms.state import State


class Aim(Network):
    """One screen name. What is said is marked as an auto-response, which no program answers."""

    name = "aim"
    longest = 16_000

    def __init__(
        self, server: Server, clock: Clock, host: Host, state: State | None = None
    ) -> None:
        super().__init__(state)
        self.client = Client(server, clock, host)
        self.client.on_im(self._hear)
        self._heard: list[Heard] = []

    def _hear(self, message: Html, buddy: Buddy, auto_response: bool) -> None:
        if not auto_response:
            to = {"to": buddy.name}
            self._heard.append(Heard(self, buddy.name, str(buddy), message.text, to))

    def connect(self) -> None:
        self.client.connect()

    def close(self) -> None:
        self.client.disconnect()

    def heard(self) -> Iterator[Heard]:
        self.client.wait(0)
        found, self._heard = self._heard, []
        yield from found

    def say(self, to: Mapping[str, Any], text: str) -> None:
        self.client.send_im(str(to["to"]), shortened(text, self.longest), auto_response=True)

    def present(self, who: str) -> bool:
        """Whether a user is online. Of a name that is new, the server tells us a moment later."""
        buddy = self.client.buddy_list.buddy_named(who)
        self.client.watch(buddy)
        return buddy.is_online

    def normalize(self, who: str) -> str:
        return normalize(who)
