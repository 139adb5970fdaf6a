"""The mails that tickets sends: acknowledgements, and the answers of agents.

They are rows of the tickets' database, and not in comms.outbox, because a mail must commit together
with what it is about.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from comms import addresses, bounces, replies
from comms.addresses import Address, comparable
from comms.bounces import ReturnPaths
from comms.clock import Clock
from comms.compose import Message
from comms.errors import Refused, SettingsError, TryLater, Unreachable
from comms.host import Host
from comms.read import Mail
from comms.settings import Settings
from scenarios.delivery import Delivery
from scenarios.models import Worker
from scenarios.processing.tickets_model import LOST, Answer, Ticket
from scenarios.processing.tickets_replies import reply_address, token_of
from scenarios.templates import Rendered, TemplateError, Templates
from scenarios.web import signing_keys

if TYPE_CHECKING:
    from scenarios.processing.tickets import Rules

DAY = 86400.0  # seconds
GIVE_UP = 5 * DAY  # after this no try is made any more
THREAD = 20  # references that a mail repeats
TEMPLATE = "ticket-created"
TEMPLATES = Path(__file__).parent / "templates"


class Outbox:
    """The mails of one worker."""

    def __init__(
        self, rules: Rules, settings: Settings, worker: Worker, clock: Clock, host: Host
    ) -> None:
        self._rules, self._worker, self._clock, self._host = rules, worker, clock, host
        smtp = settings.server("smtp")
        self._sender = rules.sender or smtp.user
        try:
            self._address = addresses.parse_one(self._sender)
            Message(self._sender, ["you@example.org"]).to_bytes()
        except ValueError as error:
            raise SettingsError(
                f"{settings.source}: scenario.tickets.sender: {error}; "
                'write sender = "Tickets <tickets@example.org>"'
            ) from None
        mailbox = settings.mailbox("tickets", rules.mailbox)
        self.own = {self._address.key, comparable(mailbox.user), comparable(smtp.user)}
        self._templates, self._plain = Templates(rules.templates or TEMPLATES), Templates(TEMPLATES)
        pattern = rules.reply_to
        keys = signing_keys(rules.secret, host) if pattern else []
        self._paths = ReturnPaths(pattern, *keys) if keys else None
        compose = self._with_envelope
        self._delivery = Delivery(Answer, compose, smtp, clock, host, worker, give_up=GIVE_UP)

    def is_ours(self, address: Address) -> bool:
        """Returns whether mail to an address comes to us."""
        return address.key in self.own or bool(token_of(self._rules.reply_to, address.key)[1])

    # ── writing ──────────────────────────────────────────────────────────────

    def acknowledge(self, db: Session, ticket: Ticket, mail: Mail) -> None:
        """Queues the acknowledgement, unless RFC 3834 or the daily limit forbids it."""
        to, now = replies.reply_address(mail), self._clock.time()
        lately = select(func.count()).select_from(Answer)
        lately = lately.where(
            Answer.key == to.casefold(),
            Answer.agent == "",
            Answer.made > now - DAY,
            Answer.made <= now,
        )
        ours = {to.casefold()} if token_of(self._rules.reply_to, to)[1] else set()
        why = replies.unanswerable(mail, self.own | ours)
        if not why and (db.scalar(lately) or 0) >= self._rules.answers:
            why = f"{self._rules.answers} answers in a day are enough"
        if why:
            self._host.log("unanswered", ticket=ticket.id, reason=why)
            return
        content = self._content(ticket, mail)
        message = replies.reply(mail, to, self._sender, content.text, content.subject)
        message = dataclasses.replace(message, html=content.html)
        try:
            # RFC 3834 §3: the null sender, so that no bounce comes back.
            self._queue(ticket, message, [to], "", "")
        except ValueError as error:
            # An address that cannot be written, for example. The ticket is kept anyway.
            self._host.log("unanswered", "warning", ticket=ticket.id, reason=error)

    def answer(self, ticket: Ticket, text: str, agent: str) -> list[str]:
        """Queues an agent's answer to all who take part, in their thread. Returns their addresses.

        Raises ValueError if it cannot be written.
        """
        thread = [letter.message_id for letter in ticket.letters]
        thread += [answer.message_id for answer in ticket.answers if answer.agent]
        thread = [message_id for message_id in dict.fromkeys(thread) if message_id][-THREAD:]
        headers = [("In-Reply-To", thread[-1]), ("References", " ".join(thread))] if thread else []
        owner, others = ticket.owner, [one.address for one in ticket.participants]
        others = [address for address in others if address.casefold() != owner.casefold()]
        subject = f"Re: {replies.base_subject(ticket.subject)} [#{ticket.id}]"
        mail = Message(self._sender, [owner], subject, text, cc=others, headers=headers)
        self._queue(ticket, mail, [owner, *others], agent, self._address.address)
        return [owner, *others]

    def _queue(
        self, ticket: Ticket, message: Message, to: list[str], agent: str, envelope: str
    ) -> None:
        reply_to = reply_address(self._rules.reply_to, ticket.id, ticket.token)
        message.reply_to = [reply_to] if reply_to else []
        message, now = message.stamped(self._clock, self._host), self._clock.time()
        data = message.to_bytes()
        for address in to:
            ticket.answers.append(
                Answer(
                    message_id=message.message_id,
                    address=address,
                    key=address.casefold(),
                    domain=address.rpartition("@")[2].casefold(),
                    agent=agent,
                    text=message.text or "",
                    envelope=envelope,
                    data=data,
                    made=now,
                    due=now,
                )
            )

    def _content(self, ticket: Ticket, mail: Mail) -> Rendered:
        """The acknowledgement, or our own if the operator's template cannot be filled in."""
        values = {"number": ticket.id, "subject": ticket.subject, "owner": ticket.owner}
        # RFC 3282: what the mail is written in, or what its author reads.
        wanted = mail.get("content-language") or mail.get("accept-language")
        language = wanted.replace(";", ",").partition(",")[0].strip()
        try:
            return self._templates.mail(TEMPLATE, values, language)
        except TemplateError as error:
            text = str(error).removeprefix(f"{self._rules.templates}/")
            self._host.log("template", "warning", trouble=text)
            return self._plain.mail(TEMPLATE, values)

    # ── sending ──────────────────────────────────────────────────────────────

    def send(self) -> None:
        """Sends the mails that are due, each at most once."""
        # Of a worker that has died, it is unknown whether its last mail arrived.
        if count := self._worker.recover(Answer, "unknown"):
            self._host.log("answers-unknown", "warning", count=count)
        try:
            self._delivery.send()
        except (Unreachable, TryLater, Refused) as error:
            self._host.log("answers-wait", "warning", trouble=error)
        self._reopen()

    def _reopen(self) -> None:
        """Opens the tickets again whose customers will not get the last answer of an agent."""
        lost = select(Answer).where(
            Answer.status.in_(LOST), Answer.agent != "", Answer.returned == ""
        )
        with self._worker.session() as db, db.begin():
            for answer in db.scalars(lost):
                answer.returned = answer.error or answer.status
                db.refresh(answer.ticket, with_for_update=True)
                answer.ticket.closed, answer.ticket.changed = False, self._clock.time()
                self._host.log("answer-returned", "warning", to=answer.address, kind=answer.status)

    def _with_envelope(self, answer: Answer) -> tuple[str, bytes]:
        if answer.envelope and self._paths is not None:
            return self._paths.address(answer.id), answer.data
        return answer.envelope, answer.data

    # ── what comes back ──────────────────────────────────────────────────────

    def returned(self, mail: Mail, db: Session) -> Answer | None:
        """Returns the answer to whose return path a mail was sent, and notes there if it failed.

        An absence notice comes to a return path, too.
        """
        number = self._paths.number(mail) if self._paths else None
        answer = db.get(Answer, number) if number is not None else None
        found = bounces.verdict(mail) if answer else None
        if answer and found and found[0] in ("hard", "soft"):
            answer.returned = found[1] or found[0]
            self._host.log("answer-returned", "warning", to=answer.address, kind=found[0])
        return answer
