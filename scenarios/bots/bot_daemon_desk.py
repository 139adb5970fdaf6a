"""The tickets of an application as bot-daemon sees them, and the staff."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from comms.bots.company import Company
from comms.bots.messengers import not_bare
from comms.bots.network import Network
from comms.bots.orders import known_by
from comms.errors import SettingsError
from comms.setting_types import Check, Module
from comms.state import State
from comms.suggest import did_you_mean
from comms.words import one_line

COMMANDS = ("open", "show", "close", "help")
HELP = "You may say: open, show 7, close 7"
ROWS = 20  # tickets of one message
SUBJECT, TEXT = 80, 2000  # characters that are shown
_WORDS = re.compile(r"(open|help|\?)|(show|close) #?([0-9]{1,9})")  # no id has more digits
_SCHEMA = "CREATE TABLE IF NOT EXISTS told (ticket INTEGER PRIMARY KEY)"


def _no_models(name: str) -> str:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        return f"{name} cannot be imported: {one_line(str(error))}"
    missing = [kind for kind in ("Base", "Ticket") if not hasattr(module, kind)]
    return f"{name} has no {missing[0]}" if missing else ""


Models = Annotated[Module, Check(_no_models, '"scenarios.processing.tickets_model"')]


class Staff:
    """The people whom the daemon obeys, and their accounts. Raises SettingsError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.people: dict[str, dict[str, str]] = {}
        self.read()

    def read(self) -> None:
        """Reads the file, if it is right; otherwise nothing changes. Raises SettingsError."""
        try:
            people = tomllib.loads(self._path.read_text("utf-8-sig"))
            problem = _problem_of(people)
        except (OSError, ValueError, RecursionError) as error:
            problem = f"cannot be read: {one_line(str(error))}"
        if problem:
            raise SettingsError(
                f'{self._path.name}: {problem}; write ann = {{ jabber = "ann@yourco.test" }}'
            )
        self.people = people

    def person(self, network: Network, who: str) -> str:
        """Returns who has an account, "" for a stranger."""
        return known_by(self.people)(network, who)

    def accounts(self, company: Company) -> list[tuple[Network, str]]:
        """Returns where each person is told something: first where the bot is online."""
        found = []
        for mine in self.people.values():
            known = [network for network in company.networks if network.name in mine]
            known.sort(key=lambda network: not company.is_online(network))
            found += [(network, mine[network.name]) for network in known[:1]]
        return found


def _problem_of(people: dict[str, Any]) -> str:
    """Returns what is wrong with the people of a file, "" if nothing is."""
    for person, accounts in people.items():
        if not isinstance(accounts, dict) or not accounts:
            return f"{person}: expected accounts"
        for network, account in accounts.items():
            if network not in ("jabber", "aim"):
                return f"{person}: unknown network {network!r}"
            if not isinstance(account, str) or not account.strip():
                return f"{person}: {network}: expected an account, found {account!r}"
            if network == "jabber" and (problem := not_bare(account)):
                return f"{person}: {problem}"
    return "" if people else "nobody is in it"


class Tickets:
    """The application's tickets, and which of them the staff was told of.

    Those that were opened before the daemon first ran are not new.
    """

    def __init__(self, engine: Engine, ticket: Any, state: State, now: float) -> None:
        self._engine, self._ticket, self._state = engine, ticket, state
        with state.transaction() as db:
            db.execute(_SCHEMA)
            if (since := state.recall("since", 0.0)) is None:
                since = now
                state.remember(db, "since", since)
        self._since = float(since)

    def tell_new(self, accounts: Sequence[tuple[Network, str]], now: float) -> int:
        """Stores a message about the new tickets for each account, and returns their number.

        It is stored with the fact that they were told of, so that they are told of once.
        """
        told = {row[0] for row in self._state.rows("SELECT ticket FROM told")}
        # Ids alone would not do: a transaction with a lower id may be committed later.
        new = [row for row in self._open(self._ticket.opened >= self._since) if row.id not in told]
        if not new or not accounts:
            return 0
        text = f"New tickets:\n{_lines(new)}"
        with self._state.transaction() as db:
            db.executemany("INSERT INTO told VALUES (?)", [(row.id,) for row in new])
            for network, account in accounts:
                network.put({"to": account}, text, now, db)
        return len(new)

    def answer(self, text: str, now: float) -> tuple[str, int]:
        """Returns the answer to a message, and the ticket that was closed by it, 0 if none was."""
        words = " ".join(text.casefold().split())
        match = _WORDS.fullmatch(words)
        if match is None:
            first = words.partition(" ")[0][:SUBJECT]
            near = "" if first in COMMANDS else did_you_mean(first, COMMANDS)
            return f"I do not understand that{near}. {HELP}", 0
        if match[1] == "open":
            rows = self._open()
            return f"{len(rows)} open:\n{_lines(rows)}".rstrip(":\n"), 0
        if match[1]:
            return HELP, 0
        number = int(match[3])
        return self._close(number, now) if match[2] == "close" else (self._show(number), 0)

    def _open(self, *where: Any) -> Sequence[Any]:
        kind = self._ticket
        is_open = (kind.closed.is_(False), kind.merged_into.is_(None), *where)
        query = select(kind.id, kind.subject, kind.owner).where(*is_open).order_by(kind.id)
        with Session(self._engine) as db:
            return db.execute(query).all()

    def _show(self, number: int) -> str:
        with Session(self._engine) as db:
            ticket = db.get(self._ticket, number)
            if ticket is None:
                return f"There is no ticket #{number}"
            closed = " (closed)" if ticket.closed else ""
            return f"{_line(ticket)}{closed}\n{ticket.text.strip()[:TEXT]}"

    def _close(self, number: int, now: float) -> tuple[str, int]:
        kind = self._ticket
        with Session(self._engine) as db, db.begin():
            is_open = update(kind).where(kind.id == number, kind.closed.is_(False))
            # In one statement: the application may be closing it, too.
            found: Any = db.execute(is_open.values(closed=True, changed=now))
            if found.rowcount:
                return f"#{number} is closed", number
            if db.get(kind, number) is None:
                return f"There is no ticket #{number}", 0
        return f"#{number} was closed before", 0


def _line(ticket: Any) -> str:
    return f"#{ticket.id} {one_line(ticket.subject)[:SUBJECT]} ({ticket.owner})"


def _lines(tickets: Sequence[Any]) -> str:
    lines = [_line(ticket) for ticket in tickets[:ROWS]]
    more = [f"and {len(tickets) - ROWS} more"] if len(tickets) > ROWS else []
    return "\n".join(lines + more)
