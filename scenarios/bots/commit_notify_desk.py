"""The notes that the hook leaves in a folder, and what is said about a commit."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from comms.bots.network import Network
from comms.clock import Clock
from comms.host import Host
from comms.state import State
from comms.words import one_line

LARGEST = 1_000_000  # bytes of a note that are read
LOG, PATH = 500, 200  # characters that are said
PATIENCE = 60.0  # seconds that a hook may take to complete a note
_NAME = re.compile(r"(part|note)\.(r[0-9]{1,18}|[0-9a-f]{40}|[0-9a-f]{64})\.[0-9]+\.(.+)")
_SCHEMA = "CREATE TABLE IF NOT EXISTS told_commit (commit_key TEXT PRIMARY KEY)"


@dataclass(frozen=True)
class Note:
    """A commit, as the hook describes it. Without `complete`, the hook was cut off."""

    repository: str
    revision: str
    complete: bool
    author: str = ""
    log: str = ""
    paths: tuple[str, ...] = ()
    count: int = 0  # of all paths

    @property
    def key(self) -> str:
        """What the commit is known by."""
        return f"{self.repository} {self.revision}"


def read(name: str, content: bytes) -> Note:
    """Returns the note in a file. Raises ValueError for a file that the hook has not written."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError("the hook writes no files of this name")
    author, log, paths, count = "", [], [], 0
    for line in content.decode("utf-8", "replace").split("\n"):
        if line.startswith(" "):  # of the message, whatever it says
            log.append(line[1:])
        elif line.startswith("author: ") and not log:
            author = line.removeprefix("author: ")
        elif found := re.fullmatch(r"count: ([0-9]{1,9})", line):
            count = int(found[1])
        elif found := re.fullmatch(r"[A-Z_][A-Z0-9_+ ]*[ \t]+(.+)", line):
            paths.append(found[1])
    complete = match[1] == "note"
    # The name of a folder may have any bytes.
    repository = os.fsencode(match[3]).decode("utf-8", "backslashreplace")
    text = one_line(" ".join("\n".join(log).split()))
    total = max(count, len(paths))
    return Note(repository, match[2], complete, one_line(author), text, tuple(paths), total)


def text_for(note: Note, patterns: Sequence[str], most: int) -> str:
    """Returns what a watcher of these paths is told; "" for nothing.

    A pattern such as site/trunk/docs/* is compared with the name of the repository and the path. Of
    a commit without paths, everybody is told: it may be about theirs.
    """
    names = [f"{note.repository}/{path}" for path in note.paths]
    wanted = [
        path
        for path, name in zip(note.paths, names, strict=True)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]
    # Of a commit with more paths than the hook has noted, the others may be theirs, too.
    if note.paths and not wanted and note.count == len(note.paths):
        return ""
    revision = note.revision[:12]
    if not note.complete:
        return f"{note.repository} {revision}: the hook was cut off; look there"
    log = note.log if len(note.log) <= LOG else f"{note.log[:LOG]}…"
    lines = [f"{note.repository} {revision} by {note.author or 'nobody'}: {log or '(no message)'}"]
    lines += [one_line(path)[:PATH] for path in wanted[:most]]
    if more := note.count - min(len(wanted), most):
        lines.append(f"and {more} more")
    return "\n".join(lines)


class Queue:
    """The folder of notes."""

    def __init__(self, folder: Path, clock: Clock, host: Host) -> None:
        self._folder, self._clock, self._host = folder, clock, host
        self._since: dict[str, float] = {}  # when an incomplete note was first seen
        self._left: set[str] = set()  # what is no note, and cannot be moved

    def notes(self) -> Iterator[tuple[Path, Note]]:
        """Yields the notes, the oldest first. What is no note is moved to the folder `bad`."""
        for path in self._files():
            try:
                with path.open("rb") as file:
                    note = read(path.name, file.read(LARGEST))
            except ValueError as error:
                self._sets_aside(path, str(error))
            except OSError:
                continue  # the hook has just renamed it
            else:
                if note.complete or self._is_late(path.name):
                    yield path, note

    def _files(self) -> list[Path]:
        found = []
        for path in self._folder.iterdir():
            try:
                if path.is_file() and not path.is_symlink():
                    found.append((path.stat().st_mtime_ns, path))
            except OSError:
                continue
        return [path for _, path in sorted(found)]

    def _is_late(self, name: str) -> bool:
        now = self._clock.monotonic()
        return now - self._since.setdefault(name, now) >= PATIENCE

    def _sets_aside(self, path: Path, problem: str) -> None:
        if path.name in self._left:
            return
        bad = self._folder / "bad"
        try:
            bad.mkdir(exist_ok=True)
            path.replace(bad / path.name)
        except OSError:
            self._left.add(path.name)
        self._host.log("bad-note", "warning", file=path.name, trouble=problem)


class Told:
    """Which commits were told of. A commit is stored together with the messages about it."""

    def __init__(self, state: State) -> None:
        self._state = state
        with state.transaction() as db:
            db.execute(_SCHEMA)

    def store(self, note: Note, messages: Sequence[tuple[Network, str, str]], now: float) -> bool:
        """Stores messages, each with its network and account. Returns False if they were before."""
        with self._state.transaction() as db:
            new = "INSERT OR IGNORE INTO told_commit VALUES (?)"
            if not db.execute(new, (note.key,)).rowcount:
                return False
            for network, account, text in messages:
                network.put({"to": account}, text, now, db)
        return True
