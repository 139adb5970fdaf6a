# apt-get install: chromium
"""How do I …? Questions of people who test a web application in a browser, and its mail with it."""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from fakes import World
from fakes.pytest_plugin import ServerAddress
from tests.real import need

if TYPE_CHECKING:  # the quick tests collect this file, too
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

FORM = '<form method="post"><label>Address <input name="address"></label><button>Sign up</button>'


@pytest.fixture
def shop(smtp_server: ServerAddress) -> Iterator[str]:
    """The application: who signs up gets a mail with a link. Returns its address."""

    class Shop(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.show("<h1>Welcome!</h1>" if self.path.startswith("/confirm/") else FORM)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            mail = EmailMessage()
            mail["From"], mail["To"] = "shop@example.org", form["address"][0]
            mail["Subject"] = "Please confirm"
            mail.set_content(f"Click http://{self.headers['Host']}/confirm/4711 to confirm.\n")
            with smtplib.SMTP(*smtp_server, local_hostname="shop.example") as client:
                client.send_message(mail)
            self.show("<h1>See your mail</h1>")

        def show(self, page: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def page() -> Iterator[Page]:
    """As the fixture of pytest-playwright, in Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium", "chromium"))
        yield browser.new_page()
        browser.close()


def test_how_do_i_follow_the_link_of_a_sign_up_mail_with_playwright(
    page: Page, shop: str, world: World
) -> None:
    page.goto(shop)
    page.get_by_label("Address").fill("bob@example.test")
    page.get_by_role("button", name="Sign up").click()
    mail = world.mail.wait_for(to="bob@example.test", subject="Please confirm")
    (link,) = mail.links()
    page.goto(link)
    assert page.get_by_role("heading").inner_text() == "Welcome!"
