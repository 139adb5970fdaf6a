"""Transcripts: the grammar, what a player says when a server does otherwise, and that a recording is a test."""

from __future__ import annotations

import smtplib

import pytest

from fakes.transcripts.codec import LINES, escaped, protected
from fakes.transcripts.player import play_on_core, play_on_socket
from fakes.transcripts.recorder import render
from fakes.transcripts.text import TranscriptError, parse
from fakes.world import World

HEAD = 'SMTP: a test\ngiven: off.smtp = ["ENHANCEDSTATUSCODES"]\n\n'


def test_what_came_instead_is_said_with_file_and_line() -> None:
    with pytest.raises(
        TranscriptError, match=r"(?s)transcript:6: expected  S: 251 no.*came      S: 250 OK"
    ):
        play_on_core(
            parse(
                HEAD
                + "S: 220 *\nC: NOOP\nS: 251 no\n".replace(
                    "S: 220 *\n", "S: 220 mail.example.test ESMTP\n"
                )
            )
        )


@pytest.mark.parametrize(("body", "says"), [
    ("S: *\n", "matches anything"),
    ("X: what\n", "is not a step; write C: …, S: …"),
    ("given: [\n", "not TOML"),
    ("S: 220 mail.example.test *\nS: (closes)\n", "it stays"),
    ("S: 220 mail.example.test *\nthen: hope 1\n", "unknown word 'hope'; known: mail, inbox"),
    ("S: 220 mail.example.test *\nthen: mail 1\n", "(?s)expected  1.*found     0"),
    ("S: 220 mail.example.test *\nC: NOOP\n", "had received more than the transcript expects: 250 OK"),
])  # fmt: skip
def test_a_transcript_that_is_wrong_says_where_and_why(body: str, says: str) -> None:
    with pytest.raises(TranscriptError, match=says):
        play_on_core(parse(HEAD + body))


def test_a_wildcard_stands_for_one_field_and_no_more() -> None:
    play_on_core(parse(HEAD + "S: 220 * ESMTP\n"))
    with pytest.raises(TranscriptError):
        play_on_core(parse(HEAD + "S: 220 *\n"))


@pytest.mark.parametrize(
    "octets",
    [
        b"plain",
        b" blank at the end ",
        b"\0\xff\x1b",
        b"{plain alice}",
        b"(tls)",
        b"back\\slash",
        b"\xc3\xa9",
    ],
)
def test_any_octets_can_be_written_and_read_back(octets: bytes) -> None:
    written = f"C: {protected(escaped(octets, '{'))}"
    (step,) = parse(f"SMTP: x\n{written}\n").steps
    assert LINES.to_bytes(step, lambda label: b"") == octets + b"\r\n"


@pytest.mark.parametrize("octets", [b"a * b", b"*", b"\xff.*[x]", b"{plain alice}"])
def test_what_a_server_says_is_matched_literally_once_recorded(octets: bytes) -> None:
    (step,) = parse(f"SMTP: x\nS: x{escaped(octets, '*')}\n").steps
    assert LINES.match(step, b"x" + octets + b"\r\n")
    assert not LINES.match(step, b"xother\r\n")


def test_a_recording_is_a_transcript_that_plays_and_holds_no_secret() -> None:
    with World({"servers": ["smtp"], "tls": "off"}, rehearsal=True) as world:
        for method in ("plain", "login", "cram_md5"):
            with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
                client.ehlo()
                client.user, client.password = "alice", "secret"
                client.auth(method.replace("_", "-").upper(), getattr(client, f"auth_{method}"))
                client.sendmail(
                    "alice@example.test",
                    ["bob@example.test"],
                    b"Subject: {plain alice}\r\n\r\n(tls)\r\n.\r\n\xff",
                )
            world.clock.settle()
        text = render(world.recording)
    assert "c2VjcmV0" not in text and "AHNlY3JldA" not in text
    assert (
        text.count("AUTH PLAIN {plain alice}") == 1 and text.count(r"Subject: \{plain alice}") == 3
    )
    assert text.count("{cram-md5 alice}") == 1 and text.count("{password alice}") == 1
    # the challenge of CRAM-MD5 and the queue ids are as the same world gives them again
    play_on_core(parse(text))
    play_on_socket(parse(text))


def test_a_failed_login_is_recorded_as_failed() -> None:
    with World({"servers": ["smtp"], "tls": "off"}, rehearsal=True) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
            client.ehlo()
            for user, password in (("alice", "hunter2"), ("nobody", "secret")):
                client.docmd(
                    "AUTH PLAIN "
                    + __import__("base64").b64encode(f"\0{user}\0{password}".encode()).decode()
                )
        world.clock.settle()
        text = render(world.recording)
    assert (
        "{plain alice wrong}" in text and "{plain nobody wrong}" in text and "hunter2" not in text
    )
    play_on_core(parse(text))


def test_a_fault_s_cut_is_recorded_as_it_was_and_plays_again() -> None:
    with World(
        {"servers": ["smtp"], "tls": "off"}, rehearsal=True, faults=["MAIL hang up within"]
    ) as world:
        client = smtplib.SMTP(*world.address("smtp"), local_hostname="client.example")
        client.ehlo()
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.mail("a@b.c")
            client.rcpt("a@b.c")
        client.close()
        text = render(world.recording)
    assert "fault: smtp MAIL hang up within" in text
    assert "S| 250 2.1.0" in text and "S: (closes)" in text
    play_on_core(parse(text))


def test_time_that_passed_between_is_in_the_recording() -> None:
    with World({"servers": ["smtp"], "tls": "off"}, rehearsal=True) as world:
        client = smtplib.SMTP(*world.address("smtp"), local_hostname="client.example")
        world.clock.advance(301)
        client.close()
        text = render(world.recording)
    assert "clock: 300\nS: 421 4.4.2" in text
    play_on_core(parse(text))
