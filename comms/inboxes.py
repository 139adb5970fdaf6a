"""Secret inboxes: an address for each administrator that nobody can guess, and that can be changed.

    inboxes = Inboxes(state, "ops+*@yourco.test", clock, host)
    with state.transaction() as db:
        issued = inboxes.issue(db, "jeremy@yourco.test")    # its address can be read only now
    inbox = inboxes.find(["ops+…@yourco.test"])             # None if there is no such inbox

The star of the pattern stands for the secret. The state has only its digest, so that who reads the
file learns no address. A link proves that its owner got the mail with the inbox: it is signed, is
good for one inbox and one action, and ends with the inbox.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from comms import addresses
from comms.clock import Clock
from comms.host import Host
from comms.state import State

SECRET = 20  # characters of a-z and 0-9
BITS = SECRET * math.log2(36)  # 103: a million guesses a second find one in 10^17 years
KEY = 43  # characters of the key that signs links: 222 bits
ACTIONS = {"rotate": "rotate", "lost": "revoke"}  # word of a link → what it does

_SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY, who TEXT NOT NULL, digest TEXT NOT NULL, since REAL NOT NULL,
    until REAL, revoked INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0);
"""


@dataclass(frozen=True)
class Inbox:
    """An inbox: whose it is, and whether mail to it is still obeyed."""

    id: int
    who: str
    open: bool


@dataclass(frozen=True)
class Issued:
    """A new inbox, to be told to its owner and to nobody else."""

    id: int
    who: str
    address: str


def pattern_problem(pattern: str) -> str:
    """Returns what is wrong with the pattern of addresses, or ""."""
    local, _, domain = pattern.partition("@")
    # First, because an address with thousands of secrets would be long.
    if local.count("*") != 1 or "*" in domain or len(local) > 40:
        return (
            f'{pattern[:60]!r} does not have one * before the @; write inbox = "ops+*@example.org"'
        )
    try:
        addresses.parse_one(pattern.replace("*", "x" * SECRET))
    except ValueError as error:
        return f'{error}; write inbox = "ops+*@example.org"'
    return ""


class Inboxes:
    """The inboxes in a state file. Every method raises StateError."""

    def __init__(self, state: State, pattern: str, clock: Clock, host: Host) -> None:
        self._state, self._pattern = state, pattern
        self._clock, self._host = clock, host
        with state.transaction() as db:
            db.execute(_SCHEMA)
            key = state.recall("inbox key", "")
            if key is None:
                key = host.token(KEY)
                state.remember(db, "inbox key", key)
        self._key = str(key).encode()

    # ── addresses ────────────────────────────────────────────────────────────

    def issue(self, db: sqlite3.Connection, who: str, overlap: float = 0.0) -> Issued:
        """Makes a new inbox, in the caller's transaction. Older ones of its owner end then.

        They end at once, or after `overlap` seconds, for mail that is under way.
        """
        now = self._clock.time()
        if overlap:
            sql = "UPDATE inbox SET until = min(coalesce(until, ?), ?) WHERE who = ?"
            db.execute(sql, (now + overlap, now + overlap, who))
        else:
            db.execute("UPDATE inbox SET until = ?, revoked = 1 WHERE who = ?", (now, who))
        address = self._pattern.replace("*", self._host.token(SECRET))
        row = (who, _digest(address), now)
        id = db.execute("INSERT INTO inbox (who, digest, since) VALUES (?, ?, ?)", row).lastrowid
        assert id is not None
        return Issued(id, who, address)

    def owners(self) -> set[str]:
        """Returns who has an inbox that does not end."""
        rows = self._state.rows("SELECT who FROM inbox WHERE until IS NULL AND NOT revoked")
        return {str(row[0]) for row in rows}

    def find(self, addresses: Iterable[str]) -> Inbox | None:
        """Returns the inbox that one of these addresses is; None if none is.

        Each address is compared with every inbox, in a time that does not depend on where they
        differ (`hmac.compare_digest`).
        """
        digests = [_digest(address) for address in addresses]
        found = None
        for id, who, digest, until, revoked in self._state.rows(
            "SELECT id, who, digest, until, revoked FROM inbox"
        ):
            matches = [hmac.compare_digest(str(digest), given) for given in digests]
            if any(matches):
                end = math.inf if until is None else self._state.value(until, 0.0)
                is_open = not revoked and self._clock.time() < end
                found = Inbox(self._state.value(id, 0), str(who), is_open)
        return found

    def count_refused(self, inbox: Inbox) -> int:
        """Counts a mail to an inbox that is not open any more; returns how many there were."""
        with self._state.transaction() as db:
            db.execute("UPDATE inbox SET refused = refused + 1 WHERE id = ?", (inbox.id,))
        rows = self._state.rows("SELECT refused FROM inbox WHERE id = ?", inbox.id)
        return self._state.value(rows[0][0], 0) if rows else 0

    # ── links ────────────────────────────────────────────────────────────────

    def link(self, action: str, inbox: Issued, to: str) -> str:
        """Returns a link that opens a mail to this address with the right subject (RFC 6068)."""
        subject = f"{action} {inbox.id} {self._signature(action, inbox.id, inbox.who)}"
        return f"mailto:{quote(to, safe='@+')}?subject={quote(subject)}"

    def signed(self, subject: str, who: str) -> str:
        """Returns the action of a link that this person has used; "" if it is not a valid one.

        It is good as long as its inbox is the owner's newest one, so it works once.
        """
        action, id, signature, *more = [*subject.split(), "", "", ""]
        if action not in ACTIONS or any(more) or not id.isdecimal() or len(id) > 9:
            return ""
        wanted = self._signature(action, int(id), who)
        rows = self._state.rows("SELECT max(id) FROM inbox WHERE who = ?", who)
        newest = bool(rows) and rows[0][0] == int(id)
        right = hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace"))
        return action if right and newest else ""

    def _signature(self, action: str, id: int, who: str) -> str:
        text = f"inbox\0{action}\0{id}\0{who}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:32]


def _digest(address: str) -> str:
    return hashlib.sha256(addresses.comparable(address).encode("utf-8", "replace")).hexdigest()
