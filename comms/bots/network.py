"""What a bot needs of a network that it lives on: TOC, XMPP, IRC or mail.

    for heard in network.heard():               # never waits
        if heard.who in admins:                 # the account that the network vouches for
            network.say(heard.to, "done")

A `Network` hides how people are named, how an answer finds its way back, how long it may be, and
what a robot looks like there. `heard` returns only what a person may have meant: nothing of our
own, nothing that is marked as automatic, no errors, and nothing that was repeated by a server.

How strongly a network authenticates a sender is its `trust`. A name proves nothing: on IRC and in a
chat room everybody may choose one that is free, and a mail may have any From.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from comms.commands import Order
from comms.errors import CommsError, TryLater, Unknown, Unreachable
from comms.host import OutcomeLike
from comms.state import State

KEPT = 86400.0  # seconds for which an answer may wait until it can be said

_SCHEMA = """
CREATE TABLE IF NOT EXISTS bot_outbox (
    id INTEGER PRIMARY KEY, network TEXT NOT NULL, receiver TEXT NOT NULL, text TEXT NOT NULL,
    made REAL NOT NULL, status TEXT NOT NULL DEFAULT 'waiting');
"""
# What would move a cursor, ring a bell or show a text in another order than it has.
_CONTROLS = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")


class Trust(IntEnum):
    """How a network knows who has sent a message, the weakest first."""

    NOBODY = 0  # by a name that anybody may take
    SECRET = 1  # the sender knows a secret address, and says who it is
    ACCOUNT = 2  # the network's server vouches for the account


@dataclass(frozen=True)
class Heard:
    """Something that was said to a bot, or in a room where it is.

    `who` is the account that the network vouches for, in the form of `Network.normalize`; it is ""
    if the network vouches for nobody. `name` is how the sender is called there. `to` is where an
    answer goes; it can be stored as JSON.
    """

    network: Network
    who: str
    name: str
    text: str
    to: Mapping[str, str]
    room: str = ""  # "" if it was said to us alone
    keys: tuple[str, ...] = ()  # what identifies the message, if anything does
    replaces: str = ""  # the key of the message that this one corrects
    delayed: bool = False  # it was said while we were away
    unreadable: str = ""  # why there is no text, as a sentence for the sender

    @property
    def trust(self) -> Trust:
        """How the network knows the sender."""
        return self.network.trust if self.who else Trust.NOBODY


@dataclass(frozen=True)
class Result:
    """What happened to an answer. `status` is sent, returned, unknown or given-up."""

    address: str
    status: str
    error: str = ""


class Network:
    """A network with one account of the bot. With a state, answers can wait until they are said."""

    name = ""  # as it is called in settings, logs and state files
    trust = Trust.ACCOUNT
    longest = 8000  # characters of an answer; a longer one is cut

    def __init__(self, state: State | None = None) -> None:
        self.outbox = Outbox(state, self) if state is not None else None

    # ── what each network does in its own way ────────────────────────────────

    def connect(self) -> None:
        """Goes online. Raises CommsError."""

    def close(self) -> None:
        """Goes offline; what was said arrives first."""

    def heard(self) -> Iterable[Heard]:
        """Returns what was said since the last call, and keeps the connection alive.

        A lost connection is established again when that is due. Raises Refused if the server no
        longer accepts us.
        """
        return ()

    def say(self, to: Mapping[str, Any], text: str) -> str | None:
        """Says something to where a `Heard.to` leads.

        Returns the id by which `returned` names it if it comes back. Raises Unreachable or TryLater
        if it was not said, Unknown if that cannot be known, Refused if it never can be said,
        ValueError if it cannot be said at all.
        """
        raise NotImplementedError

    def returned(self) -> Iterable[tuple[str, str, CommsError]]:
        """Returns what of us has come back since the last call: its id, by whom, and why.

        The reason is Unknown if it may have arrived anyway.
        """
        return ()

    def present(self, who: str) -> bool:
        """Whether a user is online, as far as the network tells us. Nobody is there by mail.

        From the first call on, the network is asked to tell us, so ask some seconds before.
        """
        return False

    def normalize(self, who: str) -> str:
        """Returns the form in which two names of the same account are equal."""
        return who.casefold()

    def own_name(self, room: str) -> str:
        """How we are called in a room."""
        return ""

    # ── answers that wait ────────────────────────────────────────────────────

    def put(
        self, to: Mapping[str, Any], text: str, now: float, db: sqlite3.Connection | None = None
    ) -> None:
        """Stores an answer to be said by `flush`. With `db`, in the caller's transaction."""
        assert self.outbox is not None, "a network without a state has no outbox"
        self.outbox.put(to, text, now, db)

    def flush(self, now: float) -> list[Result]:
        """Says what waits, as far as possible. Raises StateError."""
        return self.outbox.flush(now) if self.outbox is not None else []

    def report(
        self,
        db: sqlite3.Connection,
        order: Order,
        outcome: OutcomeLike,
        answer: Callable[[Order, OutcomeLike], str],
        now: float,
    ) -> None:
        """Stores the answer to a command, in the transaction that ends the command."""
        self.put(order.facts, answer(order, outcome), now, db)


class Outbox:
    """The answers of one network that wait. Each is marked before it is said.

    An answer of which it is unknown whether it was said is not said again.
    """

    def __init__(self, state: State, network: Network) -> None:
        self._state, self._network = state, network
        with state.transaction() as db:
            db.execute(_SCHEMA)
            # These were being said when an earlier run ended.
            db.execute(
                "UPDATE bot_outbox SET status = 'unknown' WHERE status = 'sending' AND network = ?",
                (network.name,),
            )

    def put(
        self, to: Mapping[str, Any], text: str, now: float, db: sqlite3.Connection | None
    ) -> None:
        """Adds an answer."""
        if db is None:
            with self._state.transaction() as own:
                self.put(to, text, now, own)
            return
        row = (self._network.name, json.dumps(dict(to)), shortened(text, self._network.longest))
        db.execute(
            "INSERT INTO bot_outbox (network, receiver, text, made) VALUES (?, ?, ?, ?)",
            (*row, now),
        )

    def flush(self, now: float) -> list[Result]:
        """Says what waits, oldest first, until the network cannot."""
        rows = self._state.rows(
            "SELECT id, receiver, text, made FROM bot_outbox "
            "WHERE status = 'waiting' AND network = ? ORDER BY id",
            self._network.name,
        )
        results = []
        for id, receiver, text, made in rows:
            to = self._state.value(receiver, {})
            status, error = "sent", ""
            # The clock may have been set back, so an answer from the future is old, too.
            if abs(now - float(str(made))) > KEPT:
                status, error = "given-up", "it could not be said for too long"
            else:
                self._mark(id, "sending")
                try:
                    self._network.say(to, str(text))
                except (ValueError, CommsError) as failure:
                    status, error = _status(failure), str(failure)
            self._mark(id, status)
            if status == "waiting":
                break
            results.append(Result(str(to.get("to", "")), status, error))
        return results

    def _mark(self, id: object, status: str) -> None:
        with self._state.transaction() as db:
            if status in ("sent", "given-up"):
                db.execute("DELETE FROM bot_outbox WHERE id = ?", (id,))
            else:
                db.execute("UPDATE bot_outbox SET status = ? WHERE id = ?", (status, id))


def _status(error: Exception) -> str:
    """What becomes of an answer that was not said for this reason."""
    if isinstance(error, Unknown):
        return "unknown"
    return "waiting" if isinstance(error, Unreachable | TryLater) else "given-up"


# ── texts ────────────────────────────────────────────────────────────────────


def printable(text: str) -> str:
    """Returns a text without control characters, except line ends and tabs."""
    return _CONTROLS.sub("", re.sub(r"\r\n?", "\n", text))


def shortened(text: str, longest: int) -> str:
    """Returns a text of at most this many characters, which says how many are missing."""
    text = printable(text)
    if len(text) <= longest:
        return text
    mark = f" … ({len(text) - longest} characters more)"
    return text[: max(0, longest - len(mark))] + mark


def addressed(heard: Heard, prefixes: Iterable[str] = ()) -> str | None:
    """Returns what was said to us; None for what people in a room say to each other.

    In a room it begins with our name, as in `bot: uptime`, or with one of these prefixes, which
    stay. To us alone, it may.
    """
    text = heard.text.lstrip()
    own = heard.network.own_name(heard.room)
    if own and (match := re.match(rf"@?{re.escape(own)}[:,]\s*", text, re.I)):
        return text[match.end() :]
    return text if not heard.room or text.casefold().startswith(tuple(prefixes)) else None
