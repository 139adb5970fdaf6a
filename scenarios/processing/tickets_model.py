"""The tables of tickets, by SQLAlchemy.

Mails and attachments are in the database, whatever their size up to `largest`: a file beside it
would not commit together with its ticket, and the other machines would not have it.
"""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from scenarios.delivery import MailRow
from scenarios.models import TryColumns


class Base(DeclarativeBase):
    """All tables. Times are in seconds since the epoch."""


class Ticket(Base):
    """A ticket. Its owner opened it with a first mail; it has many responses."""

    __tablename__ = "ticket"
    __table_args__ = (Index("ticket_changed", "closed", "changed"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]  # the address that wrote the first mail
    subject: Mapped[str]
    text: Mapped[str]
    opened: Mapped[float]
    changed: Mapped[float]  # when the last mail came or went, or an agent did something
    closed: Mapped[bool] = mapped_column(default=False)
    agent: Mapped[str] = mapped_column(default="")  # who works on it; "" for nobody yet
    token: Mapped[str]  # who knows it may write to the ticket: it is in the address for replies
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("ticket.id"))
    follows: Mapped[int | None] = mapped_column(ForeignKey("ticket.id"))  # the one before it
    responses: Mapped[list[Response]] = relationship(
        back_populates="ticket", order_by="Response.at, Response.id"
    )
    letters: Mapped[list[Letter]] = relationship(
        back_populates="ticket", order_by="Letter.at, Letter.id"
    )
    answers: Mapped[list[Answer]] = relationship(back_populates="ticket", order_by="Answer.id")
    participants: Mapped[list[Participant]] = relationship(order_by="Participant.key")


class Participant(Base):
    """A person who takes part in a ticket: its owner, or whom a mail of it was sent to."""

    __tablename__ = "participant"

    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)  # the address, case folded
    address: Mapped[str]


class Response(Base):
    """A later mail to a ticket. `new_text` is its text without the mail quoted at its end."""

    __tablename__ = "response"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), index=True)
    letter_id: Mapped[int] = mapped_column(ForeignKey("letter.id"), unique=True)
    sender: Mapped[str]
    text: Mapped[str]
    new_text: Mapped[str] = mapped_column("said")
    at: Mapped[float]
    automatic: Mapped[str] = mapped_column(default="")  # why a program must have written it
    ticket: Mapped[Ticket] = relationship(back_populates="responses")


class Letter(Base):
    """A mail that was received, byte for byte."""

    __tablename__ = "letter"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), index=True)
    message_id: Mapped[str] = mapped_column(index=True)
    sender: Mapped[str]  # case folded
    at: Mapped[float]
    raw: Mapped[bytes] = mapped_column(deferred=True)
    html: Mapped[str | None] = mapped_column(deferred=True)
    has_html: Mapped[bool] = mapped_column(default=False)
    ticket: Mapped[Ticket] = relationship(back_populates="letters")
    attachments: Mapped[list[Attachment]] = relationship(
        back_populates="letter", order_by="Attachment.id"
    )


class Attachment(Base):
    """A file that was attached to a mail. Its name is safe to be used in a file system."""

    __tablename__ = "attachment"

    id: Mapped[int] = mapped_column(primary_key=True)
    letter_id: Mapped[int] = mapped_column(ForeignKey("letter.id"), index=True)
    name: Mapped[str]
    type: Mapped[str]
    content: Mapped[bytes] = mapped_column(deferred=True)
    content_id: Mapped[str] = mapped_column(default="")  # by which the HTML of the mail shows it
    letter: Mapped[Letter] = relationship(back_populates="attachments")


class Seen(Base):
    """A key of a received mail, or of a form that an agent has sent.

    Keys are unique, so that only one instance stores a mail, and a double click answers once.
    """

    __tablename__ = "seen"

    key: Mapped[str] = mapped_column(primary_key=True)


LOST = ("refused", "given-up", "flagged")  # what becomes of a mail that no server takes


class Answer(MailRow, Base):
    """A mail of ours to one address; an agent's answer to several people has as many rows."""

    __tablename__ = "answer"
    __table_args__ = (
        UniqueConstraint("message_id", "address"),
        Index("answer_due", "status", "due", "id"),
        Index("answer_limit", "key", "made"),
    )

    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), index=True)
    key: Mapped[str]  # the address, case folded
    message_id: Mapped[str] = mapped_column(index=True)
    agent: Mapped[str] = mapped_column(default="")  # who wrote it; "" for an acknowledgement
    text: Mapped[str]
    envelope: Mapped[str] = mapped_column(default="")  # its sender; "" is the null sender
    data: Mapped[bytes]
    # Why it came back. Not a status: the worker that has sent it may be about to store that.
    returned: Mapped[str] = mapped_column(default="")
    ticket: Mapped[Ticket] = relationship(back_populates="answers")

    @property
    def outcome(self) -> str:
        """What became of it, as agents read it."""
        if self.returned and self.status not in LOST:
            return f"came back ({self.returned})"
        return (
            f"{self.status} ({self.error})" if self.error and self.status != "sent" else self.status
        )

    @property
    def about(self) -> dict[str, object]:
        """What the mail is called in the log."""
        return {"to": self.address}


class Try(TryColumns, Base):
    """How many times a mail was begun and not finished."""

    __tablename__ = "try"
