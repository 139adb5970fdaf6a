"""What agents do with customers: find one, and add a note. Each of it is in the audit."""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Mapping

from comms.commands import Commands
from comms.words import one_line
from scenarios.bots.customer_bot_input import Customer, words_of
from scenarios.bots.customer_bot_model import Talks

LISTED, NOTES = 10, 5  # customers, and notes, of one message
NOTE = 500  # characters
USAGE = "Write !note 17 TEXT, or !note NAME: TEXT"


class Management:
    """The customers of the file, and the notes on them."""

    def __init__(self, customers: Mapping[str, Customer], talks: Talks, audit: Commands) -> None:
        self._customers, self._talks, self._audit = customers, talks, audit

    def find(self, db: sqlite3.Connection, agent: str, wanted: str) -> str:
        """Returns who is meant, with the last notes; of several, a list."""
        found = self._search(wanted)
        self._audit.note(db, agent, f"find {wanted}", "done", f"{len(found)} found")
        if len(found) == 1:
            return "\n".join([found[0].line, *self._talks.notes(found[0].number, NOTES)])
        return _listed(found) if found else self._nobody(wanted)

    def note(self, db: sqlite3.Connection, agent: str, text: str, now: float) -> str:
        """Adds a note to the customer who is meant; to nobody, if that may be several."""
        wanted, note = _parts(text)
        if not note:
            return USAGE
        if len(note) > NOTE:
            return f"A note has at most {NOTE} characters; nothing is noted"
        found = self._search(wanted)
        if len(found) != 1:
            self._audit.note(db, agent, f"note {wanted}", "refused", f"{len(found)} found")
            which = f"Which one? Nothing is noted.\n{_listed(found)}"
            return which if found else self._nobody(wanted)
        (customer,) = found
        number = self._talks.add_note(db, customer.number, agent, note, now)
        self._audit.note(db, agent, f"note {customer.number}", "done", f"note {number}: {note}")
        return f"Noted for {customer.number} {customer.name}: {note}"

    def _search(self, wanted: str) -> list[Customer]:
        """Returns who has this number, mail or account, or all of these words in the name."""
        exact = wanted.casefold()
        if wanted in self._customers:
            return [self._customers[wanted]]
        words = set(words_of(wanted))
        return [
            customer
            for customer in self._customers.values()
            if exact in (known.casefold() for known in (customer.mail, *customer.accounts.values()))
            or (words and words <= set(words_of(customer.name)))
        ]

    def _nobody(self, wanted: str) -> str:
        names = sorted({customer.name for customer in self._customers.values()})
        parts = {part: name for name in names for part in (name.casefold(), *words_of(name))}
        near = difflib.get_close_matches(wanted[:100].casefold(), parts, 3)
        hint = f"; near to it: {', '.join(dict.fromkeys(parts[one] for one in near))}"
        return f"I know no customer {wanted[:100]!r}{hint if near else ''}"


def _listed(found: list[Customer]) -> str:
    more = [f"and {len(found) - LISTED} more"] if len(found) > LISTED else []
    return "\n".join([*(customer.line for customer in found[:LISTED]), *more])


def _parts(text: str) -> tuple[str, str]:
    """Returns who is meant by a note, and the note, as one line."""
    line = one_line(text)
    if match := re.match(r"#?([0-9]{1,9}):? +", line):
        return match[1], line[match.end() :].strip()
    wanted, _, note = line.partition(":")
    return wanted.strip(), note.strip()
