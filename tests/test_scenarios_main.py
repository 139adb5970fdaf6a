"""`python -m scenarios`: its words, what it shows, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.world import World
from scenarios.__main__ import main

ROOT = Path(__file__).parent.parent


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


def test_list_names_every_scenario_with_section_and_protocols(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "list")
    assert code == 0 and "apache-alert" in out and "Listing 6.2 · SMTP" in out
    code, out, _ = said(capsys, "list", "--json")
    assert {"name", "title", "section", "protocols"} == set(json.loads(out)[0])


def test_a_run_shows_title_people_time_wire_sections_and_claims(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "run", "apache-alert", "--act", "apache-crash-alert")
    assert code == 0
    for shown in (
        "act apache-crash-alert: Apache dies at 00:01", "00:01:00  web1.yourco.test: apache2 dies", "says: ** Process is down",
        "C: EHLO web1.yourco.test", "RFC 5321 §4.1.1.1", "{cram-md5 notifier@yourco.test}", "✓ each administrator got one mail",
    ):  # fmt: skip
        assert shown in out


def test_quiet_says_nothing_when_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "run", "apache-alert", "--quiet") == (0, "", "")
    assert said(capsys, "run", "apache-alert", "--as", "book", "--quiet") == (0, "", "")


def test_a_claim_that_does_not_hold_is_exit_1_with_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "run", "apache-alert", "--fault", 'DATA reply "554 no"', "--quiet")
    assert code == 1 and "✗ each administrator got one mail\n      found instead:" in out


@pytest.mark.slow
def test_a_listed_fault_is_exit_0_when_it_does_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "run", "apache-alert", "--fault", 'RCPT arg jeremy* reply "550 no"', "--quiet") == (0, "", "")
    code, out, _ = said(capsys, "faults", "apache-alert")
    assert code == 0 and 'RCPT arg jeremy* reply "550 no"' in out and "smtp-421" in out and "✗" not in out


def test_a_fault_never_met_is_exit_1_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "run", "apache-alert", "--fault", "VRFY reset", "--quiet")
    assert code == 1 and "never met: smtp VRFY reset" in out


def test_json_has_claims_and_exit(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "run", "apache-alert", "--json")
    (result,) = json.loads(out)
    assert result["exit"] == 0 and result["acts"][0]["claims"][0]["holds"] is True


def test_out_keeps_transcript_mails_and_state(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said(capsys, "run", "apache-alert", "--quiet", "--out", str(tmp_path))
    kept = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {"apache-crash-alert/transcript.txt", "apache-crash-alert/mail-1.eml", "apache-crash-alert/state.json"} <= kept
    assert str(tmp_path) not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


@pytest.mark.parametrize(("words", "says"), [
    (["run", "apache-alrt"], "did you mean 'apache-alert'"),
    (["run", "apache-alert", "--act", "apache-crash"], "did you mean 'apache-crash-"),
    (["run", "apache-alert", "--fault", "RCTP reset"], "did you mean 'rcpt'"),
    (["run", "apache-alert", "--once"], "--once goes with --live"),
    (["run", "all", "--live", "x.toml"], "say its name"),
    (["run", "apache-alert", "--live", "no-such.toml"], "cannot be read"),
])  # fmt: skip
def test_wrong_words_are_exit_2_and_one_line(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    code, _, err = said(capsys, *words)
    assert code == 2 and says in err and err.count("\n") == 1


@pytest.mark.parametrize("words", [["rnu"], ["run", "apache-alert", "--as", "bock"], ["report", "apache-alert"], []])
def test_words_that_are_not_known_are_exit_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


def test_a_rehearsal_starts_with_the_standard_library_alone() -> None:
    code = "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; import runpy; sys.argv = ['x', 'run', 'apache-alert', '--quiet']; runpy.run_module('scenarios', run_name='__main__')"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ── live, on our own servers as a process would meet them ────────────────────────────────────────────────────────


def live(
    world: World, folder: Path, extra: str = "", *options: str, name: str = "no-such-service"
) -> subprocess.Popen[str]:
    smtp = world.settings["smtp"]
    settings = folder / "site.toml"
    settings.write_text(
        f'[smtp]\nhost = "{smtp["host"]}"\nport = {smtp["port"]}\ntls = "none"\nuser = "alice"\npassword = "secret"\ntimeout = 5\n'
        f'[scenario.apache-alert]\nadmins = ["bob@example.test"]\nprocesses = ["{name}"]\nevery = 0.02\n{extra}'
    )
    settings.chmod(0o600)
    return subprocess.Popen(
        [sys.executable, "-m", "scenarios", "run", "apache-alert", "--live", str(settings), *options],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.world(servers=["smtp"], tls="off")
def test_live_runs_until_sigterm_and_ends_with_the_verdict(world: World, tmp_path: Path) -> None:
    process = live(world, tmp_path)
    mail = world.mail.wait_for(lambda mail: "is down" in mail.subject, timeout=20)
    assert mail.envelope.to == ["bob@example.test"]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1, err
    assert out == "** Process is down\n"
    assert "info alert-sent to=bob@example.test" in err and "secret" not in err


@pytest.mark.world(servers=["smtp"], tls="off")
def test_live_once_is_one_round(world: World, tmp_path: Path) -> None:
    process = live(world, tmp_path, "", "--once", name=os.path.basename(sys.executable)[:15])
    process.communicate(timeout=20)
    assert process.returncode in (0, 1)
    assert not world.mail.messages


@pytest.mark.world(servers=["smtp"], tls="off", faults=['AUTH reply "535 5.7.8 no"'])
def test_live_goes_on_when_the_login_is_refused_and_says_so_each_time(world: World, tmp_path: Path) -> None:
    process = live(world, tmp_path)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "warning alert-waiting to=bob@example.test" in line and "535 5.7.8 no" in line
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 1


@pytest.mark.world(servers=["smtp"], tls="off")
def test_live_settings_that_are_wrong_are_exit_2_and_name_the_key(world: World, tmp_path: Path) -> None:
    process = live(world, tmp_path, 'admin = ["x"]\n')
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "scenario.apache-alert.admin is not known (did you mean 'admins'?)" in err and "Traceback" not in err
