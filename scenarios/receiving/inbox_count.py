"""Count the mail that waits, and delete none of it.

Listing 6.3 · POP3 · try: make scenario NAME=inbox-count

One look into a maildrop: "You don't have any email!" or "N mails available.". What goes wrong is said in one line, and
the exit code tells a refused login (4) from a server that is not there (3). With `auth = "apop"` the password never
crosses the wire, and is not sent in clear instead when the server knows no APOP.

[scenario.inbox-count]
style = "block"                      # or "object": the same without a `with` block
listing = false                      # true: also a line for each mail, oldest first: octets and unique id

Fault: CAPA off -> all hold
Fault: UIDL off -> all hold
Fault: STAT split 1 -> all hold

What goes wrong in the printed listing: any trouble ends it with a stack trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.host import Host
from comms.pop3 import Mailbox
from comms.settings import Settings
from scenarios.play import Claim, Program, Scenario, equal, holds

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
    """The scenario's settings."""

    style: str = "block"
    listing: bool = False

    def __post_init__(self) -> None:
        if self.style not in ("block", "object"):
            raise ValueError(f'style is {self.style!r}; choose "block" or "object"')


def answer(count: int) -> str:
    """The line that the user reads."""
    return f"{count} mails available." if count else "You don't have any email!"


def tell(mailbox: Mailbox, listing: bool, host: Host) -> None:
    """Counts and says so."""
    count, _ = mailbox.count()
    host.say(answer(count))
    for entry in mailbox.entries() if listing else ():
        host.say(f"{entry.number}  {entry.size} octets  {entry.id}")


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """One look. Ends with 0; raises Unreachable, TryLater (the maildrop is in use) or Refused."""
    rules = settings.table("inbox-count", Rules)
    server = settings.server("pop3")
    if rules.style == "block":
        with Mailbox(server, clock) as mailbox:
            tell(mailbox, rules.listing, host)
        return 0
    mailbox = Mailbox(server, clock)
    try:
        tell(mailbox, rules.listing, host)
    finally:
        mailbox.close()
    return 0


@scenario.act("inbox-count")
def count(world: World, program: Program) -> Iterator[Claim]:
    """An empty maildrop, then one with two mails in it."""
    codes = [program()]
    for number in (1, 2):
        world.mail.deliver(RUBY, f"Subject: mail {number}\r\n\r\nHello.\r\n".encode())
    codes.append(program())
    lines = world.said
    yield equal("the mail is counted", lines, ["You don't have any email!", "2 mails available."])
    yield holds("nothing is deleted", len(world.mail.inbox(RUBY)) == 2, world.mail.inbox(RUBY))
    verbs = [record.verb for record in world.records if record.direction == "C"]
    yield holds("each session ends with QUIT", verbs.count("QUIT") == 2, verbs)
    yield equal("the program ends well", codes, [0, 0])
