"""People who act by cues, without a client, and remember what they receive.

ann = world.irc.person("ann")
world.clock.at(60, lambda: ann.says("#ops", "uptime"))
…
assert [message.text for message in ann.hears] == [...]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fakes.arrivals import Arrivals
from fakes.bridge import Bridge
from fakes.irc.lines import Command, Line, encode
from fakes.irc.users import CRITERIA, HOST_OF_PEOPLE, Client, Message, User

if TYPE_CHECKING:
    from fakes.irc.network import Irc

FIRST_REFUSAL = 400  # numerics from here on are errors


class Person(Client, Arrivals[Message]):
    """A person on IRC who acts by cues.

    A person who is not there registers before it acts. A refusal of the server raises LookupError
    with its numeric. On the other side of a split, nobody hears what it says; what it changes is
    seen when the split ends. `wait_for` and the other waits are about what the person hears.
    """

    def __init__(
        self, network: Irc, nick: str, bridge: Bridge, tell: Callable[[str, str], None]
    ) -> None:
        Arrivals.__init__(self, bridge, "message", criteria=CRITERIA)
        self.network = network
        self.user = User(self, HOST_OF_PEOPLE, 0.0)
        self._nick = nick
        self._note = tell
        self._saw: list[str] = []

    def __repr__(self) -> str:
        return f"<Person {self._nick}>"

    # ── actions ──────────────────────────────────────────────────────────────

    def joins(self, channel: str, key: str = "") -> None:
        """Joins a channel."""
        self._act(f"joins {channel}", "JOIN", channel, *([key] if key else []))

    def parts(self, channel: str, why: str = "") -> None:
        """Leaves a channel."""
        self._act(f"leaves {channel}", "PART", channel, *([why] if why else []))

    def says(self, target: str, text: str, **tags: str) -> None:
        """Sends a message to a nick or a channel. `tags` become client-only tags."""
        self._say("PRIVMSG", target, text, {f"+{name}": value for name, value in tags.items()})

    def notices(self, target: str, text: str) -> None:
        """Sends a notice."""
        self._say("NOTICE", target, text, {})

    def acts(self, target: str, text: str) -> None:
        """Describes what it does (CTCP ACTION)."""
        self.says(target, f"\x01ACTION {text}\x01")

    def kicks(self, channel: str, nick: str, why: str = "") -> None:
        """Throws a user out of a channel."""
        self._act(f"kicks {nick} out of {channel}", "KICK", channel, nick, *([why] if why else []))

    def ops(self, channel: str, nick: str) -> None:
        """Makes a user operator of a channel."""
        self.sets(channel, "+o", nick)

    def sets(self, target: str, *modes: str) -> None:
        """Changes modes: `ann.sets("#ops", "+kl", "key", "5")`."""
        self._act(f"sets {' '.join((target, *modes))}", "MODE", target, *modes)

    def sets_topic(self, channel: str, topic: str) -> None:
        """Sets the topic of a channel."""
        self._act(f"sets the topic of {channel}: {topic}", "TOPIC", channel, topic)

    def invites(self, nick: str, channel: str) -> None:
        """Invites a user to a channel."""
        self._act(f"invites {nick} to {channel}", "INVITE", nick, channel)

    def goes_away(self, text: str = "Away") -> None:
        """Is away; "" ends that."""
        self._act(f"goes away: {text}" if text else "is back", "AWAY", text)

    def becomes(self, nick: str) -> None:
        """Changes its nick."""
        self._act(f"becomes {nick}", "NICK", nick)

    def logs_in(self, account: str = "") -> None:
        """Logs in to an account, by default the one of its nick.

        Raises LookupError if the world has no such person.
        """

        def log_in() -> None:
            found = self.network.account_of(account or self.user.nick)
            if not found:
                raise LookupError(f"no account {account or self.user.nick!r}; add a person")
            self.network.log_in(self.user, found)

        self._run(f"logs in as {account or self._nick}", log_in)

    def quits(self, why: str = "Quit") -> None:
        """Leaves the network."""
        self._run("quits", lambda: self.network.leave(self.user, why))

    # ── what the person has received ─────────────────────────────────────────

    @property
    def hears(self) -> Sequence[Message]:
        """The messages and notices for the person, and those in its channels."""
        return self.all

    @property
    def saw(self) -> list[str]:
        """Every line that the person has received, without tags."""
        return self._bridge.call(lambda: list(self._saw))

    # ── inside ───────────────────────────────────────────────────────────────

    def _say(self, verb: str, target: str, text: str, tags: dict[str, str]) -> None:
        def say() -> None:
            from fakes.irc.commands import OF_PERSONS  # which needs this module

            OF_PERSONS[verb](self, Command(verb, (target, text), tags, f"{target} :{text}"))

        what = "says to" if verb == "PRIVMSG" else "notices"
        self._run(f"{what} {target}: {text}", say, is_speech=True)

    def _act(self, what: str, verb: str, *parameters: str) -> None:
        def act() -> None:
            from fakes.irc.commands import OF_PERSONS

            OF_PERSONS[verb](self, Command(verb, parameters))

        self._run(what, act)

    def _run(self, what: str, act: Callable[[], None], is_speech: bool = False) -> None:
        """Runs an action on the loop's thread, registered, and records it as an event."""

        def run() -> None:
            waiting = self.network.beyond_split(self.user)
            if waiting is None and self not in self.network.clients:
                self._register()
            self._note(self.user.nick, what)
            if waiting is None:
                act()
            elif not is_speech:
                waiting.append(act)

        self._bridge.call(run)

    def _register(self) -> None:
        if not self.network.is_free(self._nick, self.user):
            raise LookupError(f"433 {self._nick}: the nick is in use")
        self.user = User(self, HOST_OF_PEOPLE, 0.0)
        self.user.name, self.user.real_name = f"~{self._nick}"[:10], self._nick
        self.network.rename(self.user, self._nick)
        self.network.enter(self.user)

    # ── the person as a client ───────────────────────────────────────────────

    def has(self, capability: str) -> bool:
        return capability not in ("echo-message", "batch")

    def tell(self, line: Line) -> None:
        if line.needs and not self.has(line.needs):
            return
        self._saw.append(str(line))
        if line.verb.isdigit() and int(line.verb) >= FIRST_REFUSAL:
            raise LookupError(f"{line.verb} {' '.join(line.parameters[1:])}")
        if line.verb in ("PRIVMSG", "NOTICE", "TAGMSG"):
            sender = line.source.partition("!")[0]
            text = encode(line.text or "")
            tags = {name: value for name, value in line.tags.items() if name.startswith("+")}
            account = line.tags.get("account", "")
            now, target = self.network.now(), line.words[0]
            self.add_arrival(Message(now, line.verb, sender, account, target, text, tags))

    def end(self, why: str) -> None:
        self._saw.append(f"ERROR :{why}")
