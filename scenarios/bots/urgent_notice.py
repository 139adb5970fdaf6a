"""Reach a person at once: by message if they are online, else by SMS, else by mail, until `ok`.

Section 6.2.1 · XMPP, TOC, SMTP · try: make scenario NAME=urgent-notice

Another program appends a line of JSON to a file for each notice. The next channel is used when a
channel has failed, or when nobody has acknowledged the notice in time. `ok disk-7` ends it, said
from an account of the person whom it is for; what others say, and what comes too late, is recorded.
In quiet hours there is a mail at once, and message and SMS wait for their end. A report says what
has become of each channel; no channel is used twice, wherever the program is killed.

[scenario.urgent-notice]
people = { ann = { aim = "Ann", phone = "uscellular 5550100123", mail = "ann@b.test" } }  # required
sender = "alerts@yourco.test"        # required
notices = "notices.jsonl"            # lines {"id": "disk-7", "to": "ann", "text": "The disk fails"}
message = 120                        # seconds in which a message must be acknowledged,
sms = 300                            # and an SMS,
mail = 3600                          # and a mail
quiet = []                           # such as ["Mon-Sun 00:00-07:00", "Mon-Sun 22:00-24:00"]
zone = "UTC"                         # of the quiet hours
carriers = {}                        # gateways for SMS beside the known ones: name = domain
report = "ops@yourco.test"           # optional: who is mailed the report
poll = 1                             # seconds
state = "urgent-notice.sqlite3"

Accounts are jabber and aim; a phone is the name of its carrier, and a number. Everybody needs a
mail address. A notice with "wakes": true does not wait for the end of quiet hours. People may also
say `open` and `report disk-7`. An SMS cannot be answered: its sender would be easy to forge.

Fault: xmpp message split 1 -> all hold
Fault: smtp EHLO split 3 -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms import sms
from comms.bots.company import Company
from comms.bots.messengers import messengers, online_at, problem_of, without_mail
from comms.bots.orders import known_by
from comms.clock import Clock
from comms.errors import SettingsError
from comms.host import Host
from comms.hours import Hours
from comms.setting_types import FilePath, HostName, MailAddress, NonEmpty, Seconds, StateFile
from comms.settings import Settings
from comms.state import State
from scenarios.bots.urgent_notice_desk import CHANNELS, Desk
from scenarios.bots.urgent_notice_samples import arrived, is_urgent, reports, world_of_people
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = world_of_people()
scenario = Scenario(WORLD)
SETTLED = 5.0  # seconds until the networks have told who is online


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    people: NonEmpty[dict[NonEmpty[str], dict[str, NonEmpty[str]]]]
    sender: MailAddress
    notices: FilePath = Path("notices.jsonl")
    message: Seconds = 120
    sms: Seconds = 300
    mail: Seconds = 3600
    quiet: tuple[str, ...] = ()
    zone: str = "UTC"
    carriers: dict[NonEmpty[str], HostName] = field(default_factory=dict)
    report: MailAddress = ""
    poll: Seconds = 1
    state: StateFile = Path("urgent-notice.sqlite3")

    def __post_init__(self) -> None:
        known = ("jabber", "aim", "phone", "mail")
        if problem := problem_of(self.people, (), known) or without_mail(self.people):
            raise ValueError(problem)
        Hours(self.quiet, self.zone, "quiet")

    def phones(self, now: float) -> dict[str, str]:
        """Returns the mail address of each person's phone. Raises ValueError."""
        found = {}
        for person, accounts in self.people.items():
            if "phone" in accounts:
                carrier, _, number = accounts["phone"].partition(" ")
                if not number:
                    raise ValueError(f'{person}: phone: write it like "verizon 555-010-0123"')
                found[person] = sms.address(number, carrier, now, self.carriers)
        return found


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Tells people until stopped. Returns 1 if a notice is open at the end, else 0."""
    rules, server = settings.table("urgent-notice", Rules), settings.server("smtp")
    try:
        phones = rules.phones(clock.time())
    except ValueError as error:
        raise SettingsError(f"{settings.source}: scenario.urgent-notice.people: {error}") from None
    with State(rules.state) as state:
        state.lock()
        desk = Desk(state, rules, phones, clock, host)
        contacts = [mine["jabber"] for mine in rules.people.values() if "jabber" in mine]
        networks = messengers(settings, clock, host, state, contacts)
        person, since = known_by(rules.people), clock.monotonic()
        with Company(networks, clock, host) as company:
            for _ in clock.every(rules.poll):
                for heard, who in company.said_by(person):
                    desk.answer(heard, who)
                desk.read()
                online = {who: online_at(mine, company) for who, mine in rules.people.items()}
                if clock.monotonic() - since >= SETTLED:
                    desk.advance(online)
                    desk.notices.flush(company, clock.time())
                    desk.advance(online)  # what could not be said goes on at once
                company.flush("answer")
                desk.send(server)
        return 1 if desk.open_notices() else 0


@scenario.act("urgent-notice")
def urgent(world: World, program: Program) -> Iterator[Claim]:
    """The disk is full. Ann is online, and says ok after a minute."""
    ann, _ = arrived(world)
    world.clock.at(10, is_urgent(world, "disk-7", "ann", "The disk of db1 is full"))
    world.clock.at(70, lambda: ann.says("alerts@yourco.test", "ok disk-7"))
    world.clock.until(200)
    code = program()
    bodies = [stanza.body for stanza in ann.messages]
    text = "URGENT disk-7: The disk of db1 is full\nSay: ok disk-7"
    yield equal("Ann gets a message at once", bodies[:1], [text], shows=ann.messages[:1])
    thanks = ["Thank you: disk-7 is acknowledged, and goes no further."]
    yield equal("she acknowledges it", bodies[1:], thanks, shows=ann.messages[1:])
    (report,) = reports(world) or [""]
    wanted = {"message": "sent by jabber", "sms": "not needed", "mail": "not needed"}
    channels = dict(line.split(": ", 1) for line in report.splitlines() if line[:1] in "ms")
    found = {name: channels.get(name, "").partition(" (")[0] for name in CHANNELS}
    yield equal("the report has each channel", found, wanted, shows=world.mail.messages)
    head = report.partition("\n")[0]
    ended, mails = "disk-7 for ann: acknowledged by ann after 60 s", world.mail.messages
    yield equal("and who has ended it", head, ended, shows=mails)
    yield equal("nothing else is sent", (len(mails), code), (1, 0))
