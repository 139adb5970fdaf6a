"""What build-notify remembers and says: news that wait, subscriptions, messages and mails."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from comms.bots.messengers import problem_of, without_mail
from comms.bots.network import Heard
from comms.bots.notices import Notice, Notices, Outcome
from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.outbox import Outbox
from comms.settings import Server
from comms.state import State
from comms.suggest import did_you_mean
from comms.words import one_line
from scenarios.builds import Branch, Build, Memory, last_lines, log_tail

HELP = "You may say: subscribe site, unsubscribe site, subscriptions, status"
COMMITS = 5  # of a build that are told
LINES = 20  # builds of one message that are named
LARGEST = 100_000  # bytes of the end of a log that are read
LONGEST = 200  # characters of a message that are looked at
_WORDS = re.compile(r"(subscribe|unsubscribe) (.+)|(subscriptions|status)")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS build_news (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, kind TEXT NOT NULL, head TEXT NOT NULL,
    more TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS build_muted (
    person TEXT NOT NULL, project TEXT NOT NULL, PRIMARY KEY (person, project));
"""
KINDS = {"broken": "failed", "fixed": "works again", "still": "still broken"}


def people_problem(people: Mapping[str, Mapping[str, str]], projects: Sequence[str]) -> str:
    """Returns what is wrong with the people or the projects, "" if nothing is."""
    if problem := problem_of(people, (), ("jabber", "aim", "mail")) or without_mail(people):
        return problem
    for name in projects:
        if name != " ".join(one_line(name).split()):
            return f'projects: {name!r} has odd spaces; write one like "site"'
    return ""


@dataclass(frozen=True)
class Item:
    """A piece of news: its project, `kind`, one line about it, and the lines below that."""

    project: str
    kind: str
    head: str
    more: str = ""

    @classmethod
    def still(cls, key: str, branch: Branch) -> Item:
        """Returns the reminder that a branch is broken."""
        project, _, name = key.partition("\t")
        since, count = branch.failed[0], len(branch.failed)
        head = f"{project} {name}: still broken since build {since}, {count} failed"
        return cls(project, "still", head)


def described(key: str, news: str, build: Build, folder: Path, tail: int) -> Item:
    """Returns the news about a build: its commits, and the end of its log if it failed."""
    project, _, branch = key.partition("\t")
    lines = list(build.commits[:COMMITS])
    if more := len(build.commits) - len(lines):
        lines.append(f"and {more} more commits")
    if build.log and tail and not build.passed:
        try:
            end = last_lines(log_tail(folder, build, LARGEST)[0], tail)
        except OSError as error:
            end = f"The log cannot be read: {one_line(str(error.strerror))}"
        lines += end.splitlines()
    head = f"{project} {branch}: build {build.number} {KINDS[news]}"
    return Item(project, news, head, "\n".join(lines))


def message(items: Sequence[Item]) -> tuple[str, str]:
    """Returns the first line and the whole text of a message about some news."""
    if len(items) == 1:
        return items[0].head, "\n".join(filter(None, (items[0].head, items[0].more)))
    counts = {kind: sum(item.kind == kind for item in items) for kind in KINDS}
    head = ", ".join(f"{count} {KINDS[kind]}" for kind, count in counts.items() if count)
    head = f"{len(items)} builds: {head}"
    lines = [item.head for item in items[:LINES]]
    if more := len(items) - LINES:
        lines += [f"and {more} more; say status"] if more > 0 else []
    return head, "\n".join([head, *lines])


class Desk:
    """The state of the program: what follows from one thing is stored together with it."""

    def __init__(
        self,
        state: State,
        people: Mapping[str, Mapping[str, str]],
        projects: Collection[str],
        sender: str,
        clock: Clock,
        host: Host,
    ) -> None:
        self.state, self.memory, self.notices = state, Memory(state), Notices(state, self._settle)
        self._people, self._projects, self._sender = people, projects, sender
        self._clock, self._host, self._mails = clock, host, Outbox(state)
        with state.transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
        self.notices.recover(clock.time())

    # ── news ─────────────────────────────────────────────────────────────────

    def add(self, db: Connection, item: Item) -> None:
        """Stores what is to be told."""
        row = (item.project, item.kind, item.head, item.more, self._clock.time())
        db.execute(
            "INSERT INTO build_news (project, kind, head, more, at) VALUES (?, ?, ?, ?, ?)", row
        )

    def tell(self, online: Mapping[str, tuple[str, str] | None], gather: float) -> None:
        """Turns the news into a message or a mail for each, once the first waited long enough.

        `online` has the network and the account by which each person is online.
        """
        now = self._clock.time()
        rows = self.state.rows("SELECT project, kind, head, more, at FROM build_news ORDER BY id")
        # The clock may have been set back.
        if not rows or 0 <= now - float(str(rows[0][4])) < gather:
            return
        news = [Item(*map(str, row[:4])) for row in rows]
        with self.state.transaction() as db:
            db.execute("DELETE FROM build_news")
            for person, place in online.items():
                muted = self._muted(person)
                items = [item for item in news if item.project not in muted]
                if not items:
                    continue
                head, text = message(items)
                if place is not None:
                    self.notices.put(*place, text, person, now, db)
                else:
                    self._mail(db, person, head, text)
        self._host.log("told", builds=len(news))

    def _settle(self, db: Connection, notice: Notice, outcome: Outcome, error: str) -> None:
        """Mails what has not arrived by message."""
        level = "info" if outcome == "said" else "warning"
        self._host.log(f"notice-{outcome}", level, to=notice.account, trouble=error)
        if outcome in ("absent", "refused", "returned") and notice.about in self._people:
            self._mail(db, notice.about, notice.text.partition("\n")[0], notice.text)

    def _mail(self, db: Connection, person: str, head: str, text: str) -> None:
        mail = Message(self._sender, [self._people[person]["mail"]], head, text)
        # RFC 3834 §5: the mark keeps vacation programs from answering.
        mail.add_header("Auto-Submitted", "auto-generated")
        self._mails.put(mail.stamped(self._clock, self._host), self._clock.time(), db=db)

    def send(self, server: Server) -> None:
        """Sends the mails that are due."""
        for result in self._mails.flush(server, self._clock, self._host):
            level = "info" if result.status == "sent" else "warning"
            facts = {"to": result.address, "trouble": result.error}
            self._host.log(f"mail-{result.status}", level, **facts)

    # ── what developers say ──────────────────────────────────────────────────

    def answer(self, heard: Heard, person: str) -> None:
        """Does what a person says, for this person alone, and stores the answer with it."""
        words = " ".join(one_line(heard.text[:LONGEST]).casefold().split())
        match = _WORDS.fullmatch(words)
        with self.state.transaction() as db:
            if match is None:
                text = HELP if words in ("help", "?") else f"I do not understand that. {HELP}"
            elif match[1]:
                text = self._subscribe(db, person, match[1], match[2])
            elif match[3] == "status":
                text = self._status(person)
            else:
                muted = self._muted(person)
                mine = [name for name in self._projects if name not in muted]
                text = f"You hear of: {', '.join(mine) or 'nothing'}"
            heard.network.put(heard.to, text, self._clock.time(), db)

    def _subscribe(self, db: Connection, person: str, verb: str, name: str) -> str:
        project = next((one for one in self._projects if one.casefold() == name), None)
        if project is None:
            hint = did_you_mean(name, self._projects)
            return f"There is no project {name}{hint}. Projects: {', '.join(self._projects)}"
        if verb == "subscribe":
            db.execute(
                "DELETE FROM build_muted WHERE (person, project) = (?, ?)", (person, project)
            )
            return f"You hear of {project}"
        db.execute("INSERT OR IGNORE INTO build_muted VALUES (?, ?)", (person, project))
        return f"You hear of {project} no more"

    def _muted(self, person: str) -> set[str]:
        rows = self.state.rows("SELECT project FROM build_muted WHERE person = ?", person)
        return {str(project) for (project,) in rows}

    def _status(self, person: str) -> str:
        broken = [
            f"{key.replace(chr(9), ' ')} since build {branch.failed[0]}"
            for key, branch in self.memory.broken()
        ]
        doubtful = [
            f"Perhaps you have not got this: {notice.text.partition(chr(10))[0]}"
            for notice in self.notices.unknown()
            if notice.about == person
        ]
        lines = [f"{len(broken)} broken", *broken[:LINES]]
        if more := broken[LINES:]:
            lines.append(f"and {len(more)} more")
        return "\n".join(lines + doubtful[-LINES:])
