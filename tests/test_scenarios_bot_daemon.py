"""bot-daemon: its settings and answers, and what a supervisor sees of it."""

from __future__ import annotations

import configparser
import contextlib
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from comms.bots.aim import Aim
from comms.bots.company import Company
from comms.clock import RealClock
from comms.errors import SettingsError
from comms.settings import load
from comms.state import State
from fakes import World
from fakes.wire import Record
from scenarios import catalogue
from scenarios.bots import bot_daemon
from scenarios.bots.bot_daemon_desk import HELP, ROWS, Staff, Tickets
from scenarios.bots.bot_daemon_samples import STAFF, Application
from scenarios.models import opened
from scenarios.play import merged
from scenarios.processing import tickets_model
from scenarios.rehearsal import rehearse
from scenarios.site import toml
from tests import drills
from tests.command import start_command
from tests.scripted import RecordingHost

PAGE = catalogue.named("bot-daemon")
UNIT = Path(bot_daemon.__file__).with_suffix(".service")
PATIENCE = 20.0  # seconds

# ── settings ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "staff: missing key"),
        ({"staff": "none.toml"}, "none.toml"),
        ({"staff": "staff.toml", "models": "tickts.models"}, "models: unknown module"),
        ({"staff": "staff.toml", "models": "os; import this"}, "models: unknown module"),
        ({"staff": "staff.toml", "models": "json"}, "models: json has no Base"),
        ({"staff": "staff.toml", "database": "tickets"}, "database"),
        ({"staff": "staff.toml", "poll": 0}, "poll"),
        ({"staff": "staff.toml", "pol": 1}, "did you mean 'poll'"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, table: Mapping[str, Any], words: str) -> None:
    (tmp_path / "staff.toml").write_text(STAFF, newline="\n")
    with pytest.raises(SettingsError, match=words):
        load({"scenario": {"bot-daemon": table}}, tmp_path).table("bot-daemon", bot_daemon.Rules)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "nobody is in it"),
        ("ann = 1", "ann: expected accounts"),
        ("ann = {}", "ann: expected accounts"),
        ('ann = { icq = "1" }', "ann: unknown network 'icq'"),
        ('ann = { aim = " " }', "ann: aim: expected an account, found ' '"),
        ('ann = { jabber = "yourco.test" }', "ann: 'yourco.test' is not a bare Jabber address"),
        ('ann = { jabber = "a@b@c" }', "ann: 'a@b@c' is not a bare Jabber address"),
        ("ann = ", "cannot be read: "),
        ("\ud800", "cannot be read: "),
        (f"ann = {'[' * 5000}", "cannot be read: "),
        ("\ufeffann = 1", "ann: expected accounts"),
    ],
)
def test_a_mistake_in_the_file_of_the_staff_leaves_the_old_staff(
    tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "staff.toml"
    file.write_text(STAFF, newline="\n")
    staff = Staff(file)
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SettingsError, match=re.escape(f"staff.toml: {problem}")):
        staff.read()
    assert list(staff.people) == ["ann", "bob"]


def test_without_any_network_the_settings_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "staff.toml").write_text(STAFF, newline="\n")
    site = load({"scenario": {"bot-daemon": {"staff": "staff.toml"}}}, tmp_path)
    with (
        World({"servers": []}, rehearsal=True) as world,
        pytest.raises(SettingsError, match="no network"),
    ):
        bot_daemon.run(world.clock, site, world.host)


def test_the_unit_runs_this_page_in_the_foreground_and_waits_until_it_is_ready() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    service = dict(unit["Service"])
    assert service["Type"] == "notify" and "PIDFile" not in service
    assert " -m scenarios run bot-daemon --live /" in service["ExecStart"]
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    # Exit code 2 is that of wrong settings.
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "2")


# ── tickets ──────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def office(world: World) -> Iterator[tuple[Application, Tickets]]:
    """Yields an application, and its tickets as the daemon sees them."""
    app = Application(world.folder, world.clock.time)
    database = opened("sqlite:///tickets.sqlite3", world.folder.joinpath, app.metadata)
    with database as engine, State(world.folder / "bot.sqlite3") as state:
        yield app, tickets_of(engine, state)


def tickets_of(engine: Engine, state: State, kind: type[Tickets] = Tickets) -> Tickets:
    return kind(engine, tickets_model.Ticket, state, 0.0)


def test_messages_are_understood_or_answered_with_help() -> None:
    with World({"servers": []}, rehearsal=True) as world, office(world) as (app, tickets):
        app.opens("A")
        for text, answer in (
            ("open", "1 open:\n#1 A (carol@customer.test)"),
            ("show 1", "#1 A (carol@customer.test)\nPlease help."),
            ("?", HELP),
            ("close 0", "There is no ticket #0"),
            ("close 999999999", "There is no ticket #999999999"),
            ("Close\n#1", "#1 is closed"),
            ("show 1", "#1 A (carol@customer.test) (closed)\nPlease help."),
            ("close 1", "#1 was closed before"),
            ("open", "0 open"),
        ):
            assert tickets.answer(text, 0.0)[0] == answer
        for text in ("", "close", "close 1 2", "close \u0661", "1; close 1", "x" * 10_000):
            answer, closed = tickets.answer(text, 0.0)
            assert answer == f"I do not understand that. {HELP}" and not closed, text


def test_a_list_of_many_tickets_is_cut() -> None:
    with World({"servers": []}, rehearsal=True) as world, office(world) as (app, tickets):
        app.opens("A\n" * 1000, 25)
        lines = tickets.answer("open", 0.0)[0].splitlines()
    assert lines[0] == "25 open:" and lines[-1] == "and 5 more" and len(lines) == ROWS + 2
    assert max(map(len, lines)) < 120


# ── drills ───────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_ticket_is_told_at_most_once_wherever_the_connection_is_cut() -> None:
    act = next(act for act in PAGE.acts() if act.name == "bot-daemon-odd")
    records = [item for item in rehearse(PAGE, act).recording if isinstance(item, Record)]
    # Of the ways to lose it, each unit meets at least one.
    for cut in list(drills.cuts(records))[::7]:
        performance = rehearse(PAGE, act, [cut])
        sent = Counter(
            re.sub(rb" id='[^']*'", b"", record.raw)
            for record in performance.recording
            if isinstance(record, Record) and record.direction == "C" and b"New t" in record.raw
        )
        assert sum(sent.values()) <= 1, cut
        assert performance.tracebacks == [], cut


@pytest.mark.slow
def test_a_ticket_is_told_at_most_once_wherever_the_daemon_is_killed(tmp_path: Path) -> None:
    def kill(step: int) -> int | None:
        with World({**bot_daemon.WORLD, "servers": ["toc"]}) as world:
            bob, app = world.aim.actor("Bob"), Application(world.folder, time.time)
            bob.signs_on()
            first = drills.killed(0, PAGE.module, world.settings, world.folder)
            app.opens("The printer is on fire")
            steps = drills.killed(step, PAGE.module, world.settings, world.folder)
            drills.killed(0, PAGE.module, world.settings, world.folder)
            assert first and len(bob.heard) <= 1, step
            if step in (0, 1):
                bob.wait_for(lambda im: "printer" in im.text, timeout=PATIENCE)
            return steps

    assert drills.each_step(kill) > 10


# ── signals ──────────────────────────────────────────────────────────────────


def test_a_message_is_answered_even_if_the_program_is_asked_to_stop_meanwhile() -> None:
    class Stopping(Tickets):
        """Tickets during whose work SIGTERM arrives."""

        def answer(self, text: str, now: float) -> tuple[str, int]:
            clock.stop()
            return super().answer(text, now)

    clock, host = RealClock(), RecordingHost()
    with (
        contextlib.closing(clock),
        World({**bot_daemon.WORLD, "servers": ["toc"]}) as world,
        opened("sqlite://", world.folder.joinpath, tickets_model.Base.metadata) as engine,
        State(world.folder / "bot.sqlite3") as state,
    ):
        (world.folder / "staff.toml").write_text(STAFF, newline="\n")
        staff, bob = Staff(world.folder / "staff.toml"), world.aim.actor("Bob")
        bob.signs_on()
        aim = Aim(load(world.settings, world.folder).server("toc"), clock, host, state)
        with Company([aim], clock, host) as company:
            bob.says("TicketBot", "help")
            tickets = tickets_of(engine, state, Stopping)
            bot_daemon.Daemon(company, tickets, staff, clock, host).run(0.01)
        assert bob.wait_for(lambda im: im.text == HELP, timeout=PATIENCE)


class Supervisor:
    """What systemd is to a daemon: it starts it, and hears what it reports."""

    def __init__(self, folder: Path, site: Path) -> None:
        self._site, self._name = site, str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._name)
        self._socket.settimeout(PATIENCE)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, monkeypatch: pytest.MonkeyPatch, *options: str) -> subprocess.Popen[str]:
        """Starts a daemon."""
        with monkeypatch.context() as patch:
            patch.setenv("NOTIFY_SOCKET", self._name)
            words = ("run", "bot-daemon", "--live", str(self._site), *options)
            self.started.append(start_command(*words))
        return self.started[-1]

    def report(self) -> list[str]:
        """Returns the next report of a daemon, as lines."""
        return self._socket.recv(4096).decode().splitlines()

    def close(self) -> None:
        """Ends what still runs."""
        self._socket.close()
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_a_supervisor_starts_reloads_and_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with World({**bot_daemon.WORLD, "servers": ["toc"], "tls": "off"}) as world:
        bob, app = world.aim.actor("Bob"), Application(world.folder, time.time)
        bob.signs_on()
        site, rules = world.folder / "site.toml", {"scenario": {"bot-daemon": {"poll": 0.05}}}
        lines = toml(merged(world.settings, rules))
        site.write_text("\n".join(lines), "utf-8", newline="\n")
        site.chmod(0o600)
        with contextlib.closing(Supervisor(tmp_path, site)) as supervisor:
            first = supervisor.start(monkeypatch)
            assert supervisor.report() == ["READY=1"]
            refused = supervisor.start(monkeypatch)
            assert refused.wait(PATIENCE) == 5, "a second one on the same state"
            first.send_signal(signal.SIGKILL)
            first.wait(PATIENCE)
            app.opens("The printer is on fire")
            second = supervisor.start(monkeypatch)
            assert supervisor.report() == ["READY=1"], "the lock of a dead one is no lock"
            assert bob.wait_for(lambda im: "printer" in im.text, timeout=PATIENCE)
            second.send_signal(signal.SIGHUP)
            reloading, since = supervisor.report()
            assert reloading == "RELOADING=1" and re.fullmatch(r"MONOTONIC_USEC=\d+", since)
            assert supervisor.report() == ["READY=1"]
            second.send_signal(signal.SIGTERM)
            assert supervisor.report() == ["STOPPING=1"]
            _, log = second.communicate(timeout=PATIENCE)
            assert second.returncode == 0 and "info reloaded people=2" in log
            assert len(bob.heard) == 1
