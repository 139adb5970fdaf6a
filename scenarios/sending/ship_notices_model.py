"""The tables of ship-notices, by SQLAlchemy, and how the list of customers gets into them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import JSON, Index, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from comms.addresses import ascii_domain
from scenarios.delivery import MailRow
from scenarios.models import TryColumns, Worker
from scenarios.sending.ship_notices_input import BadLine, Customer

BATCH = 500  # lines of the list in one transaction


class Base(DeclarativeBase):
    """All tables. Times are in seconds since the epoch."""


class Notice(MailRow, Base):
    """One mail to one customer. It may also be suppressed, or bounced: accepted, returned later."""

    __tablename__ = "notice"
    __table_args__ = (Index("notice_due", "status", "due", "id"),)

    order: Mapped[str] = mapped_column(unique=True)
    line: Mapped[int]  # of the list in which it came first
    values: Mapped[dict[str, str]] = mapped_column(JSON)  # for the templates
    token: Mapped[str] = mapped_column(unique=True)  # known to those who have got the mail

    @property
    def about(self) -> dict[str, object]:
        """The line of the list."""
        return {"line": self.line}


class Suppressed(Base):
    """An address that gets no notices any more."""

    __tablename__ = "suppressed"

    address: Mapped[str] = mapped_column(primary_key=True)  # in lower case
    reason: Mapped[str]
    at: Mapped[float]


class Try(TryColumns, Base):
    """How many times a returned mail was begun and not finished."""

    __tablename__ = "try"


def back(returns: str, token: str) -> str:
    """Returns the address to which one customer's mail comes back: returns+token@domain."""
    name, _, domain = returns.rpartition("@")
    return f"{name}+{token}@{ascii_domain(domain)}"


def enlist(
    worker: Worker,
    lines: Iterable[Customer | BadLine],
    now: float,
    token: Callable[[], str],
) -> Iterator[BadLine]:
    """Adds a notice for each order that has none. Yields the bad lines, second ones among them."""
    batch: list[Customer] = []
    seen: dict[str, int] = {}  # order → its line. In an earlier list it may have been another one.
    for line in lines:
        if isinstance(line, BadLine):
            yield line
        elif (first := seen.setdefault(line.order, line.line)) != line.line:
            yield BadLine(line.line, f"order {line.order} was in line {first} already")
        else:
            batch.append(line)
            if len(batch) == BATCH:
                _add(worker, batch, now, token)
                batch = []
    _add(worker, batch, now, token)


def unwanted(db: Session, notice: Notice, reason: str, now: float) -> None:
    """Notes that the address of a notice gets none any more."""
    # `suppress` compares in the database, whose lower case may be another one beyond ASCII.
    lower = db.scalar(select(func.lower(notice.address))) or ""
    for address in sorted({lower, notice.address.casefold()}):
        if db.get(Suppressed, address) is None:
            db.add(Suppressed(address=address, reason=reason, at=now))


def suppress(worker: Worker) -> None:
    """Settles the notices that wait for addresses which get none any more."""
    known = func.lower(Notice.address).in_(select(Suppressed.address))
    waiting = update(Notice).where(Notice.status.in_(("waiting", "taken")), known)
    with worker.session() as db, db.begin():
        db.execute(waiting.values(status="suppressed"))


def _add(worker: Worker, batch: list[Customer], now: float, token: Callable[[], str]) -> None:
    orders = [customer.order for customer in batch]
    stored = select(Notice.order).where(Notice.order.in_(orders))
    while True:
        try:
            with worker.session() as db, db.begin():
                known = set(db.scalars(stored))
                new = [customer for customer in batch if customer.order not in known]
                db.add_all(_notice(customer, now, token()) for customer in new)
            return
        except IntegrityError:
            continue  # another worker reads the same list, and was faster


def _notice(customer: Customer, now: float, token: str) -> Notice:
    return Notice(
        order=customer.order,
        line=customer.line,
        address=customer.address,
        domain=customer.address.rpartition("@")[2].casefold(),
        values=customer.values,
        token=token,
        made=now,
        due=now,
    )
