"""What is printed cannot command the terminal."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from comms.host import printable
from scenarios import screen
from scenarios.__main__ import main
from scenarios.errors import ROOT

HOSTILE = [
    "\x1b[2J",
    "\x07",
    "\r",
    "\x9b1m",
    "\u202e",
    "\u2066",
    "\ud800",
    "\x7f",
    "\u2028",
    "\x00",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_terminal_would_obey_is_escaped(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    screen.show(f"a{text}b")
    screen.complain(f"a{text}b")
    try:
        raise ValueError(f"a{text}b")
    except ValueError:
        screen.show_traceback()
    out, err = capsys.readouterr()
    assert text not in out and text not in err and out == f"a{printable(text)}b\n"


@pytest.mark.parametrize("text", ["Café", "a\tb", "two\nlines", "✓ 日本語 \u00a0", "e\u0301", ""])
def test_ordinary_text_is_printed_as_it_is(capsys: pytest.CaptureFixture[str], text: str) -> None:
    screen.show(text)
    assert capsys.readouterr().out == text + "\n"


def test_no_other_module_of_the_scenarios_prints() -> None:
    folder = Path(screen.__file__).parent
    printing = [
        path.name
        for path in folder.rglob("*.py")
        if path.parent.name != "book"
        and any(
            word in line
            for line in path.read_text("utf-8").splitlines()
            for word in (" print(", "traceback.print", "sys.stdout.write", "sys.stderr.write")
        )
    ]
    assert sorted(printing) == ["inbox_count_acts.py", "screen.py"], "the act divides by zero"


def test_a_console_without_a_character_shows_its_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    screen.show("✓ 10 € · \x1b")
    assert raw.getvalue() == b"\\u2713 10 \\u20ac \\xb7 \\x1b\n"


def test_a_full_disk_is_an_error_of_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Written without a buffer, so that closing it has nothing left to write.
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(full, write_through=True))
        assert main(["list"]) == 2
    said = capsys.readouterr().err
    assert said == (
        "error: the output cannot be written: No space left on device; write it elsewhere\n"
    )


def test_a_complaint_that_cannot_be_written_is_not_another_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(full, write_through=True))
        screen.complain("error: x")
    assert full.closed


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize(
    "words",
    [["list"], ["run", "inbox-count", "--act", "apop"], ["run", "aim-hello", "--as", "book"]],
    ids=" ".join,
)
def test_every_command_can_print_in_every_encoding(
    monkeypatch: pytest.MonkeyPatch, encoding: str, words: list[str]
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert main(words) == 0
    assert raw.getvalue().decode(encoding)


def test_with_closed_files_nothing_is_printed_and_nothing_raised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    screen.complain("error: x")
    assert capsys.readouterr().out == "", "an error is not output"
    monkeypatch.setattr(sys, "stdout", None)
    screen.show("text")


# ── one event for each Enter ─────────────────────────────────────────────────

STEP = ("run", "inbox-count", "--act", "apop-login", "--step")


def told(out: str) -> int:
    """Returns how many events a story tells."""
    return len(re.findall(r"^\d\d:\d\d:\d\d ", out, re.M))


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of the terminal that is the input of the command."""
    keyboard, terminal = pty.openpty()
    with os.fdopen(terminal) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield keyboard
    os.close(keyboard)


@pytest.mark.parametrize(
    ("keys", "events"),
    [(b"q\n", 0), (b"\nq\n", 1), (b"\n\n\x04", 2), (b"\n\nquit\n\n\n", 2)],
)
def test_each_enter_tells_an_event_and_q_or_ctrl_d_ends(
    keyboard: int, capsys: pytest.CaptureFixture[str], keys: bytes, events: int
) -> None:
    os.write(keyboard, keys)
    assert main(STEP) == 0
    out, err = capsys.readouterr()
    assert (told(out), err) == (events, "")
    assert screen.NEXT in out and "claims" not in out


def test_after_the_last_event_the_claims_are_shown(
    keyboard: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(STEP[:-1]) == 0
    whole = capsys.readouterr().out
    os.write(keyboard, b"\n" * told(whole))
    assert main(STEP) == 0
    assert capsys.readouterr().out.replace(f"{screen.NEXT}\n", "") == whole


def test_ctrl_c_is_not_lost_in_a_destructor(
    keyboard: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        def __del__(self) -> None:  # Python ignores what is raised here
            signal.raise_signal(signal.SIGINT)

    def show_line(spans: Sequence[tuple[str, str]]) -> None:
        screen.show("".join(text for text, _ in spans))
        Interrupted()

    monkeypatch.setattr(screen, "show_line", show_line)
    before = signal.getsignal(signal.SIGINT)
    os.write(keyboard, b"\n\n\n\x04")
    assert main(STEP) == 130
    assert told(capsys.readouterr().out) == 1
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("columns", [40, 200])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_words_are_not_broken_on_a_narrow_terminal(
    columns: int,
    is_terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(screen, "_is_terminal", lambda file: is_terminal)
    monkeypatch.setattr(screen, "width", lambda: columns)
    text = "\n  act apache-mail-down: Apache dies while the mail server is down\n"
    screen.show_words(text)
    shown = capsys.readouterr().out
    if is_terminal and columns == 40:
        wrapped = "\n  act apache-mail-down: Apache dies\n    while the mail server is down\n\n"
        assert shown == wrapped
    else:
        assert shown == f"{text}\n"


@pytest.mark.slow
def test_ctrl_c_ends_a_story_without_a_traceback() -> None:
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "scenarios", *STEP],
        cwd=ROOT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: os.login_tty(terminal),  # so that Ctrl-C reaches the process
    )
    os.close(terminal)
    try:
        shown = b""
        while screen.NEXT.encode() not in shown:
            shown += os.read(keyboard, 4096)
        os.write(keyboard, b"\x03")
        after = b""
        with contextlib.suppress(OSError):  # raised when nobody has the terminal any more
            # A terminal reads all the time; a program may wait until it has.
            while select.select([keyboard], [], [], 20)[0]:
                after += os.read(keyboard, 4096)
        assert process.wait(20) == 130
        assert b"Traceback" not in after, "the terminal shows ^C"
    finally:
        # If it still runs, another test would be blamed for the process that is left.
        process.kill()
        process.wait()
        os.close(keyboard)


def test_without_a_terminal_there_is_nobody_to_press_enter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(STEP) == 2
    assert capsys.readouterr().err == (
        "error: --step waits for Enter, and the input is no terminal; leave it out\n"
    )
