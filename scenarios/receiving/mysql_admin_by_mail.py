"""Administer databases by mail: create and drop databases and indexes, and look what is there.

Section 6.1.2 · POP3, IMAP, SMTP · try: make scenario NAME=mysql-admin-by-mail
Needs: sqlalchemy

A mail to the secret inbox has commands in MySQL's own words, one per line, and one mail answers
them all. What is dropped must be confirmed, with a word that works once. The first command that is
not done stops the others of its mail. Only databases that the settings name can be seen or changed,
and each administrator may do what `rights` says, even for some databases only. No text of a mail
becomes SQL: a command has names only, which are looked up in the database, and SQLAlchemy writes
the statements. The acts use a folder of SQLite files, each a database.

[scenario.mysql-admin-by-mail]
inbox = "cly6ruct1yit2d@yourco.test"       # required: the secret address
admins = ["jeremy@yourco.test"]            # required
database = "mysql+pymysql://db1/?read_default_file=/etc/robot.cnf"  # required: for SQLAlchemy
databases = ["shop", "test_*"]             # required: which may be administered
rights = { "jeremy@yourco.test" = ["show index in shop.*"] }    # optional: by default all
sender = "MySQL <mysql@yourco.test>"       # optional: of receipts; else the account's address
returns = "mysql+*@yourco.test"            # optional: each receipt has a return path
owner = "owner@yourco.test"                # optional: is warned of refusals, hourly
mailbox = "imap"                           # optional: or "pop3"; else the one with a table
after_error = "stop"                       # or "go on" with the next command of the mail
poll = 30                                  # seconds
timeout = 60                               # seconds that a statement may take
fresh = 86400                              # seconds: an older mail is refused, as a replay
again = 60                                 # seconds in which the same command is asked about
state = "mysql-admin-by-mail.sqlite3"      # with the folder mysql-admin-by-mail.refused beside it

Fault: pop-drop-before-quit -> all hold
Fault: pop3 QUIT lost stored times 1 -> all hold
Fault: pop-in-use -> all hold
Fault: pop-uidl-reused -> all hold
Fault: duplicate-delivery -> all hold
Fault: smtp connect refuse times 1 -> all hold
Fault: poison-mail -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from comms.clock import Clock
from comms.host import Host
from comms.mail_program import AdminRules, MailProgram
from comms.setting_types import NonEmpty, StateFile
from comms.settings import Settings
from scenarios.play import Claim, Program, Scenario, equal, holds
from scenarios.receiving.mysql_admin_by_mail_databases import Databases, NamePattern, ServerUrl
from scenarios.receiving.mysql_admin_by_mail_desk import verbs
from scenarios.receiving.mysql_admin_by_mail_samples import (
    EVE,
    INBOX,
    JEREMY,
    MAIL,
    MICHAEL,
    OWNER,
    SENDER,
    SETTINGS,
    TRANSCRIPT,
    answers,
    databases,
    indexes,
    mails,
    prepare,
)

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": SENDER,
    "person": [
        {"address": SENDER, "aliases": [INBOX]},
        *({"address": address} for address in (JEREMY, MICHAEL, OWNER)),
    ],
    "host": {"name": "db1.yourco.test"},
    "scenario": {"mysql-admin-by-mail": SETTINGS},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True, kw_only=True)
class Rules(AdminRules):
    """The settings, further to those that all programs with commands by mail have."""

    database: ServerUrl
    databases: NonEmpty[tuple[NamePattern, ...]]
    after_error: Literal["stop", "go on"] = "stop"
    state: StateFile = Path("mysql-admin-by-mail.sqlite3")


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Obeys until stopped. Returns 0 if the last poll went well. Raises CommsError."""
    rules = settings.table("mysql-admin-by-mail", Rules)
    server = Databases(rules.database, rules.databases, rules.timeout, settings.path)
    offered = verbs(server, clock)
    with MailProgram("mysql-admin-by-mail", rules, settings, clock, host) as program:
        program.offer(
            offered,
            rules.granted(offered),
            commands_in=program.commands_in,
            stop=rules.after_error == "stop",
        )
        return program.obey()


@scenario.act("mysql-admin-by-mail")
def administer(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy makes a database and an index, in one mail; a stranger tries, too."""
    prepare(world.folder)
    world.clock.at(10, lambda: mails(world, JEREMY, MAIL))
    world.clock.at(70, lambda: mails(world, EVE, "create database test_3"))
    world.clock.until(130)
    program()
    receipts, texts = world.mail.inbox(JEREMY), answers(world, JEREMY)
    yield equal("one mail answers all commands of a mail", texts, [TRANSCRIPT], shows=receipts)
    found = databases(world.folder)
    yield equal("the database is there", found, ["payroll", "shop", "test_2"], shows=receipts)
    made = indexes(world.folder)
    wanted = ["CREATE INDEX by_customer ON orders (customer, placed)"]
    yield equal("the index is there", made, wanted, shows=receipts)
    strangers = [mail for mail in world.mail.messages if EVE in mail.envelope.to]
    yield equal("a stranger gets no answer", strangers, [])
    alarms = [mail.text for mail in world.mail.inbox(OWNER)]
    warned = any("Refused since the last alarm: " in text for text in alarms)
    yield holds("the owner is warned", warned, alarms, shows=world.mail.inbox(OWNER))
