"""Answer each mail to some addresses with the text for that address, and never a program.

Section 6.1 · POP3, IMAP, SMTP · try: make scenario NAME=autoresponder

Mail to an address of `answers` is a request: each gets the text, up to a limit for each sender. An
address of `away` belongs to a person, whose server sends a copy of each mail here. It is answered
only if the mail names the address, and once in a week. What a program sent, a list, a bounce or one
of our own answers gets none, nor does mail without an envelope sender (RFC 3834). An answer has no
envelope sender, and is stored before the mail is deleted.

[scenario.autoresponder]
answers = { "info@yourco.test" = "info.txt" }    # optional: address = file with the text
away = { "jeremy@yourco.test" = "away.txt" }     # optional: the same for a person who is away
mailbox = "imap"                                 # optional: or "pop3"; else the one with a table
poll = 30                                        # seconds
limit = 5                                        # answers to one sender in a day
again = 604800                                   # seconds in which `away` answers a sender once
state = "autoresponder.sqlite3"                  # with the folder autoresponder.refused beside it

Fault: pop-drop-before-quit -> all hold
Fault: pop3 QUIT lost stored times 1 -> all hold
Fault: pop-in-use -> all hold
Fault: pop-uidl-reused -> all hold
Fault: pop-drop-in-retr -> all hold
Fault: duplicate-delivery -> all hold
Fault: poison-mail -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms import replies
from comms.addresses import comparable, parse_list_leniently
from comms.clock import Clock
from comms.host import Host
from comms.read import Mail
from comms.setting_types import (
    Count,
    MailAddress,
    MailProtocol,
    ReadableFile,
    Seconds,
    StateFile,
)
from comms.settings import Settings
from comms.state import State
from scenarios.play import Claim, Program, Scenario, equal, holds
from scenarios.processing.autoresponder_desk import Desk
from scenarios.processing.autoresponder_samples import (
    ANN,
    INFO,
    PEOPLE,
    ROBOT,
    SALES,
    answers,
    prepared,
    writes,
)

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": ROBOT,
    "person": PEOPLE,
    "mail": {"relay": "keep"},
    "host": {"name": "mx1.yourco.test"},
    "scenario": {"autoresponder": prepared()},
}
scenario = Scenario(WORLD)
NAMED = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings. Times are in seconds."""

    answers: dict[MailAddress, ReadableFile] = field(default_factory=dict)
    away: dict[MailAddress, ReadableFile] = field(default_factory=dict)
    mailbox: MailProtocol = None
    poll: Seconds = 30
    limit: Count = 5
    again: Seconds = 604800
    state: StateFile = Path("autoresponder.sqlite3")

    def __post_init__(self) -> None:
        if not self.answers and not self.away:
            raise ValueError(
                'answers: is empty; write answers = { "info@example.org" = "info.txt" }'
            )


def address_of(mail: Mail, known: Mapping[str, Path]) -> str:
    """Returns the address that a mail was delivered to, if it is a known one; else "".

    It is that of the envelope, as our server recorded it. `info+anything@` is `info@`.
    """
    by_key = {comparable(address): address for address in known}
    for to in replies.delivered_to(mail):
        local, _, domain = comparable(to).rpartition("@")
        for key in (f"{local}@{domain}", f"{local.partition('+')[0]}@{domain}"):
            if key in by_key:
                return by_key[key]
    return ""


def objection(mail: Mail, address: str, rules: Rules) -> str:
    """Returns why a mail gets no answer, or ""."""
    if not address:
        return "not to an address that answers"
    if reason := replies.unanswerable(mail, [*rules.answers, *rules.away]):
        return reason
    if replies.return_path(mail) is None:
        return "our server has not recorded its envelope sender"
    if address in rules.away and comparable(address) not in named_in(mail):
        # RFC 3834 §2: a person answers only what was written to the person.
        return "it does not name the person who is away"
    return ""


def named_in(mail: Mail) -> set[str]:
    """Returns the addresses in all fields that RFC 3834 §2 lists, in the form to compare."""
    fields = [value for name in NAMED for value in mail.get_all(name)]
    return {one.key for value in fields for one in parse_list_leniently(value)[0]}


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers until stopped. Returns 0 if the last poll went well. Raises CommsError."""
    rules = settings.table("autoresponder", Rules)
    mailbox, smtp = settings.mailbox("autoresponder", rules.mailbox), settings.server("smtp")
    code = 0
    with State(rules.state) as state:
        state.lock()
        desk = Desk(rules, state, clock, host, address_of, objection)
        for _ in clock.every(rules.poll):
            code = desk.collect(mailbox)
            desk.send(smtp)
    return code


@scenario.act("autoresponder")
def each_address(world: World, program: Program) -> Iterator[Claim]:
    """Ann asks two addresses, one of them with a word after a plus sign."""
    world.clock.at(10, lambda: writes(world, INFO, ANN, "Opening hours?"))
    world.clock.at(40, lambda: writes(world, SALES.replace("@", "+prices@"), ANN, "Prices?"))
    world.clock.until(100)
    program()
    mails = sorted(answers(world, ANN), key=lambda mail: mail.subject)
    found = [(mail.subject, mail.text.strip()) for mail in mails]
    wanted = [("Auto: Opening hours?", "We are open from 9 to 5.")]
    wanted += [("Auto: Prices?", "Our price list is on the web.")]
    yield equal("each address answers with its text", found, wanted, shows=mails)
    senders = [str(mail.message["From"]) for mail in mails]
    yield equal("the answer is from the address", senders, [INFO, SALES], shows=mails)
    marks = [(mail.envelope.sender, mail.message["Auto-Submitted"]) for mail in mails]
    yield equal("it is marked as automatic", marks, [("", "auto-replied")] * 2, shows=mails)
    threads = [str(mail.message["In-Reply-To"]) for mail in mails]
    known = len({*threads}) == 2 and all("@customer.test>" in thread for thread in threads)
    yield holds("it is in the thread of the request", known, threads, shows=mails)
    yield equal("the mailbox is empty", world.mail.inbox(ROBOT), [])
