"""Further acts of build-mail: branches, a long break, nobody to mail, bad lines, a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, equal, holds, told
from scenarios.sending.build_mail import scenario
from scenarios.sending.build_mail_samples import CAROL, DAVE, LOG, TEAM, append, finishes, summary

if TYPE_CHECKING:
    from fakes import World

DAY = 86400


@scenario.act("build-branches")
def branches(world: World, program: Program) -> Iterator[Claim]:
    """Two branches break and are mended, main twice; an old build of main ends late."""
    for at, number, status, author, branch in (
        (5, 1, "failed", CAROL, "main"),
        (15, 2, "failed", DAVE, "new-menu"),
        (25, 4, "passed", CAROL, "main"),
        (35, 3, "failed", DAVE, "main"),
        (45, 5, "passed", DAVE, "new-menu"),
        (55, 6, "failed", CAROL, "main"),
    ):
        world.clock.at(at, finishes(world, number, status, [author], branch))
    world.clock.until(300)
    code = program()
    mails = world.mail.messages
    carols = ["[main] Build 1 failed", "[main] Build 4 works again", "[main] Build 6 failed"]
    daves = ["[new-menu] Build 2 failed", "[new-menu] Build 5 works again"]
    yield equal(
        "each hears of their own branch", summary(world), {CAROL: carols, DAVE: daves}, shows=mails
    )
    threads: dict[str, set[str]] = {}
    for mail in mails:
        first = (mail.message["References"] or mail.message["Message-ID"]).split()[0]
        threads.setdefault(mail.subject.partition("]")[0], set()).add(first)
    yield equal(
        "each branch is one thread", [len(ids) for ids in threads.values()], [1, 1], shows=mails
    )
    yield equal("a build that a later one has overtaken says nothing", len(mails), 5)
    yield equal("the exit code is 1 while a branch is broken", code, 1)


@scenario.act("build-still-broken")
def still_broken(world: World, program: Program) -> Iterator[Claim]:
    """The build fails every hour, for more than two days."""
    for hour in range(50):
        author = DAVE if hour == 30 else CAROL
        world.clock.at(hour * 3600 + 5, finishes(world, 100 + hour, "failed", [author]))
    world.clock.until(50 * 3600)
    program(scenario={"build-mail": {"every": 3600}})
    mails = world.mail.messages
    subjects = [mail.subject for mail in mails]
    wanted = [
        "[main] Build 100 failed",
        "[main] Still broken: 25 builds failed",
        "[main] Still broken: 49 builds failed",
    ]
    yield equal("a branch that stays broken is mailed once a day", subjects, wanted, shows=mails)
    to = [sorted(mail.envelope.to) for mail in mails]
    yield equal("to all who committed since", to, [[CAROL], [CAROL], [CAROL, DAVE]], shows=mails)


@scenario.act("build-to-the-team")
def team(world: World, program: Program) -> Iterator[Claim]:
    """Nobody who committed can be mailed, and the log is huge; another log is missing."""
    hidden = ["Carol <1234+carol@users.noreply.example>", "dave", "a@b\nBcc: everybody@x.test", ""]
    long = "\n".join(f"line {number} of a long log" for number in range(50_000))
    world.clock.at(5, finishes(world, 1, "failed", hidden, log=long))
    lost = {"branch": "lost", "number": 2, "status": "failed", "log": "../../etc/passwd"}
    world.clock.at(25, partial(append, world, json.dumps(lost) + "\n"))
    world.clock.until(300)
    program()
    mails = world.mail.messages
    to = [mail.envelope.to for mail in mails]
    yield equal("the team is mailed instead", to, [[TEAM], [TEAM]], shows=mails)
    log = b"".join(file.content for mail in mails for file in mail.attachments)
    ends = log.endswith(b"line 49999 of a long log") and 99_000 < len(log) <= 100_000
    yield holds("the end of the log is attached", ends, len(log), shows=mails[:1])
    begins = log.startswith(b"line ")
    yield holds("it begins with a whole line", begins, log[:40], shows=mails[:1])
    text = "".join(mail.text for mail in mails)
    unread = "cannot be read" in text
    yield holds("a log that cannot be read is no obstacle", unread, text, shows=mails)
    fields = {name.casefold() for mail in mails for name in mail.message}
    yield holds("no field of a commit adds a header", "bcc" not in fields, fields)


@scenario.act("build-bad-lines")
def bad_lines(world: World, program: Program) -> Iterator[Claim]:
    """Lines that are not builds; a build is written in two halves; a branch has a strange name."""
    strange = {"branch": "x\r\nBcc: everybody@x.test\r\n\r\nevil", "number": 1, "status": "failed"}
    half = json.dumps({"branch": "main", "number": 2, "status": "failed"}) + "\n"
    for at, text in (
        (5, 'not JSON\n[]\n\n{"branch": "main"}\n{"branch": "", "number": 1}\n'),
        (15, json.dumps(strange) + "\n"),
        (25, half[:20]),
        (45, half[20:]),
    ):
        world.clock.at(at, partial(append, world, text))
    world.clock.until(300)
    program()
    skipped = told(world, "line-skipped")
    yield equal("each line that is not a build is logged once", len(skipped), 5, shows=skipped)
    mails = world.mail.messages
    subjects = sorted((mail.subject for mail in mails), reverse=True)
    name = "x  Bcc: everybody@x.test    evil"
    wanted = [f"[{name}] Build 1 failed", "[main] Build 2 failed"]
    yield equal("the builds after them are mailed, each once", subjects, wanted, shows=mails)
    to = [mail.envelope.to for mail in mails]
    yield equal("nobody else is", to, [[TEAM], [TEAM]], shows=mails)


@scenario.act("build-restart")
def restart(world: World, program: Program) -> Iterator[Claim]:
    """The CI server starts the program after each build; the mail server is down at first."""
    world.close_port("smtp")
    finishes(world, 1, "failed", [CAROL])()
    first = program(once=True)
    again = program(once=True)
    world.open_port("smtp")
    world.clock.advance(60)
    finishes(world, 2, "passed", [DAVE])()
    last = program(once=True)
    world.clock.advance(60)
    program(once=True)
    yield equal("the exit code says whether a branch is broken", [first, again, last], [1, 1, 0])
    broken, fixed = "[main] Build 1 failed", "[main] Build 2 works again"
    wanted = {CAROL: [broken, fixed], DAVE: [fixed]}
    yield equal("each mail is sent once", summary(world), wanted, shows=world.mail.messages)
    text = "".join(mail.text for mail in world.mail.messages)
    yield holds(
        "the log is shown without its colours", "\x1b" not in text and LOG[-1] in text, text
    )
