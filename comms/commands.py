"""Commands that people send: what may be said, by whom, and each done once. The door (mail, chat) is somebody else's.

    commands = Commands(state, {"restart mysql": Verb(("systemctl", "restart", "mariadb"), "mysql")}, rights, clock, host)
    commands.recover(report)                                     # what a dead program left unfinished is reported
    order = commands.order(who, text, known_by=keys, facts={…})  # raises Refusal
    commands.perform(report)                                     # runs what waits; report(db, order, outcome) answers

An order is started at most once. What was started and never finished is reported as that, and not run again. Finishing
and whatever `report` puts down (an answer in the outbox) commit together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from comms import words
from comms.clock import Clock
from comms.host import Host, Outcome, OutcomeLike
from comms.ledger import Entry, Ledger
from comms.state import State
from comms.suggest import did_you_mean

AUDIT = 10_000  # rows of the audit that are kept
LONGEST = 200  # characters of a command

_SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (
    at REAL NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, verdict TEXT NOT NULL, detail TEXT NOT NULL);
"""

Report = Callable[[sqlite3.Connection, "Order", OutcomeLike], None]


@dataclass(frozen=True)
class Verb:
    """What a command does: a command line without a shell, the thing it does it to, and the seconds it may take."""

    command: tuple[str, ...]
    target: str
    timeout: float = 60.0


@dataclass(frozen=True)
class Order:
    """A command that was accepted. `facts` is what the door wants to know again when it answers."""

    id: int
    verb: str
    who: str
    facts: Mapping[str, Any]


class Refusal(Exception):
    """A command that will not be done; `reason` is for the log, and for those who may know."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def phrase(text: str) -> str:
    """The one form of a command: `  Restart\\nMySQL ` is `restart mysql`."""
    return " ".join(words.one_line(text).casefold().split())


class Commands:
    """The commands of one program. `rights`: who (any form that the door vouches for) → the verbs allowed, `*` for all."""

    def __init__(
        self, state: State, verbs: Mapping[str, Verb], rights: Mapping[str, Iterable[str]], clock: Clock, host: Host
    ) -> None:
        self.verbs = dict(verbs)
        self.rights = {who: frozenset(allowed) for who, allowed in rights.items()}
        self.ledger = Ledger(state)
        self._state, self._clock, self._host = state, clock, host
        with state.transaction() as db:
            db.execute(_SCHEMA)

    def allowed(self, who: str) -> list[str]:
        """What this person may say: what `help` shows."""
        mine = self.rights.get(who, frozenset())
        return [verb for verb in self.verbs if "*" in mine or verb in mine]

    def order(self, who: str, text: str, known_by: Iterable[str], facts: Mapping[str, Any] | None = None) -> Order:
        """Accepts a command and writes it down; nothing is done yet. Raises Refusal, StateError.

        `known_by`: what its message is known by; a message that was here before is refused. What is no command is
        accepted from those who have rights: it comes to nothing, and its report says what they may say.
        """
        verb = phrase(text)[:LONGEST]
        if who not in self.rights:
            raise Refusal("a stranger")
        if verb in self.verbs and verb not in self.allowed(who):
            raise Refusal(f"{who} may not {verb}")
        target = self.verbs[verb].target if verb in self.verbs else ""
        now = self._clock.time()
        said = {"who": who, **(facts or {})}
        with self._state.transaction() as db:
            entry = self.ledger.intend(db, known_by, target, verb, said, now)
            if entry is not None:
                self.note(db, who, verb, "accepted")
        if entry is None:
            raise Refusal("it was here before")
        return Order(entry, verb, who, said)

    def perform(self, report: Report) -> list[tuple[Order, OutcomeLike]]:
        """Runs what was accepted, one after the other, oldest first; `report` answers. Raises StateError."""
        done = []
        for entry in self.ledger.entries("intended"):
            if not self.ledger.begin(entry.id, self._clock.time()):
                continue  # something else is under way on its target: it waits
            order = _order(entry)
            verb = self.verbs.get(order.verb)
            outcome: OutcomeLike = self._host.run(verb.command, verb.timeout) if verb else self._no_command(order)
            self._end(order, outcome, "done" if outcome.code == 0 else "failed", report)
            done.append((order, outcome))
        return done

    def recover(self, report: Report) -> list[Order]:
        """Reports what a dead program has left begun; only the sole owner of the state may ask. Raises StateError."""
        left = [_order(entry) for entry in self.ledger.entries("begun")]
        for order in left:
            trouble = "it was started, and the program ended before it did: whether it was done is not known"
            self._end(order, Outcome(None, "", 0.0, trouble), "unknown", report)
        return left

    def _no_command(self, order: Order) -> Outcome:
        known = self.allowed(order.who)
        meant = did_you_mean(order.verb, known)
        return Outcome(None, "", 0.0, f"this is no command{meant}; you may say: {', '.join(known)}")

    def _end(self, order: Order, outcome: OutcomeLike, status: str, report: Report) -> None:
        with self._state.transaction() as db:
            facts = {"code": outcome.code, "seconds": round(outcome.seconds, 3), "trouble": outcome.error}
            self.ledger.end(db, order.id, status, facts, self._clock.time())
            self.note(db, order.who, order.verb, status, outcome.error or f"exit {outcome.code}")
            report(db, order, outcome)
        self._host.log(
            "command", "info" if status == "done" else "error", what=order.verb, who=order.who, status=status,
            exit=outcome.code, seconds=f"{outcome.seconds:.1f}", trouble=outcome.error,
        )  # fmt: skip

    # ── the audit ────────────────────────────────────────────────────────────────────────────────────────────────

    def refuse(self, who: str, what: str, reason: str) -> None:
        """Leaves a trace of what was not obeyed. Raises StateError."""
        with self._state.transaction() as db:
            self.note(db, who, what, "refused", reason)
        self._host.log("refused", "warning", who=who, what=what, reason=reason)

    def note(self, db: sqlite3.Connection, who: str, what: str, verdict: str, detail: str = "") -> None:
        """A row of the audit, in the caller's transaction; texts as safe lines, cut."""
        row = (self._clock.time(), *(words.one_line(text)[:500] for text in (who, what, verdict, detail)))
        db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", row)
        db.execute("DELETE FROM audit WHERE rowid <= (SELECT max(rowid) FROM audit) - ?", (AUDIT,))

    def audit(self) -> list[tuple[str, str, str, str]]:
        """(who, what, verdict, detail) of everything that was asked, oldest first."""
        rows = self._state.rows("SELECT who, what, verdict, detail FROM audit ORDER BY rowid")
        return [(str(row[0]), str(row[1]), str(row[2]), str(row[3])) for row in rows]


def describe(order: Order, outcome: OutcomeLike, host: str) -> str:
    """What happened, for the one who asked: the command, where, how it ended, the end of its output."""
    if outcome.code == 0:
        ended = f"done in {outcome.seconds:.1f} s"
    elif outcome.code is not None:
        ended = f"failed with exit status {outcome.code} after {outcome.seconds:.1f} s"
    else:
        ended = outcome.error
    tail = "".join(f"| {line}\n" for line in outcome.output.splitlines()[-20:])
    return f"> {order.verb}\n{host}: {ended}\n" + (f"\n{tail}" if tail else "")


def _order(entry: Entry) -> Order:
    return Order(entry.id, entry.what, str(entry.facts.get("who", "")), entry.facts)
