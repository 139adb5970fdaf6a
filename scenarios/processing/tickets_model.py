"""The tables of tickets, by SQLAlchemy. The mail program writes them; a web page may read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from sqlalchemy import Engine, ForeignKey, create_engine, delete, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from comms.setting_types import Check


def _no_database(url: str) -> str:
    """Returns why no database can be opened at this URL, or ""."""
    try:
        make_url(url).get_dialect().import_dbapi()
    except ArgumentError:
        # The text of the error could quote a password.
        return "it is not the URL of a database that SQLAlchemy can open"
    except ImportError as error:
        return f"its driver is not installed: {error}"
    return ""


def shown(url: str) -> str:
    """Returns a database URL without its password."""
    return make_url(url).render_as_string(hide_password=True)


DatabaseUrl = Annotated[str, Check(_no_database, '"sqlite:///tickets.sqlite3"')]


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


class Try(Base):
    """How many times a mail was begun and not finished."""

    __tablename__ = "try"

    key: Mapped[str] = mapped_column(primary_key=True)
    tries: Mapped[int]


class Tries:
    """Counts the tries of each mail in the database; it fits comms.mailbox.Tries."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def attempts(self, key: str) -> int:
        """Returns the number of tries so far."""
        with Session(self._engine) as db:
            found = db.get(Try, key)
            return found.tries if found else 0

    def begin_attempt(self, key: str) -> None:
        """Counts a try that begins."""
        with Session(self._engine) as db, db.begin():
            db.merge(Try(key=key, tries=1 + self.attempts(key)))

    def end_attempt(self, key: str) -> None:
        """Forgets the tries of a mail that was finished."""
        with Session(self._engine) as db, db.begin():
            db.execute(delete(Try).where(Try.key == key))


def connect(url: str, path: Callable[[str], Path]) -> Engine:
    """Opens the database, and creates the tables if there are none.

    `path` makes a relative SQLite file absolute. The caller disposes of the engine.
    """
    where = make_url(url)
    sqlite = where.get_backend_name() == "sqlite"
    if sqlite and where.database and where.database != ":memory:":
        where = where.set(database=str(path(where.database)))
    engine = create_engine(where)
    if sqlite:
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
    try:
        Base.metadata.create_all(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _on_connect(connection: Any, record: object) -> None:
    # sqlite3 would begin transactions by itself, and too late; _on_begin does it instead.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _on_begin(connection: Any) -> None:
    # Locked for writing from the start: programs take turns, and can never deadlock.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
