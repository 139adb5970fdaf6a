"""The tables of account-activation, by SQLAlchemy: requests for a link, and active accounts."""

from __future__ import annotations

from sqlalchemy import Index
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from scenarios.models import Job


class Base(DeclarativeBase):
    """All tables. Times are in seconds since the epoch."""


class Asked(Job, Base):
    """A form that was sent, and the mail that answers it: waiting, working, or what became of it.

    That is sent, refused, given-up, none (there was nothing to send), or unknown: the connection
    was lost, or the program killed, while the mail was being accepted. Such a mail is not sent
    again, but the person may ask for another one.
    """

    __tablename__ = "asked"
    __table_args__ = (
        Index("asked_due", "status", "due", "id"),
        Index("asked_key", "key", "made"),
        Index("asked_client", "client", "made"),
    )

    form: Mapped[str] = mapped_column(unique=True)  # its id, and what was filled in: one request
    key: Mapped[str]  # the address, as addresses are compared
    address: Mapped[str]  # as it was written at the sign-up
    name: Mapped[str]  # "" if nobody has signed up
    client: Mapped[str]  # the network address that the form came from
    made: Mapped[float]
    template: Mapped[str]  # of the mail
    token: Mapped[str] = mapped_column(unique=True)  # what the link signs


class Account(Base):
    """An account that is active. The primary key decides that it becomes so once."""

    __tablename__ = "account"

    key: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str]
    name: Mapped[str]
    form: Mapped[str]  # that has activated it
    activated: Mapped[float]
