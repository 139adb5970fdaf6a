"""Turn mail into tickets: one ticket for each mail, one answer for each ticket.

Listing 6.5 · POP3, IMAP, SMTP, HTTP · try: make scenario NAME=tickets, make tickets
Needs: sqlalchemy, jinja2, flask

Every thirty seconds the program collects its mail. A mail opens a ticket and is acknowledged, or is
a response to the ticket that it belongs to; a closed ticket opens again. What a mail becomes is
stored as a whole, then the mail is deleted, then the answer is sent. Programs get no answer. Mail
that cannot be read is kept in a folder. On web pages, agents read, answer, close, merge and split
tickets. On PostgreSQL, several of these programs may share the work.

[scenario.tickets]
mailbox = "imap"                             # optional: or "pop3"; else the one with a table
poll = 30                                    # seconds
database = "sqlite:///tickets.sqlite3"       # or postgresql+psycopg://…
sender = "Tickets <tickets@yourco.test>"     # optional: of the answers; else the account
reply_to = "tickets+*@yourco.test"           # optional: addresses for replies, and return paths
templates = "templates"                      # optional: folder with your ticket-created.txt
answers = 10                                 # per day and address
largest = 50000000                           # bytes; of a larger mail only the header is a ticket
reopen = 30                                  # days; later, a mail to a closed ticket opens another
listen = "127.0.0.1:8026"                    # optional: where the pages are
proxies = 0                                  # how many reverse proxies add X-Forwarded-For
site = "http://127.0.0.1:8026"               # what people type to see them
login = "tickets.login"                      # optional: file with NAME:HASH of each agent
secret = "tickets.secret"                    # file with the key that signs; made if missing

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
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from comms.bounces import report
from comms.clock import Clock
from comms.host import Host
from comms.read import Mail
from comms.replies import delivered_to
from comms.setting_types import (
    AddressPattern,
    Count,
    CountOrZero,
    Folder,
    MailProtocol,
    NamedAddress,
    ReadableFile,
    Seconds,
    StateFile,
)
from comms.settings import Settings
from scenarios.models import DatabaseUrl, Worker, opened
from scenarios.play import Claim, Program, Scenario, equal, sent
from scenarios.processing.tickets_agents import Agents
from scenarios.processing.tickets_desk import Desk
from scenarios.processing.tickets_model import Answer, Base, Letter, Participant, Ticket
from scenarios.processing.tickets_outbox import Outbox
from scenarios.processing.tickets_replies import same_token, token_of
from scenarios.processing.tickets_samples import (
    CAROL,
    DAVE,
    HTML,
    TICKETS,
    customer_mail,
    made_for,
    stored_tickets,
)
from scenarios.processing.tickets_web import serve_pages
from scenarios.web import ListenAddress, SiteUrl, is_private

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
    reply_to: AddressPattern = ""
    templates: Folder | None = None
    answers: CountOrZero = 10
    largest: Count = 50_000_000
    reopen: CountOrZero = 30
    listen: ListenAddress = ""
    proxies: CountOrZero = 0
    site: SiteUrl = "http://127.0.0.1:8026"
    login: ReadableFile | None = None
    secret: StateFile = Path("tickets.secret")

    def __post_init__(self) -> None:
        private = is_private(self.listen, self.site) and not self.proxies
        if self.listen and not self.login and not private:
            raise ValueError("listen: other machines can read all tickets; write login")


def belongs_to(mail: Mail, rules: Rules, db: Session) -> Ticket | None:
    """Returns the ticket that a mail responds to, if any.

    These signs count, in this order: it was sent to the ticket's own address for replies; it refers
    to a mail of ours, whose Message-ID only its recipients know; its sender takes part in the
    ticket, and it refers to a mail of the ticket or names its number. Guessing a number or quoting
    a stranger's mail is not enough. A mail of ours that comes back responds to nothing.
    """
    if db.scalar(select(Answer.id).where(Answer.message_id == mail.message_id).limit(1)):
        return None
    to = (address.address for address in (*mail.to, *mail.cc))
    for number, token in filter(
        None, (token_of(rules.reply_to, one) for one in (*delivered_to(mail), *to))
    ):
        ticket = db.get(Ticket, number)
        if ticket is not None and same_token(ticket.token, token):
            return ticket
    sender = mail.sender.key if mail.sender else ""
    about = report(mail)
    if about and rules.reply_to:
        return None  # of a real report, the return path says what it is about
    bounced = (about.message_id,) if about else ()
    for message_id in (*bounced, *mail.in_reply_to, *reversed(mail.references)):
        ours = select(Ticket).join(Answer).where(Answer.message_id == message_id)
        theirs = select(Ticket).join(Letter).where(Letter.message_id == message_id)
        theirs = theirs.join(Participant).where(Participant.key == sender)
        ticket = db.scalar(ours) or db.scalar(theirs)
        if ticket is not None:
            return ticket
    found = re.search(r"\[#(\d{1,9})\]", mail.subject)
    takes_part = found and db.get(Participant, (int(found[1]), sender))
    return db.get(Ticket, takes_part.ticket_id) if takes_part else None


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Makes tickets until stopped. Returns 0 if the last poll went well. Raises CommsError."""
    rules = settings.table("tickets", Rules)
    code = 0
    with ExitStack() as stack:
        engine = stack.enter_context(opened(rules.database, settings.path, Base.metadata))
        worker = stack.enter_context(Worker(engine))
        outbox = Outbox(rules, settings, worker, clock, host)
        desk = Desk(rules, settings, worker, outbox, clock, host, belongs_to)
        stack.enter_context(serve_pages(rules, Agents(engine, outbox, clock, host), clock, host))
        # First the answers that wait: a mail that crashes us may do so again.
        outbox.send()
        for _ in clock.every(rules.poll):
            code = desk.work()
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
    yield equal("Carol's mail makes one ticket", made, carols, shows=made_for(world, CAROL))
    daves = [("Café closed?", "Is the Café closed?\n")]
    made = tickets.get(DAVE)
    yield equal("Dave's ticket is readable", made, daves, shows=made_for(world, DAVE))
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
