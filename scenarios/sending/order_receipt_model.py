"""The tables of order-receipt, by SQLAlchemy. Times are in seconds since the epoch."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Index
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from scenarios.delivery import MailRow


class Base(DeclarativeBase):
    """All tables."""


class Receipt(MailRow, Base):
    """An order, and the mail to its buyer."""

    __tablename__ = "receipt"
    __table_args__ = (Index("receipt_due", "status", "due", "id"),)

    order: Mapped[str] = mapped_column(unique=True)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    seen: Mapped[list[str]] = mapped_column(JSON)  # digests of all contents it was listed with
    told: Mapped[str] = mapped_column(default="")  # the error that the owner knows of

    @property
    def about(self) -> dict[str, object]:
        """The number of the order."""
        return {"order": self.order}


class Problem(Base):
    """A line of the file that became no receipt."""

    __tablename__ = "problem"

    key: Mapped[str] = mapped_column(primary_key=True)  # the digest of the line
    text: Mapped[str]
    told: Mapped[bool] = mapped_column(default=False)


class Alert(MailRow, Base):
    """A mail to the owner."""

    __tablename__ = "alert"

    subject: Mapped[str]
    text: Mapped[str]


class Place(Base):
    """How far a file of orders has been read."""

    __tablename__ = "place"

    file: Mapped[str] = mapped_column(primary_key=True)
    offset: Mapped[int] = mapped_column(default=0)
    line: Mapped[int] = mapped_column(default=0)
    mark: Mapped[str] = mapped_column(default="")
