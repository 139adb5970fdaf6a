"""A durable record of requested commands and their outcomes, so that no command runs twice.

    entry = ledger.intend(db, keys, target, what, facts, now)   # None if a key is already known
    if ledger.begin(entry, now):
        outcome = …                                             # run the command
        ledger.end(db, entry, "done", {…}, now)                 # in the caller's transaction

An entry goes from `intended` to `begun` to `done` (or another final status). The intent is stored
before the command runs. If the program dies while the command is running, the entry stays `begun`:
whether the command took effect is unknown. It is reported, and not run again.
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
CREATE TABLE IF NOT EXISTS ledger_key (
    key TEXT PRIMARY KEY, entry INTEGER NOT NULL REFERENCES ledger ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS ledger_try (key TEXT PRIMARY KEY, tries INTEGER NOT NULL);
"""
# Header fields that the author wrote. Servers add many others on the way.
_WRITTEN = frozenset(
    "from sender reply-to to cc subject date message-id in-reply-to references".split()
)


def keys(mail: Mail, mailbox: str = "", uid: str = "") -> tuple[str, ...]:
    """Returns the keys by which a mail is recognised when it comes again.

    Each contains a digest of what the author wrote. A unique id in the mailbox alone would not do,
    because some servers use ids again, nor would a Message-ID, because some devices and scripts
    send the same one in every mail (see `message_id_key`).

    Without Message-ID and Date, two mails with the same text may be two requests, so the digest
    includes the trace fields.
    """
    digest = _digest(mail)
    found = [f"uid:{mailbox}:{uid}:{digest}"] if uid else []
    if mail.message_id:
        return (*found, f"message-id:{mail.message_id}:{digest}")
    if not mail.date:
        digest = hashlib.sha256(mail.raw).hexdigest()
    return (*found, f"digest:{digest}")


def message_id_key(mail: Mail) -> str:
    """Returns a key of the Message-ID alone, "" if there is none."""
    return f"message-id:{mail.message_id}" if mail.message_id else ""


def _digest(mail: Mail) -> str:
    """Returns a digest of what the author wrote, however servers have encoded it on the way."""
    written = hashlib.sha256()

    def add(name: str, value: bytes) -> None:
        # With its length, so that no value can pretend to be two.
        written.update(f"{name}:{len(value)}:".encode() + value)

    for name, text in mail.headers:
        if name.casefold() in _WRITTEN:
            add(name.casefold(), " ".join(text.split()).encode("utf-8", "replace"))
    for text in (mail.text, mail.html or ""):
        add("text", text.rstrip().encode("utf-8", "replace"))
    for attachment in mail.attachments:
        add(attachment.name, attachment.content.rstrip())
    return written.hexdigest()


@dataclass(frozen=True)
class Entry:
    """A command in the ledger.

    `facts` is what the caller wants to know when it reports the outcome. `intended` is in seconds
    since the epoch.
    """

    id: int
    target: str
    what: str
    status: str
    intended: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    outcome: Mapping[str, Any] = field(default_factory=dict)


class Ledger:
    """The ledger in a state file. Every method raises StateError."""

    def __init__(self, state: State) -> None:
        self._state = state
        with state.transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)

    # ── the course of a command ──────────────────────────────────────────────

    def intend(
        self,
        db: sqlite3.Connection,
        known_by: Iterable[str],
        target: str,
        what: str,
        facts: Mapping[str, Any],
        now: float,
    ) -> int | None:
        """Stores an intent, in the caller's transaction, and returns its id.

        Returns None if one of the keys in `known_by` is known: the request came before.
        """
        known_by = list(known_by)
        if any(self.find(key) for key in known_by):
            return None
        row = (target, what, json.dumps(facts), now)
        entry = db.execute(
            "INSERT INTO ledger (target, what, facts, intended) VALUES (?, ?, ?, ?)", row
        ).lastrowid
        assert entry is not None
        for key in known_by:
            self.add_key(db, entry, key)
        return entry

    def add_key(self, db: sqlite3.Connection, entry: int, key: str) -> None:
        """Makes the entry known by another key, in the caller's transaction."""
        db.execute("INSERT INTO ledger_key (key, entry) VALUES (?, ?)", (key, entry))

    def begin(self, entry: int, now: float) -> bool:
        """Marks an intent as begun; returns whether the caller may now run the command.

        It may not if another process has begun it, or if another command on the same target is
        running. A single UPDATE decides, so that two processes cannot both get True.
        """
        with self._state.transaction() as db:
            cursor = db.execute(
                "UPDATE ledger SET status = 'begun', begun = ? "
                "WHERE id = ? AND status = 'intended' AND NOT EXISTS ("
                "SELECT 1 FROM ledger other "
                "WHERE other.target = ledger.target AND other.status = 'begun')",
                (now, entry),
            )
            return cursor.rowcount == 1

    def change(
        self,
        db: sqlite3.Connection,
        entry: int,
        target: str,
        what: str,
        facts: Mapping[str, Any],
    ) -> None:
        """Replaces what an intent is, such as a phrase by the command that it confirms."""
        row = (target, what, json.dumps(facts), entry)
        db.execute("UPDATE ledger SET target = ?, what = ?, facts = ? WHERE id = ?", row)

    def forget(self, db: sqlite3.Connection, before: float) -> dict[str, int]:
        """Removes the entries that ended before this time; returns how many there were of what.

        A message that one of them was known by is unknown again.
        """
        rows = self._state.rows(
            "SELECT what, count(*) FROM ledger WHERE ended < ? GROUP BY what ORDER BY 2 DESC, 1",
            before,
        )
        db.execute("DELETE FROM ledger WHERE ended < ?", (before,))
        return {str(what): self._state.value(count, 0) for what, count in rows}

    def end(
        self,
        db: sqlite3.Connection,
        entry: int,
        status: str,
        outcome: Mapping[str, Any],
        now: float,
    ) -> None:
        """Stores the outcome of a command, in the caller's transaction."""
        row = (status, json.dumps(outcome), now, entry)
        db.execute("UPDATE ledger SET status = ?, outcome = ?, ended = ? WHERE id = ?", row)

    # ── queries ──────────────────────────────────────────────────────────────

    def find(self, key: str) -> Entry | None:
        """Returns the entry that is known by this key."""
        found = self._entries("JOIN ledger_key ON entry = id WHERE key = ?", key)
        return found[0] if found else None

    def before(self, entry: Entry, who: str, seconds: float) -> Entry | None:
        """Returns the last order of the same command by the same person before this entry.

        It counts until that many seconds after it has ended. One that was never run, or has failed,
        does not count: the person has been told, and is right to repeat it.
        """
        if not seconds:
            return None
        found = self._entries(
            "WHERE id < ? AND what = ? AND status IN ('intended', 'begun', 'done', 'unknown') "
            "AND (ended IS NULL OR ? - ended <= ?) ORDER BY id DESC",
            entry.id,
            entry.what,
            entry.intended,
            seconds,
        )
        return next((other for other in found if other.facts.get("who") == who), None)

    def not_done(self, first: int, last: int) -> Entry | None:
        """Returns the first of the entries with these ids that is not `done`."""
        found = self._entries(
            "WHERE id BETWEEN ? AND ? AND status != 'done' ORDER BY id", first, last
        )
        return found[0] if found else None

    def entries(self, status: str) -> list[Entry]:
        """Returns the entries with a status, in the order in which they were intended."""
        return self._entries("WHERE status = ? ORDER BY id", status)

    def _entries(self, where: str, *values: object) -> list[Entry]:
        columns = "id, target, what, status, intended, facts, outcome"
        return [
            Entry(
                id=self._state.value(id, 0),
                target=str(target),
                what=str(what),
                status=str(status),
                intended=float(self._state.value(intended, 0.0)),
                facts=self._state.value(facts, {}),
                outcome=self._state.value(outcome, {}),
            )
            for id, target, what, status, intended, facts, outcome in self._state.rows(
                f"SELECT {columns} FROM ledger {where}", *values
            )
        ]

    # ── attempts to read a mail (comms.mailbox.Attempts) ─────────────────────

    def attempts(self, key: str) -> int:
        """Returns the number of attempts that were begun and neither finished nor given up."""
        found = self._state.rows("SELECT tries FROM ledger_try WHERE key = ?", key)
        return int(self._state.value(found[0][0], 0)) if found else 0

    def begin_attempt(self, key: str) -> None:
        """Counts one more attempt. It is stored first, so that it counts even if it is fatal."""
        with self._state.transaction() as db:
            db.execute(
                "INSERT INTO ledger_try VALUES (?, 1) "
                "ON CONFLICT (key) DO UPDATE SET tries = tries + 1",
                (key,),
            )

    def end_attempt(self, key: str) -> None:
        """Forgets the attempts."""
        with self._state.transaction() as db:
            db.execute("DELETE FROM ledger_try WHERE key = ?", (key,))
