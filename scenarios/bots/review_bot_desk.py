"""What a message means to review-bot, and who may say it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from comms.bots.messengers import PRIVATE
from comms.suggest import did_you_mean
from comms.words import one_line
from scenarios.bots.review_bot_dialogue import Workflows
from scenarios.bots.review_bot_model import Refusal, Reviews, Turn

if TYPE_CHECKING:
    from scenarios.bots.review_bot import Rules

LONGEST = 200  # characters of a title, and of a reason
KEPT = 30 * 86400.0  # seconds for which a message is known again
USAGE = {
    "review": "review VERSION TITLE",
    "approve": "approve 1 VERSION",
    "reject": "reject 1 VERSION WHY",
    "withdraw": "withdraw 1",
    "delegate": "delegate 1 PERSON",
    "update": "update 1 VERSION",
    "close": "close 1",
    "status": "status 1",
    "log": "log 1",
}
ALONE = ("reviews", "status", "cancel", "help", "?")  # without a number
_NUMBER = re.compile(r"#?([0-9]{1,9})(?: (.*))?")
_VERSION = re.compile(r"(\S{1,64})(?: (.*))?")
_HEARD = "CREATE TABLE IF NOT EXISTS heard (message TEXT PRIMARY KEY, at REAL NOT NULL)"


def is_new(db: sqlite3.Connection, keys: Collection[str], now: float) -> bool:
    """Notes a message by its keys; whether it was not noted before.

    A server that delivers a message again, because the program was killed, keeps its keys.
    """
    db.execute(_HEARD)
    db.execute("DELETE FROM heard WHERE at < ?", (now - KEPT,))
    before = any(
        db.execute("SELECT 1 FROM heard WHERE message = ?", (key,)).fetchone() for key in keys
    )
    db.executemany("INSERT OR REPLACE INTO heard VALUES (?, ?)", [(key, now) for key in keys])
    return not before


class Desk:
    """Answers what the people of the settings say. Whom else to tell is in the turn."""

    def __init__(self, reviews: Reviews, workflows: Workflows, names: Collection[str]) -> None:
        self._reviews, self._workflows, self._names = reviews, workflows, names
        self._simple: dict[str, Callable[[Turn, int], str]] = {
            "withdraw": reviews.withdraw,
            "close": reviews.close,
            "status": reviews.shown,
            "log": reviews.log,
        }

    def answer(self, turn: Turn, text: str, in_room: bool) -> str:
        """Returns the answer to a message. What others hear does not answer a workflow."""
        words = " ".join(one_line(text).split())
        verb, _, rest = words.partition(" ")
        verb = verb.casefold()
        try:
            is_asked = not in_room and self._workflows.is_running(turn)
            if is_asked and not _is_command(verb, rest):
                return self._workflows.answer(turn, words)
            if verb in self._names and not rest:
                if in_room:
                    raise Refusal(f"{verb} is between you and me: say it to me alone")
                return self._workflows.start(turn, verb)
            return self._obey(turn, verb, rest)
        except Refusal as refusal:
            return str(refusal)

    def _obey(self, turn: Turn, verb: str, rest: str) -> str:
        if not rest and verb in ALONE:
            return self._alone(turn, verb)
        if verb not in USAGE:
            near = did_you_mean(verb[:64], [*USAGE, *ALONE, *self._names])
            return f"I do not understand that{near}. {self._help()}"
        usage = f"say: {USAGE[verb]}"
        if verb == "review":
            version, title = _two(_VERSION, rest, usage)
            if not 0 < len(title) <= LONGEST:
                raise Refusal(f"A title has 1 to {LONGEST} characters; {usage}")
            return self._reviews.open(turn, version, title)
        given, rest = _two(_NUMBER, rest, usage)
        number = int(given)
        if verb in ("approve", "reject", "update"):
            version, why = _two(_VERSION, rest, usage)
            if verb == "update" and not why:
                return self._reviews.update(turn, number, version)
            # Who is against it says why; who is for it has nothing to add.
            if verb != "update" and bool(why) == (verb == "reject") and len(why) <= LONGEST:
                return self._reviews.vote(turn, number, verb, version, why)
        elif verb == "delegate" and 0 < len(rest) <= LONGEST:
            return self._reviews.delegate(turn, number, rest)
        elif verb != "delegate" and not rest:
            return self._simple[verb](turn, number)
        raise Refusal(f"That is not complete, or too long; {usage}")

    def _alone(self, turn: Turn, verb: str) -> str:
        if verb == "cancel":
            return self._workflows.cancel(turn)
        if verb in ("reviews", "status"):
            asked = self._workflows.shown(turn) if verb == "status" else ""
            return asked or self._reviews.listed(turn)
        return self._help()

    def _help(self) -> str:
        return f"You may say: {', '.join([*USAGE.values(), 'reviews', *self._names])}"


def _is_command(verb: str, rest: str) -> bool:
    """Whether a message is a command even where an answer is expected.

    `review the plan` may be an answer, `approve 1 r17` is none.
    """
    if verb in ALONE and not rest:
        return True
    return verb in USAGE and verb != "review" and _NUMBER.fullmatch(rest) is not None


def _two(pattern: re.Pattern[str], text: str, usage: str) -> tuple[str, str]:
    """Returns what a pattern finds first in a text, and the rest. Raises Refusal."""
    if (match := pattern.fullmatch(text)) is None:
        raise Refusal(f"That is not complete; {usage}")
    return match[1], match[2] or ""


def problem_of_names(rules: Rules) -> str:
    """Returns what is wrong with the names of people and workflows, "" if nothing is."""
    for key, names in (("peers", rules.peers), ("managers", rules.managers)):
        for name in names:
            if name not in rules.people:
                known = ", ".join(one if one.isprintable() else repr(one) for one in rules.people)
                return f"{key}: {name!r} is nobody of people; choose from: {known}"
    if len({*rules.peers, *rules.managers}) < 2:
        return "managers: it takes two people to approve a review; add another one"
    if len({name.casefold() for name in rules.people}) < len(rules.people):
        return "people: two names differ by case only; choose another one"
    for person, accounts in rules.people.items():
        if not any(network in accounts for network in PRIVATE):
            return f"people: {person} cannot be told of reviews; add an account of jabber or aim"
    for name in rules.workflows:
        if not re.fullmatch("[a-z]{1,20}", name) or name in (*USAGE, *ALONE):
            return (
                f"workflows: {name!r} cannot be the name of one; write a word that is not a command"
            )
    return ""
