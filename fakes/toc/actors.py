"""Users who act by cues, without a client, and remember what they receive.

admin = world.aim.actor("SysAdmin")
world.clock.at(60, lambda: admin.says("OpsBot", "uptime"))
…
assert [im.text for im in admin.heard] == [...]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from fakes.arrivals import Arrivals
from fakes.bridge import Bridge
from fakes.toc.presence import CRITERIA, Im, Presence, Status, Unavailable
from fakes.toc.text import encode_im, encode_latin

if TYPE_CHECKING:
    from fakes.toc.aim import Aim
    from fakes.toc.rooms import Room

T = TypeVar("T")


class Actor(Arrivals[Im]):
    """A user of AIM who acts by cues.

    An actor who is not signed on signs on before it acts. If a program is signed on under its name,
    the actor acts in the program's session, so that a cue can do anything as any user.
    `wait_for` and the other waits are about what the actor hears.
    """

    def __init__(
        self, aim: Aim, name: str, bridge: Bridge, tell: Callable[[str, str], None]
    ) -> None:
        super().__init__(bridge, "IM", criteria=CRITERIA)
        self.name = name
        self._aim = aim
        self._tell = tell
        self._statuses: list[Status] = []
        self._notices: list[str] = []

    # ── actions ──────────────────────────────────────────────────────────────

    def signs_on(self) -> None:
        """Goes online."""
        self._act("signs on", lambda presence: None)

    def signs_off(self) -> None:
        """Goes offline."""
        self._bridge.call(lambda: self._tell(self.name, "signs off"))
        self._aim.signs_off(self.name)

    def says(self, to: str, text: str, *, auto: bool = False) -> bool:
        """Sends an IM; returns whether it was delivered.

        It is not if the recipient is offline or blocks the actor, or if it is too long for the
        recipient's client. Raises ValueError for a NUL or a surrogate in the text.
        """
        raw, encoding = encode_im(text)

        def say(presence: Presence) -> bool:
            try:
                return self._aim.send(presence, to, raw, auto=auto, encoding=encoding)
            except Unavailable:
                return False

        return self._act(f"says to {to}{' (auto)' if auto else ''}: {text}", say)

    def goes_away(self, text: str = "Away") -> None:
        """Sets an away message."""
        self._change(f"goes away: {text}", lambda presence: setattr(presence, "away", text))

    def comes_back(self) -> None:
        """Removes the away message."""
        self._change("comes back", lambda presence: setattr(presence, "away", ""))

    def idles(self, seconds: float) -> None:
        """Has been idle for that many seconds, and remains so; 0 ends it."""
        since = self._aim.now() - seconds if seconds else None
        what = f"has been idle for {seconds:g} s" if seconds else "is active again"
        self._change(what, lambda presence: setattr(presence, "idle_since", since))

    def watches(self, *names: str) -> None:
        """Adds names to the buddy list."""

        def watch(presence: Presence) -> None:
            self._aim.show_status(presence, presence.watch(names))

        self._act(f"watches {', '.join(names)}", watch)

    def blocks(self, *names: str) -> None:
        """Hides from these users, who cannot reach the actor either. All others still can."""

        def block(presence: Presence) -> None:
            with self._aim.changing(presence):
                presence.permissions.deny(list(names))

        self._act(f"blocks {', '.join(names)}", block)

    def warns(self, name: str, *, anonymous: bool = False) -> bool:
        """Warns a user who has sent an IM; returns whether that was allowed."""

        def warn(presence: Presence) -> bool:
            try:
                self._aim.warn(presence, name, anonymous)
            except Unavailable:
                return False
            return True

        return self._act(f"warns {name}{' anonymously' if anonymous else ''}", warn)

    def joins(self, room: str) -> None:
        """Joins a chat room, created if needed. Raises LookupError if it cannot have that name."""

        def join(presence: Presence) -> None:
            found = self._aim.rooms.open(room)
            if found is None:
                raise LookupError(
                    f"{room!r} cannot be the name of a room; "
                    "use printable characters of Latin-1, no colon"
                )
            self._aim.rooms.join(found, presence)

        self._act(f"joins {room}", join)

    def says_in(self, room: str, text: str) -> None:
        """Sends a message to a room.

        Raises LookupError if the actor is not in it, ValueError for a character that is not Latin-1
        or a NUL: in a room there is no other encoding.
        """
        raw = encode_latin(text)

        def say(presence: Presence) -> None:
            found = self._aim.rooms.open(room)
            if found is None or presence not in found.members:
                raise LookupError(f"{self.name} is not in a room {room!r}; join it first")
            found.say(Im(self._aim.now(), self.name, found.name, raw))

        self._act(f"says in {room}: {text}", say)

    # ── what the actor has received ──────────────────────────────────────────

    @property
    def heard(self) -> Sequence[Im]:
        """The IMs for the actor, and the messages in its rooms (their `to` is the room)."""
        return self.all

    @property
    def statuses(self) -> list[Status]:
        """The statuses of the users whom the actor watches, in order."""
        return self._bridge.call(lambda: list(self._statuses))

    @property
    def notices(self) -> list[str]:
        """Everything else: `warned 10 by Bob`, `invited to Lobby by Bob: …`, `typing Bob 2` …"""
        return self._bridge.call(lambda: list(self._notices))

    # ── inside ───────────────────────────────────────────────────────────────

    def _act(self, what: str, act: Callable[[Presence], T]) -> T:
        """Runs an action on the loop's thread, signed on, and records it as an event."""

        def run() -> T:
            sessions = self._aim.sessions.of(self.name)
            if not sessions:
                account = self._aim.known.find(self.name)
                assert account is not None
                sessions = [self._aim.sign_on(account, self, stored=False)]
                self._aim.go_online(sessions[0])
            self._tell(self.name, what)
            return act(sessions[0])

        return self._bridge.call(run)

    def _change(self, what: str, change: Callable[[Presence], None]) -> None:
        def act(presence: Presence) -> None:
            with self._aim.changing(presence, announce=True):
                change(presence)

        self._act(what, act)

    # ── the actor's door (presence.Door) ─────────────────────────────────────

    def on_im(self, im: Im) -> bool:
        self.add_arrival(im)
        self._aim.add_arrival(im)
        return True

    def on_status(self, status: Status) -> None:
        self._statuses.append(status)

    def on_warned(self, level: int, by: str) -> None:
        self._notices.append(f"warned {level} by {by or 'nobody'}")

    def on_typing(self, name: str, event: int) -> None:
        self._notices.append(f"typing {name} {event}")

    def on_joined(self, room: Room) -> None:
        self._notices.append(f"joined {room.name}")

    def on_left(self, room: Room) -> None:
        self._notices.append(f"left {room.name}")

    def on_members(self, room: Room, inside: bool, names: list[str]) -> None:
        self._notices.append(f"{'in' if inside else 'out of'} {room.name}: {', '.join(names)}")

    def on_room_message(self, room: Room, im: Im, whisper: bool) -> None:
        self.add_arrival(im)

    def on_invited(self, room: Room, by: str, text: str) -> None:
        self._notices.append(f"invited to {room.name} by {by}: {text}")

    def on_replaced(self) -> None:
        self._notices.append("replaced")

    def on_message(self, message: str) -> None:
        self._notices.append(message)

    def on_pause(self, seconds: float) -> None:
        self._notices.append(f"paused for {seconds:g} s")
