"""Commands that come by mail, and the receipts that go: the mail side of a program that obeys (its core is commands.py).

door = MailDoor(commands, state, (pop3, smtp), inbox, admins, sender, clock, host)
door.collect()                      # what is a command is written down, everything else is kept, logged and deleted
commands.perform(door.report)       # the receipts wait in the outbox
door.send()
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Callable, Iterable

from comms import replies
from comms.clock import Clock
from comms.commands import Commands, Order, Refusal, describe
from comms.host import Host, OutcomeLike
from comms.ledger import keys
from comms.mailbox import Incoming, incoming
from comms.outbox import Outbox
from comms.pop3 import Mailbox
from comms.quarantine import Quarantine
from comms.read import Mail, read
from comms.settings import Server
from comms.state import State

LIMIT = 1_000_000  # octets of a mail that could be a command
FRESH = 86400.0  # seconds: a mail whose Date is further from now is a replay


class MailDoor:
    """A secret inbox, the administrators who know it, and where receipts come from (never the inbox).

    `command` makes a command of a subject: what the program's verbs are called. `refused` is told of every mail that was
    no command, with the reason.
    """

    def __init__(
        self,
        commands: Commands,
        state: State,
        servers: tuple[Server, Server],  # POP3, SMTP
        inbox: str,
        admins: Iterable[str],
        sender: str,
        clock: Clock,
        host: Host,
        command: Callable[[str], str] = lambda subject: subject,
        fresh: float = FRESH,
        refused: Callable[[MailDoor, str], None] = lambda door, reason: None,
    ) -> None:
        self._commands, self._command, self._state = commands, command, state
        self._pop3, self._smtp = servers
        self._inbox, self._admins = inbox, [*admins]
        self._clock, self._host = clock, host
        self._fresh, self._tell = fresh, refused
        self.sender = sender or self._own_address()
        self.outbox = Outbox(state)
        self.quarantine = Quarantine(state.path.with_suffix(".refused"))

    def _own_address(self) -> str:
        """Where nothing is said: the account's address; if that is the secret itself, one that gives nothing away."""
        domain = self._inbox.rpartition("@")[2]
        user = self._smtp.user or self._pop3.user or "robot"
        address = user if "@" in user else f"{user}@{domain}"
        return f"robot@{domain}" if same(self._inbox, address) else address

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def collect(self) -> int:
        """Takes the mail in, says how much: what it commands is written down, then it is deleted. Raises CommsError."""
        place = f"{self._pop3.user}@{self._pop3.host}"
        with Mailbox(self._pop3, self._clock) as mailbox:
            count, _ = mailbox.count()
            if count:
                self._host.say(f"{count} mails arrived.")
            for letter in incoming(mailbox, self._commands.ledger, place, LIMIT, self._host):
                self._take(letter, place)
        return count

    def judge(self, mail: Mail) -> str:
        """Why this mail is no administrator's command, "" when it is one. What it commands is another question."""
        if why := replies.automatic(mail):
            return f"automatic: {why}"
        if not any(same(self._inbox, address) for address in replies.delivered_to(mail)):
            return "wrong inbox"
        if mail.sender is None or any(defect.startswith("more than one") for defect in mail.defects):
            return "not one sender: exactly one From with exactly one address, and nothing said twice"
        if not any(same(admin, mail.sender.address) for admin in self._admins):
            return "a stranger"
        if mail.date is not None and abs(self._clock.time() - mail.date.timestamp()) > self._fresh:
            return "stale: its Date is too far from now"
        return ""

    def _take(self, letter: Incoming, place: str) -> None:
        """One mail: a command is written down, anything else is kept as a file. Raises StateError."""
        mail = read(b"" if letter.problem else letter.raw)
        reason = letter.problem or self.judge(mail)
        if reason or mail.sender is None:
            self._note_bounce(mail)
            self._refuse(letter.raw, mail, reason)
            return
        facts = {"door": "mail", "to": mail.sender.address, "mail": [mail.message_id, mail.subject, *mail.references]}
        try:
            self._commands.order(mail.sender.key, self._command(mail.subject), keys(mail, place, letter.entry.id), facts)
        except Refusal as refusal:
            self._refuse(letter.raw, mail, refusal.reason)

    def _refuse(self, raw: bytes, mail: Mail, reason: str) -> None:
        """Kept, noted, and not answered: an answer would tell a stranger that somebody listens. Raises StateError."""
        self.quarantine.keep(raw, self._clock.time())
        self._commands.refuse(mail.sender.address if mail.sender else "nobody", mail.subject, reason)
        self._tell(self, reason)

    def _note_bounce(self, mail: Mail) -> None:
        """A receipt of ours did not arrive: remembered, if the report names one that we sent. Raises StateError."""
        report = replies.bounce(mail)
        order = self._commands.ledger.find(f"receipt:{report.message_id}") if report and report.failed else None
        if order is not None:
            who = str(order.facts["who"])
            with self._state.transaction() as db:
                self._state.remember(db, f"unreachable {who}", self._clock.time())
            self._host.log("unreachable", "warning", who=who)

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def report(self, db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        """The receipt: threaded, to the address that is authorised, never to a Reply-To. Commits with the ledger's row."""
        message_id, subject, *references = order.facts["mail"]
        asked = Mail(b"", subject=subject, message_id=message_id, references=tuple(references))
        text = describe(order, outcome, self._host.name)
        receipt = replies.reply(asked, order.facts["to"], self.sender, text).stamped(self._clock, self._host)
        self.outbox.put(receipt, self._clock.time(), db=db)
        self._commands.ledger.add_key(db, order.id, f"receipt:{receipt.message_id}")
        self._state.remember(db, f"unreachable {order.who}", None)

    def send(self) -> None:
        """Sends what waits. Raises StateError."""
        for result in self.outbox.flush(self._smtp, self._clock, self._host):
            level = "info" if result.status == "sent" else "warning"
            self._host.log(f"mail-{result.status}", level, to=result.address, trouble=result.error)


def same(secret: str, said: str) -> bool:
    """Whether two addresses are one, in the same time wherever they differ."""
    return hmac.compare_digest(secret.casefold().encode(), said.strip().casefold().encode("utf-8", "replace"))
