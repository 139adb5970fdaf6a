"""The service to which connections lead: accounts, who is online, who sees whom, IMs, warnings.

`world.aim` is an `Aim`:

    bot = world.aim.actor("OpsBot")              # a user without a client (actors.py)
    world.clock.at(60, lambda: admin.says("OpsBot", "uptime"))
    world.aim.online                             # ["OpsBot", "SysAdmin"]
    world.aim.wait_for(lambda im: im.to == "SysAdmin")
    world.aim.sends("OpsBot", "ERROR:903")       # any message of the server
    world.faults.arm("toc toc_send_im reply 901 times 1")

A visible user sees another one if it watches the other, and the other is visible and allows it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Sequence

from fakes.arrivals import Arrivals
from fakes.bridge import Bridge
from fakes.directory import Accounts, Sessions
from fakes.toc import actors
from fakes.toc.lists import NAME_LIMIT, fold, is_name
from fakes.toc.presence import CRITERIA, LEVEL, Account, Door, Im, Presence, Status, Unavailable
from fakes.toc.rooms import Rooms
from fakes.toc.text import check_message

NAMED, ANONYMOUS = 10, 3  # points that a warning adds to the level


class Aim(Arrivals[Im]):
    """All of AIM in one world.

    Its state belongs to the world's loop. The methods for tests may be called from any thread. The
    keywords of waits `to` and `sender` are a screen name or a glob, `text` is a part of the IM.
    """

    def __init__(
        self,
        accounts: Iterable[Account] = (),
        *,
        now: Callable[[], float] = lambda: 0.0,
        bridge: Bridge | None = None,
        tell: Callable[[str, str], None] = lambda who, what: None,
    ) -> None:
        """`tell(who, what)` records an event of an actor."""
        super().__init__(bridge or Bridge(), "IM", criteria=CRITERIA)
        self.known: Accounts[Account] = Accounts(fold)
        for account in accounts:
            self.known.add(account.screen_name, account)
        self.now = now
        self.rooms = Rooms()
        self._tell = tell
        self.sessions: Sessions[Presence] = Sessions(fold)
        self._actors: dict[str, actors.Actor] = {}

    @property
    def ims(self) -> Sequence[Im]:
        """Every IM that has reached a recipient, in order."""
        return self.all

    # ── for the server ───────────────────────────────────────────────────────

    def authenticate(self, name: str, password: bytes | None) -> Account | None:
        """Returns the account if the password is right.

        Returns None for an unknown name and a wrong password alike.
        """
        account = self.known.find(name)
        right = account is not None and password in encodings(account.password)
        return account if right else None

    def sign_on(self, account: Account, door: Door, *, stored: bool) -> Presence:
        """Begins a session, and ends an older one of the same name.

        `stored`: the lists stored for the account are in force (TOC2).
        """
        for older in self.sessions.of(account.screen_name):
            self.sign_off(older)
            older.door.on_replaced()
        presence = Presence(account, door, self.now(), stored)
        self.sessions.enter(account.screen_name, presence)
        return presence

    def sign_off(self, presence: Presence) -> None:
        """Ends a session: it leaves its rooms, and its watchers are notified. Idempotent."""
        if not self.sessions.leave(presence.name, presence):
            return
        for room in list(presence.rooms.values()):
            self.rooms.leave(room, presence)
        with self.changing(presence):
            presence.visible = False

    def go_online(self, presence: Presence) -> None:
        """Makes a session visible, and shows it the users whom it watches (`toc_init_done`)."""
        with self.changing(presence):
            presence.visible = True
        # A user who watches itself has been notified already, as one of its own watchers.
        others = [name for name in presence.watched if fold(name) != fold(presence.name)]
        self.show_status(presence, others)

    def show_status(self, viewer: Presence, names: Iterable[str]) -> None:
        """Sends the viewer the status of those who are online."""
        for name in names:
            target = self._visible_session(name, viewer)
            if target is not None:
                viewer.door.on_status(target.status(self.now()))

    @contextlib.contextmanager
    def changing(self, presence: Presence, *, announce: bool = False) -> Iterator[None]:
        """Notifies the watchers of a session of what changes inside the `with` block.

        Those who no longer see it are notified that it is offline, those who see it now of its
        status. With `announce`, those who see it before and after are notified too.
        """
        before = self._audience(presence)
        yield
        after = self._audience(presence)
        for watcher in before:
            if watcher not in after and watcher.visible:
                watcher.door.on_status(Status(presence.name))
        for watcher in after:
            if announce or watcher not in before:
                watcher.door.on_status(presence.status(self.now()))

    def send(
        self,
        sender: Presence,
        to: str,
        raw: bytes,
        *,
        auto: bool = False,
        encoding: str = "L",
        language: str = "en",
    ) -> bool:
        """Delivers an IM. Returns False if it is too long for the recipient's client.

        Raises Unavailable.
        """
        recipient = self.reachable(sender, to)
        recipient.record_im_from(sender.name, self.now())
        im = Im(self.now(), sender.name, recipient.name, raw, auto, encoding, language)
        return recipient.door.on_im(im)

    def reachable(self, asker: Presence, name: str) -> Presence:
        """Returns the session of a user who is online and allows the asker.

        Raises Unavailable.
        """
        target = self._visible_session(name, asker)
        if target is None:
            raise Unavailable(name)
        return target

    def warn(self, by: Presence, name: str, anonymous: bool) -> None:
        """Warns a user who has sent an IM within the last hour. Raises Unavailable."""
        target = self.reachable(by, name)
        if target is by or not by.use_warning(name, self.now()):
            raise Unavailable(name)
        level = target.account.warning + (ANONYMOUS if anonymous else NAMED)
        self._set_warning(target, level, "" if anonymous else by.name)

    def owner_of(self, cookie: str) -> Presence | None:
        """Returns the session that has this cookie."""
        return next((owner for owner in self.sessions if cookie and owner.cookie == cookie), None)

    def _set_warning(self, target: Presence, level: int, by: str) -> None:
        with self.changing(target, announce=True):
            target.account.warning = max(0, min(level, LEVEL))
        target.door.on_warned(target.account.warning, by)

    def _visible_session(self, name: str, viewer: Presence) -> Presence | None:
        for session in self.sessions.of(name):
            if session.visible and session.allows(viewer.name):
                return session
        return None

    def _audience(self, presence: Presence) -> dict[Presence, None]:
        """The sessions that watch and see this one, in order of arrival (a dict used as a set)."""
        if not presence.visible:
            return {}
        watching = (
            session
            for session in self.sessions
            if session.visible and session.watches(presence.name)
        )
        return {watcher: None for watcher in watching if presence.allows(watcher.name)}

    def stored(self) -> list[Account]:
        """Returns a copy of the accounts: names, passwords, buddies, permissions, profiles."""
        return copy.deepcopy(list(self.known))

    def restore(self, stored: Iterable[Account]) -> None:
        """Puts accounts of another world in the place of those with the same names."""
        for account in copy.deepcopy(list(stored)):
            if self.known.find(account.screen_name) is not None:
                self.known.remove(account.screen_name)
            self.known.add(account.screen_name, account)

    # ── for tests ────────────────────────────────────────────────────────────

    @property
    def online(self) -> list[str]:
        """The screen names of all visible users, in order of arrival."""
        return self._bridge.call(lambda: [user.name for user in self.sessions if user.visible])

    def in_room(self, name: str) -> list[str]:
        """The screen names of those in a chat room, in order of arrival; [] if there is none."""

        def read() -> list[str]:
            room = self.rooms.named(name)
            return room.names if room is not None else []

        return self._bridge.call(read)

    @property
    def all_rooms(self) -> dict[str, list[str]]:
        """The chat rooms by name, and who is in them."""
        return self._bridge.call(lambda: {room.name: room.names for room in self.rooms})

    def actor(self, name: str) -> actors.Actor:
        """Returns a user who acts without a client. Creates the account if it does not exist.

        `world.jabber.actor` does not, because an address is that of a person with a maildrop, a
        password and contacts. A stranger on AIM has nothing but a screen name.

        Raises LookupError if `name` cannot be a screen name.
        """

        def make() -> actors.Actor:
            if self.known.find(name) is None:
                if not is_name(name):
                    raise LookupError(
                        f"{name!r} cannot be a screen name; "
                        f"use at most {NAME_LIMIT} characters of Latin-1 and no colon"
                    )
                self.known.add(name, Account(name))
            actor = actors.Actor(self, name, self._bridge, self._tell)
            return self._actors.setdefault(fold(name), actor)

        return self._bridge.call(make)

    def signs_off(self, name: str) -> None:
        """Ends the session of this name, if it has one, as a sign-on elsewhere would."""

        def end() -> None:
            for presence in self.sessions.of(name):
                self.sign_off(presence)
                presence.door.on_replaced()

        self._bridge.call(end)

    def warns(self, name: str, level: int) -> None:
        """Sets the warning level of a user who is online, and notifies it and its watchers.

        A level below 0 becomes 0, and one above 100 becomes 100. Raises LookupError if the user is
        not signed on.
        """
        self._bridge.call(lambda: self._set_warning(self._signed_on(name), level, ""))

    def sends(self, name: str, message: str) -> None:
        """Sends a user any message: `world.aim.sends("OpsBot", "ERROR:903")`.

        Raises ValueError if it cannot be a message: it has a NUL, a character beyond Latin-1, or
        more than 8,185 bytes. Raises LookupError if the user is not signed on.
        """
        check_message(message)
        self._bridge.call(lambda: self._signed_on(name).door.on_message(message))

    def pauses(self, name: str, seconds: float = 2.0) -> None:
        """Ignores a user for that many seconds; then its session begins again (`PAUSE`).

        Raises LookupError if the user is not signed on.
        """
        self._bridge.call(lambda: self._signed_on(name).door.on_pause(seconds))

    def _signed_on(self, name: str) -> Presence:
        sessions = self.sessions.of(name)
        if not sessions:
            online = ", ".join(self.online) or "nobody"
            raise LookupError(f"{name} is not signed on; users online: {online}")
        return sessions[0]


def encodings(password: str) -> list[bytes]:
    """The bytes that a client may send for a password: TOC does not say which character set."""
    forms = [password.encode()]
    with contextlib.suppress(UnicodeEncodeError):
        forms.append(password.encode("latin-1"))
    return forms
