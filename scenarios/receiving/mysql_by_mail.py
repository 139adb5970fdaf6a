"""Restart MySQL by mail, from a phone: once for each request, and only for administrators.

Listing 6.4 · POP3, IMAP, SMTP · try: make scenario NAME=mysql-by-mail

Every thirty seconds the program collects its mail, and over IMAP as soon as mail arrives. A mail is
a command if an administrator wrote it to the secret inbox and its whole subject is `Restart MySQL`
(or start, stop, status). The command is stored, then the mail is deleted, then the command runs
once, and its sender gets a receipt. The same command in another mail soon afterwards runs if the
sender repeats it with a random word. All other mail is kept in a folder, logged, deleted and not
answered. If receipts to an administrator bounce, the owner is told once.

[scenario.mysql-by-mail]
mailbox = "imap"                                # optional: or "pop3"; else the one with a table
inbox = "cly6ruct1yit2d@yourco.test"            # required: the secret address
admins = ["jeremy@yourco.test"]                 # required
sender = "MySQL <mysql@yourco.test>"            # optional: of receipts; else the account's address
returns = "mysql+*@yourco.test"                 # optional: each receipt has a return path
owner = "owner@yourco.test"                     # optional: is warned of refusals and bounces
rights = { "jeremy@yourco.test" = ["restart mysql"] }   # optional: by default all
poll = 30                                       # seconds
restart = ["systemctl", "restart", "mariadb"]   # the command lines of the commands on offer
start = []
stop = []
status = []
timeout = 60                                    # seconds that a command may take
fresh = 86400                                   # seconds: an older mail is refused, as a replay
again = 60                                      # seconds in which the same command is asked about
state = "mysql-by-mail.sqlite3"                 # with the folder mysql-by-mail.refused beside it

Fault: pop-drop-before-quit -> all hold
Fault: pop3 QUIT lost stored times 1 -> all hold
Fault: imap UID EXPUNGE nth 2 lost stored -> all hold
Fault: imap UID STORE hang up times 1 -> all hold
Fault: imap-uidvalidity-changes -> all hold
Fault: imap-bye-in-idle -> all hold
Fault: imap UID FETCH nth 3 after 100 -> all hold
Fault: pop-drop-in-retr -> all hold
Fault: pop-dele-err -> all hold
Fault: pop-in-use -> all hold
Fault: pop-uidl-reused -> all hold
Fault: duplicate-delivery -> all hold
Fault: poison-mail -> all hold
Fault: pop-long-line -> all hold
Fault: clock-jump -> all hold

What goes wrong in the printed listing: it searches the whole raw text, so that it obeys strangers
who quote the right header, and bounces; and it acts before the deletion is committed, so that a
connection lost at the end runs the command again at every poll.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.commands import Verb
from comms.host import Host
from comms.mail_program import AdminRules, MailProgram
from comms.setting_types import CommandLine, StateFile
from comms.settings import Settings
from scenarios.play import Claim, Program, Scenario, equal, holds, sent
from scenarios.receiving.mysql_by_mail_samples import ADMINS, INBOX, RESTART, SENDER, request

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": SENDER,
    "person": [
        {"address": SENDER, "aliases": [INBOX]},
        *({"address": address} for address in ADMINS),
    ],
    "host": {"name": "db1.yourco.test", "services": ["mariadb"]},
    "scenario": {
        "mysql-by-mail": {"inbox": INBOX, "admins": list(ADMINS), "sender": f"MySQL <{SENDER}>"}
    },
}
scenario = Scenario(WORLD)


@dataclass(frozen=True, kw_only=True)
class Rules(AdminRules):
    """The settings, further to those that all programs with commands by mail have."""

    restart: CommandLine = RESTART
    start: CommandLine = ()
    stop: CommandLine = ()
    status: CommandLine = ()
    state: StateFile = Path("mysql-by-mail.sqlite3")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.verbs():
            raise ValueError(
                "restart: no command has a command line; "
                'write restart = ["systemctl", "restart", "mariadb"]'
            )

    def verbs(self) -> dict[str, Verb]:
        """Returns the commands that have a command line."""
        return {
            f"{name} mysql": Verb(line, "mysql", self.timeout, repeatable=name == "status")
            for name in ("restart", "start", "stop", "status")
            if (line := getattr(self, name))
        }


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Obeys until stopped. Returns 0 if the last poll went well. Raises CommsError."""
    rules = settings.table("mysql-by-mail", Rules)
    verbs = rules.verbs()
    with MailProgram("mysql-by-mail", rules, settings, clock, host) as program:
        program.offer(verbs, rules.granted(verbs))
        return program.obey()


@scenario.act("mysql-by-mail")
def restart(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy asks from his phone; a stranger asks, too."""
    date = "Date: Mon, 05 Jan 2026 00:00:09 +0000\r\n"
    wanted = request(sender=f"Jeremy <{ADMINS[0]}>", more=date, message_id="one@phone.test")
    world.clock.at(10, lambda: world.mail.deliver(INBOX, wanted))
    forged = request(sender="mallory@evil.example")
    world.clock.at(70, lambda: world.mail.deliver(INBOX, forged))
    program()
    yield equal("MySQL is restarted once", world.host.ran, [RESTART], shows=world.host.ran)
    yield equal(
        "the maildrop is empty",
        world.mail.inbox(SENDER),
        [],
        shows=sent(world, "DELE", "UID_EXPUNGE"),
    )
    receipts = world.mail.inbox(ADMINS[0])
    threads = [(mail.subject, mail.message["In-Reply-To"]) for mail in receipts]
    yield equal(
        "Jeremy gets one reply",
        threads,
        [("Re: Restart MySQL", "<one@phone.test>")],
        shows=receipts,
    )
    text = "".join(mail.text for mail in receipts)
    done = "restart mysql" in text and "done in 2.0 s" in text
    yield holds("the reply says what was done", done, text, shows=receipts)
    answers = [mail for mail in world.mail.messages if "mallory@evil.example" in mail.envelope.to]
    yield equal("the stranger gets no answer", answers, [])
