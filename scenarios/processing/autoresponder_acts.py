"""Further acts of autoresponder: who gets no answer, a person who is away, loops, a lost text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, equal, holds, told
from scenarios.processing.autoresponder import scenario
from scenarios.processing.autoresponder_samples import (
    ANN,
    INFO,
    JEREMY,
    ROBOT,
    SALES,
    answers,
    writes,
)

if TYPE_CHECKING:
    from fakes import World

# What gets no answer: sender, envelope sender, further header lines.
SILENT: dict[str, tuple[str, str | None, str]] = {
    "a bounce": ("MAILER-DAEMON@mx.customer.test", "", ""),
    "a person with a null sender": (ANN, "", ""),
    "an automatic answer": (ANN, None, "Auto-Submitted: auto-replied\r\n"),
    "an automatic mail": (ANN, None, "Auto-Submitted: auto-generated\r\n"),
    "list mail": (ANN, None, "List-Id: <news.customer.test>\r\n"),
    "bulk mail": (ANN, None, "Precedence: bulk\r\n"),
    "a vacation program": (ANN, None, "X-Autoreply: yes\r\n"),
    "who wants no answer": (ANN, None, "X-Auto-Response-Suppress: OOF, AutoReply\r\n"),
    "an address of a program": ("no-reply@customer.test", None, ""),
    "the owner of a list": ("owner-news@customer.test", None, ""),
    "our own address": (SALES, None, ""),
    "an answer to our own address": (ANN, None, f"Reply-To: {INFO}\r\n"),
    "two senders": (ANN, None, f"From: {INFO}\r\n"),
    "no sender": ("", None, ""),
    "a sender that is none": ("ann", None, ""),
}


@scenario.act("autoresponder-silent")
def silent(world: World, program: Program) -> Iterator[Claim]:
    """Programs, lists and nonsense write; then Ann does, to an address that does not answer."""
    for number, (sender, envelope, more) in enumerate(SILENT.values()):
        world.clock.at(
            number + 1, partial(writes, world, INFO, sender, "Hello", more, envelope=envelope)
        )
    world.clock.at(30, lambda: writes(world, ROBOT, ANN, "Hello"))
    world.clock.until(60)
    program()
    sent = [mail for mail in world.mail.messages if mail.subject.startswith("Auto:")]
    yield equal("none is answered", [mail.envelope.to for mail in sent], [])
    logged = told(world, "silent")
    number = len(SILENT) + 1
    yield holds("each is logged, with the reason", len(logged) >= number, logged, shows=logged)
    yield equal("the mailbox is empty", world.mail.inbox(ROBOT), [])


@scenario.act("autoresponder-away")
def away(world: World, program: Program) -> Iterator[Claim]:
    """Ann writes to Jeremy, who is away, three times in nine days; once as a hidden recipient."""
    day = 86400
    world.clock.at(10, lambda: writes(world, JEREMY, ANN, "Lunch?", "Reply-To: x@evil.example\r\n"))
    world.clock.at(day, lambda: writes(world, JEREMY, ANN, "Dinner?"))

    def hidden() -> None:
        mail = f"From: bob@customer.test\r\nTo: {ANN}\r\nSubject: Party\r\n\r\nHello.\r\n"
        world.mail.deliver(JEREMY, mail.encode(), sender="bob@customer.test")

    world.clock.at(2 * day, hidden)
    world.clock.at(9 * day, lambda: writes(world, JEREMY, ANN, "Breakfast?"))
    world.clock.until(9 * day + 100)
    program(scenario={"autoresponder": {"poll": 3600}})
    found = [(mail.envelope.to, mail.subject, mail.text.strip()) for mail in answers(world, ANN)]
    text = "I am away until Monday."
    wanted = [([ANN], f"Auto: {subject}?", text) for subject in ("Lunch", "Breakfast")]
    yield equal(
        "a sender is answered once a week, at the envelope's address",
        found,
        wanted,
        shows=answers(world, ANN),
    )
    reasons = [event for event in told(world, "silent") if "does not name" in event.text]
    yield holds("what does not name him is not answered", reasons, reasons, shows=reasons)


@scenario.act("autoresponder-loop")
def loop(world: World, program: Program) -> Iterator[Claim]:
    """A robot that marks nothing answers each answer with a new mail, from its own address."""
    seen = [0]

    def robot() -> None:
        mails = answers(world, ANN)
        if len(mails) > seen[0]:
            seen[0] = len(mails)
            writes(world, INFO, ANN, f"Your mail number {seen[0]}")

    world.clock.at(10, lambda: writes(world, INFO, ANN, "Hello"))
    for at in range(60, 1200, 30):
        world.clock.at(at, robot)
    world.clock.until(1300)
    program()
    mails = answers(world, ANN)
    yield equal("it ends after five answers", len(mails), 5, shows=mails)
    enough = [event for event in told(world, "silent") if "enough answers" in event.text]
    yield holds("and is logged", enough, enough, shows=enough)


HELP = "help@yourco.test"
OTHER, SERVICE = "robot@customer.test", "service@customer.test"


@scenario.act(
    "autoresponder-two",
    person=[{"address": ROBOT, "aliases": [HELP]}, {"address": OTHER, "aliases": [SERVICE]}],
)
def two(world: World, program: Program) -> Iterator[Claim]:
    """Two of these programs are wired together: each writes to the address of the other."""
    text = world.folder / "text.txt"
    text.write_text("Thank you.\n", "utf-8", newline="\n")
    ours = {"answers": {HELP: str(text)}}
    theirs = {"answers": {SERVICE: str(text)}, "state": "other.sqlite3"}
    writes(world, HELP, SERVICE, "Hello")
    writes(world, SERVICE, HELP, "Hello")
    # The account of the other program, at whichever server the act has for mailboxes.
    account = {"user": OTHER}
    for _ in range(5):
        world.clock.advance(60)  # a round of cron
        program(once=True, scenario={"autoresponder": ours})
        if "imap" in world.settings:
            program(once=True, imap=account, scenario={"autoresponder": theirs})
        else:
            program(once=True, pop3=account, scenario={"autoresponder": theirs})
    sent = [mail for mail in world.mail.messages if mail.subject.startswith("Auto:")]
    to = sorted(mail.envelope.to for mail in sent)
    yield equal("each answers the first mail only", to, [[HELP], [SERVICE]], shows=sent)
    left = [world.mail.inbox(robot) for robot in (ROBOT, OTHER)]
    yield equal("both mailboxes are empty", left, [[], []])


@scenario.act("autoresponder-no-text")
def no_text(world: World, program: Program) -> Iterator[Claim]:
    """The file with a text is away for an hour, and has another text then."""
    text = world.folder / "info.txt"
    text.write_text("Closed.\n", "utf-8", newline="\n")
    world.clock.at(5, text.unlink)
    world.clock.at(10, lambda: writes(world, INFO, ANN, "Opening hours?"))
    world.clock.at(20, lambda: writes(world, SALES, ANN, "Prices?"))
    world.clock.at(3600, lambda: text.write_text("Open again.\n", "utf-8", newline="\n"))
    world.clock.until(3700)
    program(scenario={"autoresponder": {"answers": {INFO: str(text)}, "poll": 600}})
    mails = answers(world, ANN)
    found = [mail.text.strip() for mail in mails]
    wanted = ["Our price list is on the web.", "Open again."]
    yield equal("the mail waits for the text, the others do not", found, wanted, shows=mails)
    logged = told(world, "no-text")
    yield holds("the error is logged", logged, logged, shows=logged)


@scenario.act("autoresponder-imap", servers=["smtp", "imap"])
def over_imap(world: World, program: Program) -> Iterator[Claim]:
    """Over IMAP, a mail to two addresses comes twice; each of them answers."""
    mail = f"From: {ANN}\r\nTo: {INFO}, {SALES}\r\nSubject: Hello\r\nMessage-ID: <1@x.test>\r\n\r\n"
    for to in (INFO, SALES):
        world.mail.deliver(to, mail.encode())
    world.clock.until(60)
    program()
    mails = answers(world, ANN)
    senders = sorted(str(mail.message["From"]) for mail in mails)
    yield equal("each address answers", senders, [INFO, SALES], shows=mails)
    yield equal("the mailbox is empty", world.mail.inbox(ROBOT), [])
