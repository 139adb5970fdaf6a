"""Give each administrator a secret inbox for commands, and change it when it is known to others.

Section 6.1.2 · POP3, IMAP, SMTP · try: make scenario NAME=secret-inbox

A mail is a command if it was delivered to the inbox of the administrator that it is from. The
address has a secret of 103 bits. The program makes it, mails it to its owner with two links, and
keeps only its digest. One link changes the inbox as planned: the old one works a little longer, for
mail that is under way. The other one is for an inbox that is known to others: it ends at once. Mail
to an inbox that has ended is counted and not answered, and the owner of the program is warned.

[scenario.secret-inbox]
inbox = "ops+*@yourco.test"            # required: the star becomes the secret
admins = ["jeremy@yourco.test"]        # required
sender = "Ops <ops@yourco.test>"       # required: of receipts; links lead to it, in this mailbox
returns = "ops+*@yourco.test"          # optional: each receipt has a return path
owner = "owner@yourco.test"            # optional: is warned of refusals and bounces
rights = { "jeremy@yourco.test" = ["restart web"] }    # optional: by default all
mailbox = "imap"                       # optional: or "pop3"; else the one with a table
poll = 30                              # seconds
overlap = 604800                       # seconds that an inbox works after a planned change
fresh = 86400                          # seconds: an older mail is refused, as a replay
again = 60                             # seconds in which the same command is asked about
timeout = 60                           # seconds that a command may take
state = "secret-inbox.sqlite3"         # with the folder secret-inbox.refused beside it
commands = { "restart web" = ["systemctl", "restart", "nginx"] }    # required

Fault: pop-drop-before-quit -> all hold
Fault: pop3 QUIT lost stored times 1 -> all hold
Fault: pop-in-use -> all hold
Fault: pop-uidl-reused -> all hold
Fault: duplicate-delivery -> all hold
Fault: smtp connect refuse times 1 -> all hold
Fault: smtp-drop-after-dot -> all hold
Fault: poison-mail -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.commands import misspelt
from comms.host import Host
from comms.inboxes import BITS, pattern_problem
from comms.mail_program import AdminRules, MailProgram, command_lines
from comms.setting_types import CommandLine, NamedAddress, NonEmpty, SecondsOrZero, StateFile
from comms.settings import Settings
from scenarios.play import Claim, Program, Scenario, equal, holds, told
from scenarios.receiving.secret_inbox_desk import Desk
from scenarios.receiving.secret_inbox_samples import (
    JEREMY,
    MICHAEL,
    OPS,
    PEOPLE,
    RESTART,
    SETTINGS,
    mails,
    notices,
    receipts,
    secret,
    seen,
)

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": OPS,
    "person": [{"address": address} for address in PEOPLE],
    "host": {"name": "web1.yourco.test", "commands": [{"run": RESTART, "takes": 1}]},
    "scenario": {"secret-inbox": SETTINGS},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True, kw_only=True)
class Rules(AdminRules):
    """The settings, further to those that all programs with commands by mail have."""

    inbox: NonEmpty[str]
    sender: NamedAddress = field()  # without a default here
    commands: NonEmpty[dict[NonEmpty[str], NonEmpty[CommandLine]]]
    overlap: SecondsOrZero = 604800
    state: StateFile = Path("secret-inbox.sqlite3")

    def __post_init__(self) -> None:
        super().__post_init__()
        if problem := pattern_problem(self.inbox):
            raise ValueError(f"inbox: {problem}")
        if problem := misspelt(self.commands):
            raise ValueError(f"commands: {problem}")


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Obeys until stopped. Returns 0 if the last poll went well. Raises CommsError."""
    rules = settings.table("secret-inbox", Rules)
    with MailProgram("secret-inbox", rules, settings, clock, host) as program:
        desk = Desk(rules.inbox, rules.overlap, rules.admins, program)
        verbs = command_lines(rules.commands, rules.timeout)
        rights = rules.granted(verbs)
        # A right to fewer commands is still one to change one's own inbox.
        program.offer(
            verbs | desk.verbs(),
            {who: [*allowed, *desk.verbs()] for who, allowed in rights.items()},
            commands_in=desk.commands_in,
            addressed=desk.objection,
        )
        desk.hand_out(rights)
        host.say(f"Each inbox has a secret of {BITS:.0f} bits.")
        return program.obey()


@scenario.act("secret-inbox")
def inboxes(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy orders by his inbox, and by Michael's; Eve uses Jeremy's."""
    world.clock.at(60, lambda: mails(world, secret(world, JEREMY), JEREMY, "Restart web"))
    world.clock.at(160, lambda: mails(world, secret(world, MICHAEL), JEREMY, "Restart web"))
    world.clock.at(170, lambda: mails(world, secret(world, JEREMY), "eve@evil.example", "Restart"))
    world.clock.until(220)
    program()
    issued = [mail for mail in world.mail.messages if "Your inbox" in mail.subject]
    counts = [len(notices(world, who)) for who in (JEREMY, MICHAEL)]
    yield equal("each administrator gets an inbox", counts, [1, 1], shows=issued)
    entropy = world.said[:1]
    wanted = ["Each inbox has a secret of 103 bits."]
    yield equal("the entropy is shown", entropy, wanted, shows=entropy)
    ran = world.host.ran
    yield equal("only mail to the sender's own inbox is obeyed", ran, [RESTART], shows=ran)
    refused = told(world, "refused")
    yield holds("each other mail is logged", len(refused) >= 2, refused, shows=refused)
    answered = [mail.subject for mail in receipts(world, JEREMY)]
    yield equal("only the command is answered", answered, ["Re: Restart web"])
    leaks = [
        text
        for text in seen(world, issued)
        for who in (JEREMY, MICHAEL)
        if secret(world, who).partition("@")[0] in text
    ]
    yield holds("the secrets are in no reply, log or output", not leaks, leaks)
