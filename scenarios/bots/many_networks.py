"""Put one bot on AIM, Jabber, IRC and mail at once, with one list of people for all of them.

Section 6.2.1 · TOC, XMPP, IRC, POP3, IMAP, SMTP · try: make scenario NAME=many-networks

The bot is written once, and is on every network that the settings file has a table for. A person
has an account on each; what one has ordered on one network is known on the others. An answer goes
back where the question came from, in the form of that network. A network that is down is tried
again, and the others go on.

[scenario.many-networks]
people = { jeremy = { aim = "SysAdmin", jabber = "jeremy@yourco.test" } }  # required
commands = { uptime = ["uptime"], restart = ["systemctl", "restart", "mariadb"] }
public = ["uptime"]                  # commands that may be given where others listen
sure = ["restart"]                   # commands for which the network must vouch for the account
confirm = []                         # commands that must be confirmed
again = 300                          # seconds in which the same command is asked about
timeout = 60                         # seconds that a command may take
rooms = ["ops@conference.yourco.test"]     # optional: chat rooms of Jabber to be in
inbox = "cly6ruct1yit2d@yourco.test"       # optional: take commands by mail, too
mailbox = "imap"                           # optional: or "pop3"; else the one with a table
mail_poll = 30                             # seconds
state = "many-networks.sqlite3"

A mail only shows that its sender knows the secret address, so commands of `sure` are not taken by
mail. The channels are those of [irc].

Fault: irc-throttled -> breaks it is not tried again
Fault: irc NOTICE split 1 -> all hold
Fault: pop-in-use -> all hold
Fault: xmpp-domain-sender -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.bots.messengers import problem_of
from comms.bots.network import Trust
from comms.bots.orders import Orders, known_by
from comms.clock import Clock
from comms.commands import Commands, Order, Verb, ending, misspelt
from comms.host import Host, OutcomeLike
from comms.setting_types import (
    CommandLine,
    MailAddress,
    MailProtocol,
    NonEmpty,
    Seconds,
    SecondsOrZero,
    StateFile,
)
from comms.settings import Settings
from comms.state import State
from scenarios.bots.many_networks_desk import NAMES, networks_of
from scenarios.bots.many_networks_samples import ALL, ask_everywhere, heard_everywhere, world_of_all
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = world_of_all()
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    people: NonEmpty[dict[str, dict[str, NonEmpty[str]]]]
    commands: NonEmpty[dict[NonEmpty[str], NonEmpty[CommandLine]]] = field(
        default_factory=lambda: {
            "uptime": ("uptime",),
            "restart": ("systemctl", "restart", "mariadb"),
        }
    )
    public: tuple[str, ...] = ("uptime",)
    sure: tuple[str, ...] = ("restart",)
    confirm: tuple[str, ...] = ()
    again: SecondsOrZero = 300
    timeout: Seconds = 60
    rooms: tuple[str, ...] = ()
    inbox: MailAddress = ""
    mailbox: MailProtocol = None
    mail_poll: Seconds = 30
    state: StateFile = Path("many-networks.sqlite3")

    def __post_init__(self) -> None:
        if problem := misspelt(self.commands):
            raise ValueError(f"commands: {problem}")
        for key, usual in (("public", ("uptime",)), ("sure", ("restart",)), ("confirm", ())):
            for name in getattr(self, key):
                # Who has other commands need not say that the usual ones are not public.
                if name not in self.commands and name not in usual:
                    known = ", ".join(
                        one if one.isprintable() else repr(one) for one in self.commands
                    )
                    raise ValueError(f"{key}: unknown command {name!r}; choose from: {known}")
        if problem := problem_of(self.people, self.rooms, NAMES):
            raise ValueError(problem)

    def verbs(self) -> dict[str, Verb]:
        """Returns the commands, with the networks over which each may be given."""
        sure = tuple(name for name, kind in NAMES.items() if kind.trust >= Trust.ACCOUNT)
        return {
            name: Verb(
                line,
                target=" ".join(line),
                timeout=self.timeout,
                confirm=name in self.confirm,
                repeatable=name not in self.sure,
                public=name in self.public,
                doors=sure if name in self.sure else (),
            )
            for name, line in self.commands.items()
        }


def answer(order: Order, outcome: OutcomeLike) -> str:
    """Returns the output of a command, or what has really happened."""
    if outcome.code is None:
        return ending(outcome)
    failed = f"{ending(outcome)}\n" if outcome.code else ""
    return f"{order.verb}: {failed}{outcome.output.strip() or 'done'}"


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Obeys and answers on every network until stopped. Raises CommsError."""
    rules = settings.table("many-networks", Rules)
    with State(rules.state) as state:
        state.lock()
        rights = {name: ["*"] for name in rules.people}
        commands = Commands(state, rules.verbs(), rights, clock, host, again=rules.again)
        person = known_by(rules.people)
        networks = networks_of(rules, settings, commands, person, clock, host)
        orders = Orders(commands, networks, clock, host, answer=answer, person=person)
        orders.recover()
        orders.run(poll=1)
    return 0


@scenario.act("many-networks", **ALL)
def everywhere(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy asks the same on every network, and in a room and a channel."""
    ask_everywhere(world, "uptime", start=10)
    world.clock.until(120)
    code = program(irc={"channels": ["#ops"]})
    heard = heard_everywhere(world)
    wanted = dict.fromkeys(("aim", "jabber", "room", "irc", "mail"), 1)
    counts = {place: len(found) for place, found in heard.items()}
    found = [message for place in heard.keys() - {"room"} for message in heard[place]]
    yield equal("each network answers its own question", counts, wanted, shows=found)
    ran = world.host.ran
    yield equal("the command ran once for each", ran, [("uptime",)] * 5, shows=ran)
    with State(world.folder / "many-networks.sqlite3") as state:
        rows = state.rows(
            "SELECT who, verdict FROM audit WHERE verdict != 'accepted' "
            # A mail comes again if its connection was cut before it was removed.
            "AND NOT (who = 'jeremy' AND detail = 'received before')"
        )
    yield equal("one audit names one person", rows, [("jeremy", "done")] * 5, shows=ran)
    yield equal("the program ends as it should", code, 0, shows=ran)
