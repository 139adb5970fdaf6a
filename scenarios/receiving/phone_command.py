"""Obey text messages from phones: one command each, answered within 160 characters.

Section 6.1.2 · POP3, IMAP, SMTP · try: make scenario NAME=phone-command

A phone's text message comes as a mail from its carrier's gateway: without a subject, in base64 or
HTML only, with a footer below. Its first line is the command, or a short form of one; if there is
no text, the subject is. What came cut or in parts is not obeyed: the phone is asked to send it
again. Answers are text messages, too: plain, of the phones' alphabet, and never in two parts.

[scenario.phone-command]
inbox = "cly6ruct1yit2d@yourco.test"          # required: the secret address
phones = ["5550100123@sms.acme.test"]         # required: addresses at the carriers' gateways
commands = { "restart web" = ["systemctl", "restart", "nginx"] }    # required
short = { r = "restart web" }                 # optional: short forms
sender = "services@yourco.test"               # optional: of answers; else the account's address
returns = "services+*@yourco.test"            # optional: each receipt has a return path
owner = "owner@yourco.test"                   # optional: is warned of refusals and bounces
mailbox = "imap"                              # optional: or "pop3"; else the one with a table
poll = 30                                     # seconds
timeout = 60                                  # seconds that a command may take
fresh = 86400                                 # seconds: an older mail is refused, as a replay
again = 60                                    # seconds in which the same command is asked about
state = "phone-command.sqlite3"               # with the folder phone-command.refused beside it

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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms import sms
from comms.clock import Clock
from comms.commands import normalized
from comms.host import Host
from comms.mail_program import CommonRules, MailProgram, command_lines
from comms.setting_types import CommandLine, MailAddress, NonEmpty, StateFile
from comms.settings import Settings
from scenarios.play import Claim, Program, Scenario, equal, holds
from scenarios.receiving.phone_command_desk import LONGEST, answer, command
from scenarios.receiving.phone_command_samples import (
    ANN,
    BOB,
    INBOX,
    RESTART,
    SENDER,
    SETTINGS,
    STATUS,
    TEXTS,
    texts,
)

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": SENDER,
    "person": [
        {"address": SENDER, "aliases": [INBOX]},
        *({"address": address} for address in (ANN, BOB)),
    ],
    "mail": {"relay": "keep"},
    "host": {
        "name": "web1",
        "commands": [
            {"run": RESTART, "takes": 2},
            {"run": STATUS, "output": "nginx “active” since …\n" * 20, "takes": 1},
        ],
    },
    "scenario": {"phone-command": SETTINGS},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True, kw_only=True)
class Rules(CommonRules):
    """The settings, further to those that all programs with commands by mail have."""

    phones: NonEmpty[tuple[MailAddress, ...]]
    commands: NonEmpty[dict[NonEmpty[str], NonEmpty[CommandLine]]]
    short: dict[NonEmpty[str], str] = field(default_factory=dict)
    sender: MailAddress = ""
    state: StateFile = Path("phone-command.sqlite3")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.commands:
            if name != normalized(name)[:LONGEST] or sms.plain(name) != name:
                raise ValueError(
                    f"commands: {name[:40]!r} is not in lower case, or does not fit into an "
                    f"answer; write at most {LONGEST} characters, as in restart web"
                )
        for word, name in self.short.items():
            if name not in self.commands:
                # Either of the two settings may be the wrong one, so the message names both.
                raise ValueError(
                    f"commands: {name[:40]!r}, which the short form {word[:40]!r} stands for, is "
                    "missing; add it, or change short"
                )


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Obeys until stopped. Returns 0 if the last poll went well. Raises CommsError."""
    rules = settings.table("phone-command", Rules)
    rights = {phone.casefold(): ["*"] for phone in rules.phones}
    with MailProgram("phone-command", rules, settings, clock, host) as program:
        program.offer(
            command_lines(rules.commands, rules.timeout),
            rights,
            commands_in=lambda mail: [command(mail, rules.short)],
            answer=answer,
            threaded=False,
        )
        return program.obey()


@scenario.act("phone-command")
def phones(world: World, program: Program) -> Iterator[Claim]:
    """Ann's phone sends the same command in every form that carriers know."""
    for number, raw in enumerate(TEXTS.values()):
        world.clock.at(120 * number + 15, partial(world.mail.deliver, INBOX, raw))
    world.clock.until(120 * len(TEXTS))
    program()
    began = world.clock.now() - world.clock.elapsed
    runs = {
        int(event.at - began - 15) // 120: event
        for event in world.events
        if event.text.startswith("runs: ")
    }
    for number, name in enumerate(TEXTS):
        yield equal(f"obeyed: {name}", number in runs, True, shows=runs.get(number, ()))
    answers = texts(world, ANN)
    wanted = ["web1: restart web: done."] * len(TEXTS)
    yield equal("each is answered", answers, wanted, shows=world.mail.inbox(ANN))
    subjects = [mail.message["Subject"] for mail in world.mail.inbox(ANN)]
    plain = all(not subject for subject in subjects)
    yield holds("answers have no subject", plain, subjects, shows=world.mail.inbox(ANN))
