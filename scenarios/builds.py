"""Finished builds, as a CI server reports them, and which of them are news.

    for build, end in finished(place, host):
        with state.transaction() as db:
            place.move(db, end)
            if build is not None:
                branch, news = after(memory.branch(build.branch), build)
                memory.keep(db, build.branch, branch)

The CI server appends a line of JSON to a file whenever a build has finished.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from comms import addresses
from comms.compose import Message
from comms.host import Host, printable
from comms.state import State
from comms.words import one_line
from scenarios.growing import Place

# Addresses that hosts of repositories invent for users who hide theirs. No mail arrives there.
NO_REPLY = re.compile(r"no-?reply", re.I)
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # what a log contains for a terminal


@dataclass(frozen=True)
class Build:
    """A finished build. `authors` are as the commits name them.

    `log` is a path, or empty; so is the name of the project, if the server builds only one.
    """

    branch: str
    number: int
    passed: bool
    authors: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    log: str = ""
    project: str = ""

    @property
    def committers(self) -> list[str]:
        """The addresses of the authors, each once; an author without a usable one is left out."""
        found = {}
        for author in self.authors:
            try:
                address = addresses.parse_one(author)
                Message(address.address, [address.address]).to_bytes()  # can it be written?
            except ValueError:
                continue
            if not NO_REPLY.search(address.address):
                found[address.key] = address.address
        return list(found.values())


def read(line: bytes) -> Build:
    """Reads a line. Raises ValueError."""
    try:
        table = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(table, dict):
        raise ValueError("expected an object")
    branch, number, status = (table.get(key) for key in ("branch", "number", "status"))
    if not isinstance(branch, str) or not branch.strip():
        raise ValueError("branch: expected a text")
    if type(number) is not int or not 0 <= number < 10**12:
        raise ValueError("number: expected a whole number")
    if status not in ("passed", "failed"):
        raise ValueError("status: expected passed or failed")
    project = table.get("project", "")
    if not isinstance(project, str):
        raise ValueError("project: expected a text")
    log, commits = table.get("log", ""), table.get("commits", [])
    if not isinstance(log, str) or re.search("[\0\ud800-\udfff]", log):
        raise ValueError("log: expected a path")
    if not isinstance(commits, list) or not all(isinstance(commit, dict) for commit in commits):
        raise ValueError("commits: expected a list of objects")
    return Build(
        one_line(branch)[:200],
        number,
        status == "passed",
        tuple(str(commit.get("author", "")) for commit in commits),
        tuple(_shown(commit) for commit in commits),
        log,
        one_line(project)[:200],
    )


def _shown(commit: dict[str, Any]) -> str:
    words = (str(commit.get(key, "")) for key in ("id", "author", "subject"))
    return one_line(" ".join(words))[:300]


def finished(place: Place, host: Host) -> Iterator[tuple[Build | None, int]]:
    """Yields each build after the place in the file, and the offset after its line.

    A line that is not a build is logged, and yields None. A file that cannot be read is logged, and
    read later.
    """
    try:
        for line, end in place.lines():
            try:
                yield read(line), end
            except ValueError as error:
                host.log("line-skipped", "warning", before=end, trouble=error)
                yield None, end
    except FileNotFoundError:
        pass  # no build has finished yet
    except OSError as error:
        host.log("builds-unreadable", "warning", trouble=str(error.strerror))


# ── what is remembered ───────────────────────────────────────────────────────


@dataclass(frozen=True)
class Branch:
    """What is remembered of a branch. `failed` are the builds since it broke, in their order.

    `people` committed to them. `thread` has the first and the last Message-ID of the mails about
    the branch; `mailed` is when the last one was written.
    """

    number: int = -1
    failed: tuple[int, ...] = ()
    people: tuple[str, ...] = ()
    thread: tuple[str, ...] = ()
    mailed: float = 0.0


SAVED = {"number": 0, "failed": [0], "people": [""], "thread": [""], "mailed": 0.0}


class Memory:
    """The branches, in the state file."""

    def __init__(self, state: State) -> None:
        self._state = state

    def branch(self, name: str) -> Branch:
        """Returns what is remembered of a branch."""
        saved: dict[str, Any] = self._state.recall(f"branch {name}", SAVED) or {}
        # JSON has lists instead of tuples.
        lists = {key: tuple(value) for key, value in saved.items() if isinstance(value, list)}
        return Branch(**{**saved, **lists})

    def keep(self, db: Connection, name: str, branch: Branch) -> None:
        """Remembers a branch."""
        self._state.remember(db, f"branch {name}", asdict(branch))
        others = [other for other in self._broken() if other != name]
        self._state.remember(db, "broken", [*others, name] if branch.failed else others)

    def broken(self) -> list[tuple[str, Branch]]:
        """Returns the branches that are broken, the one that broke first at first."""
        return [(name, self.branch(name)) for name in self._broken()]

    def _broken(self) -> list[str]:
        return list(self._state.recall("broken", [""]) or [])


def after(branch: Branch, build: Build) -> tuple[Branch, str]:
    """Returns what is remembered after a build, and the news: broken, fixed, or none."""
    if build.number < branch.number:
        return branch, ""  # it took longer than a later one, and says nothing about now
    known = branch.people if branch.failed else ()
    people = tuple(dict.fromkeys([*known, *build.committers]))
    branch, before = replace(branch, number=build.number, people=people), branch
    if build.passed:
        return replace(branch, failed=()), "fixed" if before.failed else ""
    return replace(branch, failed=(*before.failed, build.number)), "" if before.failed else "broken"


# ── the log ──────────────────────────────────────────────────────────────────


def log_tail(folder: Path, build: Build, largest: int) -> tuple[bytes, bool]:
    """Returns the end of a build's log, and whether something is missing before it.

    A long log is cut at the beginning of a line. Raises OSError if the log cannot be read, or is
    not below the folder.
    """
    path = (folder / build.log).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise PermissionError(1, "it is outside of the folder")
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        stream.seek(max(0, size - largest))
        tail = stream.read(largest)
    cut = size > largest
    if cut:
        first, end, rest = tail.partition(b"\n")
        tail = rest if end else first
    return tail, cut


def last_lines(tail: bytes, count: int) -> str:
    """Returns the last lines of a log as a mail shows them."""
    text = COLOURS.sub("", tail.decode("utf-8", "replace")).replace("\r\n", "\n")
    found = printable(text).rstrip("\n").split("\n")[-count:]
    return "".join(f"    {line[:200]}\n" for line in found)
