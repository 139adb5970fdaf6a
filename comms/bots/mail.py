"""Mail as a network for bots: commands to a secret inbox, and receipts.

What a mail orders is stored before the mail is deleted, so a mail is never "heard": its door hands
it to the commands itself (comms/mail_door.py), and writes the receipt.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from comms.bots.network import Heard, Network, Result, Trust
from comms.clock import Clock
from comms.commands import Commands, Order
from comms.errors import CommsError
from comms.host import Host, OutcomeLike
from comms.mail_door import MailDoor, MailRules
from comms.read import Mail as Read


class Mail(Network):
    """A mailbox that is looked at every `poll` seconds."""

    name = "mail"
    trust = Trust.SECRET

    def __init__(
        self,
        rules: MailRules,
        commands: Commands,
        clock: Clock,
        host: Host,
        *,
        poll: float = 30.0,
        commands_in: Callable[[Read], Sequence[str]] = lambda mail: [mail.subject],
        person: Callable[[str], str] = lambda address: address,
    ) -> None:
        super().__init__()
        self._clock, self._host, self._poll = clock, host, poll
        self._due = clock.monotonic()
        self._door = MailDoor(rules, commands, clock, host, commands_in=commands_in, person=person)

    def heard(self) -> Iterator[Heard]:
        if self._clock.monotonic() >= self._due:
            self._due = self._clock.monotonic() + self._poll
            try:
                self._door.collect()
            except CommsError as error:  # the other networks go on
                self._host.log("mailbox", "warning", trouble=error)
        yield from ()

    def report(
        self,
        db: sqlite3.Connection,
        order: Order,
        outcome: OutcomeLike,
        answer: Callable[[Order, OutcomeLike], str],
        now: float,
    ) -> None:
        self._door.report(db, order, outcome)

    def flush(self, now: float) -> list[Result]:
        self._door.send()
        return []

    def say(self, to: Any, text: str) -> None:
        raise ValueError("mail: only the receipts of commands are sent")
