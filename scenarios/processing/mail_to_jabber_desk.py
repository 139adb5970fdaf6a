"""The desk of mail-to-jabber: it stores what must be told, tells it, and empties the maildrop."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from comms import replies
from comms.clock import Clock, Interrupted
from comms.errors import CommsError, Refused, RefusedNow, StateError
from comms.host import Host
from comms.ledger import Entry, Ledger, keys
from comms.mailbox import Incoming, incoming, open_mailbox
from comms.quarantine import Quarantine
from comms.read import Mail, read
from comms.settings import Server
from comms.state import State
from comms.xmpp import Client, Jid, stanzas

if TYPE_CHECKING:
    from scenarios.processing.mail_to_jabber import Rules

LARGEST = 1_000_000  # bytes; of a larger mail only the header is read
READING = 5.0  # seconds of computing that a mail may cost
PAUSE = 60.0  # seconds before a message that came back is sent again; it doubles each time,
LONGEST = 3600.0  # up to this
DOUBLINGS = 16  # more would make no difference
RETURNS = 3600.0  # seconds in which a message that the server has taken may still come back

# A message is waiting, sending (it is unknown whether the server has it), or taken.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS telling (
    id INTEGER PRIMARY KEY, mail INTEGER NOT NULL, user TEXT NOT NULL, stanza TEXT NOT NULL,
    text TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL)
"""

Telling = Callable[..., tuple[str, bool]]


@dataclass(frozen=True)
class _Message:
    """A row of the table: what one user is told of one mail. `mail` is its entry in the ledger."""

    id: int
    mail: int
    user: str
    stanza: str
    text: str
    tries: int


class Desk:
    """The work of one run. `telling` makes the text of a message of a mail."""

    def __init__(
        self,
        rules: Rules,
        server: Server,
        state: State,
        clock: Clock,
        host: Host,
        telling: Telling,
    ) -> None:
        self._rules, self._server, self._state = rules, server, state
        self._clock, self._host, self._telling = clock, host, telling
        self._users = [str(Jid.parse(user)) for user in rules.users]
        self._ledger = Ledger(state)
        self._kept = Quarantine(state.path.with_suffix(".kept"))
        self._waits_for: set[str] = set()  # users who have not authorised us
        with state.transaction() as db:
            db.execute(_SCHEMA)
        self._follow_settings()

    def _follow_settings(self) -> None:
        """Makes the users of now those who are told of the mails that still wait."""
        now = self._clock.time()
        with self._state.transaction() as db:
            for entry in self._ledger.entries("intended"):
                rows = "SELECT user, text FROM telling WHERE mail = ?"
                told = dict(db.execute(rows, (entry.id,)).fetchall())
                for user in told.keys() - {*self._users}:
                    theirs = "DELETE FROM telling WHERE mail = ? AND user = ?"
                    db.execute(theirs, (entry.id, user))
                self._add(db, entry.id, [u for u in self._users if u not in told], *told.values())
                self._end_if_told(db, entry.id, now)

    def work(self, jabber: Client) -> int:
        """Tells what waits, then what is new. Returns 0, or the exit code of the mailbox's error.

        Raises Refused, StateError.
        """
        # Nobody is answered, but what they write must not fill the inbox.
        jabber.received_messages()
        self._take_back(jabber)
        for presence in jabber.presence_updates():
            if presence.sender is not None and presence.kind != "unavailable":
                self._due_now(str(presence.sender.bare))
        self._tell(jabber)
        try:
            self._collect(jabber)
        except CommsError as error:
            if isinstance(error, StateError):
                raise
            if isinstance(error, Refused) and not isinstance(error, RefusedNow):
                raise  # a wrong password does not become right by waiting
            self._host.log("mailbox", "warning", trouble=error)
            return error.exit_code
        return 0

    # ── mail ─────────────────────────────────────────────────────────────────

    def _collect(self, jabber: Client) -> None:
        place, stopping = self._server.account, self._clock.stopping
        # Those that are being told need not be fetched again.
        told = {entry.facts.get("uid", "") for entry in self._ledger.entries("intended")}
        with open_mailbox(self._server, self._clock, self._host) as mailbox:
            mails = incoming(mailbox, self._ledger, place, LARGEST, self._host, stopping, told)
            with contextlib.closing(mails):
                for arrived in mails:
                    try:
                        self._take(arrived, place, jabber)
                    except StateError:
                        arrived.blameless = True
                        raise

    def _take(self, arrived: Incoming, place: str, jabber: Client) -> None:
        """Stores what users will be told of a mail, and tells it. Raises StateError."""
        problem = arrived.problem
        try:
            with self._clock.limit(READING):
                mail = Mail(arrived.raw) if arrived.killed_us else read(arrived.raw)
                text, whole = self._telling(mail, self._rules.limit)
                known_by = keys(mail, place, arrived.entry.id)
        except Interrupted as error:
            if self._clock.stopping():
                arrived.leave_on_server = True  # it is read after the restart
                return
            problem, mail = f"it cannot be read: {error}", Mail(arrived.raw)
            text, whole = self._telling(mail, self._rules.limit)
            known_by = keys(mail, place, arrived.entry.id)
        too_large = arrived.entry.size > LARGEST
        entry = self._known(known_by)
        if entry is None:
            now, notes = self._clock.time(), []
            if problem:
                notes.append(f"[{problem}]")
            if too_large:
                notes.append("[it stays in the maildrop]")
            tells = self._rules.automatic == "tell" or not replies.automatic(mail)
            if not too_large and (problem or not whole or not tells):
                path = self._kept.keep(arrived.raw, now, known=True)
                notes.append(f"[kept as {path.name}]")
            if notes:
                text, _ = self._telling(mail, self._rules.limit, *notes)
            self._enlist(known_by, arrived.entry.id, text, tells, now)
            self._tell(jabber)
            entry = self._known(known_by)
        # Deleted when each user has been told, or when it is kept.
        arrived.leave_on_server = too_large or entry is None or entry.status != "done"

    def _known(self, known_by: tuple[str, ...]) -> Entry | None:
        return next(filter(None, map(self._ledger.find, known_by)), None)

    def _enlist(
        self, known_by: tuple[str, ...], uid: str, text: str, tells: bool, now: float
    ) -> None:
        """Stores the messages about one mail, in one transaction."""
        with self._state.transaction() as db:
            mail = self._ledger.intend(db, known_by, "", "mail", {"uid": uid}, now)
            assert mail is not None
            self._add(db, mail, self._users if tells else [], text)
            if not tells:
                self._ledger.end(db, mail, "done", {}, now)
        if not tells:
            self._host.log("automatic-mail-kept", mail=uid)

    def _add(self, db: sqlite3.Connection, mail: int, users: list[str], *texts: str) -> None:
        """Adds a message about a mail for each of these users: the first text."""
        for user in users:
            row = (mail, user, self._host.token(20), texts[0], self._clock.time())
            into = "INSERT INTO telling (mail, user, stanza, text, due) VALUES (?, ?, ?, ?, ?)"
            db.execute(into, row)

    # ── messages ─────────────────────────────────────────────────────────────

    def _tell(self, jabber: Client) -> None:
        """Sends the messages that are due, oldest first."""
        now = self._clock.time()
        away: set[str] = set()
        # No pause is longer than the longest: what is due later was stored by a wrong clock.
        for message in self._messages(
            "status IN ('waiting', 'sending') AND (due <= ? OR due > ?)", now, now + LONGEST
        ):
            if not jabber.connected:
                return
            if message.user in away or not self._may_be_told(jabber, message.user):
                continue
            if not self._send(jabber, message):
                away.add(message.user)

    def _may_be_told(self, jabber: Client, user: str) -> bool:
        """Whether a user has authorised us. If not, asks them; they are told when they agree."""
        if jabber.subscribed_to(user):
            self._waits_for.discard(user)
            return True
        if user not in self._waits_for:
            self._waits_for.add(user)
            self._host.log("not-authorised", "warning", user=user)
        with contextlib.suppress(CommsError):
            jabber.request_subscription(Jid.parse(user))
        return False

    def _send(self, jabber: Client, message: _Message) -> bool:
        """Sends a message, and waits until the server has processed it. Returns whether it has it.

        If the program dies from the mark on, or the connection is lost, the message may have been
        sent. It is sent again then, with the same id.
        """
        self._set(message, "sending")
        element = stanzas.message(Jid.parse(message.user), message.text)
        element.set("id", message.stanza)
        try:
            jabber.send(element)
            self._await_server(jabber)
        except CommsError as error:
            self._defer(message, f"it is unknown whether it was sent: {error}", "sending")
            return False
        if trouble := self._came_back(jabber, message):
            self._defer(message, trouble)
            return False
        self._set(message, "taken")
        self._host.log("told", user=message.user)
        return True

    def _await_server(self, jabber: Client) -> None:
        """Waits until the server has processed what was sent. Raises CommsError.

        RFC 6120 §10.1: it processes what we send in order. So any answer to a ping will do.
        """
        try:
            jabber.request(stanzas.iq("get", Element(f"{{{stanzas.PING}}}ping")))
        except Refused:
            if not jabber.connected:  # the connection was refused, and not the ping
                raise

    def _set(self, message: _Message, status: str) -> None:
        """Stores the status of a message; when all users have been told, the mail is done."""
        now = self._clock.time()
        with self._state.transaction() as db:
            db.execute(
                "UPDATE telling SET status = ?, due = ? WHERE id = ?", (status, now, message.id)
            )
            self._end_if_told(db, message.mail, now)

    def _end_if_told(self, db: sqlite3.Connection, mail: int, now: float) -> None:
        left = "SELECT 1 FROM telling WHERE mail = ? AND status != 'taken' LIMIT 1"
        if not db.execute(left, (mail,)).fetchone():
            self._ledger.end(db, mail, "done", {}, now)

    def _defer(self, message: _Message, trouble: str, status: str = "waiting") -> None:
        pause = min(PAUSE * 2.0 ** min(message.tries, DOUBLINGS), LONGEST)
        with self._state.transaction() as db:
            db.execute(
                "UPDATE telling SET status = ?, tries = tries + 1, due = ? WHERE id = ?",
                (status, self._clock.time() + pause, message.id),
            )
        again = f"{pause:.0f}s"
        self._host.log("deferred", "warning", user=message.user, trouble=trouble, again=again)

    def _take_back(self, jabber: Client) -> None:
        """Defers the messages that have come back late, and forgets the others in the end.

        Those of a mail that a user still waits for stay: they say who has been told of it.
        """
        if jabber.returned:
            for message in self._messages("status = 'taken'"):
                if trouble := self._came_back(jabber, message):
                    self._defer(message, trouble)
        before = self._clock.time() - RETURNS
        waiting = "SELECT mail FROM telling WHERE status != 'taken'"
        old = f"status = 'taken' AND due < ? AND mail NOT IN ({waiting})"
        if self._state.rows(f"SELECT 1 FROM telling WHERE {old} LIMIT 1", before):
            with self._state.transaction() as db:
                db.execute(f"DELETE FROM telling WHERE {old}", (before,))

    def _came_back(self, jabber: Client, message: _Message) -> str:
        """Returns why a message has come back, "" if it has not.

        Anybody can send an error, but only the user, and the servers on the way, know the id.
        """
        returned = jabber.returned.pop(message.stanza, None)
        sender = str(returned.sender.bare) if returned and returned.sender else ""
        known = (message.user, message.user.rpartition("@")[2], jabber.jid.domain)
        return returned.error if returned and sender in known else ""

    def _due_now(self, user: str) -> None:
        """Tells a user who has come online without a pause."""
        now, theirs = self._clock.time(), "user = ? AND status = 'waiting'"
        if self._messages(f"{theirs} AND due > ?", user, now):
            with self._state.transaction() as db:
                db.execute(f"UPDATE telling SET due = ? WHERE {theirs}", (now, user))

    def _messages(self, where: str, *values: object) -> list[_Message]:
        columns = "id, mail, user, stanza, text, tries"
        found: list[Any] = self._state.rows(
            f"SELECT {columns} FROM telling WHERE {where} ORDER BY id", *values
        )
        return [_Message(*row) for row in found]
