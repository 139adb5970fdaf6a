"""The real machine: its process table from three sources, its log, its tokens, its commands."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from comms import host
from comms.clock import Clock as CommsClock
from comms.clock import RealClock, Waitable
from comms.host import Host as CommsHost
from comms.host import RealHost
from comms.link import Link as CommsLink
from fakes.clock import Link as FakesLink
from fakes.clock import Rehearsal
from fakes.host import Host as FakesHost

# ── the process table ────────────────────────────────────────────────────────

SOURCES = [host._from_proc, host._from_psutil, host._from_ps]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_each_source_lists_a_child_by_its_name(source: object) -> None:
    assert callable(source)
    child = subprocess.Popen(["sleep", "60"])
    try:
        [row] = [row for row in source() if row.pid == child.pid]
        assert (row.name, row.ppid, row.state in "SRD") == ("sleep", os.getpid(), True)
    finally:
        child.kill()
        states = [row.state for row in source() if row.pid == child.pid]
        child.wait()
    assert states in (["Z"], ["S"], ["R"], []), "killed but not waited for: soon a zombie"


def test_the_table_lacks_the_caller_and_its_children() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        pids = {row.pid for row in RealHost().processes()}
        assert os.getpid() not in pids and child.pid not in pids
        assert pids, "other processes are listed"
    finally:
        child.kill()
        child.wait()


def test_without_any_source_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(OSError, match="install psutil"):
        host._from_ps()


# ── log and tokens ───────────────────────────────────────────────────────────


def test_a_log_entry_is_one_line_whatever_its_fields_contain() -> None:
    err = io.StringIO()
    fields = {"to": "a@b.c", "why": "two\nlines \x1b[31m", "empty": ""}
    RealHost(err=err).log("mail refused", "warning", **fields)
    line = err.getvalue()
    assert line.count("\n") == 1 and "\x1b" not in line
    assert line[20:] == ' warning mail refused to=a@b.c why="two\\nlines \\x1b[31m"\n'


def test_tokens_have_the_wanted_length_and_never_repeat() -> None:
    tokens = {RealHost().token(12) for _ in range(1000)}
    assert len(tokens) == 1000 and {len(token) for token in tokens} == {12}
    assert all(token.isascii() and token.isalnum() and token == token.lower() for token in tokens)


# ── commands ─────────────────────────────────────────────────────────────────


def test_a_command_runs_without_a_shell_and_with_a_minimal_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_PASSWORD", "hidden")
    script = "import os, sys; print(sys.argv[1], 'OPS_PASSWORD' in os.environ, sys.stdin.read())"
    outcome = RealHost().run([sys.executable, "-c", script, "a; b"], 30)
    assert (outcome.code, outcome.output, outcome.error) == (0, "a; b False \n", "")


def test_the_exit_status_and_both_outputs_are_returned() -> None:
    outcome = RealHost().run(["sh", "-c", "echo out; echo err >&2; exit 3"], 10)
    assert (outcome.code, outcome.output, outcome.in_doubt) == (3, "out\nerr\n", False)
    assert RealHost().run(["sh", "-c", "kill -9 $$"], 10).in_doubt, "somebody else ended it"


def test_a_command_reads_its_input_and_nothing_waits_for_one_that_does_not() -> None:
    mail = b"one\n" * 100_000  # more than a pipe holds
    assert RealHost().run(["wc", "-c"], 10, mail).output.split() == ["400000"]
    assert RealHost().run(["true"], 10, mail).code == 0


def test_only_the_end_of_a_long_output_is_kept() -> None:
    outcome = RealHost().run(["sh", "-c", "seq 1 200000"], 30)
    assert outcome.code == 0
    assert len(outcome.output) <= host.OUTPUT and outcome.output.endswith("200000\n")


@pytest.mark.parametrize("command", [["no-such-command"], ["/etc/passwd"], ["a\0b"], ["/"]])
def test_a_command_that_cannot_be_started_is_an_outcome(command: list[str]) -> None:
    outcome = RealHost().run(command, 1)
    assert outcome.code is None and "could not be started" in outcome.error


@pytest.mark.parametrize("child", ["sleep 60", "(trap '' TERM; exec sleep 60)"])
def test_after_its_time_a_command_is_stopped_with_everything_it_has_started(
    child: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "GRACE", 0.3)
    outcome = RealHost().run(["sh", "-c", f"{child} & echo $!; sleep 60"], 0.3)
    assert outcome.code is None and "still running after 0.3 s" in outcome.error
    assert outcome.in_doubt
    stat = Path(f"/proc/{outcome.output.strip()}/stat")
    with contextlib.suppress(OSError):  # the file vanishes with the process
        for _ in range(200):  # the signal takes a moment to arrive
            if stat.read_text().split()[2] == "Z":
                break
            select.select([], [], [], 0.02)
        else:
            pytest.fail("the child is still running")


def test_a_command_that_cannot_be_stopped_is_in_doubt_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killpg(group: int, number: int) -> None:  # as for a command that sudo runs
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", killpg)
    machine = RealHost()
    outcome = machine.run(["sleep", "60"], 0.1)
    assert outcome.seconds < 5 and outcome.in_doubt
    assert outcome.error == "still running after 0.1 s, and could not be ended"
    [child] = machine._left
    child.kill()
    child.wait()
    assert machine.run(["true"], 10).code == 0 and machine._left == []


def test_a_daemon_that_a_command_has_started_is_not_waited_for() -> None:
    outcome = RealHost().run(["sh", "-c", "sleep 20 & echo $!"], 10)
    assert outcome.code == 0 and outcome.seconds < 5
    subprocess.run(["kill", outcome.output.strip()], check=False)


# ── fakes ────────────────────────────────────────────────────────────────────


def test_the_fakes_satisfy_the_protocols_of_comms() -> None:
    """Checked by mypy: fakes and comms share no code, so nothing else connects their types."""
    rehearsal = Rehearsal()
    clock: CommsClock = rehearsal
    machine: CommsHost = FakesHost("h", rehearsal.time, lambda event: None)
    real_clock, real_machine = RealClock(), RealHost()
    other_clock: CommsClock = real_clock
    other_machine: CommsHost = real_machine
    real_clock.close()

    def fits(link: CommsLink) -> tuple[Waitable, FakesLink]:
        return link, link

    assert None not in (clock, machine, other_clock, other_machine, fits)


# ── a log that cannot be written ─────────────────────────────────────────────


class Broken(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        BrokenPipeError(),
        ValueError("I/O operation on closed file"),
        OSError(5, "Input/output error"),
        BlockingIOError(11, "Resource temporarily unavailable"),
    ],
)
def test_saying_and_logging_never_raise(error: Exception) -> None:
    host = RealHost(out=Broken(error), err=Broken(error))
    assert host.say("text") is None  # type: ignore[func-returns-value]
    assert host.log("event", fact=1) is None  # type: ignore[func-returns-value]


def test_a_console_that_cannot_show_a_character_shows_an_escape() -> None:
    raw = io.BytesIO()
    console = io.TextIOWrapper(raw, "ascii")
    host = RealHost(out=console, err=console)
    host.say("Café \ud800")
    host.log("event", fact="é")
    assert b"Caf\\xe9" in raw.getvalue() and raw.getvalue().count(b"\n") == 2


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "value",
    [
        "x" * 800_000,
        "\x1b" * 800_000,
        Unshowable(),
        ["y" * 100_000],
        "é" * 5000,
        OSError("z" * 9999),
    ],
)
def test_a_fact_is_cut_where_it_is_logged(value: object) -> None:
    err = io.StringIO()
    RealHost(err=err).log("refused", what=value)
    line = err.getvalue()
    assert len(line) < 12_000 and line.count("\n") == 1 and line.isprintable() is False


@pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "\x07", "\u202e", "\x9b"])
def test_what_a_program_says_does_not_command_the_terminal(text: str) -> None:
    out = io.StringIO()
    RealHost(out=out).say(text)
    assert text not in out.getvalue()


def test_a_name_that_dns_cannot_have_is_an_os_error() -> None:
    with pytest.raises(OSError, match="label too long"):
        RealHost().addresses("x" * 64, 80)
    with pytest.raises(OSError, match="label too long"):
        RealHost().connects("x" * 64, 80, 1)


def test_a_file_without_end_and_a_pipe_are_not_read_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert RealHost().read(tmp_path / "pipe") == ""
    assert len(RealHost().read(Path("/dev/zero"))) < 1_000_000


@pytest.mark.parametrize("where", ["file", "abstract"])
def test_a_state_is_reported_to_the_supervisor(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{tmp_path}/n" if where == "file" else f"@{tmp_path.name}-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(name.replace("@", "\0"))
        supervisor.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        RealHost().notify("READY=1")
        assert supervisor.recv(100) == b"READY=1"
        RealHost().notify("RELOADING=1")
        state, since = supervisor.recv(100).split(b"\n")
        assert state == b"RELOADING=1" and since[:15] == b"MONOTONIC_USEC=" and since[15:].isdigit()


@pytest.mark.parametrize("name", ["", "/no/such/socket", "/" + "x" * 500, "vsock:2:1", "relative"])
def test_without_a_supervisor_nothing_is_reported(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert RealHost().notify("READY=1") is None  # type: ignore[func-returns-value]


def test_sighup_asks_for_one_reload() -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        host = RealHost()
        assert not host.reload_asked()
        os.kill(os.getpid(), signal.SIGHUP)
        assert [host.reload_asked(), host.reload_asked()] == [True, False]
    finally:
        signal.signal(signal.SIGHUP, before)
