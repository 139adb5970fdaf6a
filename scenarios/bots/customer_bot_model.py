"""The conversations of customer-bot: with whom, how far, and what was said; and notes."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from comms.bots.network import Heard
from comms.clock import Clock
from comms.state import State

BOT, WAITING, AGENT = "bot", "waiting", "agent"  # who answers: in between, an agent was called
MOST = 10_000  # conversations at once, and messages that are known when they come again
LINES = 1000  # of a transcript, the last ones
MAILS, DAY = 3, 86400.0  # to the team about an account in a day: it may be a program's
AGAIN = 600.0  # seconds in which a message with the same id and text is the same
_SCHEMA = """
CREATE TABLE IF NOT EXISTS talk (
    id INTEGER PRIMARY KEY AUTOINCREMENT, network TEXT NOT NULL, who TEXT NOT NULL,
    facts TEXT NOT NULL, UNIQUE (network, who));
CREATE TABLE IF NOT EXISTS said (
    talk INTEGER NOT NULL REFERENCES talk ON DELETE CASCADE, at REAL NOT NULL,
    name TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS said_in ON said (talk);
CREATE TABLE IF NOT EXISTS heard_before (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS customer_note (
    id INTEGER PRIMARY KEY, customer TEXT NOT NULL, at REAL NOT NULL, who TEXT NOT NULL,
    text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mailed (network TEXT NOT NULL, who TEXT NOT NULL, at REAL NOT NULL);
"""


@dataclass
class Facts:
    """What is known of a conversation. Times are in seconds since the epoch."""

    name: str  # of the customer, as agents see it
    to: dict[str, str]  # where answers go
    last: float  # when something was said last
    customer: str = ""  # the number in the file, "" for an unknown customer
    stage: str = BOT
    since: float = 0.0  # when an agent was called
    called: list[str] = field(default_factory=list)  # agents who know that the customer waits
    agent: str = ""
    network: str = ""  # of the agent, and
    account: str = ""  # where the agent writes
    had_agent: bool = False  # now or before
    offered: list[int] = field(default_factory=list)  # suggestions, by their numbers in the file
    misses: int = 0  # questions in a row that had no answer
    insults: int = 0
    warned: bool = False  # of writing too much


# A stored value is compared with this. Lists are empty, or have these types.
_LIKE: dict[str, Any] = {**asdict(Facts("", {}, 0.0)), "called": [""], "offered": [0]}


@dataclass
class Talk:
    """A conversation with one account."""

    id: int
    network: str
    who: str
    facts: Facts
    # As above, but by a clock that is never set.
    last: float = 0.0
    since: float = 0.0


class Talks:
    """Every open conversation, in memory and in the state file. Raises StateError."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state, self._clock = state, clock
        with state.transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
        self._open: dict[tuple[str, str], Talk] = {}
        for id, network, who, text in state.rows("SELECT id, network, who, facts FROM talk"):
            known = {key: fact for key, fact in state.value(text, _LIKE).items() if key in _LIKE}
            facts = Facts(**{**_LIKE, "offered": [], "called": [], **known})
            talk = Talk(state.value(id, 0), str(network), str(who), facts)
            talk.last, talk.since = map(self._monotonic, (facts.last, facts.since))
            self._open[talk.network, talk.who] = talk

    def __iter__(self) -> Iterator[Talk]:
        return iter(sorted(self._open.values(), key=lambda talk: talk.id))

    def find(self, heard: Heard) -> Talk | None:
        """Returns the conversation with who has said something."""
        return self._open.get((heard.network.name, heard.who))

    def with_agent(self, agent: str) -> Talk | None:
        """Returns the conversation that an agent has."""
        return next((talk for talk in self._open.values() if talk.facts.agent == agent), None)

    def begin(self, db: sqlite3.Connection, heard: Heard, facts: Facts) -> Talk:
        """Begins a conversation. If there are too many, the oldest that the bot has is over."""
        if len(self._open) >= MOST:
            oldest = next((one for one in self._open.values() if one.facts.stage == BOT), None)
            if oldest is not None:
                self.end(db, oldest)
        row = (heard.network.name, heard.who, json.dumps(asdict(facts)))
        id = db.execute("INSERT INTO talk (network, who, facts) VALUES (?, ?, ?)", row).lastrowid
        assert id is not None
        talk = self._open[heard.network.name, heard.who] = Talk(id, *row[:2], facts)
        self.touch(talk)
        return talk

    def touch(self, talk: Talk) -> None:
        """Notes that something was said."""
        talk.facts.last, talk.last = self._clock.time(), self._clock.monotonic()

    def wait(self, talk: Talk) -> None:
        """Notes that an agent is called now."""
        talk.facts.stage, talk.facts.agent, talk.facts.called = WAITING, "", []
        talk.facts.since, talk.since = self._clock.time(), self._clock.monotonic()

    def _monotonic(self, moment: float) -> float:
        """Returns when that was. A moment of an earlier run is known by the other clock only."""
        return self._clock.monotonic() - max(0.0, self._clock.time() - moment)

    def store(self, db: sqlite3.Connection, talk: Talk) -> None:
        """Stores what has changed."""
        row = (json.dumps(asdict(talk.facts)), talk.id)
        db.execute("UPDATE talk SET facts = ? WHERE id = ?", row)

    def end(self, db: sqlite3.Connection, talk: Talk) -> None:
        """Forgets a conversation, and what was said in it."""
        db.execute("DELETE FROM talk WHERE id = ?", (talk.id,))
        del self._open[talk.network, talk.who]

    def add(self, db: sqlite3.Connection, talk: Talk, name: str, text: str) -> None:
        """Adds to the transcript what was said."""
        row = (talk.id, self._clock.time(), name, text)
        db.execute("INSERT INTO said VALUES (?, ?, ?, ?)", row)

    def transcript(self, talk: Talk, most: int = LINES) -> str:
        """Returns the last lines of the transcript, as text."""
        (count,) = self._state.rows("SELECT count(*) FROM said WHERE talk = ?", talk.id)[0]
        rows = self._state.rows(
            "SELECT at, name, text FROM said WHERE talk = ? ORDER BY rowid DESC LIMIT ?",
            talk.id,
            most,
        )
        more = self._state.value(count, 0) - len(rows)
        lines = [f"({more} earlier lines)"] if more else []
        for at, name, text in reversed(rows):
            moment = datetime.fromtimestamp(self._state.value(at, 0.0), UTC)
            lines.append(f"{moment:%H:%M:%S} {name}: {inset(str(text))}")
        return "\n".join(lines)

    def may_mail(self, db: sqlite3.Connection, talk: Talk) -> bool:
        """Returns whether the team may get another mail about this account, and counts it."""
        now = self._clock.time()
        db.execute("DELETE FROM mailed WHERE at <= ? OR at > ?", (now - DAY, now))
        mailed = "SELECT count(*) FROM mailed WHERE network = ? AND who = ?"
        if self._state.rows(mailed, talk.network, talk.who) >= [(MAILS,)]:
            return False
        db.execute("INSERT INTO mailed VALUES (?, ?, ?)", (talk.network, talk.who, now))
        return True

    def heard_before(self, db: sqlite3.Connection, heard: Heard) -> bool:
        """Notes what a message is known by. Returns whether it has come before.

        Some clients count their messages from 1 each time, so an id is one message only with the
        same text, and not for long unless the server has stored it.
        """
        now, digest = self._clock.time(), hashlib.sha256(heard.text.encode("utf-8", "replace"))
        known = "SELECT 1 FROM heard_before WHERE key = ? AND text = ? AND (? OR abs(? - at) < ?)"
        again = [
            bool(self._state.rows(known, key, digest.hexdigest(), heard.delayed, now, AGAIN))
            for key in heard.keys
        ]
        for key in heard.keys:
            row = (key, digest.hexdigest(), now)
            db.execute("INSERT OR REPLACE INTO heard_before VALUES (?, ?, ?)", row)
        latest = "SELECT max(rowid) FROM heard_before"
        db.execute(f"DELETE FROM heard_before WHERE rowid <= ({latest}) - ?", (MOST,))
        return any(again)

    def is_known(self, key: str) -> bool:
        """Returns whether a message came before."""
        return bool(self._state.rows("SELECT 1 FROM heard_before WHERE key = ?", key))

    # ── notes on customers ───────────────────────────────────────────────────

    def add_note(
        self, db: sqlite3.Connection, customer: str, who: str, text: str, now: float
    ) -> int:
        """Adds a note, and returns its number."""
        row = (customer, now, who, text)
        statement = "INSERT INTO customer_note (customer, at, who, text) VALUES (?, ?, ?, ?)"
        return db.execute(statement, row).lastrowid or 0

    def notes(self, customer: str, most: int) -> list[str]:
        """Returns the last notes on a customer, the latest first."""
        rows = self._state.rows(
            "SELECT at, who, text FROM customer_note WHERE customer = ? ORDER BY id DESC LIMIT ?",
            customer,
            most,
        )
        return [
            f"{datetime.fromtimestamp(self._state.value(at, 0.0), UTC):%Y-%m-%d} {who}: {text}"
            for at, who, text in rows
        ]


def inset(text: str) -> str:
    """Returns a text whose further lines cannot be taken for those of another speaker."""
    return text.replace("\n", "\n    ")
