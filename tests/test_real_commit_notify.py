# apt-get install: git subversion
"""The hook of commit-notify in real repositories of git and Subversion."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from scenarios.bots import commit_notify
from scenarios.bots.commit_notify_desk import Note, read
from tests.real import need

pytestmark = pytest.mark.real
HOOK = Path(commit_notify.__file__).with_name("commit_notify_hook.sh")
DEFAULT = "/var/spool/commit-notify"
# As a person has it, and so that no settings of the machine count.
PERSON = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Carol \\n Jones",
    "GIT_AUTHOR_EMAIL": "carol@yourco.test",
    "GIT_COMMITTER_NAME": "Carol",
    "GIT_COMMITTER_EMAIL": "carol@yourco.test",
    "LC_ALL": "C.UTF-8",
}


def runs(*command: str, cwd: Path, **more: str) -> str:
    """Runs a command that must succeed, and returns what it says on stderr."""
    done = subprocess.run(
        command, cwd=cwd, env={**PERSON, "HOME": str(cwd), **more}, capture_output=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.decode()


def install(hook: Path, queue: Path) -> None:
    """Installs the hook, with a queue of our own."""
    hook.write_text(HOOK.read_text("utf-8").replace(DEFAULT, str(queue)), newline="\n")
    hook.chmod(0o755)


def notes(queue: Path) -> Mapping[str, Note]:
    """The notes in the queue, by repository and revision."""
    found = [read(path.name, path.read_bytes()) for path in queue.iterdir()]
    return {note.key: note for note in found}


def test_git_leaves_a_note_of_each_commit(tmp_path: Path) -> None:
    git, queue, work = need("git", "git"), tmp_path / "queue", tmp_path / "app"
    queue.mkdir()
    work.mkdir()
    runs(git, "init", "-q", cwd=work)
    install(work / ".git/hooks/post-commit", queue)
    (work / "caf\u00e9 menu.txt").touch()
    runs(git, "add", ".", cwd=work)
    runs(git, "commit", "-qm", "First\n\ncount: 7\nA\tforged", cwd=work)
    (first,) = notes(queue).values()
    assert (first.repository, len(first.revision), first.complete) == ("app", 40, True)
    assert (first.author, first.log) == ("Carol \\n Jones", "First count: 7 A forged")
    assert (first.paths, first.count) == (("caf\u00e9 menu.txt",), 1)
    for number in range(1200):
        (work / f"file-{number}").touch()
    runs(git, "add", ".", cwd=work)
    runs(git, "commit", "-qm", "x" * 20_000, cwd=work)
    large = next(note for note in notes(queue).values() if note.count > 1)
    assert (len(large.paths), large.count, len(large.log)) == (1000, 1200, 5000)


def test_subversion_leaves_a_note_of_each_commit(tmp_path: Path) -> None:
    svnadmin, svn = need("svnadmin", "subversion"), need("svn", "subversion")
    queue, repository, work = tmp_path / "queue", tmp_path / "site", tmp_path / "work"
    queue.mkdir()
    runs(svnadmin, "create", str(repository), cwd=tmp_path)
    install(repository / "hooks/post-commit", queue)
    runs(svn, "checkout", "-q", f"file://{repository}", str(work), cwd=tmp_path)
    (work / "caf\u00e9.html").touch()
    runs(svn, "add", "-q", "caf\u00e9.html", cwd=work)
    runs(svn, "commit", "-q", "--username", "carol", "-m", "Add the menu", cwd=work)
    (note,) = notes(queue).values()
    assert note == Note("site", "r1", True, "carol", "Add the menu", ("caf\u00e9.html",), 1)


@pytest.mark.parametrize("queue", ["absent", "a file"])
def test_whatever_is_wrong_with_the_queue_the_commit_is_made(queue: str, tmp_path: Path) -> None:
    git, work, place = need("git", "git"), tmp_path / "app", tmp_path / "queue"
    if queue == "a file":
        place.touch()
    work.mkdir()
    runs(git, "init", "-q", cwd=work)
    install(work / ".git/hooks/post-commit", place)
    said = runs(git, "commit", "--allow-empty", "-qm", "First", cwd=work)
    assert "nobody is told of this commit" in said
    runs(git, "rev-parse", "HEAD", cwd=work)
