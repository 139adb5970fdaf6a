"""A program on AIM: signs on, says things, and has functions called for what comes. Blocking, without threads.

    client = Client(settings.server("toc"), clock, host)

    @client.on_im
    def answer(message, buddy, auto_response):
        buddy.send_im(f"You said: {message.text}")

    client.connect()              # returns when signed on, with everybody's status known
    client.wait()                 # until the program is asked to stop; signs on again when the link is lost
    client.disconnect()

Functions are called within `connect` and `wait`, one at a time. The surface is that of Ruby's Net::TOC, with its holes
mended: a refused password is an exception, `online` happens, an IM that nobody got is known.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TypeVar

from comms.backoff import Backoff
from comms.clock import Clock
from comms.errors import CommsError, SettingsError, TryLater, Unreachable
from comms.host import Host
from comms.settings import Server
from comms.toc.buddies import Buddy, BuddyList
from comms.toc.dispatch import Dispatcher
from comms.toc.markup import split_message, to_html
from comms.toc.messages import (
    COMMAND,
    Message,
    argument,
    complaint,
    normalize,
    quote,
    signon_command,
)
from comms.toc.rooms import Rooms
from comms.toc.session import PRESENCE, Session

FIRST_PAUSE = 2.0  # seconds before the first attempt to sign on again; it doubles each time,
LONGEST_PAUSE = 300.0  # up to this
TOO_OFTEN = 600.0  # seconds after ERROR 983: "wait ten minutes, longer if it goes on"

_Function = TypeVar("_Function", bound=Callable[..., object])


class Client:
    """One screen name on AIM. Raises SettingsError for a name or password that cannot be used."""

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self.server = server
        self.screen_name = server.screen_name or server.user
        self._own = normalize(self.screen_name)
        self.buddy_list = BuddyList(self)
        self.warning_level = 0
        self._clock, self._host = clock, host
        try:
            self._signon = signon_command(self.screen_name, server.password)
        except ValueError as error:
            raise SettingsError(
                f"toc.screen_name or toc.password cannot be used: {error}"
            ) from None
        self._session: Session | None = None
        self._wanted = False  # a lost connection is established again
        self._backoff = Backoff(clock, host, first=FIRST_PAUSE, longest=LONGEST_PAUSE, jitter=0.5)
        self._watched: dict[str, Buddy] = {}  # beside those of the stored list
        self.rooms = Rooms()
        self._away: str | None = None
        self._idle_since: float | None = None
        self._dispatcher = Dispatcher(self, self._own, host)

    # ── what is to be called ─────────────────────────────────────────────────

    def on_im(self, handler: _Function) -> _Function:
        """Has a function called with each IM: (message, buddy, auto_response); `message.text` is what a person reads.

        What oneself said is never handed on, and an answer to an auto-response, said within the function, never sent:
        two programs that answer each other would not stop.
        """
        self._dispatcher.on_im.append(handler)
        return handler

    def on_error(self, handler: _Function) -> _Function:
        """Has a function called with each ERROR of the server, as a Complaint: `code`, `text`."""
        self._dispatcher.on_error.append(handler)
        return handler

    def on_chat(self, handler: _Function) -> _Function:
        """Has a function called with what others say in joined rooms: (message, buddy, room)."""
        self._dispatcher.on_chat.append(handler)
        return handler

    def watch(self, buddy: Buddy) -> None:
        """Asks for a buddy's presence while signed on, even if it is not on the stored list."""
        self.buddy_list.remember(buddy)
        if buddy.name not in self._watched:
            self._watched[buddy.name] = buddy
            if self._session is not None:
                self.send_command(f"toc_add_buddy {argument(buddy.name)}")

    # ── the session ──────────────────────────────────────────────────────────

    def connect(self) -> None:
        """Signs on, and returns once the server has told who is there.

        Raises Refused for a wrong password, TryLater (981, 983), Unreachable; their text holds the server's reason.
        """
        self.disconnect()
        session = self._sign_on()
        self._wanted = True
        self._backoff.succeeded()
        for message in session.pending():
            self._dispatcher.handle(message)

    def wait(self, limit: float | None = None) -> None:
        """Handles what comes, for so many seconds, or until the program is asked to stop.

        A lost link is established again, with growing pauses. Raises Refused when the server no longer wants us,
        Unreachable when there was no connection to begin with.
        """
        if not self._wanted:
            raise Unreachable("not signed on: connect() comes before wait()")
        until = None if limit is None else self._clock.time() + limit
        while self._wanted:  # a function may call disconnect
            try:
                if self._session is None:
                    if not self._come_again(until):
                        return
                elif (message := self._session.next(until)) is not None:
                    self._dispatcher.handle(message)
                else:
                    return
            except Unreachable as error:
                self._host.log("aim-link-lost", "warning", trouble=error)
                if (
                    self._session is not None
                    and self._clock.time() - self._session.began > LONGEST_PAUSE
                ):
                    self._backoff.succeeded()  # a session that was cut at once does not count as being back
                self._drop()
                self._backoff.failed()

    def disconnect(self) -> None:
        """Leaves, once what was said is out. Functions stay registered; connect may be called again."""
        self._wanted = False
        self._away, self._idle_since, self.rooms = None, None, Rooms()
        self._drop()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.disconnect()

    # ── what a program does ──────────────────────────────────────────────────

    def send_im(self, to: Buddy | str, text: str, auto_response: bool = False) -> bool:
        """Sends an IM: plain text, or Html as it is. One that is too long goes as several, parted between lines.

        Gives whether it is known to have arrived; a server that answers no status query leaves that open. Waits out rate
        limits. Raises Refused when nobody of that name is there (901), TryLater when the limits do not end, Unreachable
        when it was not sent, Unknown when the link was lost before anybody could tell.
        """
        buddy = to if isinstance(to, Buddy) else Buddy(self, to)
        if self._dispatcher.muted == buddy:
            self._host.log("aim-not-answered", to=buddy, reason="an auto-response gets no answer")
            return False
        return self._request(
            f"toc_send_im {argument(buddy.name)} ",
            text,
            " auto" if auto_response else "",
            {901, 903, 960},
        )

    def warn(self, buddy: Buddy, anonymous: bool = False) -> None:
        """Warns somebody who lately sent an IM. Raises Refused (902) where that is not allowed."""
        self._connected().request(
            f"toc_evil {argument(buddy.name)} {'anon' if anonymous else 'norm'}", {901, 902}
        )

    def go_away(self, message: str) -> None:
        """Is away from now on, with this message."""
        away = quote(to_html(message))
        self.send_command(f"toc_set_away {away}")
        self._away = away

    def come_back(self) -> None:
        """Is no longer away."""
        self.send_command("toc_set_away")
        self._away = None

    def idle(self, seconds: float) -> None:
        """Has been idle for so many seconds already, and goes on being so; 0 ends it. Say it once: the server counts."""
        self.send_command(f"toc_set_idle {seconds:.0f}")
        self._idle_since = self._clock.time() - seconds if seconds > 0 else None

    def join_chat(self, room: str) -> None:
        """Enters a chat room. Raises Refused (950), Unreachable."""
        session = self._connected()
        session.send(f"toc_chat_join 4 {quote(room)}")
        for message in session.receive_for(self.server.timeout):
            if message.kind == "CHAT_JOIN":
                self.rooms.joined(message["id"], message["room"])
                return
            if message.kind == "ERROR" and complaint(message).code == 950:
                raise session.error_for(complaint(message))
        raise Unreachable(f"{session.where} says nothing about the chat room {room!r}")

    def send_chat(self, room: str, text: str) -> bool:
        """Says something in a room. Gives and raises what send_im does; Refused also when the room was not joined."""
        return self._request(f"toc_chat_send {self.rooms.id(room)} ", text, "", {903, 950, 960})

    def leave_chat(self, room: str) -> None:
        """Leaves a room. Raises Refused when it was not joined, Unreachable."""
        number = self.rooms.id(room)
        self.send_command(f"toc_chat_leave {number}")
        self.rooms.left(number)

    def send_command(self, line: str) -> None:
        """A command as it stands. Raises Unreachable, and ValueError when it is too long."""
        self._connected().send(line)

    # ── signing on ───────────────────────────────────────────────────────────

    def _sign_on(self) -> Session:
        session = self._session = Session(self.server, self._clock, self._host)
        try:
            refusal = session.sign_on(self._own, self._signon)
            if refusal is not None:
                self._dispatcher.complained(refusal)
                if refusal.code == 983:
                    self._backoff.wait_at_least(TOO_OFTEN)
                raise session.error_for(refusal)
            self._go_on_line(session)
        except BaseException:
            self._drop()
            raise
        return session

    def _go_on_line(self, session: Session) -> None:
        """Says whom we watch and how we are, and waits until the server has told who is there."""
        line = "toc_add_buddy"
        for name in map(argument, self._watched):
            if len(line) + len(name) >= COMMAND:
                session.send(line)
                line = "toc_add_buddy"
            line += f" {name}"
        if self._watched:
            session.send(line)
        session.send("toc_init_done")  # within 30 seconds of the sign-on command
        if self._away is not None:
            session.send(f"toc_set_away {self._away}")
        if self._idle_since is not None:
            session.send(f"toc_set_idle {self._clock.time() - self._idle_since:.0f}")
        session.sync()
        if (
            session.answers_status
        ):  # whoever was there and is not named by now has left in the meantime
            named = {normalize(one["name"]) for one in session.inbox if one.kind in PRESENCE}
            gone = sorted(
                buddy.name
                for buddy in self.buddy_list
                if buddy.is_online and buddy.name not in named
            )
            session.inbox += [Message("UPDATE_BUDDY", {**_GONE, "name": name}) for name in gone]

    def _come_again(self, until: float | None) -> bool:
        """One more attempt to sign on, when it is time; False when the program's time is come first, or its end."""
        due = self._backoff.due if until is None else min(self._backoff.due, until)
        if not self._pause(due) or self._clock.time() < self._backoff.due:
            return False
        try:
            self._sign_on()
        except (Unreachable, TryLater) as error:
            self._host.log("aim-not-back", "warning", trouble=error)
            self._backoff.failed()
            return True
        self._host.log("aim-back")
        rooms, self.rooms = self.rooms, Rooms()
        for room in rooms:
            try:
                self.join_chat(room)
            except CommsError as error:
                self._host.log("aim-room-lost", "warning", room=room, trouble=error)
        return True

    def _pause(self, until: float) -> bool:
        """Waits; False when the program is asked to stop before."""
        rounds = self._clock.every(max(until - self._clock.time(), 0.001))
        next(rounds, None)
        return next(rounds, _STOPPED) is not _STOPPED

    # ── requests ─────────────────────────────────────────────────────────────

    def _request(self, head: str, text: str, tail: str, codes: set[int]) -> bool:
        """Says a command around a text, in as many pieces as it takes."""
        session = self._connected()
        room = COMMAND - len((head + tail).encode("latin-1", "xmlcharrefreplace"))
        known = True
        for piece in list(
            split_message(text, room)
        ):  # all of them first: what cannot be cut is not sent in part
            known &= session.request(head + quote(piece) + tail, codes)
        return known

    def _connected(self) -> Session:
        if self._session is None:
            raise Unreachable("not signed on: connect() comes first")
        return self._session

    def _drop(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()


_GONE = {"online": "F", "evil": "0", "signon": "0", "idle": "0", "class": "   "}
_STOPPED = object()
