"""`python -m scenarios`: its words, its output, and its exit codes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scenarios.__main__ import _extras_with, main
from scenarios.errors import ROOT

CRASH = "apache-crash-alert"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


def test_list_names_every_scenario_with_section_and_protocols(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "list")
    assert code == 0 and "apache-alert" in out and "Listing 6.2 · SMTP" in out
    code, out, _ = run(capsys, "list", "--json")
    assert set(json.loads(out)[0]) == {"name", "title", "section", "protocols"}


def test_a_run_shows_title_people_time_and_claims(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "run", "apache-alert", "--act", CRASH)
    assert code == 0
    for shown in (
        "act apache-crash-alert: Apache dies at 00:01",
        "00:01:00  web1          apache2 dies",
        "says: ** Process is down",
        'mails jeremy@yourco.test, michael@yourco.test: "Apache is down on',
        "✓ 4 of 4 claims",
        "apache-crash-alert  4 of 4  jeremy 1, michael 1",
        "1 act · 4 claims hold · WIRE=all shows the wire",
    ):
        assert shown in out
    assert "✓ each administrator gets one mail" not in out


def test_the_wire_and_the_claims_are_shown_if_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["run", "apache-alert", "--act", CRASH, "--claims", "--wire", "smtp:1"]
    code, out, _ = run(capsys, *words)
    assert code == 0
    for shown in (
        "Words in {braces} stand for secrets",
        "00:01:00  web1.yourco.test: apache2 dies",
        "says: ** Process is down",
        "C: EHLO web1.yourco.test",
        "RFC 5321 §4.1.1.1",
        "{cram-md5 notifier@yourco.test}",
        "✓ each administrator gets one mail",
    ):
        assert shown in out
    code, _, err = run(capsys, "run", "apache-alert", "--wire", "smpt")
    assert code == 2 and "--wire: unknown 'smpt' (did you mean 'smtp'?)" in err


@pytest.mark.slow
def test_quiet_prints_nothing_when_everything_is_as_expected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(capsys, "run", "apache-alert", "--quiet") == (0, "", "")
    assert run(capsys, "run", "apache-alert", "--as", "book", "--quiet") == (0, "", "")
    # Two acts make a claim of the same text, and only one of them breaks.
    assert run(capsys, "run", "mysql-by-mail", "--as", "book", "--quiet") == (0, "", "")


def test_a_broken_claim_is_exit_1_with_what_was_expected_and_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("run", "apache-alert", "--fault", 'DATA reply "554 no"', "--act", CRASH)
    code, out, _ = run(capsys, *words, "--quiet")
    assert code == 1
    assert out == (
        "  ✗ each administrator gets one mail\n"
        '      wanted: jeremy@yourco.test: "Apache is down on web1.yourco.test"\n'
        "      found:  jeremy@yourco.test: nothing\n"
        "  ✗ the envelope has bare addresses\n"
        "      wanted: (notifier@yourco.test jeremy@yourco.test michael@yourco.test)\n"
        "      found:  nothing\n"
        "  ✗ the mail says since when Apache is down\n"
        "      found:  no text\n"
    )
    code, out, _ = run(capsys, *words, "--json")
    claims = json.loads(out)[0]["acts"][0]["claims"]
    assert claims[0] == {
        "text": "the console reports the crash once",
        "holds": True,
        "expected": None,
        "found": None,
        "mistake": None,
    }
    assert claims[2] == {
        "text": "the envelope has bare addresses",
        "holds": False,
        "expected": "[('notifier@yourco.test', 'jeremy@yourco.test', 'michael@yourco.test')]",
        "found": "[]",
        "mistake": None,
    }


def test_a_listing_can_be_played_with_a_mistake_mended(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("run", "apache-alert", "--act", CRASH, "--as", "book")
    code, out, _ = run(capsys, *words)
    assert code == 0 and "MENDED=1 mends it" in out
    code, out, _ = run(capsys, *words, "--mended", "1")
    assert code == 0 and "as printed but for mistake 1 (" in out
    assert '      found:  49 × "** Process is down"\n      mistake 2: ' in out
    code, _, err = run(capsys, *words, "--mended", "3")
    assert code == 2 and "--mended 3: " in err and "choose from: 1" in err
    code, _, err = run(capsys, "run", "apache-alert", "--mended", "1")
    assert code == 2 and "write --as book" in err


@pytest.mark.slow
def test_both_ways_can_be_shown_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "run", "apache-alert", "--act", CRASH, "--diff")
    assert code == 0 and "from here they differ" in out
    assert "web1: apache2 dies                          │ web1: apache2 dies" in out
    words = ("run", "apache-alert", "--act", CRASH, "--diff", "--mended", "1")
    code, out, _ = run(capsys, *words)
    assert code == 0 and "the same again (47 times)" in out
    code, _, err = run(capsys, "run", "apache-alert", "--diff", "--as", "book")
    assert code == 2 and "leave it out, because --diff shows both ways" in err
    code, _, err = run(capsys, "run", "apache-alert", "--diff", "--act", "apache-crash-cron")
    assert code == 2 and "no listing was printed" in err


def test_nothing_is_expected_of_a_listing_that_meets_a_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("run", "apache-alert", "--act", CRASH, "--as", "book")
    code, out, _ = run(capsys, *words, "--fault", "EHLO hang up")
    assert code == 0 and "✗ each administrator gets one mail" in out
    assert "for you to judge" in out and "expected to break" not in out


def test_the_beginning_of_a_name_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "run", "inb", "--act", "apop", "--quiet") == (0, "", "")


def test_an_act_can_be_named_by_the_number_that_the_table_of_faults_shows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "run", "inbox-count", "--act", "3")
    assert code == 0 and "\nact apop-login: " in out and out.count("\nact ") == 1
    code, out, _ = run(capsys, "run", "aim-hello", "--act", "3", "--fault", "all")
    assert code == 0 and "acts: 3 aim-wrong-password\n" in out
    assert re.search(r"^  fault +3$", out, re.M)


@pytest.mark.slow
def test_a_listed_fault_is_exit_0_when_it_has_the_listed_outcome(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fault = 'RCPT arg jeremy* reply "550 no"'
    assert run(capsys, "run", "apache-alert", "--fault", fault, "--quiet") == (0, "", "")
    code, out, _ = run(capsys, "faults", "apache-alert")
    assert code == 0 and "not as listed" not in out
    assert re.search(rf"    {re.escape(fault)} +✗ 2  ✗ 1  ✓    ✓    –   as listed \[1\]\n", out)
    assert re.search(r"for you to judge\n    smtp-421 +✓    ✓    ✓    ✓    –\n", out)
    assert "poison-mail" not in out, "apache-alert reads no mail"
    assert max(map(len, out.splitlines())) <= 100


def test_a_fault_that_nothing_meets_is_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "run", "apache-alert", "--fault", "VRFY reset", "--quiet")
    assert code == 1 and "never met: smtp VRFY reset" in out


def test_json_has_claims_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "run", "apache-alert", "--json")
    (result,) = json.loads(out)
    assert result["exit"] == 0 and result["acts"][0]["claims"][0]["holds"] is True


def test_json_numbers_the_mistakes_of_a_listing(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--act", "apache-lookalikes", "--as", "book", "--json")
    _, out, _ = run(capsys, "run", "apache-alert", *words)
    claims = json.loads(out)[0]["acts"][0]["claims"]
    broken = {claim["text"]: claim["mistake"]["number"] for claim in claims if claim["mistake"]}
    assert broken == {claim["text"]: 4 for claim in claims if not claim["holds"]}
    (place,) = claims[0]["mistake"]["places"]
    assert place.startswith("scenarios/book/apache_alert.py:")


def test_out_keeps_transcript_mails_and_state(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run(capsys, "run", "apache-alert", "--quiet", "--out", str(tmp_path))
    kept = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {f"{CRASH}/transcript.txt", f"{CRASH}/mail-1.eml", f"{CRASH}/state.json"} <= kept
    assert str(tmp_path) not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    state = json.loads((tmp_path / CRASH / "state.json").read_text())
    assert set(state) == {"act", "claims", "events"}
    assert state["claims"]["each administrator gets one mail"] is True
    dies = {"at": 60.0, "who": "web1.yourco.test", "level": "info", "text": "apache2 dies"}
    assert dies in state["events"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["run", "apache-alrt"], "did you mean 'apache-alert'"),
        (["run", "apache-alert", "--act", "apache-crsh-cron"], "did you mean 'apache-crash-cron'"),
        (
            ["run", "apache-alert", "--act", "apache-crash"],
            "'apache-crash' begins several names; choose from: apache-crash-alert, apache-crash-cr",
        ),
        (
            ["run", "mysql"],
            "'mysql' begins several names; choose from: mysql-by-mail, mysql-admin-by-mail, ",
        ),
        (["run", ""], "unknown scenario ''; choose from: compose-message, apache-alert, "),
        (["run", "apache-alert", "--fault", "RCTP reset"], "did you mean 'rcpt'"),
        (["run", "apache-alert", "--fault", "RCPT explode"], "explode"),
        (["run", "apache-alert", "--once"], "--once works only with --live"),
        (["run", "all", "--live", "x.toml"], "write its name instead of all"),
        (["run", "all", "--act", CRASH], "--act plays an act of one scenario; write its name"),
        (["run", "apache-alert", "--live", "no-such.toml"], "cannot be read"),
        (["run", "apache-alert", "--live", "x.toml", "--act", CRASH], "--act is for rehearsals"),
        (["run", "apache-alert", "--live", "x.toml", "--as", "book"], "--as is for rehearsals"),
        (["run", "apache-alert", "--live", "x.toml", "--fault", "smtp-421"], "--fault is for"),
        (["run", "apache-alert", "--live", "x.toml", "--out", "x"], "--out is for rehearsals"),
        (["run", "apache-alert", "--fault", "all", "--as", "book"], "--as is for one fault"),
        (["run", "apache-alert", "--fault", "all", "--out", "x"], "--out is for one fault"),
        (["run", "inbox-count", "--quiet", "--out", "/dev/null"], "/dev/null cannot be written: "),
        (
            ["report", "inbox-count", "--out", "/dev/null/x"],
            "--out: /dev/null/x cannot be written: ",
        ),
        (
            ["run", "inbox-count", "--act", "5"],
            "no act 5; choose from: 1 inbox-count, 2 inbox-count-",
        ),
        (["run", "inbox-count", "--act", "0"], "inbox-count has no act 0; choose from: 1 inbox"),
        (
            ["run", "inbox-count", "--wire", "smtp"],
            "nobody speaks smtp here; choose from: all, pop3",
        ),
        (
            ["run", "inbox-count", "--wire", "pop3:99"],
            "no session pop3:99 here; choose from: pop3:1 ",
        ),
        (["run", "inbox-count", "--wire", "pop3:0"], "'0' must be the number of a session, as in"),
        (["run", "inbox-count", "--live", "x", "--keep"], "--keep is for rehearsals; leave it out"),
        (["run", "inbox-count", "--fault", "all", "--keep"], "--keep is for one fault; write it"),
        (["live", "inbox-cuont"], "unknown scenario 'inbox-cuont' (did you mean 'inbox-count'?)"),
        (["record", "inbox-cuont"], "(did you mean 'inbox-count'?)"),
        (["faults", "inbox-cuont"], "(did you mean 'inbox-count'?)"),
    ],
)
def test_wrong_words_are_exit_2_with_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    code, _, err = run(capsys, *words)
    assert code == 2 and text in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["rnu"], "invalid choice: 'rnu'"),
        (["fautls"], "(did you mean 'faults'?)"),
        (["run", "apache-alert", "--as", "bock"], "(did you mean 'book'?)"),
        (["run", "apache-alert", "--fualt", "x"], "(did you mean '--fault'?)"),
        (["run", "apache-alert", "--act"], "argument --act: expected one argument;"),
        (["run"], "the following arguments are required: NAME;"),
        ([], "the following arguments are required: WORD;"),
    ],
)
def test_unknown_words_are_exit_2_with_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    err = capsys.readouterr().err
    assert caught.value.code == 2 and text in err and err.count("\n") == 1


@pytest.mark.slow
def test_a_rehearsal_needs_only_the_standard_library() -> None:
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; "
        "import runpy; sys.argv = ['x', 'run', 'apache-alert', '--quiet']; "
        "runpy.run_module('scenarios', run_name='__main__')"
    )
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def install(folder: Path, metadata: str) -> None:
    (folder / "comms_and_fakes-0.2.dist-info").mkdir()
    (folder / "comms_and_fakes-0.2.dist-info" / "METADATA").write_text(metadata)


METADATA = """Metadata-Version: 2.4
Name: comms-and-fakes
Version: 0.2
Provides-Extra: tls
Requires-Dist: trustme<2,>=1.1; extra == "tls"
Provides-Extra: tickets
Requires-Dist: SQLAlchemy<3,>=2.0; extra == "tickets"
Provides-Extra: templates
Requires-Dist: jinja2<4,>=3.1; extra == "templates"
Provides-Extra: receipts
Requires-Dist: fpdf2<3,>=2.8; extra == "receipts"
Provides-Extra: web
Requires-Dist: flask<4,>=3.1; extra == "web"
Provides-Extra: test
Requires-Dist: comms-and-fakes[tickets,tls]; extra == "test"
Requires-Dist: pytz; python_version < "3.12" and extra == "test"
"""


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ("", ""),  # the files were copied
        (METADATA, "'comms-and-fakes[tickets]'"),
        (METADATA.replace("SQLAlchemy", "other"), ""),
        (METADATA.replace('"', "'"), "'comms-and-fakes[tickets]'"),
        ("Metadata-Version: 2.4\nName: comms-and-fakes\nVersion: 0.2\n", ""),
    ],
    ids=["not installed", "installed", "another extra", "older metadata", "no extras"],
)
def test_the_extra_that_installs_a_package_is_found_in_the_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str, wanted: str
) -> None:
    if metadata:
        install(tmp_path, metadata)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert _extras_with(["sqlalchemy"]) == wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "packages", "extras"),
    [
        ("tickets", "sqlalchemy, jinja2, flask", "tickets,templates,web"),
        # fpdf is what fpdf2 is imported as; the package of that name is an older one.
        ("order-receipt", "sqlalchemy, jinja2, fpdf", "tickets,templates,receipts"),
    ],
)
def test_without_a_needed_package_the_command_that_installs_its_extra_is_shown(
    tmp_path: Path, name: str, packages: str, extras: str
) -> None:
    install(tmp_path, METADATA)
    for package in ("comms", "fakes", "scenarios"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    # -S: no packages but those of the standard library.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "scenarios", "run", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    wanted = f"'comms-and-fakes[{extras}]'"
    remedy = f"{name} needs {packages}; run: {sys.executable} -m pip install {wanted}\n"
    assert (done.returncode, done.stderr) == (2, f"error: {remedy}")


def test_a_clone_is_found_again_from_any_folder(tmp_path: Path) -> None:
    clone, elsewhere = tmp_path / "clone", tmp_path / "elsewhere"
    for folder in (clone / ".ci", clone / ".venv" / "bin", clone / "scenarios", elsewhere):
        folder.mkdir(parents=True)
    (clone / ".ci" / "venv.py").touch()
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (clone / "scenarios" / "__main__.py").write_text("print('restarted')\n")
    code = (
        f"import sys; sys.path.append({str(ROOT)!r}); from pathlib import Path\n"
        "from types import SimpleNamespace as Page; from scenarios import __main__ as command\n"
        f"command.ROOT = Path({str(clone)!r})\n"
        "command._ensure_packages(Page(name='tickets', missing=['sqlalchemy']))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "restarted\n"), done.stderr
