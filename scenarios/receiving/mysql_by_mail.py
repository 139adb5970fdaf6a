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
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms import addresses
from comms.clock import Clock
from comms.commands import Commands, Verb
from comms.compose import Message
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.mail_door import MailDoor
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


def alarm(owner: str, state: State, clock: Clock, host: Host, door: MailDoor, reason: str) -> None:
    """Tells the owner that somebody tries what they may not: once an hour at most, with the count. Raises StateError."""
    if not owner or reason not in ("wrong inbox", "a stranger"):
        return
    now = clock.time()
    known = state.recall("alarm") or {"told": 0.0, "tries": 0}
    with state.transaction() as db:
        known["tries"] += 1
        if now - known["told"] >= ALARM:
            text = f"Refused since the last alarm: {known['tries']}. The mails are in {door.quarantine.folder.name}.\n"
            message = Message(
                sender=door.sender, to=[owner], subject=f"Commands were refused on {host.name}",
                text=text, headers=[("Auto-Submitted", "auto-generated")],
            )  # fmt: skip
            door.outbox.put(message.stamped(clock, host), now, at_least_once=True, db=db)
            known = {"told": now, "tries": 0}
        state.remember(db, "alarm", known)


def look(door: MailDoor, commands: Commands, host: Host) -> int:
    """One look: what is there is taken in, what was accepted is done, what is to be said is sent. Raises CommsError."""
    trouble: CommsError | None = None
    try:
        door.collect()
    except (Unreachable, TryLater, Refused, Unknown) as error:
        host.log("mailbox", "warning", trouble=error)
        trouble = error
    commands.perform(door.report)
    door.send()
    if isinstance(trouble, Refused):  # a wrong password does not mend itself
        raise trouble
    return trouble.exit_code if trouble else 0


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Looks, obeys and answers until stopped. Ends with 0 when the last look went well. Raises CommsError."""
    rules = settings.table("mysql-by-mail", Rules)
    servers = settings.server("pop3"), settings.server("smtp")
    code = 0
    with State(rules.state) as state:
        state.lock()
        commands = Commands(state, rules.verbs(), {admin.casefold(): ["*"] for admin in rules.admins}, clock, host)
        door = MailDoor(
            commands, state, servers, rules.inbox, rules.admins, rules.sender, clock, host,
            fresh=rules.fresh, refused=partial(alarm, rules.owner, state, clock, host),
        )  # fmt: skip
        commands.recover(door.report)
        commands.perform(door.report)  # what was accepted shall not wait behind a mail that kills us
        door.send()
        for _ in clock.every(rules.poll):
            code = look(door, commands, host)
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
