"""A blocking AIM client. It signs on, sends messages, and calls the program's handlers.

    client = Client(settings.server("toc"), clock, host)

    @client.on_im
    def answer(message, buddy, auto_response):
        buddy.send_im(f"You said: {message.text}")

    client.connect()        # returns when signed on, with everybody's status known
    client.wait()           # until the program is asked to stop; reconnects if necessary
    client.disconnect()

Handlers are called inside `connect` and `wait`, one at a time; there are no threads. The methods
are those of Ruby's Net::TOC, without its gaps: a refused password is an exception, the status
`online` is reported, and it is known whether an IM has arrived.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from comms.clock import Clock
from comms.errors import CommsError, SettingsError, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.toc.buddies import Buddy, BuddyList
from comms.toc.connection import Connection
from comms.toc.dispatch import Dispatcher
from comms.toc.markup import split_message, to_html
from comms.toc.messages import (
    COMMAND,
    argument,
    complaint,
    encode,
    normalize,
    quote,
    signon_command,
)
from comms.toc.rooms import Rooms

if TYPE_CHECKING:
    from comms.settings import Server

LONGEST_CHARACTER = len("&#1114111;")  # bytes that one character of a text may need

_Handler = TypeVar("_Handler", bound=Callable[..., object])


class Client:
    """A screen name on AIM. Raises SettingsError for a name or password that cannot be used."""

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self.server = server
        self.screen_name = server.screen_name or server.user
        self.buddy_list = BuddyList(self)
        self.rooms = Rooms()
        self.warning_level = 0  # 0 to 100
        self._clock, self._host = clock, host
        try:
            command = signon_command(self.screen_name, server.password)
        except ValueError as error:
            raise SettingsError(f"toc.screen_name and toc.password: {error}") from None
        self._dispatcher = Dispatcher(self, normalize(self.screen_name), host)
        self._connection = Connection(
            server,
            clock,
            host,
            self.screen_name,
            command,
            self.buddy_list,
            handle=self._dispatcher.handle,
            complained=self._dispatcher.complained,
            back=self._join_again,
        )

    # ── handlers ─────────────────────────────────────────────────────────────

    def on_im(self, handler: _Handler) -> _Handler:
        """Decorator: the function is called with (message, buddy, auto_response) for each IM.

        `message` is Html; `message.text` is what a person reads. Our own messages are not reported.
        An answer to an auto-response, sent inside the handler, is dropped: two programs that answer
        each other would never stop.
        """
        self._dispatcher.on_im.append(handler)
        return handler

    def on_error(self, handler: _Handler) -> _Handler:
        """Decorator: the function is called with a Complaint for each ERROR from the server."""
        self._dispatcher.on_error.append(handler)
        return handler

    def on_chat(self, handler: _Handler) -> _Handler:
        """Decorator: the function is called with (message, buddy, room) for each chat message.

        Our own messages are not reported.
        """
        self._dispatcher.on_chat.append(handler)
        return handler

    def watch(self, buddy: Buddy) -> None:
        """Asks for a buddy's presence while signed on, even if it is not on the stored list.

        Raises ValueError if the screen name is too long for a command.
        """
        self.buddy_list.remember(buddy)
        self._connection.watch(buddy.name)

    # ── signing on and off ───────────────────────────────────────────────────

    def connect(self) -> None:
        """Signs on, and returns when the server has sent everybody's status.

        Raises Refused for a wrong password, TryLater (ERROR 981, 983) or Unreachable. The error
        contains the server's reason.
        """
        self.rooms = Rooms()
        self._connection.connect()

    def wait(self, limit: float | None = None) -> None:
        """Handles what arrives, for `limit` seconds, or until the program is asked to stop.

        (`wait` of XMPP takes a time instead: `wait(clock.time() + 60)`.) A lost connection is
        established again after a back-off. Raises Refused if the server no longer accepts us,
        Unreachable if `connect` was not called.
        """
        self._connection.wait(limit)

    def disconnect(self) -> None:
        """Signs off; what was sent arrives first.

        Handlers remain registered, and `connect` may be called again.
        """
        self.rooms = Rooms()
        self._connection.disconnect()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.disconnect()

    # ── what a program can do ────────────────────────────────────────────────

    def send_im(self, to: Buddy | str, text: str, auto_response: bool = False) -> bool:
        """Sends an IM, which is plain text or Html. A long one is split between lines.

        Returns whether it is certain that it has arrived; some servers leave that open. Waits when
        the rate limit is exceeded. Raises Refused if nobody of that name is online (901), TryLater
        if the rate limit remains exceeded, Unreachable if the IM was not sent, Unknown if the
        connection was lost before the server could answer. Raises ValueError if the name is too
        long for a command, and for a line of Html that is too long for an IM, before anything is
        sent.
        """
        buddy = to if isinstance(to, Buddy) else Buddy(self, to)
        if self._dispatcher.muted == buddy:
            self._host.log("aim-not-answered", to=buddy, reason="an auto-response gets no answer")
            return False
        return self._send_text(
            f"toc_send_im {argument(buddy.name)} ",
            text,
            " auto" if auto_response else "",
            {901, 903, 960},
        )

    def warn(self, buddy: Buddy, anonymous: bool = False) -> None:
        """Warns a user who has recently sent an IM.

        Raises Refused (902) if that is not allowed, TryLater, Unreachable, Unknown, and ValueError
        if the name is too long for a command.
        """
        kind = "anon" if anonymous else "norm"
        self._connection.required().request(f"toc_evil {argument(buddy.name)} {kind}", {901, 902})

    def go_away(self, message: str) -> None:
        """Sets the status to away, with a message.

        Raises Unreachable, and ValueError if the message is too long for a command.
        """
        away = quote(to_html(message))
        self.send_command(f"toc_set_away {away}")
        self._connection.away = away

    def come_back(self) -> None:
        """Ends the status away. Raises Unreachable."""
        self.send_command("toc_set_away")
        self._connection.away = None

    def idle(self, seconds: float) -> None:
        """Tells the server how long the user has been idle already; 0 ends the idle time.

        Once is enough, because the server goes on counting. Raises Unreachable.
        """
        self.send_command(f"toc_set_idle {seconds:.0f}")
        since = self._clock.monotonic() - seconds if seconds > 0 else None
        self._connection.idle_since = since

    def join_chat(self, room: str) -> None:
        """Enters a chat room.

        Raises Refused (950), Unreachable, and ValueError if the name is too long for a command.
        """
        session = self._connection.required()
        session.send(f"toc_chat_join 4 {quote(room)}")
        for message in session.receive_for(self.server.timeout):
            if message.kind == "CHAT_JOIN":
                self.rooms.joined(message["id"], message["room"])
                return
            if message.kind == "ERROR" and complaint(message).code == 950:
                raise session.error_for(complaint(message))
        raise Unreachable(f"{session.where} does not answer about the chat room {room!r}")

    def send_chat(self, room: str, text: str) -> bool:
        """Sends a message to a chat room. Returns and raises the same as `send_im`.

        Raises Refused if the room was not joined, too.
        """
        return self._send_text(f"toc_chat_send {self.rooms.id(room)} ", text, "", {903, 950, 960})

    def leave_chat(self, room: str) -> None:
        """Leaves a chat room. Raises Refused if it was not joined, Unreachable."""
        id = self.rooms.id(room)
        self.send_command(f"toc_chat_leave {id}")
        self.rooms.left(id)

    def send_command(self, line: str) -> None:
        """Sends a command as it is.

        Raises Unreachable, and ValueError if the command is too long or contains a NUL.
        """
        self._connection.required().send(line)

    # ── inside ───────────────────────────────────────────────────────────────

    def _join_again(self) -> None:
        """Enters the rooms again in which the client was when the connection was lost."""
        rooms, self.rooms = self.rooms, Rooms()
        for room in rooms:
            try:
                self.join_chat(room)
            except (CommsError, ValueError) as error:  # ValueError: the room's name is too long
                self._host.log("aim-room-lost", "warning", room=room, trouble=error)

    def _send_text(self, head: str, text: str, tail: str, codes: set[int]) -> bool:
        """Sends a command around a text, as many times as the length of the text requires."""
        session = self._connection.required()
        limit = COMMAND - len(encode(head + tail))
        if limit < len('""') + LONGEST_CHARACTER:
            raise ValueError(
                f"{head[:40]!r}…: the command leaves no room for a text; use a shorter name"
            )
        certain = True
        # Split everything first: a text that cannot be split is not sent in part.
        for number, piece in enumerate(list(split_message(text, limit))):
            try:
                certain &= session.request(head + quote(piece) + tail, codes)
            except (Unreachable, TryLater) as error:
                if number == 0:
                    raise
                # Who sends everything again would say the first part twice.
                raise Unknown(f"{error}; the first {number} messages have been sent") from None
        return certain
