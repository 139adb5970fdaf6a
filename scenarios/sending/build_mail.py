"""Tell those who committed when their build breaks, and when it works again.

Section 6.1 · SMTP · try: make scenario NAME=build-mail

The CI server appends a line of JSON to a file whenever a build has finished. The first build of a
branch that fails is mailed to its committers, with the end of the log; the first one that passes
again, to all who were mailed before. A branch that stays broken is mailed once a day. All mails
about a branch are one thread. The place in the file, the branches and the waiting mails are stored
together.

[scenario.build-mail]
builds = "builds.jsonl"              # lines {"branch": …, "number": …, "status": …, "commits": …}
team = ["team@yourco.test"]          # required: who is mailed if no committer can be
sender = "Builds <builds@yourco.test>"
every = 10                           # seconds between two looks into the file
remind = 86400                       # seconds between two mails about a branch that stays broken
tail = 20                            # lines of the log in the text
largest = 100000                     # bytes of the log that are attached: the last ones
state = "build-mail.sqlite3"

Fault: smtp connect refuse times 2 -> all hold
Fault: smtp . lost unstored nth 1 -> all hold
Fault: clock-jump -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.outbox import Outbox
from comms.setting_types import (
    Count,
    CountOrZero,
    FilePath,
    MailAddress,
    NamedAddress,
    NonEmpty,
    Seconds,
    StateFile,
)
from comms.settings import Settings
from comms.state import State
from scenarios.builds import Branch, Build, Memory, after, finished
from scenarios.growing import Place
from scenarios.play import Claim, Program, Scenario, equal
from scenarios.sending.build_mail_desk import describe
from scenarios.sending.build_mail_samples import BOT, CAROL, DAVE, LOG, TEAM, finishes, summary

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp"],
    "program": BOT,
    "person": [{"address": address} for address in (BOT, CAROL, DAVE, TEAM)],
    "host": {"name": "ci.yourco.test"},
    "scenario": {"build-mail": {"team": [TEAM]}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings."""

    team: NonEmpty[tuple[MailAddress, ...]]
    builds: FilePath = Path("builds.jsonl")
    sender: NamedAddress = "Builds <builds@yourco.test>"
    every: Seconds = 10
    remind: Seconds = 86400
    tail: CountOrZero = 20
    largest: Count = 100_000
    state: StateFile = Path("build-mail.sqlite3")


SUBJECTS = {
    "broken": "[{name}] Build {number} failed",
    "fixed": "[{name}] Build {number} works again",
    "still": "[{name}] Still broken: {count} builds failed",
}


def written(news: str, name: str, branch: Branch, rules: Rules, build: Build | None) -> Message:
    """Returns the mail about a branch, in the thread of the branch; without a Date."""
    subject = SUBJECTS[news].format(name=name, number=branch.number, count=len(branch.failed))
    mail = Message(rules.sender, list(branch.people or rules.team), subject)
    if build is None:
        last = ", ".join(str(number) for number in branch.failed[-20:])
        mail.text = f"{name} has been broken since build {branch.failed[0]}. Failed: {last}\n"
    else:
        describe(mail, build, rules.builds.parent, rules.largest, rules.tail)
    # RFC 3834 §5: the mark keeps vacation programs from answering.
    mail.add_header("Auto-Submitted", "auto-generated")
    if branch.thread:
        mail.add_header("In-Reply-To", branch.thread[-1])
        mail.add_header("References", " ".join(dict.fromkeys(branch.thread)))
    return mail


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Reports builds until stopped. Returns 1 if a branch is broken at the end, else 0."""
    rules = settings.table("build-mail", Rules)
    server = settings.server("smtp")
    with State(rules.state) as state:
        state.lock()
        memory, outbox = Memory(state), Outbox(state)
        place = Place(state, rules.builds)

        def tell(
            db: Connection, news: str, name: str, branch: Branch, build: Build | None
        ) -> Branch:
            mail = written(news, name, branch, rules, build).stamped(clock, host)
            outbox.put(mail, clock.time(), at_least_once=True, db=db)
            thread = (*branch.thread[:1], mail.message_id)
            return replace(branch, thread=thread, mailed=clock.time())

        for _ in clock.every(rules.every):
            for build, end in finished(place, host):
                with state.transaction() as db:
                    place.move(db, end)
                    if build is not None:
                        branch, news = after(memory.branch(build.branch), build)
                        if news:
                            branch = tell(db, news, build.branch, branch, build)
                        memory.keep(db, build.branch, branch)
            for name, branch in memory.broken():
                if clock.time() - branch.mailed >= rules.remind:
                    with state.transaction() as db:
                        memory.keep(db, name, tell(db, "still", name, branch, None))
            for result in outbox.flush(server, clock, host):
                level = "info" if result.status == "sent" else "warning"
                host.log(f"mail-{result.status}", level, to=result.address, trouble=result.error)
        return 1 if memory.broken() else 0


@scenario.act("build-mail")
def broken_and_fixed(world: World, program: Program) -> Iterator[Claim]:
    """Carol's commit breaks the build, a commit of Dave's fails too, the next one mends it."""
    for at, number, status, author in (
        (5, 811, "passed", CAROL),
        (65, 812, "failed", CAROL),
        (125, 813, "failed", DAVE),
        (185, 814, "passed", DAVE),
        (245, 815, "passed", CAROL),
    ):
        world.clock.at(at, finishes(world, number, status, [author]))
    world.clock.until(300)
    code = program()
    mails = world.mail.messages
    subjects = summary(world)
    broken, fixed = "[main] Build 812 failed", "[main] Build 814 works again"
    yield equal(
        "who broke it is mailed once", subjects.get(CAROL, [])[:1], [broken], shows=mails[:1]
    )
    yield equal(
        "all who committed since are mailed on the fix",
        subjects,
        {CAROL: [broken, fixed], DAVE: [fixed]},
        shows=mails,
    )
    ends = [LOG[-1] in mail.text for mail in mails]
    yield equal("the mail about the break has the end of the log", ends, [True, False], shows=mails)
    refers = [mail.message["References"] == mails[0].message["Message-ID"] for mail in mails]
    yield equal("both are one thread", refers, [False, True], shows=mails)
    yield equal("the exit code is 0 once it works", code, 0)
