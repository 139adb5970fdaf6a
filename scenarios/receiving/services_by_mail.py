"""Control services, run jobs and write to a list by mail, each only as far as one may.

Section 6.1.2 · POP3, IMAP, SMTP · try: make scenario NAME=services-by-mail

A mail to the secret inbox has a command in its subject, or several in its text, one per line, and
is answered by one mail with what became of each. Services are started, stopped, restarted and
asked about; stopping one must be confirmed. A job runs once and returns the end of its output. A
mail for a list waits until a moderator approves it, and goes to the addresses in the settings only,
one mail each. Each administrator may use what `rights` says, or everything if it has no entry.

[scenario.services-by-mail]
inbox = "cly6ruct1yit2d@yourco.test"            # required: the secret address
admins = ["jeremy@yourco.test"]                 # required
sender = "Services <services@yourco.test>"      # optional: of receipts; else the account's address
returns = "services+*@yourco.test"              # optional: each receipt has a return path
owner = "owner@yourco.test"                     # optional: is warned of refusals and bounces
mailbox = "imap"                                # optional: or "pop3"; else the one with a table
services = { web = "nginx" }                    # required: name in commands = unit of systemd
jobs = { backup = ["/usr/local/bin/backup"] }   # optional: name in `run NAME` = command line
lists = { staff = ["ann@yourco.test"] }         # optional: name in `mail NAME` = addresses
moderators = ["jeremy@yourco.test"]             # optional: administrators who may approve mails
rights = { "jeremy@yourco.test" = ["status web"] }    # optional
poll = 30                                       # seconds
timeout = 60                                    # seconds that a service may take
job_timeout = 3600                              # seconds that a job may take
fresh = 86400                                   # seconds: an older mail is refused, as a replay
again = 60                                      # seconds in which the same command is asked about
state = "services-by-mail.sqlite3"              # with the folder services-by-mail.refused beside it

Fault: pop-drop-before-quit -> all hold
Fault: pop3 QUIT lost stored times 1 -> all hold
Fault: pop-in-use -> all hold
Fault: pop-uidl-reused -> all hold
Fault: duplicate-delivery -> all hold
Fault: poison-mail -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.commands import NAMES
from comms.host import Host
from comms.mail_program import AdminRules, MailProgram
from comms.setting_types import CommandLine, MailAddress, NonEmpty, Seconds, StateFile, Word
from comms.settings import Settings
from scenarios.play import Claim, Program, Scenario, equal
from scenarios.receiving.services_by_mail_desk import Desk
from scenarios.receiving.services_by_mail_samples import (
    ACTIVE,
    BACKUP,
    INBOX,
    JEREMY,
    MICHAEL,
    PEOPLE,
    SENDER,
    SETTINGS,
    mails,
)

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": SENDER,
    "person": [
        {"address": SENDER, "aliases": [INBOX]},
        *({"address": address} for address in PEOPLE),
    ],
    "host": {
        "name": "web1.yourco.test",
        "services": ["nginx"],
        "commands": [
            {"run": ACTIVE, "code": 3},
            {"run": BACKUP, "output": "42 files\n", "takes": 5},
        ],
    },
    "scenario": {"services-by-mail": SETTINGS},
}
scenario = Scenario(WORLD)
EXAMPLES = {"services": "web", "jobs": "backup", "lists": "staff"}  # names that an error shows


@dataclass(frozen=True, kw_only=True)
class Rules(AdminRules):
    """The settings, further to those that all programs with commands by mail have."""

    services: NonEmpty[dict[NonEmpty[str], Word]]
    jobs: dict[NonEmpty[str], NonEmpty[CommandLine]] = field(default_factory=dict)
    lists: dict[NonEmpty[str], NonEmpty[tuple[MailAddress, ...]]] = field(default_factory=dict)
    moderators: tuple[MailAddress, ...] = ()
    job_timeout: Seconds = 3600
    state: StateFile = Path("services-by-mail.sqlite3")

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("services", "jobs", "lists"):
            for name in getattr(self, key):
                if not NAMES.fullmatch(name):
                    raise ValueError(
                        f"{key}: {name[:60]!r} is not one word of a-z, 0-9 and _; write one, as "
                        f"in {EXAMPLES[key]}"
                    )
        admins = {*map(str.casefold, self.admins)}
        if not {*map(str.casefold, self.moderators)} <= admins:
            raise ValueError("moderators: not all are administrators; add them to admins")
        if self.lists and not self.moderators:
            raise ValueError('moderators: nobody may approve mails; write ["you@example.org"]')


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Obeys until stopped. Returns 0 if the last poll went well. Raises CommsError."""
    rules = settings.table("services-by-mail", Rules)
    with MailProgram("services-by-mail", rules, settings, clock, host) as program:
        desk = Desk(rules, program)
        verbs, rights = desk.verbs(), desk.rights()
        program.offer(verbs, rights, commands_in=program.commands_in, facts_in=desk.facts)
        return program.obey()


@scenario.act("services-by-mail")
def services(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy starts a service, runs a job and asks for the state; Michael may only ask."""
    world.clock.at(
        60, lambda: mails(world, JEREMY, text="start web\n# and\nrun backup\nstatus web")
    )
    world.clock.at(120, lambda: mails(world, MICHAEL, text="status web\nrun backup\n-- \nMichael"))
    world.clock.at(180, lambda: mails(world, "eve@evil.example", "run backup"))
    world.clock.until(240)
    program()
    ran = [" ".join(command) for command in world.host.ran]
    wanted = ["systemctl is-active nginx", "systemctl start nginx", "/usr/local/bin/backup"]
    wanted += ["systemctl status nginx"] * 2
    yield equal("each command runs as far as its sender may", ran, wanted, shows=world.host.ran)
    receipts = world.mail.inbox(JEREMY)
    texts = [mail.text.replace("\r\n", "\n") for mail in receipts]
    transcript = (
        "> start web\nweb1.yourco.test: done in 2.0 s\n\n| nginx: start\n\n"
        "> run backup\nweb1.yourco.test: done in 5.0 s\n\n| 42 files\n\n"
        "> status web\nweb1.yourco.test: done in 2.0 s\n\n| nginx: status\n"
    )
    yield equal("one mail answers all commands of a mail", texts, [transcript], shows=receipts)
    answers = world.mail.inbox(MICHAEL)
    may_not = ["may not run backup; allowed: status web" in mail.text for mail in answers]
    yield equal("what is not allowed is said", may_not, [True], shows=answers)
    strangers = [mail for mail in world.mail.messages if "eve@evil.example" in mail.envelope.to]
    yield equal("a stranger gets no answer", strangers, [])
