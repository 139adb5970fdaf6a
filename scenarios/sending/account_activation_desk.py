"""The desk of account-activation: takes requests, activates accounts, and sends the mails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Engine, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from comms import smtp
from comms.clock import Clock
from comms.compose import Message
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.settings import Server
from scenarios.models import Worker
from scenarios.sending.account_activation_model import Account, Asked
from scenarios.web import Tokens

if TYPE_CHECKING:
    from scenarios.sending.account_activation import Rules

Compose = Callable[[str, str, str], Message]  # of an address, a template and a token

ACTIVATE, ALREADY = "activate", "already-active"  # the templates
TURNS = 0x61637476  # the lock of PostgreSQL under which requests are counted
PAUSE = 30.0  # seconds before a mail is tried again; it doubles after each attempt,
LONGEST = 1800.0  # up to this
DOUBLINGS = 16  # more would make no difference
HOUR = 3600.0  # seconds
KEPT = 30 * 24 * HOUR  # seconds after which a sign-up that was never activated is forgotten


def same(address: str) -> str:
    """Returns what two addresses have in common that are the same for us.

    Only ASCII letters: other ones may look, or fold, like those of another person's address.
    """
    return "".join(c.lower() if c.isascii() else c for c in address)


class Desk:
    """What the pages ask for, in a database that several programs may share.

    Whether an address is known, unknown or active makes no difference to what the client gets, nor
    to which statements run: one row is stored for each request, and mails are sent later.
    """

    def __init__(
        self, rules: Rules, engine: Engine, tokens: Tokens, clock: Clock, host: Host
    ) -> None:
        self._rules, self._engine, self._tokens = rules, engine, tokens
        self._clock, self._host = clock, host

    def ask(self, address: str, name: str, client: str, form: str) -> bool:
        """Takes a request: a sign-up if it has a name, else one for another mail.

        Returns False if the client has asked for too much. An address that has got too many mails
        gets no more for a while, which the client is not told.
        """
        now, key = self._clock.time(), same(address)
        # A form that was corrected, in a page that the browser still has, is another request.
        form = f"{form} {hashlib.sha256(repr((address, name)).encode()).hexdigest()[:20]}"
        recent = select(func.count()).where(Asked.made > now - self._rules.window)
        with Session(self._engine) as db, db.begin():
            self._take_turns(db)
            if (db.scalar(recent.where(Asked.client == client)) or 0) >= self._rules.requests:
                self._host.log("client-limited", "warning", client=client)
                return False
            mails = db.scalar(recent.where(Asked.key == key)) or 0
            repeated = db.scalar(select(Asked.id).where(Asked.form == form)) is not None
            signed_up = select(Asked).where(Asked.key == key, Asked.name != "")
            last = db.scalar(signed_up.order_by(Asked.id.desc()).limit(1))
            active = db.get(Account, key)
            if repeated or mails >= self._rules.mails:
                self._host.log("not-asked-again", address=address)
                return True
            # A mail goes where the sign-up has said, however a later request writes the address.
            if not name and last is not None:
                name, address = last.name, last.address
            template = ALREADY if active else ACTIVATE if name else ""
            asked = Asked(
                form=form,
                key=key,
                address=active.address if active else address,
                name=name,
                client=client,
                made=now,
                due=now,
                template=template,
                token=self._host.token(24),
                status="waiting" if template else "none",
            )
            db.add(asked)
        return True

    def signed_up(self, token: str) -> Asked | None:
        """Returns the sign-up that a token would activate; None if it would none."""
        with Session(self._engine, expire_on_commit=False) as db, db.begin():
            asked = self._found(db, token)
            return asked if asked and db.get(Account, asked.key) is None else None

    def activate(self, token: str, form: str) -> bool:
        """Activates an account once. Returns whether it is active by this form.

        So a double click, and a browser that sends the form again because no answer came, see that
        it has worked.
        """
        with Session(self._engine, expire_on_commit=False) as db:
            try:
                with db.begin():
                    asked = self._found(db, token)
                    if asked is None:
                        self._host.log("link-refused")
                        return False
                    active = db.get(Account, asked.key)
                    if active is None:
                        db.add(
                            Account(
                                key=asked.key,
                                address=asked.address,
                                name=asked.name,
                                form=form,
                                activated=self._clock.time(),
                            )
                        )
            except IntegrityError:  # another click was faster
                with db.begin():
                    active = db.get(Account, asked.key) if asked else None
        if active is None:
            self._host.log("activated", address=asked.address if asked else "")
            return True
        if active.form != form:
            self._host.log("link-refused")
        return active.form == form

    def _found(self, db: Session, token: str) -> Asked | None:
        # The signature is checked first: nothing that was guessed reaches the database.
        text = self._tokens.read(token, self._rules.valid)
        found = select(Asked).where(Asked.token == text, Asked.template == ACTIVATE)
        return db.scalar(found) if text else None

    def _take_turns(self, db: Session) -> None:
        # Two requests at once must not both be the last one that is allowed. SQLite takes turns
        # by itself (scenarios/models.py).
        if self._engine.dialect.name == "postgresql":
            db.execute(select(func.pg_advisory_xact_lock(TURNS)))


class Postman:
    """Sends the mails of one worker, each at most once."""

    def __init__(
        self,
        worker: Worker,
        server: Server,
        give_up: float,
        compose: Compose,
        clock: Clock,
        host: Host,
    ) -> None:
        self._worker, self._server, self._give_up = worker, server, give_up
        self._compose, self._clock, self._host = compose, clock, host
        self._again = 0.0  # when the server is tried again, on the monotonic clock
        self._pause = PAUSE
        self._forget_at = 0.0

    def work(self) -> None:
        """Sends what is due, and forgets what is old."""
        if self._clock.monotonic() >= self._forget_at:
            self._forget_at = self._clock.monotonic() + HOUR
            self._tidy(self._clock.time())
        if not self._any(Asked.status.in_(("waiting", "working"))):
            return
        # Of a worker that has died, it is unknown whether its last mail arrived.
        if count := self._worker.recover(Asked, "unknown"):
            self._host.log("mails-unknown", "warning", count=count)
        if self._clock.monotonic() >= self._again:
            self._send()

    def _tidy(self, now: float) -> None:
        # No pause is longer than the longest: what is due later was put by a wrong clock.
        late = update(Asked).where(Asked.status == "waiting", Asked.due > now + LONGEST)
        with self._worker.session() as db, db.begin():
            db.execute(delete(Asked).where(Asked.made < now - KEPT))
            db.execute(late.values(due=now))

    def _any(self, *where: ColumnElement[bool]) -> bool:
        with self._worker.session() as db, db.begin():
            return db.scalar(select(Asked.id).where(*where).limit(1)) is not None

    def _send(self) -> None:
        now, session = self._clock.time(), None
        try:
            # A mail is only marked when there is a session, so that a program which is killed
            # while it connects leaves none in doubt.
            due = (Asked.status == "waiting", Asked.due <= now)
            while self._any(*due) and not self._clock.stopping():
                if session is None or not session.usable:
                    session = smtp.Session(self._server, self._clock, self._host)
                    self._pause = PAUSE
                asked = self._worker.claim(Asked, now)
                if asked is None:
                    break  # another worker was faster
                self._settle(asked, self._sent(asked, session))
                self._worker.store(asked)
        except (Unreachable, TryLater, Refused) as error:
            # The pages go on: people can sign up while the mail server is away.
            self._again = self._clock.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST)
            self._host.log("server-away", "warning", trouble=error)
        finally:
            if session is not None:
                session.close()

    def _sent(self, asked: Asked, session: smtp.Session) -> CommsError | None:
        try:
            mail = self._compose(asked.address, asked.template, asked.token)
            raw = mail.stamped(self._clock, self._host).to_bytes()
            sender, _ = mail.envelope()
        except ValueError as error:
            return Refused(str(error))
        try:
            return session.send(sender, [asked.address], raw)[asked.address]
        except Unreachable as error:
            return error  # lost before the final dot: nothing was sent

    def _settle(self, asked: Asked, failure: CommsError | None) -> None:
        now = self._clock.time()
        asked.status, asked.error = "sent", str(failure or "")
        if isinstance(failure, Refused):
            asked.status = "refused"
        elif isinstance(failure, Unknown):
            asked.status = "unknown"
        elif failure is not None:
            asked.status = "given-up" if now - asked.made > self._give_up else "waiting"
            asked.due = now + min(PAUSE * 2.0 ** min(asked.tries - 1, DOUBLINGS), LONGEST)
        level = "warning" if failure else "info"
        self._host.log(f"mail-{asked.status}", level, to=asked.address, trouble=asked.error)

    def report(self) -> None:
        """Prints how many mails there were, and the unknown ones."""
        counts = select(Asked.status, func.count()).group_by(Asked.status)
        unknown = select(Asked).where(Asked.status == "unknown").order_by(Asked.id)
        with self._worker.session() as db, db.begin():
            found = sorted((row[0], row[1]) for row in db.execute(counts))
            doubtful = list(db.scalars(unknown))
        parts = [f"{count} {status}" for status, count in found]
        self._host.say(f"requests: {', '.join(parts) or 'none'}")
        for asked in doubtful:
            self._host.say(f"{asked.address}: unknown: {asked.error}")
