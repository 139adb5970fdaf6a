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

from comms.clock import Clock
from comms.errors import CommsError, Refused, SettingsError, TryLater, Unreachable
from comms.host import Host
from comms.settings import Server
from comms.toc.buddies import Buddy, BuddyList, presence
from comms.toc.markup import Html, marked_up, pieces
from comms.toc.messages import (
    COMMAND,
    Complaint,
    Message,
    complaint,
    normal,
    quoted,
    signon_command,
    word,
)
from comms.toc.session import PRESENCE, Session

FIRST_PAUSE, LONGEST_PAUSE = (
    2.0,
    300.0,
)  # seconds between attempts to sign on again; they double, and are jittered
TOO_OFTEN = 600.0  # seconds after ERROR 983: "wait ten minutes, longer if it goes on"

_Function = TypeVar("_Function", bound=Callable[..., object])


class Client:
    """One screen name on AIM. Raises SettingsError for a name or password that cannot be used."""

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self.server = server
        self.screen_name = server.screen_name or server.user
        self._own = normal(self.screen_name)
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
        self._tries, self._retry_at = 0, 0.0
        self._watched: dict[str, Buddy] = {}  # beside those of the stored list
        self._rooms: dict[str, str] = {}  # chat rooms: id → name
        self._away: str | None = None
        self._idle_since: float | None = None
        self._muted: Buddy | None = None  # whose auto-response is being handled: it gets no answer
        self._on_im: list[Callable[[Html, Buddy, bool], object]] = []
        self._on_error: list[Callable[[Complaint], object]] = []
        self._on_chat: list[Callable[[Html, Buddy, str], object]] = []

    # ── what is to be called ─────────────────────────────────────────────────────────────────────────────────────

    def on_im(self, handler: _Function) -> _Function:
        """Has a function called with each IM: (message, buddy, auto_response); `message.text` is what a person reads.

        What oneself said is never handed on, and an answer to an auto-response, said within the function, never sent:
        two programs that answer each other would not stop.
        """
        self._on_im.append(handler)
        return handler

    def on_error(self, handler: _Function) -> _Function:
        """Has a function called with each ERROR of the server, as a Complaint: `code`, `text`."""
        self._on_error.append(handler)
        return handler

    def on_chat(self, handler: _Function) -> _Function:
        """Has a function called with what others say in joined rooms: (message, buddy, room)."""
        self._on_chat.append(handler)
        return handler

    def watch(self, buddy: Buddy) -> None:
        """Asks for a buddy's presence while signed on, even if it is not on the stored list."""
        self.buddy_list.keep(buddy)
        if buddy.name not in self._watched:
            self._watched[buddy.name] = buddy
            if self._session is not None:
                self.say(f"toc_add_buddy {word(buddy.name)}")

    # ── the session ──────────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> None:
        """Signs on, and returns once the server has told who is there.

        Raises Refused for a wrong password, TryLater (981, 983), Unreachable; their text holds the server's reason.
        """
        self.disconnect()
        session = self._sign_on()
        self._wanted, self._tries = True, 0
        for message in session.waiting():
            self._handle(message)

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
                    self._handle(message)
                else:
                    return
            except Unreachable as error:
                self._host.log("aim-link-lost", "warning", trouble=error)
                if (
                    self._session is not None
                    and self._clock.time() - self._session.began > LONGEST_PAUSE
                ):
                    self._tries = 0  # a session that was cut at once does not count as being back
                self._drop()
                self._retry_at = self._later()

    def disconnect(self) -> None:
        """Leaves, once what was said is out. Functions stay registered; connect may be called again."""
        self._wanted = False
        self._away, self._idle_since, self._rooms = None, None, {}
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

    # ── what a program does ──────────────────────────────────────────────────────────────────────────────────────

    def send_im(self, to: Buddy | str, text: str, auto_response: bool = False) -> bool:
        """Sends an IM: plain text, or Html as it is. One that is too long goes as several, parted between lines.

        Gives whether it is known to have arrived; a server that answers no status query leaves that open. Waits out rate
        limits. Raises Refused when nobody of that name is there (901), TryLater when the limits do not end, Unreachable
        when it was not sent, Unknown when the link was lost before anybody could tell.
        """
        buddy = to if isinstance(to, Buddy) else Buddy(self, to)
        if self._muted == buddy:
            self._host.log("aim-not-answered", to=buddy, reason="an auto-response gets no answer")
            return False
        return self._request(
            f"toc_send_im {word(buddy.name)} ",
            text,
            " auto" if auto_response else "",
            {901, 903, 960},
        )

    def warn(self, buddy: Buddy, anonymous: bool = False) -> None:
        """Warns somebody who lately sent an IM. Raises Refused (902) where that is not allowed."""
        self._connected().ask(
            f"toc_evil {word(buddy.name)} {'anon' if anonymous else 'norm'}", {901, 902}
        )

    def go_away(self, message: str) -> None:
        """Is away from now on, with this message."""
        away = quoted(marked_up(message))
        self.say(f"toc_set_away {away}")
        self._away = away

    def come_back(self) -> None:
        """Is no longer away."""
        self.say("toc_set_away")
        self._away = None

    def idle(self, seconds: float) -> None:
        """Has been idle for so many seconds already, and goes on being so; 0 ends it. Say it once: the server counts."""
        self.say(f"toc_set_idle {seconds:.0f}")
        self._idle_since = self._clock.time() - seconds if seconds > 0 else None

    def join_chat(self, room: str) -> None:
        """Enters a chat room. Raises Refused (950), Unreachable."""
        session = self._connected()
        session.say(f"toc_chat_join 4 {quoted(room)}")
        for message in session.coming(self.server.timeout):
            if message.word == "CHAT_JOIN":
                self._rooms[message["id"]] = message["room"]
                return
            if message.word == "ERROR" and complaint(message).code == 950:
                raise session.trouble(complaint(message))
        raise Unreachable(f"{session.where} says nothing about the chat room {room!r}")

    def send_chat(self, room: str, text: str) -> bool:
        """Says something in a room. Gives and raises what send_im does; Refused also when the room was not joined."""
        return self._request(f"toc_chat_send {self._number(room)} ", text, "", {903, 950, 960})

    def leave_chat(self, room: str) -> None:
        """Leaves a room. Raises Refused when it was not joined, Unreachable."""
        number = self._number(room)
        self.say(f"toc_chat_leave {number}")
        del self._rooms[number]

    def say(self, line: str) -> None:
        """A command as it stands. Raises Unreachable, and ValueError when it is too long."""
        self._connected().say(line)

    # ── signing on ───────────────────────────────────────────────────────────────────────────────────────────────

    def _sign_on(self) -> Session:
        session = self._session = Session(self.server, self._clock, self._host)
        try:
            refusal = session.sign_on(self._own, self._signon)
            if refusal is not None:
                self._complained(refusal)
                if refusal.code == 983:
                    self._retry_at = self._clock.time() + TOO_OFTEN
                raise session.trouble(refusal)
            self._go_on_line(session)
        except BaseException:
            self._drop()
            raise
        return session

    def _go_on_line(self, session: Session) -> None:
        """Says whom we watch and how we are, and waits until the server has told who is there."""
        line = "toc_add_buddy"
        for name in map(word, self._watched):
            if len(line) + len(name) >= COMMAND:
                session.say(line)
                line = "toc_add_buddy"
            line += f" {name}"
        if self._watched:
            session.say(line)
        session.say("toc_init_done")  # within 30 seconds of the sign-on command
        if self._away is not None:
            session.say(f"toc_set_away {self._away}")
        if self._idle_since is not None:
            session.say(f"toc_set_idle {self._clock.time() - self._idle_since:.0f}")
        session.caught_up()
        if session.tells:  # whoever was there and is not named by now has left in the meantime
            named = {normal(one["name"]) for one in session.inbox if one.word in PRESENCE}
            gone = sorted(
                buddy.name
                for buddy in self.buddy_list
                if buddy.is_online and buddy.name not in named
            )
            session.inbox += [Message("UPDATE_BUDDY", {**_GONE, "name": name}) for name in gone]

    def _come_again(self, until: float | None) -> bool:
        """One more attempt to sign on, when it is time; False when the program's time is come first, or its end."""
        due = self._retry_at if until is None else min(self._retry_at, until)
        if not self._pause(due) or self._clock.time() < self._retry_at:
            return False
        try:
            self._sign_on()
        except (Unreachable, TryLater) as error:
            self._host.log("aim-not-back", "warning", trouble=error)
            self._retry_at = max(self._retry_at, self._later())
            return True
        self._host.log("aim-back")
        rooms, self._rooms = list(self._rooms.values()), {}
        for room in rooms:
            try:
                self.join_chat(room)
            except CommsError as error:
                self._host.log("aim-room-lost", "warning", room=room, trouble=error)
        return True

    def _later(self) -> float:
        """When to try again. Jittered: when a server comes back, its clients should not all come at once."""
        chance = int(self._host.token(4), 36) / 36**4
        pause = min(FIRST_PAUSE * 2.0 ** min(self._tries, 16), LONGEST_PAUSE)
        self._tries += 1
        return self._clock.time() + pause * (1 + chance) / 2

    def _pause(self, until: float) -> bool:
        """Waits; False when the program is asked to stop before."""
        rounds = self._clock.every(max(until - self._clock.time(), 0.001))
        next(rounds, None)
        return next(rounds, _STOPPED) is not _STOPPED

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _request(self, head: str, text: str, tail: str, codes: set[int]) -> bool:
        """Says a command around a text, in as many pieces as it takes."""
        session = self._connected()
        room = COMMAND - len((head + tail).encode("latin-1", "xmlcharrefreplace"))
        known = True
        for piece in list(
            pieces(text, room)
        ):  # all of them first: what cannot be cut is not sent in part
            known &= session.ask(head + quoted(piece) + tail, codes)
        return known

    def _number(self, room: str) -> str:
        for number, name in self._rooms.items():
            if _same_room(name, room):
                return number
        raise Refused(
            f"the chat room {room!r} was not joined; joined: {', '.join(self._rooms.values()) or 'none'}"
        )

    def _connected(self) -> Session:
        if self._session is None:
            raise Unreachable("not signed on: connect() comes first")
        return self._session

    def _drop(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()

    # ── what comes ───────────────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, message: Message) -> None:
        if message.word in ("IM_IN", "IM_IN2", "IM_IN_ENC2"):
            self._handle_im(message)
        elif message.word in PRESENCE:
            self._handle_presence(message)
        elif message.word == "ERROR":
            self._complained(complaint(message))
        elif message.word in ("CHAT_IN", "CHAT_IN_ENC") and normal(message["sender"]) != self._own:
            buddy, room = self._buddy(message["sender"]), self._rooms.get(message["id"], "")
            for on_chat in self._on_chat:
                self._call(on_chat, Html(message["text"]), buddy, room)
        elif message.word in ("CONFIG", "CONFIG2"):
            self.buddy_list.learn(message["text"])
        elif message.word == "NICK":
            self.screen_name = message["name"]
        elif message.word == "EVILED" and message["level"].isdecimal():
            self.warning_level = int(message["level"])
        elif message.word == "CHAT_LEFT":
            self._rooms.pop(message["id"], None)
        elif (
            message.word == "PAUSE"
        ):  # no server of today says it; what comes behind it would be ignored
            raise Unreachable("the server wants a pause: signing on anew")

    def _complained(self, found: Complaint) -> None:
        for handler in self._on_error:
            self._call(handler, found)

    def _handle_im(self, message: Message) -> None:
        if normal(message["sender"]) == self._own:
            return
        buddy, auto_response = self._buddy(message["sender"]), message["auto"] == "T"
        self._muted = buddy if auto_response else None
        try:
            for handler in self._on_im:
                self._call(handler, Html(message["text"]), buddy, auto_response)
        finally:
            self._muted = None

    def _handle_presence(self, message: Message) -> None:
        try:
            news = presence(message)
        except ValueError as error:
            self._host.log("aim-not-understood", "warning", message=message.word, trouble=error)
            return
        buddy = self.buddy_list.find(news.name)
        if buddy is None:
            return
        for change in buddy.learn(news):
            for handler in buddy.handlers.get(change, ()):
                self._call(handler)

    def _buddy(self, name: str) -> Buddy:
        buddy = self.buddy_list.find(name) or Buddy(self, name)
        buddy.screen_name = name  # as its owner writes it
        return buddy

    def _call(self, handler: Callable[..., object], *values: object) -> None:
        """A program's function; whatever it raises is reported, and the next one is called."""
        try:
            handler(*values)
        except Exception as error:
            name = getattr(handler, "__name__", type(handler).__name__)
            self._host.log(
                "handler-failed", "error", handler=name, trouble=f"{type(error).__name__}: {error}"
            )


_GONE = {"online": "F", "evil": "0", "signon": "0", "idle": "0", "class": "   "}
_STOPPED = object()


def _same_room(one: str, other: str) -> bool:
    return one.casefold().split() == other.casefold().split()
