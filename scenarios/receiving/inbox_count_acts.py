"""The further acts of inbox-count: the object style, APOP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms import settings
from comms.errors import CommsError
from comms.pop3 import Mailbox
from scenarios.play import Claim, Program, equal, holds
from scenarios.receiving.inbox_count import RUBY, scenario

if TYPE_CHECKING:
    from fakes import World


def said_to(world: World) -> str:
    """Everything that clients sent, as one text."""
    return b"".join(record.raw for record in world.records if record.direction == "C").decode()


@scenario.act("inbox-count-object")
def object_style(world: World, program: Program) -> Iterator[Claim]:
    """The same answer without a block; and what an exception inside a block does to what was marked."""
    for number in (1, 2, 3):
        world.mail.deliver(RUBY, f"Subject: mail {number}\r\n\r\nHello.\r\n".encode())
    code = program(scenario={"inbox-count": {"style": "object"}})
    yield equal("the same answer in both styles", (code, world.said), (0, ["3 mails available."]))
    verbs = [record.verb for record in world.records if record.direction == "C"]
    yield holds("QUIT is said in both styles", verbs[-1] == "QUIT", verbs)
    server = settings.load(world.settings).server("pop3")
    with (
        contextlib.suppress(ZeroDivisionError, CommsError),
        Mailbox(server, world.clock) as mailbox,
    ):
        mailbox.delete(mailbox.entries()[0])
        print(1 // 0)
    left = [mail.subject for mail in world.mail.inbox(RUBY)]
    yield equal("an exception in the block commits what was marked", left, ["mail 2", "mail 3"])
    world.faults.arm("RETR after 20")
    with contextlib.suppress(CommsError), Mailbox(server, world.clock) as mailbox:
        first, second, *_ = mailbox.entries()
        mailbox.delete(first)
        mailbox.fetch(second)
    left = [mail.subject for mail in world.mail.inbox(RUBY)]
    yield equal("a session out of step takes the marks back", left, ["mail 2", "mail 3"])


@scenario.act("apop-login", off={"pop3": ["SASL"]})
def apop(world: World, program: Program) -> Iterator[Claim]:
    """With APOP the password stays at home, also when APOP cannot be had."""
    world.mail.deliver(RUBY, b"Subject: hello\r\n\r\nHello.\r\n")
    code = program(pop3={"auth": "apop"})
    yield equal("the login works", (code, world.said), (0, ["1 mails available."]))
    yield holds(
        "the password is not on the wire", "inpractice" not in said_to(world), said_to(world)
    )
    code = program(pop3={"auth": "apop", "password": "wrong"})
    yield equal("a wrong password is a refusal: 4", code, 4)
    world.faults.arm("APOP off")
    code = program(pop3={"auth": "apop"})
    yield equal("a server without a timestamp is a refusal: 4", code, 4)
    yield holds("nothing falls back to PASS", "PASS" not in said_to(world), said_to(world))
