"""Sends a TOC client what other users, and the world, do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes.toc import messages
from fakes.toc.messages import Form
from fakes.toc.presence import Im, Status
from fakes.toc.rooms import Room

if TYPE_CHECKING:
    from fakes.toc.session import Toc


class ClientDoor:
    """The `Door` of a user who is signed on through a connection: each event becomes a message."""

    def __init__(self, session: Toc) -> None:
        self._session = session

    def on_im(self, im: Im) -> None:
        session = self._session
        session.say(messages.im(im, session.form))
        # A test that waits for the IM must not see it before the client can have received it.
        session.when_written(lambda: session.aim.add_arrival(im))

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
        self._session.say(messages.room_message(room, im, whisper, self._session.form))

    def on_invited(self, room: Room, by: str, text: str) -> None:
        self._session.say(f"CHAT_INVITE:{room.name}:{room.number}:{by}:{text}")

    def on_replaced(self) -> None:
        self._session.end_replaced()

    def on_message(self, message: str) -> None:
        self._session.say(message)

    def on_pause(self, seconds: float) -> None:
        self._session.pause(seconds)
