"""Further acts of services-by-mail: what is done already, what hangs, lists, hostile mail."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, equal
from scenarios.receiving.services_by_mail import scenario
from scenarios.receiving.services_by_mail_samples import (
    ACTIVE,
    ANN,
    BACKUP,
    BOB,
    JEREMY,
    MICHAEL,
    SENDER,
    STOP,
    mails,
)

if TYPE_CHECKING:
    from fakes import World
    from fakes.mail import Mail


def answers(world: World, who: str) -> list[str]:
    """The texts that a person got from the program."""
    return [mail.text.replace("\r\n", "\n") for mail in world.mail.inbox(who)]


def phrase(world: World, who: str) -> str:
    """The phrase that the program has last asked for."""
    asked = [text for text in answers(world, who) if "send within 900 s: " in text]
    return asked[-1].partition("send within 900 s: ")[2].split("\n")[0] if asked else "yes"


@scenario.act("services-state")
def state(world: World, program: Program) -> Iterator[Claim]:
    """A service runs already, and the name of one is mistyped."""
    world.host.commands[ACTIVE].code = 0
    world.clock.at(10, lambda: mails(world, JEREMY, "Start web"))
    world.clock.at(70, lambda: mails(world, JEREMY, "restart wbe"))
    world.clock.until(130)
    program()
    texts, inbox = answers(world, JEREMY), world.mail.inbox(JEREMY)
    already = ["nginx is already running; nothing was done" in text for text in texts[:1]]
    yield equal("what is done already is said", already, [True], shows=inbox[:1])
    meant = ["did you mean 'restart web'?" in text for text in texts[1:]]
    yield equal("an unknown service gets a suggestion", meant, [True], shows=inbox[1:])
    yield equal("only the state is asked for", world.host.ran, [ACTIVE])


@scenario.act("services-stop")
def stop(world: World, program: Program) -> Iterator[Claim]:
    """A stop must be confirmed, which Michael cannot do for Jeremy, and then hangs."""
    world.host.commands[ACTIVE].code = 0
    world.host.commands[STOP].takes = 1000
    world.clock.at(10, lambda: mails(world, JEREMY, "stop web"))
    world.clock.at(70, lambda: mails(world, MICHAEL, phrase(world, JEREMY)))
    world.clock.at(130, lambda: mails(world, JEREMY, phrase(world, JEREMY)))
    world.clock.until(340)
    program()
    texts, inbox = answers(world, JEREMY), world.mail.inbox(JEREMY)
    ran = [command for command in world.host.ran if command != ACTIVE]
    yield equal("a stop runs once it is confirmed by its sender", ran, [STOP], shows=ran)
    hung = ["still running after 60 s, and ended" in text for text in texts[1:]]
    yield equal("a stop that hangs is ended, and said", hung, [True], shows=inbox[1:])


@scenario.act("services-job", scenario={"services-by-mail": {"job_timeout": 30}})
def job(world: World, program: Program) -> Iterator[Claim]:
    """A backup runs, is ordered again in doubt, fails, and hangs, which is a doubt, too."""
    backup = world.host.commands[BACKUP]
    backup.output = "".join(f"file {number}\n" for number in range(100))

    def changes(code: int, takes: float) -> None:
        backup.code, backup.takes = code, takes

    world.clock.at(10, lambda: mails(world, JEREMY, "run backup"))
    world.clock.at(60, lambda: mails(world, JEREMY, "run backup"))
    world.clock.at(200, lambda: changes(1, 5))
    world.clock.at(210, lambda: mails(world, JEREMY, "run backup"))
    world.clock.at(260, lambda: changes(0, 1000))
    world.clock.at(270, lambda: mails(world, JEREMY, "run backup"))
    world.clock.at(310, lambda: mails(world, JEREMY, "run backup"))
    world.clock.until(400)
    program()
    ran = world.host.ran
    yield equal("an order in doubt is asked about", ran, [BACKUP] * 3, shows=ran)

    def said(words: str) -> list[Mail]:
        return [mail for mail in world.mail.inbox(JEREMY) if words in mail.text]

    done, asked = said("done in"), said("(it is done); to run backup again, send")
    output = [mail.text.count("| file ") for mail in done]
    yield equal("the end of the output is returned", output, [20], shows=done)
    yield equal("the question says why", len(asked), 1, shows=asked)
    ended = said("failed with exit status 1") + said("ended: whether it was done is not known")
    yield equal("a failure and a hang are said", len(ended), 2, shows=ended)
    unknown = said("(it is unknown); to run backup again, send")
    yield equal("after a hang it is asked about, too", len(unknown), 1, shows=unknown)


@scenario.act("services-list")
def lists(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy writes to the list; Michael, the moderator, approves it, and does so twice."""
    text = "The web is down on Sunday\nFrom ten to twelve.\n\nJeremy"
    more = "Bcc: victim@evil.example\r\nCc: victim@evil.example\r\nReply-To: eve@evil.example\r\n"
    world.clock.at(10, lambda: mails(world, JEREMY, "mail staff", text, more))
    world.clock.at(20, lambda: mails(world, JEREMY, "mail all@evil.example"))

    def approve(who: str) -> None:
        questions = [text for text in answers(world, MICHAEL) if "approve " in text]
        word = questions[0].partition("approve ")[2].split()[0] if questions else "none"
        mails(world, who, f"approve {word}")

    world.clock.at(60, partial(approve, JEREMY))
    world.clock.at(90, lambda: mails(world, MICHAEL, "approve guess0000000"))
    world.clock.at(120, partial(approve, MICHAEL))
    world.clock.at(300, partial(approve, MICHAEL))
    world.clock.until(360)
    program()
    sent = [mail for mail in world.mail.messages if mail.subject == "The web is down on Sunday"]
    to = [mail.envelope.to for mail in sent]
    yield equal("each of the list gets the mail once", to, [[ANN], [BOB]], shows=sent)
    bodies = {mail.text.replace("\r\n", "\n").strip() for mail in sent}
    yield equal("as it was written", bodies, {"From ten to twelve.\n\nJeremy"}, shows=sent)
    leaked = [mail.raw for mail in sent if b"evil" in mail.raw or b"jeremy@" in mail.raw]
    yield equal("nothing of the request's header is in it", leaked, [])
    relayed = [mail.envelope.to for mail in world.mail.relayed]
    yield equal("no other address gets anything", relayed, [])
    refused = [mail for mail in world.mail.inbox(JEREMY) if "may not approve" in mail.text]
    yield equal("only the moderator may approve, which is said", len(refused), 1, shows=refused)
    words = [text for text in answers(world, MICHAEL) if "no mail with this word waits" in text]
    yield equal("a wrong word and a used one send nothing", len(words), 2)


# What looks like a command, or has more in it; nothing of it may run. The tests have more of it.
HOSTILE = (
    "restart web; reboot",
    "restart web | sh",
    "restart $(reboot)",
    "restart web\x00reboot",
    "restart -H evil.example web",
    "restart wеb",  # with a Cyrillic letter
    "run backup --delete",
    "mail staff, eve@evil.example",
)


@scenario.act("services-hostile")
def hostile(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy's account is in other hands, which try what the commands have in them."""
    for number, text in enumerate(HOSTILE[:2]):
        world.clock.at(number + 1, partial(mails, world, JEREMY, text))
    for at in range(2, len(HOSTILE), 3):  # a mail ends after three lines that are no commands
        lines = "\n".join(HOSTILE[at : at + 3])
        world.clock.at(at + 1, partial(mails, world, JEREMY, text=lines))
    world.clock.until(60)
    program()
    yield equal("nothing runs", world.host.ran, [])
    texts, inbox = answers(world, JEREMY), world.mail.inbox(JEREMY)
    told_so = sum(text.count("unknown command") for text in texts)
    yield equal("each is answered as unknown", told_so, len(HOSTILE), shows=inbox)


@scenario.act("services-imap", servers=["smtp", "imap"])
def over_imap(world: World, program: Program) -> Iterator[Claim]:
    """The same over IMAP."""
    world.clock.at(10, lambda: mails(world, JEREMY, text="run backup\nstatus web\nthanks\nx"))
    world.clock.until(60)
    program()
    ran = world.host.ran
    wanted = [BACKUP, ("systemctl", "status", "nginx")]
    yield equal("each command of the mail runs", ran, wanted, shows=ran)
    yield equal("one mail answers", len(answers(world, JEREMY)), 1, shows=world.mail.inbox(JEREMY))
    yield equal("the mailbox is empty", world.mail.inbox(SENDER), [])
