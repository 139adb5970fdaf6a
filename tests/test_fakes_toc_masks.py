"""Labels that hide passwords in transcripts, and what they stand for."""

from __future__ import annotations

import pytest

from fakes.toc.aim import Aim
from fakes.toc.arguments import words
from fakes.toc.frames import HEADER
from fakes.toc.masks import KINDS, masks, unmasked
from fakes.toc.presence import Account
from tests.toc_raw import long_code, roasted


@pytest.fixture
def aim() -> Aim:
    return Aim([Account("Ops Bot", "password")])


def shown(aim: Aim, command: str, user: str = "") -> str:
    """Returns a command as a transcript shows it."""
    verb = command.split()[0]
    text, last = "", 0
    for secret in masks(verb, command, words(command)[1:], aim, user):
        start, end = secret.start - HEADER, secret.end - HEADER
        text += command[last:start] + "{" + secret.label + "}"
        last = end
    return text + command[last:]


@pytest.mark.parametrize(
    ("password", "label"), [("password", "roasted opsbot"), ("guess", "roasted opsbot wrong")]
)
def test_a_sign_on_shows_who_it_is_and_whether_the_password_is_right(
    aim: Aim, password: str, label: str
) -> None:
    command = f'toc_signon host 5190 "Ops Bot" {roasted(password)} english raw'
    assert shown(aim, command) == f'toc_signon host 5190 "Ops Bot" {{{label}}} english raw'


def test_the_code_of_a_toc2_sign_on_is_hidden_too(aim: Aim) -> None:
    code = long_code("opsbot", "password")
    command = f"toc2_signon host 5190 opsbot {roasted('password')} english raw 160 {code}"
    assert shown(aim, command).endswith("160 {code opsbot}")
    assert shown(aim, command + "0").endswith("160 {code opsbot wrong}")


def test_an_unknown_name_is_shown_as_a_wrong_password_of_nobody(aim: Aim) -> None:
    command = f"toc_signon host 5190 carol {roasted('x')} english raw"
    assert "{roasted nobody wrong}" in shown(aim, command)


def test_both_passwords_of_a_change_are_hidden(aim: Aim) -> None:
    command = "toc_change_passwd password other"
    assert shown(aim, command, "Ops Bot") == "toc_change_passwd {old opsbot} {new opsbot}"
    wrong = "toc_change_passwd guess other"
    assert shown(aim, wrong, "Ops Bot") == "toc_change_passwd {old opsbot wrong} {new opsbot}"


def test_everything_is_hidden_in_a_command_that_cannot_be_split(aim: Aim) -> None:
    command = 'toc_change_passwd "secret'
    (secret,) = masks("toc_change_passwd", command, [], aim, "opsbot")
    assert secret.label == "hidden command"
    assert command[secret.start - HEADER : secret.end - HEADER] == '"secret'


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_label_stands_for_gets_the_same_label_again(aim: Aim, kind: str) -> None:
    word = unmasked(f"{kind} opsbot", aim).decode()
    roast = unmasked("roasted opsbot", aim).decode()
    commands = {
        "roasted": f"toc_signon host 5190 opsbot {word} english raw",
        "code": f"toc2_signon host 5190 opsbot {roast} english raw 160 {word}",
        "old": f"toc_change_passwd {word} x",
        "new": f"toc_change_passwd password {word}",
    }
    assert f"{{{kind} opsbot}}" in shown(aim, commands[kind], "opsbot")
