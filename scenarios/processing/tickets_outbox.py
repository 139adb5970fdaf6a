"""The acknowledgements of tickets: whether to answer, with which text, and how they are sent.

The outbox is a table of the tickets' database, and not comms.outbox, because an answer must commit
together with its ticket.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from sqlalchemy import Engine, func, or_, select, update
from sqlalchemy.orm import Session

from comms import addresses, replies, smtp
from comms.clock import Clock
from comms.compose import Message
from comms.errors import CommsError, Refused, SettingsError, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.read import Mail
from comms.settings import Settings
from scenarios.processing.tickets_model import Answer, Ticket

if TYPE_CHECKING:
    from scenarios.processing.tickets import Rules

DAY = 86400.0  # seconds
PAUSE = 60.0  # seconds before the second try to send an answer; it doubles with every try,
LONGEST = 3600.0  # up to this
GIVE_UP = 5 * DAY  # after this no try is made any more

ANSWER = """A new ticket has been created for you.

--------------------------------------------------
Ticket: #$number
Subject: $subject
--------------------------------------------------

To add to it, answer this mail. Thanks!
"""


class Outbox:
    """The answers of one run. `own` are the addresses that must never be answered."""

    def __init__(
        self, rules: Rules, settings: Settings, engine: Engine, clock: Clock, host: Host
    ) -> None:
        self._rules, self._settings, self._engine = rules, settings, engine
        self._clock, self._host = clock, host
        self._smtp = settings.server("smtp")
        mailbox = settings.mailbox("tickets", rules.mailbox)
        self._sender = rules.sender or self._smtp.user
        try:
            own = addresses.parse_one(self._sender).key
            Message(self._sender, ["you@example.org"]).to_bytes()
        except ValueError as error:
            raise SettingsError(
                f"{settings.source}: scenario.tickets.sender: {error}; "
                'write sender = "Tickets <tickets@example.org>"'
            ) from None
        self.own = {own, mailbox.user.casefold(), self._smtp.user.casefold()}

    def acknowledge(self, db: Session, ticket: Ticket, mail: Mail) -> None:
        """Queues the acknowledgement, unless RFC 3834 or the daily limit forbids it."""
        to, now = replies.reply_address(mail), self._clock.time()
        lately = select(func.count()).select_from(Answer)
        lately = lately.where(
            Answer.address == to.casefold(), Answer.made > now - DAY, Answer.made <= now
        )
        why = replies.unanswerable(mail, self.own)
        if not why and (db.scalar(lately) or 0) >= self._rules.answers:
            why = f"{self._rules.answers} answers in a day are enough"
        if why:
            self._host.log("unanswered", ticket=ticket.id, reason=why)
            return
        subject = f"Ticket Created! :: {ticket.subject} [#{ticket.id}]"
        message = replies.reply(mail, to, self._sender, self._text(ticket), subject)
        message = message.stamped(self._clock, self._host)
        try:
            data = message.to_bytes()
        except ValueError as error:
            # An address that cannot be written, for example. The ticket is kept anyway.
            self._host.log("unanswered", "warning", ticket=ticket.id, reason=error)
            return
        ticket.answers.append(
            Answer(
                message_id=message.message_id,
                address=to.casefold(),
                data=data,
                made=now,
                due=now,
            )
        )

    def _text(self, ticket: Ticket) -> str:
        """The acknowledgement's text: the template, or the plain text if it cannot be filled in."""
        values = {"number": ticket.id, "subject": ticket.subject, "owner": ticket.owner}
        file = self._rules.template
        if file:
            try:
                template = self._settings.path(file).read_text("utf-8")
                return string.Template(template).substitute(values)
            except (OSError, ValueError, KeyError) as error:
                trouble = f"{type(error).__name__} {error}"
                self._host.log("template", "warning", file=file, trouble=trouble)
        return string.Template(ANSWER).substitute(values)

    def recover(self) -> None:
        """Marks as unknown what a dead program was sending; it may have arrived, so it stays."""
        with Session(self._engine) as db, db.begin():
            sending = update(Answer).where(Answer.status == "sending")
            db.execute(sending.values(status="unknown"))

    def send(self) -> None:
        """Sends the answers that are due, each at most once."""
        now = self._clock.time()
        # No pause is longer than the longest: what is due later was put by a wrong clock.
        when = or_(Answer.due <= now, Answer.due > now + LONGEST)
        due = select(Answer.id).where(Answer.status == "waiting", when)
        with Session(self._engine) as db:
            numbers = list(db.scalars(due.order_by(Answer.id)))
        session: smtp.Session | None = None
        try:
            for number in numbers:
                if session is None or not session.usable:
                    session = smtp.Session(self._smtp, self._clock, self._host)
                self._send_one(number, session)
        except (Unreachable, TryLater, Refused) as error:
            self._host.log("answers-wait", "warning", trouble=error)
        finally:
            if session is not None:
                session.close()

    def _send_one(self, number: int, session: smtp.Session) -> None:
        # Marked before it is sent, and settled afterwards: a crash in between leaves the mark.
        with Session(self._engine) as db, db.begin():
            waiting = update(Answer).where(Answer.id == number, Answer.status == "waiting")
            marked = db.execute(waiting.values(status="sending").returning(Answer.id)).first()
            if marked is None:
                return  # another instance is sending it
            answer = db.get_one(Answer, number)
            address, data = answer.address, answer.data
        failure: CommsError | None
        try:
            # RFC 3834 §3: the null sender, so that no bounce comes back.
            failure = session.send("", [address], data)[address]
        except Unreachable as error:
            failure = error  # lost before the final dot: nothing was sent
        with Session(self._engine) as db, db.begin():
            answer, now = db.get_one(Answer, number), self._clock.time()
            answer.tries += 1
            answer.due = now + min(PAUSE * 2 ** (answer.tries - 1), LONGEST)
            answer.status = _status(failure, now - answer.made)
            self._host.log(f"answer-{answer.status}", to=address, trouble=failure or "")


def _status(failure: CommsError | None, age: float) -> str:
    """The status of an answer after a try."""
    if failure is None:
        return "sent"
    if isinstance(failure, Refused):
        return "refused"
    if isinstance(failure, Unknown):
        return "unknown"
    return "given-up" if age > GIVE_UP else "waiting"
