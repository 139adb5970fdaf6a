"""Tell 500 customers that their product was shipped: each of them once, whatever happens.

Introduction · SMTP, POP3, IMAP, HTTP · try: make scenario NAME=ship-notices
Needs: sqlalchemy, jinja2, flask

The program reads a list of customers, composes every mail before it sends the first one, and sends
them one by one over the same session. A database remembers what became of each notice, so that a
run that was killed goes on where it was. What comes back, bounces and unsubscriptions, is collected
over POP3 or IMAP; a second program, with `listen`, serves the page for one click. On PostgreSQL,
several of these programs may share the work.

[scenario.ship-notices]
customers = "customers.csv"                  # columns: order, name, address, and more for templates
templates = "templates"                      # folder with shipped.txt, and shipped.html
sender = "Shop <shop@yourco.test>"           # required
returns = "returns@yourco.test"              # required: the mailbox to which they come back
mailbox = "imap"                             # optional: or "pop3"; else the one with a table
database = "sqlite:///ship-notices.sqlite3"  # or postgresql+psycopg://…
rate = 0                                     # mails per second and worker; 0: no limit
domain_rate = 0                              # the same, to each domain
session = 100                                # mails in one SMTP session
poll = 30                                    # seconds between rounds, while notices still wait
give_up = 14400                              # seconds after which a mail is no longer tried
dry_run = false                              # compose all mails, send none, write samples
samples = 3                                  # files that a dry run writes
site = "https://shop.yourco.test"            # optional: where customers unsubscribe by one click
listen = "127.0.0.1:8025"                    # optional: serve that page, and send nothing

Fault: smtp-421 -> breaks the first run sends two notices, and ends
Fault: smtp . hang up after nth 7 -> breaks five sessions are enough
Fault: poison-mail -> breaks both mails that came back are deleted

What a loop over the customers does instead: the first one whose address is refused ends it, a
second run sends everything again, and nobody can say who has got it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.setting_types import (
    Count,
    CountOrZero,
    FilePath,
    Folder,
    MailAddress,
    MailProtocol,
    NamedAddress,
    Rate,
    Seconds,
)
from comms.settings import Settings
from scenarios.models import DatabaseUrl, Tries, opened, working
from scenarios.play import Claim, Program, Scenario, equal, sent
from scenarios.sending.ship_notices_desk import Desk, rehearse
from scenarios.sending.ship_notices_model import Base, Notice, Try, back
from scenarios.sending.ship_notices_returns import Returns
from scenarios.sending.ship_notices_samples import BACK, SHOP, TEMPLATES, customers, notices, shop
from scenarios.sending.ship_notices_web import headers, pages
from scenarios.templates import Templates
from scenarios.web import ListenAddress, SiteUrl, served

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": BACK,
    "person": [{"address": SHOP}, {"address": BACK}],
    "mail": {"relay": "keep"},
    "host": {"name": "shop.yourco.test"},
    "scenario": {
        "ship-notices": {
            "sender": f"Shop <{SHOP}>",
            "returns": BACK,
            "templates": str(TEMPLATES),
        }
    },
}
scenario = Scenario(WORLD)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings."""

    customers: FilePath = Path("customers.csv")
    templates: Folder = Path("templates")
    sender: NamedAddress
    returns: MailAddress
    mailbox: MailProtocol = None
    database: DatabaseUrl = "sqlite:///ship-notices.sqlite3"
    rate: Rate = 0
    domain_rate: Rate = 0
    session: Count = 100
    poll: Seconds = 30
    give_up: Seconds = 14400
    dry_run: bool = False
    samples: CountOrZero = 3
    site: SiteUrl = ""
    listen: ListenAddress = ""

    def __post_init__(self) -> None:
        if self.listen and not self.site:
            raise ValueError('listen: the page needs an address; write site = "https://…"')


def notice(
    rules: Rules, templates: Templates, address: str, values: Mapping[str, str], token: str
) -> Message:
    """Returns the mail to one customer. Raises TemplateError."""
    mail = templates.mail("shipped", values, values.get("language", ""))
    returns = back(rules.returns, token)
    # RFC 3834 §5: the mark keeps vacation programs from answering.
    marks = [("Auto-Submitted", "auto-generated")]
    marks += headers(rules.site, token, f"mailto:{returns}?subject=unsubscribe")
    id = f"<{token}@{returns.rpartition('@')[2]}>"
    text, html = mail.text, mail.html
    return Message(rules.sender, [address], mail.subject, text, html, headers=marks, message_id=id)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Sends the notices that have not been sent. Returns 0 if all went well, 1 if some did not.

    Raises CommsError.
    """
    rules = settings.table("ship-notices", Rules)
    compose = partial(notice, rules, Templates(rules.templates))
    if rules.dry_run:
        return rehearse(rules, compose, settings.path("ship-notices.samples"), host, clock)
    if rules.listen:
        with opened(rules.database, settings.path, Base.metadata) as engine:
            with served(pages(rules.site, engine, clock, host), rules.listen, host):
                for _ in clock.every(rules.poll):
                    pass
        return 0
    with working(rules.database, settings.path, Base.metadata) as worker:
        desk = Desk(rules, settings, clock, host, worker, compose)
        mailbox = settings.mailbox("ship-notices", rules.mailbox)
        returns = Returns(mailbox, clock, host, worker, Tries(worker.engine, Try))
        left_out = desk.enlist()
        for _ in clock.every(rules.poll):
            # Of a worker that has died, it is unknown whether its last mail arrived.
            worker.recover(Notice, "unknown")
            returns.collect()
            if not desk.send():
                break
        return desk.report(*left_out)


@scenario.act("bulk-ship-notice")
def five_hundred(world: World, program: Program) -> Iterator[Claim]:
    """500 customers get their notices over a few sessions; the shop runs the program once."""
    shop(world.folder, customers(500))
    world.clock.until(600)
    code = program()
    yield equal("the exit code is 0", code, 0)
    found = {(*mail.envelope.to, mail.subject) for mail in notices(world)}
    wanted = {
        (f"customer{n}@mail{n % 7}.example", f"Order {n} is on its way") for n in range(1, 501)
    }
    mails = notices(world)
    yield equal("each customer gets the mail about their order", found, wanted, shows=mails)
    yield equal("and no second one", len(mails), 500)
    sessions = {record.session for record in world.records if record.verb == "MAIL"}
    yield equal("five sessions are enough", len(sessions), 5, shows=sent(world, "EHLO"))
    yield equal(
        "the report counts them", world.said[-1:], ["500 notices: 500 sent"], shows=world.said
    )
