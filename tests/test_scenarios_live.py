"""Programs on real servers: as a process, with a settings file, until a signal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from fakes.world import World
from scenarios import catalogue
from scenarios.live import run_live, tables
from tests.command import handlers_restored, run_command, start_command
from tests.scripted import RecordingHost


def settings_file(
    world: World, folder: Path, extra: str = "", name: str = "no-such-service"
) -> Path:
    smtp = world.settings["smtp"]
    settings = folder / "site.toml"
    settings.write_text(
        f'[smtp]\nhost = "{smtp["host"]}"\nport = {smtp["port"]}\ntls = "none"\n'
        'user = "alice"\npassword = "secret"\ntimeout = 5\n'
        '[scenario.apache-alert]\nadmins = ["bob@example.test"]\n'
        f'processes = ["{name}"]\nevery = 0.02\n{extra}'
    )
    settings.chmod(0o600)
    return settings


def live(
    world: World, folder: Path, *options: str, name: str = "no-such-service"
) -> subprocess.Popen[str]:
    settings = settings_file(world, folder, name=name)
    return start_command("run", "apache-alert", "--live", str(settings), *options)


@pytest.mark.slow
@pytest.mark.world(servers=["smtp"], tls="off")
def test_a_live_run_goes_on_until_sigterm_and_exits_with_the_verdict(
    world: World, tmp_path: Path
) -> None:
    process = live(world, tmp_path)
    mail = world.mail.wait_for(lambda mail: "is down" in mail.subject, timeout=20)
    assert mail.envelope.to == ["bob@example.test"]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1, err
    assert out == "** Process is down\n"
    assert "info alert-sent to=bob@example.test" in err and "secret" not in err


@pytest.mark.world(servers=["smtp"], tls="off")
def test_a_live_run_with_once_is_a_single_round(world: World, tmp_path: Path) -> None:
    process = live(world, tmp_path, "--once", name=os.path.basename(sys.executable)[:15])
    process.communicate(timeout=20)
    assert process.returncode in (0, 1)
    assert not world.mail.messages


@pytest.mark.slow
@pytest.mark.world(servers=["smtp"], tls="off", faults=['AUTH reply "535 5.7.8 no"'])
def test_a_live_run_goes_on_after_a_refused_login_and_logs_it(world: World, tmp_path: Path) -> None:
    process = live(world, tmp_path)
    assert process.stderr is not None
    assert "info runs scenario=apache-alert smtp=127.0.0.1:" in process.stderr.readline()
    line = process.stderr.readline()
    assert "warning alert-waiting to=bob@example.test" in line and "535 5.7.8 no" in line
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 1


@pytest.mark.world(servers=["smtp"], tls="off")
def test_wrong_settings_of_a_live_run_are_exit_2_and_name_the_key(
    world: World, tmp_path: Path
) -> None:
    site = settings_file(world, tmp_path, 'admin = ["x"]\n')
    done = run_command("run", "apache-alert", "--live", str(site))
    err = done.stderr
    assert done.returncode == 2
    assert "scenario.apache-alert.admin" in err and "did you mean 'admins'?" in err
    assert "Traceback" not in err


def test_warnings_come_before_the_line_that_says_that_a_program_runs(tmp_path: Path) -> None:
    def program(clock: Clock, settings: Settings, host: Host) -> int:
        for _ in clock.every(1):
            settings.server("smtp")
            settings.server("pop3")
            break
        return 0

    tables = [
        f'[{name}]\nhost = "{name}.test"\nuser = "a"\npassword = "{name}"\n'
        for name in ("smtp", "pop3", "xmpp")
    ]
    file = tmp_path / "site.toml"
    file.write_text("".join(tables))
    file.chmod(0o644)
    doc = SimpleNamespace(protocols=("POP3", "SMTP"))
    page: Any = SimpleNamespace(name="tickets", doc=doc, run=lambda: program)
    host = RecordingHost()
    with handlers_restored():
        assert run_live(page, file, once=False, host=host) == 0
    assert [line.split("=")[0] for line in host.lines] == [
        "settings trouble",
        "settings trouble",
        "runs scenario",
    ]


@pytest.mark.parametrize("page", catalogue.pages(), ids=lambda page: page.name)
def test_a_program_uses_only_servers_whose_settings_are_read_before_it_runs(
    page: catalogue.Page,
) -> None:
    used = {
        name
        for path in page.sources()
        for name in re.findall(r"settings\.server\(\"(\w+)\"\)", path.read_text("utf-8"))
    }
    if any("settings.mailbox(" in path.read_text("utf-8") for path in page.sources()):
        used |= {"pop3", "imap"}
    assert used <= {*tables(page)}


@pytest.mark.world(servers=["smtp"], tls="off")
def test_a_password_that_others_can_read_is_a_warning_at_the_start(
    world: World, tmp_path: Path
) -> None:
    site = settings_file(world, tmp_path)
    site.chmod(0o644)
    done = run_command("run", "apache-alert", "--live", str(site), "--once")
    warning, *rest = done.stderr.splitlines()
    assert "warning settings trouble=" in warning and "can be read by others" in warning
    assert "can be read by others" not in "".join(rest), "it is said once"
