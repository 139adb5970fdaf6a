"""The tables of mail-to-webhook, by SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, delete, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from scenarios.models import Job, TryColumns

OPEN = ("waiting", "working", "dead")  # posts whose letter is still needed


class Base(DeclarativeBase):
    """All tables. Times are in seconds since the epoch."""


class Letter(Base):
    """A mail as it came. It is deleted when all of its posts have been accepted or dropped."""

    __tablename__ = "letter"

    id: Mapped[int] = mapped_column(primary_key=True)
    raw: Mapped[bytes]


class Post(Job, Base):
    """A mail for one recipient: waiting, working, posted, dropped or dead.

    A dead one waits for a person, who may have it tried again. The row remains, so that a mail that
    comes again is recognised.
    """

    __tablename__ = "post"
    __table_args__ = (Index("post_due", "status", "due", "id"),)

    event: Mapped[str] = mapped_column(unique=True)  # the same however often it is posted
    recipient: Mapped[str]  # "" if no recipient fits a mapping
    url: Mapped[str]
    origin: Mapped[str]  # the server that the URL is at
    letter: Mapped[int | None] = mapped_column(ForeignKey("letter.id", ondelete="SET NULL"))
    made: Mapped[float]


class Try(TryColumns, Base):
    """How many times a mail was begun and not finished."""

    __tablename__ = "try"


def settle(db: Session, post: Post) -> None:
    """Stores what became of a post, and deletes its letter if nothing needs it any more."""
    letter = post.letter
    db.add(post)
    db.flush()
    needed = select(Post.id).where(Post.letter == letter, Post.status.in_(OPEN)).limit(1)
    if letter is not None and db.scalar(needed) is None:
        db.execute(delete(Letter).where(Letter.id == letter))
