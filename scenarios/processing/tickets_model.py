"""The tables of tickets, by SQLAlchemy. The mail program writes them; a web page may read them."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from scenarios.models import TryColumns


class Base(DeclarativeBase):
    """All tables. Times are in seconds since the epoch."""


class Ticket(Base):
    """A ticket. Its owner opened it with a first mail; it has many responses."""

    __tablename__ = "ticket"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]  # the address that wrote the first mail
    subject: Mapped[str]
    text: Mapped[str]
    opened: Mapped[float]
    closed: Mapped[bool] = mapped_column(default=False)
    responses: Mapped[list[Response]] = relationship(
        back_populates="ticket", order_by="Response.id"
    )
    letters: Mapped[list[Letter]] = relationship(back_populates="ticket", order_by="Letter.id")
    answers: Mapped[list[Answer]] = relationship(back_populates="ticket", order_by="Answer.id")


class Response(Base):
    """A later mail to a ticket. `new_text` is its text without the mail quoted at its end."""

    __tablename__ = "response"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), index=True)
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
    raw: Mapped[bytes] = mapped_column(deferred=True)
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
    letter: Mapped[Letter] = relationship(back_populates="attachments")


class Seen(Base):
    """A key of a received mail. Keys are unique, so that only one instance stores a mail."""

    __tablename__ = "seen"

    key: Mapped[str] = mapped_column(primary_key=True)


class Answer(Base):
    """A mail of ours.

    `status` is waiting, sending, sent, refused, given-up, or unknown, which is never sent again.
    """

    __tablename__ = "answer"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), index=True)
    message_id: Mapped[str] = mapped_column(unique=True)
    address: Mapped[str]
    data: Mapped[bytes] = mapped_column(deferred=True)
    made: Mapped[float]
    due: Mapped[float] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(default="waiting", index=True)
    ticket: Mapped[Ticket] = relationship(back_populates="answers")


class Try(TryColumns, Base):
    """How many times a mail was begun and not finished."""

    __tablename__ = "try"
