"""tickets on a real PostgreSQL with several workers, and its pages in a real browser."""

# apt-get install: postgresql chromium postfix dovecot-imapd dovecot-lmtpd

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fakes import World
from scenarios.processing import tickets
from scenarios.processing.tickets_samples import CAROL, DAVE, LETTER, TICKETS, customer_mail
from tests import drills, visited_tickets
from tests.databases import emptied, on_database, rows
from tests.killed_workers import Kills, street
from tests.real import free_port, need, wait_for_port
from tests.test_real_account_activation import CONTRAST

# Imported when a test runs: the quick tests collect this file, too.
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent
MODULE = tickets.__name__
PLAIN = {**tickets.WORLD, "tls": "off", "servers": ["smtp", "imap"]}


# ── PostgreSQL ───────────────────────────────────────────────────────────────


def killed(at: int, database: str, folder: Path) -> int | None:
    """Kills a worker at a step, while mails arrive; two others go on."""
    folder.mkdir()
    with World(PLAIN) as world:
        settings = on_database(world, database)
        world.mail.deliver(TICKETS, customer_mail("number 0"))
        arriving = threading.Thread(target=world.mail.deliver, args=(TICKETS, LETTER))
        arriving.start()
        steps = drills.killed(at, MODULE, settings, folder)
        arriving.join()
        assert set(drills.together(2, MODULE, settings, folder)) <= {0, 4}
        drills.start_again(MODULE, settings, folder, 1)
        assert world.mail.inbox(TICKETS) == []
        assert rows(database, "SELECT owner FROM ticket ORDER BY owner") == [(CAROL,), (DAVE,)]
        answers = dict(rows(database, "SELECT address, status FROM answer"))
        for address, status in answers.items():
            got = len(world.mail.inbox(address))
            assert got == 1 if status == "sent" else (status, got <= 1) == ("unknown", True)
        assert sorted(answers) == [CAROL, DAVE]
        assert list(answers.values()).count("unknown") <= 1
    return steps


@pytest.mark.real
def test_killed_at_the_first_middle_or_last_step_each_mail_is_one_ticket(
    postgres: str, tmp_path: Path
) -> None:
    steps = killed(0, emptied(postgres), tmp_path / "whole")
    assert steps is not None
    for at in (1, steps // 2, steps):
        assert killed(at, emptied(postgres), tmp_path / str(at)) is None, "it was killed"


@pytest.mark.real
def test_two_workers_on_one_mailbox_make_one_ticket_of_each_mail(
    postgres: str, tmp_path: Path
) -> None:
    database = emptied(postgres)
    with World(PLAIN) as world:
        settings = on_database(world, database, answers=100)
        for number in range(20):
            world.mail.deliver(TICKETS, customer_mail(f"number {number}"))
        for _ in range(2):
            assert set(drills.together(2, MODULE, settings, tmp_path)) <= {0, 4}
        assert world.mail.inbox(TICKETS) == []
        found = rows(database, "SELECT id, subject FROM ticket ORDER BY id")
        assert sorted(subject for _, subject in found) == sorted(f"number {n}" for n in range(20))
        answers = sorted(mail.subject for mail in world.mail.inbox(CAROL))
        wanted = sorted(f"Ticket Created! :: {subject} [#{number}]" for number, subject in found)
        assert answers == wanted, "one answer each"


@pytest.mark.real
def test_killed_at_seeded_points_while_postfix_delivers_each_mail_is_one_ticket(
    postgres: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The seed is printed, so that what was found can be played again."""
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    with street(emptied(postgres)) as town:
        kills = Kills(town, seed, workers=2, folder=tmp_path)
        kills.play(points=4)
    assert kills.killed > 0
    with capsys.disabled():
        print(f"\nSEED={seed}: {kills.killed} killed, {kills.sent} mails, unknown: {kills.unknown}")


@pytest.mark.real
def test_a_form_that_two_workers_get_is_one_answer(postgres: str, tmp_path: Path) -> None:
    database = emptied(postgres)
    with World(PLAIN) as world:
        world.mail.deliver(TICKETS, customer_mail())
        drills.start_again(MODULE, on_database(world, database), tmp_path, 1)
        pages = on_database(world, database, listen="127.0.0.1:8026")
        codes = drills.together(3, visited_tickets.__name__, pages, tmp_path)
        assert set(codes) <= {0, 4}
        drills.start_again(MODULE, on_database(world, database), tmp_path, 1)
        assert rows(database, "SELECT status FROM answer WHERE agent != ''") == [("sent",)]
        texts = [mail.text for mail in world.mail.inbox(CAROL)]
        assert len([one for one in texts if visited_tickets.ANSWER in one]) == 1


# ── a browser ────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def running(folder: Path, world: World) -> Iterator[str]:
    """Runs the program as an operator does. Yields the URL of its pages."""
    port, lines = free_port(), []
    for name in ("smtp", "imap"):
        host, number = world.address(name)
        lines += [f"[{name}]", f'host = "{host}"', f"port = {number}", 'tls = "none"']
        lines += [f'user = "{TICKETS}"', 'password = "secret"']
    url = f"http://127.0.0.1:{port}"
    lines += ["[scenario.tickets]", "poll = 0.2", f'listen = "127.0.0.1:{port}"']
    lines += [f'site = "{url}"', f'sender = "Tickets <{TICKETS}>"']
    lines += ['reply_to = "tickets+*@yourco.test"']
    site = folder / "site.toml"
    site.write_text("\n".join(lines))
    site.chmod(0o600)
    command = [sys.executable, "-m", "scenarios", "run", "tickets", "--live", str(site)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, text=True)
        try:
            wait_for_port(port)
            yield url
        finally:
            os.kill(process.pid, signal.SIGINT)  # Ctrl-C
            assert process.wait(20) == 0, (folder / "log").read_text()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        expect.set_options(timeout=15_000)  # milliseconds, on a busy machine
        browser = playwright.chromium.launch(executable_path=need("chromium", "chromium"))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def loaded(page: Page, text: str) -> None:
    """Waits until a page is there with its script: a key that comes before it does nothing."""
    from playwright.sync_api import expect

    expect(page.get_by_text(text)).to_be_visible()
    page.wait_for_load_state()


@pytest.mark.browser
def test_a_mail_arrives_without_a_reload_and_its_answer_reaches_the_customer(
    page: Page, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    loads: list[str] = []
    page.on("domcontentloaded", lambda _: loads.append(page.url))
    with World(PLAIN) as world, running(tmp_path, world) as url:
        page.goto(url)
        expect(page.get_by_text("0 tickets")).to_be_visible()
        world.mail.deliver(TICKETS, customer_mail())
        link = page.get_by_role("link", name="The printer is on fire")
        expect(link).to_be_visible()
        assert len(loads) == 1, "without a reload"
        page.keyboard.press("j")  # all by keyboard
        page.keyboard.press("Enter")
        loaded(page, "Please help.")
        page.keyboard.press("a")
        page.keyboard.type("Water helps.")
        page.keyboard.press("Control+Enter")
        mail = world.mail.wait_for(to=CAROL, subject="Re: The printer is on fire [#1]", timeout=20)
        assert "Water helps." in mail.text and mail.message["In-Reply-To"]
        expect(page.get_by_text(f"{CAROL}: sent")).to_have_count(2)
        reply_to = str(mail.message["Reply-To"])
        reply = f"From: {CAROL}\r\nTo: {reply_to}\r\nSubject: Re:\r\n\r\nIt did. Thanks!\r\n"
        world.mail.deliver(reply_to, reply.encode())
        expect(page.get_by_text("It did. Thanks!")).to_be_visible()
        page.get_by_role("button", name="Close", exact=True).click()
        loaded(page, "Closed")
        page.keyboard.press("u")
        expect(page.get_by_text("0 tickets")).to_be_visible()


@pytest.mark.browser
def test_the_html_of_a_mail_loads_nothing_and_runs_nothing(page: Page, tmp_path: Path) -> None:
    """A server elsewhere is never reached, by whatever a mail has in it."""
    from playwright.sync_api import expect

    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(1)
        there = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
        body = (
            f'<link rel="preconnect" href="{there}"><link rel="stylesheet" href="{there}/a.css">'
            f'<link rel="prefetch" href="{there}/p"><style>@import "{there}/b.css";'
            f"body {{ background: url({there}/c.png) }}</style>"
            f'<meta http-equiv="refresh" content="0;url={there}/d"><base href="{there}">'
            f'<h2>Hello</h2><img src="{there}/e.png"><video src="{there}/f" autoplay></video>'
            f'<iframe src="{there}/g"></iframe><object data="{there}/h"></object>'
            f'<script>parent.document.title = "run"; fetch("{there}/i")</script>'
            f"<img src=x onerror=\"parent.document.title = 'run'\">"
            f'<form action="{there}/j"><button>Press</button></form>'
        )
        mail = customer_mail("Hello", text=body, more="Content-Type: text/html\r\n")
        with World(PLAIN) as world, running(tmp_path, world) as url:
            world.mail.deliver(TICKETS, mail)
            world.mail.wait_for(to=CAROL, timeout=20)
            page.goto(f"{url}/tickets/1")
            page.get_by_text("As HTML").click()
            frame = page.frame_locator("iframe")
            expect(frame.get_by_role("heading", name="Hello")).to_be_visible()
            frame.get_by_role("button", name="Press").click()
            expect(page).to_have_title("Hello")
            with pytest.raises(TimeoutError):
                elsewhere.accept()
            world.mail.deliver(TICKETS, customer_mail("Re: [#1]", text="It burns."))
            expect(page.get_by_text("It burns.")).to_be_visible()
            expect(page.locator("details[open]")).to_have_count(1)  # still


@pytest.mark.browser
def test_every_page_fits_and_has_enough_contrast(chromium: Browser, tmp_path: Path) -> None:
    with World(PLAIN) as world, running(tmp_path, world) as url:
        world.mail.deliver(TICKETS, LETTER)
        world.mail.wait_for(to=DAVE, timeout=20)
        for scheme, width in itertools.product(("light", "dark"), (320, 1280)):
            look: Any = {"color_scheme": scheme, "viewport": {"width": width, "height": 640}}
            context = chromium.new_context(**look)
            page = context.new_page()
            for path in ("tickets", "tickets/1", "tickets/7"):
                page.goto(f"{url}/{path}")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
                for element in ("h1", "p", "label", "button", "button.second", "a", ".soft"):
                    if page.locator(element).count():
                        found = page.evaluate(CONTRAST, element)
                        assert found >= 4.5, (scheme, path, element)
            context.close()
