"""Commands that arrive by mail, and the receipts that go back.

    rules = MailRules(mailbox, smtp, "cly6ruct1yit2d@yourco.test", ("jeremy@yourco.test",))
    door = MailDoor(rules, commands, clock, host)
    door.recover()                      # what was accepted before the program ended
    for _ in clock.every(30):
        door.work()                     # the four steps of a round, which a program may also take:
    door.collect()                      # stores the commands; keeps, logs and deletes other mail
    commands.perform(door.report)       # puts the receipts into the outbox
    door.send()

This is the mail side of commands.py, which decides who may run what.
"""

from __future__ import annotations

import contextlib
import hmac
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from comms import addresses, bounces, replies
from comms.clock import Clock, Interrupted
from comms.commands import Commands, Order, Refusal, describe, ending, normalized
from comms.compose import Message
from comms.errors import (
    CommsError,
    Refused,
    RefusedNow,
    SettingsError,
    StateError,
    TryLater,
    Unknown,
    Unreachable,
)
from comms.host import Host, OutcomeLike
from comms.ledger import keys, message_id_key
from comms.mailbox import Incoming, incoming, open_mailbox
from comms.outbox import Outbox
from comms.quarantine import Quarantine
from comms.read import Mail, read
from comms.settings import Server

LIMIT = 1_000_000  # bytes of a mail that may be a command
FRESH = 86400.0  # seconds
READING = 5.0  # seconds of computing that a mail may cost
KEY = 40  # characters of the key that signs return paths
CONFIRM = 900.0  # seconds in which a command may be confirmed by mail, which may be slow


@dataclass(frozen=True)
class MailRules:
    """Where commands arrive, who may send them, and where receipts come from.

    Raises SettingsError for a sender from which no receipt can come.
    """

    mailbox: Server  # POP3 or IMAP
    smtp: Server
    inbox: str  # the secret address of all; with `addressed` of the door, others are possible
    admins: tuple[str, ...]
    sender: str = ""  # of receipts; by default the account's address, but never the secret one
    fresh: float = FRESH  # a mail whose Date is further from now, in seconds, is a replay
    returns: str = ""  # a pattern such as mysql+*@yourco.test: a return path for each receipt
    owner: str = ""  # who is told when receipts do not reach an administrator

    def __post_init__(self) -> None:
        """Checks what every receipt needs, so that none fails later. Raises SettingsError."""
        if problem := self.problem():
            raise SettingsError(f"settings: {problem}")

    def problem(self) -> str:
        """Returns what is wrong with the sender of receipts, or ""."""
        remedy = 'write sender = "MySQL <mysql@example.org>"'
        try:
            Message(self.sender or _default_sender(self), [*self.admins]).envelope()
        except ValueError as error:
            return f"sender: {error}; {remedy}"
        return sender_problem(self.sender, self.inbox)


class MailDoor:
    """Takes commands from a secret inbox and sends receipts.

    `commands_in` returns the commands in a mail, in the program's own names for its verbs; without
    it, the subject is one. Several commands get one receipt. `facts_in` returns what else of a mail
    a command needs, with keys that begin with an underscore. `addressed` returns why a mail is not
    addressed to a secret inbox, or ""; without it, there is one inbox for all. `answer` makes the
    text of a receipt; one that is not `threaded` has no subject, as phones want it. With `stop`,
    the commands of a mail after one that was not done do not run. `refused` is called with the door
    and the reason for every mail that is not a command. `person` returns who has an address, as the
    rights name that person.
    """

    def __init__(
        self,
        rules: MailRules,
        commands: Commands,
        clock: Clock,
        host: Host,
        *,
        commands_in: Callable[[Mail], Sequence[str]] = lambda mail: [mail.subject],
        facts_in: Callable[[Mail], Mapping[str, Any]] = lambda mail: {},
        addressed: Callable[[Mail], str] | None = None,
        answer: Callable[[Order, OutcomeLike, str], str] = describe,
        threaded: bool = True,
        stop: bool = False,
        refused: Callable[[MailDoor, str], None] = lambda door, reason: None,
        person: Callable[[str], str] = lambda address: address,
    ) -> None:
        self._rules, self._commands = rules, commands
        self._clock, self._host = clock, host
        self._commands_in, self._answer, self._on_refused = commands_in, answer, refused
        self._facts_in, self._threaded, self._stop = facts_in, threaded, stop
        self._person = person
        self._addressed = addressed or self._to_the_inbox
        self._state = commands.state
        commands.fresh = min(commands.fresh, rules.fresh)
        self.sender = rules.sender or _default_sender(rules)
        self.outbox = Outbox(self._state)
        self.reachability = bounces.Reachability(self._state, clock, host)
        self._paths = self._return_paths() if rules.returns else None
        self.quarantine = Quarantine(self._state.path.with_suffix(".refused"))

    # ── a round ──────────────────────────────────────────────────────────────

    def recover(self) -> None:
        """Reports what a crash left running, and runs what was accepted. Raises StateError.

        To be called before the first round: a mail that crashed the program may do so again.
        """
        self._commands.recover(self.report)
        self._commands.perform(self.report)
        self.send()

    def work(self) -> int:
        """Collects the mail, runs the commands, sends the receipts. Raises Refused, StateError.

        Returns 0, or the exit code of the error that kept the mail from being collected.
        """
        failure: CommsError | None = None
        try:
            self.collect()
        except (Unreachable, TryLater, Refused, Unknown) as error:
            self._host.log("mailbox", "warning", trouble=error)
            failure = error
        # A mail server that is down must not delay the commands that were accepted before.
        self._commands.perform(self.report)
        self.send()
        if isinstance(failure, Refused) and not isinstance(failure, RefusedNow):
            raise failure  # a wrong password does not become right by waiting
        return failure.exit_code if failure else 0

    # ── in ───────────────────────────────────────────────────────────────────

    def collect(self) -> int:
        """Stores the commands among the new mail, and empties the maildrop. Raises CommsError.

        Returns how many mails there were.
        """
        server = self._rules.mailbox
        place = server.account
        with open_mailbox(server, self._clock, self._host) as mailbox:
            count, _ = mailbox.count()
            if count:
                self._host.say(f"{count} mails arrived.")
            attempts, stopping = self._commands.ledger, self._clock.stopping
            mails = incoming(mailbox, attempts, place, LIMIT, self._host, stopping)
            # Closed at once after an error, while the attempts can still be stored.
            with contextlib.closing(mails):
                for arrived in mails:
                    try:
                        self._take(arrived, place)
                    except StateError:
                        arrived.blameless = True
                        raise
        return count

    def objection(self, mail: Mail) -> str:
        """Returns why this mail is not from an administrator to the secret inbox, or ""."""
        if why := replies.automatic(mail):
            return f"automatic: {why}"
        if problem := self._addressed(mail):
            return problem
        if mail.sender is None or not mail.is_strict:
            return "not one sender: needs one From field with one address, and no field twice"
        if not any(same_address(admin, mail.sender.address) for admin in self._rules.admins):
            return "a stranger"
        sent = mail.date or received(mail)
        if sent is None:
            return "no usable time: neither its Date nor our server says when it was sent"
        if abs(self._clock.time() - sent.timestamp()) > self._rules.fresh:
            return "stale: its Date is too far from now"
        return ""

    def _as_in_the_rules(self, sender: str) -> str:
        """Returns the address of an administrator in the form by which the rights name it."""
        same = (admin for admin in self._rules.admins if same_address(admin, sender))
        return next(same, sender).casefold()

    def _to_the_inbox(self, mail: Mail) -> str:
        # The envelope recipient, as our server recorded it: anybody can write a To field.
        matches = [same_address(self._rules.inbox, to) for to in replies.delivered_to(mail)]
        return "" if any(matches) else "wrong inbox"

    def _take(self, arrived: Incoming, place: str) -> None:
        """Stores a command, or puts the mail into quarantine. Raises StateError."""
        try:
            with self._clock.limit(READING):
                mail = read(b"" if arrived.problem else arrived.raw)
                reason = arrived.problem or self.objection(mail)
                known_by = keys(mail, place, arrived.entry.id)
        except Interrupted as error:
            if self._clock.stopping():
                arrived.leave_on_server = True  # it is read after the restart
                return
            mail, reason, known_by = Mail(arrived.raw), f"it cannot be read: {error}", ()
        if reason or mail.sender is None:
            self._note_returned(mail)
            self._refuse(arrived.raw, mail, reason)
            return
        thread = [mail.message_id, masked(mail, mail.subject), *mail.references]
        facts: dict[str, Any] = {
            "door": "mail",
            "to": mail.sender.address,
            "mail": thread,
            "within": CONFIRM,
            "stop": self._stop,
        }
        facts |= self._facts_in(mail)
        ledger = self._commands.ledger
        if by_id := message_id_key(mail):
            if ledger.find(by_id) and not any(ledger.find(key) for key in known_by):
                self._refuse(arrived.raw, mail, "its Message-ID is that of another mail")
                return
            known_by = (*known_by, by_id)
        who = self._person(self._as_in_the_rules(mail.sender.address))
        try:
            # A secret address that is written in the mail must not come back in the receipt.
            texts = [masked(mail, text) for text in self._commands_in(mail)]
            self._commands.accept_lines(who, texts, known_by, facts)
        except Refusal as refusal:
            self._refuse(arrived.raw, mail, refusal.reason, who)

    def _refuse(self, raw: bytes, mail: Mail, reason: str, who: str = "") -> None:
        """Keeps and logs a mail. An answer would confirm the secret address to a stranger."""
        known = mail.sender is not None and any(
            same_address(admin, mail.sender.address) for admin in self._rules.admins
        )
        self.quarantine.keep(raw, self._clock.time(), known=known)
        sender = who or (mail.sender.address if mail.sender else "nobody")
        self._commands.refuse(sender, masked(mail, mail.subject), reason)
        self._on_refused(self, reason)

    def _return_paths(self) -> bounces.ReturnPaths:
        key = self._state.recall("return path key", "")
        if key is None:
            key = self._host.token(KEY)
            with self._state.transaction() as db:
                self._state.remember(db, "return path key", key)
        return bounces.ReturnPaths(self._rules.returns, str(key))

    def _note_returned(self, mail: Mail) -> None:
        """Notes that a receipt did not arrive, and tells the owner once. Anybody may report that.

        So with return paths, only the token of one is believed; without, only the Message-ID of a
        receipt, which is random as well, but which a report need not quote.
        """
        if self._paths is not None:
            back = bounces.returned(mail, self._paths)
            key = f"receipt of {back.number}" if back else ""
        else:
            found, report = bounces.verdict(mail), bounces.report(mail)
            back = bounces.Returned(0, *found) if found and report else None
            key = f"receipt:{report.message_id}" if report else ""
        order = self._commands.ledger.find(key) if back else None
        if back is None or order is None:
            return
        self._note_unreachable(str(order.facts["who"]), back)

    def _note_unreachable(self, who: str, back: bounces.Returned) -> None:
        with self._state.transaction() as db:
            if self.reachability.note(db, who, back) and self._rules.owner not in ("", who):
                self._tell_owner(db, who, back)

    def _tell_owner(self, db: sqlite3.Connection, who: str, back: bounces.Returned) -> None:
        what = "There is no such mailbox" if back.kind == "hard" else "A receipt was refused"
        message = Message(
            sender=self.sender,
            to=[self._rules.owner],
            subject=f"Receipts do not reach {who}",
            text=f"{what}: {back.reason}\n\nCommands of {who} are obeyed as before. You get no "
            "other mail about it until a receipt has arrived.\n",
            headers=[("Auto-Submitted", "auto-generated")],
        )
        message = message.stamped(self._clock, self._host)
        self.outbox.put(message, self._clock.time(), at_least_once=True, db=db)

    # ── out ──────────────────────────────────────────────────────────────────

    def report(self, db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        """Queues the receipt, in the transaction that ends the command.

        It goes to the authorised address, in the thread of the request, and never to a Reply-To. If
        the request makes that impossible, the receipt is a plain mail without the thread.
        """
        text = self._answer(order, outcome, self._host.name)
        if order.facts.get("lines", 1) > 1:
            text = self._transcript(db, order, text)
            if not text:
                return  # until the last line has ended
        message_id, subject, *references = order.facts["mail"]
        request = Mail(b"", subject=subject, message_id=message_id, references=tuple(references))
        receipt = self._receipt(request, order, text)
        try:
            receipt.to_bytes()
        except Exception as error:
            self._host.log("plain-receipt", "warning", who=order.who, trouble=error)
            text = f"> {normalized(order.verb)}\n{ending(outcome)}\n"
            receipt = self._receipt(Mail(b"", subject="your command"), order, text)
        path = self._paths.address(order.id) if self._paths else None
        self.outbox.put(receipt, self._clock.time(), db=db, envelope_sender=path)
        # A bounce is believed only if it is about a receipt that is on record.
        key = f"receipt of {order.id}" if self._paths else f"receipt:{receipt.message_id}"
        self._commands.ledger.add_key(db, order.id, key)
        self.reachability.sent(db, order.who)

    def _transcript(self, db: sqlite3.Connection, order: Order, text: str) -> str:
        """Stores what is said of one line; returns that of all lines when each has ended."""
        first = order.id - order.facts["line"]  # the lines of one mail have ids in a row
        key = f"transcript {first}"
        said = {**(self._state.recall(key, {}) or {}), str(order.facts["line"]): text}
        if len(said) < order.facts["lines"]:
            self._state.remember(db, key, said)
            return ""
        self._state.remember(db, key, None)
        return "\n".join(said[number] for number in sorted(said, key=int))

    def _receipt(self, request: Mail, order: Order, text: str) -> Message:
        if not self._threaded:
            marks = [("Auto-Submitted", "auto-replied")]
            short = Message(self.sender, [order.facts["to"]], text=text, headers=marks)
            return short.stamped(self._clock, self._host)
        receipt = replies.reply(request, order.facts["to"], self.sender, text)
        return receipt.stamped(self._clock, self._host)

    def send(self) -> None:
        """Sends the receipts that are due. Raises StateError."""
        for result in self.outbox.flush(self._rules.smtp, self._clock, self._host):
            level = "info" if result.status == "sent" else "warning"
            facts = {"to": result.address, "trouble": result.error}
            self._host.log(f"mail-{result.status}", level, **facts)
            who = self._person(self._as_in_the_rules(result.address))
            if result.status in ("refused", "given-up") and who in self._commands.rights:
                # A server that refuses a mail at once sends no report of it.
                self._note_unreachable(who, bounces.refused(result.error))


def _default_sender(rules: MailRules) -> str:
    """The account's address, or robot@DOMAIN if that is the secret inbox."""
    domain = rules.inbox.rpartition("@")[2]
    user = rules.smtp.user or rules.mailbox.user or "robot"
    address = user if "@" in user else f"{user}@{domain}"
    return f"robot@{domain}" if same_address(rules.inbox, address) else address


def sender_problem(sender: str, inbox: str) -> str:
    """Returns what is wrong with the address that receipts come from, or ""."""
    try:
        address = addresses.parse_one(sender).address if sender and inbox else ""
    except ValueError as error:
        return f"sender: {error}; write another address"
    if address and same_address(inbox, address):
        return "sender: every receipt would show the secret address of inbox; write another address"
    return ""


def received(mail: Mail) -> datetime | None:
    """Returns when our own server received the mail, as its Received says; None if it does not."""
    stamp = mail.get("received").rpartition(";")[2]
    try:
        found = parsedate_to_datetime(stamp)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def same_address(secret: str, given: str) -> bool:
    """Compares two addresses without case, in a time that does not depend on where they differ."""
    forms = [addresses.comparable(one).encode("utf-8", "replace") for one in (secret, given)]
    return hmac.compare_digest(*forms)


def masked(mail: Mail, text: str) -> str:
    """Returns a text without the addresses that the mail was delivered to.

    Of an address with a plus sign, what is after it is not left in either.
    """
    for address in replies.delivered_to(mail):
        local, _, domain = address.strip().rpartition("@")
        _, plus, detail = local.partition("+")
        for secret in (f"{local}@{domain}", f"{plus}{detail}", detail if len(detail) > 7 else ""):
            if len(secret) > 1:
                text = re.sub(re.escape(secret), "[...]", text, flags=re.I)
    return text
