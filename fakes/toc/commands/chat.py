"""Chat rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes.toc import messages
from fakes.toc.arguments import arguments, encoding_and_language
from fakes.toc.lists import fold
from fakes.toc.messages import error
from fakes.toc.presence import Im, Unavailable
from fakes.toc.rooms import EXCHANGE, Room
from fakes.wire import Refuse, Unit

if TYPE_CHECKING:
    from fakes.toc.session import Toc


# ── joining and leaving ──────────────────────────────────────────────────────


def toc_chat_join(session: Toc, unit: Unit) -> None:
    """`exchange name`: join a room, which is created if needed."""
    exchange, *words = arguments(unit, 2)
    name = " ".join(words)  # some clients do not quote a name that has a space
    room = session.aim.rooms.open(name) if exchange == EXCHANGE else None
    if room is None or not session.aim.rooms.join(room, session.presence):
        raise Refuse(error(messages.NO_CHAT, name))


def toc_chat_accept(session: Toc, unit: Unit) -> None:
    """`room`: join the room of an invitation."""
    number = arguments(unit, 1)[0]
    room = session.aim.rooms.find(number)
    if room is None or not session.aim.rooms.join(room, session.presence):
        raise Refuse(error(messages.NO_CHAT, number))


def toc_chat_invite(session: Toc, unit: Unit) -> None:
    """`room message user…`: invite users to a room."""
    number, text, *names = arguments(unit, 3)
    room = _joined_room(session, number)
    for name in names:
        try:
            guest = session.aim.reachable(session.presence, name)
        except Unavailable:
            session.say(error(messages.UNAVAILABLE, name))  # the others are still invited
        else:
            guest.door.on_invited(room, session.presence.name, text)


def toc_chat_leave(session: Toc, unit: Unit) -> None:
    """`room`: leave a room."""
    room = _joined_room(session, arguments(unit, 1)[0])
    session.aim.rooms.leave(room, session.presence)
    session.presence.door.on_left(room)


# ── talking ──────────────────────────────────────────────────────────────────


def toc_chat_send(session: Toc, unit: Unit) -> None:
    """`room message`: send a message to all members, the sender included."""
    number, text, *_ = arguments(unit, 2)
    room = _joined_room(session, number)
    room.say(_room_message(session, room, text))


def toc_chat_send_enc(session: Toc, unit: Unit) -> None:
    """`room encoding message`: the same with an encoding."""
    number, encoding, text, *_ = arguments(unit, 3)
    room = _joined_room(session, number)
    room.say(_room_message(session, room, text, encoding))


def toc_chat_whisper(session: Toc, unit: Unit) -> None:
    """`room user message`: send a message to one member."""
    number, to, text, *_ = arguments(unit, 3)
    _whisper(session, _joined_room(session, number), to, text)


def toc_chat_whisper_enc(session: Toc, unit: Unit) -> None:
    """`room encoding user message`: the same with an encoding."""
    number, encoding, to, text, *_ = arguments(unit, 4)
    _whisper(session, _joined_room(session, number), to, text, encoding)


def _whisper(session: Toc, room: Room, to: str, text: str, encoding: str = "L") -> None:
    for member in room.members:
        if fold(member.name) == fold(to):
            im = _room_message(session, room, text, encoding)
            member.door.on_room_message(room, im, whisper=True)
            return
    raise Refuse(error(messages.UNAVAILABLE, to))


def _room_message(session: Toc, room: Room, text: str, encoding: str = "L") -> Im:
    sender, raw = session.presence.name, text.encode("latin-1")
    return Im(
        session.runtime.now(), sender, room.name, raw, False, *encoding_and_language(encoding)
    )


def _joined_room(session: Toc, number: str) -> Room:
    """Returns a room that the user is in. Raises Refuse."""
    room = session.aim.rooms.find(number)
    if room is None or session.presence not in room.members:
        raise Refuse(error(messages.NO_CHAT, number))
    return room
