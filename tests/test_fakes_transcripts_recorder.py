"""A recording is a transcript: it can be played again, and it holds no secret."""

from __future__ import annotations

import base64
import smtplib
from collections.abc import Iterator

import pytest

from fakes.host import Event
from fakes.transcripts.player import play_on_core, play_on_socket
from fakes.transcripts.recorder import render, wire_lines
from fakes.transcripts.text import parse
from fakes.wire import Record, Secret
from fakes.world import World


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A rehearsal with an SMTP server; a parameter is a fault."""
    faults = [request.param] if hasattr(request, "param") else []
    with World({"servers": ["smtp"], "tls": "off"}, rehearsal=True, faults=faults) as world:
        yield world


def connect(world: World) -> smtplib.SMTP:
    return smtplib.SMTP(*world.address("smtp"), local_hostname="client.example")


def test_a_recording_plays_on_the_core_and_on_a_socket_and_holds_no_secret(world: World) -> None:
    # Content that looks like a secret or an event must come back as content.
    message = b"Subject: {plain alice}\r\n\r\n(tls)\r\n.\r\n\xff"
    for method in ("plain", "login", "cram_md5"):
        with connect(world) as client:
            client.ehlo()
            client.user, client.password = "alice", "secret"
            client.auth(method.replace("_", "-").upper(), getattr(client, f"auth_{method}"))
            client.sendmail("alice@example.test", ["bob@example.test"], message)
    world.clock.settle()
    text = render(world.recording)
    assert "c2VjcmV0" not in text and "AHNlY3JldA" not in text, "the password in base64"
    assert text.count("AUTH PLAIN {plain alice}") == 1
    assert text.count("{cram-md5 alice}") == 1 and text.count("{password alice}") == 1
    assert text.count(r"Subject: \{plain alice}") == 3
    # The challenge of CRAM-MD5 and the queue ids repeat, because a rehearsal's tokens do.
    play_on_core(parse(text))
    play_on_socket(parse(text))


def test_a_failed_login_is_recorded_as_failed(world: World) -> None:
    with connect(world) as client:
        client.ehlo()
        for user, password in (("alice", "hunter2"), ("nobody", "secret")):
            response = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
            client.docmd(f"AUTH PLAIN {response}")
    world.clock.settle()
    text = render(world.recording)
    assert "{plain alice wrong}" in text and "{plain nobody wrong}" in text
    assert "hunter2" not in text
    play_on_core(parse(text))


@pytest.mark.parametrize("world", ["MAIL hang up within"], indirect=True)
def test_a_connection_that_a_fault_cut_is_recorded_with_the_fault(world: World) -> None:
    client = connect(world)
    client.ehlo()
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.mail("a@b.c")
        client.rcpt("a@b.c")
    client.close()
    text = render(world.recording)
    assert "fault: smtp MAIL hang up within" in text
    assert "S| 250 2.1.0" in text and "S: (closes)" in text, "half of the reply, without CRLF"
    play_on_core(parse(text))


def test_time_that_passed_is_recorded(world: World) -> None:
    client = connect(world)
    world.clock.advance(301)
    client.close()
    text = render(world.recording)
    assert "clock: 300\nS: 421 4.4.2" in text
    play_on_core(parse(text))


# ── how a recording is written ───────────────────────────────────────────────


def record(
    session: int,
    direction: str,
    raw: bytes = b"",
    verb: str = "",
    person: str = "",
    protocol: str = "smtp",
) -> Record:
    return Record(0.0, protocol, session, direction, raw, verb, person=person)


def test_a_single_session_has_no_name() -> None:
    recording = [record(7, "C", b"NOOP\r\n"), record(7, "-", verb="leaves")]
    assert render(recording, "SMTP: title", 'tls = "off"\n\nprogram = "x"\n') == (
        'SMTP: title\ngiven: tls = "off"\ngiven: program = "x"\n\nC: NOOP\nC: (leaves)\n'
    )


def test_several_sessions_have_the_names_of_their_people_or_numbers() -> None:
    recording = [
        record(1, "C", b"a\r\n", person="alice@example.test"),
        record(2, "C", b"b\r\n", person="bob@example.test"),
        record(3, "C", b"c\r\n", person="bob@example.test"),  # the same name: two are ambiguous
        record(4, "C", b"d\r\n"),
        record(5, "C", b"e\r\n", person="Ops Bot"),  # the grammar allows no space in a name
    ]
    lines = render(recording).splitlines()
    assert lines[2:] == ["alice C: a", "smtp-2 C: b", "smtp-3 C: c", "smtp-4 C: d", "smtp-5 C: e"]


def test_a_session_of_another_protocol_says_what_it_talks_and_where() -> None:
    recording = [
        record(1, "C", b"NOOP\r\n"),
        record(2, "C", b"NOOP\r\n", protocol="pop3"),
        # This one began at TOC's port and was handed over to HTTP.
        record(3, "-", verb="connects", protocol="toc"),
        record(3, "C", b"GET / HTTP/1.0\r\n\r\n", protocol="http"),
    ]
    lines = render(recording).splitlines()
    assert lines[:3] == ["SMTP: a recording", "talks: pop3-2 pop3", "talks: http-3 http at toc"]


def test_a_person_who_watches_sees_the_session_and_no_secret() -> None:
    login = Record(0.0, "pop3", 2, "C", b"PASS secret\r\n", "PASS")
    login.secrets = (Secret(5, 11, "pass alice"),)
    assert list(wire_lines(login)) == ["pop3-2 C: PASS {pass alice}"]
    unfinished = Record(0.0, "pop3", 2, "-", b"PASS sec", "unfinished")
    unfinished.secrets = (Secret(5, 8, "unfinished"),)
    assert list(wire_lines(unfinished)) == [r"pop3-2 C| PASS \{unfinished}"]
    assert list(wire_lines(record(1, "-", verb="connects"))) == []
    assert list(wire_lines(Event(0.0, "host", "apache2 dies"))) == []
    struck = Record(0.0, "smtp", 1, "C", b"NOOP\r\n", "NOOP", fault="smtp NOOP reset")
    assert list(wire_lines(struck)) == ["smtp-1 C: NOOP", "smtp-1 # fault: smtp NOOP reset"]
