"""What agents do with tickets: find and read them, answer, close, open again, merge, split.

Each change locks the rows of its tickets, so that several agents and workers can share a database.
"""

from __future__ import annotations

import contextlib
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from sqlalchemy import ColumnElement, Engine, exists, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from comms.addresses import comparable
from comms.clock import Clock
from comms.host import Host
from scenarios.processing.tickets_desk import TOKEN
from scenarios.processing.tickets_model import (
    Answer,
    Attachment,
    Letter,
    Participant,
    Response,
    Seen,
    Ticket,
)
from scenarios.processing.tickets_outbox import Outbox

PAGE = 25  # tickets
# Pictures that are shown within the HTML of a mail (RFC 2392). SVG is left out: it is a document.
SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp")
PICTURES = 5_000_000  # bytes of them in one mail
STATES = ("open", "closed", "all")
NUMBER = re.compile(r"\[?#([0-9]{1,9})\]?")  # a search for one ticket


class Impossible(Exception):
    """Something cannot be done with a ticket. The text says why."""


@dataclass(frozen=True)
class Entry:
    """A mail of a conversation, in or out."""

    at: float
    who: str
    text: str  # without what it quotes
    whole: str  # "" if that is the same
    letter: Letter | None = None
    automatic: str = ""
    answers: tuple[Answer, ...] = ()  # of an answer: a row for each address


@dataclass(frozen=True)
class Found:
    """A page of a list of tickets."""

    tickets: list[Ticket]
    total: int
    page: int
    pages: int


class Agents:
    """The tickets, as agents see them."""

    def __init__(self, engine: Engine, outbox: Outbox, clock: Clock, host: Host) -> None:
        self._engine, self._outbox, self._clock, self._host = engine, outbox, clock, host

    # ── looking ──────────────────────────────────────────────────────────────

    def find(self, words: str = "", state: str = "open", page: int = 1) -> Found:
        """Returns a page of the tickets with these words, those that changed last first."""
        where: list[ColumnElement[bool]] = [Ticket.merged_into.is_(None)]
        if state != "all":
            where.append(Ticket.closed == (state == "closed"))
        if number := NUMBER.fullmatch(words.strip()):
            where = [Ticket.id == int(number[1])]
        else:
            where += [_has(word) for word in words.split()[:10]]
        order = (Ticket.changed.desc(), Ticket.id.desc())
        with Session(self._engine, expire_on_commit=False) as db, db.begin():
            total = db.scalar(select(func.count()).select_from(Ticket).where(*where)) or 0
            pages = max(1, -(-total // PAGE))
            page = min(max(page, 1), pages)
            rows = select(Ticket).where(*where).order_by(*order)
            tickets = list(db.scalars(rows.limit(PAGE).offset((page - 1) * PAGE)))
        return Found(tickets, total, page, pages)

    def ticket(self, number: int) -> tuple[Ticket, list[Entry], list[Ticket]] | None:
        """Returns a ticket, its conversation, and those merged into it; None if there is none."""
        with Session(self._engine, expire_on_commit=False) as db, db.begin():
            ticket = db.get(Ticket, number)
            if ticket is None:
                return None
            merged = list(db.scalars(select(Ticket).where(Ticket.merged_into == number)))
            entries = _conversation(ticket)
            _ = [one.address for one in ticket.participants]  # loaded while the session lasts
        return ticket, entries, merged

    def raw(self, number: int) -> bytes | None:
        """Returns a mail as it came; None if there is none."""
        with Session(self._engine) as db, db.begin():
            return db.scalar(select(Letter.raw).where(Letter.id == number))

    def html(self, number: int) -> str | None:
        """Returns the HTML of a mail with its own pictures in it; None if there is none."""
        with Session(self._engine) as db, db.begin():
            letter = db.get(Letter, number)
            if letter is None or not letter.html:
                return None
            left, pictures = PICTURES, dict[str, Attachment]()
            for file in letter.attachments:
                if file.content_id and file.type in SHOWN:
                    pictures.setdefault(file.content_id, file)

            def data(found: re.Match[str]) -> str:
                nonlocal left
                file = pictures.get(unquote(found[1]))
                # The HTML may show one picture very often.
                if file is None or len(file.content) > left:
                    return found[0]
                left -= len(file.content)
                return f"data:{file.type};base64,{b64encode(file.content).decode()}"

            return re.sub(r"""\bcid:([^\s"'<>)]{1,250})""", data, letter.html, flags=re.I)

    def attachment(self, number: int) -> tuple[str, bytes] | None:
        """Returns name and content of an attachment; None if there is none."""
        with Session(self._engine) as db, db.begin():
            found = db.get(Attachment, number)
            return (found.name, found.content) if found else None

    # ── doing ────────────────────────────────────────────────────────────────

    def answer(
        self,
        number: int,
        text: str,
        agent: str,
        form: str,
        close: bool = False,
        seen: str | None = None,
    ) -> None:
        """Sends an answer to all who take part, and closes the ticket. Raises Impossible.

        `seen` is the number of mails that its author has read: two agents may write at once.
        """
        with self._changed(number, form, agent, "answers") as (_, ticket):
            self._not_merged(ticket)
            if seen is not None and seen != str(len(_conversation(ticket))):
                raise Impossible("There is another mail now. Please read it, then send again.")
            try:
                self._outbox.answer(ticket, text, agent)
            except ValueError as error:
                raise Impossible(f"No mail can be written to them: {error}") from None
            ticket.closed, ticket.agent = close, ticket.agent or agent

    def assign(self, number: int, mine: bool, agent: str, form: str) -> None:
        """Notes that an agent works on a ticket, or that nobody does. Raises Impossible."""
        with self._changed(number, form, agent, "takes" if mine else "leaves") as (_, ticket):
            self._not_merged(ticket)
            ticket.agent = agent if mine else ""

    def close(self, number: int, closed: bool, agent: str, form: str) -> None:
        """Closes a ticket, or opens it again. Raises Impossible."""
        with self._changed(number, form, agent, "closes" if closed else "reopens") as (_, ticket):
            self._not_merged(ticket)
            ticket.closed = closed

    def merge(self, number: int, into: int, agent: str, form: str) -> None:
        """Moves all of a ticket into another one, and closes it. Raises Impossible."""
        with self._changed(number, form, agent, "merges", into) as (db, ticket):
            self._not_merged(ticket)
            target = db.get(Ticket, into)
            if target is ticket:
                raise Impossible("A ticket cannot be merged into itself.")
            if target is None or target.merged_into is not None:
                raise Impossible(f"There is no ticket #{into} that it could be merged into.")
            answered = {response.letter_id for response in ticket.responses}
            for letter in [one for one in ticket.letters if one.id not in answered]:
                ticket.responses.append(
                    Response(
                        letter_id=letter.id,
                        sender=ticket.owner,
                        text=ticket.text,
                        new_text=ticket.text,
                        at=letter.at,
                    )
                )
            db.flush()
            target.letters += ticket.letters
            target.responses += ticket.responses
            target.answers += ticket.answers
            known = {one.key for one in target.participants}
            for one in ticket.participants:
                if one.key not in known:
                    target.participants.append(Participant(key=one.key, address=one.address))
            ticket.merged_into, ticket.closed = into, True
            target.changed, target.closed = self._clock.time(), False

    def split(self, number: int, letter: int, agent: str, form: str) -> int:
        """Makes a ticket of a response, and returns its number. Raises Impossible."""
        with self._changed(number, form, agent, "splits") as (db, ticket):
            found = [one for one in ticket.responses if one.letter_id == letter]
            if not found or not found[0].sender:
                raise Impossible("Only a response can become a ticket of its own.")
            response, mail = found[0], db.get_one(Letter, letter)
            now = self._clock.time()
            new = Ticket(
                owner=response.sender,
                subject=ticket.subject,
                text=response.text,
                opened=now,
                changed=now,
                token=self._host.token(TOKEN),
                follows=ticket.id,
            )
            new.participants.append(
                Participant(key=comparable(response.sender), address=response.sender)
            )
            db.add(new)
            mail.ticket = new
            db.delete(response)
            db.flush()
            return new.id

    def _not_merged(self, ticket: Ticket) -> None:
        if ticket.merged_into is not None:
            raise Impossible(f"It has been merged into #{ticket.merged_into}.")

    @contextlib.contextmanager
    def _changed(
        self, number: int, form: str, agent: str, what: str, other: int = 0
    ) -> Iterator[tuple[Session, Ticket]]:
        """Locks a ticket, and another one, for a change that a form makes once.

        Raises Impossible if there is no such ticket, and Repeated if the form was sent before.
        """
        try:
            with Session(self._engine) as db, db.begin():
                if db.get(Seen, f"form:{form}"):
                    raise Repeated
                db.add(Seen(key=f"form:{form}"))
                # In the order of their numbers: two agents can never wait for each other.
                rows = select(Ticket).where(Ticket.id.in_((number, other))).order_by(Ticket.id)
                locked = {one.id: one for one in db.scalars(rows.with_for_update())}
                if number not in locked:
                    raise Impossible("There is no such ticket.")
                locked[number].changed = self._clock.time()
                yield db, locked[number]
        except IntegrityError:
            raise Repeated from None  # at the same time
        self._host.log("agent", agent=agent, did=what, ticket=number)


class Repeated(Exception):
    """The form was sent before: a double click, or a page that was loaded again."""


def _has(word: str) -> ColumnElement[bool]:
    """The condition that a word is somewhere in a ticket; % and _ stand for themselves."""
    responses = select(Response.id).where(
        Response.ticket_id == Ticket.id,
        or_(
            Response.text.icontains(word, autoescape=True),
            Response.sender.icontains(word, autoescape=True),
        ),
    )
    columns = (Ticket.subject, Ticket.owner, Ticket.text)
    return or_(*(one.icontains(word, autoescape=True) for one in columns), exists(responses))


def _conversation(ticket: Ticket) -> list[Entry]:
    """Returns the mails of a ticket, oldest first."""
    responses = {response.letter_id: response for response in ticket.responses}
    entries = []
    for letter in ticket.letters:
        _ = list(letter.attachments)
        response = responses.get(letter.id)
        if response is None:
            entries.append(Entry(letter.at, ticket.owner, ticket.text, "", letter))
            continue
        text, whole = response.new_text, response.text
        whole = whole if whole.strip() != text.strip() else ""
        sender = response.sender or "(no sender)"
        entries.append(Entry(letter.at, sender, text, whole, letter, response.automatic))
    answers: dict[str, list[Answer]] = {}
    for answer in ticket.answers:
        answers.setdefault(answer.message_id, []).append(answer)
    for rows in answers.values():
        first = rows[0]
        who = first.agent or "Acknowledgement"
        entries.append(Entry(first.made, who, first.text, "", answers=tuple(rows)))
    return sorted(entries, key=lambda entry: entry.at)
