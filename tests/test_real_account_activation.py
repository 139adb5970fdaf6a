"""account-activation on a real PostgreSQL, through a real Postfix, and in a real browser."""

# apt-get install: postgresql postfix chromium

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine

from comms.clock import RealClock
from fakes import World
from scenarios.sending import account_activation
from scenarios.sending.account_activation_desk import Desk
from scenarios.sending.account_activation_model import Base
from scenarios.sending.account_activation_samples import ANN, BOB, BOT, TEMPLATES, link
from scenarios.web import Tokens
from tests import drills
from tests.databases import emptied, on_database, rows
from tests.real import free_port, need, postfix, wait_for_port
from tests.scripted import RecordingHost
from tests.visited import FORM

# Imported when a test runs: the quick tests collect this file, too.
if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parent.parent
PLAIN = {**account_activation.WORLD, "tls": "off"}


# ── PostgreSQL ───────────────────────────────────────────────────────────────


def killed(at: int, database: str, folder: Path) -> int | None:
    """Kills the program at a step of Ann's sign-up; two others go on, and she activates."""
    folder.mkdir()
    with World(PLAIN) as world:
        tables = on_database(world, database)
        steps = drills.killed(at, "tests.visited", tables, folder)
        assert drills.together(2, "tests.visited", tables, folder) == [0, 0]
        [(status,)] = rows(database, "SELECT status FROM asked")
        mails = world.mail.messages
        assert status in ("sent", "unknown")
        assert len(mails) == 1 if status == "sent" else len(mails) <= 1, "nobody twice"
        if mails:
            (folder / "token").write_text(link(world).partition("=")[2])
            drills.killed(at, "tests.visited", tables, folder)
            assert drills.together(2, "tests.visited", tables, folder) == [0, 0]
            assert rows(database, "SELECT key, form FROM account") == [(ANN, FORM)], "once"
            assert len(world.mail.messages) == 1
    return steps


@pytest.mark.real
def test_killed_at_the_first_middle_or_last_step_nobody_is_missing(
    postgres: str, tmp_path: Path
) -> None:
    steps = killed(0, emptied(postgres), tmp_path / "whole")
    assert steps is not None
    for at in (1, steps // 2, steps):
        assert killed(at, emptied(postgres), tmp_path / str(at)) is None, "it was killed"


@pytest.mark.real
def test_of_many_requests_at_once_as_many_are_taken_as_are_allowed(postgres: str) -> None:
    engine = create_engine(emptied(postgres), pool_size=16)
    Base.metadata.create_all(engine)
    rules = account_activation.Rules(
        site="https://shop.test", sender=BOT, mails=3, requests=10, database=postgres
    )
    clock = RealClock()
    tokens = Tokens(["k" * 40], "activation", clock)
    desk = Desk(rules, engine, tokens, clock, RecordingHost())
    with ThreadPoolExecutor(16) as threads:
        one_address = [
            threads.submit(desk.ask, ANN, "Ann", f"192.0.2.{n}", f"{n:020}") for n in range(40)
        ]
        one_client = [
            threads.submit(desk.ask, f"x{n}@a.test", "X", "192.0.2.99", f"1{n:019}")
            for n in range(40)
        ]
    assert all(one.result() for one in one_address)
    assert sum(one.result() for one in one_client) == 10
    assert rows(postgres, f"SELECT count(*) FROM asked WHERE key = '{ANN}'") == [(3,)]
    token = tokens.sign(rows(postgres, f"SELECT token FROM asked WHERE key = '{ANN}'")[0][0])
    with ThreadPoolExecutor(16) as threads:
        clicks = [threads.submit(desk.activate, token, f"{n:020}") for n in range(40)]
    assert sum(one.result() for one in clicks) == 1, "a link works once"
    clock.close()
    engine.dispose()


# ── a browser ────────────────────────────────────────────────────────────────


@contextmanager
def running(folder: Path, smtp: str, more: str = "") -> Iterator[tuple[str, list[int]]]:
    """Runs the program as an operator does. Yields its URL, and its exit code after the end."""
    port = free_port()
    site = folder / "site.toml"
    site.write_text(
        f"""
        {smtp}
        [scenario.account-activation]
        site = "http://127.0.0.1:{port}"
        listen = "127.0.0.1:{port}"
        sender = "YourCo <{BOT}>"
        templates = "{TEMPLATES}"
        poll = 0.2
        {more}
        """
    )
    site.chmod(0o600)
    command = [sys.executable, "-m", "scenarios", "run", "account-activation", "--live", str(site)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, text=True)
        codes: list[int] = []
        try:
            wait_for_port(port)
            yield f"http://127.0.0.1:{port}", codes
        finally:
            os.kill(process.pid, signal.SIGINT)  # Ctrl-C
            codes.append(process.wait(20))


def server_of(world: World) -> str:
    host, port = world.address("smtp")
    return f'[smtp]\nhost = "{host}"\nport = {port}\ntls = "none"\n'


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of Debian's Chromium, which runs no scripts."""
    from playwright.sync_api import sync_playwright

    chromium = need("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser.new_context(java_script_enabled=False).new_page()
        browser.close()


def sign_up(page: Page, url: str, address: str) -> None:
    page.goto(url)
    page.get_by_label("Name").fill("<b>Ann</b>")
    page.get_by_label("Mail address").fill(address)
    page.get_by_role("button", name="Sign up").press("Enter")


def heading(page: Page, text: str) -> None:
    from playwright.sync_api import expect

    expect(page.get_by_role("heading")).to_have_text(text)


@pytest.mark.browser
def test_ann_signs_up_reads_her_mail_and_presses_the_button(page: Page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    wanted: list[str] = []
    page.on("request", lambda request: wanted.append(request.url))
    with World(PLAIN) as world, running(tmp_path, server_of(world)) as (url, codes):
        sign_up(page, url, ANN)
        heading(page, "Look into your mailbox")
        page.reload()  # sends no form again
        [address] = world.mail.wait_for(to=ANN, timeout=20).links()
        page.goto(address)
        heading(page, "Activate your account")
        expect(page.get_by_role("definition").first).to_have_text("<b>Ann</b>")
        page.get_by_role("button", name="Activate").click()
        heading(page, "Your account is active")
        page.goto(address)
        heading(page, "This link does not work")

        page.get_by_role("link", name="send another one").click()
        page.get_by_label("Mail address").fill(ANN)
        page.get_by_role("button", name="Send it again").click()
        heading(page, "Look into your mailbox")
        world.mail.wait_for(subject="Your account is active already", timeout=20)
        assert len(world.mail.messages) == 2
    assert codes == [0]
    assert all(one.startswith(url) or one == "data:," for one in wanted), "nothing from elsewhere"
    token = re.search(r"token=(\S+)", address)
    log = (tmp_path / "log").read_text()
    assert token and token[1] not in log and "activated" in log


@pytest.mark.browser
def test_every_page_fits_and_has_enough_contrast(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = need("chromium", "chromium")
    with World(PLAIN) as world, running(tmp_path, server_of(world)) as (url, _):
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium)
            for scheme, width in itertools.product(("light", "dark"), (320, 1280)):
                look: Any = {
                    "color_scheme": scheme,
                    "viewport": {"width": width, "height": 640},
                }
                page = browser.new_context(**look).new_page()
                for path in ("sign-up", "resend", "sent", "activate?token=x", "active", "none"):
                    page.goto(f"{url}/{path}")
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, path
                    for element in ("h1", "p", "label", "button", "a", ".soft"):
                        if page.locator(element).count():
                            found = page.evaluate(CONTRAST, element)
                            assert found >= 4.5, (scheme, path, element)
            browser.close()


# WCAG 2.2 §1.4.3: the ratio of the luminance of a text and of what is behind it.
CONTRAST = """(name) => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  let behind = document.querySelector(name);
  const text = light(getComputedStyle(behind).color);
  while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') {
    behind = behind.parentElement;
  }
  const ground = light(getComputedStyle(behind).backgroundColor);
  return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
}"""


# ── Postfix ──────────────────────────────────────────────────────────────────


@pytest.mark.real
def test_the_mail_goes_out_through_postfix_and_its_link_works(
    postgres: str, tmp_path: Path
) -> None:
    import http.cookiejar
    import urllib.error
    import urllib.parse
    import urllib.request

    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    opener = urllib.request.build_opener(cookies)

    def opened(url: str, **fields: str) -> str:
        with opener.open(url, timeout=20) as answer:
            html = answer.read().decode()
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', html))
        action = re.search(r'action="([^"]*)"', html)
        assert action is not None
        data = urllib.parse.urlencode({**hidden, **fields}).encode()
        with opener.open(urllib.parse.urljoin(url, action[1]), data, timeout=20) as answer:
            return str(answer.read().decode())

    with World({**PLAIN, "person": [{"address": one} for one in (BOT, ANN)]}) as world:
        with postfix([ANN], deliver_to=world.address("smtp")[1]) as (relay, authority, _):
            smtp = f'[smtp]\nhost = "localhost"\nport = {relay.port}\n'
            smtp += f'ca_file = "{authority.ca_file}"\n'
            database = f'database = "{emptied(postgres)}"'
            with running(tmp_path, smtp, database) as (url, codes):
                for name, address in (("Bob", BOB), ("Ann", ANN)):
                    assert "Look into your mailbox" in opened(
                        f"{url}/sign-up", name=name, address=address
                    )
                mail = world.mail.wait_for(to=ANN, timeout=30)
                assert "Your account is active" in opened(mail.links()[0])
                with pytest.raises(urllib.error.HTTPError, match="410"):
                    opened(mail.links()[0])
    assert codes == [0]
    found = dict(rows(postgres, "SELECT address, status FROM asked"))
    assert found == {ANN: "sent", BOB: "refused"}
    assert rows(postgres, "SELECT key, name FROM account") == [(ANN, "Ann")]
