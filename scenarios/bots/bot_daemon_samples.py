"""An application with tickets, and its staff, who are on Jabber and AIM."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, MetaData, select, text
from sqlalchemy.orm import Session

from scenarios.models import opened

DATABASE = "sqlite:///tickets.sqlite3"
CAROL = "carol@customer.test"
STAFF = 'ann = { jabber = "ann@yourco.test" }\nbob = { aim = "Bob" }\n'


def world_of_staff() -> dict[str, Any]:
    """Returns a WORLD with Ann, Bob, and Mallory, who is not of the staff."""
    return {
        "servers": ["xmpp", "toc"],
        "program": "bot@yourco.test",
        "person": [{"address": f"{name}@yourco.test"} for name in ("bot", "ann", "mallory")],
        "aim": [{"screen_name": name} for name in ("TicketBot", "Bob")],
        "scenario": {"bot-daemon": {"staff": "staff.toml"}},
    }


class Application:
    """A web application, as far as its database shows it. Its models are those of tickets."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self._models = importlib.import_module("scenarios.processing.tickets_model")
        self._folder, self._now = folder, now
        (folder / "staff.toml").write_text(STAFF, newline="\n")
        self.metadata = self._models.Base.metadata
        with self._engine():
            pass  # it makes its tables

    def _engine(self) -> contextlib.AbstractContextManager[Engine]:
        return opened(DATABASE, self._folder.joinpath, self.metadata)

    def opens(self, subject: str, count: int = 1) -> None:
        """Opens a ticket for Carol, or several."""
        now = self._now()
        values = {"owner": CAROL, "subject": subject, "text": "Please help.", "token": ""}
        with self._engine() as engine, Session(engine) as db, db.begin():
            db.add_all(self._models.Ticket(**values, opened=now, changed=now) for _ in range(count))

    def migrates(self, old: str, new: str) -> None:
        """Renames a column of the tickets, as a migration would."""
        nothing = MetaData()  # a table with a column of another name would be refused
        with opened(DATABASE, self._folder.joinpath, nothing) as engine, engine.begin() as db:
            db.execute(text(f"ALTER TABLE ticket RENAME COLUMN {old} TO {new}"))

    def open_tickets(self) -> list[int]:
        """Returns the ids of the open tickets."""
        kind = self._models.Ticket
        with self._engine() as engine, Session(engine) as db:
            return list(db.scalars(select(kind.id).where(kind.closed.is_(False))))


def trial(world: Any) -> dict[str, Any]:
    """Opens tickets while `make live` runs, and lets Bob ask."""
    app, bob = Application(world.folder, time.time), world.aim.actor("Bob")
    bob.signs_on()
    for seconds, happens, words in (
        (5.0, app.opens, ("The printer is on fire",)),
        (12.0, bob.says, ("TicketBot", "open")),
    ):
        timer = threading.Timer(seconds, happens, words)
        timer.daemon = True
        timer.start()
    return {
        "scenario": {
            "bot-daemon": {
                "staff": str(world.folder / "staff.toml"),
                "database": f"sqlite:///{world.folder}/tickets.sqlite3",
            }
        }
    }
