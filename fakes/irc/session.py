"""The server's side of one IRC connection.

Read the legality table first. `commands` holds what a registered client may do; here is what a
connection does before that, and what ends it. Where the documents leave a choice, this server does
what ngircd and InspIRCd do; where these differ, a comment or a switch of the policy says so.
"""

from __future__ import annotations

import re
from functools import partial
from typing import ClassVar

from fakes import wire
from fakes.faults import Fault
from fakes.irc import masks
from fakes.irc.capabilities import CAPABILITIES, MECHANISMS, Negotiation
from fakes.irc.commands import COMMANDS
from fakes.irc.commands.queries import send_isupport, send_lusers, send_motd
from fakes.irc.lines import CLIENT_TAGS, LINE, SERVER_TAGS, Command, Line, cut, decode, parse
from fakes.irc.login import Login
from fakes.irc.names import USER_LENGTH, is_nick
from fakes.irc.network import Irc, stamp
from fakes.irc.policy import Policy
from fakes.irc.tokens import (
    CHANNEL_MODES,
    REAL_NAME,
    SERVER_VERSION,
    TOKEN_NAMES,
    USER_MODES,
    WITH_PARAMETER,
)
from fakes.irc.users import Client, User
from fakes.wire import Facts, Handler, Refuse, Rule, Runtime, Secret, Unit, Want, effects, rule

LINE_COST, AHEAD, EXCESS = 2.0, 10.0, 20.0  # seconds (RFC 1459 §8.10)

# States: NEW (not registered yet), ON (registered).
_BOTH, _ON = "NEW ON", "ON"
_CAP, _TAGS = "IRCv3 capability-negotiation", "IRCv3 message-tags"
VERBS: dict[str, Rule] = {
    "CAP": rule(_BOTH, _CAP),
    "CAP_LS": rule(_BOTH, _CAP),
    "CAP_LIST": rule(_BOTH, _CAP),
    "CAP_REQ": rule(_BOTH, _CAP),
    "CAP_END": rule(_BOTH, _CAP, then="NEW ON"),
    "AUTHENTICATE": rule(_BOTH, "IRCv3 sasl-3.1"),
    "PASS": rule("NEW", "RFC 2812 §3.1.1"),
    "NICK": rule(_BOTH, "RFC 2812 §3.1.2", then="NEW ON"),
    "USER": rule("NEW", "RFC 2812 §3.1.3", then="NEW ON"),
    "OPER": rule(_ON, "RFC 2812 §3.1.4"),
    "MODE": rule(_ON, "RFC 2812 §3.1.5"),
    "QUIT": rule(_BOTH, "RFC 2812 §3.1.7"),
    "JOIN": rule(_ON, "RFC 2812 §3.2.1"),
    "PART": rule(_ON, "RFC 2812 §3.2.2"),
    "TOPIC": rule(_ON, "RFC 2812 §3.2.4"),
    "NAMES": rule(_ON, "RFC 2812 §3.2.5"),
    "LIST": rule(_ON, "RFC 2812 §3.2.6"),
    "INVITE": rule(_ON, "RFC 2812 §3.2.7"),
    "KICK": rule(_ON, "RFC 2812 §3.2.8"),
    "PRIVMSG": rule(_ON, "RFC 2812 §3.3.1"),
    "NOTICE": rule(_ON, "RFC 2812 §3.3.2"),
    "TAGMSG": rule(_ON, _TAGS),
    "MOTD": rule(_ON, "RFC 2812 §3.4.1"),
    "LUSERS": rule(_ON, "RFC 2812 §3.4.2"),
    "VERSION": rule(_ON, "RFC 2812 §3.4.3"),
    "TIME": rule(_ON, "RFC 2812 §3.4.6"),
    "INFO": rule(_ON, "RFC 2812 §3.4.10"),
    "WHO": rule(_ON, "RFC 2812 §3.6.1"),
    "WHOIS": rule(_ON, "RFC 2812 §3.6.2"),
    "WHOWAS": rule(_ON, "RFC 2812 §3.6.3"),
    "KILL": rule(_ON, "RFC 2812 §3.7.1"),
    "PING": rule(_ON, "RFC 2812 §3.7.2"),
    "PONG": rule(_BOTH, "RFC 2812 §3.7.3", then="NEW ON"),
    "AWAY": rule(_ON, "RFC 2812 §4.1"),
    "USERHOST": rule(_ON, "RFC 2812 §4.8"),
    "ISON": rule(_ON, "RFC 2812 §4.9"),
    "SETNAME": rule(_ON, "IRCv3 setname"),
    "NS": rule(_ON, "the services of today's networks"),
}
# How many parameters a command must have, none of them empty; else 461.
NEEDED = {
    **dict.fromkeys("CAP AUTHENTICATE PASS MODE JOIN PART TOPIC USERHOST ISON NS".split(), 1),
    "OPER": 2,
    "KICK": 2,
    "KILL": 2,
    "USER": 4,
    "TAGMSG": 1,
}


class Door(Client):
    """The client of a connection."""

    def __init__(self, session: IrcSession, network: Irc) -> None:
        self._session = session
        self.network = network
        self.user = User(self, session.facts.peer, 0.0)

    def has(self, capability: str) -> bool:
        return capability in self._session.negotiation

    def tell(self, line: Line) -> None:
        self._session.say(line)

    def tell_apart(self, line: Line) -> None:
        self._session.say_apart(line)

    def end(self, why: str) -> None:
        self._session.say_goodbye(why)

    def lose(self) -> None:
        self._session.lose()

    def offered(self, capability: str, there: bool) -> None:
        self._session.offered(capability, there)


class IrcSession(wire.Session):
    """One IRC connection, from the first line to the end."""

    protocol: ClassVar[str] = "irc"
    states: ClassVar[str] = "NEW ON"
    verbs: ClassVar[dict[str, Rule]] = VERBS
    places: ClassVar[frozenset[str]] = frozenset({"welcome"})
    capabilities: ClassVar[frozenset[str]] = frozenset({*CAPABILITIES, *MECHANISMS, *TOKEN_NAMES})

    def __init__(self, runtime: Runtime, network: Irc, policy: Policy | None = None) -> None:
        super().__init__(runtime)
        self.network = network
        self.policy = policy or network.policy
        self.negotiation = Negotiation(self._offered, self._mechanisms)
        self.door = Door(self, network)
        self._login = Login(
            network.people,
            lambda: runtime.token(16),
            network.name,
            lambda text: self.say(Line("", "AUTHENTICATE", (text,))),
            self._logged_in,
        )
        self._has_logged_in = False
        self._password: str | None = None
        self._cookie = ""  # the token of the PING that must be answered before the welcome
        self._skipping = False  # the rest of an endless line
        self._scanned = 0  # bytes of the buffer that are known not to hold a line feed
        self._ahead = 0.0  # up to when the client has used its time (RFC 1459 §8.10)
        self._labelled: list[Line] | None = None  # what answers a command with a label
        self._why = "Connection closed"
        self._is_ghost = False

    # ── opening ──────────────────────────────────────────────────────────────

    def opened(self, facts: Facts) -> None:
        self.door.user.host = facts.peer
        self._plan_registration()
        super().opened(facts)

    def secured(self, tls: wire.TlsFacts) -> None:
        super().secured(tls)
        self.door.user.secure = True

    def greet(self) -> None:
        if self.facts.crowded:
            self.say_goodbye("Too many connections")
        elif self.policy.notices:
            for text in ("*** Looking up your hostname...", "*** Found your hostname"):
                self.say(Line(self.network.name, "NOTICE", ("*",), text))

    def _plan_registration(self) -> None:
        def give_up() -> None:
            self.say_goodbye("Registration timeout")

        if self.policy.registration:
            due = self.runtime.now() + self.policy.registration
            self.timers.at("registration", due, give_up)

    # ── framing ──────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        """Takes a line that ends in LF; an endless one is reported once and discarded."""
        if self.policy.flood and self._must_wait():
            return None
        end = self.buffer.find(b"\n", self._scanned)
        if end < 0:
            return self._unended()
        raw = bytes(self.buffer[: end + 1])
        del self.buffer[: end + 1]
        self._scanned = 0
        if self._skipping:
            self._skipping = False
            return Unit(raw, "", refusal=Refuse(()))
        return self._unit(raw)

    def _unended(self) -> Unit | None:
        self._scanned = len(self.buffer)
        if self._skipping:
            self.buffer.clear()
            self._scanned = 0
        elif self._is_too_long(bytes(self.buffer)):
            raw = bytes(self.buffer)
            self.buffer.clear()
            self._scanned, self._skipping = 0, True
            if self.policy.cut:
                return self._unit(raw)
            return Unit(raw, "", refusal=Refuse((417,)), secrets=self._secrets(raw))
        return None

    def _is_too_long(self, raw: bytes) -> bool:
        tags, rest = _split_tags(raw.rstrip(b"\r\n"))
        return len(tags) > CLIENT_TAGS or len(rest) > LINE - 2

    def _unit(self, raw: bytes) -> Unit:
        """A line as a unit, whose content is a Command."""
        content = re.sub(rb"[\r\n\0]", b"", raw)
        secrets = self._secrets(raw)
        if self.policy.cut:
            tags, rest = _split_tags(content)
            content = tags[:CLIENT_TAGS] + rest[: LINE - 2]
        elif self._is_too_long(raw):
            return Unit(raw, "", refusal=Refuse((417,)), secrets=secrets)
        command = parse(content)
        verb = command.verb
        if verb == "CAP" and command.parameters:
            sub = f"CAP_{command.parameters[0].upper()}"
            verb = sub if sub in VERBS else verb
        unit = Unit(raw, verb, command.text, secrets, command)
        if not verb:
            unit.refusal = Refuse(())
        elif self.policy.utf8only and not _is_utf8(content):
            unit.refusal = Refuse((command.verb, "INVALID_UTF8"))
        elif not _has(command, NEEDED.get(command.verb, 0)):
            unit.refusal = Refuse((461, command.verb))
        return unit

    def _secrets(self, raw: bytes) -> tuple[Secret, ...]:
        exchange, nick = self._login.exchange, self.door.user.nick
        return masks.secrets_in(raw, self.network, exchange, nick)

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        return masks.secrets_in_fragment(raw)

    # ── flood ────────────────────────────────────────────────────────────────

    def _must_wait(self) -> bool:
        """Whether the next line has to wait, because the client has sent too many."""
        now = self.runtime.now()
        ahead = max(self._ahead - now, 0.0)
        waiting = self.buffer.count(b"\n")
        if ahead + waiting * LINE_COST > EXCESS:
            self._expel("Excess Flood")
            return True
        if not waiting:
            return False
        if ahead + LINE_COST > AHEAD:
            self.timers.at("flood", now + ahead + LINE_COST - AHEAD, self._pump)
            return True
        self._ahead = now + ahead + LINE_COST
        return False

    # ── dispatch and refusals ────────────────────────────────────────────────

    def handler(self, verb: str) -> Handler:
        """Returns what handles a verb: a function of `commands`, or a method of this class."""
        if verb in COMMANDS:
            return partial(self._command, verb)
        return super().handler(verb)

    def _command(self, verb: str, unit: Unit) -> None:
        COMMANDS[verb](self.door, unit.content)

    def handle(self, unit: Unit) -> None:
        """Handles a unit; what answers a label is collected first (IRCv3 labeled-response)."""
        command = unit.content
        has_label = isinstance(command, Command) and "label" in command.tags
        if not has_label or "labeled-response" not in self.negotiation:
            super().handle(unit)
            return
        self._labelled = []
        super().handle(unit)
        self._flush_labelled(command.tags["label"])

    def _flush_labelled(self, label: str) -> None:
        lines, self._labelled = self._labelled, None
        if lines is None:
            return
        if not lines:
            lines = [Line(self.network.name, "ACK")]
        if len(lines) == 1:
            self._write(lines[0], {"label": label})
            return
        batch = self.runtime.token(8)
        name = self.network.name
        start = Line(name, "BATCH", (f"+{batch}", "labeled-response"))
        self._write(start, {"label": label})
        for line in lines:
            self._write(line, {} if "batch" in line.tags else {"batch": batch})
        self._write(Line(name, "BATCH", (f"-{batch}",)), {})

    def unknown(self, unit: Unit) -> Refuse:
        return Refuse((421, unit.content.verb))

    def wrong_state(self, unit: Unit) -> Refuse:
        return Refuse((451,) if self.state == "NEW" else (462,))

    def refused(self, refusal: Refuse) -> None:
        """Sends (numeric, words …), or (verb, code) of a FAIL; () is ignored."""
        if not refusal.reply:
            return
        first, *words = refusal.reply
        if isinstance(first, int):
            self.door.numeric(first, *words)
        else:
            self.door.fail(first, *words, text="The line is not UTF-8")

    def scripted_reply(self, text: str) -> None:
        """Sends the text of a `reply` fault.

        A numeric gets the server's name and the nick before what follows it, which ERROR does not;
        and ERROR ends the connection.
        """
        head, _, rest = text.partition(" ")
        if head.isdigit():
            text = f":{self.network.name} {head} {self.door.user.target} {rest}"
        self.send(re.sub(r"\r?\n", "\r\n", text.rstrip("\r\n") + "\n").encode())
        if head == "ERROR":
            self.close()

    def _fault_at(self, verb: str, arg: str = "") -> Fault | None:
        """A fault at `CAP` strikes all its subcommands; `user` is the nick or the account."""
        faults = self.runtime.faults
        if not faults.armed:
            return None
        user = self.door.user
        login = f"{user.nick}\n{user.account}"
        fault = faults.meet(self.protocol, verb, arg, login)
        if fault is None and verb.startswith("CAP_"):
            fault = faults.meet(self.protocol, "CAP", arg, login)
        return fault

    # ── output ───────────────────────────────────────────────────────────────

    def say(self, line: Line) -> None:
        """Sends a line, unless it needs a capability that the client has not asked for."""
        if self.closed or (line.needs and line.needs not in self.negotiation):
            return
        if self._labelled is not None:
            self._labelled.append(line)
        else:
            self._write(line, {})

    def say_apart(self, line: Line) -> None:
        """Sends a line that does not answer the current command, so that it gets no label."""
        labelled, self._labelled = self._labelled, None
        self.say(line)
        self._labelled = labelled

    def _write(self, line: Line, more: dict[str, str]) -> None:
        asked = self.negotiation
        tags = dict(more)
        if "batch" in line.tags and "batch" in asked:
            tags["batch"] = line.tags["batch"]
        if "server-time" in asked:
            tags["time"] = line.tags.get("time") or stamp(self.runtime.now())
        if "account" in line.tags and "account-tag" in asked:
            tags["account"] = line.tags["account"]
        if "message-tags" in asked:
            for name, value in line.tags.items():
                if name in ("msgid", "bot") or name.startswith("+"):
                    tags[name] = value
        raw = line.to_bytes(tags)
        assert len(raw) <= SERVER_TAGS + LINE
        self.send(raw)

    # ── CAP ──────────────────────────────────────────────────────────────────

    def _offered(self) -> list[str]:
        missing = self.policy.off | self.network.withdrawn
        return [
            name
            for name in CAPABILITIES
            if name not in missing
            and not self.lacks(name)
            and (name != "sasl" or self._mechanisms())
        ]

    def _mechanisms(self) -> list[str]:
        off = self.policy.off
        return [name for name in MECHANISMS if name not in off and not self.lacks(name)]

    def _say_cap(self, subcommand: str, *words: str, text: str) -> None:
        target = self.door.user.target
        self.say(Line(self.network.name, "CAP", (target, subcommand, *words), text))

    def do_CAP(self, unit: Unit) -> None:
        """A subcommand that does not exist."""
        raise Refuse((410, unit.content.parameters[0]))

    def do_CAP_LS(self, unit: Unit) -> None:
        """Lists what the server offers. Before the welcome, that holds it until END."""
        self.negotiation.open |= self.state == "NEW"
        self.negotiation.ask_for_version("".join(unit.content.parameters[1:2]))
        for more, text in self.negotiation.listing():
            self._say_cap("LS", *(["*"] if more else []), text=text)

    def do_CAP_LIST(self, unit: Unit) -> None:
        """Lists what the client has asked for."""
        self._say_cap("LIST", text=" ".join(self.negotiation.active))

    def do_CAP_REQ(self, unit: Unit) -> None:
        """Asks for capabilities, or with - before the name returns them; all or nothing."""
        self.negotiation.open |= self.state == "NEW"
        text = " ".join(unit.content.parameters[1:])
        self._say_cap("ACK" if self.negotiation.request(text) else "NAK", text=text)

    def do_CAP_END(self, unit: Unit) -> None:
        """Ends the negotiation; the welcome may follow."""
        self.negotiation.open = False
        self._try_to_register()

    def offered(self, capability: str, there: bool) -> None:
        """Tells the client that the server offers a capability from now on, or no longer."""
        if not there:
            self.negotiation.active.pop(capability, None)
        if "cap-notify" in self.negotiation:
            written = self.negotiation.written(capability) if there else capability
            self._say_cap("NEW" if there else "DEL", text=written)

    # ── SASL ─────────────────────────────────────────────────────────────────

    def do_AUTHENTICATE(self, unit: Unit) -> None:
        """A mechanism, or in an exchange a response."""
        text = unit.content.parameters[0]
        if self._login.active:
            self._login.response(text)
            return
        if "sasl" not in self.negotiation:
            raise Refuse((904,))
        if self._has_logged_in and self.policy.sasl_once:
            raise Refuse((907,))
        if text == "*":
            raise Refuse((906,))
        mechanisms = self._mechanisms()
        if text.upper() not in mechanisms:
            self.door.numeric(908, ",".join(mechanisms))
            raise Refuse((904,))
        self.note(mechanism=text.upper())
        self._login.begin(text.upper())

    def _logged_in(self, address: str) -> None:
        account = address.partition("@")[0]
        if account in self.policy.locked:
            raise Refuse((902,))
        user = self.door.user
        self._has_logged_in = True
        nick = user.target
        source = f"{nick}!{user.name or '*'}@{user.host}"
        text = f"You are now logged in as {account}"
        self.door.numeric(900, source, account, text=text)
        self.door.numeric(903)
        self.network.log_in(user, account)

    # ── registration ─────────────────────────────────────────────────────────

    def do_PASS(self, unit: Unit) -> None:
        """The server's password."""
        self._password = unit.content.parameters[0]

    def do_NICK(self, unit: Unit) -> None:
        """Takes a nick, or changes it."""
        user, network = self.door.user, self.network
        nick = "".join(unit.content.parameters[:1])
        if not nick:
            raise Refuse((431,))
        if not is_nick(nick):
            raise Refuse((432, nick))
        if not network.is_free(nick, user):
            raise Refuse((433, nick))
        if nick == user.nick:
            return
        network.rename(user, nick)
        self.user = nick
        self._try_to_register()

    def do_USER(self, unit: Unit) -> None:
        """`user mode unused :real name`."""
        name, _, _, real_name = unit.content.parameters[:4]
        # RFC 2812 §2.3.1: a user name has no NUL, CR, LF, space or @; masks also need the !.
        if not all("!" <= character <= "~" for character in name) or {"@", "!"} & {*name}:
            raise Refuse((468,))
        user = self.door.user
        user.name, user.real_name = f"~{name[:USER_LENGTH]}", cut(real_name, REAL_NAME)
        self._try_to_register()

    def do_PONG(self, unit: Unit) -> None:
        """An answer to a PING; that it has come is enough, except for the cookie."""
        if self._cookie and unit.content.parameters[-1:] == (self._cookie,):
            self._cookie = "answered"
            self._try_to_register()

    def _try_to_register(self) -> None:
        """Welcomes the client, if all that this needs is there."""
        user = self.door.user
        if self.state != "NEW" or not (user.nick and user.name) or self.negotiation.open:
            return
        if self.policy.password and self._password != self.policy.password:
            self.door.numeric(464)
            self.say_goodbye("Bad password")
            return
        if self.policy.cookie and self._cookie != "answered":
            if not self._cookie:
                self._cookie = self.runtime.token(10)
                self.say(Line("", "PING", (), self._cookie))
            return
        if self._login.active:
            self._login.abort()
            self.door.numeric(906)
        self.state = "ON"
        self.timers.cancel("registration")
        self._plan_ping()
        # If another fault already holds the answer back, the welcome is part of that answer.
        fault = self._fault_at("welcome") if self._captured is None else None
        if fault is None:
            self._welcome()
        else:
            self._event("fault", fault=str(fault))
            effects.apply(fault, self, self._welcome)

    def _welcome(self) -> None:
        network, door = self.network, self.door
        network.enter(door.user)
        text = f"Welcome to the fakes Internet Relay Chat Network {door.user.source}"
        door.numeric(1, text=text)
        door.numeric(2, text=f"Your host is {network.name}, running version {SERVER_VERSION}")
        door.numeric(3, text=f"This server was created {stamp(network.created)}")
        words = (network.name, SERVER_VERSION, USER_MODES, CHANNEL_MODES, WITH_PARAMETER)
        door.numeric(4, *words)
        send_isupport(door, self.policy.off | {one for one in TOKEN_NAMES if self.lacks(one)})
        send_lusers(door)
        send_motd(door)

    # ── silence, and the end ─────────────────────────────────────────────────

    def _plan_ping(self) -> None:
        if self.policy.ping:
            self.timers.at("ping", self.runtime.now() + self.policy.ping, self._check_silence)

    def _check_silence(self) -> None:
        # Not a timer that is set again at each line. Any line is life, not only a PONG.
        due = self.heard + self.policy.ping
        if due > self.runtime.now():
            self.timers.at("ping", due, self._check_silence)
            return
        asked = self.runtime.now()
        self.say(Line("", "PING", (), self.network.name))

        def check_answer() -> None:
            if self.heard >= asked:
                self._check_silence()
            else:
                self._expel(self._timeout_text())

        self.timers.at("ping", asked + self.policy.pong, check_answer)

    def _timeout_text(self) -> str:
        return f"Ping timeout: {self.policy.ping + self.policy.pong:.0f} seconds"

    def do_QUIT(self, unit: Unit) -> None:
        """Ends the session; the reason is passed on as it was given."""
        self._expel("".join(unit.content.parameters[:1]) or "Client quit")

    def _expel(self, why: str) -> None:
        self._why = why
        self.network.leave(self.door.user, why)
        self.say_goodbye(why)

    def say_goodbye(self, why: str) -> None:
        """Sends ERROR and closes the connection."""
        if self.closed:
            return
        user = self.door.user
        name = user.name or "unknown"
        self.say(Line("", "ERROR", (), f"Closing link: ({name}@{user.host}) [{why}]"))
        self.close()

    def close(self, want: Want = Want.CLOSE) -> None:
        """Ends the connection; what was to answer a label is sent before."""
        if self._labelled is not None and self._captured is None:
            lines, self._labelled = self._labelled, None
            for line in lines:
                self._write(line, {})
        super().close(want)

    def lose(self) -> None:
        """The connection is lost, and the server notices it only at the ping timeout."""
        self._is_ghost = True
        user, why = self.door.user, self._timeout_text()
        due = self.runtime.now() + self.policy.ping + self.policy.pong
        self.runtime.timers.at(
            f"irc-ghost-{self.facts.number}", due, lambda: self.network.leave(user, why)
        )
        self.close(Want.RESET)

    def abandoned(self) -> None:
        self._login.abort()
        if not self._is_ghost:
            self.network.leave(self.door.user, self._why)


def _split_tags(content: bytes) -> tuple[bytes, bytes]:
    """Splits a line into its tags with @ and the space, and the rest."""
    if not content.startswith(b"@"):
        return b"", content
    tags, space, rest = content.partition(b" ")
    return tags + space, rest


def _is_utf8(content: bytes) -> bool:
    return not re.search("[\udc80-\udcff]", decode(content))


def _has(command: Command, count: int) -> bool:
    """Whether a command has that many parameters, none of them empty."""
    return len(command.parameters) >= count and all(command.parameters[:count])
