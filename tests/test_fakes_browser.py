"""The browser of a play: pages, forms, cookies, redirects, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from fakes import World
from fakes.browser import Browser, Form

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

SITE = "http://127.0.0.1:8025"
HTML = """<!doctype html><title>A &amp; B</title><p>Hello &lt;b&gt;
<form method=post action=/there><input name=a value="1"><input type=hidden name=b value='&lt;'>
<input type=submit><textarea name=c></textarea></form><form action="?x"><input name=q></form>"""


class Site:
    """An application: a page with two forms, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        self.asked.append({**environ, "body": parse_qs(body.decode(), True)})
        if environ["REQUEST_METHOD"] == "POST":
            cookies = [("Set-Cookie", "id=7; Path=/; HttpOnly"), ("Set-Cookie", "color=red")]
            start_response("303 See Other", [("Location", "/done"), *cookies])
            return []
        if environ["PATH_INFO"] == "/round":
            start_response("302 Found", [("Location", "/round")])
            return []
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [HTML.encode()]


def browsing() -> tuple[Browser, Site, list[str]]:
    site, lines = Site(), list[str]()
    return Browser("198.51.100.1", lambda: site, lines.append), site, lines


def test_a_page_is_shown_with_title_text_and_forms() -> None:
    browser, _, _ = browsing()
    page = browser.open(f"{SITE}/page")
    assert (page.status, page.title, page.text.strip()) == (200, "A & B", "Hello <b>")
    first = Form("/there", "POST", {"a": "1", "b": "<", "c": ""})
    assert page.forms == (first, Form("?x", "GET", {"q": ""}))


def test_a_form_is_sent_with_its_hidden_fields_and_cookies_come_back() -> None:
    browser, site, lines = browsing()
    browser.open(f"{SITE}/page")
    browser.submit(a="Zoë & Co")
    posted, shown = site.asked[1:]
    assert posted["body"] == {"a": ["Zoë & Co"], "b": ["<"], "c": [""]}
    assert posted["REMOTE_ADDR"] == "198.51.100.1" and posted["HTTP_HOST"] == "127.0.0.1:8025"
    assert (shown["REQUEST_METHOD"], shown["body"]) == ("GET", {})
    cookies = {cookie.key: cookie.value for cookie in SimpleCookie(shown["HTTP_COOKIE"]).values()}
    assert cookies == {"id": "7", "color": "red"}
    assert lines == ['GET /page: 200 "A & B"', "POST /there: 303", 'GET /done: 200 "A & B"']


def test_the_query_is_sent_and_not_recorded() -> None:
    browser, site, lines = browsing()
    browser.open(f"{SITE}/page?token=secret", "HEAD", headers={"Host": "evil.test"})
    assert site.asked[0]["QUERY_STRING"] == "token=secret"
    assert site.asked[0]["HTTP_HOST"] == "evil.test"
    assert lines == ['HEAD /page: 200 "A & B"']


def test_redirects_without_end_are_followed_for_a_while() -> None:
    browser, site, _ = browsing()
    assert browser.open(f"{SITE}/round").status == 302 and len(site.asked) == 5


@pytest.mark.parametrize(
    ("send", "error"),
    [
        (lambda browser: browser.submit(z="1"), "no field 'z'; it has: a, b, c"),
        (lambda browser: browser.submit(None, 2), "the page has 2 forms"),
    ],
)
def test_a_form_that_is_not_there_cannot_be_sent(
    send: Callable[[Browser], object], error: str
) -> None:
    browser, _, _ = browsing()
    browser.open(f"{SITE}/page")
    with pytest.raises(LookupError, match=error):
        send(browser)


def test_a_site_that_is_not_served_does_not_answer() -> None:
    with World(rehearsal=True) as world:
        ann = world.browser("Ann")
        assert ann.open(f"{SITE}/page").status == 0
        with world.host.serve(Site(), "127.0.0.1", 8025):
            assert ann.open(f"{SITE}/page").status == 200
        assert ann.open(f"{SITE}/page").status == 0
        told = [(event.who, event.target, event.text) for event in world.events]
    texts = ["GET /page: no answer", 'GET /page: 200 "A & B"', "GET /page: no answer"]
    assert told == [("Ann", "program", text) for text in texts]


def test_a_machine_serves_one_site_and_people_have_different_addresses() -> None:
    with World(rehearsal=True) as world:
        with world.host.serve(Site(), "127.0.0.1", 8025), pytest.raises(OSError):
            world.host.serve(Site(), "127.0.0.1", 8025).__enter__()
        assert world.browser("Ann").address != world.browser("Bob").address
