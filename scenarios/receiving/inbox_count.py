"""Count the mail in a mailbox, and delete none of it.

Listing 6.3 · POP3, IMAP · try: make scenario NAME=inbox-count

The program looks into a mailbox once, and prints "You don't have any email!" or "N mails
available.". Over IMAP it counts the mails that nobody has read, and they stay unread. If that
fails, the exit code says why: 4 for a refused login, 3 for a server that cannot be reached.

[scenario.inbox-count]
mailbox = "imap"                     # optional: or "pop3"; else the one that has a table
style = "block"                      # how the session is closed: by a `with` block, or "object"
listing = false                      # true: also print number, size and id of each mail

Fault: CAPA off -> all hold
Fault: UIDL off -> all hold
Fault: STAT split 1 -> all hold
Fault: imap UID SEARCH split 1 -> all hold

What goes wrong in the printed listing: every failure ends it with a stack trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from comms.clock import Clock
from comms.host import Host
from comms.mailbox import Mailbox, open_mailbox
from comms.setting_types import MailProtocol
from comms.settings import Settings
from scenarios.play import Claim, Program, Scenario, equal, sent

if TYPE_CHECKING:
    from fakes import World

RUBY = "ruby@yourco.test"
WORLD: dict[str, Any] = {
    "servers": ["pop3"],
    "program": RUBY,
    "person": [{"address": RUBY, "password": "inpractice"}],
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings."""

    mailbox: MailProtocol = None
    style: Literal["block", "object"] = "block"
    listing: bool = False


def answer(count: int) -> str:
    """Returns the line that the user reads."""
    return f"{count} mails available." if count else "You don't have any email!"


def report(mailbox: Mailbox, host: Host, listing: bool) -> None:
    """Prints how many mails there are, and if asked for, number, size and unique id of each."""
    host.say(answer(mailbox.unseen()))
    if listing:
        for entry in mailbox.entries():
            host.say(f"{entry.number}  {entry.size} bytes  {entry.id}")


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Counts once, and returns 0. Raises Unreachable, TryLater (mailbox in use) or Refused."""
    rules = settings.table("inbox-count", Rules)
    server = settings.mailbox("inbox-count", rules.mailbox)
    if rules.style == "block":
        with open_mailbox(server, clock, host) as mailbox:
            report(mailbox, host, rules.listing)
    else:
        mailbox = open_mailbox(server, clock, host)
        try:
            report(mailbox, host, rules.listing)
        finally:
            mailbox.close()
    return 0


@scenario.act("inbox-count")
def count(world: World, program: Program) -> Iterator[Claim]:
    """The mailbox is empty; then there are two mails in it."""
    codes = [program()]
    for number in (1, 2):
        world.mail.deliver(RUBY, f"Subject: mail {number}\r\n\r\nHello.\r\n".encode())
    codes.append(program())
    lines = ["You don't have any email!", "2 mails available."]
    yield equal("the mail is counted", world.said, lines, shows=world.said)
    left = [mail.subject for mail in world.mail.inbox(RUBY)]
    yield equal("no mail is deleted", left, ["mail 1", "mail 2"])
    verbs = [record.verb for record in world.records if record.direction == "C"]
    yield equal("each session ends with QUIT", verbs.count("QUIT"), 2, shows=sent(world, "QUIT"))
    yield equal("the exit code is 0", codes, [0, 0], shows=world.said)
