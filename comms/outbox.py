"""Mail that waits until it can go: nothing is lost when the server is down, nobody is served twice when it is back.

    outbox.put(message, at=clock.time())         # inside a transaction of the caller's own, if there is one
    for result in outbox.flush(server, clock, host): …

Every recipient has a row of its own, marked before it is tried. A recipient whose fate is unknown (link lost behind the
dot, program killed in the middle) is tried again only if the message was put with `at_least_once=True`: an alert may come
twice, an answer may not.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from comms import smtp
from comms.clock import Clock
from comms.compose import Message
from comms.errors import CommsError, Refused, Unknown, Unreachable
from comms.host import Host
from comms.settings import Server
from comms.state import State

FIRST_PAUSE = 30.0  # seconds before the second try; it doubles from try to try,
LONGEST_PAUSE = 3600.0  # up to this,
GIVE_UP = 5 * 86400.0  # and ends after this (RFC 5321 §4.5.4.1: four to five days)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, sender TEXT NOT NULL, data BLOB NOT NULL,
    made REAL NOT NULL, again INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outbox_recipient (
    mail INTEGER NOT NULL REFERENCES outbox ON DELETE CASCADE, address TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL,
    trouble TEXT NOT NULL DEFAULT '', PRIMARY KEY (mail, address));
"""


@dataclass(frozen=True)
class Result:
    """What became of one message for one recipient: sent, waiting (later again), refused, unknown, or given-up."""

    message_id: str
    address: str
    status: str
    error: str = ""


class Outbox:
    """The waiting mail in a state file. Raises StateError."""

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
    ) -> None:
        """Has a stamped message wait, due at once. With `db`, in the caller's open transaction. Raises ValueError."""
        if db is None:
            with self._state.transaction() as own:
                self.put(message, at, at_least_once, own)
            return
        sender, recipients = message.envelope()
        row = (message.message_id, sender, message.to_bytes(), at, at_least_once)
        mail = db.execute(
            "INSERT INTO outbox (message_id, sender, data, made, again) VALUES (?,?,?,?,?)", row
        ).lastrowid
        for address in recipients:
            db.execute(
                "INSERT INTO outbox_recipient (mail, address, due) VALUES (?, ?, ?)",
                (mail, address, at),
            )

    def waiting(self) -> list[tuple[str, str]]:
        """(Message-ID, address) of everything that still waits."""
        return [(str(message_id), str(address)) for message_id, address in self._state.rows(
            "SELECT message_id, address FROM outbox JOIN outbox_recipient ON mail = id WHERE status = 'waiting' "
            "ORDER BY id, outbox_recipient.rowid"
        )]  # fmt: skip

    def flush(self, server: Server, clock: Clock, host: Host) -> list[Result]:
        """Sends what is due, in one session, and says what became of it. Raises StateError."""
        self._recover()
        due = self._due(clock.time())
        results: list[Result] = []
        session: smtp.Session | None = None
        try:
            for mail, message_id, sender, data, made, again, addresses in due:
                try:
                    if session is None or not session.usable:
                        session = smtp.Session(server, clock, host)
                    self._mark(mail, addresses)
                    troubles: dict[str, CommsError | None] = dict(
                        session.send(sender, addresses, data)
                    )
                except CommsError as error:  # no session, or lost before the dot: nothing was sent
                    troubles = dict.fromkeys(addresses, Unreachable(str(error)))
                results += self._settled(mail, message_id, made, again, troubles, clock.time())
                if any(isinstance(trouble, Unreachable) for trouble in troubles.values()):
                    break  # the others would fare no better; they stay due
        finally:
            if session is not None:
                session.close()
        return results

    def _mark(self, mail: int, addresses: list[str]) -> None:
        """Intent before effect: from here on, dying means that nobody knows."""
        with self._state.transaction() as db:
            for address in addresses:
                db.execute(
                    "UPDATE outbox_recipient SET status = 'sending' WHERE mail = ? AND address = ?",
                    (mail, address),
                )

    def _recover(self) -> None:
        """What a former run marked and never settled is unknown; an alert goes out again."""
        with self._state.transaction() as db:
            db.execute(
                "UPDATE outbox_recipient SET status = CASE WHEN (SELECT again FROM outbox WHERE id = mail) "
                "THEN 'waiting' ELSE 'unknown' END, trouble = 'the program ended while sending' "
                "WHERE status = 'sending'"
            )

    def _due(self, now: float) -> list[tuple[int, str, str, bytes, float, bool, list[str]]]:
        rows = self._state.rows(
            "SELECT id, message_id, sender, data, made, again, address FROM outbox JOIN outbox_recipient ON mail = id "
            "WHERE status = 'waiting' AND due <= ? ORDER BY id, outbox_recipient.rowid", now
        )  # fmt: skip
        mails: dict[int, tuple[int, str, str, bytes, float, bool, list[str]]] = {}
        for mail, message_id, sender, data, made, again, address in rows:
            assert isinstance(mail, int) and isinstance(data, bytes) and isinstance(made, float)
            entry = mails.setdefault(
                mail, (mail, str(message_id), str(sender), data, made, bool(again), [])
            )
            entry[6].append(str(address))
        return list(mails.values())

    def _settled(
        self,
        mail: int,
        message_id: str,
        made: float,
        at_least_once: bool,
        troubles: dict[str, CommsError | None],
        now: float,
    ) -> list[Result]:
        """Writes down what became of each recipient, in one transaction."""
        results = []
        with self._state.transaction() as db:
            for address, trouble in troubles.items():
                status = _status(trouble, at_least_once)
                if status == "waiting" and now - made > GIVE_UP:
                    status = "given-up"
                (tries,) = db.execute(
                    "SELECT tries FROM outbox_recipient WHERE mail = ? AND address = ?",
                    (mail, address),
                ).fetchone()
                pause = min(FIRST_PAUSE * 2**tries, LONGEST_PAUSE)
                db.execute(
                    "UPDATE outbox_recipient SET status = ?, tries = tries + 1, due = ?, trouble = ? "
                    "WHERE mail = ? AND address = ?", (status, now + pause, str(trouble or ""), mail, address)
                )  # fmt: skip
                results.append(Result(message_id, address, status, str(trouble or "")))
            # What is known to be over is forgotten; an unknown fate stays on record under its Message-ID.
            db.execute(
                "DELETE FROM outbox WHERE id = ? AND NOT EXISTS (SELECT 1 FROM outbox_recipient "
                "WHERE mail = id AND status IN ('waiting', 'sending', 'unknown'))", (mail,)
            )  # fmt: skip
        return results


def _status(trouble: CommsError | None, at_least_once: bool) -> str:
    if trouble is None:
        return "sent"
    if isinstance(trouble, Refused):
        return "refused"
    return "unknown" if isinstance(trouble, Unknown) and not at_least_once else "waiting"
