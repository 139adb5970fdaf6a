# apt-get install: chromium
"""The page of the control API in a browser: what it shows without reload, and never does."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from fakes import World
from fakes.control import Control
from fakes.wire import Record
from tests.real import need

# Imported when a test runs: the quick tests collect this file, too.
if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser

HOSTILE = (
    "<h1>Thanks</h1><script>parent.obeyed = 1; document.title = 'obeyed'</script>"
    "<img src='{url}/pixel.png' onerror='parent.obeyed = 1'>"
    "<form action='{url}/form'><button>Go</button></form>"
)


@pytest.fixture
def world() -> Iterator[World]:
    controls: list[Control] = []

    def watch(one: object) -> None:
        for control in controls:
            control.watch(one)

    with World({"servers": ["smtp", "irc"], "tls": "off"}, watch=watch) as world:
        controls.append(Control(world))
        world.serve("control", controls[0].session)
        yield world
        world.faults.disarm()


@pytest.fixture
def page(world: World) -> Iterator[Page]:
    """The page, in Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = need("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        page.goto(f"http://localhost:{world.listeners['control'][1]}/")
        page.get_by_text("connected", exact=True).wait_for()
        yield page
        browser.close()


def send(world: World, subject: str, html: str = "<p>Hello</p>") -> None:
    mail = f"Subject: {subject}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n"
    with smtplib.SMTP(*world.address("smtp"), local_hostname="shop.example") as client:
        client.sendmail("shop@example.org", ["bob@example.test"], mail.encode())


def test_what_happens_is_shown_without_reload_and_by_keys(page: Page, world: World) -> None:
    from playwright.sync_api import expect

    send(world, "Order 7 <b>")
    expect(page.locator("#units")).to_contain_text("C: Subject: Order 7 <b>")
    expect(page.locator("#units")).to_contain_text("RFC 5321 §4.1.1.3")
    page.locator("#filter").fill("rcpt")
    expect(page.locator("#units li:visible")).to_have_count(1)
    page.locator("#filter").fill("")
    page.locator("#units").focus()
    page.keyboard.press("2")
    expect(page.locator("#heads")).to_have_text("programsmtp")
    expect(page.locator("#arrows .C").first).to_contain_text("ehlo shop.example")
    expect(page.locator("#list li")).to_have_count(1)
    page.keyboard.press("j")
    expect(page.locator("#shown h2")).to_have_text("Order 7 <b>")
    page.get_by_role("button", name="source").press("Enter")
    expect(page.locator("#shown pre")).to_contain_text("Content-Type: text/html")
    page.get_by_label("which mails").select_option("alice@example.test")
    expect(page.locator("#list li")).to_have_count(0)
    page.get_by_label("which mails").select_option("bob@example.test")
    page.locator("#list button").press("Enter")
    page.get_by_role("button", name="source").press("Enter")
    expect(page.locator("#shown pre")).to_contain_text("Content-Type: text/html")
    world.irc.person("carol").joins("#ops")
    send(world, "Order 8")  # what persons do is not on the wire
    page.keyboard.press("4")
    expect(page.locator("#chat")).to_contain_text("#ops (IRC): @carol")
    assert page.url.endswith("/")  # it was never left


def test_a_mail_runs_nothing_and_loads_nothing(page: Page, world: World) -> None:
    from playwright.sync_api import expect

    # Chromium reports a request that the page's policy blocks, too: so ask the server it was for.
    with World({"servers": ["webhook"]}) as elsewhere:
        host, port = elsewhere.address("webhook")
        send(world, "hostile", HOSTILE.format(url=f"http://{host}:{port}"))
        page.get_by_role("button", name=re.compile("^Mail")).click()
        page.get_by_role("button", name=re.compile("hostile")).click()
        frame = page.frame_locator("iframe")
        expect(frame.get_by_role("heading")).to_have_text("Thanks")
        frame.get_by_role("button").click()
        assert page.evaluate("() => [window.obeyed, document.title]") == [None, "fakes"]
        page.goto(f"http://{host}:{port}/last")
        asked = [post.path for post in elsewhere.webhook.all]
    assert asked[:1] == ["/last"]  # nothing came before, and this server does note what comes


def test_a_fault_is_armed_by_hand_and_a_mistake_is_explained(page: Page, world: World) -> None:
    from playwright.sync_api import expect

    page.keyboard.press("5")
    page.locator("#fault").fill("RCTP reset")
    page.locator("#fault").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("did you mean 'rcpt'?")
    page.locator("#fault").fill('RCPT reply "550 5.1.1 no"')
    page.locator("#fault").press("Enter")
    expect(page.locator("#list-of-faults")).to_contain_text('smtp RCPT reply "550 5.1.1 no"')
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(world, "refused")
    page.keyboard.press("Escape")
    expect(page.locator("#units .struck")).to_have_count(1)
    page.locator("#fault").fill("MAIL delay 9 optional; smtp NOOP reset optional")
    page.locator("#fault").press("Enter")
    expect(page.locator("#list-of-faults li")).to_have_count(3)
    page.get_by_role("button", name="disarm", exact=True).first.click()
    expect(page.locator("#list-of-faults li").first).to_contain_text("MAIL delay 9 optional")
    page.get_by_role("button", name="disarm all").click()
    expect(page.locator("#list-of-faults li")).to_have_count(0)
    assert [one for one in world.records if isinstance(one, Record)] == []


def test_a_late_answer_does_not_replace_a_newer_one(page: Page, world: World) -> None:
    from playwright.sync_api import expect

    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
            return
        held.append(route)
        page.evaluate("() => { window.held = true; }")

    page.route("**/faults", hold_the_first)
    page.keyboard.press("5")
    send(world, "Order 7")  # the page looks at everything after a mail
    page.wait_for_function("() => window.held")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    page.locator("#fault").fill("RCPT reset optional")
    page.locator("#fault").press("Enter")
    page.evaluate("fetch('/world').then(() => 0)")
    assert "POST" not in asked, "a change was sent before the answer of an earlier look was shown"
    held[0].continue_()
    expect(page.locator("#list-of-faults li")).to_have_count(1)


def test_nothing_sticks_out_of_a_narrow_window_and_it_is_dark_in_the_dark(
    page: Page, world: World
) -> None:
    send(world, "Order " + "7" * 200)
    page.set_viewport_size({"width": 360, "height": 740})
    for key in "12345":
        page.locator("body").press(key)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 360, key
    page.emulate_media(color_scheme="dark")
    background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background))) < 60
