"""Messages that wait until they can go, in the state file: they outlive the program.

    outbox = Outbox(state)
    jabber.deliver("them@example.test", "Hello!", later=outbox)          # until they have authorised us
    outbox.put(str(message.sender), "done", now, answer=True, db=db)     # until we are on line: who asks may be answered
    for result in outbox.flush(jabber, clock): …                         # in every round

Each is marked before it is sent: one that was being sent when the link or the program was lost is unknown, and is not
sent again.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.errors import CommsError, Unknown
from comms.state import State
from comms.xmpp import stanzas
from comms.xmpp.addresses import Jid

if TYPE_CHECKING:
    from comms.xmpp.client import Client

GIVE_UP = 30 * 86400.0  # seconds after which a message has no meaning any more

_SCHEMA = """
CREATE TABLE IF NOT EXISTS xmpp_outbox (
    id INTEGER PRIMARY KEY, address TEXT NOT NULL, text TEXT NOT NULL, kind TEXT NOT NULL, thread TEXT NOT NULL,
    answer INTEGER NOT NULL, made REAL NOT NULL, status TEXT NOT NULL DEFAULT 'waiting');
"""


@dataclass(frozen=True)
class Result:
    """What became of a message: sent, unknown, or given-up."""

    address: str
    text: str
    status: str
    error: str = ""


class Outbox:
    """The waiting messages in a state file. Raises StateError."""

    def __init__(self, state: State) -> None:
        self._state = state
        with state.transaction() as db:
            db.execute(_SCHEMA)
            # what a former run marked and never settled
            db.execute("UPDATE xmpp_outbox SET status = 'unknown' WHERE status = 'sending'")

    def put(
        self, address: str, text: str, at: float, kind: str = "chat", thread: str = "", answer: bool = False,
        db: sqlite3.Connection | None = None,
    ) -> None:  # fmt: skip
        """Has a message wait; an answer needs no authorisation. With `db`, in the caller's open transaction."""
        if db is None:
            with self._state.transaction() as own:
                self.put(address, text, at, kind, thread, answer, own)
            return
        row = (address, text, kind, thread, answer, at)
        db.execute(
            "INSERT INTO xmpp_outbox (address, text, kind, thread, answer, made) VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )

    def waiting(self) -> list[tuple[str, str]]:
        """(address, text) of everything that still waits, oldest first."""
        rows = self._state.rows(
            "SELECT address, text FROM xmpp_outbox WHERE status = 'waiting' ORDER BY id"
        )
        return [(str(address), str(text)) for address, text in rows]

    def unknown(self) -> list[tuple[str, str]]:
        """(address, text) of what was being sent when the link or the program was lost."""
        rows = self._state.rows(
            "SELECT address, text FROM xmpp_outbox WHERE status = 'unknown' ORDER BY id"
        )
        return [(str(address), str(text)) for address, text in rows]

    def flush(self, jabber: Client, clock: Clock) -> list[Result]:
        """Sends what may go by now, oldest first, and says what became of it."""
        results = []
        rows = self._state.rows(
            "SELECT id, address, text, kind, thread, answer, made FROM xmpp_outbox WHERE status = 'waiting' ORDER BY id"
        )
        for id, address, text, kind, thread, answer, made in rows:
            if clock.time() - float(str(made)) > GIVE_UP:
                results.append(
                    self._settled(
                        id, str(address), str(text), "given-up", "it could not go for too long"
                    )
                )
                continue
            to = Jid.parse(str(address))
            if not jabber.connected or not (answer or jabber.subscribed_to(to)):
                continue
            with self._state.transaction() as db:  # intent before effect
                db.execute("UPDATE xmpp_outbox SET status = 'sending' WHERE id = ?", (id,))
            status, trouble = "sent", ""
            try:
                jabber.send(stanzas.message(to, str(text), str(kind), str(thread)))
            except CommsError as error:
                status, trouble = "unknown" if isinstance(error, Unknown) else "waiting", str(error)
            results.append(self._settled(id, str(address), str(text), status, trouble))
        return [result for result in results if result.status != "waiting"]

    def _settled(self, id: object, address: str, text: str, status: str, trouble: str) -> Result:
        with self._state.transaction() as db:
            if status in ("sent", "given-up"):
                db.execute("DELETE FROM xmpp_outbox WHERE id = ?", (id,))
            else:
                db.execute("UPDATE xmpp_outbox SET status = ? WHERE id = ?", (status, id))
        return Result(address, text, status, trouble)
