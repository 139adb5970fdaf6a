"""Try out the mail of a shop without a mail to any customer: a trap takes it all.

Section 6.1.1 · SMTP, POP3, IMAP · try: make scenario NAME=mail-trap

A trap is a mail server that accepts mail for every address, appends it to a text file and sends
nothing. `python -m fakes --trap trap.txt` is one. Before the shop's mails, the program sends one to
an address that cannot exist and looks for it over POP3 or IMAP: only a trap has it. If it is not
there, no customer is written to, because the settings may be those of the real server.

[scenario.mail-trap]
mailbox = "imap"                     # optional: or "pop3"; else the one that has a table
sender = "shop@yourco.test"          # required
customers = ["ann@example.com"]      # required
subject = "Your order has shipped"
text = "It is on its way."
patience = 5                         # seconds until a mail must be in the trap

Fault: pop3 RETR split 1 -> all hold
Fault: imap UID FETCH split 1 -> all hold
Fault: smtp . nth 2 lost unstored -> breaks each mail is in the text file,
    each of them as a whole, the program finds them in the trap, four mails are four messages
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comms import smtp
from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.mailbox import open_mailbox
from comms.read import read
from comms.setting_types import Line, MailAddress, MailProtocol, NonEmpty, SecondsOrZero
from comms.settings import Server, Settings
from scenarios.play import Claim, Program, Scenario, equal, sent

if TYPE_CHECKING:
    from fakes import World

TRAP, SHOP, CUSTOMERS = "trap@yourco.test", "shop@yourco.test", ("ann@gmail.test", "bob@aol.test")
WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": TRAP,
    "person": [{"address": TRAP}],
    "mail": {"trap": True},
    "host": {"name": "shop.yourco.test"},
    "scenario": {"mail-trap": {"sender": SHOP, "customers": list(CUSTOMERS)}},
}
scenario = Scenario(WORLD)
LOOK = 1.0  # seconds between two looks
NOBODY = "nobody@trap.invalid"  # no server can deliver to this domain


@dataclass(frozen=True)
class Rules:
    """The settings."""

    sender: MailAddress
    customers: NonEmpty[tuple[MailAddress, ...]]
    mailbox: MailProtocol = None
    subject: Line = "Your order has shipped"
    text: str = "It is on its way."
    patience: SecondsOrZero = 5


def send(mails: list[Message], settings: Settings, clock: Clock, host: Host) -> None:
    """Sends mails in one session. Raises CommsError if one of them is refused."""
    with smtp.Session(settings.server("smtp"), clock, host) as session:
        for mail in mails:
            for error in session.send(*mail.envelope(), mail.to_bytes()).values():
                if error:
                    raise error


def missing(
    mails: list[Message], server: Server, clock: Clock, host: Host, patience: float
) -> list[Message]:
    """Returns the mails that are not in the trap's mailbox in time. Raises CommsError."""
    end = clock.monotonic() + patience
    while True:
        with open_mailbox(server, clock, host) as mailbox:
            found = {read(mailbox.fetch(entry)).message_id for entry in mailbox.entries()}
        lost = [mail for mail in mails if mail.message_id not in found]
        if not lost or clock.monotonic() >= end or clock.stopping():
            return lost
        # A relay may be on the way to the trap.
        clock.wait(None, clock.time() + LOOK)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Sends the mails if the server is a trap. Returns 0 if all are in it, else 1."""
    rules = settings.table("mail-trap", Rules)
    mailbox = settings.mailbox("mail-trap", rules.mailbox)
    probe = Message(rules.sender, [NOBODY], "Is this a trap?", "").stamped(clock, host)
    send([probe], settings, clock, host)
    if missing([probe], mailbox, clock, host, rules.patience):
        host.say("this is not a trap; nothing was sent to the customers")
        return 1
    mails = [
        Message(rules.sender, [customer], rules.subject, rules.text).stamped(clock, host)
        for customer in rules.customers
    ]
    send(mails, settings, clock, host)
    lost = missing(mails, mailbox, clock, host, rules.patience)
    for mail in mails:
        host.say(f"{mail.to[0]}: {'not in the trap' if mail in lost else 'trapped'}")
    return 1 if lost else 0


def lines_of(world: World) -> list[str]:
    """The lines of the trap's text file."""
    return (world.folder / "trap.txt").read_text("utf-8").splitlines()


@scenario.act("mail-trap")
def trap(world: World, program: Program) -> Iterator[Claim]:
    """The shop writes to two customers, whose servers are not those of the trap."""
    world.mail.append_to(world.folder / "trap.txt")
    code = program()
    lines = lines_of(world)
    begins = [line.partition(" from ")[2] for line in lines if line.startswith("* Message begins")]
    envelopes = [f"<{SHOP}> to <{address}>" for address in (NOBODY, *CUSTOMERS)]
    yield equal("each mail is in the text file", begins, envelopes, shows=sent(world, "."))
    texts = [line for line in lines if line == "It is on its way."]
    ends = [line for line in lines if line == "* Message ends"]
    yield equal(
        "each of them as a whole", (len(texts), len(ends)), (2, 3), shows=world.mail.messages
    )
    yield equal("nothing leaves", [mail.envelope.to for mail in world.mail.relayed], [])
    said = [f"{address}: trapped" for address in CUSTOMERS]
    yield equal("the program finds them in the trap", (code, world.said), (0, said), world.said)
