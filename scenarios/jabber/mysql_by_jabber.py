"""Start, stop and restart MySQL by instant message: once for each request, and only for those who may.

Listing 6.9 · XMPP · try: make scenario NAME=mysql-by-jabber

Every three seconds the program takes the messages that have come. One that an administrator's own account sent just now
is an order if its whole text is a command (start, stop, restart, status; any case). The order is written down, run, and
answered to the device that asked, with what really happened; what should not be done by a slip must be confirmed. Orders
that come meanwhile wait their turn; one that was said while the program was away is not obeyed, but asked about. A stranger
hears nothing, and leaves a trace. With an inbox, orders come by mail too.

[scenario.mysql-by-jabber]
admins = ["jeremy@yourco.test"]                 # accounts; they may also see whether the program is there
poll = 3                                        # seconds
restart = ["systemctl", "restart", "mariadb"]   # also start, stop, status: those given are the commands
confirm = ["stop"]                              # commands that must be said twice
timeout = 60                                    # seconds a command may take
state = "mysql-by-jabber.sqlite3"
inbox = ""                                      # a secret address: then commands come by mail too ([pop3], [smtp]),
mail_poll = 30                                  # looked for every so many seconds,
sender = ""                                     # and receipts come from here

Fault: xmpp message split 1 -> all hold
Fault: xmpp iq split 3 -> all hold
Fault: xmpp-delayed -> all hold
Fault: xmpp-domain-sender -> all hold
Fault: poison-mail -> all hold
Fault: pop-in-use -> all hold

What goes wrong in the printed listing: it dies of a message from a server, obeys errors, announcements and what was said
yesterday, calls `Restart` invalid, says "told to" whatever happened, and of strangers nothing is left but an answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms import addresses
from comms.clock import Clock
from comms.commands import Commands, Order, Refusal, Verb, phrase
from comms.errors import CommsError
from comms.host import Host, OutcomeLike
from comms.mail_door import MailDoor
from comms.settings import Settings
from comms.state import State
from comms.xmpp import Client, Jid, Message, Outbox
from scenarios.play import Claim, Program, act

if TYPE_CHECKING:
    from fakes import World

BOT = "bot@yourco.test"
ADMINS = ("jeremy@yourco.test", "michael@yourco.test")
RESTART = ("systemctl", "restart", "mariadb")
WORLD: dict[str, Any] = {
    "servers": ["xmpp"],
    "program": BOT,
    "person": [
        {"address": BOT, "contacts": dict.fromkeys(ADMINS, "both")},
        *({"address": address} for address in (*ADMINS, "mallory@yourco.test")),
    ],
    "host": {"name": "db1.yourco.test", "services": ["mariadb"]},
    "scenario": {"mysql-by-jabber": {"admins": list(ADMINS), "stop": ["systemctl", "stop", "mariadb"]}},
}

# what somebody forwards, and may have made up
COPY = f"<forwarded xmlns='urn:xmpp:forward:0'><message from='{ADMINS[0]}/x'><body>restart</body></message></forwarded>"

CONFIRM = 60.0  # seconds in which a command may be confirmed
TAIL = 1000  # characters of a command's output that an answer holds


@dataclass(frozen=True)
class Rules:
    """The scenario's settings; times in seconds."""

    admins: tuple[str, ...] = ()
    poll: float = 3
    restart: tuple[str, ...] = RESTART
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    confirm: tuple[str, ...] = ("stop",)
    timeout: float = 60
    state: Path = Path("mysql-by-jabber.sqlite3")
    inbox: str = ""
    mail_poll: float = 30
    sender: str = ""

    def __post_init__(self) -> None:
        if not self.admins:
            raise ValueError('admins is empty: nobody could command; write admins = ["you@example.org"]')
        for admin in self.admins:
            try:
                account = Jid.parse(admin)
            except ValueError as error:
                raise ValueError(f"admins: {error}") from None
            if account.bare != account or not account.is_account:
                raise ValueError(f"admins holds {admin!r}, which is no account like you@example.org")
        if self.inbox and not addresses.is_address(self.inbox):
            raise ValueError(f'inbox is {self.inbox!r}; write the secret address: inbox = "cly6ruct1yit2d@example.org"')
        if min(self.poll, self.timeout, self.mail_poll) <= 0:
            raise ValueError("poll, mail_poll and timeout must be more than 0 seconds")

    def verbs(self) -> dict[str, Verb]:
        """The commands that this server offers."""
        lines = {"start": self.start, "stop": self.stop, "restart": self.restart, "status": self.status}
        return {verb: Verb(line, "mysql", self.timeout) for verb, line in lines.items() if line}


def command(text: str) -> str:
    """`Restart`, `restart\\n`, `restart MySQL`: all the same."""
    return phrase(text).removesuffix(" mysql")


def told(order: Order, outcome: OutcomeLike, known: bool) -> str:
    """The answer: what really happened."""
    if not known:
        return "Invalid command!" + outcome.error.removeprefix("this is no command")
    tail = outcome.output.strip()[-TAIL:]
    if outcome.code == 0:
        return f"MySQL told to {order.verb}." + (f"\n{tail}" if tail and order.verb == "status" else "")
    why = outcome.error or f"exit status {outcome.code}"
    return f"MySQL was not told to {order.verb}, or did not obey: {why}." + (f"\n{tail}" if tail else "")


class Service:
    """What one run of the program works with."""

    def __init__(self, rules: Rules, settings: Settings, state: State, clock: Clock, host: Host) -> None:
        self.rules, self.clock, self.host = rules, clock, host
        rights = {str(Jid.parse(admin)): ["*"] for admin in rules.admins}
        self.commands = Commands(state, rules.verbs(), rights, clock, host)
        self.outbox = Outbox(state)
        self.asked: dict[str, tuple[str, str, float]] = {}  # who → what they must confirm, by which word, until when
        self.mail: MailDoor | None = None
        self.mail_due = clock.time()
        if rules.inbox:
            servers = settings.server("pop3"), settings.server("smtp")
            sender = rules.sender or servers[1].user
            self.mail = MailDoor(self.commands, state, servers, rules.inbox, rules.admins, sender, clock, host, command)

    def round(self, jabber: Client) -> None:
        """What has come is written down, what was accepted is done, what is to be said is sent. Raises CommsError."""
        for message in jabber.received_messages():
            self.take(message)
        if self.mail is not None and self.clock.time() >= self.mail_due:
            self.mail_due = self.clock.time() + self.rules.mail_poll
            try:
                self.mail.collect()
            except CommsError as error:  # the other door stays open
                self.host.log("mailbox", "warning", trouble=error)
        self.commands.perform(self.report)
        if self.mail is not None:
            self.mail.send()
        for result in self.outbox.flush(jabber, self.clock):
            level = "info" if result.status == "sent" else "warning"
            self.host.log(f"answer-{result.status}", level, to=result.address, trouble=result.error)

    def take(self, message: Message) -> None:
        """One message: an order is written down; a stranger's leaves a trace, and no answer. Raises StateError."""
        who, verb = str(message.sender and message.sender.bare), command(message.text)
        facts = {"door": "jabber", "to": str(message.sender), "kind": message.kind, "thread": message.thread}
        if who in self.commands.rights:
            if message.delayed:  # who knows whether it still holds
                self.commands.refuse(who, verb, "it was stored before it came")
                self.say(facts, f"You said this while I was away: {verb}. If it still holds, say it again.")
                return
            if verb in ("help", "?"):
                self.say(facts, f"You may say: {', '.join(self.commands.allowed(who))}")
                return
            verb = self.confirmed(who, verb, facts)
        if verb:
            try:
                self.commands.order(who, verb, (), facts)
            except Refusal as refusal:
                self.commands.refuse(who, verb, refusal.reason)

    def confirmed(self, who: str, verb: str, facts: dict[str, str]) -> str:
        """The command that may be done now; nothing, if its confirmation has just been asked for."""
        asked, word, until = self.asked.pop(who, ("", "", 0.0))
        if asked and verb == f"{asked} {word}" and self.clock.time() <= until:
            return asked
        if verb in self.rules.confirm and verb in self.commands.verbs:
            word = self.host.token(4)
            self.asked[who] = verb, word, self.clock.time() + CONFIRM
            self.say(facts, f"To {verb} MySQL, say within {CONFIRM:.0f} s: {verb} {word}")
            return ""
        return verb

    def report(self, db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        """The answer, by the door through which the order came. Commits with the ledger's row."""
        if order.facts["door"] != "mail":
            self.say(order.facts, told(order, outcome, order.verb in self.commands.verbs), db)
        elif self.mail is not None:
            self.mail.report(db, order, outcome)
        else:
            self.host.log("unanswered", "warning", to=order.facts["to"], trouble="the mail door was closed meanwhile")

    def say(self, facts: Any, text: str, db: sqlite3.Connection | None = None) -> None:
        """Has an answer wait until it can go: to the device that asked, in its thread."""
        self.outbox.put(facts["to"], text, self.clock.time(), facts["kind"], facts["thread"], answer=True, db=db)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Listens, obeys and answers until stopped. Raises CommsError."""
    rules = settings.table("mysql-by-jabber", Rules)
    with State(rules.state) as state:
        state.lock()
        service = Service(rules, settings, state, clock, host)
        service.commands.recover(service.report)
        service.commands.perform(service.report)  # what was accepted shall not wait for a server that is away
        server = settings.server("xmpp")
        with Client(server, clock, host, accept_subscriptions=rules.admins, delayed=True) as jabber:
            for _ in clock.every(rules.poll):
                service.round(jabber)
    return 0


def to_device(world: World, person: Any, stanza: str) -> None:
    """Somebody sends something to the very device that the program is."""
    for device in world.jabber.sessions(BOT):
        person.sends(stanza.format(device))


@act("mysql-by-jabber")
def restart(world: World, program: Program) -> Iterator[Claim]:
    """Two administrators order a restart; a stranger tries, and much else that is no order comes by."""
    jeremy, michael, mallory = (world.jabber.person(one) for one in (*ADMINS, "mallory@yourco.test"))
    jeremy.says(BOT, "restart")  # while the bot is away: the server keeps it, and hands it over as old
    world.clock.at(10, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(20, lambda: mallory.says(BOT, "restart"))
    world.clock.at(30, lambda: michael.says(BOT, " Restart\n"))
    for type, body in (("headline", "<body>restart</body>"), ("error", "<body>restart</body>"), ("chat", "")):
        world.clock.at(40, partial(to_device, world, jeremy, f"<message to='{{}}' type='{type}'>{body}</message>"))
    for sender, inside in (
        (ADMINS[0] + "/x", "<body>restart</body><x xmlns='http://jabber.org/protocol/muc#user'/>"),
        ("mallory@yourco.test/x", f"<body>restart</body><received xmlns='urn:xmpp:carbons:2'>{COPY}</received>"),
        ("yourco.test", "<body>The server goes down for maintenance.</body>"),
    ):
        odd = f"<message from='{sender}' to='{BOT}' type='chat'>{inside}</message>"
        world.clock.at(50, partial(world.jabber.inject, odd))
    world.clock.at(60, lambda: jeremy.says(BOT, "restart mysql"))
    world.clock.until(90)
    code = program()
    begin = world.clock.time() - world.clock.elapsed
    ran = [event.at - begin for event in world.events if event.text == f"runs: {' '.join(RESTART)}"]
    told, orders = "MySQL told to restart.", {12, 30, 60}
    late = "You said this while I was away: restart. If it still holds, say it again."
    yield Claim("each order is obeyed, in whatever case it is written", orders <= {*ran}, ran)
    yield Claim("what is old, broken, announced, from a room or forwarded is no order", {*ran} <= orders, ran)
    yield Claim("a message from the server itself ends nothing", code == 0, code)
    heard = [[stanza.body for stanza in person.messages] for person in (jeremy, michael, mallory)]
    yield Claim("an order is answered when it has been done", heard[:2] == [[late, told, told], [told]], heard)
    yield Claim("a stranger hears nothing", heard[2] == [], heard[2])
    traces = [event.text for event in world.events if event.text.startswith("refused who=mallory@yourco.test")]
    yield Claim("and leaves a trace", len(traces) >= 1, [event.text for event in world.events])
