"""A blocking IRC client for bots. It joins channels, and calls the program's handlers.

    client = Client(settings.server("irc"), clock, host)

    @client.on_message
    def answer(message):
        message.reply(f"You said: {message.text}")

    client.connect()        # returns when it is in its channels
    client.wait()           # until the program is asked to stop; connects again if necessary
    client.disconnect()

Handlers are called inside `connect` and `wait`, one at a time; there are no threads. They get only
what a person has written: never a notice, our own message, the message of a bot or of a server, or
one that is repeated from a time before we came.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from comms.backoff import Backoff
from comms.callbacks import call
from comms.clock import Clock
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.irc.lines import CTCP, LINE, Line, check_word, pieces, readable
from comms.irc.messages import Message
from comms.irc.people import People
from comms.irc.session import NoLogin, Session
from comms.irc.support import Support
from comms.link import STOPPING

if TYPE_CHECKING:
    from comms.settings import Server

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0  # seconds between attempts to connect again
STEADY = 60.0  # seconds online after which the last attempt counts as a success
THROTTLED = 60.0  # seconds of pause, at least, if the server says that we come too often
AFTER_KICK = 10.0  # seconds until we join again, once
CTCP_PAUSE = 10.0  # seconds between two answers to CTCP
VERSION = "comms.irc"
# What servers answer instead of delivering a message, or of letting us into a channel. Many are in
# no RFC: 439 and 707 (too many targets in a short time), 470 (they lead us to another channel).
_UNDELIVERED = frozenset("401 402 403 404 407 408 412 415 417 439 477 486 492 531 707 716".split())
_NOT_JOINED = frozenset(
    "403 405 407 437 439 448 470 471 473 474 475 476 477 479 480 489 500 519 520 926".split()
)
# The verbs and numerics that a method of the client handles.
_HANDLED = frozenset(
    "JOIN PART KICK QUIT NICK ACCOUNT CHGHOST CAP BATCH PRIVMSG 005 353 396 900 901".split()
)
_STOPPED = object()
_Handler = TypeVar("_Handler", bound=Callable[..., object])


class Client:
    """A bot on IRC, not connected until `connect` is called."""

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self.server = server
        self._clock, self._host = clock, host
        self._session: Session | None = None
        self._support = Support()  # of the last session: names heard there are compared later, too
        self._wanted = False  # whether a lost connection should be established again
        self._backoff = Backoff(clock, host, first=FIRST_PAUSE, longest=LONGEST_PAUSE, jitter=0.5)
        self._on_message: list[Callable[[Message], object]] = []
        self._on_line: list[Callable[[Line], object]] = []
        # The channels where we want to be, as they are written → key.
        self._channels: dict[str, str] = {}
        for text in server.channels:
            name, _, key = text.partition(" ")
            self._channels[name] = key.strip()
        self._rejoins: dict[str, float] = {}  # channel → when, after a kick or a "not now"
        self._kicked: set[str] = set()  # from where we were kicked, in this session
        self._answered_ctcp = -CTCP_PAUSE
        self._batches: dict[str, str] = {}  # open batch → its type
        self.people = People(lambda name: name)

    # ── handlers ─────────────────────────────────────────────────────────────

    def on_message(self, handler: _Handler) -> _Handler:
        """Decorator: the function is called with a Message for each message of a person."""
        self._on_message.append(handler)
        return handler

    def on_line(self, handler: _Handler) -> _Handler:
        """Decorator: the function is called with each Line of the server, after we handled it."""
        self._on_line.append(handler)
        return handler

    # ── connecting and leaving ───────────────────────────────────────────────

    def connect(self) -> None:
        """Registers, and joins the channels of the settings.

        Raises Refused if the server does not accept us, TryLater or Unreachable. A channel that
        refuses us is logged, and asked again later if it refuses us only for now.
        """
        self.disconnect()
        self._connect()
        self._wanted = True
        self._backoff.succeeded()

    def wait(self, limit: float | None = None) -> None:
        """Handles what arrives, for `limit` seconds, or until the program is asked to stop.

        (`wait` of XMPP takes a time instead: `wait(clock.time() + 60)`.) A lost connection is
        established again after a back-off. Raises Refused if the server no longer accepts us,
        Unreachable if `connect` was not called.
        """
        if not self._wanted:
            raise Unreachable("not on IRC: connect() comes before wait()")
        until = None if limit is None else self._clock.monotonic() + limit
        # When a server that sends without end is left, once the time is over or we stop.
        stop_at = None if until is None else until + STOPPING
        while self._wanted:  # a handler may call disconnect
            now = self._clock.monotonic()
            if until is None and self._clock.stopping():
                stop_at = now + STOPPING if stop_at is None else stop_at
            if stop_at is not None and now >= stop_at:
                return
            try:
                if self._session is None:
                    if not self._reconnect(until):
                        return
                elif not self._step(self._session, until):
                    return
            except Unreachable as error:
                self._host.log("irc-link-lost", "warning", trouble=error)
                self._lost()

    def disconnect(self, why: str = "") -> None:
        """Leaves; what was sent arrives first. `connect` may be called again."""
        self._wanted = False
        session, self._session = self._session, None
        if session is not None:
            session.quit(why)

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

    @property
    def nick(self) -> str:
        """Our nick, which may differ from the one of the settings while that is in use."""
        return self._session.nick if self._session is not None else self.server.nick

    @property
    def account(self) -> str:
        """The account to which we have logged in, "" if there is none."""
        return self._session.account if self._session is not None else ""

    def fold(self, name: str) -> str:
        """Returns the form of a nick, a channel or an account in which equal names are the same."""
        return self._support.fold(name)

    def present(self, channel: str) -> list[str]:
        """The nicks in one of our channels."""
        return self.people.present(channel)

    def say(self, target: str, text: str) -> None:
        """Sends a message to a nick or a channel. A long one is split, at spaces if possible.

        Waits until the server has handled it. Raises Refused if nobody of that name is there, or
        the channel does not allow it; TryLater if too much was sent before, or if it would have to
        wait when the program is asked to stop; Unreachable if it was not sent, Unknown if the
        connection was lost before the server could answer. Raises ValueError for a target that
        cannot be one, and for a text that is much too long, before anything is sent.
        """
        self._send("PRIVMSG", target, text, "", "")

    def act(self, target: str, text: str) -> None:
        """Says what we do (CTCP ACTION). Raises as `say`."""
        self._send("PRIVMSG", target, text, f"{CTCP}ACTION ", CTCP)

    def notice(self, target: str, text: str) -> None:
        """Sends a notice, which no program answers. Raises as `say`, except Refused."""
        self._send("NOTICE", target, text, "", "")

    def join(self, channel: str, key: str = "") -> None:
        """Joins a channel, in this session and all later ones.

        Raises Refused, TryLater, Unreachable, and ValueError for a name that cannot be one.
        """
        check_word("channel", channel)
        if key:
            check_word("key", key)
        self._join(self._required(), channel, key)
        self._channels[channel] = key

    def leave(self, channel: str, why: str = "") -> None:
        """Leaves a channel. Raises Unreachable, and ValueError."""
        check_word("channel", channel)
        fold = self._required().support.fold
        self._channels = {
            name: key for name, key in self._channels.items() if fold(name) != fold(channel)
        }
        self.send_line(f"PART {channel} :{why}" if why else f"PART {channel}")

    def send_line(self, line: str) -> None:
        """Sends a command as it is. Raises Unreachable, and ValueError for more than one line."""
        session = self._required()
        session.pay()
        session.send(line)

    # ── inside: sending ──────────────────────────────────────────────────────

    def _required(self) -> Session:
        if self._session is None:
            raise Unreachable("not on IRC: connect() comes first")
        return self._session

    def _send(self, verb: str, target: str, text: str, head: str, tail: str) -> None:
        check_word("target", target)
        session = self._required()
        used = len(f"{verb} {target} :{head}{tail}".encode())
        room = LINE - session.overhead - used
        if room < 40:
            raise ValueError(f"target: {target[:40]!r}… leaves no room for a text")
        # Everything is split first: a text that is too long is not sent in part.
        commands = [f"{verb} {target} :{head}{piece}{tail}" for piece in pieces(text, room)]
        if not commands:
            return
        session.wait_for_turn(len(commands))
        session.confirm(commands, _UNDELIVERED)

    # ── inside: connecting ───────────────────────────────────────────────────

    def _connect(self) -> None:
        session = Session(self.server, self._clock, self._host)
        try:
            session.register()
            self._session = session
            self._begin(session)
        except BaseException:
            self._session = None
            if session.is_throttled:
                self._backoff.wait_at_least(THROTTLED)
            session.close()
            raise

    def _begin(self, session: Session) -> None:
        """After the welcome: takes back our nick, says that we are a bot, joins the channels."""
        self._support = session.support
        self.people = People(session.support.fold)
        self.people.tells = {"extended-join", "account-notify"} <= session.capabilities
        self._batches.clear()
        self._rejoins.clear()
        self._kicked.clear()
        fold = session.support.fold
        # Before our nick changes, by which the server knows whose mode this is.
        bot = session.support.value("BOT")
        if bot:
            session.send(f"MODE {session.nick} +{bot}")
        if fold(session.nick) != fold(self.server.nick):
            if session.account and fold(session.account) == fold(self.server.nick):
                session.send(f"PRIVMSG NickServ :GHOST {self.server.nick}")
            session.send(f"NICK {self.server.nick}")
        # In between, because the lists of the members of many channels would fill the inbox.
        self._handle_all(session)
        for name, key in list(self._channels.items()):
            self._join_again(session, name, key)
            self._handle_all(session)

    def _join(self, session: Session, name: str, key: str) -> None:
        try:
            session.confirm([f"JOIN {name} {key}".rstrip()], _NOT_JOINED)
        except Unknown as error:
            # Whether we were inside when the connection was lost makes no difference.
            raise Unreachable(str(error)) from None

    def _join_again(self, session: Session, name: str, key: str) -> None:
        try:
            self._join(session, name, key)
        except (Refused, TryLater) as error:
            self._host.log("irc-not-joined", "warning", channel=name, trouble=error)
            if isinstance(error, TryLater):
                self._rejoins[name] = self._clock.monotonic() + THROTTLED

    def _lost(self) -> None:
        """Drops the session and schedules the next attempt."""
        session, self._session = self._session, None
        # Who is who must be told again: others may have these nicks by then.
        self.people = People(lambda name: name)
        if session is not None:
            if session.online_since and (self._clock.monotonic() - session.online_since > STEADY):
                self._backoff.succeeded()
            if session.is_throttled:
                self._backoff.wait_at_least(THROTTLED)
            session.close()
        self._backoff.failed()

    def _reconnect(self, until: float | None) -> bool:
        """Makes one attempt to connect, when it is due.

        Returns False if `until` comes first, or if the program is asked to stop.
        """
        pause = self._backoff.due - self._clock.monotonic()
        if until is not None:
            pause = min(pause, until - self._clock.monotonic())
        rounds = self._clock.every(max(pause, 0.001))
        next(rounds, None)
        if next(rounds, _STOPPED) is _STOPPED:
            return False
        if self._clock.monotonic() < self._backoff.due - 1e-6:
            return False
        try:
            self._connect()
        except CommsError as error:
            # Who was let in before has logged in, so that a server can: it will again.
            if isinstance(error, Refused) and not isinstance(error, NoLogin):
                raise
            self._host.log("irc-not-back", "warning", trouble=error)
            self._backoff.failed()
            return True
        self._host.log("irc-back", nick=self.nick)
        return True

    def _step(self, session: Session, until: float | None) -> bool:
        """Handles one line, or joins a channel again. Returns False when the time is over."""
        due = min(self._rejoins.values(), default=None)
        end = until if due is None else due if until is None else min(due, until)
        line = session.next(end)
        if line is not None:
            self._handle(session, line)
            return True
        now = self._clock.monotonic()
        if until is None and self._clock.stopping():
            return False
        if due is None or now < due - 1e-6:
            return False
        for name in [name for name, at in self._rejoins.items() if at <= now + 1e-6]:
            del self._rejoins[name]
            if name in self._channels:  # it was not left since
                self._join_again(session, name, self._channels[name])
        return True

    # ── inside: what a line does ─────────────────────────────────────────────

    def _handle_all(self, session: Session) -> None:
        """Handles what waits."""
        while session.inbox:
            self._handle(session, session.inbox.popleft())

    def _handle(self, session: Session, line: Line) -> None:
        if line.verb in _HANDLED:
            getattr(self, f"_on_{line.verb.lower()}")(session, line)
        for called in self._on_line:
            call(self._host, called, line)

    def _is_us(self, session: Session, nick: str) -> bool:
        return session.support.fold(nick) == session.support.fold(session.nick)

    def _on_join(self, session: Session, line: Line) -> None:
        channel = line[0]
        if self._is_us(session, line.nick):
            session.learn_source(line.source)
            self.people.enter(channel)
        account: str | None = None
        if "extended-join" in session.capabilities and len(line.parameters) >= 2:
            account = "" if line[1] == "*" else line[1]
        self.people.joined(channel, line.nick, account)

    def _on_part(self, session: Session, line: Line) -> None:
        self._gone(session, line[0], line.nick)

    def _on_kick(self, session: Session, line: Line) -> None:
        channel, nick = line[0], line[1]
        self._gone(session, channel, nick)
        fold = session.support.fold
        if not self._is_us(session, nick):
            return
        self._host.log("irc-kicked", "warning", channel=channel, by=line.nick, reason=line[2])
        wanted = next((name for name in self._channels if fold(name) == fold(channel)), None)
        # Once: who is thrown out again is not wanted there.
        if wanted is not None and wanted not in self._kicked:
            self._kicked.add(wanted)
            self._rejoins[wanted] = self._clock.monotonic() + AFTER_KICK

    def _gone(self, session: Session, channel: str, nick: str) -> None:
        if self._is_us(session, nick):
            self.people.leave(channel)
        else:
            self.people.left(channel, nick)

    def _on_quit(self, session: Session, line: Line) -> None:
        self.people.quit(line.nick)
        self._take_back_nick(session, line.nick)

    def _on_nick(self, session: Session, line: Line) -> None:
        if not line[0]:
            return
        self.people.renamed(line.nick, line[0])
        if self._is_us(session, line.nick):
            session.nick = line[0]
        else:
            self._take_back_nick(session, line.nick)

    def _take_back_nick(self, session: Session, left: str) -> None:
        """Asks for our own nick when its holder has given it up."""
        fold = session.support.fold
        if fold(left) == fold(self.server.nick) and not self._is_us(session, self.server.nick):
            session.send(f"NICK {self.server.nick}")

    def _on_353(self, session: Session, line: Line) -> None:
        for word in line[-1].split():
            nick = word.lstrip(session.support.prefixes).partition("!")[0]
            if nick:
                self.people.listed(line[-2], nick)

    def _on_account(self, session: Session, line: Line) -> None:
        self.people.logged_in(line.nick, "" if line[0] == "*" else line[0])

    def _on_chghost(self, session: Session, line: Line) -> None:
        if self._is_us(session, line.nick):
            session.user, session.user_host = line[0], line[1]

    def _on_396(self, session: Session, line: Line) -> None:
        """Our displayed host has changed."""
        user, mark, host = line[1].rpartition("@")
        session.user_host = host
        session.user = user if mark else session.user

    def _on_900(self, session: Session, line: Line) -> None:
        session.account = line[2]

    def _on_901(self, session: Session, line: Line) -> None:
        session.account = ""

    def _on_005(self, session: Session, line: Line) -> None:
        session.support.learn(line.parameters[1:-1])

    def _on_cap(self, session: Session, line: Line) -> None:
        if line[1].upper() == "DEL":
            session.change_capabilities(line)
            if not {"extended-join", "account-notify"} <= session.capabilities:
                self.people.forget_accounts()

    def _on_batch(self, session: Session, line: Line) -> None:
        name = line[0]
        if name.startswith("+"):
            self._batches[name[1:]] = line[1].lower()
        else:
            self._batches.pop(name[1:], None)

    # ── inside: messages ─────────────────────────────────────────────────────

    def _on_privmsg(self, session: Session, line: Line) -> None:
        if self._is_us(session, line.nick):
            session.learn_source(line.source)
            return
        if not line.nick or "bot" in line.tags or self._is_old(session, line):
            return
        target, text = line[0], line[1]
        # A message to the operators of a channel has their sign before its name. Some servers have
        # signs that begin the name of a channel, too.
        name, support = target, session.support
        while name[:1] in support.prefixes and support.is_channel(name[1:]):
            name = name[1:]
        channel = name if support.is_channel(name) else ""
        if not channel and not self._is_us(session, target):
            return
        is_action = False
        if text.startswith(CTCP):
            verb, _, rest = text.strip(CTCP).partition(" ")
            if verb.upper() != "ACTION":
                if not channel:
                    self._answer_ctcp(session, line.nick, verb.upper(), rest)
                return
            is_action, text = True, rest
        account = self._account_of(session, line, channel)
        message = Message(self, line.nick, account, channel, readable(text), is_action)
        for handler in self._on_message:
            call(self._host, handler, message)

    def _account_of(self, session: Session, line: Line, channel: str) -> str:
        """Returns the account for which the server vouches at this message, "" if it does not."""
        if "account-tag" in session.capabilities:
            return line.tags.get("account", "")
        if channel and session.support.fold(line.nick) not in map(
            session.support.fold, self.people.present(channel)
        ):
            return ""  # a channel to which outsiders may write
        return self.people.account(line.nick) if self.people.shares(line.nick) else ""

    def _is_old(self, session: Session, line: Line) -> bool:
        """Whether a message was repeated from a time before we came."""
        kind = self._batches.get(line.tags.get("batch", ""), "")
        if kind == "chathistory" or "playback" in kind:
            return True
        # Both times are the server's, and are written so that they compare as texts do.
        said = line.tags.get("time", "")
        return bool(said and session.welcomed_at) and said < session.welcomed_at

    def _answer_ctcp(self, session: Session, nick: str, verb: str, rest: str) -> None:
        answers = {
            "VERSION": VERSION,
            "PING": re.sub(r"[^ -~]", "", rest)[:100],
            "TIME": _written(self._clock.time()),
            "CLIENTINFO": "ACTION CLIENTINFO PING TIME VERSION",
        }
        now = self._clock.monotonic()
        if verb not in answers or now - self._answered_ctcp < CTCP_PAUSE:
            return
        self._answered_ctcp = now
        session.send(f"NOTICE {nick} :{CTCP}{verb} {answers[verb]}{CTCP}")


def _written(at: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
