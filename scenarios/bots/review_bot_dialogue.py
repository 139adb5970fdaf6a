"""Workflows: what a person is asked step by step, as data, and where each person is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from comms.state import State
from scenarios.bots.review_bot_model import Refusal, Turn

LONGEST = 200  # characters of an answer
EXAMPLE = '"from (date): From which day?"'
_STEP = re.compile(r"([a-z]{1,20}) ?(?:\((date|number)\))?: ?(\S.*)")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS dialogue (
    person TEXT PRIMARY KEY, workflow TEXT NOT NULL, answers TEXT NOT NULL, due REAL NOT NULL)
"""


@dataclass(frozen=True)
class Step:
    """A question. Its `key` names the answer; `kind` is what the answer must be, "" for a text."""

    key: str
    kind: str
    question: str

    def problem_of(self, answer: str) -> str:
        """Returns why this is not an answer, "" if it is one."""
        if not answer or len(answer) > LONGEST:
            return f"Please answer with 1 to {LONGEST} characters"
        if self.kind == "number" and not re.fullmatch(r"[0-9]{1,15}", answer):
            return "That is not a number"
        if self.kind == "date":
            try:
                if date.fromisoformat(answer).isoformat() != answer:
                    raise ValueError(answer)
            except ValueError:
                return "That is not a day such as 2026-12-31"
        return ""


def read_workflows(lines: Mapping[str, Sequence[str]]) -> dict[str, tuple[Step, ...]]:
    """Returns the steps of each workflow. Raises ValueError, naming workflow and step."""
    found = {}
    for name, given in lines.items():
        steps = []
        for line in given:
            if (match := _STEP.fullmatch(line)) is None:
                raise ValueError(f"workflows: {name}: {line!r} is not a step; write {EXAMPLE}")
            steps.append(Step(match[1], match[2] or "", match[3]))
        keys = [step.key for step in steps]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"workflows: {name}: {twice[0]} twice; choose another name for one")
        found[name] = tuple(steps)
    return found


class Workflows:
    """Where each person is. Every answer is stored in the caller's transaction.

    `finish` is called with what a person has answered and confirmed, and returns the last word.
    """

    def __init__(
        self,
        state: State,
        workflows: Mapping[str, tuple[Step, ...]],
        timeout: float,
        finish: Callable[[Turn, str], str],
    ) -> None:
        self._workflows, self._timeout, self._finish = workflows, timeout, finish
        with state.transaction() as db:
            db.execute(_SCHEMA)

    def is_running(self, turn: Turn) -> bool:
        """Whether a person is asked something, so that a message may be an answer."""
        return bool(self._found(turn))

    def start(self, turn: Turn, name: str) -> str:
        """Returns the first question."""
        self._store(turn, name, {})
        return f"{self._next(name, {})} (cancel ends this)"

    def answer(self, turn: Turn, text: str) -> str:
        """Takes an answer, to the question that was asked or to the one that it names.

        `until: 2026-12-31` may come before its question, which is then left out, or after it, as a
        correction. Returns the next question.
        """
        if (found := self._found(turn)) is None:
            raise Refusal("You are asked nothing")
        name, answers = found
        steps = self._workflows[name]
        key, colon, value = text.partition(":")
        named = [step for step in steps if colon and step.key == key.strip().casefold()]
        step, *_ = [*named, *(step for step in steps if step.key not in answers), None]
        if step is None:
            if text.casefold() == "yes":
                self._end(turn, turn.who)
                return self._finish(turn, _written(name, steps, answers))
            return f"I have all answers. {self._next(name, answers)}"
        value = value.strip() if named else text
        if problem := step.problem_of(value):
            return f"{problem}. {self._next(name, answers)}"
        answers[step.key] = value
        self._store(turn, name, answers)
        return self._next(name, answers)

    def cancel(self, turn: Turn) -> str:
        """Ends a workflow without effect."""
        if (found := self._found(turn)) is None:
            raise Refusal("There is nothing to cancel")
        self._end(turn, turn.who)
        return f"{found[0]} is cancelled; nothing was sent"

    def shown(self, turn: Turn) -> str:
        """Returns the question that a person is asked now, "" if there is none."""
        found = self._found(turn)
        return self._next(*found) if found else ""

    def time_out(self, turn: Turn) -> None:
        """Ends the workflows of those who have said nothing for too long, and tells them."""
        late = "SELECT person, workflow FROM dialogue WHERE due <= ?"
        for person, name in turn.db.execute(late, (turn.now,)).fetchall():
            self._end(turn, person)
            turn.tell(person, f"I have waited long enough: {name} is over; nothing was sent")

    # ── inside ───────────────────────────────────────────────────────────────

    def _found(self, turn: Turn) -> tuple[str, dict[str, str]] | None:
        row = turn.db.execute(
            "SELECT workflow, answers FROM dialogue WHERE person = ?", (turn.who,)
        ).fetchone()
        # The settings may have lost it since.
        return (row[0], json.loads(row[1])) if row and row[0] in self._workflows else None

    def _store(self, turn: Turn, name: str, answers: Mapping[str, str]) -> None:
        row = (turn.who, name, json.dumps(answers), turn.now + self._timeout)
        turn.db.execute("INSERT OR REPLACE INTO dialogue VALUES (?, ?, ?, ?)", row)

    def _end(self, turn: Turn, person: str) -> None:
        turn.db.execute("DELETE FROM dialogue WHERE person = ?", (person,))

    def _next(self, name: str, answers: Mapping[str, str]) -> str:
        steps = self._workflows[name]
        for number, step in enumerate(steps, 1):
            if step.key not in answers:
                return f"{name} {number}/{len(steps)}: {step.question}"
        change = f"{steps[-1].key}: …"
        return f"{_written(name, steps, answers)}. Is that right? Say yes, cancel, or {change}"


def _written(name: str, steps: Sequence[Step], answers: Mapping[str, str]) -> str:
    return f"{name}: {', '.join(f'{step.key} {answers[step.key]}' for step in steps)}"
