# apt-get install: chromium
"""report.html in a browser: from a claim to its arrow, from the arrow to its bytes, no script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scenarios.__main__ import main
from tests.real import need

# Imported when a test runs: the quick tests collect this file, too.
if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of Debian's Chromium, which runs no scripts."""
    from playwright.sync_api import sync_playwright

    chromium = need("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser.new_context(java_script_enabled=False).new_page()
        browser.close()


def test_a_claim_leads_to_its_arrow_and_a_fold_to_its_bytes(page: Page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    assert main(["report", "apache-alert", "--out", str(tmp_path)]) == 0
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((tmp_path / "index.html").as_uri())
    page.get_by_role("link", name="apache-crash-alert").click()
    claim = page.locator("li", has_text="each administrator gets one mail").first
    claim.get_by_role("link", name="00:01:05").click()

    arrow = page.locator(".beat:target")
    expect(arrow).to_be_in_viewport()
    expect(arrow.get_by_role("img")).to_have_accessible_name(re.compile("Apache is down"))
    data = arrow.locator(".unit").filter(has_text="RFC 5321 §4.1.1.4").first
    expect(data).not_to_be_visible()
    arrow.locator("summary").first.press("Enter")
    expect(data).to_be_visible()
    expect(data).to_contain_text("DATA")
    assert all(url.startswith("file://") for url in requests)


def test_a_claim_lights_its_arrows(page: Page, tmp_path: Path) -> None:
    assert main(["report", "apache-alert", "--out", str(tmp_path)]) == 0
    page.goto((tmp_path / "apache-crash-alert" / "report.html").as_uri())
    arrow = page.locator(".beat.is-mail.ap1")
    before = arrow.evaluate("one => getComputedStyle(one).backgroundColor")
    page.locator("#ac1").hover()
    assert arrow.evaluate("one => getComputedStyle(one).backgroundColor") != before


def test_nothing_sticks_out_of_a_narrow_window(page: Page, tmp_path: Path) -> None:
    assert main(["report", "tickets", "--act", "ticket-by-mail", "--out", str(tmp_path)]) == 0
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto((tmp_path / "ticket-by-mail" / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_on_paper_nothing_is_dark_or_cut_off(page: Page, tmp_path: Path) -> None:
    assert main(["report", "tickets", "--act", "ticket-by-mail", "--out", str(tmp_path)]) == 0
    page.set_viewport_size({"width": 1047, "height": 718})  # A4, less the margins
    page.emulate_media(media="print", color_scheme="dark")
    page.goto((tmp_path / "ticket-by-mail" / "report.html").as_uri())
    body = page.locator("body").evaluate("one => getComputedStyle(one).backgroundColor")
    assert min(map(int, re.findall(r"\d+", body))) > 240
    for lanes in page.locator(".lanes").all():
        shown, whole = lanes.evaluate("one => [one.clientWidth, one.scrollWidth]")
        assert whole <= shown
        clipped = lanes.evaluate("one => one.scrollHeight > one.clientHeight + 1")
        assert not clipped, "all of it is on the paper, not only what fits on a screen"
