"""The grammar of SMTP commands: paths and parameters."""

from __future__ import annotations

import random
import re

import pytest

from fakes.smtp import COMMAND_LINE
from fakes.smtp_syntax import MAIL_PARAMETERS, RCPT_PARAMETERS, parse_parameters, parse_path


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<a@b.c>", "a@b.c"),
        ("<>", ""),
        ('<"a b"@x.org>', '"a b"@x.org'),
        ('<"a"@x.org>', "a@x.org"),
        (r'<"\a"@x.org>', "a@x.org"),
        (r'<"\""@x.org>', r'"\""@x.org'),
        ("<@r,@s:a@b>", "a@b"),
        ("<a@[127.0.0.1]>", "a@[127.0.0.1]"),
        ("<a@[IPv6:::1]>", "a@[IPv6:::1]"),
        ('<"a@b"@c>', '"a@b"@c'),
        ("<!#$%&'*+/=?^_`{|}~-@x>", "!#$%&'*+/=?^_`{|}~-@x"),
        ("<jürgen@bücher.example>", "jürgen@bücher.example"),
        ("<a@b_c>", "a@b_c"),
        ("<a@_dmarc.example>", "a@_dmarc.example"),
        ("<a@host_.example>", "a@host_.example"),
        ("<a@_>", "a@_"),
        ("<a@srv_1-x.mail_pool.example>", "a@srv_1-x.mail_pool.example"),
        ("<@relay_1:a@b>", "a@b"),
        ('<"a b"@b_c.example>', '"a b"@b_c.example'),
    ],
)
def test_a_path_is_read_as_its_shortest_address(text: str, address: str) -> None:
    assert parse_path(text, null=True) == (address, "")


@pytest.mark.parametrize(
    "text",
    [
        "a@b.c",
        "<a@b.c",
        "a@b.c>",
        "<a>",
        "<@b>",
        "<a@>",
        "<a b@c>",
        "<a..b@c>",
        "<.a@c>",
        "<a.@c>",
        "<a@b..c>",
        "<a@-b>",
        "<a@b->",
        '<"a@c>',
        '<"a"b"@c>',
        "<a@b>x",
        "<<a@b>>",
        "<a@b\r\n>",
        "<a@[>",
        "< a@b>",
        "<a@b >",
        "<a@_-b>x",
        "<a@b_-.c>",
        "<a@-_b>",
        "<\udcff@x>",
        "",
    ],
)
def test_a_text_that_is_not_a_path_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="No address in angle brackets"):
        parse_path(text, null=True)


@pytest.mark.parametrize("text", [" <a@b.c>", "  <a@b.c>", " <>", " <a b>", " <a@b.c> SIZE=1"])
def test_a_space_before_the_bracket_is_what_the_error_names(text: str) -> None:
    with pytest.raises(ValueError, match="No space is allowed after the colon"):
        parse_path(text, null=True)


def test_the_null_path_is_for_senders_and_a_bare_postmaster_for_recipients() -> None:
    assert parse_path("<> SIZE=1", null=True) == ("", "SIZE=1")
    assert parse_path("<Postmaster> NOTIFY=NEVER", null=False) == ("Postmaster", "NOTIFY=NEVER")
    for text, null in (("<>", False), ("<Postmaster>", True)):
        with pytest.raises(ValueError, match="No address in angle brackets"):
            parse_path(text, null=null)


def test_the_rest_of_the_line_is_returned_as_it_is() -> None:
    assert parse_path("<a@b.c> SIZE=10  BODY=7BIT", null=True) == ("a@b.c", "SIZE=10  BODY=7BIT")
    assert parse_path('<"a b"@c> SIZE=10', null=True) == ('"a b"@c', "SIZE=10")


def test_no_line_takes_long_to_be_rejected() -> None:
    """Repeats what makes patterns backtrack, as often as a command line has room for it.

    There is no time limit here: a pattern that backtracks exponentially would never return.
    """
    shuffled = random.Random(1)
    for seed in ("a.", "a-", '"\\', "<", "@", "a@b,", ":", "[", "IPv6:"):
        text = "<" + seed * (COMMAND_LINE // len(seed)) + shuffled.choice("!>\x01")
        with pytest.raises(ValueError, match="No address in angle brackets"):
            parse_path(text, null=True)


def test_parameters_have_keywords_in_capitals_and_at_most_one_value() -> None:
    assert parse_parameters(" size=10  smtputf8 ENVID=a+2Bb ") == {
        "SIZE": "10",
        "SMTPUTF8": None,
        "ENVID": "a+2Bb",
    }
    assert parse_parameters("") == {}


@pytest.mark.parametrize(
    "text", ["SIZE=", "=1", "SIZE=1=2", "-X", "A_B", "SIZE=1 size=2", "X=\x7f"]
)
def test_a_word_of_another_form_or_a_repeated_keyword_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="Parameters are KEYWORD or KEYWORD=value, each once"):
        parse_parameters(text)


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("SIZE", "1" * 20, True),
        ("SIZE", "1" * 21, False),
        ("BODY", "8BITMIME", True),
        ("BODY", "9BIT", False),
        ("RET", "HDRS", True),
        ("ENVID", "x" * 100, True),
        ("ENVID", "x" * 101, False),
        ("ENVID", "a+2b", False),
        ("AUTH", "<>", True),
        ("NOTIFY", "SUCCESS,DELAY", True),
        ("NOTIFY", "NEVER,DELAY", False),
        ("ORCPT", "rfc822;a+2Bb@c", True),
        ("ORCPT", "rfc822", False),
    ],
)
def test_each_parameter_has_the_form_of_its_rfc(name: str, value: str, fits: bool) -> None:
    parameter = {**MAIL_PARAMETERS, **RCPT_PARAMETERS}[name]
    assert bool(re.fullmatch(parameter.form, value)) is fits
