"""The machine at hand: three sources of processes with one face, and a log of one line an event."""

from __future__ import annotations

import io
import os
import socket
import subprocess
from pathlib import Path

import pytest

from comms import host, probe
from comms.clock import Clock as CommsClock
from comms.clock import RealClock, Waitable
from comms.host import Host as CommsHost
from comms.host import Process, RealHost
from comms.link import Link as CommsLink
from fakes.clock import Link as FakesLink
from fakes.clock import Rehearsal
from fakes.host import Host as FakesHost

SOURCES = [host._from_proc, host._from_psutil, host._from_ps]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_every_source_sees_a_child_by_its_name(source: object) -> None:
    assert callable(source)
    child = subprocess.Popen(["sleep", "60"])
    try:
        (found,) = [one for one in source() if one.pid == child.pid]
        assert (found.name, found.ppid, found.state in "SRD") == ("sleep", os.getpid(), True)
    finally:
        child.kill()
        zombie = [one.state for one in source() if one.pid == child.pid]
        child.wait()
    assert zombie in (["Z"], ["S"], ["R"], []), "killed and not waited for: soon a zombie"


def test_nobody_sees_themself_nor_their_children() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        pids = {one.pid for one in RealHost().processes()}
        assert os.getpid() not in pids and child.pid not in pids
        assert pids, "but others"
    finally:
        child.kill()
        child.wait()


def test_without_any_source_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(OSError, match="install psutil"):
        host._from_ps()


def test_a_log_line_is_one_line_whatever_it_says() -> None:
    err = io.StringIO()
    RealHost(err=err).log(
        "mail refused", "warning", to="a@b.c", why="two\nlines \x1b[31m", empty=""
    )
    line = err.getvalue()
    assert line.count("\n") == 1 and "\x1b" not in line
    assert line[20:] == ' warning mail refused to=a@b.c why="two\\nlines \\x1b[31m"\n'


def test_tokens_are_of_the_length_asked_for_and_never_the_same() -> None:
    tokens = {RealHost().token(12) for _ in range(1000)}
    assert len(tokens) == 1000 and {len(one) for one in tokens} == {12}


class Table:
    """A host of which only the process table is known."""

    name = "h"

    def __init__(self, *table: Process) -> None:
        self.table = table

    def processes(self) -> tuple[Process, ...]:
        return self.table

    def read(self, path: Path) -> str:
        return path.read_text()

    def connects(self, address: str, port: int, timeout: float) -> bool:
        return RealHost().connects(address, port, timeout)


@pytest.mark.parametrize(("table", "verdict"), [
    ([Process(9, 1, "apache2")], "up"),
    ([Process(9, 1, "httpd")], "up"),
    ([Process(9, 1, "apachetop"), Process(8, 1, "vim", ("vim", "apache2.conf"))], "down"),
    ([Process(9, 1, "apache2", (), "Z")], "down"),
    ([], "down"),
])  # fmt: skip
def test_a_name_is_an_exact_name(table: list[Process], verdict: str) -> None:
    assert probe.by_name(Table(*table), ["apache2", "httpd"]) == verdict  # type: ignore[arg-type]


def test_a_long_name_is_compared_as_the_kernel_keeps_it() -> None:
    table = Table(Process(9, 1, "a-very-long-nam"))
    assert probe.by_name(table, ["a-very-long-name-indeed"]) == "up"  # type: ignore[arg-type]


def test_a_pidfile_says_up_down_or_unknown(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    table = Table(Process(9, 1, "apache2"), Process(10, 1, "cron"))
    verdicts = []
    for content in ("9\n", "10\n", "11\n", "", "soon\n"):
        pidfile.write_text(content)
        verdicts.append(probe.by_pidfile(table, pidfile, ["apache2"]))  # type: ignore[arg-type]
    assert verdicts == ["up", "down", "down", "unknown", "unknown"]
    assert probe.by_pidfile(table, tmp_path / "none", ["apache2"]) == "unknown"  # type: ignore[arg-type]


def test_a_port_says_up_down_or_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert probe.by_tcp(RealHost(), "127.0.0.1", port) == "up"
    assert probe.by_tcp(RealHost(), "127.0.0.1", port) == "down"
    assert probe.by_tcp(RealHost(), "no-such-host.invalid", 80) == "unknown"


def test_the_fakes_twins_fit_the_protocols_of_comms() -> None:
    """Checked by mypy: what a rehearsal hands in is what a program asks for, and the clock's links are comms' links."""
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
