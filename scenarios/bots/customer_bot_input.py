"""What the operator of customer-bot hands to it: questions and answers, and customers."""

from __future__ import annotations

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comms.addresses import is_address
from comms.bots.messengers import not_bare
from comms.compose import Message
from comms.errors import SettingsError
from comms.words import one_line

QUESTIONS = 1000  # of a file
ANSWER = 1500  # characters
LONGEST = 2000  # characters of a text in which words are looked for
LOOKED_AT = 200  # characters of a question, of which
WORDS = 20  # unknown words are corrected
NEAR = 3  # questions that are suggested
ACCOUNTS = ("jabber", "aim", "irc")
_QUESTION = 'write [[question]], ask = ["opening hours"] and answer = "From 9 to 5."'
_CUSTOMER = 'write 17 = { name = "Carol Jones", jabber = "carol@example.org" }'


def words_of(text: str) -> list[str]:
    """Returns the words of a text in the form in which they are compared.

    Only its first `LONGEST` characters count: many accents in a row would take quadratic time.
    """
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text[:LONGEST]).casefold())


def _telling(phrase: str) -> frozenset[str]:
    """Returns the words of a question that count: not short ones such as `is`, if it has others."""
    words = words_of(phrase)
    return frozenset([word for word in words if len(word) > 2] or words)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error
        raise SettingsError(f"{path.name}: cannot be read: {one_line(str(why))}; mend it") from None


# ── questions and answers ────────────────────────────────────────────────────


@dataclass(frozen=True)
class Entry:
    """An answer, and the ways to ask for it. The first of them is shown as a suggestion."""

    ask: tuple[str, ...]
    answer: str

    @property
    def title(self) -> str:
        """How it is suggested."""
        return self.ask[0]


class Faq:
    """The questions of a file. Raises SettingsError, which names the question and the remedy."""

    def __init__(self, path: Path) -> None:
        content = _toml(path)
        rows = content.pop("question", None)
        if content or not isinstance(rows, list) or not 0 < len(rows) <= QUESTIONS:
            known = f"1 to {QUESTIONS} tables [[question]], and nothing else"
            raise SettingsError(f"{path.name}: expected {known}; {_QUESTION}")
        for number, row in enumerate(rows, 1):
            if problem := _problem_of_question(row):
                raise SettingsError(f"{path.name}: question {number}: {problem}; {_QUESTION}")
        self.entries = [Entry(tuple(row["ask"]), row["answer"].strip()) for row in rows]
        self._phrases = [
            (_telling(phrase), number)
            for number, entry in enumerate(self.entries)
            for phrase in entry.ask
        ]
        seen: dict[frozenset[str], int] = {}
        for words, number in self._phrases:
            if seen.setdefault(words, number) != number:
                phrase, first = " ".join(sorted(words)), seen[words] + 1
                problem = f"question {number + 1}: {phrase!r} is asked in question {first}, too"
                raise SettingsError(f"{path.name}: {problem}; leave out one of them")
        self._vocabulary = sorted(set[str]().union(*seen))

    def search(self, text: str) -> tuple[Entry | None, list[int]]:
        """Returns the entry that a question asks for, or else the numbers of those that are near.

        A question asks for an entry if it has all the words of a phrase that count. Of several such
        phrases, the one with most words decides.
        """
        asked = self._known(words_of(text[:LOOKED_AT]))
        full: dict[int, int] = {}
        part: dict[int, float] = {}
        for words, number in self._phrases:
            share = len(words & asked) / len(words)
            if share == 1:
                full[number] = max(full.get(number, 0), len(words))
            elif share >= 0.5:
                part[number] = max(part.get(number, 0), share)
        best = [number for number, count in full.items() if count == max(full.values())]
        if len(best) == 1:
            return self.entries[best[0]], []
        near: Mapping[int, float] = dict.fromkeys(best, 1.0) or part
        return None, sorted(near, key=lambda number: (-near[number], number))[:NEAR]

    def _known(self, words: Sequence[str]) -> set[str]:
        """Returns words; those that are in no question, as the nearest one that is."""
        vocabulary = set(self._vocabulary)
        found = {word for word in words if word in vocabulary}
        unknown = dict.fromkeys(word for word in words if word not in vocabulary)
        for word in [word for word in unknown if len(word) > 3][:WORDS]:
            found.update(difflib.get_close_matches(word, self._vocabulary, 1, 0.8))
        return found


def _problem_of_question(row: Any) -> str:
    if not isinstance(row, dict) or row.keys() != {"ask", "answer"}:
        return "expected ask and answer"
    ask, answer = row["ask"], row["answer"]
    if not isinstance(ask, list) or not ask:
        return "ask: expected a list of questions"
    for phrase in ask:
        if not isinstance(phrase, str) or not words_of(phrase) or len(phrase) > LOOKED_AT:
            return f"ask: expected words, at most {LOOKED_AT} characters"
        if one_line(phrase) != phrase:
            return "ask: has control characters, or spaces around it"
    if not isinstance(answer, str) or not 0 < len(answer.strip()) <= ANSWER:
        return f"answer: expected a text of at most {ANSWER} characters"
    return ""


# ── customers ────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Customer:
    """A customer of the file. `mail` is "" if the address is unknown."""

    number: str
    name: str
    mail: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """How the customer is listed."""
        known = [f"{kind} {account}" for kind, account in sorted(self.accounts.items())]
        return ", ".join([f"{self.number} {self.name}", *filter(None, [self.mail, *known])])


def read_customers(path: Path) -> dict[str, Customer]:
    """Returns the customers of a file by their numbers. Raises SettingsError."""
    found: dict[str, Customer] = {}
    owners: dict[tuple[str, str], str] = {}
    for number, row in _toml(path).items():
        problem = _problem_of_customer(number, row)
        if not problem:
            accounts = {kind: row[kind] for kind in ACCOUNTS if kind in row}
            found[number] = Customer(number, row["name"], row.get("mail", ""), accounts)
            for kind, account in accounts.items():
                owner = owners.setdefault((kind, account.casefold()), number)
                if owner != number:
                    problem = f"{account!r} is customer {owner}, too"
        if problem:
            raise SettingsError(f"{path.name}: {one_line(number)}: {problem}; {_CUSTOMER}")
    return found


def _problem_of_customer(number: str, row: Any) -> str:
    if not re.fullmatch(r"[0-9]{1,9}", number):
        return "expected a number"
    if not isinstance(row, dict) or "name" not in row:
        return "expected a table with a name"
    for key, value in row.items():
        if key not in ("name", "mail", *ACCOUNTS):
            return f"unknown key {key!r}"
        if not isinstance(value, str) or not value or one_line(value) != value:
            return f"{key}: expected a text of one line"
    if "jabber" in row and (problem := not_bare(row["jabber"])):
        return f"jabber: {problem}"
    if "mail" not in row:
        return ""
    if not is_address(row["mail"]):
        return f"mail: {row['mail']!r} is not a bare mail address"
    try:
        Message(row["mail"], [row["mail"]]).envelope()
    except ValueError as error:  # it would end the program when a transcript is mailed
        return f"mail: {str(error).removeprefix('to: ')}"
    return ""
