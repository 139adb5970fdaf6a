"""Finished builds: which are news, what is read of them, and the end of a log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.builds import Branch, Build, after, last_lines, log_tail, read

CAROL, DAVE = "carol@yourco.test", "dave@yourco.test"

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
KEYS = ("branch", "number", "status", "commits", "log", "project")


@pytest.mark.slow
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, values)) | values)
def test_any_json_is_a_build_or_a_value_error(table: Any) -> None:
    try:
        build = read(json.dumps(table).encode())
    except ValueError:
        return
    assert build.branch and "\n" not in build.branch


@pytest.mark.parametrize("log", ["a\0b", "\ud800", "\udc80"])
def test_what_no_file_can_be_called_is_a_value_error(log: str) -> None:
    table = {"branch": "main", "number": 1, "status": "failed", "log": log}
    with pytest.raises(ValueError, match="log: expected a path"):
        read(json.dumps(table).encode())


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
    assert log_tail(tmp_path, Build("main", 7, False, log="log"), largest) == tail


def test_a_log_is_shown_without_what_a_terminal_obeys() -> None:
    tail = b"old\n\x1b[31mred\x1b[0m\r\n\x07bell\xff\n" + b"x" * 999 + b"\n\n"
    shown = last_lines(tail, 3)
    assert shown == f"    red\n    \\x07bell\ufffd\n    {'x' * 200}\n"
