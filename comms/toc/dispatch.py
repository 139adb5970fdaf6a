"""What messages from the server do: they update the client, and call the program's handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from comms.callbacks import call
from comms.errors import Unreachable
from comms.host import Host
from comms.toc.buddies import Buddy, read_presence
from comms.toc.markup import Html
from comms.toc.messages import Complaint, Message, complaint, normalize, number
from comms.toc.session import UPDATES

if TYPE_CHECKING:
    from comms.toc.client import Client


class Dispatcher:
    """Handles the messages of one client. The lists hold the program's handlers."""

    def __init__(self, client: Client, own: str, host: Host) -> None:
        self.on_im: list[Callable[[Html, Buddy, bool], object]] = []
        self.on_error: list[Callable[[Complaint], object]] = []
        self.on_chat: list[Callable[[Html, Buddy, str], object]] = []
        self.muted: Buddy | None = None  # whose auto-response is being handled: it gets no answer
        self._client, self._own, self._host = client, own, host

    def handle(self, message: Message) -> None:
        """Handles one message. Raises Unreachable if the server asks for a pause."""
        if message.kind in ("IM_IN", "IM_IN2", "IM_IN_ENC2"):
            self._im(message)
        elif message.kind in UPDATES:
            self._presence(message)
        elif message.kind == "ERROR":
            self.complained(complaint(message))
        elif (
            message.kind in ("CHAT_IN", "CHAT_IN_ENC") and normalize(message["sender"]) != self._own
        ):
            buddy, room = self._buddy(message["sender"]), self._client.rooms.name(message["id"])
            for handler in self.on_chat:
                call(self._host, handler, Html(message["text"]), buddy, room)
        elif message.kind in ("CONFIG", "CONFIG2"):
            self._client.buddy_list.update(message["text"])
        elif message.kind == "NICK":
            self._client.screen_name = message["name"]
        elif message.kind == "EVILED":
            self._warned(message)
        elif message.kind == "CHAT_LEFT":
            self._client.rooms.left(message["id"])
        elif message.kind == "PAUSE":
            # Commands sent during a pause would be ignored. No server of today sends this, so the
            # client does not track pauses: it signs on again, which ends one.
            raise Unreachable("the server asks for a pause; signing on again")

    def complained(self, found: Complaint) -> None:
        """Calls the handlers for an ERROR."""
        for handler in self.on_error:
            call(self._host, handler, found)

    def _im(self, message: Message) -> None:
        if normalize(message["sender"]) == self._own:
            return
        buddy, auto_response = self._buddy(message["sender"]), message["auto"] == "T"
        # Two programs that answer each other's automatic answers would never stop.
        self.muted = buddy if auto_response else None
        try:
            for handler in self.on_im:
                call(self._host, handler, Html(message["text"]), buddy, auto_response)
        finally:
            self.muted = None

    def _warned(self, message: Message) -> None:
        try:
            self._client.warning_level = number(message["level"])
        except ValueError as error:
            self._host.log("aim-not-understood", "warning", message=message.kind, trouble=error)

    def _presence(self, message: Message) -> None:
        try:
            news = read_presence(message)
        except ValueError as error:
            self._host.log("aim-not-understood", "warning", message=message.kind, trouble=error)
            return
        buddy = self._client.buddy_list.find(news.name)
        if buddy is None:
            return
        for change in buddy.update(news):
            for handler in buddy.handlers.get(change, ()):
                call(self._host, handler)

    def _buddy(self, name: str) -> Buddy:
        buddy = self._client.buddy_list.find(name) or Buddy(self._client, name)
        buddy.screen_name = name  # as its owner writes it
        return buddy
