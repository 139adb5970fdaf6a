"""The pages that GOTO_URL names: who may ask for them, and what they show."""

from __future__ import annotations

import pytest

from fakes.http import Request, Response
from fakes.toc.aim import Aim
from fakes.toc.lists import DENY_ALL
from fakes.toc.pages import Pages, url
from fakes.toc.presence import Account, Presence


@pytest.fixture
def aim() -> Aim:
    account = Account("Ops Bot", profile="<b>up</b>", directory=("Ops", "", "R&D"))
    return Aim([account, Account("Alice")])


def online(aim: Aim, name: str) -> Presence:
    """Signs a user on. Returns the session, which has a cookie."""
    aim.actor(name).signs_on()
    (presence,) = aim.sessions.of(name)
    presence.cookie = f"cookie-of-{name}"
    return presence


def get(aim: Aim, target: str) -> Response:
    return Pages(aim)(Request("GET", target, "HTTP/1.1", {}))


def test_a_profile_shows_status_and_html(aim: Aim) -> None:
    alice, bot = online(aim, "alice"), online(aim, "opsbot")
    bot.away = "<i>lunch</i>"
    page = get(aim, "/" + url("info", alice, "Ops Bot"))
    assert page.status == 200
    assert "<h1>Ops Bot</h1><p>Warning level: 0 %<br>Idle: 0 minutes</p>" in page.text
    assert "<p>Away: <i>lunch</i></p><p><b>up</b></p>" in page.text


def test_an_entry_of_the_directory_shows_its_fields_escaped(aim: Aim) -> None:
    page = get(aim, "/" + url("dir_info", online(aim, "alice"), "opsbot"))
    assert page.status == 200 and "Ops<br>R&amp;D" in page.text


def test_the_address_of_a_page_holds_no_colon(aim: Aim) -> None:
    assert url("info", online(aim, "alice"), "O p:é") == "info?cookie=cookie-of-alice&user=op%3A%E9"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/", 404),
        ("/other?cookie=cookie-of-alice", 404),
        ("/info", 400),
        ("/info?cookie=x&user=opsbot", 403),
        ("/info?cookie=cookie-of-alice&user=carol", 404),
        ("/info?cookie=cookie-of-alice&user=opsbot", 404),  # who is offline
        ("/dir_info?cookie=cookie-of-alice&user=alice", 404),  # who has no entry
    ],
)
def test_a_page_that_may_not_be_shown_has_a_status_that_says_why(
    aim: Aim, target: str, status: int
) -> None:
    online(aim, "alice")
    assert get(aim, target).status == status


def test_a_user_who_blocks_the_asker_looks_offline(aim: Aim) -> None:
    alice, bot = online(aim, "alice"), online(aim, "opsbot")
    bot.permissions.mode = DENY_ALL
    assert get(aim, "/" + url("info", alice, "opsbot")).status == 404
