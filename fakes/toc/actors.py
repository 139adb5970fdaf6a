"""People of the play: they act by cues, without a socket, and hear what they are told.

admin = world.aim.actor("SysAdmin")
world.clock.at(60, lambda: admin.says("OpsBot", "uptime"))
…
assert [im.text for im in admin.heard] == [...]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from fakes.arrivals import Arrivals
from fakes.bridge import Bridge
from fakes.toc.presence import Im, Presence, Status, Unavailable

if TYPE_CHECKING:
    from fakes.toc.aim import Aim
    from fakes.toc.rooms import Room

T = TypeVar("T")


class Actor(Arrivals[Im]):
    """One of them. Whoever acts without being signed on signs on first; a name whose session is a program's acts in that
    session, so that a cue may do anything as anybody."""

    def __init__(self, aim: Aim, name: str, bridge: Bridge, tell: Callable[[str, str], None]) -> None:
        super().__init__(bridge, "IM")
        self.name = name
        self._aim = aim
        self._tell = tell
        self._saw: list[Status] = []
        self._told: list[str] = []

    # ── what she does ────────────────────────────────────────────────────────────────────────────────────────────

    def signs_on(self) -> None:
        """She comes on line."""
        self._does("signs on", lambda presence: None)

    def signs_off(self) -> None:
        """She leaves."""
        self._bridge.call(lambda: self._tell(self.name, "signs off"))
        self._aim.signs_off(self.name)

    def says(self, to: str, text: str, *, auto: bool = False) -> bool:
        """She sends an IM; whether it arrived: the other may be off line, or block her."""
        raw = text.encode("latin-1") if _is_latin(text) else text.encode()
        encoding = "L" if _is_latin(text) else "U"

        def say(presence: Presence) -> bool:
            try:
                self._aim.send(presence, to, raw, auto=auto, encoding=encoding)
            except Unavailable:
                return False
            return True

        return self._does(f"says to {to}{' (auto)' if auto else ''}: {text}", say)

    def goes_away(self, text: str = "Away") -> None:
        """She sets an away message."""
        self._changes(f"goes away: {text}", lambda presence: setattr(presence, "away", text))

    def comes_back(self) -> None:
        """She is no longer away."""
        self._changes("comes back", lambda presence: setattr(presence, "away", ""))

    def idles(self, seconds: float) -> None:
        """She has done nothing for so many seconds by now, and goes on so; 0 ends it."""
        since = self._aim.now() - seconds if seconds else None
        what = f"has been idle for {seconds:g} s" if seconds else "is active again"
        self._changes(what, lambda presence: setattr(presence, "idle_since", since))

    def watches(self, *names: str) -> None:
        """She puts these on her buddy list."""
        self._does(
            f"watches {', '.join(names)}", lambda presence: self._aim.show(presence, presence.watch(names))
        )  # fmt: skip

    def blocks(self, *names: str) -> None:
        """These no longer see her, nor reach her; others do."""

        def block(presence: Presence) -> None:
            with self._aim.changing(presence):
                presence.permissions.deny(list(names))

        self._does(f"blocks {', '.join(names)}", block)

    def warns(self, name: str, *, anonymous: bool = False) -> bool:
        """She warns somebody who has sent her an IM; whether it was allowed."""

        def warn(presence: Presence) -> bool:
            try:
                self._aim.warn(presence, name, anonymous)
            except Unavailable:
                return False
            return True

        return self._does(f"warns {name}{' anonymously' if anonymous else ''}", warn)

    def joins(self, room: str) -> None:
        """She goes into a chat room. Raises LookupError when it cannot have that name."""

        def join(presence: Presence) -> None:
            one = self._aim.rooms.named(room)
            if one is None:
                raise LookupError(f"{room!r} cannot be the name of a room")
            self._aim.rooms.join(one, presence)

        self._does(f"joins {room}", join)

    def says_in(self, room: str, text: str) -> None:
        """She says something in a room that she is in. Raises LookupError."""

        def say(presence: Presence) -> None:
            one = self._aim.rooms.named(room)
            if one is None or presence not in one.people:
                raise LookupError(f"{self.name} is not in a room {room!r}")
            one.say(Im(self._aim.now(), self.name, one.name, text.encode("latin-1", "replace")))

        self._does(f"says in {room}: {text}", say)

    # ── what she has heard ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def heard(self) -> list[Im]:
        """The IMs that reached her, and what was said in her rooms (`to` is the room)."""
        return self.all

    @property
    def saw(self) -> list[Status]:
        """What she was told of those whom she watches, in order."""
        return self._bridge.call(lambda: list(self._saw))

    @property
    def told(self) -> list[str]:
        """What else she was told: `warned 10 by Bob`, `invited to Lobby by Bob`, `typing Bob 2` …"""
        return self._bridge.call(lambda: list(self._told))

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _does(self, what: str, act: Callable[[Presence], T]) -> T:
        def do() -> T:
            sessions = self._aim.sessions.of(self.name)
            if not sessions:
                account = self._aim.known.find(self.name)
                assert account is not None
                sessions = [self._aim.sign_on(account, self, stored=False)]
                self._aim.appear(sessions[0])
            self._tell(self.name, what)
            return act(sessions[0])

        return self._bridge.call(do)

    def _changes(self, what: str, change: Callable[[Presence], None]) -> None:
        def act(presence: Presence) -> None:
            with self._aim.changing(presence, news=True):
                change(presence)

        self._does(what, act)

    # ── her door (see presence.Door) ─────────────────────────────────────────────────────────────────────────────

    def on_im(self, im: Im) -> None:
        self.add_arrival(im)
        self._aim.add_arrival(im)

    def on_status(self, status: Status) -> None:
        self._saw.append(status)

    def on_warned(self, level: int, by: str) -> None:
        self._told.append(f"warned {level} by {by or 'nobody'}")

    def on_typing(self, name: str, event: int) -> None:
        self._told.append(f"typing {name} {event}")

    def on_joined(self, room: Room) -> None:
        self._told.append(f"joined {room.name}")

    def on_left(self, room: Room) -> None:
        self._told.append(f"left {room.name}")

    def on_people(self, room: Room, inside: bool, names: list[str]) -> None:
        self._told.append(f"{'in' if inside else 'out of'} {room.name}: {', '.join(names)}")

    def on_room_text(self, room: Room, im: Im, whisper: bool) -> None:
        self.add_arrival(im)

    def on_invited(self, room: Room, by: str, text: str) -> None:
        self._told.append(f"invited to {room.name} by {by}: {text}")

    def on_replaced(self) -> None:
        self._told.append("replaced")

    def on_words(self, words: str) -> None:
        self._told.append(words)

    def on_pause(self, seconds: float) -> None:
        self._told.append(f"paused for {seconds:g} s")


def _is_latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)
