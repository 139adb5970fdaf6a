"""Start, stop and restart MySQL by instant message: once per request, only for administrators.

Listing 6.9 · XMPP, POP3, IMAP, SMTP · try: make scenario NAME=mysql-by-jabber

A message is a command if an administrator's own account sent it just now and its whole text is
start, stop, restart or status. The command is stored, run once, and answered with what really
happened. Dangerous commands must be confirmed, and so must commands that were sent while the
program was away. A message that comes twice, and a correction of one that was obeyed, run nothing.
Strangers get no answer, but they are logged.

[scenario.mysql-by-jabber]
admins = ["jeremy@yourco.test"]                 # required; they may also see the bot's presence
poll = 3                                        # seconds
restart = ["systemctl", "restart", "mariadb"]   # the command lines of the commands on offer
start = []
stop = []
status = []
confirm = ["stop"]                              # commands that must be confirmed
again = 300                                     # seconds in which the same command is asked about
timeout = 60                                    # seconds that a command may take
state = "mysql-by-jabber.sqlite3"
resume = false                                  # true: no order is lost silently; see below
inbox = "cly6ruct1yit2d@yourco.test"            # optional: take commands by mail, too
mailbox = "imap"                                # optional: or "pop3"; else the one with a table
mail_poll = 30                                  # seconds
mail = { "jeremy@yourco.test" = "jeremy@mail.test" }    # optional: who writes from another address
sender = "MySQL <bot@yourco.test>"              # optional: of receipts by mail

A message that the program has received, and has not stored yet when it is killed, is lost: the
server believes that it has arrived. A user who gets no answer should send it again. With
`resume`, the server keeps each message until it is stored; if the program is killed before that,
it delivers the message again, or returns it as an error (XEP-0198). Write a resource in the account
then (bot@yourco.test/mysql), so that a new start replaces the old session at once.

Fault: xmpp message split 1 -> all hold
Fault: xmpp iq split 3 -> all hold
Fault: xmpp-delayed -> all hold
Fault: xmpp-domain-sender -> all hold
Fault: poison-mail -> all hold
Fault: pop-in-use -> all hold

What goes wrong in the printed listing: a message from a server ends it; it obeys errors, headlines
and old messages; `Restart` is invalid; it claims success in any case; and it logs no stranger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from comms.bots.jabber import Jabber
from comms.bots.mail import Mail
from comms.bots.network import Network
from comms.bots.orders import Orders
from comms.clock import Clock
from comms.commands import (
    QUESTION,
    TAIL_CHARACTERS,
    UNKNOWN_COMMAND,
    Commands,
    Order,
    Verb,
    ending,
    normalized,
)
from comms.host import Host, OutcomeLike
from comms.mail_door import MailRules, sender_problem
from comms.setting_types import (
    CommandLine,
    JabberAccount,
    MailAddress,
    MailProtocol,
    NamedAddress,
    NonEmpty,
    Seconds,
    SecondsOrZero,
    StateFile,
)
from comms.settings import Settings
from comms.state import State
from comms.xmpp import Jid
from scenarios.play import Claim, Program, Scenario, equal, holds

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
    "scenario": {
        "mysql-by-jabber": {"admins": list(ADMINS), "stop": ["systemctl", "stop", "mariadb"]}
    },
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    admins: NonEmpty[tuple[JabberAccount, ...]]
    poll: Seconds = 3
    restart: CommandLine = RESTART
    start: CommandLine = ()
    stop: CommandLine = ()
    status: CommandLine = ()
    confirm: tuple[Literal["start", "stop", "restart", "status"], ...] = ("stop",)
    again: SecondsOrZero = 300
    timeout: Seconds = 60
    state: StateFile = Path("mysql-by-jabber.sqlite3")
    resume: bool = False
    inbox: MailAddress = ""
    mailbox: MailProtocol = None
    mail_poll: Seconds = 30
    mail: dict[JabberAccount, MailAddress] = field(default_factory=dict)
    sender: NamedAddress = ""

    def __post_init__(self) -> None:
        if not self.verbs():
            raise ValueError(
                "restart: no command has a command line; "
                'write restart = ["systemctl", "restart", "mariadb"]'
            )
        if problem := sender_problem(self.sender, self.inbox):
            raise ValueError(problem)
        if not {*map(Jid.parse, self.mail)} <= {*map(Jid.parse, self.admins)}:
            raise ValueError("mail: not all are administrators; add them to admins")
        if len(self.addresses()) < len({*map(Jid.parse, self.admins)}):
            raise ValueError("mail: two administrators have one address; write another one")

    def addresses(self) -> dict[str, str]:
        """Returns each administrator's Jabber account, by the address that their mail is from."""
        mail = {Jid.parse(account): address for account, address in self.mail.items()}
        accounts = map(Jid.parse, self.admins)
        return {mail.get(jid, str(jid)).casefold(): str(jid) for jid in accounts}

    def verbs(self) -> dict[str, Verb]:
        """Returns the commands that have a command line."""
        return {
            name: Verb(line, "mysql", self.timeout, name in self.confirm, name == "status")
            for name in ("start", "stop", "restart", "status")
            if (line := getattr(self, name))
        }


def command(text: str) -> str:
    """Returns the command in a message: `Restart`, `restart\\n` and `restart MySQL` are equal."""
    return normalized(text).removesuffix(" mysql")


def answer(order: Order, outcome: OutcomeLike) -> str:
    """Returns what really happened, in the words of the chapter where it has any."""
    if outcome.error.startswith(UNKNOWN_COMMAND):
        return "Invalid command!" + outcome.error.removeprefix(UNKNOWN_COMMAND)
    if outcome.error.startswith(QUESTION):
        return outcome.error[:1].upper() + outcome.error[1:]
    tail = outcome.output.strip()[-TAIL_CHARACTERS:]
    if outcome.code == 0:
        tail = tail if order.verb == "status" else ""
        return f"MySQL told to {order.verb}.\n{tail}".rstrip()
    not_done = f"MySQL was not told to {order.verb}, or did not obey"
    failed = order.verb if outcome.in_doubt else not_done
    return f"{failed}: {ending(outcome)}.\n{tail}".rstrip()


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Obeys and answers until stopped. Raises CommsError."""
    rules = settings.table("mysql-by-jabber", Rules)
    with State(rules.state) as state:
        state.lock()
        rights = {str(Jid.parse(admin)): ["*"] for admin in rules.admins}
        commands = Commands(state, rules.verbs(), rights, clock, host, again=rules.again)
        server = settings.server("xmpp")
        networks: list[Network] = [
            Jabber(server, clock, host, state, contacts=rules.admins, confirms=rules.resume)
        ]
        if rules.inbox:
            mailbox, smtp = (
                settings.mailbox("mysql-by-jabber", rules.mailbox),
                settings.server("smtp"),
            )
            people = rules.addresses()
            mail = MailRules(mailbox, smtp, rules.inbox, tuple(people), rules.sender)
            networks.append(
                Mail(
                    mail,
                    commands,
                    clock,
                    host,
                    poll=rules.mail_poll,
                    commands_in=lambda mail: [command(mail.subject)],
                    # One person, whichever way: the same order in doubt is asked about.
                    person=lambda address: people.get(address.casefold(), ""),
                )
            )
        orders = Orders(commands, networks, clock, host, answer=answer, command=command)
        # What was accepted before must not wait for a server that is away.
        orders.recover()
        orders.run(rules.poll)
    return 0


@scenario.act("mysql-by-jabber")
def restart(world: World, program: Program) -> Iterator[Claim]:
    """Two administrators order a restart; a stranger tries, and the server announces something."""
    jeremy, michael, mallory = (
        world.jabber.actor(address) for address in (*ADMINS, "mallory@yourco.test")
    )
    world.clock.at(10, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(20, lambda: mallory.says(BOT, "restart"))
    world.clock.at(25, lambda: mallory.asks(BOT))
    world.clock.at(30, lambda: michael.says(BOT, " Restart\n"))
    notice = f"<message from='yourco.test' to='{BOT}'><body>Maintenance at noon.</body></message>"
    world.clock.at(40, lambda: world.jabber.inject(notice))
    world.clock.at(400, lambda: jeremy.says(BOT, "restart mysql"))
    world.clock.until(430)
    code = program()
    yield equal(
        "each command runs once, in any case of letters",
        world.host.ran,
        [RESTART] * 3,
        shows=world.host.ran,
    )
    heard = [[stanza.body for stanza in person.messages] for person in (jeremy, michael, mallory)]
    told = "MySQL told to restart."
    yield equal(
        "each administrator is answered",
        heard[:2],
        [[told, told], [told]],
        shows=[*jeremy.messages, *michael.messages],
    )
    yield equal("a stranger gets no answer", heard[2], [])
    logged = [e.text for e in world.events if e.text.startswith("refused who=mallory@yourco.test")]
    yield holds(
        "a stranger is logged", logged, [event.text for event in world.events], shows=logged
    )
    contacts = world.jabber.roster(BOT).items()
    seen_by = [who for who, contact in contacts if contact.subscription in ("from", "both")]
    yield equal("only the administrators may see the bot", sorted(seen_by), sorted(ADMINS))
    yield equal("a message from the server does not end the program", code, 0)
