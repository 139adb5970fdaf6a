"""The desk of tickets: takes mail, and files it into tickets and responses."""

from __future__ import annotations

import contextlib
import re
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from comms import addresses, header, replies
from comms.addresses import Address
from comms.clock import Clock, Interrupted
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
from comms.settings import Settings
from scenarios.models import Tries, connect
from scenarios.processing.tickets_model import (
    Attachment,
    Base,
    Letter,
    Response,
    Seen,
    Ticket,
    Try,
)
from scenarios.processing.tickets_outbox import Outbox

if TYPE_CHECKING:
    from scenarios.processing.tickets import Rules

ATTACHMENTS = 100  # stored separately for one mail; the mail itself is stored as a whole
SUBJECT = 200  # characters of a ticket's subject
HEADER = 1 << 16  # bytes of a mail that cannot be read, in which its From is looked for
ADDRESS = 1000  # characters of it
READING = 5.0  # seconds of computing that any mail may cost,
READING_SPEED = 1_000_000  # and bytes for which it may cost one second more


class Desk:
    """The work of one run of the program. `belongs_to` finds the ticket that a mail responds to."""

    def __init__(
        self,
        rules: Rules,
        settings: Settings,
        clock: Clock,
        host: Host,
        belongs_to: Callable[[Mail, Session], Ticket | None],
    ) -> None:
        self._clock, self._host, self._belongs_to = clock, host, belongs_to
        self._mailbox, self._largest = settings.mailbox("tickets", rules.mailbox), rules.largest
        self._place = self._mailbox.account
        folder = settings.path("tickets.quarantine")
        self._quarantine = Quarantine(folder, max_files=5000, max_bytes=2_000_000_000)
        self._engine = connect(rules.database, settings.path, Base.metadata)
        self._tries = Tries(self._engine, Try)
        self.outbox = Outbox(rules, settings, self._engine, clock, host)

    def __enter__(self) -> Desk:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._engine.dispose()  # closes the pooled connections

    def work(self) -> int:
        """Takes the new mail, then sends the answers that are due. Raises Refused, StateError.

        Returns 0, or the exit code of the error that kept the mail from being collected.
        """
        failure: CommsError | None = None
        try:
            with open_mailbox(self._mailbox, self._clock, self._host) as mailbox:
                mails = incoming(
                    mailbox,
                    self._tries,
                    self._place,
                    self._largest,
                    self._host,
                    self._clock.stopping,
                )
                # Closed at once after an error, while the attempts can still be stored.
                with contextlib.closing(mails):
                    for item in mails:
                        self._take(item)
        except (Unreachable, TryLater, Refused, Unknown) as error:
            self._host.log("mailbox", "warning", trouble=error)
            failure = error
        self.outbox.send()
        if isinstance(failure, Refused) and not isinstance(failure, RefusedNow):
            raise failure  # a wrong password does not become right by waiting
        return failure.exit_code if failure else 0

    # ── taking ───────────────────────────────────────────────────────────────

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
            with Session(self._engine) as db, db.begin():
                # A known Message-ID alone is not enough: devices and scripts use one for all mail.
                known_by = keys(mail, self._place, item.entry.id)
                if any(db.get(Seen, key) for key in known_by):
                    self._host.log("known", mail=item.entry.id)
                    return
                db.add_all(Seen(key=key) for key in known_by)
                ticket = self._belongs_to(mail, db)
                if ticket is not None:
                    self._respond(ticket, mail, item)
                elif why := self._no_ticket(mail):
                    self._keep(item, why)
                else:
                    self._open(db, mail, item, acknowledged)
        except IntegrityError:
            # Another instance has stored one of the keys in the meantime.
            self._host.log("known", mail=item.entry.id)

    def _no_ticket(self, mail: Mail) -> str:
        """Why a mail opens no ticket, or "": it has no sender, or a program or we wrote it."""
        if mail.sender is None:
            return "not one sender"
        return (
            "it is our own" if mail.sender.key in self.outbox.own else replies.automatic_reply(mail)
        )

    def _open(self, db: Session, mail: Mail, item: Incoming, acknowledged: bool) -> None:
        assert mail.sender is not None
        ticket = Ticket(
            owner=mail.sender.address,
            subject=without_numbers(mail.subject)[:SUBJECT] or "(no subject)",
            text=mail.text,
            opened=self._clock.time(),
        )
        db.add(ticket)
        db.flush()  # numbers the ticket
        ticket.letters.append(_letter(mail, item))
        if acknowledged:
            self.outbox.acknowledge(db, ticket, mail)
        self._host.log("ticket", ticket=ticket.id, sender=mail.sender.address)

    def _respond(self, ticket: Ticket, mail: Mail, item: Incoming) -> None:
        sender = mail.sender.address if mail.sender else ""
        automatic = replies.automatic(mail)
        ticket.letters.append(_letter(mail, item))
        # A person's response opens a closed ticket again; a program's does not.
        ticket.closed = ticket.closed and bool(automatic)
        ticket.responses.append(
            Response(
                sender=sender,
                text=mail.text,
                new_text=without_quotation(mail.text),
                at=self._clock.time(),
                automatic=automatic,
            )
        )
        self._host.log("response", ticket=ticket.id, sender=sender)


def _letter(mail: Mail, item: Incoming) -> Letter:
    """The mail itself, with its attachments stored separately."""
    return Letter(
        message_id=mail.message_id,
        sender=mail.sender.address.casefold() if mail.sender else "",
        raw=item.raw,
        attachments=[
            Attachment(name=file.name, type=file.type, content=file.content)
            for file in mail.attachments[:ATTACHMENTS]
        ],
    )


def _ours(error: Exception) -> bool:
    """Returns whether an error has nothing to do with the mail that was being filed."""
    data = isinstance(error, DataError | IntegrityError)
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


# The line that mail programs put before what they quote: "On 5 Jan 2026, Ann <a@x.example> wrote:".
# It can be wrapped, so that up to this many lines are one attribution.
ATTRIBUTION_LINES = 4
ATTRIBUTION_LENGTH = 500  # characters
_WROTE = re.compile(
    r"\b(?:wrote|writes|schrieb|schreibt|[ée]crit|escribi[óo]|escribe|escreveu|ha scritto|scrive"
    r"|schreef|skrev|skrifaði|kirjoitti|napsal|napísal|napisa[łl]|pisze|írta|yazdı|scris|rašė)\b"
    r"|написал|пишет|έγραψε|写道|寫道|のメッセージ|작성",
    re.I,
)
_WHEN = re.compile(
    r"[0-9]{1,2}[:.h][0-9]{2}|\b[0-9]{4}\b|[0-9]{1,2}[./-][0-9]{1,2}[./-]"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\byesterday\b"
    r"|\b(?:mon|diens|donners|frei|sams|sonn)tag\b|\bmittwoch\b",
    re.I,
)
_ENDING = " \t\r\xa0\u200e\u200f\u202a\u202b\u202c"  # spaces, and marks of Hebrew and Arabic text
_ADDRESS = re.compile(r"[^\s<>@]{1,100}@[^\s<>@]{1,100}")
_BEGINS = re.compile(r"(?:On|Am|Le|El|Il|Em|Op|Den|Dne|Dňa|W dniu|În|Στις|Pe)\s", re.I)


def without_quotation(text: str) -> str:
    """Returns a reply without the mail that it quotes at its end; when in doubt, all of it.

    Lines with `>` after another line with a colon were pasted, unless that line says who wrote them
    and when.
    """
    lines = text.rstrip().split("\n")
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith(">")):
        end -= 1
    if end == len(lines) or not any(line.startswith(">") for line in lines[end:]):
        return text
    if end and lines[end - 1].rstrip(_ENDING).endswith((":", "：")):
        begin = _attribution(lines, end)
        if begin == end:
            return text
        end = begin
    return "\n".join(lines[:end]).rstrip() + "\n"


def _is_name_and_verb(line: str) -> bool:
    """Returns whether a line is an attribution as short as "Ann Lee wrote:"."""
    *names, verb = line.rstrip(" :：").split() or [""]
    is_name = 0 < len(names) <= 4 and all(name[:1].isupper() for name in names)
    return is_name and _WROTE.fullmatch(verb) is not None


def _attribution(lines: list[str], end: int) -> int:
    """Returns where the attribution that ends before `end` begins; `end` if there is none."""
    for begin in range(end - 1, max(end - 1 - ATTRIBUTION_LINES, -1), -1):
        if not lines[begin].strip():
            break
        whole = " ".join(line.strip() for line in lines[begin:end])
        if len(whole) > ATTRIBUTION_LENGTH:
            break
        wrote, when, who = _WROTE.search(whole), _WHEN.search(whole), _ADDRESS.search(whole)
        if _BEGINS.match(whole) and wrote and (when or who):
            return begin
        # Without such a first word, it must say more to be recognised.
        first_line = begin == 0 or not lines[begin - 1].strip()
        short = begin == end - 1 and _is_name_and_verb(whole)
        if first_line and (short or (who and (wrote or when))):
            return begin
    return end
