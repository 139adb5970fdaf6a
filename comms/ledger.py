"""What was asked and what became of it, so that nothing is done twice: intent is written down before any effect.

    entry = ledger.intend(db, keys, target, what, facts, now)   # None: one of the keys is known already
    if ledger.begin(entry, now):                                # from here on, dying means that nobody knows
        outcome = …
        ledger.end(db, entry, "done", {…}, now)                 # in the caller's transaction, with what else belongs to it

An entry goes intended → begun → done. One that a dead program has left begun is never begun again; it is reported.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from comms.read import Mail
from comms.state import State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY, target TEXT NOT NULL, what TEXT NOT NULL, facts TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'intended', outcome TEXT NOT NULL DEFAULT '{}',
    intended REAL NOT NULL, begun REAL, ended REAL);
CREATE TABLE IF NOT EXISTS ledger_key (key TEXT PRIMARY KEY, entry INTEGER NOT NULL REFERENCES ledger ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS ledger_try (key TEXT PRIMARY KEY, tries INTEGER NOT NULL);
"""
# Fields that are added on the way; what the author wrote is the rest.
_TRACE = frozenset(
    "return-path received delivered-to x-original-to envelope-to x-envelope-to status x-status x-uidl x-uid "
    "authentication-results received-spf arc-seal arc-message-signature arc-authentication-results dkim-signature".split()
)


def keys(mail: Mail, mailbox: str = "", uid: str = "") -> tuple[str, ...]:
    """What a mail is known by: its Message-ID, and its unique id together with what its author wrote.

    The unique id alone would not do: there are servers that give it again. A mail without a Message-ID is known by what its
    author wrote if that has a Date, else by all its octets, the trace lines too: then two that say the same are two.
    """
    written = hashlib.sha256()
    for name, value in mail.headers:
        if name.casefold() not in _TRACE:
            written.update(f"{name}:{value}\n".encode("utf-8", "replace"))
    written.update(body(mail.raw))
    found = [f"uid:{mailbox}:{uid}:{written.hexdigest()}"] if uid else []
    if mail.message_id:
        return (*found, f"message-id:{mail.message_id}")
    return (
        *found,
        f"digest:{written.hexdigest() if mail.date else hashlib.sha256(mail.raw).hexdigest()}",
    )


def body(raw: bytes) -> bytes:
    """What stands behind the first empty line."""
    ends = [at + len(blank) for blank in (b"\r\n\r\n", b"\n\n") if (at := raw.find(blank)) >= 0]
    return raw[min(ends) :] if ends else b""


@dataclass(frozen=True)
class Entry:
    """A row. `facts` is what the caller wants to know again, `intended` seconds since the epoch."""

    id: int
    target: str
    what: str
    status: str
    intended: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    outcome: Mapping[str, Any] = field(default_factory=dict)


class Ledger:
    """The ledger in a state file. Raises StateError."""

    def __init__(self, state: State) -> None:
        self._state = state
        with state.transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)

    # ── one thing's course ───────────────────────────────────────────────────

    def intend(
        self,
        db: sqlite3.Connection,
        known_by: Iterable[str],
        target: str,
        what: str,
        facts: Mapping[str, Any],
        now: float,
    ) -> int | None:
        """Writes an intent down, in the caller's transaction; None when one of the keys is known: it was asked before."""
        wanted = list(known_by)
        if any(self.find(key) for key in wanted):
            return None
        row = (target, what, json.dumps(facts), now)
        entry = db.execute(
            "INSERT INTO ledger (target, what, facts, intended) VALUES (?, ?, ?, ?)", row
        ).lastrowid
        assert entry is not None
        for key in wanted:
            self.add_key(db, entry, key)
        return entry

    def add_key(self, db: sqlite3.Connection, entry: int, key: str) -> None:
        """Has the entry found by another key too."""
        db.execute("INSERT INTO ledger_key (key, entry) VALUES (?, ?)", (key, entry))

    def begin(self, entry: int, now: float) -> bool:
        """Takes an intent up, if nobody else did and nothing else is under way on its target; says whether."""
        with self._state.transaction() as db:
            return db.execute(
                "UPDATE ledger SET status = 'begun', begun = ? WHERE id = ? AND status = 'intended' AND NOT EXISTS "
                "(SELECT 1 FROM ledger other WHERE other.target = ledger.target AND other.status = 'begun')", (now, entry)
            ).rowcount == 1  # fmt: skip

    def end(
        self,
        db: sqlite3.Connection,
        entry: int,
        status: str,
        outcome: Mapping[str, Any],
        now: float,
    ) -> None:
        """Writes down what became of it, in the caller's transaction."""
        row = (status, json.dumps(outcome), now, entry)
        db.execute("UPDATE ledger SET status = ?, outcome = ?, ended = ? WHERE id = ?", row)

    # ── looking things up ────────────────────────────────────────────────────

    def find(self, key: str) -> Entry | None:
        """The entry that is known by this key."""
        found = self._entries("JOIN ledger_key ON entry = id WHERE key = ?", key)
        return found[0] if found else None

    def entries(self, status: str) -> list[Entry]:
        """All entries of a status, in the order in which they were intended."""
        return self._entries("WHERE status = ? ORDER BY id", status)

    def _entries(self, where: str, *values: object) -> list[Entry]:
        rows = self._state.rows(
            f"SELECT id, target, what, status, intended, facts, outcome FROM ledger {where}",
            *values,
        )
        return [
            Entry(int(str(row[0])), str(row[1]), str(row[2]), str(row[3]), float(str(row[4])), json.loads(str(row[5])),
                  json.loads(str(row[6]))) for row in rows
        ]  # fmt: skip

    # ── what breaks whoever touches it ───────────────────────────────────────

    def attempts(self, key: str) -> int:
        """How often something was tried and neither done nor given up."""
        found = self._state.rows("SELECT tries FROM ledger_try WHERE key = ?", key)
        return int(str(found[0][0])) if found else 0

    def begin_attempt(self, key: str) -> None:
        """One more try begins: written down first, so that it counts even if it is the program's last act."""
        with self._state.transaction() as db:
            db.execute(
                "INSERT INTO ledger_try VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET tries = tries + 1",
                (key,),
            )

    def end_attempt(self, key: str) -> None:
        """It is over: the tries are forgotten."""
        with self._state.transaction() as db:
            db.execute("DELETE FROM ledger_try WHERE key = ?", (key,))
