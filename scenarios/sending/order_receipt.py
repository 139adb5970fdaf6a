"""Mail a receipt for each paid order, as text, HTML and PDF: by itself, and once.

Section 6.1 · SMTP · try: make scenario NAME=order-receipt
Needs: sqlalchemy, jinja2, fpdf

A shop appends a line of JSON to a file whenever an order was paid, and its buyer gets a receipt: in
text and HTML, and as a PDF. A database remembers each order by its number, so that one that is
listed again gets no second receipt. What cannot be sent stays there, and the owner is told. Amounts
are decimal numbers, whose sums are checked.

[scenario.order-receipt]
orders = "orders.jsonl"              # lines {"order": …, "paid": …, "name": …, "address": …, …}
owner = "owner@yourco.test"          # required: who is told about orders that need a look
seller = "Yourco Books, 1 Main Street"   # required: the head of the PDF
sender = "Yourco Books <shop@yourco.test>"   # required
templates = "templates"              # folder with receipt.txt, and receipt.html
font = "DejaVuSans.ttf"              # optional: for names that Helvetica cannot write
database = "sqlite:///order-receipt.sqlite3"   # or postgresql+psycopg://…
every = 10                           # seconds between two looks into the file
pause = 3600                         # seconds between two mails to the owner
give_up = 14400                      # seconds after which a receipt is no longer tried

Fault: smtp connect refuse times 2 -> all hold
Fault: smtp-421 -> all hold
Fault: clock-jump -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.attachments import safe_name
from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.setting_types import (
    FilePath,
    Folder,
    Line,
    MailAddress,
    NamedAddress,
    NonEmpty,
    ReadableFile,
    Seconds,
    SecondsOrZero,
)
from comms.settings import Settings
from scenarios.models import DatabaseUrl, working
from scenarios.play import Claim, Program, Scenario, equal
from scenarios.sending.order_receipt_desk import Desk, message_id
from scenarios.sending.order_receipt_input import EXAMPLE, Order
from scenarios.sending.order_receipt_model import Base
from scenarios.sending.order_receipt_pdf import Paper
from scenarios.sending.order_receipt_samples import OWNER, RULES, SHOP, lists, places_of, receipts
from scenarios.templates import Templates

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp"],
    "program": SHOP,
    "person": [{"address": SHOP}, {"address": OWNER}],
    "mail": {"relay": "keep"},
    "host": {"name": "shop.yourco.test"},
    "scenario": {"order-receipt": RULES},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings."""

    orders: FilePath = Path("orders.jsonl")
    owner: MailAddress
    seller: NonEmpty[Line]
    sender: NamedAddress
    templates: Folder = Path("templates")
    font: ReadableFile | None = None
    database: DatabaseUrl = "sqlite:///order-receipt.sqlite3"
    every: Seconds = 10
    pause: SecondsOrZero = 3600
    give_up: Seconds = 14400


def receipt(rules: Rules, templates: Templates, paper: Paper, order: Order, at: float) -> Message:
    """Returns the mail to a buyer, always the same for an order. Raises ValueError."""
    written = templates.mail("receipt", order.values())
    mail = Message(rules.sender, [order.address], written.subject, written.text, written.html)
    mail.attach(safe_name(f"receipt-{order.order}.pdf"), paper.receipt(order), "application/pdf")
    # RFC 3834 §5: the mark keeps vacation programs from answering.
    mail.add_header("Auto-Submitted", "auto-generated")
    mail.date, mail.message_id = at, message_id(rules.sender, order.order)
    return mail


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Sends receipts until stopped. Returns 1 if an order needs a look, else 0."""
    rules = settings.table("order-receipt", Rules)
    compose = partial(receipt, rules, Templates(rules.templates), Paper(rules.seller, rules.font))
    compose(EXAMPLE, clock.time())  # a mistake in the templates is found before there is an order
    with working(rules.database, settings.path, Base.metadata) as worker:
        desk = Desk(rules, settings, clock, host, worker, compose)
        desk.try_flagged_again()
        for _ in clock.every(rules.every):
            desk.take()
            desk.send()
        return desk.report()


@scenario.act("order-receipt")
def once(world: World, program: Program) -> Iterator[Claim]:
    """Two orders are paid; the first one is listed a second time a minute later."""
    for at, number, buyer in ((5, "1001", "ann"), (65, "1001", "ann"), (125, "1002", "ben")):
        world.clock.at(at, lists(world, number, buyer))
    world.clock.until(300)
    code = program()
    mails = receipts(world)
    found = [(mail.to[0], mail.subject.split()[-1]) for mail in mails]
    wanted = [("ann@customer.example", "1001"), ("ben@customer.example", "1002")]
    yield equal("each buyer gets one receipt", found, wanted, shows=mails)
    places = [places_of("79.80 EUR", mail) for mail in mails]
    wanted_places = [["text", "HTML", "PDF"]] * 2
    yield equal("the total is in all three parts", places, wanted_places, shows=mails)
    marks = {mail.message["Auto-Submitted"] for mail in mails}
    yield equal("no vacation program answers them", marks, {"auto-generated"}, shows=mails)
    yield equal("the exit code is 0", code, 0)
