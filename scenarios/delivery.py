"""Sending mails that are rows of a database: each once, however often the program is killed.

    class Notice(MailRow, Base): ...

    delivery = Delivery(Notice, compose, settings.server("smtp"), clock, host, worker)
    for _ in clock.every(30):
        worker.recover(Notice, "unknown")    # what a worker that has died was sending
        delivery.send()
    return delivery.report()

A row is waiting, taken (by a worker that has not begun it), working, or what became of it: sent,
refused by a server, given-up (no server has taken it for too long), flagged (it cannot be written),
or unknown: the connection was lost, or the program killed, while the mail was being accepted. What
is unknown is not sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from sqlalchemy import func, select, update
from sqlalchemy.orm import Mapped

from comms import smtp
from comms.clock import Clock
from comms.compose import Message
from comms.errors import CommsError, Refused, SettingsError, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.limits import Limits
from comms.settings import Server
from scenarios.models import Job, Worker
from scenarios.progress import Progress

PAUSE = 60.0  # seconds before a mail is tried again; it doubles after each attempt,
LONGEST = 3600.0  # up to this
DOUBLINGS = 16  # more would make no difference
SHORT = 10.0  # seconds that a round waits for a rate; a longer wait ends it
AHEAD = 100  # rows that are taken at once; each is still marked before it is sent
SHOWN = 20  # rows that the report lists
DONE = ("sent", "suppressed")  # outcomes that nobody needs to look at
OTHERS = ("taken", "working")  # what another worker is sending right now is not ours to judge


class MailRow(Job):
    """Columns of a row that becomes a mail to one address."""

    address: Mapped[str]
    domain: Mapped[str]  # of the address, case folded
    made: Mapped[float]

    @property
    def about(self) -> dict[str, object]:
        """What the mail is called in the log and in the report, such as {"line": 7}."""
        return {"id": self.id}


Row = TypeVar("Row", bound=MailRow)


class Delivery(Generic[Row]):
    """The mails of one table, as one worker sends them."""

    def __init__(
        self,
        kind: type[Row],
        compose: Callable[[Row], tuple[str, Message | bytes]],
        server: Server,
        clock: Clock,
        host: Host,
        worker: Worker,
        *,
        limits: Limits | None = None,
        session: int = 100,
        give_up: float = 14400,
        repeat: bool = False,
    ) -> None:
        """`compose` returns the envelope's sender and the mail, composed now or as it was stored;
        a ValueError flags the row.

        A session is used for that many mails. After `give_up` seconds a mail is no longer tried.
        With `repeat`, a mail whose outcome is unknown is sent again.
        """
        self._kind, self._compose, self._server = kind, compose, server
        self._noun = str(kind.__tablename__)  # type: ignore[attr-defined]
        self._count = select(func.count()).where(kind.status == "waiting")
        self._clock, self._host, self._worker = clock, host, worker
        self._limits, self._longest, self._give_up = limits or Limits(), session, give_up
        self._unknown = "waiting" if repeat else "unknown"
        self._session: smtp.Session | None = None
        self._mails = 0  # sent in this session
        self._done: Row | None = None  # that is settled, and not stored
        self._since: float | None = None  # the server has been away; None if it is there

    def send(self) -> bool:
        """Sends what is due, until nothing is for a while. Returns whether any mail still waits.

        Raises the error of a server that has been away for too long.
        """
        if not (waiting := self._waiting()):
            return False  # most rounds of a program that waits for something to send
        self._correct(self._clock.time())
        try:
            with Progress(waiting, self._noun, self._clock, self._host) as self._progress:
                while not self._clock.stopping():
                    now = self._clock.time()
                    if self._session is not None and (row := self._claimed(now)) is not None:
                        self._send(row)
                        continue
                    self._store()
                    self._worker.release(self._kind)
                    due = self._next_due(now)
                    if due is None or due > now + SHORT:
                        break
                    if due > now:
                        self._clock.wait(None, due)  # for the sake of a rate
                    elif not self._connected():
                        break
        finally:
            try:
                self._store()
                self._worker.release(self._kind)
            finally:
                self._disconnect()
        return self._waiting() > 0

    def _waiting(self) -> int:
        with self._worker.session() as db:
            return db.scalar(self._count) or 0

    def _correct(self, now: float) -> None:
        """Lets the mails go that a wrong clock has put off: no pause is longer than the longest."""
        late = update(self._kind).where(self._kind.status == "waiting")
        with self._worker.session() as db, db.begin():
            db.execute(late.where(self._kind.due > now + LONGEST).values(due=now))

    def _claimed(self, now: float) -> Row | None:
        """Marks the next mail and stores the last one, in one transaction."""
        if self._limits.due(now) > now:
            return None
        busy, done = self._limits.waiting(now), self._done
        # With a limit, which mail comes next depends on those that were sent.
        ahead = 1 if self._limits.limited else AHEAD
        others = (self._kind.domain.not_in(busy),) if busy else ()
        row = self._worker.claim(self._kind, now, *others, done=done, ahead=ahead)
        self._done = None
        return row

    def _store(self) -> None:
        if self._done is not None:
            self._worker.store(self._done)
            self._done = None

    def _next_due(self, now: float) -> float | None:
        """Returns when the next mail may be sent; None if none waits."""
        busy = self._limits.waiting(now)
        waiting = select(func.min(self._kind.due)).where(self._kind.status == "waiting")
        with self._worker.session() as db:
            times = [db.scalar(waiting.where(self._kind.domain.not_in(busy)))]
            for domain, due in busy.items():
                first = db.scalar(waiting.where(self._kind.domain == domain))
                times.append(None if first is None else max(first, due))
        found = [time for time in times if time is not None]
        return max(min(found), self._limits.due(now)) if found else None

    def _send(self, row: Row) -> None:
        assert self._session is not None
        try:
            sender, mail = self._compose(row)
            if isinstance(mail, Message):
                mail = mail.stamped(self._clock, self._host).to_bytes()
        except ValueError as error:
            self._settle(row, "flagged", str(error))
            return
        except SettingsError as error:
            # The templates have changed, and do not fit the mail any more. Nothing was sent.
            row.status, row.error = "waiting", str(error)
            self._done = row
            raise
        self._limits.count(row.domain, self._clock.time())
        failure: CommsError | None
        try:
            failure = self._session.send(sender, [row.address], mail)[row.address]
        except Unreachable as error:
            failure = error  # lost before the final dot: nothing was sent
        self._mails += 1
        if not self._session.usable or self._mails >= self._longest:
            self._disconnect()
        if failure is None:
            self._settle(row, "sent")
        elif isinstance(failure, Refused):
            self._settle(row, "refused", str(failure))
        elif isinstance(failure, Unknown):
            self._settle(row, self._unknown, str(failure))
        elif self._clock.time() - row.made > self._give_up:
            self._settle(row, "given-up", str(failure))
        else:
            self._settle(row, "waiting", str(failure))

    def _settle(self, row: Row, status: str, error: str = "") -> None:
        if status == "waiting":
            pause = min(PAUSE * 2.0 ** min(row.tries - 1, DOUBLINGS), LONGEST)
            row.due = self._clock.time() + pause
        else:
            self._progress.one_done()
        row.status, row.error = status, error
        self._done = row
        level = "info" if status in DONE else "warning"
        self._host.log(f"{self._noun}-{status}", level, **row.about, trouble=error)

    def _connected(self) -> bool:
        """Opens a session, if there is none. Returns False if the server is away for now.

        Notices are only marked when there is a session, so that a program which is killed while it
        connects leaves none in doubt. Raises Refused, and after `give_up` the other errors.
        """
        try:
            self._session = self._session or smtp.Session(self._server, self._clock, self._host)
        except (Unreachable, TryLater) as error:
            now = self._clock.time()
            self._since = now if self._since is None else self._since
            if now - self._since > self._give_up:
                raise
            self._host.log("server-away", "warning", trouble=error)
            return False
        self._since = None
        return True

    def _disconnect(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session, self._mails = None, 0

    # ── the report ───────────────────────────────────────────────────────────

    def report(self, *more: str) -> int:
        """Prints what became of all mails, and what `more` there is to say.

        Returns 0 if nobody needs to look at anything, else 1.
        """
        counts = select(self._kind.status, func.count()).group_by(self._kind.status)
        settled = self._kind.status.not_in((*DONE, *OTHERS))
        others = select(self._kind).where(settled).order_by(self._kind.id)
        with self._worker.session() as db:
            found = {row[0]: row[1] for row in db.execute(counts)}
            rest = list(db.scalars(others.limit(SHOWN)))
        parts = [f"{number} {status}" for status, number in sorted(found.items())]
        said = ", ".join([*parts, *more]) or "none"
        count = sum(found.values())
        self._host.say(f"{count} {self._noun}{'s' * (count != 1)}: {said}")
        for row in rest:
            name = " ".join(f"{key} {value}" for key, value in row.about.items())
            about = f"{name}, {row.address}: {row.status}"
            self._host.say(f"{about}: {row.error}" if row.error else about)
        fine = sum(found.get(status, 0) for status in (*DONE, *OTHERS))
        left = count - fine - len(rest)
        if left:
            self._host.say(f"and {left} more, in the table {self._noun}")
        return 1 if rest or more else 0
