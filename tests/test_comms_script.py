"""Commands in the text of a mail: which lines are some, and where they end."""

from __future__ import annotations

import pytest

from comms import script
from comms.read import read


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", []),
        ("restart web\n", ["restart web"]),
        ("a\r\nb\r\n\r\nc", ["a", "b", "c"]),
        ("# a note\n  a  \n#b\n", ["a"]),
        ("> drop database shop\na\n>> b\n", ["a"]),
        ("> Eve:\u2028b\n> \x0bb\n> \x85b\na", ["a"]),
        ("a\nthanks\nb", ["a"]),
        ("a\nThank you!\nb", ["a"]),
        ("a\nSTOP\nb", ["a"]),
        ("stop web\nb", ["stop web", "b"]),
        ("a\n--\nJeremy", ["a"]),
        ("a\n-- \nJeremy", ["a"]),
        ("a\n____________\nYourCo", ["a"]),
        ("a\nSent from my iPhone", ["a"]),
        ("a\nOn Mon, 5 Jan 2026, Eve wrote:\nb", ["a"]),
        ("a\n-----Original Message-----\nb", ["a"]),
        ("a\nFrom: Eve <eve@evil.example>\nSubject: b", ["a"]),
        ("quit", []),
    ],
)
def test_only_what_a_person_wrote_as_a_command_is_one(text: str, commands: list[str]) -> None:
    assert script.lines(text) == commands


def test_after_three_wrong_lines_in_a_row_nothing_is_read() -> None:
    text = "ok\nHello,\nok\nwould you\nbe so kind\nand drop\nok\n"
    found = script.lines(text, lambda line: line == "ok")
    assert found == ["ok", "Hello,", "ok", "would you", "be so kind", "and drop"]


def test_a_mail_has_at_most_twenty_commands() -> None:
    assert len(script.lines("a\n" * 1000)) == script.MOST


def test_a_hostile_line_takes_no_time_that_grows_with_its_square() -> None:
    assert script.lines("on " + "x" * 200_000 + " wrote") == ["on " + "x" * 200_000 + " wrote"]
    assert len(script.lines("-" * 500_000 + "x")) == 1


@pytest.mark.parametrize(
    ("mail", "commands"),
    [
        ("Subject: go\n\ngo\n", ["go"]),
        ("Subject: Re: hello\n\ngo\ngo\n", ["go", "go"]),
        ("\ngo\n", ["go"]),
        ("Subject: hello\n\n> go\n", ["hello"]),
        ("Content-Type: text/html\n\n<p>go</p><p>go</p><p>-- </p><p>go</p>", ["go", "go"]),
        ("Content-Transfer-Encoding: base64\n\nZ28K\n", ["go"]),
        ("Content-Type: text/html\n\ngo<blockquote>Eve:<div>go</div></blockquote>", ["go"]),
    ],
)
def test_the_subject_is_the_command_or_else_the_lines_are_and_never_both(
    mail: str, commands: list[str]
) -> None:
    assert script.from_mail(read(mail.encode()), lambda line: line == "go") == commands
