"""A scenario's program on fake servers in real time: `python -m scenarios live`."""

from __future__ import annotations

import os
import poplib
import re
import tempfile
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from comms import xmpp
from comms.clock import RealClock
from comms.settings import Server
from comms.toc.client import Client as AimClient
from fakes.world import World
from scenarios import catalogue, rehearsal, site
from scenarios.errors import ROOT
from scenarios.rehearsal import Performance
from tests.command import interrupt, read_until, run_command, start_command
from tests.scripted import RecordingHost


@pytest.mark.slow
def test_ctrl_c_ends_the_program_with_exit_code_0(tmp_path: Path) -> None:
    process = start_command("live", "mysql-by-mail", "--out", str(tmp_path))
    assert process.stderr is not None
    runs = process.stderr.readline()
    assert "info runs scenario=mysql-by-mail pop3=" in runs and 'ends="Ctrl-C or SIGTERM"' in runs
    shown = read_until(process, "settings: ")
    # A mail program can log in with what is shown.
    (host, port), *_ = re.findall(r"pop3: (\S+) port (\d+)", shown)
    (user, password), *_ = re.findall(r"account: (jeremy\S+), password (\S+)", shown)
    client = poplib.POP3(host, int(port), timeout=20)
    assert client.user(user) and client.pass_(password) and client.quit()
    code, err = interrupt(process)
    assert (code, "Traceback" in err) == (0, False)
    assert f"settings: {tmp_path}/site.toml" in shown
    assert shown.startswith("Commands such as systemctl are logged, and not run.\n")
    assert os.stat(tmp_path / "site.toml").st_mode & 0o077 == 0


def test_a_program_that_is_done_ends_by_itself(tmp_path: Path) -> None:
    done = run_command("live", "inbox-count", "--out", str(tmp_path))
    end = "inbox-count has ended with exit code 0, and so have the servers."
    last = done.stdout.splitlines()[-2:]
    assert (done.returncode, last) == (0, ["You don't have any email!", end])


def test_without_a_folder_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = run_command("live", "inbox-count")
    assert f"settings: {tmp_path}/inbox-count-" in done.stdout
    assert done.returncode == 0 and list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_an_error_of_one_line() -> None:
    done = run_command("live", "inbox-count", "--out", "/dev/null")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "error: --out: /dev/null cannot be written: " in done.stderr


def test_no_command_is_run_on_the_machine_of_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with World({"servers": []}) as world:
        outcome = site.CautiousHost(world).run(["touch", str(tmp_path / "ran")], 1)
    assert outcome.code == 0 and list(tmp_path.iterdir()) == []


def test_the_names_of_the_world_s_web_server_lead_to_it_and_others_elsewhere() -> None:
    with World({"servers": ["webhook"], "webhook": {"hosts": ["app.test"]}}) as world:
        host = site.CautiousHost(world)
        assert host.addresses("app.test", 80) == [world.address("webhook")]
        assert host.addresses("127.1", 80) == [("127.0.0.1", 80)]


@pytest.mark.parametrize("page", catalogue.pages(), ids=lambda page: page.name)
def test_the_settings_file_says_what_the_settings_of_the_world_are(page: catalogue.Page) -> None:
    with World(page.acts()[0].world, rehearsal=True) as world:
        assert tomllib.loads("\n".join(site.toml(world.settings))) == world.settings


# ── what an act has left ─────────────────────────────────────────────────────


@pytest.mark.slow
def test_what_an_act_left_is_served_to_a_jabber_client_until_ctrl_c() -> None:
    process = start_command("run", "jabber-hello", "--act", "jabber-hello", "--keep")
    shown = read_until(process, "In a mail program")
    (host, port), *_ = re.findall(r"xmpp: (\S+) port (\d+)", shown)
    ((user, password),) = re.findall(r"account: (bot\S+), password (\S+) \(1 contact\)", shown)
    server = Server("xmpp", host, int(port), tls="none", user=user, password=password, jid=user)
    with closing(RealClock()) as clock, xmpp.Client(server, clock, RecordingHost()) as client:
        assert client.subscribed_to("them@yourco.test")
        assert not client.subscribed_to("shy@yourco.test")
    assert interrupt(process) == (0, "")


def performed(scenario: str, act: str) -> Performance:
    page = catalogue.named(scenario)
    (played,) = [one for one in page.acts() if one.name == act]
    return rehearsal.rehearse(page, played)


def test_what_an_act_left_can_be_read_by_a_mail_program() -> None:
    with site.left(performed("inbox-count", "inbox-count")) as world:
        client = poplib.POP3(*world.address("pop3"), timeout=20)
        assert client.user(world.program.address) and client.pass_(world.program.password)
        assert b"Subject: mail 2" in client.retr(2)[1]
        client.quit()


def test_the_accounts_of_an_act_can_sign_on_to_aim_with_their_buddies() -> None:
    performance = performed("aim-callbacks", "aim-on-im")
    (bot, *_) = performance.stored["aim"]
    bot.lists.change(lambda: bot.lists.add_buddy("Found", "Stranger"))
    bot.password = "changed"
    with site.left(performance) as world:
        host, port = world.address("toc")
        server = Server("toc", host, port, screen_name=bot.screen_name, password=bot.password)
        with closing(RealClock()) as clock, AimClient(server, clock, RecordingHost()) as client:
            client.connect()
            assert world.aim.online == [bot.screen_name]
        (config,) = [record.raw for record in world.records if b"CONFIG2" in record.raw]
    assert b"g:Friends\nb:Friend\ng:Found\nb:Stranger\n" in config


def test_record_writes_what_a_run_prints() -> None:
    file = ROOT / "tests" / "stories" / "inbox-count.txt"
    kept = file.read_bytes()
    done = run_command("record", "inbox-count")
    assert done.stdout == "written: tests/stories/inbox-count.txt\n"
    assert file.read_bytes() == kept
