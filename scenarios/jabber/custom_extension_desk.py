"""Orders of custom-extension: each runs once, and is answered in its form, or by message."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping

from comms.clock import Clock
from comms.commands import Commands, Order, Refusal, Verb
from comms.host import Host, OutcomeLike
from comms.state import State
from comms.xmpp import Client, Outbox


class Desk:
    """The ledger of orders. `words` says what really happened. Every method raises StateError."""

    def __init__(
        self,
        verbs: Mapping[str, Verb],
        admins: Iterable[str],
        state: State,
        clock: Clock,
        host: Host,
        words: Callable[[str, OutcomeLike], str],
        again: float,
    ) -> None:
        self._clock, self._host, self._words = clock, host, words
        rights = {admin: ["*"] for admin in admins}
        self._commands = Commands(
            state, verbs, rights, clock, host, again=again, confirm_by="tick the box"
        )
        self._outbox = Outbox(state)
        self._answers: dict[int, tuple[bool, str]] = {}

    def obey(self, who: str, verb: str, id: str, sure: bool) -> tuple[bool, str]:
        """Runs an order; returns whether it was done, and what is to be said about it."""
        try:
            order = self._commands.accept(who, verb, [id], {"confirmed": True} if sure else {})
        except Refusal as refusal:
            self._commands.refuse(who, verb, refusal.reason)
            return False, "Nothing was done."
        self._commands.perform(self._in_form)
        return self._answers.pop(order.id, (False, "It waits, and is answered by message."))

    def recover(self) -> None:
        """Reports what a crash left running, and runs what was accepted."""
        self._commands.recover(self._by_message)
        self._commands.perform(self._by_message)

    def send(self, jabber: Client) -> None:
        """Sends the answers that wait."""
        for result in self._outbox.flush(jabber, self._clock):
            self._host.log(f"answer-{result.status}", to=result.address, trouble=result.error)

    def _in_form(self, db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        self._answers[order.id] = outcome.code == 0, self._words(order.verb, outcome)

    def _by_message(self, db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        text = self._words(order.verb, outcome)
        self._outbox.put(order.who, text, self._clock.time(), answer=True, db=db)
