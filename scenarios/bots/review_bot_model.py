"""Reviews and the votes on them, as tables of the state file: who may vote, and what counts."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime

from comms.state import State
from comms.suggest import did_you_mean

PEER, MANAGER = "peer", "manager"
ROWS = 20  # reviews, or lines of a log, of one message
SHOWN = 80  # characters of a title in a list
_SCHEMA = """
CREATE TABLE IF NOT EXISTS review (
    id INTEGER PRIMARY KEY, author TEXT NOT NULL, title TEXT NOT NULL, version TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'open', due REAL NOT NULL, reminded INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS review_vote (
    review INTEGER NOT NULL, person TEXT NOT NULL, verdict TEXT NOT NULL,
    PRIMARY KEY (review, person));
CREATE TABLE IF NOT EXISTS review_part (
    review INTEGER NOT NULL, holder TEXT NOT NULL, delegate TEXT NOT NULL,
    PRIMARY KEY (review, holder));
CREATE TABLE IF NOT EXISTS review_log (
    id INTEGER PRIMARY KEY, review INTEGER NOT NULL, at REAL NOT NULL, what TEXT NOT NULL)
"""


class Refusal(Exception):
    """What a person asks for is not done. The text, for that person, says why."""


@dataclass
class Turn:
    """A message that is handled: its transaction, who says it and when; and who else is told."""

    db: sqlite3.Connection
    who: str
    now: float
    notices: list[tuple[str, str]] = field(default_factory=list)  # (person, text)

    def tell(self, person: str, text: str) -> None:
        """Tells another person. Who has sent the message reads the answer."""
        if person != self.who:
            self.notices.append((person, text))


@dataclass(frozen=True)
class Review:
    """A version of a change, which its author wants to be approved."""

    id: int
    author: str
    title: str
    version: str
    status: str  # open, approved, closed

    @property
    def whole(self) -> str:
        """All of it, for those who decide."""
        return f"#{self.id} {self.title} ({self.version})"

    @property
    def name(self) -> str:
        """How people are told of it later."""
        title = self.title if len(self.title) <= SHOWN else f"{self.title[:SHOWN]}…"
        return f"#{self.id} {title} ({self.version})"


def needs(approvals: Mapping[str, Set[str]]) -> tuple[str, ...]:
    """Returns the roles of which an approval is missing: one peer and one manager, two people."""
    if any(
        PEER in approvals[one] and MANAGER in approvals[other]
        for one in approvals
        for other in approvals
        if one != other
    ):
        return ()
    found = set[str]().union(*approvals.values())
    # Who is both has one vote, so that a second person of either role is missing.
    return tuple(role for role in (PEER, MANAGER) if role not in found) or (PEER, MANAGER)


class Reviews:
    """All reviews. `roles` has every person; `remind` is in seconds. Every method raises Refusal.

    The change of a review, its log and the messages about it are one transaction of the caller.
    """

    def __init__(
        self, state: State, roles: Mapping[str, Set[str]], remind: float, reminders: int
    ) -> None:
        self._people, self._remind, self._reminders = roles, remind, reminders
        with state.transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)

    # ── what an author says ──────────────────────────────────────────────────

    def open(self, turn: Turn, version: str, title: str) -> str:
        """Opens a review, and asks everybody who may vote."""
        known = turn.db.execute(
            "SELECT id FROM review WHERE author = ? AND version = ? AND title = ? "
            "AND status = 'open'",
            (turn.who, version, title),
        ).fetchone()
        if known:
            raise Refusal(f"That is #{known[0]} already")
        id = turn.db.execute(
            "INSERT INTO review (author, title, version, due) VALUES (?, ?, ?, ?)",
            (turn.who, title, version, turn.now + self._remind),
        ).lastrowid
        review = self._find(turn, id or 0)
        self._log(turn, review, f"{turn.who} opened it at {version}")
        self._ask(turn, review, f"{turn.who} asks for a review of {review.whole}")
        return f"#{review.id} is open at {version}. {self._lacks(turn, review)}"

    def open_request(self, turn: Turn, text: str) -> str:
        """Opens what a workflow has asked for. It has one version."""
        return self.open(turn, "1", text)

    def update(self, turn: Turn, number: int, version: str) -> str:
        """Sets another version. What was voted on the older one does not count any more."""
        review = self._own(turn, number)
        if review.status == "closed":
            raise Refusal(f"#{number} is closed")
        if version.casefold() == review.version.casefold():
            raise Refusal(f"#{number} is at {review.version} already")
        votes = turn.db.execute("DELETE FROM review_vote WHERE review = ?", (number,)).rowcount
        turn.db.execute(
            "UPDATE review SET version = ?, status = 'open', due = ?, reminded = 0 WHERE id = ?",
            (version, turn.now + self._remind, number),
        )
        self._log(turn, review, f"{turn.who} set {version}; votes gone: {votes}")
        review = self._find(turn, number)
        self._ask(turn, review, f"There is a new version of {review.name}")
        return f"#{number} is at {version}; votes that do not count any more: {votes}"

    def close(self, turn: Turn, number: int) -> str:
        """Ends a review."""
        review = self._own(turn, number)
        if review.status == "closed":
            raise Refusal(f"#{number} is closed already")
        self._set(turn, review, "closed")
        self._log(turn, review, f"{turn.who} closed it")
        return f"#{number} is closed"

    # ── what others say ──────────────────────────────────────────────────────

    def vote(self, turn: Turn, number: int, verdict: str, version: str, why: str = "") -> str:
        """Votes: `approve` or `reject`. A person has one vote on a version."""
        review = self._find(turn, number)
        if turn.who == review.author:
            raise Refusal(f"#{number} is yours: nobody votes on their own")
        if not self._roles(turn, review).get(turn.who):
            raise Refusal(f"You are neither a peer nor a manager of #{number}")
        self._must_be_open(review)
        if version.casefold() != review.version.casefold():
            raise Refusal(
                f"#{number} is at {review.version}, and that is not what you have read; "
                f"read it, then say: {verdict} {number} {review.version}"
            )
        if before := self._votes(turn, review).get(turn.who):
            raise Refusal(f"Your vote on #{number} is {before}; say: withdraw {number}")
        turn.db.execute(
            "INSERT INTO review_vote (review, person, verdict) VALUES (?, ?, ?)",
            (number, turn.who, verdict),
        )
        reason = f": {why}" if why else ""
        self._log(turn, review, f"{turn.who} said {verdict} {review.version}{reason}")
        if self._settle(turn, review):
            return f"#{number} is approved"
        lacks = self._lacks(turn, review)
        turn.tell(review.author, f"{turn.who} says {verdict} to {review.name}{reason}. {lacks}")
        return f"Your vote on #{number} is {verdict}. {lacks}"

    def withdraw(self, turn: Turn, number: int) -> str:
        """Takes a vote back, as long as the review is open."""
        review = self._find(turn, number)
        self._must_be_open(review)
        gone = "DELETE FROM review_vote WHERE review = ? AND person = ?"
        if not turn.db.execute(gone, (number, turn.who)).rowcount:
            raise Refusal(f"You have no vote on #{number}")
        self._log(turn, review, f"{turn.who} withdrew")
        # Without a vote against it, it may have all that it needs.
        if not self._settle(turn, review):
            lacks = self._lacks(turn, review)
            turn.tell(review.author, f"{turn.who} has withdrawn from {review.name}. {lacks}")
        return f"You have no vote on #{number} any more"

    def delegate(self, turn: Turn, number: int, name: str) -> str:
        """Hands the part of a peer or a manager to another person; to oneself, takes it back."""
        review = self._find(turn, number)
        self._must_be_open(review)
        if turn.who == review.author or not self._people[turn.who]:
            raise Refusal(f"You have no part in #{number} that you could delegate")
        if turn.who in self._votes(turn, review):
            raise Refusal(f"You have voted on #{number}; say first: withdraw {number}")
        delegate = self._person(name)
        if delegate == review.author:
            raise Refusal(f"{delegate} is the author of #{number}; choose another person")
        turn.db.execute(
            "INSERT OR REPLACE INTO review_part VALUES (?, ?, ?)", (number, turn.who, delegate)
        )
        self._log(turn, review, f"{turn.who} delegated to {delegate}")
        turn.tell(delegate, f"{turn.who} asks you to decide on {review.whole}. {_how(review)}")
        if self._settle(turn, review):  # by a vote that has got a second role
            return f"#{number} is approved"
        return f"{'You decide' if delegate == turn.who else f'{delegate} decides'} on #{number}"

    # ── what everybody may see ───────────────────────────────────────────────

    def shown(self, turn: Turn, number: int) -> str:
        """Returns the state of a review."""
        review = self._find(turn, number)
        roles = self._roles(turn, review)
        lines = [f"{review.whole} by {review.author}: {review.status}"]
        for person, verdict in self._votes(turn, review).items():
            role = " and ".join(sorted(roles.get(person, ()))) or "counts no more"
            lines.append(f"{person} ({role}): {verdict}")
        if review.status == "open":
            lines.append(self._lacks(turn, review))
        return "\n".join(lines)

    def listed(self, turn: Turn) -> str:
        """Returns the open reviews."""
        found = self._select(turn, "status = 'open' ORDER BY id")
        lines = [f"{review.name} by {review.author}" for review in found[:ROWS]]
        more = [f"and {len(found) - ROWS} more"] if len(found) > ROWS else []
        return "\n".join([f"{len(found)} open", *lines, *more])

    def log(self, turn: Turn, number: int) -> str:
        """Returns the last entries of a review's log; times are UTC."""
        self._find(turn, number)
        rows = turn.db.execute(
            "SELECT at, what FROM review_log WHERE review = ? ORDER BY id DESC LIMIT ?",
            (number, ROWS),
        ).fetchall()
        lines = [
            f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} {what}" for at, what in rows[::-1]
        ]
        return "\n".join(lines)

    def remind(self, turn: Turn) -> None:
        """Asks again those whose vote is missing; after some reminders, only tells the author."""
        for review in self._select(turn, "status = 'open' AND due <= ?", turn.now):
            (reminded,) = turn.db.execute(
                "SELECT reminded FROM review WHERE id = ?", (review.id,)
            ).fetchone()
            approvals, against = self._standing(turn, review)
            is_last = reminded >= self._reminders
            if is_last or against:
                lacks = self._lacks(turn, review)
                turn.tell(review.author, f"{review.name} is still open. {lacks}")
            else:
                self._ask(turn, review, f"{review.name} is still open", set(needs(approvals)))
            # From now on, and not from when it was due: the program may have been away for long.
            due = math.inf if is_last else turn.now + self._remind
            turn.db.execute(
                "UPDATE review SET due = ?, reminded = reminded + 1 WHERE id = ?", (due, review.id)
            )
            self._log(turn, review, "a reminder was sent")

    # ── inside ───────────────────────────────────────────────────────────────

    def _select(self, turn: Turn, where: str, *values: object) -> list[Review]:
        columns = "SELECT id, author, title, version, status FROM review WHERE "
        return [Review(*row) for row in turn.db.execute(columns + where, values)]

    def _find(self, turn: Turn, number: int) -> Review:
        if not (found := self._select(turn, "id = ?", number)):
            raise Refusal(f"There is no review #{number}")
        return found[0]

    def _own(self, turn: Turn, number: int) -> Review:
        review = self._find(turn, number)
        if review.author != turn.who:
            raise Refusal(f"#{number} is {review.author}'s; only its author may do that")
        return review

    def _must_be_open(self, review: Review) -> None:
        if review.status != "open":
            raise Refusal(f"#{review.id} is {review.status}; only a new version opens it again")

    def _person(self, name: str) -> str:
        """Returns the person of this name, or whose name alone begins with it."""
        known = {one.casefold(): one for one in self._people}
        name = name.casefold()
        found = [name] if name in known else sorted(one for one in known if one.startswith(name))
        if len(found) > 1:
            raise Refusal(f"Which one: {' or '.join(found)}? Say the whole name")
        if not found:
            raise Refusal(f"I know nobody of that name{did_you_mean(name, known)}")
        return known[found[0]]

    def _roles(self, turn: Turn, review: Review) -> dict[str, set[str]]:
        """Returns who may vote, and as what. The author has no part, and no delegate."""
        rows = "SELECT holder, delegate FROM review_part WHERE review = ?"
        delegates = dict(turn.db.execute(rows, (review.id,)).fetchall())
        found: dict[str, set[str]] = {}
        for person, roles in self._people.items():
            if person != review.author:
                to = delegates.get(person, person)
                # The settings may have changed since.
                found.setdefault(to if to in self._people else person, set()).update(roles)
        return {person: roles for person, roles in found.items() if roles}

    def _votes(self, turn: Turn, review: Review) -> dict[str, str]:
        rows = "SELECT person, verdict FROM review_vote WHERE review = ? ORDER BY person"
        return dict(turn.db.execute(rows, (review.id,)).fetchall())

    def _standing(self, turn: Turn, review: Review) -> tuple[dict[str, set[str]], list[str]]:
        """Returns the approvals that count, with the roles of their voters, and who is against."""
        roles, votes = self._roles(turn, review), self._votes(turn, review)
        counted = {person: verdict for person, verdict in votes.items() if person in roles}
        approvals = {one: roles[one] for one, verdict in counted.items() if verdict == "approve"}
        return approvals, [one for one, verdict in counted.items() if verdict == "reject"]

    def _lacks(self, turn: Turn, review: Review) -> str:
        approvals, against = self._standing(turn, review)
        if against:
            return f"{' and '.join(against)} must withdraw, or the version change"
        # Of two roles that are missing after an approval, either will do: see `needs`.
        joined = " or " if approvals else " and "
        return f"It needs {joined.join(f'a {role}' for role in needs(approvals))}"

    def _settle(self, turn: Turn, review: Review) -> bool:
        """Approves a review that has all that it needs, and tells who has taken part."""
        approvals, against = self._standing(turn, review)
        if against or needs(approvals):
            return False
        self._set(turn, review, "approved")
        self._log(turn, review, f"it is approved at {review.version}")
        for person in (review.author, *approvals):
            turn.tell(person, f"{review.name} is approved by {' and '.join(approvals)}")
        return True

    def _set(self, turn: Turn, review: Review, status: str) -> None:
        turn.db.execute("UPDATE review SET status = ? WHERE id = ?", (status, review.id))

    def _ask(
        self, turn: Turn, review: Review, text: str, roles: Set[str] = frozenset((PEER, MANAGER))
    ) -> None:
        votes = self._votes(turn, review)
        for person, mine in self._roles(turn, review).items():
            if mine & roles and person not in votes:
                turn.tell(person, f"{text}. {_how(review)}")

    def _log(self, turn: Turn, review: Review, what: str) -> None:
        turn.db.execute(
            "INSERT INTO review_log (review, at, what) VALUES (?, ?, ?)",
            (review.id, turn.now, what),
        )


def _how(review: Review) -> str:
    order = f"{review.id} {review.version}"
    return f"Say: approve {order}, or: reject {order} WHY"
