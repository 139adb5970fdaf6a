"""Let people sign up, and activate an account when the mail to its address has been read.

Section 6.1 · SMTP, HTTP · try: make scenario NAME=account-activation
Needs: sqlalchemy, jinja2, flask

A page takes name and address, and a mail brings a link to the owner of the address. The link is
signed, expires, and works once. It leads to a button, because programs that check mails open every
link. Nobody learns from the pages which addresses have an account: the answer is always the same,
and the mail says the rest. Requests and mails are in a database, so that nothing is lost or sent
twice, however the program ends. On PostgreSQL, several of these programs may share the work.

[scenario.account-activation]
site = "https://accounts.yourco.test"            # required: what links begin with
sender = "YourCo <accounts@yourco.test>"         # required
templates = "templates"                          # folder with activate.txt and already-active.txt
listen = "127.0.0.1:8025"                        # where the pages are, for a reverse proxy
proxies = 0                                      # how many of them add X-Forwarded-For
secret = "account-activation.secret"             # file with the key that signs; made if missing
database = "sqlite:///account-activation.sqlite3"  # or postgresql+psycopg://…
valid = 86400                                    # seconds that a link works
window = 3600                                    # seconds for which requests are counted
mails = 3                                        # to one address in that time
requests = 20                                    # from one client in that time
poll = 5                                         # seconds between two looks for mails to send
give_up = 14400                                  # seconds after which a mail is no longer tried

Fault: smtp connect refuse times 1 -> all hold
Fault: smtp . nth 1 lost stored -> all hold
Fault: smtp-450-then-ok -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.setting_types import (
    Count,
    CountOrZero,
    Folder,
    NamedAddress,
    Seconds,
    StateFile,
)
from comms.settings import Settings
from scenarios.models import DatabaseUrl, Worker, opened
from scenarios.play import Claim, Program, Scenario, equal, told
from scenarios.sending.account_activation_desk import ACTIVATE, ALREADY, Desk, Postman
from scenarios.sending.account_activation_model import Base
from scenarios.sending.account_activation_samples import ANN, BOB, BOT, SETTINGS, Visitor, to
from scenarios.sending.account_activation_web import pages
from scenarios.templates import Templates
from scenarios.web import ListenAddress, SiteUrl, Tokens, served, signing_keys

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],  # with POP3, people can read their mail in `make live`
    "program": BOT,
    "person": [{"address": address} for address in (BOT, ANN, BOB)],
    "mail": {"relay": "keep"},
    "host": {"name": "web1.yourco.test"},
    "scenario": {"account-activation": SETTINGS},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings."""

    site: SiteUrl
    sender: NamedAddress
    templates: Folder = Path("templates")
    listen: ListenAddress = "127.0.0.1:8025"
    proxies: CountOrZero = 0
    secret: StateFile = Path("account-activation.secret")
    database: DatabaseUrl = "sqlite:///account-activation.sqlite3"
    valid: Seconds = 86400
    window: Seconds = 3600
    mails: Count = 3
    requests: Count = 20
    poll: Seconds = 5
    give_up: Seconds = 14400


def notice(
    rules: Rules, templates: Templates, tokens: Tokens, clock: Clock, to: str, name: str, token: str
) -> Message:
    """Returns the mail to one address. What a stranger has typed is not in it.

    Raises TemplateError.
    """
    # Signed when it is sent: the time that a mail waited does not count.
    link = f"{rules.site}/activate?token={tokens.sign(token)}"
    until = f"{datetime.fromtimestamp(clock.time() + rules.valid, UTC):%Y-%m-%d %H:%M} UTC"
    mail = templates.mail(name, {"site": rules.site, "link": link, "until": until})
    # RFC 3834 §5: the mark keeps vacation programs from answering.
    marks = [("Auto-Submitted", "auto-generated")]
    return Message(rules.sender, [to], mail.subject, mail.text, mail.html, headers=marks)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Serves the pages and sends the mails until it is stopped. Raises CommsError."""
    rules, server = settings.table("account-activation", Rules), settings.server("smtp")
    keys = signing_keys(rules.secret, host)
    tokens = Tokens(keys, "activation", clock)
    compose = partial(notice, rules, Templates(rules.templates), tokens, clock)
    for name in (ACTIVATE, ALREADY):  # a mistake in a template is found before anybody signs up
        compose(BOT, name, "token")
    database = opened(rules.database, settings.path, Base.metadata)
    with database as engine, Worker(engine) as worker:
        desk = Desk(rules, engine, tokens, clock, host)
        postman = Postman(worker, server, rules.give_up, compose, clock, host)
        with served(pages(rules, desk, keys, host), rules.listen, host):
            for _ in clock.every(rules.poll):
                postman.work()
        postman.report()
    return 0


@scenario.act("account-activation")
def activation(world: World, program: Program) -> Iterator[Claim]:
    """Ann signs up, opens the link in the mail, and presses the button."""
    ann = Visitor(world, "Ann")
    ann.signs_up(10, ANN)
    ann.opens(90)
    ann.presses(100)
    again = ann.opens(110)
    world.clock.until(120)
    program()
    mails = world.mail.messages
    yield equal("the mail brings a link", to(mails), [(ANN, "Activate your account")], shows=mails)
    active = told(world, "activated")
    wanted = [f"activated address={ANN}"]
    yield equal("the button activates", [event.text for event in active], wanted, shows=active)
    titles = [page.title for page in again]
    shows = told(world, "GET /activate: 410")
    yield equal("the link works once", titles, ["This link does not work"], shows=shows)
