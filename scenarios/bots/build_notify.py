"""Tell developers at once when a build breaks and when it works again: by message, or else by mail.

Section 6.2.1 · XMPP, TOC, SMTP · try: make scenario NAME=build-notify

The CI server appends a line of JSON to a file whenever a build has finished, as for build-mail. Who
is online is told by instant message, who is not by mail; builds that finish at about the same time
become one message. A branch that stays broken is told of once. Developers hear of every project
until they say `unsubscribe app`. Nothing is told twice, wherever the program is killed; a message
of which it is unknown whether it has arrived is logged, and listed by `status`.

[scenario.build-notify]
people = { ann = { jabber = "ann@yourco.test", mail = "ann@yourco.test" } }  # required: jabber, aim
projects = ["site", "app"]           # required; a build without a project is of the first one
builds = "builds.jsonl"              # lines {"project": …, "branch": …, "number": …, "status": …}
sender = "Builds <builds@yourco.test>"
gather = 30                          # seconds in which builds become one message
remind = 0                           # seconds until a broken branch is told of again; 0 for never
tail = 3                             # lines of the log that are told
poll = 1                             # seconds
state = "build-notify.sqlite3"

Everybody needs a mail address. By Jabber, the bot asks who is in the list for their presence; who
has not agreed is told by mail.

Fault: xmpp message split 1 -> all hold
Fault: toc toc_send_im reply 903 times 1 -> all hold
Fault: smtp connect refuse times 2 -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.bots.company import Company
from comms.bots.messengers import messengers, online_at
from comms.bots.orders import known_by
from comms.clock import Clock
from comms.host import Host
from comms.setting_types import (
    CountOrZero,
    FilePath,
    NamedAddress,
    NonEmpty,
    Seconds,
    SecondsOrZero,
    StateFile,
)
from comms.settings import Settings
from comms.state import State
from scenarios.bots.build_notify_desk import Desk, Item, described, people_problem
from scenarios.bots.build_notify_samples import LOG_END, arrived, finishes, world_of_developers
from scenarios.builds import Build, after, finished
from scenarios.growing import Place
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = world_of_developers()
scenario = Scenario(WORLD)
SETTLED = 5.0  # seconds until the networks have told who is online


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    people: NonEmpty[dict[NonEmpty[str], dict[str, NonEmpty[str]]]]
    projects: NonEmpty[tuple[NonEmpty[str], ...]]
    builds: FilePath = Path("builds.jsonl")
    sender: NamedAddress = "Builds <builds@yourco.test>"
    gather: SecondsOrZero = 30
    remind: SecondsOrZero = 0
    tail: CountOrZero = 3
    poll: Seconds = 1
    state: StateFile = Path("build-notify.sqlite3")

    def __post_init__(self) -> None:
        if problem := people_problem(self.people, self.projects):
            raise ValueError(problem)


class Notifier:
    """One round after the other: what was asked, what is new, who is told of it and how."""

    def __init__(
        self, rules: Rules, company: Company, desk: Desk, clock: Clock, host: Host
    ) -> None:
        self._rules, self._company, self._desk = rules, company, desk
        self._clock, self._host, self._since = clock, host, clock.monotonic()
        self._person, self._place = known_by(rules.people), Place(desk.state, rules.builds)

    def look(self) -> None:
        """Does what is to be done now, all but sending mail."""
        for heard, person in self._company.said_by(self._person):
            self._desk.answer(heard, person)
        self._read()
        self._remind()
        people = self._rules.people.items()
        online = {person: online_at(mine, self._company) for person, mine in people}
        if self._clock.monotonic() - self._since >= SETTLED:
            self._desk.tell(online, self._rules.gather)
            self._desk.notices.flush(self._company, self._clock.time())
        self._company.flush("answer")

    def _read(self) -> None:
        """Remembers what each build is to its branch, and what is to be told of it."""
        memory = self._desk.memory
        for build, end in finished(self._place, self._host):
            with self._desk.state.transaction() as db:
                self._place.move(db, end)
                if build is None or (key := self._key(build)) is None:
                    continue
                branch, news = after(memory.branch(key), build)
                if news:
                    branch = replace(branch, mailed=self._clock.time())
                    folder, tail = self._rules.builds.parent, self._rules.tail
                    self._desk.add(db, described(key, news, build, folder, tail))
                memory.keep(db, key, branch)

    def _key(self, build: Build) -> str | None:
        """Returns what a branch is remembered by; None, logged, if its project is unknown."""
        project = build.project or self._rules.projects[0]
        if project in self._rules.projects:
            return f"{project}\t{build.branch}"
        self._host.log("unknown-project", "warning", project=project, build=build.number)
        return None

    def _remind(self) -> None:
        for key, branch in self._desk.memory.broken() if self._rules.remind else ():
            if self._clock.time() - branch.mailed >= self._rules.remind:
                with self._desk.state.transaction() as db:
                    self._desk.add(db, Item.still(key, branch))
                    self._desk.memory.keep(db, key, replace(branch, mailed=self._clock.time()))


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Tells of builds until stopped. Raises CommsError."""
    rules, server = settings.table("build-notify", Rules), settings.server("smtp")
    with State(rules.state) as state:
        state.lock()
        desk = Desk(state, rules.people, rules.projects, rules.sender, clock, host)
        contacts = [mine["jabber"] for mine in rules.people.values() if "jabber" in mine]
        networks = messengers(settings, clock, host, state, contacts)
        with Company(networks, clock, host) as company:
            notifier = Notifier(rules, company, desk, clock, host)
            for _ in clock.every(rules.poll):
                notifier.look()
                desk.send(server)
    return 0


@scenario.act("build-notify")
def notify(world: World, program: Program) -> Iterator[Claim]:
    """Carol breaks the build and mends it; Ann and Bob are online, Dave is not."""
    ann, bob = arrived(world)
    for at, number, status in ((20, 811, "passed"), (60, 812, "failed"), (120, 813, "failed")):
        world.clock.at(at, finishes(world, number, status))
    world.clock.at(180, finishes(world, 814, "passed"))
    world.clock.until(240)
    code = program()
    broken = "site main: build 812 failed"
    fixed = "site main: build 814 works again"
    heads = [stanza.body.partition("\n")[0] for stanza in ann.messages]
    yield equal("Ann hears of break and fix", heads, [broken, fixed], shows=ann.messages)
    ends = [line.strip() for stanza in ann.messages[:1] for line in stanza.body.splitlines()[1:]]
    wanted = ["812a carol@yourco.test Improve it", "test_one passed", "test_two FAILED", LOG_END]
    yield equal("with the commit and the end of the log", ends, wanted, shows=ann.messages[:1])
    texts = [im.text.partition("<br>")[0] for im in bob.heard]
    mails = [(*mail.envelope.to, mail.subject) for mail in world.mail.messages]
    yield equal("Bob hears of it at once", texts, [broken, fixed], shows=bob.heard)
    daves = [("dave@yourco.test", broken), ("dave@yourco.test", fixed)]
    yield equal("only who is not there is mailed", mails, daves, shows=world.mail.messages)
    yield equal("the exit code is 0", code, 0)
