"""The desk of autoresponder: it collects the mail, stores the answers, and sends them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from comms import replies
from comms.clock import Clock, Interrupted
from comms.compose import Message
from comms.errors import CommsError, Refused, RefusedNow, StateError
from comms.host import Host
from comms.ledger import Ledger, keys
from comms.mailbox import Incoming, incoming, open_mailbox
from comms.outbox import Outbox
from comms.quarantine import Quarantine
from comms.read import Mail, read
from comms.settings import Server
from comms.state import State

if TYPE_CHECKING:
    from scenarios.processing.autoresponder import Rules

LIMIT = 1_000_000  # bytes of a mail that is read as a whole
READING = 5.0  # seconds of computing that a mail may cost
DAY = 86400.0  # seconds
TEXT = 100_000  # characters of an answer
_SCHEMA = "CREATE TABLE IF NOT EXISTS answered (who TEXT NOT NULL, address TEXT, at REAL NOT NULL)"


class Desk:
    """The answers of one run. `address_of` and `objection` are those of the page."""

    def __init__(
        self,
        rules: Rules,
        state: State,
        clock: Clock,
        host: Host,
        address_of: Callable[[Mail, Mapping[str, Path]], str],
        objection: Callable[[Mail, str, Rules], str],
    ) -> None:
        self._rules, self._state = rules, state
        self._clock, self._host = clock, host
        self._address_of, self._objection = address_of, objection
        self._ledger, self._outbox = Ledger(state), Outbox(state)
        self._quarantine = Quarantine(state.path.with_suffix(".refused"))
        with state.transaction() as db:
            db.execute(_SCHEMA)

    def collect(self, server: Server) -> int:
        """Stores an answer to each mail that gets one, and empties the mailbox.

        Returns 0, or the exit code of the error that kept the mail from being collected. Raises
        Refused, StateError.
        """
        try:
            with open_mailbox(server, self._clock, self._host) as mailbox:
                mails = incoming(
                    mailbox, self._ledger, server.account, LIMIT, self._host, self._clock.stopping
                )
                # Closed at once after an error, while the attempts can still be stored.
                with contextlib.closing(mails):
                    for arrived in mails:
                        try:
                            self._take(arrived, server.account)
                        except StateError:
                            arrived.blameless = True
                            raise
        except StateError:
            raise
        except CommsError as error:
            self._host.log("mailbox", "warning", trouble=error)
            if isinstance(error, Refused) and not isinstance(error, RefusedNow):
                raise  # a wrong password does not become right by waiting
            return error.exit_code
        return 0

    def send(self, server: Server) -> None:
        """Sends the answers that are due. Raises StateError."""
        for result in self._outbox.flush(server, self._clock, self._host):
            level = "info" if result.status == "sent" else "warning"
            facts = {"to": result.address, "trouble": result.error}
            self._host.log(f"answer-{result.status}", level, **facts)

    def _take(self, arrived: Incoming, place: str) -> None:
        """Stores the answer to a mail, or logs why there is none. Raises StateError."""
        if arrived.problem:
            self._quarantine.keep(arrived.raw, self._clock.time())
            self._host.log("kept", "warning", reason=arrived.problem)
            return
        try:
            with self._clock.limit(READING):
                mail = read(arrived.raw)
                known_by = keys(mail, place, arrived.entry.id)
        except Interrupted as error:
            arrived.leave_on_server = self._clock.stopping()  # it is read after the restart
            if not arrived.leave_on_server:
                self._quarantine.keep(arrived.raw, self._clock.time())
                self._host.log("kept", "warning", reason=error)
            return
        files = {**self._rules.answers, **self._rules.away}
        address = self._address_of(mail, files)
        # A mail to two addresses comes twice, and each of them answers.
        known_by = tuple(f"{address}:{key}" for key in known_by)
        if any(self._ledger.find(key) for key in known_by):
            return
        reason = self._objection(mail, address, self._rules)
        # RFC 3834 §4: a service answers to Reply-To, a person to the envelope sender.
        person = address in self._rules.away
        to = (replies.return_path(mail) or "") if person else replies.reply_address(mail)
        reason = reason or self._over_limit(to, address, person)
        answer = None
        if not reason:
            try:
                text = files[address].read_bytes().decode("utf-8-sig")[:TEXT]
                answer = self._answer(mail, address, to, text)
            except (OSError, UnicodeDecodeError) as error:
                # The text of an OSError has the whole path, which is another one in each folder.
                trouble = getattr(error, "strerror", None) or "not a text file in UTF-8"
                self._host.log("no-text", "error", file=files[address].name, trouble=trouble)
                arrived.leave_on_server = True  # until the file is there again
                return
            except ValueError as error:  # no mail can go there
                reason = f"it cannot be answered: {error}"
        self._store(known_by, mail, address, to, answer, reason)

    def _over_limit(self, to: str, address: str, person: bool) -> str:
        """Returns why a sender gets no further answer, or "". Robots without marks end here."""
        seconds, most = (self._rules.again, 1) if person else (DAY, self._rules.limit)
        now, sql = self._clock.time(), "SELECT at FROM answered WHERE who = ? AND address = ?"
        times = [
            self._state.value(row[0], 0.0) for row in self._state.rows(sql, to.casefold(), address)
        ]
        recent = sum(abs(now - at) < seconds for at in times)
        return "the sender has had enough answers" if recent >= most else ""

    def _answer(self, mail: Mail, address: str, to: str, text: str) -> Message:
        subject = f"Auto: {mail.subject}".strip()
        answer = replies.reply(mail, to, address, text, subject).stamped(self._clock, self._host)
        answer.to_bytes()
        return answer

    def _store(
        self,
        known_by: tuple[str, ...],
        mail: Mail,
        address: str,
        to: str,
        answer: Message | None,
        reason: str,
    ) -> None:
        """Stores what became of a mail, and its answer, in one transaction."""
        now = self._clock.time()
        with self._state.transaction() as db:
            entry = self._ledger.intend(db, known_by, "", "answer", {"to": to}, now)
            assert entry is not None, "the keys are new"
            outcome = {"reason": reason}
            self._ledger.end(db, entry, "silent" if reason else "done", outcome, now)
            self._ledger.forget(db, now - 400 * DAY)
            db.execute("DELETE FROM answered WHERE at < ?", (now - max(DAY, self._rules.again),))
            if answer is not None:
                row = (to.casefold(), address, now)
                db.execute("INSERT INTO answered (who, address, at) VALUES (?, ?, ?)", row)
                # RFC 3834 §3: the null sender, so that no bounce comes back.
                self._outbox.put(answer, now, db=db, envelope_sender="")
        who = mail.sender.address if mail.sender else "nobody"
        if reason:
            self._host.log("silent", who=who, address=address, reason=reason)
        else:
            self._host.log("answered", who=who, address=address)
