"""Notices that are said once, each to one account that is online, and what has become of them.

    notices = Notices(state, settle)
    notices.recover(clock.time())       # what was being said when an earlier run ended
    notices.put("jabber", "ann@example.test", text, about, clock.time(), db)
    notices.flush(company, clock.time())                # in every round

`settle` is called with each outcome, in the transaction that stores it. What follows from it, such
as a mail instead, is neither lost nor done twice, wherever the program is killed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from comms.bots.company import Company
from comms.bots.network import Network, shortened
from comms.errors import CommsError, TryLater, Unknown, Unreachable
from comms.state import State

RETURNS = 3600.0  # seconds in which a notice may come back
LISTED = 7 * 86400.0  # seconds for which one is listed that is in doubt

_SCHEMA = """
CREATE TABLE IF NOT EXISTS bot_notice (
    id INTEGER PRIMARY KEY, network TEXT NOT NULL, account TEXT NOT NULL, text TEXT NOT NULL,
    about TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'waiting', changed REAL NOT NULL,
    known_as TEXT);
"""

# said: the network has taken it. absent: nobody is online there, and nothing was said. refused:
# the network does not take it. returned: it has come back after all. unknown: the connection or the
# program was lost while it was said; it may have arrived, and is not said again.
Outcome = Literal["said", "absent", "refused", "returned", "unknown"]


@dataclass(frozen=True)
class Notice:
    """A text for an account. `about` is whatever its sender knows it by."""

    id: int
    network: str
    account: str
    text: str
    about: str


Settle = Callable[[sqlite3.Connection, Notice, Outcome, str], None]
_COLUMNS = "id, network, account, text, about"


class Notices:
    """The notices of one bot in a state file. Every method raises StateError."""

    def __init__(self, state: State, settle: Settle) -> None:
        self._state, self._settle = state, settle
        with state.transaction() as db:
            db.execute(_SCHEMA)

    def put(
        self, network: str, account: str, text: str, about: str, now: float, db: sqlite3.Connection
    ) -> None:
        """Adds a notice, in the caller's transaction."""
        db.execute(
            "INSERT INTO bot_notice (network, account, text, about, changed) "
            "VALUES (?, ?, ?, ?, ?)",
            (network, account, text, about, now),
        )

    def withdraw(self, about: str, db: sqlite3.Connection) -> None:
        """Removes the notices about something that still wait, in the caller's transaction."""
        db.execute("DELETE FROM bot_notice WHERE about = ? AND status = 'waiting'", (about,))

    def recover(self, now: float) -> None:
        """Settles, as unknown, what was being said when an earlier run ended."""
        for notice in self._with_status("saying"):
            self._ends(notice, "unknown", "the program ended while it was said", now)

    def unknown(self) -> list[Notice]:
        """Returns what may have arrived or not, oldest first; of the last days only."""
        return self._with_status("unknown")

    def flush(self, company: Company, now: float) -> None:
        """Says what waits, as far as possible, and takes in what has come back."""
        for network in filter(company.is_online, company.networks):
            for id, sender, error in network.returned():
                self._returned(network, id, sender, error, now)
        with self._state.transaction() as db:
            for status, kept in (("said", RETURNS), ("unknown", LISTED)):
                old = "DELETE FROM bot_notice WHERE status = ? AND abs(? - changed) > ?"
                db.execute(old, (status, now, kept))
        for notice in self._with_status("waiting"):
            found = company.named(notice.network)
            if found is None or not company.sees(found, notice.account):
                self._ends(notice, "absent", "nobody is online there", now)
            else:
                self._say(found, notice, now)

    def _say(self, network: Network, notice: Notice, now: float) -> None:
        self._mark(notice, "saying")
        try:
            text = shortened(notice.text, network.longest)
            known_as = network.say({"to": notice.account}, text)
        except (Unreachable, TryLater):
            self._mark(notice, "waiting")
        except Unknown as error:
            self._ends(notice, "unknown", str(error), now)
        except (CommsError, ValueError) as error:
            self._ends(notice, "refused", str(error), now)
        else:
            self._ends(notice, "said", "", now, known_as or "")

    def _returned(
        self, network: Network, id: str, sender: str, error: CommsError, now: float
    ) -> None:
        """Settles what has come back; only its receiver and their server know its id."""
        for notice in self._with_status("said", "AND known_as = ?", id) if id else ():
            account = network.normalize(notice.account)
            if notice.network == network.name and sender in (account, account.rpartition("@")[2]):
                outcome: Outcome = "unknown" if isinstance(error, Unknown) else "returned"
                self._ends(notice, outcome, str(error), now)

    def _ends(
        self, notice: Notice, outcome: Outcome, error: str, now: float, known_as: str = ""
    ) -> None:
        """Stores an outcome, together with what follows from it."""
        with self._state.transaction() as db:
            if outcome == "unknown" or (outcome == "said" and known_as):
                row = (outcome, now, known_as, notice.id)
                db.execute(
                    "UPDATE bot_notice SET status = ?, changed = ?, known_as = ? WHERE id = ?", row
                )
            else:
                db.execute("DELETE FROM bot_notice WHERE id = ?", (notice.id,))
            self._settle(db, notice, outcome, error)

    def _mark(self, notice: Notice, status: str) -> None:
        with self._state.transaction() as db:
            db.execute("UPDATE bot_notice SET status = ? WHERE id = ?", (status, notice.id))

    def _with_status(self, status: str, more: str = "", *values: str) -> list[Notice]:
        rows = self._state.rows(
            f"SELECT {_COLUMNS} FROM bot_notice WHERE status = ? {more} ORDER BY id",
            status,
            *values,
        )
        return [
            Notice(int(str(id)), str(network), str(account), str(text), str(about))
            for id, network, account, text, about in rows
        ]
