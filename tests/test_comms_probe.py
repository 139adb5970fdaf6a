"""Probes: up, down, and unknown if it cannot be determined."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from comms import probe
from comms.host import Process, RealHost


class Machine(RealHost):
    """A host with the given process table; None if it cannot be read."""

    def __init__(self, table: Sequence[Process] | None) -> None:
        super().__init__()
        self._table = table

    def processes(self) -> list[Process]:
        if self._table is None:
            raise OSError("the process table cannot be read")
        return list(self._table)


@pytest.mark.parametrize(
    ("table", "verdict"),
    [
        ([Process(9, 1, "apache2")], "up"),
        ([Process(9, 1, "httpd")], "up"),
        ([Process(9, 1, "apachetop"), Process(8, 1, "vim", ("vim", "apache2.conf"))], "down"),
        ([Process(9, 1, "apache2", (), "Z")], "down"),
        ([], "down"),
        (None, "unknown"),
    ],
)
def test_by_name_wants_a_living_process_with_exactly_that_name(
    table: list[Process] | None, verdict: str
) -> None:
    assert probe.by_name(Machine(table), ["apache2", "httpd"]) == verdict


def test_a_long_name_is_compared_as_the_kernel_keeps_it() -> None:
    machine = Machine([Process(9, 1, "a-very-long-nam")])
    assert probe.by_name(machine, ["a-very-long-name-indeed"]) == "up"


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        ("9\n", "up"),
        ("10\n", "down"),  # another program has got the number
        ("11\n", "down"),
        ("12\n", "down"),  # a zombie
        ("", "unknown"),
        ("soon\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_by_pidfile_wants_the_process_with_that_number_and_name(
    tmp_path: Path, content: str | None, verdict: str
) -> None:
    pidfile = tmp_path / "pid"
    if content is not None:
        pidfile.write_text(content)
    table = [Process(9, 1, "apache2"), Process(10, 1, "cron"), Process(12, 1, "apache2", (), "Z")]
    assert probe.by_pidfile(Machine(table), pidfile, ["apache2"]) == verdict
    assert probe.by_pidfile(Machine(None), pidfile, ["apache2"]) == "unknown"


def test_by_pidfile_accepts_any_name_if_none_is_given(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("10\n")
    assert probe.by_pidfile(Machine([Process(10, 1, "cron")]), tmp_path / "pid") == "up"


def test_by_tcp_wants_a_port_that_accepts_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert probe.by_tcp(RealHost(), "127.0.0.1", port) == "up"
    assert probe.by_tcp(RealHost(), "127.0.0.1", port) == "down"
    assert probe.by_tcp(RealHost(), "no-such-host.invalid", 80) == "unknown"
