"""Restart MySQL by mail, from a phone: once for each request, and only for those who may.

Listing 6.4 · POP3, SMTP · try: make scenario NAME=mysql-by-mail

Every thirty seconds the program looks into its maildrop. A mail is a command if the server delivered it to the secret
inbox, it has one From with one address, that address is an administrator's, no program wrote it, and its whole subject is
`Restart MySQL` (or start, stop, status). The command is written down first, then the mail is deleted, then the command
runs, once, and a receipt goes to the administrator. Everything else is kept as a file, logged, deleted and not answered.
A second instance on the same state ends at once (5).

[scenario.mysql-by-mail]
poll = 30                                    # seconds
inbox = "cly6ruct1yit2d@yourco.test"         # the secret address; mail to any other is no command
admins = ["jeremy@yourco.test"]
sender = "MySQL <mysql@yourco.test>"         # who the receipts come from, and where their bounces go; never the inbox
owner = ""                                   # who is told, once an hour at most, when somebody tries what they may not
restart = ["systemctl", "restart", "mariadb"]   # also start, stop, status: those given are the commands
timeout = 60                                 # seconds a command may take
fresh = 86400                                # seconds: a mail whose Date is older is a replay
state = "mysql-by-mail.sqlite3"              # beside it, a folder with what was refused

Fault: pop-drop-before-quit -> all hold
Fault: pop3 QUIT lost stored times 1 -> all hold
Fault: pop-drop-in-retr -> all hold
Fault: pop-dele-err -> all hold
Fault: pop-in-use -> all hold
Fault: pop-uidl-reused -> all hold
Fault: duplicate-delivery -> all hold
Fault: poison-mail -> all hold
Fault: pop-long-line -> all hold
Fault: clock-jump -> all hold

What goes wrong in the printed listing: it searches the whole raw text, so a stranger who quotes the headers is obeyed, and
so is a bounce; it acts before the deletion is committed, so a link lost at the end runs the command again at every look.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms import addresses, replies
from comms.clock import Clock
from comms.commands import Commands, Order, Refusal, Verb, describe
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.host import Host, OutcomeLike
from comms.ledger import keys
from comms.mailbox import Letter, letters
from comms.message import Mail, Message, read
from comms.outbox import Outbox
from comms.pop3 import Mailbox
from comms.quarantine import Quarantine
from comms.settings import Settings
from comms.state import State
from scenarios.play import Claim, Program, act

if TYPE_CHECKING:
    from fakes import World

INBOX = "cly6ruct1yit2d@yourco.test"
ADMINS = ("jeremy@yourco.test", "michael@yourco.test")
SENDER = "mysql@yourco.test"
RESTART = ("systemctl", "restart", "mariadb")
WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": SENDER,
    "person": [{"address": SENDER, "aliases": [INBOX]}, *({"address": address} for address in ADMINS)],
    "host": {"name": "db1.yourco.test", "services": ["mariadb"]},
    "scenario": {"mysql-by-mail": {"inbox": INBOX, "admins": list(ADMINS), "sender": f"MySQL <{SENDER}>"}},
}

ALARM = 3600.0  # seconds between two alarms to the owner
LIMIT = 1_000_000  # octets of a mail that could be a command


@dataclass(frozen=True)
class Rules:
    """The scenario's settings; times in seconds."""

    inbox: str = ""
    admins: tuple[str, ...] = ()
    sender: str = ""
    owner: str = ""
    poll: float = 30
    restart: tuple[str, ...] = RESTART
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    timeout: float = 60
    fresh: float = 86400
    state: Path = Path("mysql-by-mail.sqlite3")

    def __post_init__(self) -> None:
        if not self.admins:
            raise ValueError('admins is empty: nobody could command; write admins = ["you@example.org"]')
        for address in self.admins:
            if not addresses.is_address(address):
                raise ValueError(f"admins holds {address!r}, which is no bare address like you@example.org")
        if not addresses.is_address(self.inbox):
            raise ValueError(f'inbox is {self.inbox!r}; write the secret address: inbox = "cly6ruct1yit2d@example.org"')
        if self.poll <= 0 or self.timeout <= 0:
            raise ValueError("poll and timeout must be more than 0 seconds")

    def verbs(self) -> dict[str, Verb]:
        """The commands that this server offers."""
        lines = {"restart": self.restart, "start": self.start, "stop": self.stop, "status": self.status}
        return {f"{verb} mysql": Verb(line, "mysql", self.timeout) for verb, line in lines.items() if line}


def judge(mail: Mail, rules: Rules, now: float) -> str:
    """Why this mail is no administrator's command, "" when it is one. What it commands is another question."""
    if why := replies.automatic(mail):
        return f"automatic: {why}"
    if not any(same(rules.inbox, address) for address in replies.delivered_to(mail)):
        return "wrong inbox"
    if mail.sender is None or any(defect.startswith("more than one") for defect in mail.defects):
        return "not one sender: exactly one From with exactly one address, and nothing said twice"
    if not any(same(admin, mail.sender.address) for admin in rules.admins):
        return "a stranger"
    if mail.date is not None and abs(now - mail.date.timestamp()) > rules.fresh:
        return "stale: its Date is too far from now"
    return ""


def same(secret: str, said: str) -> bool:
    """Whether two addresses are one, in the same time wherever they differ."""
    return hmac.compare_digest(secret.casefold().encode(), said.strip().casefold().encode("utf-8", "replace"))


@dataclass
class Service:
    """What one run of the program works with."""

    rules: Rules
    settings: Settings
    state: State
    clock: Clock
    host: Host

    def __post_init__(self) -> None:
        self.pop3, self.smtp = self.settings.server("pop3"), self.settings.server("smtp")
        rights = {admin.casefold(): ["*"] for admin in self.rules.admins}
        self.outbox = Outbox(self.state)
        self.commands = Commands(self.state, self.rules.verbs(), rights, self.clock, self.host)
        self.refused = Quarantine(self.rules.state.with_suffix(".refused"))
        self.sender = self.rules.sender or self._own_address()

    def _own_address(self) -> str:
        """Where nothing is said: the account's address; if that is the secret itself, one that gives nothing away."""
        domain = self.rules.inbox.rpartition("@")[2]
        user = self.smtp.user or self.pop3.user or "mysql"
        address = user if "@" in user else f"{user}@{domain}"
        return f"mysql@{domain}" if same(self.rules.inbox, address) else address

    def round(self) -> int:
        """One look: what is there is taken in, what was accepted is done, what is to be said is sent. Raises CommsError."""
        trouble: CommsError | None = None
        try:
            self.collect()
        except (Unreachable, TryLater, Refused, Unknown) as error:
            self.host.log("mailbox", "warning", trouble=error)
            trouble = error
        self.commands.perform(self.report)
        self.send()
        if isinstance(trouble, Refused):  # a wrong password does not mend itself
            raise trouble
        return trouble.exit_code if trouble else 0

    def collect(self) -> None:
        """Takes the mail in: what it commands is written down, then it is deleted. Raises CommsError."""
        place = f"{self.pop3.user}@{self.pop3.host}"
        with Mailbox(self.pop3, self.clock) as mailbox:
            count, _ = mailbox.count()
            if count:
                self.host.say(f"{count} mails arrived.")
            for letter in letters(mailbox, self.commands.ledger, place, LIMIT, self.host):
                self.take(letter, place)

    def take(self, letter: Letter, place: str) -> None:
        """One mail: a command is written down, anything else is kept as a file. Raises StateError."""
        mail = read(b"" if letter.spoiled else letter.raw)
        reason = letter.spoiled or judge(mail, self.rules, self.clock.time())
        if reason:
            self.note_bounce(mail)
            self.refuse(letter.raw, mail, reason)
            return
        assert mail.sender is not None
        facts = {"to": mail.sender.address, "mail": [mail.message_id, mail.subject, *mail.references]}
        try:
            self.commands.order(mail.sender.key, mail.subject, keys(mail, place, letter.entry.id), facts)
        except Refusal as refusal:
            self.refuse(letter.raw, mail, refusal.reason)

    def refuse(self, raw: bytes, mail: Mail, reason: str) -> None:
        """Kept, noted, and not answered: an answer would tell a stranger that somebody listens. Raises StateError."""
        who = mail.sender.address if mail.sender else "nobody"
        self.refused.keep(raw, self.clock.time())
        self.commands.refuse(who, mail.subject, reason)
        if self.rules.owner and reason in ("wrong inbox", "a stranger"):
            self.alarm()

    def alarm(self) -> None:
        """Tells the owner that somebody tries, once an hour at most, with the count. Raises StateError."""
        now = self.clock.time()
        known = self.state.recall("alarm") or {"told": 0.0, "tries": 0}
        with self.state.transaction() as db:
            known["tries"] += 1
            if now - known["told"] >= ALARM:
                text = f"Refused since the last alarm: {known['tries']}. The mails are in {self.refused.folder.name}.\n"
                message = Message(
                    sender=self.sender, to=[self.rules.owner], subject=f"Commands were refused on {self.host.name}",
                    text=text, headers=[("Auto-Submitted", "auto-generated")],
                )  # fmt: skip
                self.outbox.put(message.stamped(self.clock, self.host), now, again=True, db=db)
                known = {"told": now, "tries": 0}
            self.state.remember(db, "alarm", known)

    def note_bounce(self, mail: Mail) -> None:
        """A receipt of ours did not arrive: remembered, if the report names one that we sent. Raises StateError."""
        report = replies.bounce(mail)
        order = self.commands.ledger.find(f"receipt:{report.message_id}") if report and report.failed else None
        if order is not None:
            who = str(order.facts["who"])
            with self.state.transaction() as db:
                self.state.remember(db, f"unreachable {who}", self.clock.time())
            self.host.log("unreachable", "warning", who=who)

    def report(self, db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        """The receipt: threaded, to the address that is authorised, never to a Reply-To. Commits with the ledger's row."""
        message_id, subject, *references = order.facts["mail"]
        asked = Mail(b"", subject=subject, message_id=message_id, references=tuple(references))
        text = describe(order, outcome, self.host.name)
        receipt = replies.reply(asked, order.facts["to"], self.sender, text).stamped(self.clock, self.host)
        self.outbox.put(receipt, self.clock.time(), db=db)
        self.commands.ledger.name(db, order.id, f"receipt:{receipt.message_id}")
        self.state.remember(db, f"unreachable {order.who}", None)

    def send(self) -> None:
        """Sends what waits. Raises StateError."""
        for result in self.outbox.flush(self.smtp, self.clock, self.host):
            level = "info" if result.status == "sent" else "warning"
            self.host.log(f"mail-{result.status}", level, to=result.address, trouble=result.trouble)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Looks, obeys and answers until stopped. Ends with 0 when the last look went well. Raises CommsError."""
    rules = settings.table("mysql-by-mail", Rules)
    code = 0
    with State(rules.state) as state:
        state.own()
        service = Service(rules, settings, state, clock, host)
        service.commands.recover(service.report)
        service.commands.perform(service.report)  # what was accepted shall not wait behind a mail that kills us
        service.send()
        for _ in clock.every(rules.poll):
            code = service.round()
    return code


def asks(
    subject: str = "Restart MySQL", sender: str = "jeremy@yourco.test", more: str = "", body: str = "", message_id: str = ""
) -> bytes:
    """A mail as a phone sends it; the same words are the same mail."""
    number = message_id or hashlib.sha256(f"{subject}{sender}{more}{body}".encode()).hexdigest()[:12] + "@phone.test"
    return f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{number}>\r\n{more}\r\n{body}\r\n".encode()


@act("mysql-by-mail")
def restart(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy asks from his phone; a stranger asks too."""
    date = "Date: Mon, 05 Jan 2026 00:00:09 +0000\r\n"
    request = asks(sender="Jeremy <jeremy@yourco.test>", more=date, message_id="one@phone.test")
    world.clock.at(10, lambda: world.mail.deliver(INBOX, request))
    world.clock.at(70, lambda: world.mail.deliver(INBOX, asks(sender="mallory@evil.example")))
    program()
    yield Claim("MySQL is restarted once", world.host.ran == [RESTART], world.host.ran)
    yield Claim("the maildrop is empty", not world.mail.inbox(SENDER), world.mail.inbox(SENDER))
    receipts = world.mail.inbox("jeremy@yourco.test")
    threads = [(mail.subject, mail.message["In-Reply-To"]) for mail in receipts]
    yield Claim("one receipt, in the thread", threads == [("Re: Restart MySQL", "<one@phone.test>")], threads)
    text = "".join(mail.text for mail in receipts)
    yield Claim("it says that it was done", "restart mysql" in text and "done in 2.0 s" in text, text)
    answers = [mail for mail in world.mail.messages if "mallory@evil.example" in mail.envelope.to]
    yield Claim("the stranger hears nothing", not answers, answers)
