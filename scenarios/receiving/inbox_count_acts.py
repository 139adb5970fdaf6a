"""Further acts of inbox-count: the object style, exceptions in a block, and APOP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms import settings
from comms.errors import CommsError
from comms.pop3 import Mailbox
from scenarios.play import Claim, Program, ends, equal, holds, sent
from scenarios.receiving.inbox_count import RUBY, scenario

if TYPE_CHECKING:
    from fakes import World


def subjects(world: World) -> list[str]:
    """The mails that are left in the mailbox."""
    return [mail.subject for mail in world.mail.inbox(RUBY)]


def sent_by_clients(world: World) -> str:
    """Everything that clients sent, as one text."""
    return b"".join(record.raw for record in world.records if record.direction == "C").decode()


@scenario.act("inbox-count-object")
def object_style(world: World, program: Program) -> Iterator[Claim]:
    """The program runs without a block; then exceptions are raised inside of one."""
    for number in (1, 2, 3):
        world.mail.deliver(RUBY, f"Subject: mail {number}\r\n\r\nHello.\r\n".encode())
    code = program(scenario={"inbox-count": {"style": "object"}})
    counted = (0, ["3 mails available."])
    yield equal(
        "the answer is the same in both styles", (code, world.said), counted, shows=world.said
    )
    verbs = [record.verb for record in world.records if record.direction == "C"]
    yield equal(
        "the session ends with QUIT in both styles", verbs[-1], "QUIT", shows=sent(world, "QUIT")
    )
    server = settings.load(world.settings).server("pop3")
    with (
        contextlib.suppress(ZeroDivisionError, CommsError),
        Mailbox(server, world.clock) as mailbox,
    ):
        mailbox.delete(mailbox.entries()[0])
        print(1 // 0)
    yield equal(
        "an exception in the block commits deletions",
        subjects(world),
        ["mail 2", "mail 3"],
        shows=sent(world, "DELE", "QUIT")[-2:],
    )
    # Half an answer leaves the session out of step, so QUIT must not be sent.
    world.faults.arm("RETR after 20")
    with contextlib.suppress(CommsError), Mailbox(server, world.clock) as mailbox:
        first, second, *_ = mailbox.entries()
        mailbox.delete(first)
        mailbox.fetch(second)
    yield equal(
        "a broken session takes deletions back",
        subjects(world),
        ["mail 2", "mail 3"],
        shows=sent(world, "DELE", "RETR")[-2:],
    )


@scenario.act("apop-login", off={"pop3": ["SASL"]})
def apop(world: World, program: Program) -> Iterator[Claim]:
    """The program logs in with APOP: right, with a wrong password, and where APOP is missing."""
    world.mail.deliver(RUBY, b"Subject: hello\r\n\r\nHello.\r\n")
    code = program(pop3={"auth": "apop"})
    yield equal(
        "the login works", (code, world.said), (0, ["1 mails available."]), shows=world.said
    )
    wire = sent_by_clients(world)
    yield holds(
        "the password is not on the wire", "inpractice" not in wire, wire, shows=sent(world, "APOP")
    )
    code = program(pop3={"auth": "apop", "password": "wrong"})
    yield equal("a wrong password exits with 4", code, 4, shows=ends(world)[-1:])
    world.faults.arm("APOP off")
    code = program(pop3={"auth": "apop"})
    yield equal("a server without APOP exits with 4", code, 4, shows=ends(world)[-1:])
    wire = sent_by_clients(world)
    yield holds("the program never falls back to PASS", "PASS" not in wire, wire)


@scenario.act("inbox-count-imap", servers=["pop3", "imap"])
def over_imap(world: World, program: Program) -> Iterator[Claim]:
    """The same mailbox over IMAP: one mail is read, then the server numbers all mails again."""
    imap = {"inbox-count": {"mailbox": "imap"}}
    for number in (1, 2, 3):
        world.mail.deliver(RUBY, f"Subject: mail {number}\r\n\r\nHello.\r\n".encode())
    folder = world.mail.folder(RUBY, "INBOX")
    codes = [program(scenario=imap)]
    first = folder.mails[0].uid
    folder.flag(first, "\\Seen")  # a mail program has shown it
    codes.append(program(scenario=imap))
    codes.append(program(scenario={"inbox-count": {"mailbox": "pop3"}}))
    lines = ["3 mails available.", "2 mails available.", "3 mails available."]
    yield equal("over IMAP, unread mail is counted", world.said, lines, shows=world.said)
    seen = [mail.uid for mail in folder if "\\Seen" in mail.flags]
    yield equal("no mail becomes read by that", seen, [first])
    folder.uidvalidity += 1
    codes.append(program(scenario=imap))
    yield equal(
        "new numbers of the mails change nothing",
        world.said[3:],
        ["2 mails available."],
        shows=world.said[3:],
    )
    yield equal("the exit code is 0", codes, [0, 0, 0, 0], shows=world.said)
    yield equal("no mail is deleted", subjects(world), ["mail 1", "mail 2", "mail 3"])
    code = program(imap={"folder": "Wörk"}, scenario=imap)
    yield equal("a folder that is missing exits with 4", code, 4, shows=ends(world)[-1:])
