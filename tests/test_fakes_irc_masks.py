"""No recording shows a password, and a recording can be played again."""

from __future__ import annotations

import base64

import pytest

from fakes.transcripts.recorder import render
from tests.bare_core import ask
from tests.irc_core import Bench, says

SECRETS = ["hunter2", base64.b64encode(b"\0alice\0hunter2").decode()]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("PASS hunter2", "PASS {irc-password server wrong}"),
        ("PASS :hunter2", "PASS :{irc-password server wrong}"),
        ("PASS sesame", "PASS {irc-password server}"),
        ("@a=b :me pass  hunter2", "@a=b :me pass  {irc-password server wrong}"),
        ("OPER root hunter2", "OPER root {irc-oper root wrong}"),
        ("OPER root toor", "OPER root {irc-oper root}"),
        ("NS IDENTIFY hunter2", "NS IDENTIFY {irc-account bot wrong}"),
        ("NS IDENTIFY alice hunter2", "NS IDENTIFY alice {irc-account alice wrong}"),
        ("NS :IDENTIFY alice secret", "NS :IDENTIFY alice {irc-account alice}"),
        ("PRIVMSG NickServ :identify hunter2", ":identify {irc-account bot wrong}"),
        ("privmsg nickserv :GHOST alice secret", ":GHOST alice {irc-account alice}"),
        ("NS GHOST alice hunter2", "NS GHOST alice {irc-account alice wrong}"),
        ("NS GHOST alice", "NS GHOST alice"),
        ("NS IDENTIFY alice hunter2 more", "NS IDENTIFY alice {irc-account alice wrong}"),
        ("PRIVMSG NickServ@services.test :IDENTIFY bob hunter2", "{irc-account bob wrong}"),
        ("PRIVMSG nobody,nickserv :identify hunter2", ":identify {irc-account bot wrong}"),
        ("PRIVMSG Q@CServe.quakenet.org :AUTH bob hunter2", "{irc-account bob wrong}"),
        ("SQUERY NickServ :IDENTIFY hunter2", ":IDENTIFY {irc-account bot wrong}"),
        ("PRIVMSG NickServ :REGISTER hunter2 b@example.test", ":REGISTER {irc-account bot wrong}"),
        (" NickServ  SET  PASSWORD hunter2", "SET  PASSWORD {irc-account bot wrong}"),
        ("NS RECOVER alice hunter2", "NS RECOVER alice {irc-account alice wrong}"),
        ("identify hunter2", "identify {irc-account bot wrong}"),
        ("LOGIN alice :hunter2", "LOGIN alice :{irc-account alice wrong}"),
        ("REGISTER alice * hunter2", "REGISTER {irc-account bot wrong}"),
        ("PRIVMSG #service :login to see it", "PRIVMSG #service :login to see it"),
        ("PRIVMSG alice :register now", "PRIVMSG alice :register now"),
    ],
)  # fmt: skip
def test_a_password_is_shown_as_whose_it_is(line: str, shown: str) -> None:
    bench = Bench(oper=("root:toor",))
    core = bench.registered("bot")
    object.__setattr__(bench.irc.policy, "password", "sesame")
    says(core, line)
    text = render(bench.world.recording)
    assert shown in text
    assert not any(secret in text for secret in SECRETS)


def test_a_response_of_sasl_is_shown_as_whose_it_is() -> None:
    bench = Bench()
    core = bench.registered("bot", "sasl")
    for response in (SECRETS[1], "AGFsaWNlAHNlY3JldA=="):
        says(core, "AUTHENTICATE PLAIN", f"AUTHENTICATE {response}")
    text = render(bench.world.recording)
    assert "AUTHENTICATE {plain alice wrong}" in text
    assert "AUTHENTICATE {plain alice}\n" in text
    assert SECRETS[1] not in text and "AGFsaWNl" not in text


@pytest.mark.parametrize(
    "fragment",
    [
        *("PASS hunt", "OPER root hunter2", "NS IDENTIFY hunter2", "AUTHENTICATE hunter2"),
        *("NS REGISTER hunt", "PRIVMSG NickServ@services.test :IDENTIFY hunt"),
    ],
)
def test_an_unfinished_line_shows_no_password_either(fragment: str) -> None:
    bench = Bench()
    core = bench.registered("bot")
    ask(core, fragment.encode())
    core.eof()
    text = render(bench.world.recording)
    assert "hunt" not in text and "{unfinished}" in text


def test_a_line_that_is_too_long_shows_no_password_either() -> None:
    bench = Bench()
    core = bench.registered("bot")
    for end in ("\r\n", ""):
        ask(core, f"OPER root {'hunter2' * 800}{end}".encode())
    assert "hunter2" not in render(bench.world.recording)
