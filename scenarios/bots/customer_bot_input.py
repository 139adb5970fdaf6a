"""What the operator of customer-bot hands to it: questions and answers, customers, and hours."""

from __future__ import annotations

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from comms.addresses import is_address
from comms.errors import SettingsError
from comms.words import one_line

QUESTIONS = 1000  # of a file
ANSWER = 1500  # characters
LOOKED_AT = 200  # characters of a question, of which
WORDS = 20  # unknown words are corrected
NEAR = 3  # questions that are suggested
ACCOUNTS = ("jabber", "aim", "irc")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_QUESTION = 'write [[question]], ask = ["opening hours"] and answer = "From 9 to 5."'
_CUSTOMER = 'write 17 = { name = "Carol Jones", jabber = "carol@example.org" }'
_HOURS = re.compile(r"([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))? (\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)


def words_of(text: str) -> list[str]:
    """Returns the words of a text in the form in which they are compared."""
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


def _telling(phrase: str) -> frozenset[str]:
    """Returns the words of a question that count: not short ones such as `is`, if it has others."""
    words = words_of(phrase)
    return frozenset([word for word in words if len(word) > 2] or words)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
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
    if "mail" in row and not is_address(row["mail"]):
        return f"mail: {row['mail']!r} is not a bare mail address"
    return ""


# ── hours ────────────────────────────────────────────────────────────────────


class Hours:
    """When agents are there: texts such as `Mon-Fri 09:00-17:00`, and a time zone.

    Raises ValueError, with the remedy.
    """

    def __init__(self, texts: Sequence[str], zone: str) -> None:
        self.shown = f"{', '.join(texts)} ({zone})"
        try:
            # Zones are files of the operating system; UTC needs none.
            self._zone: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
        except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f'zone: unknown time zone {zone!r}; write "UTC"') from None
        except KeyError:
            raise ValueError(f'zone: unknown time zone {zone!r}; write "Europe/Berlin"') from None
        self._open: dict[int, list[tuple[int, int]]] = {}  # weekday → minutes from midnight
        for text in texts:
            match = _HOURS.fullmatch(text)
            if match is None or not {match[1], match[2] or match[1]} <= set(DAYS):
                raise ValueError(f'hours: {text!r} are no hours; write "Mon-Fri 09:00-17:00"')
            hour, minute, to_hour, to_minute = map(int, match.groups()[2:])
            begin, end = 60 * hour + minute, 60 * to_hour + to_minute
            if max(minute, to_minute) > 59 or not begin < end <= 24 * 60:
                raise ValueError(f'hours: {text!r} end before they begin; write "09:00-17:00"')
            first, last = DAYS.index(match[1]), DAYS.index(match[2] or match[1])
            for day in range(first, first + (last - first) % 7 + 1):
                self._open.setdefault(day % 7, []).append((begin, end))

    def are_now(self, now: float) -> bool:
        """Returns whether agents are there at this time, in seconds since the epoch."""
        here = datetime.fromtimestamp(now, self._zone)
        minute = 60 * here.hour + here.minute
        return any(begin <= minute < end for begin, end in self._open.get(here.weekday(), ()))

    def next(self, now: float) -> str:
        """Returns when agents are there again, such as `Mon 09:00`."""
        here = datetime.fromtimestamp(now, self._zone)
        return next(f"{at:%a %H:%M}" for at in self._begins(here) if at > here)

    def _begins(self, here: datetime) -> Iterator[datetime]:
        for days in range(8):
            day = here.date() + timedelta(days)
            for begin, _ in sorted(self._open.get(day.weekday(), ())):
                hour, minute = divmod(begin, 60)
                yield datetime.combine(day, time(hour, minute), self._zone)
