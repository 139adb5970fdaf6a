"""Messages that wait in the state file until they can be sent. They survive the program.

    outbox = Outbox(state)
    jabber.deliver("them@example.test", "Hello!", later=outbox)        # until they authorise us
    outbox.put(str(message.sender), "done", now, answer=True, db=db)   # until we are online
    for result in outbox.flush(jabber, clock):                         # in every round
        ...

Each message is marked before it is sent. If the connection or the program is lost in the middle, it
is unknown whether the message was sent, and it is not sent again. A message that comes back as an
error, because its receiver does not exist or cannot be reached, is reported as `returned`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.errors import CommsError, Unknown
from comms.xmpp import stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.stream import representable

if TYPE_CHECKING:
    import sqlite3

    from comms.state import State
    from comms.xmpp.client import Client
    from comms.xmpp.stanzas import Message

GIVE_UP = 30 * 86400.0  # seconds after which a message no longer makes sense
RETURNS = 3600.0  # seconds after its sending in which a message may come back

_SCHEMA = """
CREATE TABLE IF NOT EXISTS xmpp_outbox (
    id INTEGER PRIMARY KEY, address TEXT NOT NULL, text TEXT NOT NULL, kind TEXT NOT NULL,
    thread TEXT NOT NULL, answer INTEGER NOT NULL, made REAL NOT NULL,
    status TEXT NOT NULL DEFAULT 'waiting');
"""
# Those that were sent and may still come back: the id of the stanza.
_SENT = """
CREATE TABLE IF NOT EXISTS xmpp_sent (
    stanza TEXT PRIMARY KEY, address TEXT NOT NULL, text TEXT NOT NULL, sent REAL NOT NULL);
"""


@dataclass(frozen=True)
class Result:
    """What happened to a message. `status` is sent, returned, unknown or given-up.

    A message is reported as returned after it was reported as sent. `error` is why.
    """

    address: str
    text: str
    status: str
    error: str = ""


class Outbox:
    """The waiting messages in a state file. Every method raises StateError."""

    def __init__(self, state: State) -> None:
        self._state = state
        with state.transaction() as db:
            db.execute(_SCHEMA)
            db.execute(_SENT)
            # These were being sent when an earlier run ended.
            db.execute("UPDATE xmpp_outbox SET status = 'unknown' WHERE status = 'sending'")

    def put(
        self,
        address: str,
        text: str,
        at: float,
        kind: str = "chat",
        thread: str = "",
        answer: bool = False,
        db: sqlite3.Connection | None = None,
    ) -> None:
        """Adds a message.

        An `answer` needs no authorisation, because the other side has written first; if it is too
        long for one message, a short one is stored instead (`stanzas.fitting`). With `db`, the
        message is added in the caller's open transaction. Characters that XML cannot represent are
        stored as U+FFFD, as which they would be sent. Raises ValueError for an impossible address,
        and for a text that is too long and not an answer.
        """
        if db is None:
            with self._state.transaction() as own:
                self.put(address, text, at, kind, thread, answer, own)
            return
        to = Jid.parse(address)
        if answer:
            text, thread = stanzas.fitting(to, text, kind, thread)
        else:
            stanzas.checked_bytes(stanzas.message(to, text, kind, thread))
        # As the sender of an error has it, too, if the message comes back.
        row = (str(to), representable(text), kind, representable(thread), answer, at)
        db.execute(
            "INSERT INTO xmpp_outbox (address, text, kind, thread, answer, made) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )

    def waiting(self) -> list[tuple[str, str]]:
        """Returns (address, text) of the messages that still wait, oldest first."""
        return self._with_status("waiting")

    def unknown(self) -> list[tuple[str, str]]:
        """Returns (address, text) of the messages that may have been sent or not."""
        return self._with_status("unknown")

    def _with_status(self, status: str) -> list[tuple[str, str]]:
        rows = self._state.rows(
            "SELECT address, text FROM xmpp_outbox WHERE status = ? ORDER BY id", status
        )
        return [(str(address), str(text)) for address, text in rows]

    def flush(self, jabber: Client, clock: Clock) -> list[Result]:
        """Sends what can be sent, oldest first, and returns the results."""
        now = clock.time()
        results = self._returned(jabber, now)
        with self._state.transaction() as db:
            # A message from the future was put when the clock was ahead: it counts from now.
            db.execute("UPDATE xmpp_outbox SET made = ? WHERE made > ?", (now, now))
        rows = self._state.rows(
            "SELECT id, address, text, kind, thread, answer, made FROM xmpp_outbox "
            "WHERE status = 'waiting' ORDER BY id"
        )
        for id, address, text, kind, thread, answer, made in rows:
            if clock.time() - float(str(made)) > GIVE_UP:
                reason = "it could not be sent for too long"
                results.append(self._settle(id, str(address), str(text), "given-up", reason))
                continue
            try:
                to = Jid.parse(str(address))
            except ValueError as error:  # the file is damaged
                reason = str(error)
                results.append(self._settle(id, str(address), str(text), "given-up", reason))
                continue
            if not jabber.connected or not (answer or jabber.subscribed_to(to)):
                continue
            # If the program dies from here on, the outcome is unknown.
            with self._state.transaction() as db:
                db.execute("UPDATE xmpp_outbox SET status = 'sending' WHERE id = ?", (id,))
            status, reason = "sent", ""
            element = stanzas.message(to, str(text), str(kind), str(thread))
            try:
                jabber.send(element)
            except CommsError as error:
                status = "unknown" if isinstance(error, Unknown) else "waiting"
                reason = str(error)
            except ValueError as error:  # a filter of the program has made it too long, say
                status, reason = "given-up", str(error)
            stanza = element.get("id", "") if status == "sent" else ""
            sent = (stanza, clock.time())
            results.append(self._settle(id, str(address), str(text), status, reason, sent))
        return [result for result in results if result.status != "waiting"]

    def _returned(self, jabber: Client, now: float) -> list[Result]:
        """Returns which of the messages that were sent have come back, and forgets old ones.

        Anybody can send an error, but nobody else knows the id: only the receiver, and the servers
        on the way.
        """
        # An object that can only send, as in tests, does not know what has come back.
        returned: dict[str, Message] = getattr(jabber, "returned", {})
        sent = "SELECT stanza, address, text FROM xmpp_sent"
        results = []
        for stanza, address, text in self._state.rows(sent) if returned else ():
            message = returned.pop(str(stanza), None)
            if message is None or message.sender is None:
                continue
            receiver = str(address).partition("/")[0]
            if str(message.sender.bare) in (receiver, receiver.rpartition("@")[2]):
                results.append(Result(str(address), str(text), "returned", message.error))
                with self._state.transaction() as db:
                    db.execute("DELETE FROM xmpp_sent WHERE stanza = ?", (stanza,))
        old = self._state.rows("SELECT 1 FROM xmpp_sent WHERE sent < ? LIMIT 1", now - RETURNS)
        if old:
            with self._state.transaction() as db:
                db.execute("DELETE FROM xmpp_sent WHERE sent < ?", (now - RETURNS,))
        return results

    def _settle(
        self,
        id: object,
        address: str,
        text: str,
        status: str,
        error: str,
        sent: tuple[str, float] = ("", 0.0),
    ) -> Result:
        """Stores the outcome. `sent` is the id of the stanza, if it may come back, and when."""
        with self._state.transaction() as db:
            if sent[0]:
                row = (sent[0], address, text, sent[1])
                db.execute("INSERT OR REPLACE INTO xmpp_sent VALUES (?, ?, ?, ?)", row)
            if status in ("sent", "given-up"):
                db.execute("DELETE FROM xmpp_outbox WHERE id = ?", (id,))
            else:
                db.execute("UPDATE xmpp_outbox SET status = ? WHERE id = ?", (status, id))
        return Result(address, text, status, error)
