"""The network to which connections lead: users, channels, messages. `world.irc` is an `Irc`.

ann = world.irc.person("ann")                # a person without a client (actors.py)
world.clock.at(60, lambda: ann.says("#ops", "uptime"))
world.irc.users                              # ["bot", "ann"]
world.irc.channel("#ops").members            # ["@bot", "ann"]
world.irc.wait_for(lambda message: message.target == "#ops")
world.irc.netsplit("ann")                    # and later netjoin()
world.faults.arm('irc NICK reply "433 bot :Nickname is already in use" times 2')
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fakes.arrivals import Arrivals
from fakes.bridge import Bridge
from fakes.irc import actors
from fakes.irc.channels import Channel
from fakes.irc.lines import Line, encode
from fakes.irc.names import fold, is_nick, matches
from fakes.irc.policy import Policy
from fakes.irc.users import CRITERIA, Client, Message, User

if TYPE_CHECKING:
    from fakes.people import People
    from fakes.wire import Runtime


def stamp(at: float) -> str:
    """Returns a time as the tag `time` writes it (IRCv3 server-time)."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


REMEMBERED = 100  # users whom WHOWAS knows


@dataclass(frozen=True)
class Past:
    """A user as it was when it left, for WHOWAS."""

    nick: str
    name: str
    host: str
    real_name: str
    at: float


class Irc(Arrivals[Message]):
    """One IRC network, of one server.

    Its state belongs to the world's loop. The methods for tests may be called from any thread. The
    keywords of waits `target` (a channel or a nick) and `sender` (a nick or an account) are the
    whole or a glob, `text` is a part of the message.
    """

    def __init__(
        self,
        runtime: Runtime,
        people: People,
        policy: Policy | None = None,
        *,
        domain: str = "example.test",
        bridge: Bridge | None = None,
        tell: Callable[[str, str], None] = lambda who, what: None,
    ) -> None:
        """`tell(who, what)` records an event of a person."""
        super().__init__(bridge or Bridge(), "message", criteria=CRITERIA)
        self.runtime, self.people = runtime, people
        self.policy = policy or Policy()
        self.name = self.policy.name or f"irc.{domain}"
        self.created = runtime.now()
        self.clients: dict[Client, None] = {}  # all connections and people, in order of arrival
        self.withdrawn: set[str] = set()  # capabilities that are not offered at the moment
        self.history: deque[Past] = deque(maxlen=REMEMBERED)
        self.most = 0  # the most users at once
        self.channels: dict[str, Channel] = {}  # folded name → channel
        self._users: dict[str, User] = {}  # folded nick → user, also of those not registered yet
        self._tell = tell
        self._persons: dict[str, actors.Person] = {}
        # Who is on the other side of a split, with the modes in each channel.
        self._split: list[tuple[User, dict[str, frozenset[str]], list[Callable[[], None]]]] = []

    # ── names ────────────────────────────────────────────────────────────────

    def fold(self, name: str) -> str:
        """Returns the form of a nick or channel in which equal names are the same."""
        return fold(name, self.policy.casemapping)

    def same(self, one: str, other: str) -> bool:
        """Whether two names are the same."""
        return self.fold(one) == self.fold(other)

    def matches(self, mask: str, name: str) -> bool:
        """Whether a mask matches a name."""
        return matches(mask, name, self.policy.casemapping)

    def find(self, nick: str) -> User | None:
        """Returns the registered user of a nick."""
        user = self._users.get(self.fold(nick))
        return user if user is not None and user.since else None

    def find_channel(self, name: str) -> Channel | None:
        """Returns a channel, None if it does not exist."""
        return self.channels.get(self.fold(name))

    @property
    def everybody(self) -> list[User]:
        """All registered users, in order of arrival."""
        return [client.user for client in self.clients]

    def now(self) -> float:
        """The time in seconds since the epoch."""
        return self.runtime.now()

    def account_of(self, login: str) -> str:
        """Returns the account of a login (a local part or a whole address), "" if there is none."""
        person = self.people.find(login)
        return person.address.partition("@")[0] if person is not None else ""

    def oper_password(self, name: str) -> str:
        """Returns the password of an operator, "" if there is none of this name."""
        known = dict(one.split(":", 1) for one in self.policy.oper if ":" in one)
        return known.get(name, "")

    def is_oper(self, name: str, password: str) -> bool:
        """Whether these are the name and the password of an operator."""
        return bool(password) and self.oper_password(name) == password

    # ── who is there ─────────────────────────────────────────────────────────

    def is_free(self, nick: str, user: User) -> bool:
        """Whether a user may take a nick."""
        return self._users.get(self.fold(nick), user) is user

    def rename(self, user: User, nick: str) -> None:
        """Assigns a free nick to a user, and tells everybody who shares a channel with it."""
        line = Line(user.source, "NICK", (), nick, tags=self.tags_of(user))
        told = self.sharers(user) if user.since else []
        self.release(user)
        user.nick = nick
        self._users[self.fold(nick)] = user
        for other in told:
            other.client.tell(line)

    def release(self, user: User) -> None:
        """Frees the nick of a user."""
        if self._users.get(self.fold(user.nick)) is user:
            del self._users[self.fold(user.nick)]

    def enter(self, user: User) -> None:
        """A user has registered."""
        user.since = user.active = self.now()
        self.clients[user.client] = None
        self.most = max(self.most, len(self.clients))

    def leave(self, user: User, why: str) -> None:
        """A user leaves the network, for any reason. Idempotent."""
        self.release(user)
        if user.client not in self.clients:
            return
        del self.clients[user.client]
        self.history.appendleft(Past(user.nick, user.name, user.host, user.real_name, self.now()))
        line = Line(user.source, "QUIT", (), why, tags=self.tags_of(user))
        for other in self.sharers(user):
            if other is not user:
                other.client.tell(line)
        self.leave_channels(user)

    def leave_channels(self, user: User) -> None:
        """Removes a user from all channels; nobody is told."""
        for channel in list(user.channels.values()):
            self.remove(channel, user)
        for channel in self.channels.values():
            channel.invited.pop(user, None)

    def expel(self, user: User, why: str) -> None:
        """Ends the session of a user, who reads why, as the others do."""
        self.leave(user, why)
        user.client.end(why)

    def sharers(self, user: User) -> list[User]:
        """Returns the user and everybody who shares a channel with it, each once."""
        found = {user: None}
        for channel in user.channels.values():
            found.update(dict.fromkeys(channel.users))
        return list(found)

    def visible(self, users: Iterable[User], viewer: User) -> list[User]:
        """Returns those whom a viewer sees: invisible users only if they share a channel with it.

        RFC 2812 §3.1.5 and §3.6.1.
        """
        sharers = set(self.sharers(viewer))
        return [user for user in users if "i" not in user.modes or user in sharers]

    def tags_of(self, user: User) -> dict[str, str]:
        """Returns the tags of what a user causes."""
        tags = {"time": stamp(self.now()), "msgid": f"{self.runtime.token(12)}.{self.name}"}
        if user.account:
            tags["account"] = user.account
        if "B" in user.modes:
            tags["bot"] = ""
        return tags

    # ── channels ─────────────────────────────────────────────────────────────

    def join(self, name: str, user: User) -> Channel:
        """Lets a user into a channel, which is created if it does not exist."""
        channel = self.find_channel(name)
        if channel is None:
            channel = Channel(name, self.now(), self.policy.casemapping)
            self.channels[self.fold(name)] = channel
        channel.add(user)
        user.channels[self.fold(name)] = channel
        self.announce(channel, user, channel.users)
        return channel

    def announce(self, channel: Channel, user: User, told: Iterable[User]) -> None:
        """Tells users that a user has joined."""
        tags = self.tags_of(user)
        plain = Line(user.source, "JOIN", (channel.name,), tags=tags)
        account = user.account or "*"
        extended = Line(user.source, "JOIN", (channel.name, account), user.real_name, tags=tags)
        for other in told:
            other.client.tell(extended if other.client.has("extended-join") else plain)
            if user.away is not None and other is not user:
                away = Line(user.source, "AWAY", (), user.away, tags=tags, needs="away-notify")
                other.client.tell(away)

    def remove(self, channel: Channel, user: User) -> None:
        """Removes a user from a channel, which is gone when it is empty."""
        channel.remove(user)
        user.channels.pop(self.fold(channel.name), None)
        if not len(channel):
            self.channels.pop(self.fold(channel.name), None)

    def tell_channel(self, channel: Channel, line: Line) -> None:
        """Tells all members."""
        for user in channel.users:
            user.client.tell(line)

    # ── changes that sharers are told ────────────────────────────────────────

    def log_in(self, user: User, account: str) -> None:
        """Sets the account of a user, "" for none; sharers are told."""
        user.account = account
        if user.since:
            self._tell_sharers(user, "ACCOUNT", (account or "*",), None, "account-notify")

    def set_away(self, user: User, text: str | None) -> None:
        """Sets what a user who is away says, None for a user who is there."""
        user.away = text
        for other in self.sharers(user):
            if other is not user:
                line = Line(user.source, "AWAY", (), text, self.tags_of(user), "away-notify")
                other.client.tell(line)

    def _tell_sharers(
        self, user: User, verb: str, words: tuple[str, ...], text: str | None, needs: str
    ) -> None:
        line = Line(user.source, verb, words, text, self.tags_of(user), needs)
        for other in self.sharers(user):
            other.client.tell(line)

    def set_real_name(self, user: User, text: str) -> None:
        """Changes the real name of a user."""
        user.real_name = text
        self._tell_sharers(user, "SETNAME", (), text, "setname")

    def record(self, verb: str, user: User, target: str, line: Line) -> None:
        """Records a message that was accepted."""
        user.active = self.now()
        self.add_arrival(
            Message(
                self.now(),
                verb,
                user.nick,
                user.account,
                target,
                encode(line.text or ""),
                {name: value for name, value in line.tags.items() if name.startswith("+")},
            )
        )

    def close(self) -> None:
        """Makes sessions end silently from now on: the world ends."""
        self.clients.clear()
        self.channels.clear()

    # ── for tests ────────────────────────────────────────────────────────────

    @property
    def messages(self) -> Sequence[Message]:
        """Every message that the server has accepted, in order."""
        return self.all

    def forget(self) -> None:
        """Forgets the messages so far, so that later waits count from zero."""
        self.clear()

    @property
    def users(self) -> list[str]:
        """The nicks of all users, in order of arrival."""
        return self._bridge.call(lambda: [user.nick for user in self.everybody])

    def user(self, nick: str) -> User:
        """Returns a user. Raises LookupError if nobody has this nick."""
        return self._bridge.call(lambda: self._present(nick))

    def channel(self, name: str) -> Channel:
        """Returns a channel: members, topic, modes, lists, invited.

        Raises LookupError if it does not exist.
        """

        def find() -> Channel:
            channel = self.find_channel(name)
            if channel is None:
                known = ", ".join(one.name for one in self.channels.values()) or "none"
                raise LookupError(f"the channel {name} does not exist; channels: {known}")
            return channel

        return self._bridge.call(find)

    def person(self, nick: str) -> actors.Person:
        """Returns a person who acts without a client. Raises LookupError for an impossible nick."""

        def make() -> actors.Person:
            if not is_nick(nick):
                raise LookupError(f"{nick!r} cannot be a nick; begin with a letter, no spaces")
            if self.fold(nick) not in self._persons:
                person = actors.Person(self, nick, self._bridge, self._tell)
                self._persons[self.fold(nick)] = person
            return self._persons[self.fold(nick)]

        return self._bridge.call(make)

    def kill(self, nick: str, why: str = "Nick collision") -> None:
        """Ends the session of a user, as an operator or a collision of nicks does.

        Raises LookupError if nobody has this nick.
        """
        self._bridge.call(lambda: self.expel(self._present(nick), f"Killed ({self.name} ({why}))"))

    def kick(self, channel: str, nick: str, why: str = "") -> None:
        """The server removes a user from a channel. Raises LookupError if it is not inside."""

        def kick() -> None:
            user, found = self._present(nick), self.find_channel(channel)
            if found is None or user not in found:
                raise LookupError(f"{nick} is not in {channel}")
            line = Line(self.name, "KICK", (found.name, user.nick), why or self.name)
            self.tell_channel(found, line)
            self.remove(found, user)

        self._bridge.call(kick)

    def kick_everywhere(self, nick: str) -> None:
        """The server removes a user from all its channels."""

        def kick() -> None:
            for channel in list(self._present(nick).channels.values()):
                self.kick(channel.name, nick)

        self._bridge.call(kick)

    def nick_of(self, login: str) -> str:
        """Returns the nick of a person: who has logged in to its account, or else has its name.

        "" if there is no such user.
        """
        account = self.account_of(login)
        users = [user for user in self.everybody if account and user.account == account]
        named = self.find(account) if account else None
        if users:
            return users[0].nick
        return named.nick if named is not None else ""

    def ghost(self, nick: str) -> None:
        """A user's connection is lost, and the server does not notice it until the ping timeout.

        Raises LookupError if nobody has this nick.
        """
        self._bridge.call(lambda: self._present(nick).client.lose())

    def netsplit(self, *nicks: str) -> list[str]:
        """Puts people who act by cues on the other side of a split: the others see them quit.

        Without nicks, all of them. Returns their nicks. Raises LookupError for a user who has a
        connection.
        """
        return self._bridge.call(lambda: self._netsplit(nicks))

    def _netsplit(self, nicks: tuple[str, ...]) -> list[str]:
        found = [self._present(nick) for nick in nicks] or [
            user for user in self.everybody if isinstance(user.client, actors.Person)
        ]
        for user in found:
            if not isinstance(user.client, actors.Person):
                raise LookupError(f"{user.nick} has a connection; split people who act by cues")
        reason, batch = "hub.test leaf.test", self.runtime.token(8)
        gone = set(found)
        lines: dict[User, list[Line]] = {}
        for user in found:
            tags = {**self.tags_of(user), "batch": batch}
            for other in self.sharers(user):
                if other not in gone:
                    line = Line(user.source, "QUIT", (), reason, tags)
                    lines.setdefault(other, []).append(line)
        for user in found:
            modes = {
                channel.name: frozenset(member.modes)
                for channel in user.channels.values()
                if (member := channel.member(user)) is not None
            }
            self._split.append((user, modes, []))
            self.release(user)
            self.clients.pop(user.client, None)
            self.leave_channels(user)
        for other, quits in lines.items():
            start = ("netsplit", *reason.split())
            self.tell_batch(other, batch, start, quits)
        return [user.nick for user in found]

    def tell_batch(
        self, user: User, batch: str, start: tuple[str, ...], lines: Iterable[Line]
    ) -> None:
        """Tells a user lines that belong together, with the tag of their batch already."""
        tell = user.client.tell
        tell(Line(self.name, "BATCH", (f"+{batch}", *start), needs="batch"))
        for line in lines:
            tell(line)
        tell(Line(self.name, "BATCH", (f"-{batch}",), needs="batch"))

    def netjoin(self) -> None:
        """Ends a split: people come back into their channels, and have their modes again.

        Another user may have taken a nick meanwhile; then its owner does not come back.
        """

        def join() -> None:
            split, self._split = self._split, []
            for user, modes, acts in split:
                if not self.is_free(user.nick, user):
                    user.client.end("Nick collision")
                    continue
                self._users[self.fold(user.nick)] = user
                self.clients[user.client] = None
                for name, letters in modes.items():
                    channel = self.join(name, user)
                    self.restore(channel, user, letters)
                for act in acts:
                    act()

        self._bridge.call(join)

    def beyond_split(self, user: User) -> list[Callable[[], None]] | None:
        """What a user does when the split ends; None for a user who is on this side."""
        return next((acts for other, _, acts in self._split if other is user), None)

    def restore(self, channel: Channel, user: User, letters: Iterable[str]) -> None:
        """The server sets the modes of a member again."""
        member = channel.member(user)
        new = [letter for letter in "ov" if member and letter in letters]
        new = [letter for letter in new if member and letter not in member.modes]
        if member is not None and new:
            member.modes.update(new)
            words = (channel.name, f"+{''.join(new)}", *[user.nick] * len(new))
            self.tell_channel(channel, Line(self.name, "MODE", words))

    def changes_host(self, nick: str, host: str, name: str = "") -> None:
        """Changes the host, and the user name, of a user: CHGHOST, else QUIT, JOIN and MODE.

        Raises LookupError if nobody has this nick.
        """

        def change() -> None:
            user = self._present(nick)
            tags, old = self.tags_of(user), user.source
            name_now = name or user.name
            others = [other for other in self.sharers(user) if other is not user]
            knowing = [other for other in others if other.client.has("chghost")]
            line = Line(old, "CHGHOST", (name_now, host), tags=tags, needs="chghost")
            user.client.tell(line)
            for other in knowing:
                other.client.tell(line)
            for other in others:
                if other not in knowing:
                    other.client.tell(Line(old, "QUIT", (), "Changing host", tags))
            user.name, user.host = name_now, host
            for channel in user.channels.values():
                told = [one for one in channel.users if one in others and one not in knowing]
                self.announce(channel, user, told)
                member = channel.member(user)
                letters = [letter for letter in "ov" if member and letter in member.modes]
                words = (channel.name, f"+{''.join(letters)}", *[user.nick] * len(letters))
                for other in told if letters else ():
                    other.client.tell(Line(self.name, "MODE", words))

        self._bridge.call(change)

    def withdraws(self, capability: str) -> None:
        """The server no longer offers a capability (`CAP DEL`)."""
        self._offer(capability, False)

    def offers(self, capability: str) -> None:
        """The server offers a capability again (`CAP NEW`)."""
        self._offer(capability, True)

    def _offer(self, capability: str, there: bool) -> None:
        def change() -> None:
            (self.withdrawn.discard if there else self.withdrawn.add)(capability)
            for client in list(self.clients):
                client.offered(capability, there)

        self._bridge.call(change)

    def _present(self, nick: str) -> User:
        user = self.find(nick)
        if user is None:
            present = ", ".join(user.nick for user in self.everybody) or "nobody"
            raise LookupError(f"{nick} is not on IRC; users: {present}")
        return user
