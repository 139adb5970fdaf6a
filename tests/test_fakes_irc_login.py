"""SASL on IRC: responses in chunks, and their limits."""

from __future__ import annotations

import base64

import pytest

from fakes import World
from fakes.wire import Facts
from tests.bare_core import ask
from tests.irc_core import Bench, numerics, says


def chunks(text: str) -> list[str]:
    parts = [text[at : at + 400] for at in range(0, len(text), 400)]
    return [f"AUTHENTICATE {part}" for part in parts + ["+"] * (len(text) % 400 == 0)]


@pytest.mark.parametrize("size", [1, 280, 290, 300, 589, 1024])
def test_a_long_password_comes_in_chunks_of_400(size: int) -> None:
    person = {"address": "bot@example.test", "password": "x" * size}
    with World({"servers": ["irc"], "person": [person], "tls": "off"}) as world:
        core = world.core("irc")
        core.opened(Facts(1))
        ask(core, b"CAP REQ sasl\r\nNICK bot\r\n")
        text = base64.b64encode(b"\0bot\0" + b"x" * size).decode()
        answer = ask(core, "\r\n".join(["AUTHENTICATE PLAIN", *chunks(text), ""]).encode())
        assert b" 903 " in answer


@pytest.mark.parametrize(
    ("lines", "numeric"),
    [
        (["AUTHENTICATE " + "A" * 401], "905"),
        (["AUTHENTICATE " + "A" * 400] * 11, "904"),
        (["AUTHENTICATE *"], "906"),
        (["AUTHENTICATE !"], "904"),
        (chunks(base64.b64encode(b"\0bot\0" + b"x" * 1025).decode()), "904"),
        (chunks(base64.b64encode(b"bob\0alice\0secret").decode()), "904"),
    ],
)
def test_a_failed_login_changes_nothing(lines: list[str], numeric: str) -> None:
    bench = Bench()
    core = bench.registered("bot", "sasl")
    assert says(core, "AUTHENTICATE PLAIN") == ["AUTHENTICATE +"]
    answer = [line for one in lines if (line := "".join(says(core, one)[:1]))]
    assert numerics(answer)[0] == numeric
    assert bench.irc.user("bot").account == ""
    assert says(core, "AUTHENTICATE PLAIN")[-1] == "AUTHENTICATE +"


def test_nick_and_user_disturb_no_login() -> None:
    core = Bench().core()
    says(core, "CAP REQ sasl", "AUTHENTICATE PLAIN", "NICK bot", "USER bot 0 * :A bot")
    answer = says(core, "AUTHENTICATE AGFsaWNlAHNlY3JldA==", "CAP END")
    assert numerics(answer)[:3] == ["900", "903", "001"]


def test_a_login_after_the_welcome_is_told_to_others() -> None:
    bench = Bench()
    bot = bench.registered("bot", "sasl", "account-notify")
    says(bot, "AUTHENTICATE PLAIN")
    answer = says(bot, "AUTHENTICATE AGFsaWNlAHNlY3JldA==")
    assert numerics(answer) == ["900", "903", "ACCOUNT"]
