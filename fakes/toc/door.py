"""Sends a TOC client what other users, and the world, do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes.toc import messages
from fakes.toc.messages import Form, error
from fakes.toc.presence import Im, Status
from fakes.toc.rooms import Room

if TYPE_CHECKING:
    from fakes.toc.session import Toc


class ClientDoor:
    """The `Door` of a user who is signed on through a connection: each event becomes a message.

    What another user has written may be too long for a message, because the sender's limit is that
    of a command, to which the server adds fields. The client then learns that it has missed
    something (ERROR 961).
    """

    def __init__(self, session: Toc) -> None:
        self._session = session

    def on_im(self, im: Im) -> bool:
        session = self._session
        if not self._say_from(im.sender, messages.im(im, session.form)):
            return False
        # A test that waits for the IM must not see it before the client can have received it.
        session.when_written(lambda: session.aim.add_arrival(im))
        return True

    def on_status(self, status: Status) -> None:
        for message in messages.status(status, self._session.form):
            self._session.say(message)

    def on_warned(self, level: int, by: str) -> None:
        self._session.say(f"EVILED:{level}:{by}")

    def on_typing(self, name: str, event: int) -> None:
        if self._session.form is not Form.TOC1:  # TOC 1.0 has no such message
            self._session.say(f"CLIENT_EVENT2:{name}:{event}")

    def on_joined(self, room: Room) -> None:
        self._session.say(f"CHAT_JOIN:{room.number}:{room.name}")

    def on_left(self, room: Room) -> None:
        self._session.say(f"CHAT_LEFT:{room.number}")

    def on_members(self, room: Room, inside: bool, names: list[str]) -> None:
        for message in messages.room_members(room, inside, names):
            self._session.say(message)

    def on_room_message(self, room: Room, im: Im, whisper: bool) -> None:
        self._say_from(im.sender, messages.room_message(room, im, whisper, self._session.form))

    def on_invited(self, room: Room, by: str, text: str) -> None:
        self._say_from(by, f"CHAT_INVITE:{room.name}:{room.number}:{by}:{text}")

    def on_replaced(self) -> None:
        self._session.end_replaced()

    def on_message(self, message: str) -> None:
        self._session.say(message)

    def on_pause(self, seconds: float) -> None:
        self._session.pause(seconds)

    def _say_from(self, sender: str, message: str) -> bool:
        """Sends what another user has written; False if only ERROR 961 could be sent."""
        if messages.is_too_long(message):
            self._session.say(error(messages.TOO_BIG, sender))
            return False
        self._session.say(message)
        return True
