"""Mail becomes tickets: each mail once, each ticket answered once, a reply added to the ticket that it belongs to.

Listing 6.5 · POP3, SMTP · try: make scenario NAME=tickets
Needs: sqlalchemy

Every thirty seconds the program takes its mail in. A mail opens a ticket, unless it belongs to one: it answers a mail of
ours, or one of the same sender's, or names the number and comes from somebody who takes part; a closed ticket opens again.
The ticket, the mail's octets and the answer that waits commit together, then the mail is deleted, then the answer goes
out. Who writes like a program gets no answer, nor does anybody more than a few a day. What cannot be read is kept. Several
instances may run on one database: each mail and each answer is taken up by one of them.

[scenario.tickets]
poll = 30                                    # seconds
database = "sqlite:///tickets.sqlite3"       # or postgresql+psycopg://…; beside SQLite's, a folder for what is no ticket
sender = "Tickets <tickets@yourco.test>"     # who the answers come from; by default the account
template = ""                                # a file: its $number, $subject and $owner are filled in
answers = 10                                 # a day to one address
largest = 50000000                           # octets of a mail; a larger one stays in the mailbox, its header is a ticket

Fault: pop-drop-before-quit -> all hold
Fault: pop3 QUIT lost stored times 1 -> all hold
Fault: pop-drop-in-retr -> all hold
Fault: pop-dele-err -> all hold
Fault: pop-in-use -> all hold
Fault: duplicate-delivery -> all hold
Fault: poison-mail -> all hold
Fault: pop-long-line -> all hold
Fault: pop-uidl-reused -> all hold

What goes wrong in the printed listing: it answers everything, robots too, and they answer back for ever; when the answer
cannot be sent the mail is not deleted, so each look makes another ticket; one bad mail keeps all later ones waiting.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from comms import addresses, replies, smtp
from comms.clock import Clock
from comms.errors import CommsError, Refused, SettingsError, StateError, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.ledger import keys
from comms.mailbox import Incoming, incoming
from comms.pop3 import Mailbox
from comms.quarantine import Quarantine
from comms.read import Mail, read
from comms.settings import Settings
from scenarios.play import Claim, Program, act
from scenarios.processing.tickets_model import Answer, Attachment, Letter, Response, Seen, Ticket, Tries, connect

if TYPE_CHECKING:
    from fakes import World

TICKETS = "tickets@yourco.test"
CAROL = "carol@customer.test"
WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": TICKETS,
    "person": [{"address": TICKETS}, {"address": CAROL}, {"address": "dave@customer.test"}],
    "mail": {"domains": ["yourco.test", "customer.test"]},
    "host": {"name": "desk.yourco.test"},
    "scenario": {"tickets": {"sender": f"Tickets <{TICKETS}>"}},
}

ATTACHMENTS = 100  # of one mail that are put apart; the mail itself is kept whole
SUBJECT = 200  # characters of a ticket's subject
PAUSE, LONGEST, GIVE_UP = 60.0, 3600.0, 5 * 86400.0  # seconds: the first pause before another try, the longest, the end
DAY = 86400.0

ANSWER = """A new ticket has been created for you.

--------------------------------------------------
Ticket: #$number
Subject: $subject
--------------------------------------------------

To add to it, answer this mail. Thanks!
"""


@dataclass(frozen=True)
class Rules:
    """The scenario's settings."""

    poll: float = 30
    database: str = "sqlite:///tickets.sqlite3"
    sender: str = ""
    template: str = ""
    answers: int = 10
    largest: int = 50_000_000


def belongs_to(mail: Mail, db: Session) -> Ticket | None:
    """The ticket that a mail adds to. Nobody gets into one by guessing its number or quoting what anybody may know."""
    sender = mail.sender.key if mail.sender else ""
    for message_id in (*mail.in_reply_to, *reversed(mail.references)):
        ours = db.scalar(select(Answer).where(Answer.message_id == message_id))  # only who got our mail knows its id
        if ours is not None:
            return ours.ticket
        theirs = db.scalar(select(Letter).where(Letter.message_id == message_id, Letter.sender == sender))
        if theirs is not None:
            return theirs.ticket
    number = re.search(r"\[#(\d{1,9})\]", mail.subject)
    ticket = db.get(Ticket, int(number[1])) if number else None
    return ticket if ticket is not None and sender in {letter.sender for letter in ticket.letters} else None


def said(text: str) -> str:
    """A reply without the mail that it quotes at its end; when in doubt, all of it."""
    lines = text.rstrip().split("\n")
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith(">")):
        end -= 1
    if end == len(lines) or not any(line.startswith(">") for line in lines[end:]):
        return text
    if end > 1 and lines[end - 1].rstrip().endswith(":"):
        end -= 1  # On Monday, somebody wrote:
    return "\n".join(lines[:end]).rstrip() + "\n"


@dataclass
class Service:
    """What one run of the program works with."""

    rules: Rules
    settings: Settings
    clock: Clock
    host: Host

    def __post_init__(self) -> None:
        self.pop3, self.smtp = self.settings.server("pop3"), self.settings.server("smtp")
        self.place = f"{self.pop3.user}@{self.pop3.host}"
        self.sender = self.rules.sender or self.smtp.user
        if "@" not in self.sender:
            raise SettingsError(f'sender is {self.sender!r}; write sender = "Tickets <tickets@example.org>"')
        self.own = {addresses.parse_one(self.sender).key, self.pop3.user.casefold(), self.smtp.user.casefold()}
        self.engine = connect(self.rules.database, self.settings.path)
        self.tries = Tries(self.engine)
        self.kept = Quarantine(self.settings.path("tickets.quarantine"), max_files=5000, max_bytes=2_000_000_000)

    def round(self) -> int:
        """One look: what is there is taken in, then what waits is sent. Raises CommsError."""
        trouble: CommsError | None = None
        try:
            with Mailbox(self.pop3, self.clock) as mailbox:
                for letter in incoming(mailbox, self.tries, self.place, self.rules.largest, self.host):
                    self.take(letter)
        except (Unreachable, TryLater, Refused, Unknown) as error:
            self.host.log("mailbox", "warning", trouble=error)
            trouble = error
        self.send()
        if isinstance(trouble, Refused):  # a wrong password does not mend itself
            raise trouble
        return trouble.exit_code if trouble else 0

    def take(self, letter: Incoming) -> None:
        """One mail: into a ticket, or kept as a file. Whatever is in it, the next one is not kept waiting."""
        try:
            if letter.problem and not letter.problem.startswith("too large"):
                self.keep(letter, letter.problem)
            else:
                self.file(letter, read(letter.raw))
        except (CommsError, OperationalError):  # our own trouble: the mail stays where it is
            raise
        except Exception as error:
            self.keep(letter, f"it breaks the program: {type(error).__name__}")

    def keep(self, letter: Incoming, reason: str) -> None:
        """Into quarantine. Raises StateError when that is not possible; then the mail stays where it is."""
        path = self.kept.keep(letter.raw, self.clock.time())
        self.host.log("kept", "warning", mail=letter.entry.id, file=path.name, reason=reason)

    def file(self, letter: Incoming, mail: Mail) -> None:
        """Ticket or response, the mail's octets and the answer that waits: all of it commits, or nothing."""
        letter.leave_on_server = bool(letter.problem)  # too large to fetch: a ticket shall say that it is there
        try:
            with Session(self.engine) as db, db.begin():
                known_by = keys(mail, self.place, letter.entry.id)
                if any(db.get(Seen, key) for key in known_by):
                    self.host.log("known", mail=letter.entry.id)
                    return
                db.add_all(Seen(key=key) for key in known_by)
                ticket = belongs_to(mail, db)
                if ticket is None and (why := self.no_ticket(mail)):
                    self.keep(letter, why)
                    return
                self.fill(db, ticket or self.opened(db, mail), mail, letter, new=ticket is None)
        except IntegrityError:  # another instance has just taken it in
            self.host.log("known", mail=letter.entry.id)

    def no_ticket(self, mail: Mail) -> str:
        """Why this mail opens no ticket, "" when it may: nobody to talk to, ourselves, a program's answer to something."""
        if mail.sender is None:
            return "not one sender"
        return "it is our own" if mail.sender.key in self.own else replies.automatic_reply(mail)

    def opened(self, db: Session, mail: Mail) -> Ticket:
        """A new ticket."""
        assert mail.sender is not None
        subject = re.sub(r"\s*\[#\d+\]", "", mail.subject)[:SUBJECT] or "(no subject)"
        ticket = Ticket(owner=mail.sender.address, subject=subject, text=mail.text, opened=self.clock.time())
        db.add(ticket)
        db.flush()
        return ticket

    def fill(self, db: Session, ticket: Ticket, mail: Mail, letter: Incoming, new: bool) -> None:
        """What came, into its ticket; a new ticket is answered, if it may be."""
        sender = mail.sender.address if mail.sender else ""
        ticket.letters.append(Letter(
            message_id=mail.message_id, sender=sender.casefold(), raw=letter.raw,
            attachments=[Attachment(name=one.name, type=one.type, content=one.content)
                         for one in mail.attachments[:ATTACHMENTS]],
        ))  # fmt: skip
        if new:
            if letter.problem:
                ticket.text = f"({letter.problem}; the mail waits in the mailbox)\n"
            self.answer(db, ticket, mail)
        else:
            automatic = replies.automatic(mail)
            ticket.closed = ticket.closed and bool(automatic)  # a person's reply opens it again
            ticket.responses.append(Response(
                sender=sender, text=mail.text, said=said(mail.text), at=self.clock.time(), automatic=automatic
            ))  # fmt: skip
        self.host.log("ticket" if new else "response", ticket=ticket.id, sender=sender)

    def answer(self, db: Session, ticket: Ticket, mail: Mail) -> None:
        """The acknowledgement, to wait in the same transaction; none for programs, nor above the limit."""
        to, now = replies.reply_address(mail), self.clock.time()
        lately = select(func.count()).select_from(Answer).where(Answer.address == to.casefold(), Answer.made > now - DAY)
        why = replies.unanswerable(mail, self.own)
        if not why and (db.scalar(lately) or 0) >= self.rules.answers:
            why = f"{self.rules.answers} answers in a day are enough"
        if why:
            self.host.log("unanswered", ticket=ticket.id, reason=why)
            return
        subject = f"Ticket Created! :: {ticket.subject} [#{ticket.id}]"
        message = replies.reply(mail, to, self.sender, self.text(ticket), subject).stamped(self.clock, self.host)
        ticket.answers.append(Answer(
            message_id=message.message_id, address=to.casefold(), data=message.to_bytes(), made=now, due=now
        ))  # fmt: skip

    def text(self, ticket: Ticket) -> str:
        """The acknowledgement's text: from the template; if that cannot be filled in, the plain one."""
        values = {"number": ticket.id, "subject": ticket.subject, "owner": ticket.owner}
        if self.rules.template:
            try:
                return string.Template(self.settings.path(self.rules.template).read_text("utf-8")).substitute(values)
            except (OSError, ValueError, KeyError) as error:
                self.host.log("template", "warning", file=self.rules.template, trouble=f"{type(error).__name__} {error}")
        return string.Template(ANSWER).substitute(values)

    def send(self) -> None:
        """Sends what waits, each answer at most once: it is marked before, and what becomes of it behind it."""
        with Session(self.engine) as db:
            due = select(Answer.id).where(Answer.status == "waiting", Answer.due <= self.clock.time()).order_by(Answer.id)
            waiting = list(db.scalars(due))
        session: smtp.Session | None = None
        try:
            for number in waiting:
                if session is None or not session.usable:
                    session = smtp.Session(self.smtp, self.clock, self.host)
                self.send_one(number, session)
        except (Unreachable, TryLater, Refused) as error:
            self.host.log("answers-wait", "warning", trouble=error)
        finally:
            if session is not None:
                session.close()

    def send_one(self, number: int, session: smtp.Session) -> None:
        """One answer, from the null sender: should it not arrive, nobody needs to know (RFC 3834 §3)."""
        with Session(self.engine) as db, db.begin():
            mark = update(Answer).where(Answer.id == number, Answer.status == "waiting").values(status="sending")
            if db.execute(mark.returning(Answer.id)).first() is None:
                return  # another instance is at it
            answer = db.get_one(Answer, number)
            address, data = answer.address, answer.data
        trouble: CommsError | None
        try:
            trouble = session.send("", [address], data)[address]
        except Unreachable as error:  # lost before the final dot: nothing was sent
            trouble = error
        with Session(self.engine) as db, db.begin():
            answer, now = db.get_one(Answer, number), self.clock.time()
            answer.tries, answer.due = answer.tries + 1, now + min(PAUSE * 2**answer.tries, LONGEST)
            answer.status = outcome(trouble, now - answer.made)
            self.host.log(f"answer-{answer.status}", to=address, trouble=trouble or "")

    def recover(self) -> None:
        """What a dead program was sending may have arrived or not: it is not sent again."""
        with Session(self.engine) as db, db.begin():
            db.execute(update(Answer).where(Answer.status == "sending").values(status="unknown"))


def outcome(trouble: CommsError | None, age: float) -> str:
    """The status of an answer behind a try."""
    if trouble is None:
        return "sent"
    if isinstance(trouble, (Refused, Unknown)):
        return "refused" if isinstance(trouble, Refused) else "unknown"
    return "given-up" if age > GIVE_UP else "waiting"


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Takes mail in and answers until stopped. Ends with 0 when the last look went well. Raises CommsError."""
    rules = settings.table("tickets", Rules)
    code = 0
    try:
        service = Service(rules, settings, clock, host)
        service.recover()
        service.send()  # what is to be said shall not wait behind a mail that kills us
        for _ in clock.every(rules.poll):
            code = service.round()
    except OperationalError as error:
        raise StateError(f"{rules.database}: {error.orig}") from None  # its own text would quote the mail
    return code


def writes(
    subject: str = "The printer is on fire", sender: str = f"Carol <{CAROL}>", text: str = "Please help.", more: str = ""
) -> bytes:
    """A customer's mail; the same words are the same mail."""
    number = hashlib.sha256(f"{subject}{sender}{text}{more}".encode()).hexdigest()[:12]
    head = f"From: {sender}\r\nTo: {TICKETS}\r\nSubject: {subject}\r\nMessage-ID: <{number}@customer.test>\r\n{more}"
    return f"{head}\r\n{text}\r\n".encode()


def rows(world: World, sql: str) -> list[tuple[Any, ...]]:
    """What stands in the tickets' database."""
    with contextlib.closing(sqlite3.connect(world.folder / "tickets.sqlite3")) as db:
        return db.execute(sql).fetchall()


HTML = (
    "From: dave@customer.test\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\n =?utf-8?q?_closed=3F?=\r\nMessage-ID: <h@dave.test>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/html; charset=uft-8\r\n\r\n<p>Is the <b>Caf\u00e9</b> closed?</p>\r\n"
).encode()


@act("ticket-by-mail")
def ticket(world: World, program: Program) -> Iterator[Claim]:
    """Carol writes, and Dave in HTML; a mailing list and somebody's absence notice come in too."""
    absent = writes("Out of office", "erin@away.example", more="Auto-Submitted: auto-replied\r\n")
    world.clock.at(10, lambda: world.mail.deliver(TICKETS, writes()))
    world.clock.at(40, lambda: world.mail.deliver(TICKETS, HTML))
    world.clock.at(
        70, lambda: world.mail.deliver(TICKETS, writes("News", "news@list.example", more="List-Id: <n.list>\r\n"))
    )
    world.clock.at(100, lambda: world.mail.deliver(TICKETS, absent))
    world.clock.until(240)
    program()
    tickets = {row[0]: row[1:] for row in rows(world, "SELECT owner, subject, text FROM ticket ORDER BY id DESC")}
    number = rows(world, f"SELECT count(*) FROM ticket WHERE owner = '{CAROL}'")
    carols = tickets.get(CAROL) == ("The printer is on fire", "Please help.\n")
    yield Claim("Carol's mail is one ticket", carols and number == [(1,)], tickets)
    daves = tickets.get("dave@customer.test") == ("Café closed?", "Is the Café closed?\n")
    yield Claim("Dave's is readable", daves, tickets)
    answers = world.mail.inbox(CAROL)
    subjects = [re.sub(r" \[#\d+\]$", "", mail.subject) for mail in answers]
    yield Claim("she gets one answer", subjects == ["Ticket Created! :: The printer is on fire"], subjects)
    marks = [(mail.envelope.sender, mail.message["Auto-Submitted"]) for mail in answers]
    yield Claim("it comes from the null sender, marked as automatic", set(marks) == {("", "auto-replied")}, marks)
    yield Claim("it does not repeat her text", not [mail for mail in answers if "Please help" in mail.text], subjects)
    robots = [mail for mail in world.mail.messages if {"news@list.example", "erin@away.example"} & set(mail.envelope.to)]
    yield Claim("no robot is answered", not robots, robots)
    yield Claim("an absence notice opens no ticket", "erin@away.example" not in tickets, tickets)
    yield Claim("the maildrop is empty", not world.mail.inbox(TICKETS), world.mail.inbox(TICKETS))
