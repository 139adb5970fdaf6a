"""The desk of tickets: takes mail, and files it into tickets and responses."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from comms import addresses, header
from comms.addresses import Address, comparable
from comms.clock import Clock, Interrupted
from comms.compose import Message
from comms.errors import (
    CommsError,
    Refused,
    RefusedNow,
    StateError,
    TryLater,
    Unknown,
    Unreachable,
)
from comms.host import Host
from comms.ledger import keys
from comms.mailbox import MAX_ATTEMPTS, Incoming, incoming, open_mailbox
from comms.quarantine import Quarantine
from comms.read import Mail, read, with_any_sender
from comms.replies import automatic, automatic_reply, delivered_to
from comms.settings import Settings
from scenarios.models import Tries, Worker
from scenarios.processing.tickets_model import (
    Attachment,
    Letter,
    Participant,
    Response,
    Seen,
    Ticket,
    Try,
)
from scenarios.processing.tickets_outbox import DAY, Outbox
from scenarios.processing.tickets_quotes import without_quotation

if TYPE_CHECKING:
    from scenarios.processing.tickets import Rules

ATTACHMENTS = 100  # stored separately for one mail; the mail itself is stored as a whole
SUBJECT = 200  # characters of a ticket's subject
HEADER = 1 << 16  # bytes of a mail that cannot be read, in which its From is looked for
ADDRESS = 1000  # characters of it
PARTICIPANTS = 20  # of a ticket: each gets the answers
MERGES = 100  # of one ticket into the next, and so on
TOKEN = 20  # characters
TOO_LONG = "54"  # class of PostgreSQL's errors for an address, say, that no index takes
READING = 5.0  # seconds of computing that any mail may cost,
READING_SPEED = 1_000_000  # and bytes for which it may cost one second more


class Desk:
    """The incoming mail of one worker. `belongs_to` finds the ticket that a mail responds to."""

    def __init__(
        self,
        rules: Rules,
        settings: Settings,
        worker: Worker,
        outbox: Outbox,
        clock: Clock,
        host: Host,
        belongs_to: Callable[[Mail, Rules, Session], Ticket | None],
    ) -> None:
        self._clock, self._host, self._belongs_to = clock, host, belongs_to
        self._mailbox, self._rules = settings.mailbox("tickets", rules.mailbox), rules
        self._place = self._mailbox.account
        folder = settings.path("tickets.quarantine")
        self._quarantine = Quarantine(folder, max_files=5000, max_bytes=2_000_000_000)
        self._worker, self._outbox = worker, outbox
        self._tries = Tries(worker.engine, Try)

    def work(self) -> int:
        """Takes the new mail, then sends what is due. Raises Refused, StateError.

        Returns 0, or the exit code of the error that kept the mail from being collected.
        """
        failure: CommsError | None = None
        try:
            # Another worker that is at the same mailbox takes all of it.
            with self._worker.only_one(self._place) as alone:
                if alone:
                    self._take_all()
        except (Unreachable, TryLater, Refused, Unknown) as error:
            # Some other program reads the mailbox right now, or one that was killed still seems to.
            in_use = "[IN-USE]" in str(error).upper()
            self._host.log("mailbox", "info" if in_use else "warning", trouble=error)
            failure = error
        self._outbox.send()
        if isinstance(failure, Refused) and not isinstance(failure, RefusedNow):
            raise failure  # a wrong password does not become right by waiting
        return failure.exit_code if failure else 0

    # ── taking ───────────────────────────────────────────────────────────────

    def _take_all(self) -> None:
        with open_mailbox(self._mailbox, self._clock, self._host) as mailbox:
            largest, stopping = self._rules.largest, self._clock.stopping
            mails = incoming(mailbox, self._tries, self._place, largest, self._host, stopping)
            # Closed at once after an error, while the attempts can still be stored.
            with contextlib.closing(mails):
                for item in mails:
                    self._take(item)

    def _take(self, item: Incoming) -> None:
        """Files a mail, or keeps it as a file; no mail may block the next one."""
        try:
            if item.killed_us:
                self._file_unread(item, item.problem)
                return
            try:
                with self._clock.limit(READING + len(item.raw) / READING_SPEED):
                    mail = with_any_sender(read(item.raw))
                # Of a mail that is too large only the header was fetched; a ticket will say so.
                note = f"({item.problem}; the mail waits in the mailbox)\n" if item.problem else ""
                item.leave_on_server = bool(item.problem)
                self._file(item, mail, note)
            except Interrupted as error:
                if self._clock.stopping():
                    item.leave_on_server = True  # it is read after the restart
                else:
                    self._file_unread(item, str(error))
            except Exception as error:
                if _ours(error):
                    raise
                self._file_unread(item, f"it breaks the program: {type(error).__name__}")
        except OSError as error:
            item.blameless = True
            raise StateError(f"a mail cannot be stored: {error}") from None
        except Exception:
            item.blameless = True  # a failure of ours: the mail stays in the mailbox
            raise

    def _file_unread(self, item: Incoming, reason: str) -> None:
        """Keeps a mail that cannot be read, and files a ticket that says so.

        Of the mail itself, only its From is looked at, and not even that if the program has died
        again. There is no acknowledgement, because a program may have written the mail.
        """
        path = self._keep(item, reason)
        item.leave_on_server = False
        if item.attempts > MAX_ATTEMPTS:
            return
        try:
            with self._clock.limit(READING):
                sender = _sender_of(item.raw)
            note = f"(could not be read: {reason}; the mail is kept as {path.name})\n"
            mail = Mail(item.raw, sender, subject="(could not be read)", text=note)
            self._file(item, mail, note, acknowledged=False)
        except Interrupted:
            pass
        except Exception as error:
            if _ours(error):
                raise

    def _keep(self, item: Incoming, reason: str) -> Path:
        """Puts a mail into quarantine. Raises StateError; then it stays in the mailbox."""
        path = self._quarantine.keep(item.raw, self._clock.time())
        self._host.log("kept", "warning", mail=item.entry.id, file=path.name, reason=reason)
        return path

    # ── filing ───────────────────────────────────────────────────────────────

    def _file(self, item: Incoming, mail: Mail, note: str = "", acknowledged: bool = True) -> None:
        """Stores the mail, its ticket or response, and the answer, in one transaction.

        `note` replaces the text of a mail that has not been read as a whole.
        """
        mail = replace(mail, text=note or mail.text)
        try:
            with Session(self._worker.engine) as db, db.begin():
                # A known Message-ID alone is not enough: devices and scripts use one for all mail.
                known_by = keys(mail, self._place, item.entry.id)
                if any(db.get(Seen, key) for key in known_by):
                    self._host.log("known", mail=item.entry.id)
                    return
                db.add_all(Seen(key=key) for key in known_by)
                answer = self._outbox.returned(mail, db)
                ticket = answer.ticket if answer else self._belongs_to(mail, self._rules, db)
                ticket = locked(ticket, db) if ticket is not None else None
                if ticket is not None and (answer or not self._is_over(ticket)):
                    self._respond(db, ticket, mail, item)
                    if answer and answer.returned:
                        ticket.closed = False  # the customer has not read how it ended
                elif why := self._no_ticket(mail):
                    self._keep(item, why)
                else:
                    self._open(db, mail, item, acknowledged, ticket)
        except IntegrityError:
            # Another instance has stored one of the keys in the meantime.
            self._host.log("known", mail=item.entry.id)

    def _is_over(self, ticket: Ticket) -> bool:
        """Returns whether a ticket was closed too long ago to be opened again."""
        return ticket.closed and self._clock.time() - ticket.changed > self._rules.reopen * DAY

    def _no_ticket(self, mail: Mail) -> str:
        """Why a mail opens no ticket, or "": it has no sender, or a program or we wrote it."""
        if mail.sender is None:
            return "not one sender"
        return "it is our own" if self._outbox.is_ours(mail.sender) else automatic_reply(mail)

    def _open(
        self, db: Session, mail: Mail, item: Incoming, acknowledged: bool, before: Ticket | None
    ) -> None:
        assert mail.sender is not None
        now = self._clock.time()
        ticket = Ticket(
            owner=mail.sender.address,
            subject=without_numbers(mail.subject)[:SUBJECT] or "(no subject)",
            text=mail.text,
            opened=now,
            changed=now,
            token=self._host.token(TOKEN),
            follows=before.id if before else None,
        )
        db.add(ticket)
        db.flush()  # numbers the ticket
        ticket.letters.append(_letter(mail, item, now))
        self._take_part(ticket, mail)
        if acknowledged:
            self._outbox.acknowledge(db, ticket, mail)
        self._host.log("ticket", ticket=ticket.id, sender=mail.sender.address)

    def _respond(self, db: Session, ticket: Ticket, mail: Mail, item: Incoming) -> None:
        sender = mail.sender.address if mail.sender else ""
        why, now = automatic(mail), self._clock.time()
        letter = _letter(mail, item, now)
        ticket.letters.append(letter)
        if not why:
            # A person's response opens a closed ticket again; a program's does not.
            ticket.closed = False
            self._take_part(ticket, mail)
        ticket.changed = now
        db.flush()  # numbers the letter
        ticket.responses.append(
            Response(
                letter_id=letter.id,
                sender=sender,
                text=mail.text,
                new_text=without_quotation(mail.text),
                at=now,
                automatic=why,
            )
        )
        self._host.log("response", ticket=ticket.id, sender=sender)

    def _take_part(self, ticket: Ticket, mail: Mail) -> None:
        """Lets the sender of a mail, and the people it was sent to, take part in its ticket."""
        known = {one.key for one in ticket.participants}
        # Our mailbox may have more addresses than the settings name; this mail came to one of them.
        ours = {comparable(address.strip(" <>")) for address in delivered_to(mail)}
        for address in (*([mail.sender] if mail.sender else []), *mail.to, *mail.cc):
            full = len(ticket.participants) >= PARTICIPANTS
            if address.key in known | ours or full or self._outbox.is_ours(address):
                continue
            if address is not mail.sender and not _can_be_written_to(address.address):
                continue
            known.add(address.key)
            ticket.participants.append(Participant(key=address.key, address=address.address))


def _can_be_written_to(address: str) -> bool:
    try:
        Message(address, [address]).to_bytes()
        return True
    except ValueError:
        return False


def _letter(mail: Mail, item: Incoming, at: float) -> Letter:
    """The mail itself, with its attachments stored separately."""
    return Letter(
        message_id=mail.message_id,
        sender=mail.sender.key if mail.sender else "",
        at=at,
        raw=item.raw,
        # Stored, so that no page reads a mail: it could take long, or break what reads it.
        html=mail.html,
        has_html=bool(mail.html),
        attachments=[
            Attachment(
                name=file.name, type=file.type, content=file.content, content_id=file.content_id
            )
            for file in mail.attachments[:ATTACHMENTS]
        ],
    )


def _ours(error: Exception) -> bool:
    """Returns whether an error has nothing to do with the mail that was being filed."""
    state = str(getattr(error.orig, "sqlstate", "")) if isinstance(error, DBAPIError) else ""
    data = isinstance(error, DataError | IntegrityError) or state.startswith(TOO_LONG)
    return isinstance(error, CommsError | OSError) or (isinstance(error, DBAPIError) and not data)


def _sender_of(raw: bytes) -> Address | None:
    """Returns the sender of a mail, None if there is not exactly one; reads nothing else."""
    found = [value for name, value in header.fields(raw[:HEADER]) if name.casefold() == "from"]
    try:
        return addresses.parse_one(found[0][:ADDRESS]) if len(found) == 1 else None
    except ValueError:
        return None


def without_numbers(subject: str) -> str:
    """Returns a subject without numbers of tickets, such as [#7], and the spaces before them."""
    return "".join(piece.rstrip() for piece in re.split(r"\[#[0-9]+\]", subject)).strip()


def locked(ticket: Ticket, db: Session) -> Ticket:
    """Locks a ticket, or the one into which it was merged, and returns it."""
    for _ in range(MERGES):
        if ticket.merged_into is None:
            # An agent may be closing or merging it right now.
            db.refresh(ticket, with_for_update=True)
        if ticket.merged_into is None:
            break
        ticket = db.get_one(Ticket, ticket.merged_into)
    return ticket
