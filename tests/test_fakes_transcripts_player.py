"""The player: how it plays, and what it says about a mistake or a server that does otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fakes.servers import SERVERS
from fakes.transcripts.connections import OnCore
from fakes.transcripts.player import play, play_on_core, play_on_socket
from fakes.transcripts.text import Transcript, TranscriptError, parse
from fakes.wire import Session
from fakes.world import World

Play = Callable[[Transcript], World]

HEAD = 'SMTP: a test\ngiven: off.smtp = ["ENHANCEDSTATUSCODES"]\n\n'
GREETING = "S: 220 mail.example.test ESMTP\n"

PLAYERS = pytest.mark.parametrize("play_on", [play_on_core, play_on_socket])


def test_what_came_instead_is_reported_with_file_and_line() -> None:
    message = r"(?s)transcript:6: expected  S: 251 no.*came      S: 250 OK"
    with pytest.raises(TranscriptError, match=message):
        play_on_core(parse(HEAD + GREETING + "C: NOOP\nS: 251 no\n"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("S: 220 mail.example.test *\nS: (closes)\n", "expected that the server closes; it stays"),
        ("S: 220 mail.example.test *\nthen: hope 1\n", "unknown word 'hope'; known: mail, inbox"),
        ("S: 220 mail.example.test *\nthen: mail 1\n", "(?s)expected  1.*found     0"),
        (
            "S: 220 mail.example.test *\nC: NOOP\n",
            "the client had received more than the transcript expects: 250 OK",
        ),
        ("cue: rain now\n", "cue: unknown word 'rain'; known: "),
    ],
)
def test_a_transcript_that_does_not_hold_fails_and_says_why(body: str, message: str) -> None:
    with pytest.raises(TranscriptError, match=message):
        play_on_core(parse(HEAD + body))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('# x\ngiven: mail.relay = "kepp"', r"t\.txt:3: given: mail\.relay: unknown value 'kepp'"),
        ('given: tls = "off"\ngiven: [mail]\ngiven: size = 0', r"t\.txt:4: given: mail\.size: 0 "),
        ("given: [[person]]", r"t\.txt:2: given: person\.address: missing"),
        ("given: [mial]", r"t\.txt:2: given: mial: unknown key"),
        ("fault: NOOP reset\nfault: RCTP reset", r"t\.txt:3: fault: .*did you mean 'rcpt'"),
        ("\nfault: smtp-422", r"t\.txt:3: fault: .*did you mean 'smtp-421'"),
    ],
)
def test_a_world_that_cannot_be_made_is_reported_with_the_line(lines: str, message: str) -> None:
    with pytest.raises(TranscriptError, match=f"^{message}"):
        play_on_core(parse(f"SMTP: x\n{lines}\n", "t.txt"))


# ── mistakes ─────────────────────────────────────────────────────────────────

# Each word that a transcript may write after `then:` and `cue:`, with the title of its protocol.
WORDS = [
    (server.name.upper(), f"{kind}: {word}")
    for server in SERVERS
    for kind, table in (("then", server.words), ("cue", server.cues))
    for word in table
]


@pytest.mark.parametrize(("title", "word"), WORDS)
def test_any_text_after_a_word_is_right_or_an_error_with_its_line(title: str, word: str) -> None:
    for text in ("", "nobody", "x y z", "alice@example.test bob", "ü\\ \0"):
        try:
            play_on_core(parse(f"{title}: x\n\n{word} {text}\n"))
        except TranscriptError as error:
            assert str(error).startswith("transcript:3: "), text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("TOC: x\n\ncue: aim-says ops\n", "cue: aim-says: expected FROM TO TEXT, found 'ops'"),
        ("TOC: x\n\ncue: aim-warns ops all\n", "'all' is not a warning level; write aim-warns ops"),
        ("TOC: x\n\ncue: aim-pauses ops long\n", "'long' is not a number of seconds"),
        ("TOC: x\n\ncue: aim-sends ops NICK:x\n", "ops is not signed on; users online: nobody"),
        ("TOC: x\n\ncue: aim-sings ops\n", "unknown word 'aim-sings'"),
        ("TOC: x\ntalks: web htpp at toc\n\nweb C: x\n", "'htpp' .did you mean 'http'"),
        ("XMPP: x\n\nthen: roster\n", "then: roster: expected ADDRESS …, found ''"),
        ("XMPP: x\n\nthen: roster tybalt\n", "no account with the address tybalt; the accounts"),
        ("XMPP: x\n\ncue: jabber-injects x\n", "not one stanza: 'x'; write one <message/>"),
        ("XMPP: x\n\nS: <a>\n", "'<a>' is not one whole piece of a stream; complete it"),
        ("SMTP: x\n\nC: (tls)\n", "C: the server did not agree to TLS"),
        ("SMTP: x\n\nC: AUTH {plian alice}\n", r"unknown secret \{plian alice\}; write"),
    ],
)
def test_a_mistake_is_one_line_with_the_remedy(text: str, problem: str) -> None:
    with pytest.raises(TranscriptError, match=problem) as failure:
        play_on_core(parse(text))
    assert "\n" not in str(failure.value)


def test_a_client_of_a_server_that_the_world_does_not_have_is_a_mistake() -> None:
    text = 'SMTP: x\ngiven: servers = ["smtp"]\ntalks: web http at toc\n\nweb C: GET\n'
    message = "transcript: talks: this world has no listener 'toc'; it has: smtp, submission, smtps"
    with pytest.raises(TranscriptError, match=message):
        play_on_core(parse(text))


def test_tls_on_a_socket_of_a_world_without_it_is_a_mistake_too() -> None:
    with pytest.raises(TranscriptError, match='the servers have no TLS; write given: tls = "opt'):
        play_on_socket(parse('SMTP: x\ngiven: tls = "off"\n\nC: (tls)\n'))


# ── how it plays ─────────────────────────────────────────────────────────────


def test_a_wildcard_stands_for_one_word_and_not_for_several() -> None:
    play_on_core(parse(HEAD + "S: 220 * ESMTP\n"))
    with pytest.raises(TranscriptError):
        play_on_core(parse(HEAD + "S: 220 *\n"))


class Noting(OnCore):
    """A connection that notes each write."""

    def __init__(self, session: Session, number: int) -> None:
        super().__init__(session, number)
        self.writes: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.writes.append(data)
        super().send(data)


def test_lines_of_one_client_without_an_answer_between_them_are_one_write() -> None:
    text = HEAD + GREETING + "C: NOOP\nC: NOOP\nS: 250 OK\nC| QU\nS: 250 OK\nC: IT\nS: 221 Bye\n"
    transcript = parse(text)
    world = World(transcript.config(), rehearsal=True)
    connection = Noting(world.core("smtp"), 1)
    play(transcript, lambda listener, number: connection, world, world.clock.skip)
    assert connection.writes == [b"NOOP\r\nNOOP\r\n", b"QU", b"IT\r\n"]


@PLAYERS
def test_several_clients_are_played_in_the_order_of_the_lines(play_on: Play) -> None:
    text = (
        "SMTP: x\ntalks: bob pop3\n\n"
        "alice S: 220 mail.example.test ESMTP\n"
        "bob S: +OK mail.example.test POP3 *\n"
        "bob C: QUIT\nalice C: QUIT\n"
        "alice S: 221 2.0.0 Bye\nbob S: +OK Bye\n"
    )
    with pytest.raises(TranscriptError, match="POP3"):
        # The greeting's timestamp is in angle brackets, which a wildcard does not match.
        play_on(parse(text))
    world = play_on(parse(text.replace("POP3 *", "POP3 <*>")))
    sent = [(record.protocol, record.raw) for record in world.records if record.direction == "C"]
    assert sent == [("pop3", b"QUIT\r\n"), ("smtp", b"QUIT\r\n")]


@PLAYERS
def test_the_clock_runs_the_timers_of_the_servers(play_on: Play) -> None:
    text = (
        "SMTP: x\n\nS: 220 mail.example.test ESMTP\nclock: 301\n"
        "S: 421 4.4.2 Idle for too long, closing connection\nS: (closes)\n"
    )
    world = play_on(parse(text))
    assert [record.verb for record in world.records if record.direction == "S"] == ["", ""]
