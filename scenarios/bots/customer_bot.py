"""Answer customers from a list of questions, and hand over to a person when it does not help.

Section 6.2.1 · XMPP, TOC, IRC, SMTP · try: make scenario NAME=customer-bot

A question that has all the words of one in the list is answered; otherwise those that are near are
suggested. What the list does not know, or a customer who says `person`, goes to an agent who is
online within the hours: the agents who are free are called, and who says `!take` has the customer.
The bot passes on what both say, each with its name, until one of them ends it or both are silent.
Then the transcript is mailed, once, to the customer's known address, else to the team. If nobody
can come, the team gets the question by mail, and the customer is told when agents are there.

Agents find customers by `!find jones`, and add notes by `!note 17 TEXT`. All of it is audited.

[scenario.customer-bot]
faq = "faq.toml"                     # required; [[question]], ask = ["hours"], answer = "9 to 5."
customers = "customers.toml"         # required; 17 = { name = "Carol", aim = "Carol", mail = "…" }
agents = { Anna = { jabber = "anna@yourco.test" } }  # required
team = "team@yourco.test"            # required
sender = "Service <service@yourco.test>"
hours = ["Mon-Fri 09:00-17:00"]
zone = "UTC"                         # of the hours, such as "Europe/Berlin"
wait = 300                           # seconds in which an agent must take a customer
quiet = 900                          # seconds of silence that end a conversation
messages = 10                        # that a customer may write
within = 60                          # seconds
abuse = ["idiot"]                    # optional: words that are not answered
insults = 3                          # messages with such words, after which nothing is answered
poll = 1                             # seconds
state = "customer-bot.sqlite3"
resume = false                       # true: no message by XMPP is lost when the program is killed

A user without an account, or in a channel, is answered from the list only. With `resume`, the
server keeps each message until it is stored; if the program is killed before that, it delivers the
message again, or returns it as an error (XEP-0198).

Fault: xmpp message split 1 -> all hold
Fault: toc toc_send_im reply 903 times 1 -> all hold
Fault: smtp . lost stored -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.bots.company import Company, Limits
from comms.bots.irc import Irc
from comms.bots.messengers import PRIVATE, messengers, problem_of
from comms.clock import Clock
from comms.host import Host
from comms.hours import Hours
from comms.setting_types import (
    Count,
    Line,
    MailAddress,
    NamedAddress,
    NonEmpty,
    ReadableFile,
    Seconds,
    StateFile,
)
from comms.settings import Settings
from comms.state import State
from scenarios.bots.customer_bot_desk import Desk
from scenarios.bots.customer_bot_input import Faq, read_customers
from scenarios.bots.customer_bot_samples import CAROL, bodies, opened, says, world_of_service
from scenarios.play import Claim, Program, Scenario, equal, holds

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = world_of_service()
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    faq: ReadableFile
    customers: ReadableFile
    agents: NonEmpty[dict[NonEmpty[Line], NonEmpty[dict[str, NonEmpty[str]]]]]
    team: MailAddress
    sender: NamedAddress = "Service <service@yourco.test>"
    hours: NonEmpty[tuple[str, ...]] = ("Mon-Fri 09:00-17:00",)
    zone: str = "UTC"
    wait: Seconds = 300
    quiet: Seconds = 900
    messages: Count = 10
    within: Seconds = 60
    abuse: tuple[NonEmpty[str], ...] = ()
    insults: Count = 3
    poll: Seconds = 1
    state: StateFile = Path("customer-bot.sqlite3")
    resume: bool = False

    def __post_init__(self) -> None:
        if problem := problem_of(self.agents, (), PRIVATE):
            raise ValueError(problem.replace("people:", "agents:", 1))
        Hours(self.hours, self.zone)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers, and passes on, until stopped. Raises CommsError."""
    rules, server = settings.table("customer-bot", Rules), settings.server("smtp")
    faq, customers = Faq(rules.faq), read_customers(rules.customers)
    with State(rules.state) as state:
        state.lock()
        contacts = [
            accounts["jabber"] for accounts in rules.agents.values() if "jabber" in accounts
        ]
        networks = messengers(settings, clock, host, state, contacts, confirms=rules.resume)
        if "irc" in settings.tables:
            networks.append(Irc(settings.server("irc"), clock, host, state))
        # The desk has limits of its own: it tells a customer once, and agents have none.
        company = Company(networks, clock, host, Limits(1000, 1000))
        desk = Desk(rules, faq, customers, company, state, clock, host)
        with company:
            for _ in clock.every(rules.poll):
                for heard in company.heard():
                    desk.hear(heard)
                desk.tick()
                company.flush("message")
                desk.flush(server)
    return 0


@scenario.act("customer-service-bot")
def service(world: World, program: Program) -> Iterator[Claim]:
    """Carol asks by AIM what the list knows, mistypes, then wants a person: Anna, on Jabber."""
    carol, anna = opened(world)
    says(world, carol, (10, "When are you open?"), (20, "oppening hours"))
    says(world, carol, (30, "Can I pay with shells?"), (50, "Hello Anna"), (70, "End."))
    says(world, anna, (40, "!take"), (60, "Hello Carol,\nno shells, sorry."))
    world.clock.until(80)
    code = program()
    texts, heard, asked = bodies(carol), carol.heard, bodies(anna)
    hours = "We are here from 9 to 5, Monday to Friday."
    yield equal("the list is answered from", texts[:2], [hours] * 2, shows=heard[:2])
    called = ["I have called a person. Please wait, or say: end"]
    yield equal("what it does not know goes to a person", texts[2:3], called, shows=heard[2:3])
    waits = ["Carol Jones (aim) waits for a person. Say: !take"]
    yield equal("an agent who is online is called", asked[:1], waits, shows=anna.messages[:1])
    shown = asked[1:2] and "Can I pay with shells?" in asked[1]
    yield holds("the agent sees what was asked", shown, asked[1:2], shows=anna.messages[1:2])
    both = [*texts[4:5], *asked[2:3]]
    wanted = ["Anna: Hello Carol,\n    no shells, sorry.", "Carol Jones: Hello Anna"]
    shows = [*heard[4:5], *anna.messages[2:3]]
    yield equal("what both say is passed on", both, wanted, shows=shows)
    mails = world.mail.inbox(CAROL)
    lines = [line[9:] for mail in mails for line in mail.text.splitlines()]
    listed = {"Carol Jones: Hello Anna", "Anna: Hello Carol,"} <= set(lines)
    yield holds("the transcript is mailed to Carol", listed, lines, shows=mails)
    counts = len(mails), len(world.mail.messages)
    yield equal("once, and to nobody else", counts, (1, 1), shows=mails)
    yield equal("the exit code is 0", code, 0)
