"""The machine of a rehearsal: processes, commands, files, ports and cues."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.host import Command, Event, Host, Tokens


class Machine:
    """A host with a clock that only commands move, and what it recorded."""

    def __init__(self) -> None:
        self.time = 0.0
        self.events: list[Event] = []
        self.host = Host("web1.test", lambda: self.time, self.events.append, self.spend)

    def spend(self, seconds: float) -> None:
        self.time += seconds

    @property
    def processes(self) -> list[str]:
        return [process.name for process in self.host.processes()]

    @property
    def recorded(self) -> list[tuple[float, str, str, str]]:
        return [(event.at, event.who, event.text, event.level) for event in self.events]


@pytest.fixture
def machine() -> Machine:
    return Machine()


# ── processes and cues ───────────────────────────────────────────────────────


def test_the_process_table_leaves_the_program_out(machine: Machine) -> None:
    apache = machine.host.add("apache2")
    assert machine.processes == ["init", "apache2"]
    assert (apache.pid, apache.ppid, apache.args, apache.state) == (101, 1, ("apache2",), "S")
    assert machine.events == [], "adding a process is part of the setting, not of the play"
    assert repr(machine.host) == "<Host web1.test init, python3, apache2>"


def test_cues_start_and_kill_processes_when_they_are_called(machine: Machine) -> None:
    starts, kills = machine.host.starts("apache2"), machine.host.kills("apache2")
    assert machine.processes == ["init"]
    starts()
    starts()
    assert machine.processes == ["init", "apache2", "apache2"]
    machine.time = 60
    kills()
    assert machine.processes == ["init"]
    assert machine.recorded == [
        (0, "web1.test", "apache2 starts", "info"),
        (0, "web1.test", "apache2 starts", "info"),
        (60, "web1.test", "apache2 dies", "info"),
    ]


def test_a_process_that_never_existed_cannot_die(machine: Machine) -> None:
    machine.host.service("apache2")
    with pytest.raises(ValueError, match=r"no process 'apche2' is known .did you mean 'apache2'"):
        machine.host.kills("apche2")
    machine.host.kills("apache2")()
    machine.host.kills("apache2")  # it has died already, and may be started again


def test_a_cue_hides_the_process_table_and_another_shows_it_again(machine: Machine) -> None:
    machine.host.hides_processes()()
    with pytest.raises(PermissionError, match="may not be read"):
        machine.host.processes()
    machine.host.hides_processes(False)()
    assert machine.processes == ["init"]
    assert [text for _, _, text, _ in machine.recorded] == [
        "the process table can no longer be read",
        "the process table can be read again",
    ]


# ── commands ─────────────────────────────────────────────────────────────────


def test_a_command_takes_its_time_and_changes_the_machine(machine: Machine) -> None:
    changes: list[tuple[float, str]] = []
    machine.host.commands["df", "-k"] = Command(
        2.0,
        "98%\n",
        1,
        lambda: changes.append((machine.time, "starts")),
        lambda: changes.append((machine.time, "has ended")),
    )
    outcome = machine.host.run(["df", "-k"], timeout=2, input=b"what it reads")
    assert (outcome.code, outcome.output, outcome.seconds, outcome.error) == (1, "98%\n", 2.0, "")
    assert changes == [(0, "starts"), (2, "has ended")]
    assert machine.host.ran == [("df", "-k")]
    assert machine.host.inputs == [b"what it reads"]
    assert machine.recorded == [(0, "web1.test", "runs: df -k", "info")]


def test_a_command_that_takes_too_long_is_killed_and_changes_nothing(machine: Machine) -> None:
    machine.host.commands[("sleep",)] = Command(60, "zzz", on_end=lambda: pytest.fail("it ended"))
    outcome = machine.host.run(["sleep"], timeout=5)
    assert (outcome.code, outcome.output, outcome.seconds) == (None, "zzz", 5)
    assert outcome.in_doubt
    assert outcome.error == "still running after 5 s, and ended"
    assert machine.time == 5


def test_an_unknown_command_cannot_be_started(machine: Machine) -> None:
    outcome = machine.host.run(["reboot", "now"], timeout=5)
    assert outcome.code is None
    assert outcome.error == "reboot could not be started: No such file or directory"
    assert machine.host.ran == [] and machine.events == []


def test_systemctl_stops_starts_and_restarts_a_service(machine: Machine) -> None:
    machine.host.service("mysql", takes=3)

    def systemctl(action: str) -> list[str]:
        outcome = machine.host.run(["systemctl", action, "mysql"], timeout=5)
        assert (outcome.code, outcome.output) == (0, f"mysql: {action}\n")
        return machine.processes

    assert machine.processes == ["init", "mysql"]
    assert systemctl("status") == ["init", "mysql"]
    assert systemctl("start") == ["init", "mysql"], "it runs already"
    assert systemctl("stop") == ["init"]
    assert systemctl("start") == ["init", "mysql"]
    pid = machine.host.processes()[-1].pid
    assert systemctl("restart") == ["init", "mysql"]
    assert machine.host.processes()[-1].pid != pid
    assert machine.time == 5 * 3


# ── files, ports, console and log ────────────────────────────────────────────


def test_a_file_is_read_if_it_exists(machine: Machine) -> None:
    path = Path("/run/apache2.pid")
    with pytest.raises(FileNotFoundError, match=r"/run/apache2\.pid: no such file on web1\.test"):
        machine.host.read(path)
    machine.host.files[path] = "101\n"
    assert machine.host.read(path) == "101\n"


def test_a_port_is_open_closed_or_silent(machine: Machine) -> None:
    machine.host.open_ports.add(80)
    machine.host.silent_ports.add(443)
    assert machine.host.connects("127.0.0.1", 80, 1)
    assert not machine.host.connects("127.0.0.1", 81, 1)
    with pytest.raises(TimeoutError, match=r"127\.0\.0\.1:443 did not answer within 1 s"):
        machine.host.connects("127.0.0.1", 443, 1)


def test_what_the_program_prints_and_logs_is_recorded(machine: Machine) -> None:
    machine.host.say("Apache is up.")
    machine.host.log("sent", to="a@b.test", why="", number=0)
    machine.host.log("lost", "warning")
    assert machine.recorded == [
        (0, "program", "Apache is up.", "say"),
        (0, "program", "sent to=a@b.test number=0", "info"),
        (0, "program", "lost", "warning"),
    ]


def test_what_the_program_reports_to_its_supervisor_is_recorded(machine: Machine) -> None:
    machine.host.notify("READY=1")
    machine.host.hangs_up()
    assert machine.host.notified == ["READY=1"]
    assert [machine.host.reload_asked(), machine.host.reload_asked()] == [True, False]
    assert [event[2] for event in machine.recorded] == [
        "the program reports READY=1",
        "the program gets SIGHUP",
    ]


# ── tokens ───────────────────────────────────────────────────────────────────


def test_tokens_differ_and_repeat_with_the_same_seed() -> None:
    first, second = Tokens("a"), Tokens("a")
    tokens = [first(12) for _ in range(1000)]
    assert len(set(tokens)) == 1000
    assert [second(12) for _ in range(1000)] == tokens
    assert Tokens("b")(12) not in tokens
    assert {len(token) for token in tokens} == {12} and all(token.isalnum() for token in tokens)
