"""build-mail: which build is news, what is read; no news is lost when it is cut off or killed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.compose import Message
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue, rehearsal
from scenarios.sending.build_mail import WORLD, after
from scenarios.sending.build_mail_desk import (
    Branch,
    Build,
    describe,
    last_lines,
    log_tail,
    read,
)
from scenarios.sending.build_mail_samples import CAROL, DAVE, LOG
from tests import drills

PAGE = catalogue.named("build-mail")
MODULE = "scenarios.sending.build_mail"

# ── which build is news ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("builds", "news"),
    [
        ([(1, True)], [""]),
        ([(1, False)], ["broken"]),
        (
            [(1, True), (2, False), (3, False), (4, True), (5, True)],
            ["", "broken", "", "fixed", ""],
        ),
        ([(1, False), (2, True), (3, False)], ["broken", "fixed", "broken"]),
        ([(2, True), (1, False)], ["", ""]),  # the older one took longer
        ([(2, False), (1, True)], ["broken", ""]),
        ([(1, False), (1, True)], ["broken", "fixed"]),  # the same build, tried again
    ],
)
def test_only_a_change_is_news(builds: list[tuple[int, bool]], news: list[str]) -> None:
    branch, found = Branch(), []
    for number, passed in builds:
        branch, new = after(branch, Build("main", number, passed))
        found.append(new)
    assert found == news


def test_a_new_break_concerns_only_those_who_committed_to_it() -> None:
    branch = Branch()
    for number, passed, author in ((1, False, CAROL), (2, True, CAROL), (3, False, DAVE)):
        branch, _ = after(branch, Build("main", number, passed, (author,)))
    assert (branch.people, branch.failed) == ((DAVE,), (3,))


# ── what is read ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("authors", "committers"),
    [
        (["Carol <carol@yourco.test>", "CAROL@yourco.test"], ["carol@yourco.test"]),
        (["carol@yourco.test", "dave@yourco.test"], ["carol@yourco.test", "dave@yourco.test"]),
        (["1+carol@users.noreply.github.com", "no-reply@x.test", "Carol", "", "@"], []),
        (["a@b.test, c@d.test", "a@b\r\nBcc: c@d.test", "\ud800@b.test", f"a@{'x' * 999}"], []),
    ],
)
def test_a_committer_is_an_author_with_an_address_that_mail_reaches(
    authors: list[str], committers: list[str]
) -> None:
    found = Build("main", 1, False, tuple(authors)).committers
    assert [address.casefold() for address in found] == committers or found == committers


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KEYS = ("branch", "number", "status", "commits", "log")


@pytest.mark.slow
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, values)) | values)
def test_any_json_is_a_build_or_a_value_error(table: Any) -> None:
    try:
        build = read(json.dumps(table).encode())
    except ValueError:
        return
    assert build.branch and "\n" not in build.branch


@pytest.mark.parametrize("line", [b"", b"\n", b"\xff", b"{", b"[" * 100_000, b"null", b"3"])
def test_what_is_not_an_object_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        read(line)


@pytest.mark.parametrize(
    "commits",
    [[{"author": 3}], [{}], [{"id": None, "subject": "x\ny", "author": ["a"]}]],
)
def test_a_commit_of_any_form_is_one_line(commits: list[Any]) -> None:
    table = {"branch": "main", "number": 1, "status": "failed", "commits": commits}
    (shown,) = read(json.dumps(table).encode()).commits
    assert len(shown.splitlines()) <= 1


# ── the log ──────────────────────────────────────────────────────────────────


def build(log: str) -> Build:
    return Build("main", 7, False, log=log)


@pytest.mark.parametrize(
    ("content", "largest", "tail"),
    [
        (b"one\ntwo\nthree\n", 100, (b"one\ntwo\nthree\n", False)),
        (b"one\ntwo\nthree\n", 14, (b"one\ntwo\nthree\n", False)),
        (b"one\ntwo\nthree\n", 8, (b"three\n", True)),
        (b"x" * 50, 8, (b"x" * 8, True)),
        (b"", 8, (b"", False)),
    ],
)
def test_the_tail_of_a_log_begins_with_a_whole_line(
    tmp_path: Path, content: bytes, largest: int, tail: tuple[bytes, bool]
) -> None:
    (tmp_path / "log").write_bytes(content)
    assert log_tail(tmp_path, build("log"), largest) == tail


@pytest.mark.parametrize("log", ["../secret", "/etc/passwd", "link", "none", ".", "x" * 3000])
def test_a_log_outside_of_the_folder_is_not_mailed(tmp_path: Path, log: str) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "builds"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    mail = Message("a@b.test", ["c@d.test"], "x")
    describe(mail, build(log), folder, 100, 5)
    assert "The log cannot be read" in (mail.text or "") and mail.attachments == []


def test_a_log_is_shown_without_what_a_terminal_obeys() -> None:
    tail = b"old\n\x1b[31mred\x1b[0m\r\n\x07bell\xff\n" + b"x" * 999 + b"\n\n"
    shown = last_lines(tail, 3)
    assert shown == f"    red\n    \\x07bell\ufffd\n    {'x' * 200}\n"


# ── cut off and killed ───────────────────────────────────────────────────────

ACT = PAGE.acts()[0]
WIRE = [item for item in rehearsal.rehearse(PAGE, ACT).recording if isinstance(item, Record)]


@pytest.mark.parametrize("cut", drills.quick_at("smtp . nth 1", drills.cuts(WIRE)))
def test_cut_anywhere_the_news_arrives_and_twice_only_if_the_answer_was_lost(cut: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [cut])
    got = Counter(
        (address, raw[raw.index(b"Subject:") :][:40]) for address, raw in mails(performance)
    )
    assert sorted(address for address, _ in got) == [CAROL, CAROL, DAVE], "nobody is missing"
    unsure = " . nth" in cut and "unstored" not in cut
    assert set(got.values()) <= ({1, 2} if unsure else {1})


def mails(performance: rehearsal.Performance) -> list[tuple[str, bytes]]:
    pairs = zip(performance.envelopes, performance.mails, strict=True)
    return [(address, raw) for envelope, raw in pairs for address in envelope.to]


def killed(at: int, folder: Path) -> int | None:
    """Kills the program at a step, and runs it again. Returns the number of steps, or None."""
    folder.mkdir()
    line = {"number": 1, "status": "failed", "log": "log", "commits": [{"author": CAROL}]}
    rows = [{**line, "branch": "main"}, {**line, "branch": "main", "number": 2, "status": "passed"}]
    (folder / "builds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "log").write_text("\n".join(LOG))
    with World({**WORLD, "tls": "off"}) as world:
        steps = drills.killed(at, MODULE, world.settings, folder)
        drills.killed(0, MODULE, world.settings, folder)
        got = Counter(mail.subject for mail in world.mail.inbox(CAROL))
    assert set(got) == {"[main] Build 1 failed", "[main] Build 2 works again"}, "nothing is missing"
    assert sum(got.values()) <= 3, "a mail that was being sent may come twice"
    return steps


@pytest.mark.slow
def test_killed_at_any_step_no_news_is_lost(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: killed(at, tmp_path / str(at))) > 30
