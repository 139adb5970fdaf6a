"""commit-notify: its hook, its notes, and programs that are killed."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from comms.errors import SettingsError
from comms.settings import load
from fakes import World
from fakes.wire import Record
from scenarios import catalogue
from scenarios.bots import commit_notify
from scenarios.bots.commit_notify_desk import Note, read, text_for
from scenarios.bots.commit_notify_samples import arrived, leaves_note, note
from scenarios.rehearsal import rehearse
from tests import drills

PAGE = catalogue.named("commit-notify")
HOOK = Path(commit_notify.__file__).with_name("commit_notify_hook.sh")
PATIENCE = 20.0  # seconds
ANN = {"ann@yourco.test": ["*"]}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"watchers": ANN}, "queue: missing key"),
        ({"queue": "."}, "watchers: missing key"),
        ({"queue": "absent", "watchers": ANN}, "queue"),
        ({"queue": ".", "watchers": {}}, "watchers"),
        ({"queue": ".", "watchers": {"Bob": []}}, "watchers"),
        ({"queue": ".", "watchers": {"a@b@c": ["*"]}}, "'a@b@c' is not a bare Jabber address"),
        ({"queue": ".", "watchers": {"a@b.test/x": ["*"]}}, "is not a bare Jabber address"),
        ({"queue": ".", "watchers": ANN, "paths": 0}, "paths"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, table: Mapping[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load({"scenario": {"commit-notify": table}}, tmp_path).table(
            "commit-notify", commit_notify.Rules
        )


@pytest.mark.parametrize(
    ("servers", "words"),
    [([], "no network"), (["toc"], "xmpp: missing table; ann@yourco.test is told by it")],
)
def test_each_watcher_needs_a_network(servers: list[str], words: str) -> None:
    with (
        World({**commit_notify.WORLD, "servers": servers}, rehearsal=True) as world,
        pytest.raises(SettingsError, match=words),
    ):
        (world.folder / "commits").mkdir()
        commit_notify.run(world.clock, load(world.settings, world.folder), world.host)


@pytest.mark.parametrize(
    "name",
    [
        "note.r1.1",
        "note.r.1.site",
        "note.7.1.site",
        "note.r1.x.site",
        "note.c0ffee.1.app",
        "new.r1.1.site",
        "note.r1.1.a\nb",
        "note.r" + "9" * 19 + ".1.site",
        ".gitignore",
    ],
)
def test_a_file_that_the_hook_has_not_written_is_no_note(name: str) -> None:
    with pytest.raises(ValueError, match="no files of this name"):
        read(name, note(["U   a"]))


def test_a_repository_may_have_any_name() -> None:
    names = [
        read(f"note.r1.1.{name}", note([])).repository for name in ("s\udce4", "s\udcf6", "sä")
    ]
    assert names == ["s\\xe4", "s\\xf6", "sä"]


@pytest.mark.parametrize("size", [0, 5, 14, 30, 50, 10_000])
def test_a_note_that_is_cut_off_can_be_read(size: int) -> None:
    found = read("part.r1.1.my.site", note(["U   a"] * 3, "x " * 100)[:size])
    assert (found.key, found.complete) == ("my.site r1", False)


SVN = Note("site", "r1", True, "carol", "Mend", ("trunk/a", "docs/b", "docs/c"), 3)
ABOUT = "site r1 by carol: Mend"


@pytest.mark.parametrize(
    ("patterns", "text"),
    [
        (["*"], f"{ABOUT}\ntrunk/a\ndocs/b\nand 1 more"),
        (["site/docs/*"], f"{ABOUT}\ndocs/b\ndocs/c\nand 1 more"),
        (["app/*", "site/trunk/a"], f"{ABOUT}\ntrunk/a\nand 2 more"),
        (["docs/*"], ""),
        (["SITE/*"], ""),
        (["site/docs"], ""),
    ],
)
def test_the_paths_decide_who_is_told(patterns: list[str], text: str) -> None:
    assert text_for(SVN, patterns, 2) == text


# ── the hook ─────────────────────────────────────────────────────────────────


def hook(folder: Path, svnlook: str) -> subprocess.Popen[bytes]:
    """Starts the hook for revision 7 of a repository, with this program as svnlook."""
    (folder / "queue").mkdir()
    (folder / "svnlook").write_text(f"#!/bin/sh\n{svnlook}\n", newline="\n")
    text = HOOK.read_text("utf-8").replace("/var/spool/commit-notify", f"{folder}/queue")
    text = text.replace("PATH=/usr/local/bin", f"PATH={folder}:/usr/local/bin")
    (folder / "post-commit").write_text(text, newline="\n")
    for name in ("svnlook", "post-commit"):
        (folder / name).chmod(0o755)
    command = [str(folder / "post-commit"), "/srv/svn/site", "7", "6-7"]
    return subprocess.Popen(command, env={}, start_new_session=True)


def test_the_hook_leaves_one_complete_note(tmp_path: Path) -> None:
    svnlook = 'case $1 in author) echo carol;; log) echo "Mend it";; *) echo "U   a b";; esac'
    assert hook(tmp_path, svnlook).wait(PATIENCE) == 0
    (path,) = (tmp_path / "queue").iterdir()
    wanted = Note("site", "r7", True, "carol", "Mend it", ("a b",), 1)
    assert read(path.name, path.read_bytes()) == wanted


@pytest.mark.parametrize("at", ["author", "log", "changed"])
def test_a_hook_that_is_killed_leaves_a_note_that_names_the_commit(at: str, tmp_path: Path) -> None:
    # The hook is a process group of its own.
    killed = hook(tmp_path, f'[ "$1" = {at} ] && kill -9 0\necho carol')
    assert killed.wait(PATIENCE) == -signal.SIGKILL
    (path,) = (tmp_path / "queue").iterdir()
    found = read(path.name, path.read_bytes())
    assert (found.key, found.complete) == ("site r7", False)


def test_a_hook_without_svnlook_tells_of_the_commit_anyway(tmp_path: Path) -> None:
    assert hook(tmp_path, "exit 1").wait(PATIENCE) == 0
    (path,) = (tmp_path / "queue").iterdir()
    found = text_for(read(path.name, path.read_bytes()), ["other/*"], 10)
    assert found == "site r7 by nobody: (no message)"


def test_a_queue_that_is_away_for_a_while_does_not_end_the_program() -> None:
    with World({**commit_notify.WORLD, "servers": ["xmpp", "toc"]}, rehearsal=True) as world:
        queue, away = world.folder / "commits", world.folder / "away"
        arrived(world)
        world.clock.at(5, lambda: queue.rename(away))
        world.clock.at(10, lambda: away.rename(queue))
        world.clock.at(12, lambda: leaves_note(world, "r1", ["U   a"]))
        commit_notify.run(world.clock, load(world.settings, world.folder), world.host)
        events = [event.text for event in world.events if event.level == "error"]
        assert events == ["queue-unusable trouble=No such file or directory"]
        assert len(world.jabber.actor("ann@yourco.test").messages) == 1


def test_a_note_that_cannot_be_removed_keeps_no_other_from_being_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unlink = Path.unlink

    def refuses(path: Path, missing_ok: bool = False) -> None:
        if path.name == "note.r1.1.site":
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuses)
    with World({**commit_notify.WORLD, "servers": ["xmpp", "toc"]}, rehearsal=True) as world:
        arrived(world)
        for number in (1, 2):
            leaves_note(world, f"r{number}", ["U   a"])
        (world.folder / "commits" / "bad").touch()  # so that nothing can be moved into it
        world.clock.until(10)
        commit_notify.run(world.clock, load(world.settings, world.folder), world.host)
        logged = Counter(event.text.partition(" ")[0] for event in world.events)
        assert (logged["queue-unusable"], logged["commit"], logged["bad-note"]) == (1, 2, 1)
        assert len(world.jabber.actor("ann@yourco.test").messages) == 2


# ── drills ───────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_commit_is_told_at_most_once_wherever_the_connection_is_cut() -> None:
    act = PAGE.acts()[0]
    records = [item for item in rehearse(PAGE, act).recording if isinstance(item, Record)]
    # Of the ways to lose it, each unit meets at least one.
    for cut in list(drills.cuts(records))[::7]:
        performance = rehearse(PAGE, act, [cut])
        sent = Counter(
            (record.protocol, *re.findall(rb"site r\d+|app c0ff", record.raw))
            for record in performance.recording
            if isinstance(record, Record) and record.direction == "C" and b" by carol" in record.raw
        )
        assert max(sent.values(), default=0) <= 1, cut
        assert performance.tracebacks == [], cut


@pytest.mark.slow
def test_a_commit_is_told_once_or_in_doubt_wherever_the_program_is_killed() -> None:
    def kill(step: int) -> int | None:
        config = {**commit_notify.WORLD, "servers": ["toc"]}
        queue = {"queue": "commits", "watchers": {"Bob": ["*"]}}
        with World({**config, "scenario": {"commit-notify": queue}}) as world:
            (world.folder / "commits").mkdir()
            bob = world.aim.actor("Bob")
            bob.signs_on()
            leaves_note(world, "r7", ["U   a"])
            steps = drills.killed(step, PAGE.module, world.settings, world.folder)
            leaves_note(world, "r8", ["U   a"])
            drills.killed(0, PAGE.module, world.settings, world.folder)
            bob.wait_for(lambda im: "site r8" in im.text, timeout=PATIENCE)
            texts = [im.text.partition(" by")[0] for im in bob.heard]
            assert texts.count("site r7") <= 1 and texts.count("site r8") == 1, (step, texts)
            if step in (0, 1):
                assert texts == ["site r7", "site r8"]
            return steps

    assert drills.each_step(kill) > 10
