# apt-get install: postfix chromium
"""Programs that write mails from templates, builds and checks: each once, through a real Postfix.

Postfix needs root.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.world import World
from scenarios.__main__ import main
from scenarios.sending.template_mailer import EXAMPLES
from tests.real import need, postfix

ROOT = Path(__file__).parent.parent
CAROL, DIETER, EVE = (f"{name}@yourco.test" for name in ("carol", "dieter", "eve"))
Live = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def town() -> Iterator[World]:
    """Where Postfix delivers to."""
    people = [{"address": address} for address in (CAROL, DIETER, EVE)]
    with World({"servers": ["smtp"], "person": people}) as world:
        yield world


@pytest.fixture(scope="module")
def live(town: World) -> Iterator[Live]:
    """Runs one round of a program on one Postfix for all tests: `live(folder, name, table)`."""
    with postfix((CAROL, DIETER), town.address("smtp")[1]) as (server, authority, place):

        def run(folder: Path, name: str, table: str) -> subprocess.CompletedProcess[str]:
            (folder / "site.toml").write_text(
                f'[smtp]\nhost = "localhost"\nport = {server.port}\ntimeout = 10\n'
                f'ca_file = "{authority.ca_file}"\n[scenario.{name}]\n'
                + table.replace("POSTFIX", str(place / "etc"))
            )
            command = [sys.executable, "-m", "scenarios", "run", name, "--once", "--live"]
            return subprocess.run(
                [*command, str(folder / "site.toml")],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=60,
            )

        yield run


@pytest.mark.real
def test_mails_from_templates_arrive_as_text_and_html_and_only_once(
    live: Live, town: World, tmp_path: Path
) -> None:
    mails = (EXAMPLES / "mails.toml").read_text("utf-8").replace("customer.test", "yourco.test")
    (tmp_path / "mails.toml").write_text(mails, "utf-8")
    table = f'mails = "mails.toml"\nsender = "YourCo <{CAROL}>"\ntemplates = "{EXAMPLES}"'
    done = live(tmp_path, "template-mailer", table)
    assert "mail-refused to=eve@yourco.test" in done.stderr and "550 5.1.1" in done.stderr
    assert done.returncode == 4
    mail = town.mail.wait_for(to=DIETER, timeout=30)
    assert "Groß" in mail.text and "<b>Groß</b>" in mail.html
    again = live(tmp_path, "template-mailer", table)
    assert (again.returncode, again.stderr) == (0, "")
    assert len(town.mail.inbox(DIETER)) == 1


@pytest.mark.real
def test_postfix_takes_mails_from_its_sendmail_command(
    live: Live, town: World, tmp_path: Path
) -> None:
    mail = f'[[mail]]\nto = "{DIETER}"\ntemplate = "dots"\n'
    (tmp_path / "mails.toml").write_text(mail)
    (tmp_path / "dots.txt").write_text("Subject: By sendmail\n\none\n.\n..two\n")
    command = f'["{need("sendmail", "postfix")}", "-C", "POSTFIX"]'
    table = f'mails = "mails.toml"\nsender = "{CAROL}"\ntemplates = "."\ndeliver = "sendmail"\n'
    done = live(tmp_path, "template-mailer", f"{table}sendmail = {command}\n")
    assert (done.returncode, "mail-sent" in done.stderr) == (0, True), done.stderr
    arrived = town.mail.wait_for(subject="By sendmail", timeout=30)
    assert arrived.raw.endswith(b"\r\n\r\none\r\n.\r\n..two\r\n")
    assert (arrived.envelope.sender, arrived.envelope.to) == (CAROL, [DIETER])


@pytest.mark.browser
def test_a_preview_shows_the_html_and_runs_and_loads_nothing(tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    page_file = tmp_path / "preview.html"
    (tmp_path / "mails.toml").write_text(
        '[[mail]]\nto = "a@b.test"\ntemplate = "evil"\nname = "Zoë"\n'
    )
    (tmp_path / "evil.txt").write_text("Subject: Evil\n\nHello {{ name }}\n")
    # The browser may report as a request what it then refuses to load, so a server listens.
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    here = f"http://127.0.0.1:{server.getsockname()[1]}"
    (tmp_path / "evil.html").write_text(
        "<p>Hello {{ name }}</p><script>document.body.innerHTML = 'evil'</script>"
        f'<img src="{here}/x.png"><a href="{here}/y" target="_top">go</a>'
    )
    (tmp_path / "site.toml").write_text(
        '[scenario.template-mailer]\nmails = "mails.toml"\nsender = "a@b.test"\n'
        'templates = "."\npreview = "preview.html"\n'
    )
    assert main(["run", "template-mailer", "--live", str(tmp_path / "site.toml")]) == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium", "chromium"))
        tab = browser.new_page()
        tab.goto(page_file.as_uri())
        expect(tab.get_by_role("heading", name="Evil")).to_be_visible()
        frame = tab.frame_locator("iframe")
        expect(frame.get_by_text("Hello Zoë")).to_be_visible()
        frame.get_by_role("link").click()
        expect(tab.get_by_role("heading", name="Evil")).to_be_visible()
        browser.close()
    with server, pytest.raises(BlockingIOError):
        server.accept()  # nobody has connected


@pytest.mark.real
def test_a_broken_build_is_mailed_and_mended_in_one_thread(
    live: Live, town: World, tmp_path: Path
) -> None:
    (tmp_path / "1.log").write_text("1 of 2 tests failed\n" * 20_000)
    codes = []
    for number, status in ((1, "failed"), (2, "passed")):
        build = {"branch": "main", "number": number, "status": status, "log": "1.log"}
        with (tmp_path / "builds.jsonl").open("a") as file:
            file.write(json.dumps({**build, "commits": [{"author": f"Carol <{CAROL}>"}]}) + "\n")
        codes.append(live(tmp_path, "build-mail", f'team = ["{DIETER}"]').returncode)
    assert codes == [1, 0]
    broken = town.mail.wait_for(subject="*Build 1 failed", timeout=30)
    fixed = town.mail.wait_for(subject="*Build 2 works again", timeout=30)
    assert fixed.message["References"] == broken.message["Message-ID"]
    assert broken.envelope.to == [CAROL]
    assert 99_000 < len(broken.attachment("*.log")) <= 100_000


@pytest.mark.real
def test_a_digest_of_real_commands_is_mailed_once_for_each_change(
    live: Live, town: World, tmp_path: Path
) -> None:
    (tmp_path / "web1").write_text("disk: 81%\n")
    hosts = f'web1 = ["cat", "{tmp_path}/web1"], db1 = ["sleep", "60"]'
    table = f'hosts = {{ {hosts} }}\nteam = ["{DIETER}"]\ntimeout = 0.1\nonly_changes = true'
    codes = [live(tmp_path, "status-digest", table).returncode for _ in range(2)]
    (tmp_path / "web1").write_text("disk: 98%\n")
    codes.append(live(tmp_path, "status-digest", table).returncode)
    assert codes == [1, 1, 1], "db1 is silent"
    mail = town.mail.wait_for(subject="Status: 1 changed, 1 unknown", timeout=30)
    assert mail.text.startswith("Changed:\n  web1 disk: 81% -> 98%\n\nAs before:\n  db1: unknown (")
    town.mail.wait_for(subject="Status: 2 changed, 1 unknown", timeout=30)
    assert len([mail for mail in town.mail.inbox(DIETER) if "Status" in mail.subject]) == 2
