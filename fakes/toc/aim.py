"""The service behind the port: accounts, who is on line, who sees whom, IMs, warnings. `world.aim` is this.

    bot = world.aim.actor("OpsBot")              # somebody of the play (actors.py)
    world.clock.at(60, lambda: admin.says("OpsBot", "uptime"))
    world.aim.online                             # ["OpsBot", "SysAdmin"]
    world.aim.wait_for(lambda im: im.to == "SysAdmin")
    world.aim.sends("OpsBot", "ERROR:903")       # whatever the server might say
    world.faults.arm("toc toc_send_im reply 901 times 1")

Who sees whom, in one sentence: the visible see those whom they watch, who are visible and allow them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from fakes.arrivals import Arrivals
from fakes.bridge import Bridge
from fakes.directory import Accounts, Sessions
from fakes.toc import actors
from fakes.toc.lists import NAME, fold, is_name
from fakes.toc.presence import LEVEL, Account, Door, Im, Presence, Status, Unavailable
from fakes.toc.rooms import Rooms

NAMED, ANONYMOUS = 10, 3  # points of a warning


class Aim(Arrivals[Im]):
    """All of AIM in one world. Its state belongs to the world's loop; the methods of the test's side marshal themselves."""

    def __init__(
        self,
        accounts: Iterable[Account] = (),
        *,
        now: Callable[[], float] = lambda: 0.0,
        bridge: Bridge | None = None,
        tell: Callable[[str, str], None] = lambda who, what: None,
    ) -> None:
        super().__init__(bridge or Bridge(), "IM")
        self.known: Accounts[Account] = Accounts(fold)
        for account in accounts:
            self.known.add(account.screen_name, account)
        self.now = now
        self.rooms = Rooms()
        self._tell = tell
        self.sessions: Sessions[Presence] = Sessions(fold)
        self._actors: dict[str, actors.Actor] = {}

    # ── what the servers use ─────────────────────────────────────────────────────────────────────────────────────

    def authenticate(self, name: str, password: bytes | None) -> Account | None:
        """The account, if this is its password; None for an unknown name and a wrong password alike."""
        account = self.known.find(name)
        right = account is not None and password in _octets(account.password)
        return account if right else None

    def sign_on(self, account: Account, door: Door, *, stored: bool) -> Presence:
        """A session begins, and an older one of the same name ends. `stored`: the account's lists are in force."""
        for older in self.sessions.of(account.screen_name):
            self.sign_off(older)
            older.door.on_replaced()
        presence = Presence(account, door, self.now(), stored)
        self.sessions.enter(account.screen_name, presence)
        return presence

    def sign_off(self, presence: Presence) -> None:
        """A session ends: rooms are left, watchers told. Ending it twice does nothing."""
        if not self.sessions.leave(presence.name, presence):
            return
        for room in list(presence.rooms.values()):
            self.rooms.leave(room, presence)
        with self.changing(presence):
            presence.visible = False

    def appear(self, presence: Presence) -> None:
        """`toc_init_done`: others are told of him, and he of those whom he watches."""
        with self.changing(presence):
            presence.visible = True
        self.show(presence, [name for name in presence.watched if fold(name) != fold(presence.name)])

    def show(self, viewer: Presence, names: Iterable[str]) -> None:
        """Tells one who watches of those who are on line now."""
        for name in names:
            target = self._seen(viewer, name)
            if target is not None:
                viewer.door.on_status(target.status(self.now()))

    @contextlib.contextmanager
    def changing(self, presence: Presence, *, news: bool = False) -> Iterator[None]:
        """Whatever is done to somebody within: those who no longer see him are told that he is gone, and those who see
        him now are told of him. `news`: those who see him still are told too."""
        before = self._audience(presence)
        yield
        after = self._audience(presence)
        for watcher in before:
            if watcher not in after and watcher.visible:
                watcher.door.on_status(Status(presence.name))
        for watcher in after:
            if news or watcher not in before:
                watcher.door.on_status(presence.status(self.now()))

    def send(self, sender: Presence, to: str, raw: bytes, *, auto: bool = False, encoding: str = "L",
             language: str = "en") -> None:  # fmt: skip
        """Delivers an IM. Raises Unavailable."""
        target = self.reachable(sender, to)
        target.heard_from(sender.name, self.now())
        target.door.on_im(Im(self.now(), sender.name, target.name, raw, auto, encoding, language))

    def reachable(self, asker: Presence, name: str) -> Presence:
        """Somebody who is on line and lets himself be seen by the one who asks. Raises Unavailable."""
        target = self._seen(asker, name)
        if target is None:
            raise Unavailable(name)
        return target

    def warn(self, by: Presence, name: str, anonymous: bool) -> None:
        """Warns somebody who has sent an IM lately. Raises Unavailable."""
        target = self.reachable(by, name)
        if target is by or not by.may_warn(name, self.now()):
            raise Unavailable(name)
        self._warn(target, target.account.warning + (ANONYMOUS if anonymous else NAMED), "" if anonymous else by.name)

    def admitted(self, cookie: str) -> Presence | None:
        """Whose cookie this is."""
        return next((presence for presence in self.sessions if cookie and presence.cookie == cookie), None)

    def _warn(self, target: Presence, level: int, by: str) -> None:
        with self.changing(target, news=True):
            target.account.warning = max(0, min(level, LEVEL))
        target.door.on_warned(target.account.warning, by)

    def _seen(self, viewer: Presence, name: str) -> Presence | None:
        return next((one for one in self.sessions.of(name) if one.visible and one.allows(viewer.name)), None)

    def _audience(self, presence: Presence) -> dict[Presence, None]:
        """Who watches him and sees him, in order of arrival."""
        if not presence.visible:
            return {}
        watching = (one for one in self.sessions if one.visible and one.watches(presence.name))
        return {one: None for one in watching if presence.allows(one.name)}

    # ── the test's side ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def ims(self) -> list[Im]:
        """Every IM that has reached a recipient, in order."""
        return self.all

    @property
    def online(self) -> list[str]:
        """The screen names of all who are visible, in order of arrival."""
        return self._bridge.call(lambda: [presence.name for presence in self.sessions if presence.visible])

    def actor(self, name: str) -> actors.Actor:
        """Somebody of the play, without a socket; who has no account gets one. Raises LookupError for what is no name."""

        def make() -> actors.Actor:
            if self.known.find(name) is None:
                if not is_name(name):
                    raise LookupError(f"{name!r} cannot be a screen name: no colon, at most {NAME} characters")
                self.known.add(name, Account(name))
            return self._actors.setdefault(fold(name), actors.Actor(self, name, self._bridge, self._tell))

        return self._bridge.call(make)

    def signs_off(self, name: str) -> None:
        """Ends whatever session this name has, as when it signs on elsewhere."""

        def end() -> None:
            for presence in self.sessions.of(name):
                self.sign_off(presence)
                presence.door.on_replaced()

        self._bridge.call(end)

    def warns(self, name: str, level: int) -> None:
        """Sets the warning level of somebody who is on line; he is told, and so are his watchers."""
        self._bridge.call(lambda: self._warn(self._present(name), level, ""))

    def sends(self, name: str, words: str) -> None:
        """Has the server tell somebody anything at all: `world.aim.sends("OpsBot", "ERROR:903")`."""
        self._bridge.call(lambda: self._present(name).door.on_words(words))

    def pauses(self, name: str, seconds: float = 2.0) -> None:
        """`PAUSE`: the server ignores somebody for so many seconds, then he begins anew."""
        self._bridge.call(lambda: self._present(name).door.on_pause(seconds))

    def _present(self, name: str) -> Presence:
        sessions = self.sessions.of(name)
        if not sessions:
            raise LookupError(f"{name} is not signed on; those who are: {', '.join(self.online) or 'nobody'}")
        return sessions[0]


def _octets(password: str) -> list[bytes]:
    """How a client may send a password: nothing in TOC says in which character set."""
    forms = [password.encode()]
    with contextlib.suppress(UnicodeEncodeError):
        forms.append(password.encode("latin-1"))
    return forms
