"""Tickets and what belongs to them, by SQLAlchemy: what the mail program writes, and a web page may read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, ForeignKey, create_engine, delete, event, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    """Everything below; times are seconds since the epoch."""


class Ticket(Base):
    """A ticket has many responses. `owner` is who wrote the first mail; `thread` tells it apart from all others."""

    __tablename__ = "ticket"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    subject: Mapped[str]
    text: Mapped[str]
    opened: Mapped[float]
    closed: Mapped[bool] = mapped_column(default=False)
    responses: Mapped[list[Response]] = relationship(back_populates="ticket", order_by="Response.id")
    letters: Mapped[list[Letter]] = relationship(back_populates="ticket", order_by="Letter.id")
    answers: Mapped[list[Answer]] = relationship(back_populates="ticket", order_by="Answer.id")


class Response(Base):
    """A further mail to a ticket. `text` is the whole; `said` is without what it quotes at its end."""

    __tablename__ = "response"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), index=True)
    sender: Mapped[str]
    text: Mapped[str]
    said: Mapped[str]
    at: Mapped[float]
    automatic: Mapped[str] = mapped_column(default="")  # why a program must have written it
    ticket: Mapped[Ticket] = relationship(back_populates="responses")


class Letter(Base):
    """A mail that was taken in, with all its octets."""

    __tablename__ = "letter"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.id"), index=True)
    message_id: Mapped[str] = mapped_column(index=True)
    sender: Mapped[str]  # case folded
    raw: Mapped[bytes] = mapped_column(deferred=True)
    ticket: Mapped[Ticket] = relationship(back_populates="letters")
    attachments: Mapped[list[Attachment]] = relationship(back_populates="letter", order_by="Attachment.id")


class Attachment(Base):
    """A file that came with a mail; its name is safe to create a file with."""

    __tablename__ = "attachment"

    id: Mapped[int] = mapped_column(primary_key=True)
    letter_id: Mapped[int] = mapped_column(ForeignKey("letter.id"), index=True)
    name: Mapped[str]
    type: Mapped[str]
    content: Mapped[bytes] = mapped_column(deferred=True)
    letter: Mapped[Letter] = relationship(back_populates="attachments")


class Seen(Base):
    """What a mail is known by; each key once, so that each mail is taken in once, whoever takes it in."""

    __tablename__ = "seen"

    key: Mapped[str] = mapped_column(primary_key=True)


class Answer(Base):
    """A mail of ours. `status`: waiting, sending, sent, refused, given-up, or unknown, which is never sent again."""

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


class Try(Base):
    """How often a mail was begun with and not finished."""

    __tablename__ = "try"

    key: Mapped[str] = mapped_column(primary_key=True)
    tries: Mapped[int]


class Tries:
    """How often mails were begun with, for comms.mailbox.letters."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def attempts(self, key: str) -> int:
        """How often so far."""
        with Session(self._engine) as db:
            found = db.get(Try, key)
            return found.tries if found else 0

    def begin_attempt(self, key: str) -> None:
        """One more try begins."""
        with Session(self._engine) as db, db.begin():
            db.merge(Try(key=key, tries=1 + self.attempts(key)))

    def end_attempt(self, key: str) -> None:
        """It is over."""
        with Session(self._engine) as db, db.begin():
            db.execute(delete(Try).where(Try.key == key))


def connect(url: str, path: Callable[[str], Path]) -> Engine:
    """The database, its tables made if need be. A relative SQLite file begins where `path` says."""
    where = make_url(url)
    sqlite = where.get_backend_name() == "sqlite"
    if sqlite and where.database and where.database != ":memory:":
        where = where.set(database=str(path(where.database)))
    engine = create_engine(where)
    if sqlite:
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
    Base.metadata.create_all(engine)
    return engine


def _on_connect(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so, below
    connection.execute("PRAGMA foreign_keys = ON")


def _on_begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # a writer from the start: two programs take turns, and never deadlock
