"""Offer MySQL to every Jabber client as a form, and its state in a namespace of our own.

Section 6.2.2 · XMPP · try: make scenario NAME=custom-extension

An administrator's client finds the command among those of the program (XEP-0050), shows the form
(XEP-0004), and gets what really happened. A form runs once. A monitor asks for the state of MySQL
by a query of our own namespace, which disco lists. Other users are told that neither exists, and
are logged. What the program does not know is answered with an error, and errors with nothing.

[scenario.custom-extension]
admins = ["jeremy@yourco.test"]                 # required; they may also see the program's presence
monitors = []                                   # who may ask for the state, besides them
restart = ["systemctl", "restart", "mariadb"]   # the command lines of the choices in the form
start = []
stop = []
state_of = ["systemctl", "is-active", "mariadb"]
confirm = ["stop"]                              # choices for which a box must be ticked, too,
again = 60                                      # as for the same one within this many seconds
timeout = 60                                    # seconds that a command may take
state = "custom-extension.sqlite3"

If the connection is lost before the answer comes, the order may have been obeyed: ask for the
state. An order that was running when the program was killed is reported by message.

Fault: xmpp iq split 3 -> all hold
Fault: xmpp-domain-sender -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.etree.ElementTree import Element

from comms.clock import Clock
from comms.commands import QUESTION, TAIL_CHARACTERS, Verb, ending
from comms.host import Host, OutcomeLike
from comms.setting_types import (
    CommandLine,
    JabberAccount,
    NonEmpty,
    Seconds,
    SecondsOrZero,
    StateFile,
)
from comms.settings import Settings
from comms.state import State
from comms.xmpp import Client, Jid, stanzas
from comms.xmpp.adhoc import AdHoc, Offer
from comms.xmpp.forms import Field
from scenarios.jabber.custom_extension_desk import Desk
from scenarios.jabber.custom_extension_samples import FEATURE, answer, answers, asks
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

MYSQL = "urn:yourco:mysql:0"  # our own namespace
STATES = {0: "running", 3: "stopped"}  # the exit status of `systemctl is-active`

BOT, MONITOR, MALLORY = "bot@yourco.test", "monitor@yourco.test", "mallory@yourco.test"
JEREMY, MICHAEL = ADMINS = ("jeremy@yourco.test", "michael@yourco.test")
RESTART, IS_ACTIVE = ("systemctl", "restart", "mariadb"), ("systemctl", "is-active", "mariadb")
WORLD: dict[str, Any] = {
    "servers": ["xmpp"],
    "program": BOT,
    "person": [
        {"address": BOT, "contacts": dict.fromkeys(ADMINS, "both")},
        *({"address": address} for address in (*ADMINS, MONITOR, MALLORY)),
    ],
    "host": {
        "name": "db1.yourco.test",
        "services": ["mariadb"],
        "commands": [{"run": list(IS_ACTIVE), "output": "active\n"}],
    },
    "scenario": {
        "custom-extension": {
            "admins": list(ADMINS),
            "monitors": [MONITOR],
            "stop": ["systemctl", "stop", "mariadb"],
        }
    },
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    admins: NonEmpty[tuple[JabberAccount, ...]]
    monitors: tuple[JabberAccount, ...] = ()
    restart: CommandLine = RESTART
    start: CommandLine = ()
    stop: CommandLine = ()
    state_of: CommandLine = IS_ACTIVE
    confirm: tuple[Literal["restart", "start", "stop"], ...] = ("stop",)
    again: SecondsOrZero = 60
    timeout: Seconds = 60
    state: StateFile = Path("custom-extension.sqlite3")

    def __post_init__(self) -> None:
        if not self.verbs():
            raise ValueError(
                "restart: no choice has a command line; "
                'write restart = ["systemctl", "restart", "mariadb"]'
            )

    def verbs(self) -> dict[str, Verb]:
        """Returns the choices that have a command line."""
        lines = {name: getattr(self, name) for name in ("restart", "start", "stop")}
        return {
            name: Verb(line, "mysql", self.timeout, confirm=name in self.confirm)
            for name, line in lines.items()
            if line
        }

    def fields(self) -> list[Field]:
        """Returns the fields of the form."""
        box = f"Yes, really (for: {', '.join([*self.confirm, 'the same once more'])})"
        choice = Field("action", "list-single", "What MySQL is to do", tuple(self.verbs()))
        return [choice, Field("really", "boolean", box)]


def words(verb: str, outcome: OutcomeLike) -> str:
    """Returns what really happened."""
    if outcome.code == 0:
        return f"MySQL told to {verb}."
    if outcome.error.startswith(QUESTION):
        return f"Nothing was done: {outcome.error.removeprefix(QUESTION)}."
    tail = outcome.output.strip()[-TAIL_CHARACTERS:]
    failed = verb if outcome.in_doubt else f"MySQL was not told to {verb}, or did not obey"
    return f"{failed}: {ending(outcome)}.\n{tail}".rstrip()


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers until stopped. Raises CommsError."""
    rules = settings.table("custom-extension", Rules)
    admins = {Jid.parse(admin).bare for admin in rules.admins}
    monitors = admins | {Jid.parse(monitor).bare for monitor in rules.monitors}
    with State(rules.state) as state:
        state.lock()
        desk = Desk(rules.verbs(), map(str, admins), state, clock, host, words, rules.again)
        desk.recover()
        server = settings.server("xmpp")
        with Client(server, clock, host, accept_subscriptions=rules.admins) as jabber:

            def obey(who: Jid, values: dict[str, str], id: str) -> tuple[bool, str]:
                sure = values["really"] == "1"
                return desk.obey(str(who.bare), values["action"], f"form:{id}", sure)

            def state_of(query: Element) -> Element:
                who = Jid.parse(query.get("from") or str(jabber.jid))
                known = who.bare in monitors and not jabber.is_room(who)
                if not known or query.get("type") != "get" or query[0].tag != f"{{{MYSQL}}}mysql":
                    host.log("query-refused", "warning", who=str(who))
                    return stanzas.error(query, "service-unavailable")
                code = host.run(rules.state_of, rules.timeout).code
                found = STATES.get(code, "unknown") if code is not None else "unknown"
                return stanzas.result(query, Element(f"{{{MYSQL}}}mysql", {"state": found}))

            def is_admin(who: Jid) -> bool:
                return who.bare in admins and not jabber.is_room(who)

            jabber.on_query(MYSQL, state_of)
            intro = f"Choose what MySQL on {host.name} is to do."
            offer = Offer("mysql", "MySQL", obey, is_admin, rules.fields(), intro)
            AdHoc(jabber, clock, host).offer(offer)
            desk.send(jabber)
            jabber.wait()
    return 0


# ── the first act ────────────────────────────────────────────────────────────


@scenario.act("custom-extension")
def asked(world: World, program: Program) -> Iterator[Claim]:
    """Two clients ask for the state of MySQL; disco lists the namespace; MySQL stops meanwhile."""
    jeremy, monitor = world.jabber.actor(JEREMY), world.jabber.actor(MONITOR)
    disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    question = f"<mysql xmlns='{MYSQL}'/>"

    def stops() -> None:
        world.host.commands[IS_ACTIVE].code = 3

    world.clock.at(10, lambda: asks(world, jeremy, "1", disco))
    world.clock.at(20, lambda: asks(world, jeremy, "2", question))
    world.clock.at(30, stops)
    world.clock.at(40, lambda: asks(world, monitor, "3", question))
    world.clock.until(60)
    code = program()
    found = [feature.get("var") for feature in answer(jeremy, "1").element.iter(FEATURE)]
    yield equal("disco lists the namespace", found.count(MYSQL), 1, shows=answers(jeremy, "1"))
    states = [answer(*of).element[0].get("state") for of in ((jeremy, "2"), (monitor, "3"))]
    shows = [*answers(jeremy, "2"), *answers(monitor, "3")]
    yield equal("each client gets the state", states, ["running", "stopped"], shows=shows)
    yield equal("the program exits with 0 when it is stopped", code, 0)
