"""Turn mail into tickets: one ticket for each mail, one answer for each ticket.

Listing 6.5 · POP3, IMAP, SMTP · try: make scenario NAME=tickets
Needs: sqlalchemy

Every thirty seconds the program collects its mail. A mail opens a ticket and is acknowledged, or is
a response to the ticket that it belongs to; a closed ticket opens again. The ticket, the mail and
the waiting answer are stored together, then the mail is deleted, then the answer is sent. Programs
get no answer. Mail that cannot be read is kept in a folder. Several instances may share a database.

[scenario.tickets]
mailbox = "imap"                             # optional: or "pop3"; else the one with a table
poll = 30                                    # seconds
database = "sqlite:///tickets.sqlite3"       # or postgresql+psycopg://…
sender = "Tickets <tickets@yourco.test>"     # optional: of the answers; else the account
template = "answer.txt"                      # optional: with $number, $subject and $owner in it
answers = 10                                 # per day and address
largest = 50000000                           # bytes; of a larger mail only the header is a ticket

Fault: pop-drop-before-quit -> all hold
Fault: pop3 QUIT lost stored times 1 -> all hold
Fault: imap UID EXPUNGE lost stored times 1 -> all hold
Fault: imap UID STORE hang up times 1 -> all hold
Fault: imap-uidvalidity-changes -> all hold
Fault: imap UID FETCH nth 3 after 100 -> all hold
Fault: pop-drop-in-retr -> all hold
Fault: pop-dele-err -> all hold
Fault: pop-in-use -> all hold
Fault: duplicate-delivery -> all hold
Fault: poison-mail -> all hold
Fault: pop-long-line -> all hold
Fault: pop-uidl-reused -> all hold

What goes wrong in the printed listing: it answers programs, which answer back without end; if an
answer cannot be sent, the mail makes another ticket at every poll; one bad mail blocks all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from comms.clock import Clock
from comms.errors import StateError
from comms.host import Host
from comms.read import Mail
from comms.setting_types import (
    Count,
    CountOrZero,
    MailProtocol,
    NamedAddress,
    Seconds,
    Word,
)
from comms.settings import Settings
from scenarios.models import DatabaseUrl, shown
from scenarios.play import Claim, Program, Scenario, equal, sent
from scenarios.processing.tickets_desk import Desk
from scenarios.processing.tickets_model import Answer, Letter, Ticket
from scenarios.processing.tickets_samples import (
    CAROL,
    DAVE,
    HTML,
    TICKETS,
    customer_mail,
    opened,
    stored_tickets,
)

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": TICKETS,
    "person": [{"address": address} for address in (TICKETS, CAROL, DAVE)],
    "mail": {"domains": ["yourco.test", "customer.test"]},
    "host": {"name": "desk.yourco.test"},
    "scenario": {"tickets": {"sender": f"Tickets <{TICKETS}>"}},
}
scenario = Scenario(WORLD, {"tickets": lambda world: len(stored_tickets(world.folder))})


@dataclass(frozen=True)
class Rules:
    """The settings."""

    mailbox: MailProtocol = None
    poll: Seconds = 30
    database: DatabaseUrl = "sqlite:///tickets.sqlite3"
    sender: NamedAddress = ""
    template: Word = ""
    answers: CountOrZero = 10
    largest: Count = 50_000_000


def belongs_to(mail: Mail, db: Session) -> Ticket | None:
    """Returns the ticket that a mail responds to, if any.

    Three signs count: it refers to a mail of ours, whose Message-ID only its recipient knows; to a
    mail of the same sender; or it names the number of a ticket that its sender has written to.
    Guessing a number or quoting a stranger's mail is not enough.
    """
    sender = mail.sender.key if mail.sender else ""
    for message_id in (*mail.in_reply_to, *reversed(mail.references)):
        ours = db.scalar(select(Answer).where(Answer.message_id == message_id))
        if ours is not None:
            return ours.ticket
        theirs = select(Letter).where(Letter.message_id == message_id, Letter.sender == sender)
        letter = db.scalar(theirs)
        if letter is not None:
            return letter.ticket
    number = re.search(r"\[#(\d{1,9})\]", mail.subject)
    ticket = db.get(Ticket, int(number[1])) if number else None
    if ticket is not None and sender in {letter.sender for letter in ticket.letters}:
        return ticket
    return None


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Makes tickets until stopped. Returns 0 if the last poll went well. Raises CommsError."""
    rules = settings.table("tickets", Rules)
    code = 0
    try:
        with Desk(rules, settings, clock, host, belongs_to) as desk:
            desk.outbox.recover()
            # First the answers that wait: a mail that crashes us may do so again.
            desk.outbox.send()
            for _ in clock.every(rules.poll):
                code = desk.work()
    except StatementError as error:
        # A full disk, a damaged file, a server that is gone. The text of the error itself would
        # quote the mail, and the URL as it is written a password.
        raise StateError(f"{shown(rules.database)}: {error.orig}") from None
    return code


@scenario.act("ticket-by-mail")
def ticket(world: World, program: Program) -> Iterator[Claim]:
    """Carol writes, and Dave in HTML; a mailing list and a vacation program write, too."""
    away = "Auto-Submitted: auto-replied\r\n"
    for at, mail in (
        (10, customer_mail()),
        (40, HTML),
        (70, customer_mail("News", "news@list.example", more="List-Id: <n.list>\r\n")),
        (100, customer_mail("Out of office", "erin@away.example", more=away)),
    ):
        world.clock.at(at, partial(world.mail.deliver, TICKETS, mail))
    world.clock.until(240)
    program()
    tickets: dict[str, list[tuple[str, str]]] = {}
    for row in stored_tickets(world.folder):
        tickets.setdefault(row.owner, []).append((row.subject, row.text))
    carols = [("The printer is on fire", "Please help.\n")]
    made = tickets.get(CAROL)
    yield equal("Carol's mail makes one ticket", made, carols, shows=opened(world, CAROL))
    daves = [("Café closed?", "Is the Café closed?\n")]
    made = tickets.get(DAVE)
    yield equal("Dave's ticket is readable", made, daves, shows=opened(world, DAVE))
    answers = world.mail.inbox(CAROL)
    subjects = [re.sub(r" \[#\d+\]$", "", mail.subject) for mail in answers]
    yield equal(
        "Carol gets one answer",
        subjects,
        ["Ticket Created! :: The printer is on fire"],
        shows=answers,
    )
    marks = {(mail.envelope.sender, mail.message["Auto-Submitted"]) for mail in answers}
    yield equal(
        "it has the null sender and is marked as automatic",
        marks,
        {("", "auto-replied")},
        shows=answers,
    )
    quoted = [mail.text for mail in answers if "Please help" in mail.text]
    yield equal("it does not repeat her text", quoted, [], shows=answers)
    robots = {"news@list.example", "erin@away.example"}
    answered = [mail.envelope.to for mail in world.mail.messages if robots & {*mail.envelope.to}]
    yield equal("no program is answered", answered, [])
    absent = tickets.get("erin@away.example")
    yield equal("a vacation notice opens no ticket", absent, None)
    yield equal(
        "the maildrop is empty",
        world.mail.inbox(TICKETS),
        [],
        shows=sent(world, "DELE", "UID_EXPUNGE"),
    )
