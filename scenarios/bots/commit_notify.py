"""Tell coworkers of commits by instant message, from a hook that never waits.

Section 6.2.1 · XMPP, TOC · try: make scenario NAME=commit-notify

The post-commit hook of Subversion and git, commit_notify_hook.sh beside this page, leaves a note in
a folder. The program tells those who want to know of the changed paths. Each is told once, wherever
the hook or the program is killed, and however long the program was away; a large commit is cut.

[scenario.commit-notify]
queue = "commits"                    # required: the folder of the hook's notes
watchers = { "ann@yourco.test" = ["*"], "Bob" = ["site/trunk/docs/*"] }  # required
paths = 10                           # that a message lists
poll = 1                             # seconds
state = "commit-notify.sqlite3"

A watcher with an @ is told by Jabber, others by AIM. A pattern is compared with the name of the
repository and the path in it. AIM keeps nothing for those who are offline.

Fault: xmpp message split 1 -> all hold
Fault: toc toc_send_im reply 903 times 1 -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.bots.company import Company
from comms.bots.messengers import messengers, not_bare
from comms.bots.network import Network
from comms.clock import Clock
from comms.errors import SettingsError
from comms.host import Host
from comms.setting_types import Count, Folder, NonEmpty, Seconds, StateFile
from comms.settings import Settings
from comms.state import State
from scenarios.bots.commit_notify_desk import Queue, Told, text_for
from scenarios.bots.commit_notify_samples import arrived, leaves_note, world_of_watchers
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = world_of_watchers()
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    queue: Folder
    watchers: NonEmpty[dict[NonEmpty[str], NonEmpty[tuple[NonEmpty[str], ...]]]]
    paths: Count = 10
    poll: Seconds = 1
    state: StateFile = Path("commit-notify.sqlite3")

    def __post_init__(self) -> None:
        for watcher in self.watchers:
            if "@" in watcher and (problem := not_bare(watcher)):
                raise ValueError(
                    f'watchers: {problem}; write watchers = {{ "you@example.org" = ["*"] }}'
                )


class Notifier:
    """Takes notes from the queue, and tells the watchers."""

    def __init__(
        self, rules: Rules, networks: dict[str, Network], state: State, clock: Clock, host: Host
    ) -> None:
        self._rules, self._clock, self._host = rules, clock, host
        self._queue, self._told = Queue(rules.queue, clock, host), Told(state)
        self._trouble = ""  # with the queue
        self._watchers: list[tuple[Network, str, tuple[str, ...]]] = []
        for watcher, patterns in rules.watchers.items():
            kind = "jabber" if "@" in watcher else "aim"
            if kind not in networks:
                table = {"jabber": "xmpp", "aim": "toc"}[kind]
                raise SettingsError(f"settings: {table}: missing table; {watcher} is told by it")
            self._watchers.append((networks[kind], watcher, patterns))

    def run(self, company: Company) -> None:
        """Works until stopped."""
        for _ in self._clock.every(self._rules.poll):
            for _ in company.heard():
                pass  # nobody is answered; this keeps the connections alive
            try:
                self._take_notes()
            except OSError as error:  # of the folder; what is told already can go on
                self._report(str(error.strerror))
            else:
                self._report("")
            company.flush("notice")

    def _report(self, trouble: str) -> None:
        """Logs what is wrong with the queue, once for each change."""
        if trouble and trouble != self._trouble:
            self._host.log("queue-unusable", "error", trouble=trouble)
        self._trouble = trouble

    def _take_notes(self) -> None:
        """Stores what is to be said. A note goes when that is done, and never before."""
        failed: OSError | None = None
        for path, note in self._queue.notes():
            messages = [
                (network, account, text)
                for network, account, patterns in self._watchers
                if (text := text_for(note, patterns, self._rules.paths))
            ]
            new = self._told.store(note, messages, self._clock.time())
            try:
                path.unlink(missing_ok=True)
            except OSError as error:  # it is known by now, and must not keep others from being told
                failed = error
            if new or not failed:
                event = "commit" if new else "commit-told-before"
                self._host.log(event, repository=note.repository, revision=note.revision)
        if failed:
            raise failed


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Tells of commits until stopped. Raises CommsError."""
    rules = settings.table("commit-notify", Rules)
    with State(rules.state) as state:
        state.lock()
        found = messengers(settings, clock, host, state)
        networks = {network.name: network for network in found}
        notifier = Notifier(rules, networks, state, clock, host)
        with Company(found, clock, host) as company:
            notifier.run(company)
    return 0


@scenario.act("svn-activity-notify")
def activity(world: World, program: Program) -> Iterator[Claim]:
    """Carol commits to Subversion and to git; Ann wants to know of everything, Bob of the docs."""
    ann, bob = arrived(world)
    world.clock.at(10, lambda: leaves_note(world, "r7", ["U   trunk/docs/a.html", "A   trunk/b.c"]))
    world.clock.at(20, lambda: leaves_note(world, "c0ffee" * 6 + "c0ff", ["M\tmain.py"], "app"))
    world.clock.until(30)
    code = program()
    svn = "site r7 by carol: Mend the header\ntrunk/docs/a.html\ntrunk/b.c"
    git = "app c0ffeec0ffee by carol: Mend the header\nmain.py"
    bodies = [stanza.body for stanza in ann.messages]
    yield equal("Ann hears of each commit", bodies, [svn, git], shows=ann.messages)
    docs = ["site r7 by carol: Mend the header<br>trunk/docs/a.html<br>and 1 more"]
    texts = [im.text for im in bob.heard]
    yield equal("Bob hears of his paths", texts, docs, shows=bob.heard)
    left = [path.name for path in (world.folder / "commits").iterdir()]
    yield equal("nothing is left in the queue", left, [])
    yield equal("the exit code is 0", code, 0)
