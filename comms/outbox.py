"""A durable queue of outgoing mail.

    outbox.put(message, at=clock.time())             # in the caller's transaction, if there is one
    for result in outbox.flush(server, clock, host):
        ...

Mails survive an outage of the server, and an end of the program. Each recipient has a row, which is
marked before the mail is sent. If the connection is lost after the final dot, or the program is
killed in the middle, it is unknown whether the mail was accepted. Then it is only sent again if it
was put with `at_least_once=True`: an alert may come twice, an answer may not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from comms import smtp
from comms.clock import Clock
from comms.compose import Message
from comms.errors import CommsError, Refused, StateError, Unknown, Unreachable
from comms.host import Host
from comms.settings import Server
from comms.state import State

FIRST_PAUSE = 30.0  # seconds before the second attempt; the pause doubles after each attempt,
LONGEST_PAUSE = 3600.0  # up to this
DOUBLINGS = 16  # of a pause; more would overflow, and a damaged file may hold any number
GIVE_UP = 5 * 86400.0  # seconds after which a mail is given up (RFC 5321 §4.5.4.1: 4 to 5 days)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, sender TEXT NOT NULL,
    data BLOB NOT NULL, made REAL NOT NULL, again INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outbox_recipient (
    mail INTEGER NOT NULL REFERENCES outbox ON DELETE CASCADE, address TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL,
    trouble TEXT NOT NULL DEFAULT '', PRIMARY KEY (mail, address));
"""


@dataclass(frozen=True)
class Result:
    """What happened to one mail for one recipient.

    `status` is sent, waiting (for the next attempt), refused, unknown or given-up.
    """

    message_id: str
    address: str
    status: str
    error: str = ""


@dataclass(frozen=True)
class _Mail:
    """A mail that is due, and the recipients for whom it is."""

    id: int
    message_id: str
    sender: str
    raw: bytes
    made: float
    at_least_once: bool
    recipients: list[str] = field(default_factory=list)


class Transport(Protocol):
    """A way to send mails; smtp.Session is one."""

    @property
    def usable(self) -> bool:
        """Whether another mail may follow."""

    def send(
        self, sender: str, recipients: list[str], raw: bytes
    ) -> Mapping[str, smtp.Failure | None]:
        """Sends one mail. Returns for each recipient None, or why it failed.

        Raises CommsError if nothing was sent to anybody.
        """

    def close(self) -> None:
        """Ends the session. Never raises."""


class Outbox:
    """The queue in a state file. Every method raises StateError."""

    def __init__(self, state: State) -> None:
        self._state = state
        with state.transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)

    def put(
        self,
        message: Message,
        at: float,
        at_least_once: bool = False,
        db: sqlite3.Connection | None = None,
        envelope_sender: str | None = None,
    ) -> None:
        """Adds a stamped message, which is due at once.

        With `db`, in the caller's open transaction. `envelope_sender` is where bounces go, by
        default to the sender; with "" nothing comes back (RFC 3834 §3). Raises ValueError if the
        message is not valid.
        """
        if db is None:
            with self._state.transaction() as own:
                self.put(message, at, at_least_once, own, envelope_sender)
            return
        sender, recipients = message.envelope()
        sender = sender if envelope_sender is None else envelope_sender
        row = (message.message_id, sender, message.to_bytes(), at, at_least_once)
        id = db.execute(
            "INSERT INTO outbox (message_id, sender, data, made, again) VALUES (?, ?, ?, ?, ?)", row
        ).lastrowid
        for address in recipients:
            db.execute(
                "INSERT INTO outbox_recipient (mail, address, due) VALUES (?, ?, ?)",
                (id, address, at),
            )

    def withdraw(self, message_id: str, db: sqlite3.Connection) -> None:
        """Removes a mail as far as it still waits, in the caller's transaction."""
        row = db.execute("SELECT id FROM outbox WHERE message_id = ?", (message_id,)).fetchone()
        if row is not None:
            waits = "DELETE FROM outbox_recipient WHERE status = 'waiting' AND mail = ?"
            db.execute(waits, row)
            _forget(db, row[0])

    def knows(self, message_id: str) -> bool:
        """Returns whether a mail still waits, is being sent, or has an unknown outcome."""
        return bool(self._state.rows("SELECT 1 FROM outbox WHERE message_id = ?", message_id))

    def waiting(self) -> list[tuple[str, str]]:
        """Returns (Message-ID, address) of every recipient whose mail still waits."""
        rows = self._state.rows(
            "SELECT message_id, address FROM outbox JOIN outbox_recipient ON mail = id "
            "WHERE status = 'waiting' ORDER BY id, outbox_recipient.rowid"
        )
        return [(str(message_id), str(address)) for message_id, address in rows]

    def flush(self, server: Server, clock: Clock, host: Host) -> list[Result]:
        """Sends what is due, all of it in one session, and returns the results."""
        return self.flush_by(lambda: smtp.Session(server, clock, host), clock)

    def flush_by(self, connect: Callable[[], Transport], clock: Clock) -> list[Result]:
        """Sends what is due by another way than SMTP, and returns the results."""
        results = self._recover(clock.time())
        due = self._due(clock.time())
        session: Transport | None = None
        errors: dict[str, CommsError | None]
        try:
            for mail in due:
                try:
                    if session is None or not session.usable:
                        session = connect()
                    self._mark(mail)
                    errors = dict(session.send(mail.sender, mail.recipients, mail.raw))
                except CommsError as error:
                    # There is no session, or it was lost before the dot: nothing was sent.
                    errors = dict.fromkeys(mail.recipients, Unreachable(str(error)))
                results += self._settle(mail, errors, clock.time())
                if any(isinstance(error, Unreachable) for error in errors.values()):
                    break  # The other mails would fail in the same way. They stay due.
        finally:
            if session is not None:
                session.close()
        return results

    def _mark(self, mail: _Mail) -> None:
        """Marks the recipients as being sent to.

        If the program dies from here on, the outcome is unknown. Without the mark, the next run
        would take the mail for one that was never sent.
        """
        with self._state.transaction() as db:
            for address in mail.recipients:
                db.execute(
                    "UPDATE outbox_recipient SET status = 'sending' WHERE mail = ? AND address = ?",
                    (mail.id, address),
                )

    def _recover(self, now: float) -> list[Result]:
        """Settles what an earlier run has marked and not settled: it is sent again, or unknown.

        Returns those that are unknown. A mail from the future was put when the clock was ahead. It
        counts from now, so that it is neither given up at once nor tried for years.
        """
        trouble = "the program ended while sending"
        with self._state.transaction() as db:
            db.execute("UPDATE outbox SET made = ? WHERE made > ?", (now, now))
            unknown = db.execute(
                "SELECT message_id, address FROM outbox JOIN outbox_recipient ON mail = id "
                "WHERE status = 'sending' AND NOT again ORDER BY id, outbox_recipient.rowid"
            ).fetchall()
            db.execute(
                "UPDATE outbox_recipient SET status = CASE "
                "WHEN (SELECT again FROM outbox WHERE id = mail) "
                "THEN 'waiting' ELSE 'unknown' END, trouble = ? WHERE status = 'sending'",
                (trouble,),
            )
        return [Result(str(id), str(address), "unknown", trouble) for id, address in unknown]

    def _due(self, now: float) -> list[_Mail]:
        rows = self._state.rows(
            "SELECT id, message_id, sender, data, made, again, address "
            "FROM outbox JOIN outbox_recipient ON mail = id "
            # No pause is longer than the longest: what is due later was put by a wrong clock.
            "WHERE status = 'waiting' AND (due <= ? OR due > ?) "
            "ORDER BY id, outbox_recipient.rowid",
            now,
            now + LONGEST_PAUSE,
        )
        mails: dict[int, _Mail] = {}
        for id, message_id, sender, raw, made, again, address in rows:
            if not (isinstance(id, int) and isinstance(raw, bytes) and isinstance(made, float)):
                raise StateError(f"{self._state.path}: a mail in the outbox is damaged")
            mail = _Mail(id, str(message_id), str(sender), raw, made, bool(again))
            mails.setdefault(id, mail).recipients.append(str(address))
        return list(mails.values())

    def _settle(
        self, mail: _Mail, errors: dict[str, CommsError | None], now: float
    ) -> list[Result]:
        """Stores the outcome for each recipient, in one transaction."""
        results = []
        with self._state.transaction() as db:
            for address, error in errors.items():
                status = _status(error, mail.at_least_once)
                if status == "waiting" and now - mail.made > GIVE_UP:
                    status = "given-up"
                (attempts,) = db.execute(
                    "SELECT tries FROM outbox_recipient WHERE mail = ? AND address = ?",
                    (mail.id, address),
                ).fetchone()
                doublings = attempts if attempts in range(DOUBLINGS) else DOUBLINGS
                pause = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)
                text = str(error or "")
                db.execute(
                    "UPDATE outbox_recipient SET status = ?, tries = tries + 1, due = ?, "
                    "trouble = ? WHERE mail = ? AND address = ?",
                    (status, now + pause, text, mail.id, address),
                )
                results.append(Result(mail.message_id, address, status, text))
            _forget(db, mail.id)
        return results


def _forget(db: sqlite3.Connection, id: int) -> None:
    """Deletes a mail whose outcome is known for everybody.

    An unknown outcome is kept under the Message-ID, so that the administrator can look it up.
    """
    db.execute(
        "DELETE FROM outbox WHERE id = ? AND NOT EXISTS ("
        "SELECT 1 FROM outbox_recipient "
        "WHERE mail = id AND status IN ('waiting', 'sending', 'unknown'))",
        (id,),
    )


def _status(error: CommsError | None, at_least_once: bool) -> str:
    if error is None:
        return "sent"
    if isinstance(error, Refused):
        return "refused"
    return "unknown" if isinstance(error, Unknown) and not at_least_once else "waiting"
