"""Further acts of smtp-by-socket: refusals at every step, and a server that is hard to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, ends, equal, holds, sent, told
from scenarios.sending.smtp_by_socket import FRIEND, STUDENT, TEACHER, scenario

if TYPE_CHECKING:
    from fakes import World

QUIET = {"smtp-by-socket": {"show": False}}
# Where the server refuses, its reply, and the step that the program reports.
REFUSALS = [
    ("connect", "554 5.3.2 No SMTP here", "the greeting"),
    ("MAIL", "451 4.3.0 Try later", f"MAIL FROM:<{STUDENT}>"),
    ("RCPT nth 2", "550 5.1.1 No such mailbox", f"RCPT TO:<{FRIEND}>"),
    ("DATA", "452 4.3.1 Disk full", "DATA"),
    (".", "552 5.3.4 Too big", "."),
]


@scenario.act("smtp-refused-by-step", scenario=QUIET)
def refused(world: World, program: Program) -> Iterator[Claim]:
    """The server refuses another step at each attempt; at last it says 421, and closes."""
    wanted: list[str] = []
    errors: list[str] = []
    lasts: list[list[str]] = []
    for where, reply, step in [*REFUSALS, ("RCPT", "421 4.3.2 Closing", f"RCPT TO:<{TEACHER}>")]:
        world.faults.arm(f'smtp {where} reply "{reply}" times 1')
        code = program()
        kind = "Refused" if reply.startswith("5") else "TryLater"
        wanted.append(f"ends with exit code 4: {kind}: {step}: {reply}")
        errors.append(world.events[-1].text if code else "")
        lasts.append([record.verb for record in world.records if record.direction == "C"][-1:])
    yield equal("each refusal is reported with its step", errors, wanted, shows=told(world, "ends"))
    yield equal("the program says QUIT after each", lasts[:5], [["QUIT"]] * 5, sent(world, "QUIT"))
    yield equal("after 421 it says nothing", lasts[5:], [["RCPT"]])
    yield equal("nobody gets a mail", [mail.subject for mail in world.mail.messages], [])


@scenario.act("smtp-pipelined", scenario={"smtp-by-socket": {"show": False, "pipelining": True}})
def pipelined(world: World, program: Program) -> Iterator[Claim]:
    """MAIL and all RCPT go in one write; then one of the recipients is refused."""
    code = program()
    envelopes = [mail.envelope.to for mail in world.mail.messages]
    yield equal(
        "each reply is read as that to its command",
        (code, envelopes),
        (0, [[TEACHER, FRIEND]]),
        shows=world.mail.messages,
    )
    to = [TEACHER, "stranger@yourco.test", FRIEND]
    code = program(scenario={"smtp-by-socket": {"to": to}})
    error = world.events[-1].text
    named = code == 4 and "RCPT TO:<stranger@yourco.test>: 550" in error
    yield holds("the refused one is named", named, error, shows=told(world, "ends"))
    yield equal("then nobody gets the mail", len(world.mail.messages), len(envelopes))


@scenario.act("smtp-in-pieces", scenario=QUIET)
def in_pieces(world: World, program: Program) -> Iterator[Claim]:
    """Replies arrive in single bytes."""
    world.faults.arm("smtp EHLO split 1; smtp RCPT split 1; smtp . split 2")
    code = program()
    arrived = (code, len(world.mail.messages))
    yield equal("single bytes are put together", arrived, (0, 1), shows=world.mail.messages)


@scenario.act("smtp-old-server", off={"smtp": ["PIPELINING"]}, scenario=QUIET)
def old_server(world: World, program: Program) -> Iterator[Claim]:
    """A server does not know EHLO; the next connection is lost after the dot."""
    world.faults.arm('smtp EHLO reply "500 What?" times 1')
    code = program(scenario={"smtp-by-socket": {"pipelining": True}})
    yield equal("HELO is enough", (code, len(world.mail.messages)), (0, 1), sent(world, "HELO"))
    world.faults.arm("smtp . lost unstored times 1")
    code = program()
    error = world.events[-1].text
    wanted = "ends with exit code 5: Unknown: .: the server closed the connection"
    yield equal(
        "a connection that is lost after the dot is reported", error, wanted, shows=ends(world)[-1:]
    )
    world.faults.arm("smtp DATA hang up before times 1")
    code = program()
    yield equal("one that is lost before it is, too", code, 3, shows=ends(world)[-1:])
