"""Commands that people send: who may run what, and each command run once.

    verbs = {"restart mysql": Verb(("systemctl", "restart", "mariadb"), "mysql")}
    commands = Commands(state, verbs, {"jeremy@yourco.test": ["*"]}, clock, host)
    commands.recover(report)                 # reports what a crash left unfinished
    commands.accept(who, text, known_by=keys, facts={…})      # raises Refusal
    commands.perform(report)                 # runs what waits, and reports it

This module neither reads nor sends messages. A door (mail_door.py, a chat program) does: it reads
the messages, makes sure who sent them, and answers them in `report(db, order, outcome)`, which is
called when a command has ended.

An order is (sender, command, message). The same message again, over whatever door, runs nothing.
The same command by another message of the same sender soon afterwards, such as a mail and a chat
message that was sent in doubt, is asked about: it runs if the sender repeats it with a random word.
So must commands that are marked as dangerous.

The commands of one message run in their order. If it is stored so, they stop at the first one that
was not done, and the others are reported as that.

An accepted command is started at most once. A command that was started and never finished is
reported as that, and is not run again. One whose end was not seen may have been done, so that its
status is `unknown`, and not `failed`. The end of a command and what `report` stores (such as an
answer in an outbox) commit together.
"""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from comms import words
from comms.clock import Clock
from comms.errors import StateError
from comms.host import Host, Outcome, OutcomeLike
from comms.ledger import Entry, Ledger
from comms.state import State
from comms.suggest import did_you_mean

AUDIT_ROWS = 10_000  # that are kept
LONGEST = 200  # characters of a command; a longer one is unknown
TAIL_LINES = 20  # of a command's output, in a receipt by mail
TAIL_CHARACTERS = 1000  # of a command's output, in a chat message
FRESH = 86400.0  # seconds after which an accepted command that has not run is too old
CONFIRM = 60.0  # seconds in which a command may be confirmed
NAMES = re.compile("[a-z0-9_]{1,64}")
_NOTHING = re.compile(r"(?!)")
_STARS = re.compile(r"\*+")
_PLACES = re.compile(r"\b[A-Z]{2,}\b|\*")  # for names, in verbs and rights
KEPT = 400 * 86400.0  # seconds for which the ledger knows a message again
UNKNOWN_COMMAND = "unknown command"  # begins the outcome of a command that does not exist
IN_DOUBT = "whether it was done is not known"  # ends the outcome of a command that may be done
QUESTION = "not run yet: "  # begins the outcome of a command that must be confirmed

_SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (
    at REAL NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, verdict TEXT NOT NULL,
    detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS confirmation (
    who TEXT PRIMARY KEY, verb TEXT NOT NULL, phrase TEXT NOT NULL, until REAL NOT NULL);
"""

Report = Callable[[sqlite3.Connection, "Order", OutcomeLike], None]


@dataclass(frozen=True)
class Verb:
    """What a command runs: a command line without a shell, its target, and its timeout in seconds.

    Instead of a command line it may be a function, which must not raise. Commands with the same
    target never run at the same time. `confirm` is for what a slip must not do. `repeatable` is for
    what only looks, so that doing it twice need not be asked about. In a room, where others hear
    and are heard, a command must be `public`; and if there are `doors`, it must come over one.
    """

    command: tuple[str, ...] | Callable[[Order], OutcomeLike]
    target: str
    timeout: float = 60.0
    confirm: bool = False
    repeatable: bool = False
    public: bool = False
    doors: tuple[str, ...] = ()

    def open_to(self, place: Mapping[str, Any]) -> bool:
        """Whether it may be given where an order with these facts comes from."""
        in_room = bool(place.get("room"))
        return (self.public or not in_room) and (not self.doors or place.get("door") in self.doors)


@dataclass(frozen=True)
class Order:
    """An accepted command. `facts` are what the door needs to know for its answer."""

    id: int
    verb: str
    who: str
    facts: Mapping[str, Any]


class Refusal(Exception):
    """A command that will not run. `reason` is for the log; strangers must not see it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def normalized(text: str) -> str:
    """Returns the standard form of a command: `  Restart\\nMySQL ` is `restart mysql`."""
    return " ".join(words.one_line(text).casefold().split())


def names(verb: str, text: str) -> tuple[str, ...]:
    """Returns the names that a command has where its verb has words in capitals.

    Of `restart web`, which is a form of `restart NAME`, it is `("web",)`.
    """
    found = _pattern(verb).fullmatch(text)
    return found.groups() if found else ()


def is_offered(right: str, verbs: Collection[str]) -> bool:
    """Returns whether a right is for one of these verbs, or for some of the commands of one."""
    example = _PLACES.sub("x", right)
    return right in ("*", *verbs) or any(_pattern(verb).fullmatch(example) for verb in verbs)


@functools.cache  # the verbs and rights of the settings
def _pattern(form: str) -> re.Pattern[str]:
    """Returns what matches the commands of a verb, or those that a right is for."""
    if len(form) > LONGEST:
        return _NOTHING  # no command is that long
    form = _STARS.sub("*", form)
    name = NAMES.pattern
    places = {"*": "[a-z0-9_]{0,64}", "NAMES": f"({name}(?: ?, ?{name}){{0,15}})"}
    pattern, end = "", 0
    for place in _PLACES.finditer(form):
        pattern += re.escape(form[end : place.start()]) + places.get(place[0], f"({name})")
        end = place.end()
    return re.compile(pattern + re.escape(form[end:]))


def misspelt(names: Iterable[str]) -> str:
    """Returns what is wrong with the names of commands, or ""."""
    # A word in capitals would stand for any word, and other spellings for no message.
    for name in names:
        if name != (right := normalized(name)):
            return f"{name[:60]!r} has capitals, or odd spaces; write {right[:60]!r}"
    return ""


def standard(text: str) -> str:
    """Returns a command as it is stored. What is cut is marked, so that it is no other command."""
    text = normalized(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


class Commands:
    """The commands of one program.

    A word in capitals in a verb stands for a name: `restart NAME` is `restart` and any word that
    the pattern `NAMES` matches, and the word `NAMES` for several with commas between them. `rights`
    maps a sender, as the door has verified it, to the verbs that it may use; `*` allows all. A
    right may be for some commands of a verb: `restart web`, or `restart test_*`. `fresh` is how
    long an accepted command may wait for the program, in seconds. `again` is how long after a
    command another message with it is asked about; 0 for never. `confirm_by` is how a question is
    answered where that is not by a phrase, as in a form: `tick the box`. The door then accepts the
    command again, with the fact `confirmed`.
    """

    def __init__(
        self,
        state: State,
        verbs: Mapping[str, Verb],
        rights: Mapping[str, Iterable[str]],
        clock: Clock,
        host: Host,
        fresh: float = FRESH,
        again: float = 0.0,
        confirm_by: str = "",
    ) -> None:
        self.state = state
        self.fresh, self.again, self.confirm_by = fresh, again, confirm_by
        self.verbs = dict(verbs)
        self.rights = {who: frozenset(allowed) for who, allowed in rights.items()}
        self.ledger = Ledger(state)
        self._clock, self._host = clock, host
        self._forget_due = clock.monotonic()
        with state.transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)

    def allowed(self, who: str, place: Mapping[str, Any] = MappingProxyType({})) -> list[str]:
        """Returns the verbs that a sender may use, or the part of one; `help` shows them.

        `place` are the facts of the order: its door, and the room where it was given.
        """
        mine = self.rights.get(who, frozenset())
        verbs = [verb for verb in self.verbs if "*" in mine or verb in mine]
        narrower = sorted(
            right
            for right in mine
            if right not in ("*", *self.verbs) and is_offered(right, self.verbs)
        )
        return [text for text in (*verbs, *narrower) if self._is_open(text, place)]

    def _is_open(self, text: str, place: Mapping[str, Any]) -> bool:
        verb = self.find(_PLACES.sub("x", text))
        return verb is None or verb.open_to(place)

    def find(self, text: str) -> Verb | None:
        """Returns what a command in its standard form runs, None if it is unknown."""
        return self.verbs.get(self._form(text))

    def _form(self, text: str) -> str:
        """Returns the verb that a command is a form of: of `restart web`, `restart NAME`."""
        if text in self.verbs:
            return text
        return next((verb for verb in self.verbs if _pattern(verb).fullmatch(text)), "")

    def may(self, who: str, text: str, place: Mapping[str, Any] = MappingProxyType({})) -> bool:
        """Returns whether a sender may use a command; an unknown one does nothing."""
        form = self._form(text)
        return not form or (
            self.verbs[form].open_to(place)
            and any(
                right in ("*", form) or _pattern(right).fullmatch(text)
                for right in self.rights.get(who, ())
            )
        )

    def accept(
        self,
        who: str,
        text: str,
        known_by: Iterable[str],
        facts: Mapping[str, Any] | None = None,
    ) -> Order:
        """Stores a command to be run later. Raises Refusal, StateError.

        `known_by` are the keys that identify its message; a message that was received before is
        refused. An unknown command from a sender with rights is accepted too: running it has no
        effect, and its report lists the commands that the sender may use.
        """
        verb = standard(text)
        if who not in self.rights:
            raise Refusal("a stranger")
        if not self.may(who, verb, facts or {}):
            raise Refusal(f"{who} may not {verb}")
        with self.state.transaction() as db:
            order = self._intend(db, who, verb, known_by, facts or {})
        if order is None:
            raise Refusal("received before")
        return order

    def accept_lines(
        self, who: str, lines: Sequence[str], known_by: Iterable[str], facts: Mapping[str, Any]
    ) -> None:
        """Stores the commands of one message, all or none. Raises Refusal, StateError.

        Each has its number and how many there are in its facts, as `line` and `lines`. One that the
        sender may not use is reported as that among the others. If the facts have a true `stop`,
        those after one that was not done do not run.
        """
        if who not in self.rights:
            raise Refusal("a stranger")
        known_by = list(known_by)
        with self.state.transaction() as db:
            for number, text in enumerate(lines, 1):
                known = known_by if number == 1 else [f"{key}#{number}" for key in known_by]
                stored = {**facts, "line": number, "lines": len(lines)}
                if not self._intend(db, who, standard(text), known, stored):
                    raise Refusal("received before")

    def _intend(
        self,
        db: sqlite3.Connection,
        who: str,
        verb: str,
        known_by: Iterable[str],
        facts: Mapping[str, Any],
    ) -> Order | None:
        found, stored = self.find(verb), {"who": who, **facts}
        target = found.target if found else ""
        entry = self.ledger.intend(db, known_by, target, verb, stored, self._clock.time())
        if entry is None:
            return None
        self.note(db, who, verb, "accepted")
        return Order(entry, verb, who, stored)

    def perform(self, report: Report) -> list[tuple[Order, OutcomeLike]]:
        """Runs the accepted commands one after the other, oldest first. Raises StateError.

        Whether a command may run is decided again: the program may have been away for long, and the
        settings may have changed. What is too old is reported as that. Who has lost all rights gets
        no report, like every stranger. When the program is asked to stop, the rest stays accepted.
        """
        self._forget()
        done = []
        for entry in self.ledger.entries("intended"):
            if self._clock.stopping():
                break
            if self._stopped(_order(entry), report):
                continue
            order = self._confirmed(entry)
            if self._dropped(order, entry, report) or self._asked(order, entry, report):
                continue
            if not self.ledger.begin(entry.id, self._clock.time()):
                continue  # another command is running on its target; this one waits
            verb = self.find(order.verb)
            outcome: OutcomeLike
            if verb is None:
                outcome = self._unknown_command(order)
            elif callable(verb.command):
                outcome = verb.command(order)
            else:
                outcome = self._host.run(verb.command, verb.timeout)
            ended = "unknown" if outcome.in_doubt else "failed"
            self._finish(order, outcome, "done" if outcome.code == 0 else ended, report)
            done.append((order, outcome))
        return done

    def _stopped(self, order: Order, report: Report) -> bool:
        """Ends a command if one before it in its message was not done; returns whether it was one.

        This comes before all that looks at the command: a stopped one withdraws no question.
        """
        line = order.facts.get("line", 1)
        if line == 1 or order.facts.get("stop") is not True:
            return False
        # The lines of one message have ids in a row.
        before = self.ledger.not_done(order.id - line + 1, order.id - 1)
        if before is None:
            return False
        if before.status not in ("intended", "begun"):  # else both wait
            reason = f"not run, because this was not done: {before.what}"
            self._finish(order, Outcome(None, "", 0.0, reason), "skipped", report)
        return True

    def _dropped(self, order: Order, entry: Entry, report: Report) -> bool:
        """Ends a command that may not run any more; returns whether it was one."""
        # The clock may have been set back, so a command from the future is as old as it is far.
        age = abs(self._clock.time() - entry.intended)
        if order.who not in self.rights or not self.may(order.who, order.verb, order.facts):
            # Of several lines, the others are reported, and so is this one.
            told = report if "line" in order.facts and order.who in self.rights else None
            known = ", ".join(self.allowed(order.who, order.facts))
            reason = f"{order.who} may not {order.verb or 'do this'}; allowed: {known or 'nothing'}"
            self._finish(order, Outcome(None, "", 0.0, reason), "refused", told)
            return True
        if age > self.fresh:
            reason = f"stale: it was accepted {age:.0f} s ago, and was not run; send it again"
            self._finish(order, Outcome(None, "", 0.0, reason), "stale", report)
            return True
        return False

    # ── commands that must be sent twice ─────────────────────────────────────

    def _confirmed(self, entry: Entry) -> Order:
        """Returns an order; if it is the phrase that was asked for, the one that it confirms.

        A phrase works once and for its sender only. Any other message from the same sender
        withdraws the question, so that neither an old message nor a guess can answer it.
        """
        order = _order(entry)
        if order.facts.get("line", 1) > 1:
            return order  # its message has withdrawn the question already, or has led to it
        asked = self.state.rows(
            "SELECT verb, phrase, until FROM confirmation WHERE who = ?", order.who
        )
        if not asked:
            return order
        verb, phrase, until = str(asked[0][0]), asked[0][1], self.state.value(asked[0][2], 0.0)
        with self.state.transaction() as db:
            db.execute("DELETE FROM confirmation WHERE who = ?", (order.who,))
            found = self.find(verb)
            if order.verb != phrase or entry.intended > until or found is None:
                return order
            # Stored, so that a crash from here on does not ask again.
            facts = {**order.facts, "confirmed": True}
            self.ledger.change(db, entry.id, found.target, verb, facts)
        return replace(order, verb=verb, facts=facts)

    def _asked(self, order: Order, entry: Entry, report: Report) -> bool:
        """Asks whether a command is meant, if it must be confirmed; returns whether it has."""
        verb = self.find(order.verb)
        if verb is None or order.facts.get("confirmed") is True:
            return False
        before = None if verb.repeatable else self.ledger.before(entry, order.who, self.again)
        if before is None and not verb.confirm:
            return False
        # There is one question for each sender. That of an earlier line of this message stands.
        others = "SELECT 1 FROM confirmation WHERE who = ? AND verb != ?"
        if order.facts.get("line", 1) > 1 and self.state.rows(others, order.who, order.verb):
            reason = "not run, because another one is to be confirmed first; send it again then"
            self._finish(order, Outcome(None, "", 0.0, reason), "skipped", report)
            return True
        seconds = self.state.value(order.facts.get("within", CONFIRM), 0.0)
        word, why = self._host.token(4), f"to {order.verb}"
        # A phrase that is too long for a command could not be sent.
        fits = len(order.verb) + 1 + len(word) <= LONGEST
        phrase = f"{order.verb if fits else 'confirm'} {word}"
        if before is not None:
            ago = abs(entry.intended - before.intended)
            status = {"intended": "waiting", "begun": "running"}.get(before.status, before.status)
            why = f"you ordered this {ago:.0f} s ago (it is {status}); to {order.verb} again"
        how = self.confirm_by
        if not how:
            how = f"send within {seconds:.0f} s: {phrase}"
            row = (order.who, order.verb, phrase, self._clock.time() + seconds)
            with self.state.transaction() as db:
                db.execute("INSERT OR REPLACE INTO confirmation VALUES (?, ?, ?, ?)", row)
        question = f"{QUESTION}{why}, {how}"
        self._finish(order, Outcome(None, "", 0.0, question), "asked", report)
        return True

    def _forget(self) -> None:
        """Removes what is very old from the ledger, daily, and records what and until when."""
        if self._clock.monotonic() < self._forget_due:
            return
        self._forget_due = self._clock.monotonic() + 86400
        last = self._clock.time() - KEPT
        with self.state.transaction() as db:
            if forgotten := self.ledger.forget(db, last):
                count = sum(forgotten.values())
                until = datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds")
                what = ", ".join(f"{what} ({many})" for what, many in forgotten.items())
                detail = f"until {until}: {what}"
                self.note(db, "the ledger", f"{count} commands", "forgotten", detail)
                self._host.log("forgotten", commands=count, until=until)

    def recover(self, report: Report) -> list[Order]:
        """Reports the commands that were running when the program died. Raises StateError.

        Only the sole owner of the state may call this: to others, a running command looks the same.
        """
        left = [_order(entry) for entry in self.ledger.entries("begun")]
        reason = "it was started, and the program ended before it did"
        for order in left:
            self._finish(order, Outcome(None, "", 0.0, reason, in_doubt=True), "unknown", report)
        return left

    # ── how commands end ─────────────────────────────────────────────────────

    def _unknown_command(self, order: Order) -> Outcome:
        known = self.allowed(order.who, order.facts)
        meant = did_you_mean(order.verb, known)
        return Outcome(None, "", 0.0, f"{UNKNOWN_COMMAND}{meant}; you may say: {', '.join(known)}")

    def _finish(
        self, order: Order, outcome: OutcomeLike, status: str, report: Report | None
    ) -> None:
        facts = {
            "code": outcome.code,
            "seconds": round(outcome.seconds, 3),
            "trouble": outcome.error,
        }
        with self.state.transaction() as db:
            self.ledger.end(db, order.id, status, facts, self._clock.time())
            detail = outcome.error or f"exit {outcome.code}"
            self.note(db, order.who, order.verb, status, detail)
            if report is not None:
                self._report(db, order, outcome, report)
        self._host.log(
            "command",
            "info" if status in ("done", "asked") else "error",
            what=order.verb,
            who=order.who,
            status=status,
            exit=outcome.code,
            seconds=f"{outcome.seconds:.1f}",
            trouble=outcome.error,
        )

    def _report(
        self, db: sqlite3.Connection, order: Order, outcome: OutcomeLike, report: Report
    ) -> None:
        """Calls `report`. If it fails, the command is over anyway, and nothing of it is stored.

        Otherwise the same report would fail again after every restart.
        """
        db.execute("SAVEPOINT report")
        try:
            report(db, order, outcome)
        except Exception as error:
            ours = isinstance(error, sqlite3.Error) and not isinstance(
                error, sqlite3.IntegrityError
            )
            if ours or isinstance(error, StateError):
                raise  # nothing can be stored; the command is reported after the restart
            db.execute("ROLLBACK TO report")
            trouble = f"{type(error).__name__}: {error}"
            self._host.log("unreported", "error", what=order.verb, who=order.who, trouble=trouble)
        db.execute("RELEASE report")

    # ── the audit ────────────────────────────────────────────────────────────

    def refuse(self, who: str, what: str, reason: str) -> None:
        """Records a message that was not obeyed, in the audit and the log. Raises StateError."""
        with self.state.transaction() as db:
            self.note(db, who, what, "refused", reason)
        self._host.log("refused", "warning", who=who, what=what, reason=reason)

    def note(
        self, db: sqlite3.Connection, who: str, what: str, verdict: str, detail: str = ""
    ) -> None:
        """Adds a row to the audit, in the caller's transaction; each text is cut to one line.

        Of more than AUDIT_ROWS rows, the oldest is removed.
        """
        texts = (words.one_line(text)[:500] for text in (who, what, verdict, detail))
        db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", (self._clock.time(), *texts))
        oldest = "SELECT max(rowid) FROM audit"
        db.execute(f"DELETE FROM audit WHERE rowid <= ({oldest}) - ?", (AUDIT_ROWS,))

    def audit(self) -> list[tuple[str, str, str, str]]:
        """Returns (who, what, verdict, detail) of the last AUDIT_ROWS notes, oldest first."""
        rows = self.state.rows("SELECT who, what, verdict, detail FROM audit ORDER BY rowid")
        return [(str(row[0]), str(row[1]), str(row[2]), str(row[3])) for row in rows]


def ending(outcome: OutcomeLike) -> str:
    """Returns how a command that was not seen to succeed has ended, and whether that is all."""
    why = outcome.error or f"exit status {outcome.code}"
    return f"{why}: {IN_DOUBT}" if outcome.in_doubt else why


def describe(order: Order, outcome: OutcomeLike, host: str) -> str:
    """Returns the text of a receipt: the command, where and how it ended, the end of its output."""
    if outcome.code == 0:
        ended = f"done in {outcome.seconds:.1f} s"
    elif outcome.code is not None and not outcome.in_doubt:
        ended = f"failed with exit status {outcome.code} after {outcome.seconds:.1f} s"
    else:
        ended = ending(outcome)
    tail = "".join(f"| {line}\n" for line in outcome.output.splitlines()[-TAIL_LINES:])
    return f"> {order.verb}\n{host}: {ended}\n" + (f"\n{tail}" if tail else "")


def _order(entry: Entry) -> Order:
    return Order(entry.id, entry.what, str(entry.facts.get("who", "")), entry.facts)
