"""A scenario's program on fake servers in real time: `python -m scenarios live`."""

from __future__ import annotations

import os
import poplib
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fakes.world import World
from scenarios import catalogue, site
from scenarios.errors import ROOT
from tests.command import run_command


def test_ctrl_c_ends_the_program_with_exit_code_0(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "scenarios", "live", "mysql-by-mail", "--out", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    runs = process.stderr.readline()
    assert "info runs scenario=mysql-by-mail pop3=" in runs and 'ends="Ctrl-C or SIGTERM"' in runs
    shown = ""
    while "settings: " not in shown:
        shown += process.stdout.readline()
    # A mail program can log in with what is shown.
    (host, port), *_ = re.findall(r"pop3: (\S+) port (\d+)", shown)
    (user, password), *_ = re.findall(r"account: (jeremy\S+), password (\S+)", shown)
    client = poplib.POP3(host, int(port), timeout=20)
    assert client.user(user) and client.pass_(password) and client.quit()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in err) == (0, False)
    assert f"settings: {tmp_path}/site.toml" in shown
    assert os.stat(tmp_path / "site.toml").st_mode & 0o077 == 0


def test_a_program_that_is_done_ends_by_itself(tmp_path: Path) -> None:
    done = run_command("live", "inbox-count", "--out", str(tmp_path))
    assert done.returncode == 0 and done.stdout.endswith("You don't have any email!\n")


def test_a_folder_that_is_a_file_is_an_error_of_one_line() -> None:
    done = run_command("live", "inbox-count", "--out", "/dev/null")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "error: --out: /dev/null cannot be written: " in done.stderr


def test_no_command_is_run_on_the_machine_of_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = site.CautiousHost()
    outcome = host.run(["touch", str(tmp_path / "ran")], 1)
    assert outcome.code == 0 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", catalogue.pages(), ids=lambda page: page.name)
def test_the_settings_file_says_what_the_settings_of_the_world_are(page: catalogue.Page) -> None:
    with World(page.acts()[0].world, rehearsal=True) as world:
        assert tomllib.loads("\n".join(site.toml(world.settings))) == world.settings


def test_what_an_act_left_can_be_read_by_a_mail_program_until_ctrl_c() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "scenarios", "run", "inb", "--act", "inbox-count", "--keep"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    shown = ""
    while "In a mail program" not in shown:
        shown += process.stdout.readline()
    (host, port), *_ = re.findall(r"pop3: (\S+) port (\d+)", shown)
    (user, password), *_ = re.findall(r"account: (ruby\S+), password (\S+)", shown)
    client = poplib.POP3(host, int(port), timeout=20)
    assert client.user(user) and client.pass_(password)
    assert b"Subject: mail 2" in client.retr(2)[1]
    client.quit()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


def test_record_writes_what_a_run_prints() -> None:
    file = ROOT / "tests" / "stories" / "inbox-count.txt"
    kept = file.read_bytes()
    done = run_command("record", "inbox-count")
    assert done.stdout == "written: tests/stories/inbox-count.txt\n"
    assert file.read_bytes() == kept
