"""The desk of order-receipt: reads what was paid, and tells the owner what went wrong."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from comms.addresses import ascii_domain, parse_one
from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.settings import Settings
from comms.words import one_line
from scenarios.delivery import Delivery
from scenarios.growing import lines, mark, resumed
from scenarios.models import Worker
from scenarios.sending.order_receipt_input import Order, checked, digest, number_of, read
from scenarios.sending.order_receipt_model import Alert, Place, Problem, Receipt

if TYPE_CHECKING:
    from scenarios.sending.order_receipt import Rules

BATCH = 200  # lines in one transaction
LISTED = 100  # problems in one mail to the owner; more are in the next one
NEVER_SENT = ("flagged", "refused")  # no server has accepted the mail: a correction is welcome
BAD = (*NEVER_SENT, "given-up", "unknown")
ADVICE = """
An order of which no receipt was accepted (flagged, refused) is tried again when {file} lists it
again with other content. A receipt that is unknown may have arrived, and is not sent again.
"""


def message_id(sender: str, about: str) -> str:
    """Returns a Message-ID that is always the same for the same text."""
    domain = ascii_domain(parse_one(sender).address.rpartition("@")[2])
    return f"<{hashlib.sha256(about.encode()).hexdigest()[:32]}@{domain}>"


class Desk:
    """The work of one worker. `compose` raises ValueError for an order that cannot be written."""

    def __init__(
        self,
        rules: Rules,
        settings: Settings,
        clock: Clock,
        host: Host,
        worker: Worker,
        compose: Callable[[Order, float], Message],
    ) -> None:
        self._rules, self._clock, self._host, self._worker = rules, clock, host, worker
        self._compose, self._sender = compose, parse_one(rules.sender).address
        self._left_out = 0  # lines of the file
        server, place = settings.server("smtp"), (clock, host, worker)
        self._server = f"{server.host}:{server.port}"  # in errors
        self._receipts = Delivery(Receipt, self._receipt, server, *place, give_up=rules.give_up)
        # A warning that the owner gets twice is better than one that is lost.
        self._alerts = Delivery(
            Alert, self._alert, server, *place, give_up=rules.give_up, repeat=True
        )

    def _receipt(self, row: Receipt) -> tuple[str, Message]:
        return self._sender, self._compose(checked(row.content), row.made)

    def _alert(self, row: Alert) -> tuple[str, Message]:
        id = message_id(self._sender, f"alert {row.id} {row.made}")
        headers = [("Auto-Submitted", "auto-generated")]
        return self._sender, Message(
            self._rules.sender,
            [row.address],
            row.subject,
            row.text,
            headers=headers,
            date=row.made,
            message_id=id,
        )

    def send(self) -> None:
        """Sends what is due. Raises CommsError."""
        # Of a worker that has died, it is unknown whether its last receipt arrived.
        self._worker.recover(Receipt, "unknown")
        self._worker.recover(Alert, "waiting")
        self._receipts.send()
        self._tell()
        self._alerts.send()

    # ── what was paid ────────────────────────────────────────────────────────

    def take(self) -> None:
        """Adds a receipt for each order that is new in the file."""
        try:
            while self._take_some():
                pass
        except FileNotFoundError:
            pass  # nothing was ordered yet
        except OSError as error:
            self._host.log("orders-unreadable", "warning", trouble=str(error.strerror))

    def _take_some(self) -> bool:
        """Reads some lines in one transaction. Returns whether there may be more."""
        file, key = self._rules.orders, str(self._rules.orders)
        try:
            with self._worker.session() as db, db.begin():
                # Locked: another worker goes on where this one ends.
                place = db.get(Place, key, with_for_update=True)
                if place is None:
                    place = Place(file=key, offset=0, line=0, mark="")
                    db.add(place)
                    db.flush()
                place.offset = resumed(file, place.offset, place.mark)
                place.line = place.line if place.offset else 0
                found = list(itertools.islice(lines(file, place.offset), BATCH))
                for raw, end in found:
                    place.line, place.offset = place.line + 1, end
                    self._enter(db, raw, place.line)
                place.mark = mark(file, place.offset)
        except IntegrityError:
            return True  # another worker was the first to read the file
        return len(found) == BATCH

    def _enter(self, db: Session, raw: bytes, line: int) -> None:
        if not raw.strip():
            return
        try:
            content = read(raw)
            order = number_of(content)
        except ValueError as error:
            self._leave_out(db, hashlib.sha256(raw).hexdigest(), f"line {line}: {error}")
            return
        problem = ""
        try:
            content = checked(content).table()
        except ValueError as error:
            problem = str(error)
        version = digest(content)
        row = db.scalar(select(Receipt).where(Receipt.order == order))
        if row is None:
            row = Receipt(order=order, seen=[version], made=self._clock.time(), tries=0)
            db.add(row)
        elif version in row.seen:
            self._host.log("order-listed-again", line=line, order=order)
            return
        else:
            row.seen = [*row.seen, version]
            if row.status not in NEVER_SENT:
                text = f"line {line}: order {order} is listed again with other content"
                was = f"its receipt is {row.status}, and no second one is sent"
                self._leave_out(db, version, f"{text}; {was}")
                return
        self._fill(row, content, problem)
        if problem:
            self._host.log("order-flagged", "warning", line=line, order=order, trouble=problem)

    def _fill(self, row: Receipt, content: dict[str, Any], problem: str) -> None:
        row.content, row.error = content, problem
        row.status, row.due = "flagged" if problem else "waiting", self._clock.time()
        row.address = one_line(str(content.get("address", "")))[:200]
        row.domain = row.address.rpartition("@")[2].casefold()

    def _leave_out(self, db: Session, key: str, text: str) -> None:
        self._left_out += 1
        self._host.log("line-left-out", "warning", trouble=text)
        if db.get(Problem, key) is None:
            db.add(Problem(key=key, text=f"{self._rules.orders.name}: {text}", told=False))

    def try_flagged_again(self) -> None:
        """Lets the flagged orders wait that can be written now: a font was set, for example."""
        flagged = select(Receipt).where(Receipt.status == "flagged")
        with self._worker.session() as db, db.begin():
            for row in db.scalars(flagged):
                try:
                    self._receipt(row)[1].envelope()
                except ValueError:
                    continue
                row.status, row.error, row.due = "waiting", "", self._clock.time()

    # ── what the owner should know ───────────────────────────────────────────

    def _tell(self) -> None:
        """Writes a mail to the owner about what they do not know yet, after a pause."""
        now, rules = self._clock.time(), self._rules
        bad = select(Receipt).where(Receipt.status.in_(BAD), Receipt.told != Receipt.error)
        lines = select(Problem).where(Problem.told.is_(False))
        with self._worker.session() as db, db.begin():
            last = db.scalar(select(func.max(Alert.made)))
            if last is not None and 0 <= now - last < rules.pause:
                return
            said = []
            for row in db.scalars(bad.limit(LISTED).with_for_update(skip_locked=True)):
                error = row.error.replace(self._server, "the mail server")
                said.append(f"order {row.order}, {row.address}: {row.status}: {error}")
                row.told = row.error
            for line in db.scalars(lines.limit(LISTED).with_for_update(skip_locked=True)):
                said.append(line.text)
                line.told = True
            if said:
                what = "1 order needs" if len(said) == 1 else f"{len(said)} orders need"
                text = "".join(f"{one}\n" for one in said) + ADVICE.format(file=rules.orders.name)
                domain = rules.owner.rpartition("@")[2].casefold()
                alert = Alert(address=rules.owner, domain=domain, made=now, due=now)
                alert.subject, alert.text = f"{what} a look", text
                db.add(alert)

    def report(self) -> int:
        """Prints what became of the orders. Returns 0 if nobody needs to look at any of them."""
        lines = "1 line" if self._left_out == 1 else f"{self._left_out} lines"
        return self._receipts.report(*[f"{lines} left out"] if self._left_out else [])
