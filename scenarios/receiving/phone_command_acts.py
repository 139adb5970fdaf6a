"""Further acts of phone-command: parts, long answers, questions, strangers, IMAP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms import sms
from scenarios.play import Claim, Program, equal, holds, told
from scenarios.receiving.phone_command import scenario
from scenarios.receiving.phone_command_samples import ANN, BOB, INBOX, RESTART, STATUS, text, texts

if TYPE_CHECKING:
    from fakes import World


def arrives(world: World, at: float, raw: bytes) -> None:
    """Lets a text message arrive in the secret inbox."""
    world.clock.at(at, lambda: world.mail.deliver(INBOX, raw))


# What came in parts or was cut on its way; none of them may run.
PARTIAL = ("1/2 restart", "(2/2) web", "Part 1 of 2: restart web", "restart w...", "restart web…")


@scenario.act("phone-command-parts")
def parts(world: World, program: Program) -> Iterator[Claim]:
    """Messages come in parts, or cut; one is mistyped."""
    for number, body in enumerate(PARTIAL):
        arrives(world, 60 * number + 10, text(body))
    arrives(world, 400, text("restart wbe"))
    world.clock.until(460)
    program()
    yield equal("nothing runs", world.host.ran, [])
    answers = texts(world, ANN)
    again = "web1: not run: your message came in parts, or cut. Send a shorter one again."
    mails = world.mail.inbox(ANN)
    yield equal("the phone is asked to send it again", answers[:5], [again] * 5, shows=mails[:5])
    meant = ["did you mean 'restart web'?" in answer for answer in answers[5:]]
    yield equal("a mistyped one gets a suggestion", meant, [True], shows=mails[5:])


@scenario.act("phone-command-long")
def long(world: World, program: Program) -> Iterator[Claim]:
    """The state is long, and has quotation marks that phones do not know; a restart fails."""
    world.host.commands[RESTART].code = 1
    world.host.commands[RESTART].output = "Job failed. " * 50
    arrives(world, 10, text("s"))
    arrives(world, 70, text("r"))
    world.clock.until(120)
    program()
    answers, mails = texts(world, ANN), world.mail.inbox(ANN)
    ran = world.host.ran
    yield equal("both run", ran, [STATUS, RESTART], shows=ran)
    sizes = [sms.size(answer) for answer in answers]
    fits = len(sizes) == 2 and max(sizes) <= sms.LONGEST
    yield holds("answers fit into one text message", fits, sizes, shows=mails)
    starts = [answer[:40] for answer in answers]
    wanted = [
        'web1: status web: done. nginx "active" s',
        "web1: restart web: FAILED, exit status 1.",
    ]
    yield equal(
        "they begin with what happened", starts, [start[:40] for start in wanted], shows=mails
    )


@scenario.act("phone-command-twice")
def twice(world: World, program: Program) -> Iterator[Claim]:
    """Ann sends a command again, because the answer is late; then Bob sends it."""
    arrives(world, 10, text("r"))
    arrives(world, 40, text("restart web", "Message-ID: <2@acme.test>\r\n"))

    def questions() -> list[str]:
        words = "send within 900 s: restart web"
        return [answer for answer in texts(world, ANN) if words in answer]

    def means_it() -> None:
        for question in questions()[-1:]:
            world.mail.deliver(INBOX, text(question.rpartition(": ")[2]))

    world.clock.at(100, means_it)
    arrives(world, 110, text("r", sender=BOB))
    world.clock.until(200)
    program()
    ran = world.host.ran
    yield equal("it runs again only if it is meant", ran, [RESTART] * 3, shows=ran)
    question = questions()
    whole = len(question) == 1 and sms.size(question[0]) <= sms.LONGEST
    yield holds("the question fits into one text message", whole, question, world.mail.inbox(ANN))


@scenario.act("phone-command-strangers")
def strangers(world: World, program: Program) -> Iterator[Claim]:
    """Other phones send commands, and a gateway reports what it could not deliver."""
    arrives(world, 10, text("r", sender="5550109999@sms.acme.test"))
    arrives(world, 11, text("r", sender="5550100123@sms.other.test"))
    arrives(world, 12, text("r", "Auto-Submitted: auto-replied\r\n"))
    arrives(world, 13, text("r", f"From: {BOB}\r\n"))
    world.clock.until(60)
    program()
    yield equal("nothing runs", world.host.ran, [])
    refused = told(world, "refused")
    yield holds("each is logged", len(refused) >= 4, refused, shows=refused)
    yield equal("none is answered", [texts(world, phone) for phone in (ANN, BOB)], [[], []])


@scenario.act("phone-command-imap", servers=["smtp", "imap"])
def over_imap(world: World, program: Program) -> Iterator[Claim]:
    """The same over IMAP."""
    arrives(world, 10, text("Restart web"))
    world.clock.until(60)
    program()
    ran = world.host.ran
    yield equal("the command runs", ran, [RESTART], shows=ran)
    yield equal(
        "it is answered", texts(world, ANN), ["web1: restart web: done."], world.mail.inbox(ANN)
    )
