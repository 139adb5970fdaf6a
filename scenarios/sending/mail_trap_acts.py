"""Further acts of mail-trap: over IMAP, with a careless app, without a trap, on a full disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from comms.link import Link
from scenarios.play import Claim, Program, equal, sent
from scenarios.sending.mail_trap import CUSTOMERS, TRAP, lines_of, scenario, trap

if TYPE_CHECKING:
    from fakes import World


SENT = b"Subject: one\r\n\r\n* Message ends\r\n..\r\n.\r\n"
# What an application says that nobody has tested, and the code of the answer.
CARELESS = [
    (b"HELO app.yourco.test\r\n", "250"),
    (b"SEND A MAIL\r\n", "500"),
    (b"DATA\r\n", "503"),
    (b"MAIL FROM: shop\r\n", "501"),
    (b"MAIL FROM:<shop@yourco.test>\r\n", "250"),
    (b"DATA\r\n", "503"),
    (b"RCPT TO:ann@gmail.test\r\n", "501"),
    (b"RCPT TO:<ann@gmail.test>\r\n", "250"),
    (b"DATA\r\n", "354"),
    (SENT, "250"),
    (b"QUIT\r\n", "221"),
]


@scenario.act("mail-trap-imap", servers=["smtp", "imap"])
def over_imap(world: World, program: Program) -> Iterator[Claim]:
    """The same over IMAP, where the testers read what is in the trap, too."""
    yield from trap(world, program)
    seen = [mail.mail.subject for mail in world.mail.folder(TRAP) if "\\Seen" in mail.flags]
    yield equal("to the testers every mail is unread", seen, [], shows=sent(world, "UID_FETCH"))


@scenario.act("mail-trap-careless-app")
def careless(world: World, program: Program) -> Iterator[Claim]:
    """An application makes mistakes, and sends a mail with a marker of the text file in it."""
    world.mail.append_to(world.folder / "trap.txt")
    link = Link.connect(*world.address("smtp"), world.clock)
    reader = link.makefile()
    codes = [reader.readline()[:3].decode()]
    for command, _ in CARELESS:
        link.sendall(command)
        codes.append(reader.readline()[:3].decode())
    link.close()
    wanted = ["220", *(code for _, code in CARELESS)]
    yield equal("each mistake gets the right code", codes, wanted, shows=sent(world, "DATA"))
    inner = lines_of(world)[1:-2]
    yield equal(
        "a marker in a mail is no marker",
        inner,
        ["Subject: one", "", ">* Message ends", "."],
        shows=sent(world, "."),
    )
    code = program()
    starts = [line.split(" from ")[0][:16] for line in lines_of(world) if line.startswith("*")]
    pairs = ["* Message begins", "* Message ends"] * 4
    yield equal("four mails are four messages", (code, starts), (0, pairs), sent(world, "."))


@scenario.act("mail-trap-is-none", mail={"trap": False})
def no_trap(world: World, program: Program) -> Iterator[Claim]:
    """By mistake, the settings name the real server, which passes mail on."""
    code = program()
    to = [address for mail in world.mail.messages for address in mail.envelope.to]
    yield equal("no customer gets a mail", set(to) & set(CUSTOMERS), set(), sent(world, "."))
    warning = ["this is not a trap; nothing was sent to the customers"]
    yield equal("the program says so", (code, world.said), (1, warning), shows=world.said)


@scenario.act("mail-trap-disk-full")
def disk_full(world: World, program: Program) -> Iterator[Claim]:
    """The disk is full, so that the trap cannot write."""
    world.mail.append_to(Path("/dev/full"))
    code = program()
    error = world.events[-1].text
    wanted = "ends with exit code 4: TryLater: mail.yourco.test:smtp refused the message: "
    wanted += "452 4.3.1 Insufficient system storage"
    yield equal("the mail is refused for now", (code, error), (4, wanted), world.events[-1])
    yield equal("nothing counts as accepted", [mail.subject for mail in world.mail.messages], [])
