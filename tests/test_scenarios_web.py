"""The base of web pages: forms of ours only, headers, hosts, proxies, keys and tokens."""

from __future__ import annotations

import os
import sqlite3
import string
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask import Flask
from sqlalchemy import create_engine

from comms.errors import SettingsError
from comms.host import Host, RealHost
from fakes.browser import Browser, Page
from fakes.clock import Rehearsal
from scenarios import web
from tests.scripted import RecordingHost

SITE = "https://shop.test"
KEYS = ["k" * 40]


def an_app(folder: Path, host: Host, url: str = SITE, proxies: int = 0) -> tuple[Flask, list[str]]:
    """Returns an application with one form, and the clients whose forms it has taken."""
    form = (
        '{% extends "layout.html" %}{% block title %}T{% endblock %}{% block body %}'
        '<form method="post">{{ form_fields() }}<input name="note">{{ note }}</form>{% endblock %}'
    )
    (folder / "form.html").write_text(form, newline="\n")
    app = web.make_app(folder, url, KEYS, host, proxies)
    taken: list[str] = []

    @app.get("/form")
    def show() -> str:
        return web.page("form.html", note="<script>").get_data(as_text=True)

    @app.post("/form")
    def take() -> str:
        taken.append(f"{web.client()} {web.form_id()}")
        return "taken"

    @app.get("/bug")
    def bug() -> str:
        raise RuntimeError("secret of the database")

    @app.get("/busy")
    def busy() -> str:
        engine = create_engine(f"sqlite:///{folder}/busy?timeout=0")
        with closing(sqlite3.connect(folder / "busy", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            try:
                with engine.begin() as db:
                    db.exec_driver_sql("CREATE TABLE secret (id)")
            finally:
                engine.dispose()
        return "not busy"

    return app, taken


@pytest.fixture
def host() -> RecordingHost:
    return RecordingHost()


@pytest.fixture
def shop(tmp_path: Path, host: RecordingHost) -> tuple[Browser, list[str]]:
    app, taken = an_app(tmp_path, host)
    return Browser("192.0.2.1", lambda: app), taken


# ── forms ────────────────────────────────────────────────────────────────────


def test_a_form_of_ours_is_taken(shop: tuple[Browser, list[str]]) -> None:
    browser, taken = shop
    browser.open(f"{SITE}/form")
    assert browser.submit(note="hello").status == 200
    assert taken[0].startswith("192.0.2.1 ")


@pytest.mark.parametrize(
    "changes",
    [
        {"csrf": ""},
        {"csrf": "guessed"},
        {"csrf": "é" * 40},
        {"form": ""},
        {"form": "a" * 19},
        {"form": "'; DROP TABLE x --."},
    ],
    ids=str,
)
def test_a_form_that_was_made_elsewhere_is_refused(
    shop: tuple[Browser, list[str]], changes: dict[str, str]
) -> None:
    browser, taken = shop
    browser.open(f"{SITE}/form")
    assert browser.submit(**changes).status == 400 and taken == []


def test_a_form_without_its_cookie_or_with_that_of_another_person_is_refused(
    shop: tuple[Browser, list[str]],
) -> None:
    browser, taken = shop
    page = browser.open(f"{SITE}/form")
    cookies, browser.cookies = browser.cookies, {}
    assert browser.submit(page).status == 400
    browser.open(f"{SITE}/form")  # with a cookie, and a form, of its own
    assert browser.submit(page).status == 400
    browser.cookies = cookies
    assert browser.submit(page).status == 200 and len(taken) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_change_nothing_without_a_form(
    shop: tuple[Browser, list[str]], method: str
) -> None:
    assert shop[0].open(f"{SITE}/form", method).status in (400, 405)


@pytest.mark.parametrize(
    "fields",
    [{"note": "x" * web.LARGEST}, {str(n): "" for n in range(70_000)}],
    ids=["long", "many"],
)
def test_a_form_that_is_too_large_is_not_read(
    shop: tuple[Browser, list[str]], fields: Mapping[str, str]
) -> None:
    shop[0].open(f"{SITE}/form")
    assert shop[0].open(f"{SITE}/form", "POST", urlencode(fields).encode()).status in (400, 413)


# ── answers ──────────────────────────────────────────────────────────────────


def test_every_answer_has_the_headers_that_keep_it_inert(shop: tuple[Browser, list[str]]) -> None:
    browser, _ = shop
    for path in ("/form", "/none", "/bug", "/style.css"):
        headers = browser.open(f"{SITE}{path}").headers
        for name, value in web.HEADERS.items():
            assert headers[name.lower()] == value or name == "Cache-Control", (path, name)
        assert "server" not in headers
    assert "script-src" not in web.HEADERS["Content-Security-Policy"], "default-src is 'none'"


def test_a_value_is_escaped_and_nothing_is_loaded_from_elsewhere(
    shop: tuple[Browser, list[str]],
) -> None:
    html = shop[0].open(f"{SITE}/form").html
    assert "&lt;script&gt;" in html and "<script" not in html
    assert "//" not in html, "no URL with a host"


@pytest.mark.parametrize(("url", "secure"), [(SITE, True), ("http://127.0.0.1:8025", False)])
def test_the_cookie_is_for_this_site_only(
    tmp_path: Path, host: RecordingHost, url: str, secure: bool
) -> None:
    app, _ = an_app(tmp_path, host, url)
    cookie = Browser("192.0.2.1", lambda: app).open(f"{url}/form").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {*cookie.split("; ")}
    assert cookie.startswith("__Host-session=" if secure else "session-8025=")
    assert ("Secure" in cookie.split("; ")) == secure


def test_a_program_at_another_port_of_the_host_does_not_end_the_session(
    tmp_path: Path, host: RecordingHost
) -> None:
    urls = ["http://127.0.0.1:8025", "http://127.0.0.1:8026"]
    apps = [web.make_app(tmp_path, url, [url * 2], host) for url in urls]
    (tmp_path / "a.html").write_text("<form method=post>{{ form_fields() }}</form>", newline="\n")
    for app in apps:
        app.add_url_rule("/", "a", lambda: web.page("a.html"), methods=["GET", "POST"])
    browser = Browser("192.0.2.1", lambda: apps[0])
    shown = browser.open(urls[0])
    apps.reverse()
    browser.open(urls[1])
    apps.reverse()
    assert browser.submit(shown).status == 200


def test_a_bug_is_logged_without_what_it_says_and_shown_as_a_page(
    shop: tuple[Browser, list[str]], host: RecordingHost
) -> None:
    page = shop[0].open(f"{SITE}/bug")
    assert (page.status, page.title) == (500, web.TEXTS[500][0])
    assert "secret" not in page.html
    assert host.lines == ["web-error path=/bug trouble=RuntimeError"]


def test_a_busy_database_is_said_to_be_busy(
    shop: tuple[Browser, list[str]], host: RecordingHost
) -> None:
    page = shop[0].open(f"{SITE}/busy")
    assert (page.status, page.title) == (503, web.TEXTS[503][0])
    assert int(page.headers["retry-after"]) > 0
    assert "secret" not in page.html
    assert host.lines == ["web-error path=/busy trouble=OperationalError"]


# ── hosts and clients ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("shop.test", 200),
        ("shop.test:8443", 200),
        ("127.0.0.1:8025", 200),
        ("localhost", 200),
        ("[::1]:8025", 200),
        ("[::2]", 400),
        ("::1", 400),
        ("evil.test", 400),
        ("shop.test.evil.test", 400),
        ("evil.test:443@shop.test", 400),
        ("shop.test/evil", 400),
        ("", 400),
    ],
)
def test_a_foreign_host_is_refused(shop: tuple[Browser, list[str]], name: str, status: int) -> None:
    assert shop[0].open(f"{SITE}/form", headers={"Host": name}).status == status


def from_behind(folder: Path, host: Host, proxies: int, forwarded: str) -> str:
    """Returns the client that an application behind proxies sees."""
    app, taken = an_app(folder, host, SITE, proxies)
    browser = Browser("192.0.2.1", lambda: app)
    browser.open(f"{SITE}/form")
    page: Page = browser.page
    fields = page.forms[0].fields
    browser.open(f"{SITE}/form", "POST", fields, {"X-Forwarded-For": forwarded})
    return taken[0].partition(" ")[0]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "203.0.113.9, 192.0.2.2", "203.0.113.9"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "nonsense", ""),
    ],
)
def test_a_client_is_who_it_is_and_a_home_is_one_client(
    tmp_path: Path, host: RecordingHost, proxies: int, forwarded: str, client: str
) -> None:
    assert from_behind(tmp_path, host, proxies, forwarded) == client


def test_a_port_that_is_taken_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    host = RealHost()
    app, _ = an_app(tmp_path, host)
    with host.serve(app, "127.0.0.1", 0) as port:
        listen = f"127.0.0.1:{port}"
        with pytest.raises(SettingsError, match=f"listen: {listen}: Address already in use; "):
            with web.served(app, listen, host):
                raise AssertionError("two servers have one port")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://shop.test", ""),
        ("https://shop.test:8443", ""),
        ("http://127.0.0.1:8025", ""),
        ("http://[::1]:8025", ""),
        ("http://localhost", ""),
        ("http://shop.test", "clear text"),
        ("https://shop.test/", "not the URL of a site"),
        ("https://shop.test/a?b", "not the URL of a site"),
        ("https://me:secret@shop.test", "not the URL of a site"),
        ("https://shop.test\r\nBcc: x", "not the URL of a site"),
        ("https://shop.test:port", "not the URL of a site"),
        ("https://[::1", "not the URL of a site"),
        ("https://", "not the URL of a site"),
        ("shop.test", "not the URL of a site"),
        ("javascript://shop.test", "clear text"),
    ],
)
def test_the_url_of_a_site_has_no_path_and_is_encrypted(url: str, problem: str) -> None:
    found = web._no_site(url)
    assert problem in found and bool(problem) == bool(found)


@pytest.mark.parametrize(
    ("listen", "good"),
    [
        ("127.0.0.1:8025", True),
        ("[::1]:0", True),
        ("0.0.0.0:80", True),
        ("shop.test:80", False),
        ("127.0.0.1", False),
        ("127.0.0.1:65536", False),
        ("127.0.0.1:-1", False),
        ("127.0.0.1:²", False),
        (":80", False),
        ("", False),
    ],
)
def test_an_address_to_listen_at_is_one_of_this_machine(listen: str, good: bool) -> None:
    assert (web._no_address(listen) == "") == good


# ── keys and tokens ──────────────────────────────────────────────────────────


def test_a_file_of_keys_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    [key] = web.signing_keys(path, RealHost())
    assert len(key) == 64 and path.stat().st_mode & 0o777 == 0o600
    assert web.signing_keys(path, RealHost()) == [key]
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"], "no draft is left"


def test_a_file_that_another_program_makes_at_the_same_time_is_used(tmp_path: Path) -> None:
    class Late(RealHost):
        def token(self, length: int) -> str:
            if length == 64:  # the other one is faster
                web._make_keys(tmp_path / "keys", RealHost())
            return super().token(length)

    [key] = web.signing_keys(tmp_path / "keys", Late())
    assert web.signing_keys(tmp_path / "keys", RealHost()) == [key]


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (b"", 0o600, "no key; remove the file"),
        (b"short\n", 0o600, "fewer than 32 characters"),
        (b"k" * 40 + b"\nshort", 0o600, "fewer than 32 characters"),
        (b"\xff" * 40, 0o600, "not a text file in UTF-8"),
        (b"k" * 40, 0o640, "others can use the file; chmod 600 "),
    ],
)
def test_a_file_without_good_keys_is_refused_and_not_shown(
    tmp_path: Path, content: bytes, mode: int, problem: str
) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    os.chmod(path, mode)
    with pytest.raises(SettingsError, match=problem) as error:
        web.signing_keys(path, RealHost())
    assert "short" not in str(error.value) and "kkk" not in str(error.value)


@pytest.fixture
def clock() -> Rehearsal:
    return Rehearsal()


def test_a_token_is_read_until_it_expires(clock: Rehearsal) -> None:
    tokens = web.Tokens(KEYS, "links", clock)
    token = tokens.sign("abc")
    assert KEYS[0] not in token and tokens.read(token, 60) == "abc"
    clock.skip(60)
    assert tokens.read(token, 60) == "abc"
    clock.skip(1)
    assert tokens.read(token, 60) == ""


def test_a_token_with_any_other_character_is_refused(clock: Rehearsal) -> None:
    tokens = web.Tokens(KEYS, "links", clock)
    token = tokens.sign("abc")
    for at in range(len(token)):
        for other in {*string.ascii_letters, *"0123456789-_.é\0", ""} - {token[at]}:
            assert tokens.read(token[:at] + other + token[at + 1 :], 60) == ""
    for text in ("", ".", "..", "abc", "abc.x.y", token + "x", token * 2, "x" * 10_000):
        assert tokens.read(text, 60) == ""


def test_a_token_is_for_one_purpose_and_a_new_key_is_put_above_the_old_one(
    clock: Rehearsal,
) -> None:
    old, new = ["o" * 40], ["n" * 40, "o" * 40]
    token = web.Tokens(old, "links", clock).sign("abc")
    assert web.Tokens(old, "other", clock).read(token, 60) == ""
    assert web.Tokens(new, "links", clock).read(token, 60) == "abc"
    signed_by_new = web.Tokens(new, "links", clock).sign("abc")
    assert web.Tokens(old, "links", clock).read(signed_by_new, 60) == ""
    assert web.Tokens(new[:1], "links", clock).read(token, 60) == "", "the old key is gone"
