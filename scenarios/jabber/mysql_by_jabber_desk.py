"""The desk of mysql-by-jabber: it stores commands, runs them, and sends the answers.

With an inbox, commands arrive by mail, too. Both doors share one ledger, so that commands never
overlap, and each answers what came in through it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.commands import Commands, Order, Refusal
from comms.errors import CommsError
from comms.host import Host, OutcomeLike
from comms.mail_door import MailDoor, MailRules
from comms.settings import Settings
from comms.state import State
from comms.xmpp import Client, Jid, Message, Outbox

if TYPE_CHECKING:
    from scenarios.jabber.mysql_by_jabber import Rules


class Desk:
    """The commands of one run.

    `command` finds the command in a text; `answer` makes the text of a chat message of an outcome.
    """

    def __init__(
        self,
        rules: Rules,
        settings: Settings,
        state: State,
        clock: Clock,
        host: Host,
        command: Callable[[str], str],
        answer: Callable[[Order, OutcomeLike], str],
    ) -> None:
        self._clock, self._host, self._answer = clock, host, answer
        rights = {str(Jid.parse(admin)): ["*"] for admin in rules.admins}
        self.commands = Commands(state, rules.verbs(), rights, clock, host, again=rules.again)
        self._outbox = Outbox(state)
        self._mail = None
        if rules.inbox:
            mailbox = settings.mailbox("mysql-by-jabber", rules.mailbox)
            smtp = settings.server("smtp")
            mail = MailRules(mailbox, smtp, rules.inbox, rules.admins, rules.sender)
            self._mail = MailDoor(
                mail, self.commands, clock, host, commands_in=lambda mail: [command(mail.subject)]
            )
        self._mail_poll, self._mail_due = rules.mail_poll, clock.monotonic()

    def accept(self, sender: str, verb: str, message: Message) -> None:
        """Stores a command, or logs why it is refused. Raises StateError.

        The ledger knows its message again. A mistyped command has done nothing, so that a
        correction of it is a command like any other.
        """
        known_by = _keys(message) if verb in self.commands.verbs else []
        # What it corrects was asked about, and so has done nothing either.
        known_by = [
            key for key in known_by if key in message.keys or not self.commands.ledger.find(key)
        ]
        try:
            self.commands.accept(sender, verb, known_by, _facts(message))
        except Refusal as refusal:
            self.commands.refuse(sender, verb, refusal.reason)

    def done_before(self, message: Message) -> str:
        """Returns the command that this message, or the one that it corrects, was before.

        From now on the ledger knows the message, too, so that a correction of it runs nothing.
        """
        ledger, keys = self.commands.ledger, _keys(message)
        entry = next(filter(None, map(ledger.find, keys)), None)
        if entry is None or entry.status == "asked":
            return ""
        with self.commands.state.transaction() as db:
            for key in keys:
                if ledger.find(key) is None:
                    ledger.add_key(db, entry.id, key)
        return entry.what

    def say(self, message: Message, text: str) -> None:
        """Queues an answer to a message. Raises StateError."""
        self._put(_facts(message), text)

    def recover(self) -> None:
        """Reports what a crash left running, and runs what was accepted. Raises StateError."""
        self.commands.recover(self._report)
        self.commands.perform(self._report)

    def work(self, jabber: Client) -> None:
        """Collects mail when it is due, runs what was accepted, and sends what waits."""
        if self._mail is not None and self._clock.monotonic() >= self._mail_due:
            self._mail_due = self._clock.monotonic() + self._mail_poll
            try:
                self._mail.collect()
            except CommsError as error:  # commands by Jabber go on
                self._host.log("mailbox", "warning", trouble=error)
        self.commands.perform(self._report)
        if self._mail is not None:
            self._mail.send()
        for result in self._outbox.flush(jabber, self._clock):
            level = "info" if result.status == "sent" else "warning"
            facts = {"to": result.address, "trouble": result.error}
            self._host.log(f"answer-{result.status}", level, **facts)

    def _report(self, db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        """Queues the answer at the command's own door, in the transaction that ends the command."""
        if order.facts["door"] != "mail":
            self._put(order.facts, self._answer(order, outcome), db)
        elif self._mail is not None:
            self._mail.report(db, order, outcome)
        else:  # the settings had an inbox when the command was accepted
            trouble = "the settings have no inbox any more"
            self._host.log("unanswered", "warning", to=order.facts["to"], trouble=trouble)

    def _put(
        self, facts: Mapping[str, Any], text: str, db: sqlite3.Connection | None = None
    ) -> None:
        """Queues a message to the device that asked, in its thread."""
        now, kind, thread = self._clock.time(), facts["kind"], facts["thread"]
        self._outbox.put(facts["to"], text, now, kind, thread, answer=True, db=db)


def _keys(message: Message) -> list[str]:
    """Returns what the ledger knows a message by: its own keys, and that of what it corrects."""
    return [*dict.fromkeys(filter(None, (*message.keys, message.replaces)))]


def _facts(message: Message) -> dict[str, str]:
    """What an answer needs to know about a message."""
    return {
        "door": "jabber",
        "to": str(message.sender),
        "kind": message.kind,
        "thread": message.thread,
    }
