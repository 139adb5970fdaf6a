"""The desk of ship-notices: reads the list, sends what is due, and takes what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from comms import smtp
from comms.clock import Clock
from comms.compose import Message
from comms.errors import CommsError, Refused, SettingsError, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.limits import Limits
from comms.settings import Settings
from scenarios.models import Worker
from scenarios.sending.ship_notices_input import BadLine, Customer, read
from scenarios.sending.ship_notices_model import Notice, back, enlist, suppress
from scenarios.sending.ship_notices_progress import Progress

if TYPE_CHECKING:
    from scenarios.sending.ship_notices import Rules

Compose = Callable[[str, Mapping[str, str], str], Message]  # of an address, values and a token

PAUSE = 60.0  # seconds before a mail is tried again; it doubles after each attempt,
LONGEST = 3600.0  # up to this
DOUBLINGS = 16  # more would make no difference
SHORT = 10.0  # seconds that a round waits for a rate; a longer wait ends it
AHEAD = 100  # notices that are taken at once; each is still marked before it is sent
SHOWN = 20  # notices that the report lists
DONE = ("sent", "suppressed")  # outcomes that nobody needs to look at
OTHERS = ("taken", "working")  # what another worker is sending right now is not ours to judge


def check(rules: Rules, compose: Compose) -> Iterator[Customer | BadLine]:
    """Yields the lines of the list, and composes the mail of each before anything is sent.

    Raises SettingsError, and TemplateError for a template that lacks a value.
    """
    for line in read(rules.customers):
        if isinstance(line, Customer):
            try:
                compose(line.address, line.values, "token").envelope()
            except ValueError as error:  # an address that cannot be written, for example
                line = BadLine(line.line, str(error))
        yield line


def rehearse(rules: Rules, compose: Compose, folder: Path, host: Host, clock: Clock) -> int:
    """Composes every mail, and writes the first ones as samples. Sends and stores nothing."""
    good = bad = 0
    for line in check(rules, compose):
        if isinstance(line, BadLine):
            bad += 1
            host.log("line-left-out", "warning", line=line.line, trouble=line.problem)
            continue
        good += 1
        if good <= rules.samples:
            folder.mkdir(exist_ok=True)
            mail = compose(line.address, line.values, host.token(20)).stamped(clock, host)
            (folder / f"line-{line.line}.eml").write_bytes(mail.to_bytes())
    host.say(f"Dry run: {good} notices would be sent, {bad} lines left out")
    if good and rules.samples:
        host.say(f"Samples: {folder.name}")
    return 1 if bad else 0


class Desk:
    """The work of one worker."""

    def __init__(
        self,
        rules: Rules,
        settings: Settings,
        clock: Clock,
        host: Host,
        worker: Worker,
        compose: Compose,
    ) -> None:
        self._rules, self._clock, self._host = rules, clock, host
        self._worker, self._compose = worker, compose
        self._smtp = settings.server("smtp")
        self._limits = Limits(rules.rate, rules.domain_rate)
        self._session: smtp.Session | None = None
        self._mails = 0  # sent in this session
        self._done: Notice | None = None  # that is settled, and not stored
        self._left_out = 0  # lines of the list
        self._since = clock.time()  # the server was last known to be there

    def enlist(self) -> None:
        """Adds a notice for each line of the list that has none. Raises as `check`."""
        lines = check(self._rules, self._compose)
        now = self._clock.time()
        for bad in enlist(self._worker, lines, now, lambda: self._host.token(20)):
            self._left_out += 1
            self._host.log("line-left-out", "warning", line=bad.line, trouble=bad.problem)
        suppress(self._worker)

    # ── sending ──────────────────────────────────────────────────────────────

    def send(self) -> bool:
        """Sends what is due, until nothing is for a while. Returns whether any notice still waits.

        Raises the error of a server that has been away for too long.
        """
        try:
            with Progress(self._waiting(), self._clock, self._host) as self._progress:
                while not self._clock.stopping():
                    now = self._clock.time()
                    if self._session is not None and (notice := self._claimed(now)) is not None:
                        self._send(notice)
                        continue
                    self._store()
                    self._worker.release(Notice)
                    due = self._next_due(now)
                    if due is None or due > now + SHORT:
                        break
                    if due > now:
                        self._clock.wait(None, due)  # for the sake of a rate
                    elif not self._connected():
                        break
        finally:
            self._store()
            self._worker.release(Notice)
            self._disconnect()
        return self._waiting() > 0

    def _waiting(self) -> int:
        waiting = select(func.count()).where(Notice.status == "waiting")
        with self._worker.session() as db:
            return db.scalar(waiting) or 0

    def _claimed(self, now: float) -> Notice | None:
        """Marks the next notice and stores the last one, in one transaction."""
        if self._limits.due > now:
            return None
        busy, done = self._limits.waiting(now), self._done
        # With a limit, which notice comes next depends on those that were sent.
        ahead = 1 if self._rules.rate or self._rules.domain_rate else AHEAD
        others = (Notice.domain.not_in(busy),) if busy else ()
        notice = self._worker.claim(Notice, now, *others, done=done, ahead=ahead)
        self._done = None
        return notice

    def _store(self) -> None:
        if self._done is not None:
            self._worker.store(self._done)
            self._done = None

    def _next_due(self, now: float) -> float | None:
        """Returns when the next notice may be sent; None if none waits."""
        busy = self._limits.waiting(now)
        waiting = select(func.min(Notice.due)).where(Notice.status == "waiting")
        with self._worker.session() as db:
            times = [db.scalar(waiting.where(Notice.domain.not_in(busy)))]
            for domain, due in busy.items():
                first = db.scalar(waiting.where(Notice.domain == domain))
                times.append(None if first is None else max(first, due))
        found = [time for time in times if time is not None]
        return max(min(found), self._limits.due) if found else None

    def _send(self, notice: Notice) -> None:
        assert self._session is not None
        try:
            mail = self._compose(notice.address, notice.values, notice.token)
            raw = mail.stamped(self._clock, self._host).to_bytes()
        except ValueError as error:
            self._settle(notice, "refused", str(error))
            return
        except SettingsError as error:
            # An earlier list had other columns than the templates want now. Nothing was sent.
            notice.status, notice.error = "waiting", str(error)
            self._done = notice
            raise
        sender = back(self._rules.returns, notice.token)
        self._limits.count(notice.domain, self._clock.time())
        failure: CommsError | None
        try:
            failure = self._session.send(sender, [notice.address], raw)[notice.address]
            self._since = self._clock.time()
        except Unreachable as error:
            failure = error  # lost before the final dot: nothing was sent
        self._mails += 1
        if not self._session.usable or self._mails >= self._rules.session:
            self._disconnect()
        if failure is None:
            self._settle(notice, "sent")
        elif isinstance(failure, Refused):
            self._settle(notice, "refused", str(failure))
        elif isinstance(failure, Unknown):
            self._settle(notice, "unknown", str(failure))
        elif self._clock.time() - notice.made > self._rules.give_up:
            self._settle(notice, "given-up", str(failure))
        else:
            self._settle(notice, "waiting", str(failure))

    def _settle(self, notice: Notice, status: str, error: str = "") -> None:
        if status == "waiting":
            pause = min(PAUSE * 2.0 ** min(notice.tries - 1, DOUBLINGS), LONGEST)
            notice.due = self._clock.time() + pause
        else:
            self._progress.one_done()
        notice.status, notice.error = status, error
        self._done = notice
        level = "info" if status in DONE else "warning"
        self._host.log(f"notice-{status}", level, line=notice.line, trouble=error)

    def _connected(self) -> bool:
        """Opens a session, if there is none. Returns False if the server is away for now.

        Notices are only marked when there is a session, so that a program which is killed while it
        connects leaves none in doubt. Raises Refused, and after `give_up` the other errors.
        """
        try:
            self._session = self._session or smtp.Session(self._smtp, self._clock, self._host)
        except (Unreachable, TryLater) as error:
            if self._clock.time() - self._since > self._rules.give_up:
                raise
            self._host.log("server-away", "warning", trouble=error)
            return False
        return True

    def _disconnect(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session, self._mails = None, 0

    # ── the report ───────────────────────────────────────────────────────────

    def report(self) -> int:
        """Prints what became of all notices. Returns 0 if nobody needs to look at any of them."""
        counts = select(Notice.status, func.count()).group_by(Notice.status)
        settled = Notice.status.not_in((*DONE, *OTHERS))
        others = select(Notice).where(settled).order_by(Notice.line)
        with self._worker.session() as db:
            found = {row[0]: row[1] for row in db.execute(counts)}
            rest = list(db.scalars(others.limit(SHOWN)))
        parts = [f"{count} {status}" for status, count in sorted(found.items())]
        if self._left_out:
            parts.append(f"{self._left_out} lines of the list left out")
        self._host.say(f"{sum(found.values())} notices: {', '.join(parts) or 'none'}")
        for notice in rest:
            about = f"line {notice.line}, {notice.address}: {notice.status}"
            self._host.say(f"{about}: {notice.error}" if notice.error else about)
        fine = sum(found.get(status, 0) for status in (*DONE, *OTHERS))
        more = sum(found.values()) - fine - len(rest)
        if more:
            self._host.say(f"and {more} more, in the table notice")
        return 1 if rest or self._left_out else 0
