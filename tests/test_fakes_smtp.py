"""The SMTP core: every command in every state, any chopping, any bytes, a fault at every unit."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.smtp import COMMAND_LINE, Smtp
from fakes.wire import BACKLOG, Facts, TlsFacts, Want
from fakes.wire.lines import LONGEST_LINE
from fakes.world import World
from tests.bare_core import ask, drain, exchanged
from tests.growth import FACTOR_MOST, factor
from tests.legality import in_states

EHLO = b"EHLO client.example\r\n"
MAIL = b"MAIL FROM:<carol@example.org>\r\n"
RCPT = b"RCPT TO:<alice@example.test>\r\n"
# What a client sends to reach each state.
WAY_TO = {
    "START": b"",
    "READY": EHLO,
    "MAIL": EHLO + MAIL,
    "RCPT": EHLO + MAIL + RCPT,
    "DATA": EHLO + MAIL + RCPT + b"DATA\r\n",
    "CHUNKS": EHLO + MAIL + RCPT + b"BDAT 2\r\nhi",
    "BROKEN": EHLO + MAIL + RCPT + b"BDAT\r\n",
    "AUTH": EHLO + b"AUTH LOGIN\r\n",
}
# In these two states a line is content or a response, and never a command.
NO_COMMANDS = ("DATA", "AUTH")
ARGUMENTS = {
    "EHLO": "client.example",
    "HELO": "client.example",
    "MAIL": "FROM:<carol@example.org>",
    "RCPT": "TO:<alice@example.test>",
    "BDAT": "0 LAST",
    "VRFY": "alice",
    "EXPN": "alice@example.test",
    "AUTH": "LOGIN",
}
# A session that does a bit of everything, unit by unit.
DIALOGUE = [
    EHLO,
    b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
    MAIL,
    b"RCPT TO:<nobody@example.test>\r\n",
    RCPT,
    b"DATA\r\n",
    b"Subject: \xff\r\n\r\n..\r\n.x\r\n\n.\n\r\n.\r\n",
    b"BANANA\r\n",
    b"RSET\r\n",
    b"QUIT\r\n",
]
STREAM = b"".join(DIALOGUE)


def opened(world: World | None = None) -> tuple[World, Smtp]:
    """Returns a world and a core that is connected, its greeting not yet taken."""
    world = world or World({"servers": ["smtp"], "tls": "off"}, rehearsal=True)
    session = world.core("smtp")
    assert isinstance(session, Smtp)
    session.opened(Facts(1))
    return world, session


def with_fault(text: str) -> tuple[World, Smtp]:
    """Returns a world in which this fault is armed, and a core."""
    return opened(World({"servers": ["smtp"], "tls": "off"}, rehearsal=True, faults=[text]))


# ── commands and states ──────────────────────────────────────────────────────


def test_every_state_of_the_table_is_tried() -> None:
    assert set(WAY_TO) == set(Smtp.states.split())
    for state, way in WAY_TO.items():
        _, session = opened()
        session.receive(way)
        assert session.state == state


@pytest.mark.parametrize(
    ("verb", "state", "legal"),
    [
        row
        for row in in_states(Smtp.verbs, WAY_TO)
        if row[0].isupper() and row[1] not in NO_COMMANDS
    ],
)
def test_a_command_is_accepted_in_the_states_of_its_rule_and_in_no_other(
    verb: str, state: str, legal: bool
) -> None:
    _, session = opened(World({"tls": "optional"}, rehearsal=True))
    session.receive(WAY_TO[state])
    before = (session.state, session._sender, session._recipients[:])
    answer = ask(session, f"{verb} {ARGUMENTS.get(verb, '')}".strip().encode() + b"\r\n")
    refused = answer.startswith((b"503", b"554"))
    assert refused != legal, f"{verb} in {state}: {answer!r}"
    if refused:
        after = (session.state, session._sender, session._recipients)
        assert after == before, "a refused command changes nothing"


def test_neither_content_nor_a_response_is_taken_for_a_command() -> None:
    world, session = opened()
    session.receive(WAY_TO["DATA"])
    assert ask(session, b"QUIT\r\nRSET\r\n") == b""
    assert ask(session, b".\r\n").startswith(b"250 2.0.0")
    assert world.mail.messages[0].raw == b"QUIT\r\nRSET\r\n"
    session.receive(b"AUTH LOGIN\r\n")
    assert ask(session, b"QUIT\r\n").startswith((b"334", b"501"))


# ── any bytes, chopped in any way ────────────────────────────────────────────


def play(chunks: list[bytes]) -> tuple[list[tuple[str, str, bytes]], bytes]:
    """Sends the chunks one by one. Returns what was recorded and what the server sent."""
    world, session = opened()
    output = drain(session)
    for chunk in chunks:
        session.receive(chunk)
        output += drain(session)
    return exchanged(world), output


WHOLE = play(DIALOGUE)


def test_the_dialogue_is_the_same_byte_by_byte() -> None:
    assert play([bytes([byte]) for byte in STREAM]) == WHOLE


def test_the_dialogue_is_the_same_wherever_it_is_cut_in_two() -> None:
    for at in range(len(STREAM)):
        assert play([STREAM[:at], STREAM[at:]]) == WHOLE, f"cut at byte {at}"


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_dialogue_is_the_same_in_any_pieces(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert play([STREAM[start:end] for start, end in itertools.pairwise(edges)]) == WHOLE


FRAGMENTS = [
    *DIALOGUE,
    b"\r\n",
    b"\n",
    b"\r",
    b".",
    b"\0",
    b"\xff",
    b"STARTTLS\r\n",
    b"AUTH LOGIN\r\n",
    b"*\r\n",
    b"AUTH PLAIN\r\n",
    b"MAIL FROM:<",
    b"> SIZE=",
    b'"\\',
    b"HELP \xc3\xa9\r\n",
    b"a" * 3000,
    b"VRFY \xf0\x9f\x98\x80\r\n",
]


@given(
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=40)), max_size=25),
    st.booleans(),
)
def test_any_input_is_answered_with_complete_reply_lines_and_raises_nothing(
    pieces: list[bytes], tls: bool
) -> None:
    _, session = opened(World({"tls": "optional" if tls else "off"}, rehearsal=True))
    output = drain(session)
    for piece in pieces:
        session.receive(piece)
        output += drain(session)
        if session.wants is Want.START_TLS:
            session.wants = None
            session.secured(TlsFacts())
    session.eof()
    assert output.startswith(b"220 ")
    for line in output.splitlines(keepends=True):
        assert line[:3].isdigit() and line[3:4] in b" -" and line.endswith(b"\r\n")
        assert line.isascii()


# ── limits ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("state", "end", "refusal"),
    [
        ("START", b"\r\n", b"500 5.5.2"),
        ("AUTH", b"\r\n", b"500 5.5.6"),
        ("DATA", b"\r\n.\r\n", b"552 5.3.4"),
    ],
)
def test_an_endless_line_is_not_kept_and_is_refused_when_it_ends(
    state: str, end: bytes, refusal: bytes
) -> None:
    limit = 100_000
    _, session = opened(World({"servers": ["smtp"], "mail": {"size": limit}}, rehearsal=True))
    session.receive(WAY_TO[state])
    for _ in range(1000):
        session.receive(b"x" * 10_000)
        assert len(session.buffer) <= max(COMMAND_LINE, limit) + 10_000
    assert ask(session, end).startswith(refusal)
    assert ask(session, b"NOOP\r\n").startswith(b"250")


@pytest.mark.parametrize(
    ("length", "answer"), [(512, b"250"), (1036, b"250"), (2048, b"250"), (2049, b"500 5.5.2")]
)
def test_a_command_line_may_have_2048_bytes(length: int, answer: bytes) -> None:
    _, session = opened()
    assert ask(session, b"NOOP " + b"x" * (length - 7) + b"\r\n").startswith(answer)


def test_a_response_to_a_challenge_may_have_12288_bytes() -> None:
    _, session = opened()
    session.receive(EHLO + b"AUTH PLAIN\r\n")
    # PLAIN itself refuses this one, which shows that the line was read completely.
    fits = base64.b64encode(b"\0a\0" + b"x" * 9000)
    assert ask(session, fits + b"\r\n").startswith(b"501 5.5.4 PLAIN takes at most 255")
    session.receive(b"AUTH PLAIN\r\n")
    assert ask(session, b"x" * 12287 + b"\r\n").startswith(b"500 5.5.6")


def test_a_line_of_content_may_have_any_length() -> None:
    world, session = opened()
    session.receive(WAY_TO["DATA"])
    session.receive(b"x" * 100_000 + b"\r\n.\r\n")
    drain(session)
    assert world.mail.messages[0].raw == b"x" * 100_000 + b"\r\n"


@pytest.mark.parametrize(("hops", "reply"), [(100, b"250 2.0.0"), (101, b"554 5.4.6")])
def test_a_message_may_have_a_hundred_received_lines_and_no_more(hops: int, reply: bytes) -> None:
    # RFC 5321 §6.3: a message with more of them is assumed to be in a loop.
    _, session = opened()
    session.receive(WAY_TO["DATA"])
    header, body = b"Received: x\r\n" * hops, b"\n" + b"Received: in the body\n" * 9
    assert ask(session, header + body + b"\r\n.\r\n").startswith(reply)


def test_a_mail_becomes_visible_to_the_test_when_its_250_is_written() -> None:
    world, session = opened()
    session.receive(WAY_TO["DATA"] + b".\r\n")
    assert world.mail.messages == [], "handled, but the 250 has not been taken yet"
    assert drain(session).endswith(b"\r\n")
    assert len(world.mail.messages) == 1


# ── a fault at every unit ────────────────────────────────────────────────────

# The answer to each unit, and the record of each unit, when nothing fails.
ANSWERS = [
    play(DIALOGUE[: n + 1])[1].removeprefix(play(DIALOGUE[:n])[1]) for n in range(len(DIALOGUE))
]
UNITS = [record for record in WHOLE[0] if record[0] == "C"]

# Each way to end a connection at a unit, and whether the unit is handled before that.
FAILURES = {
    "hang up before": False,
    "hang up within": True,
    "hang up after": True,
    "reset": False,
    "after 0": True,
    "after 3": True,
    "stall": False,
    "lost stored": True,
    "lost unstored": False,
    'reply "421 4.3.2 closing"': False,
}


def places() -> list[tuple[str, int, int]]:
    """Returns the verb of each unit of the dialogue, its occurrence number, and its index."""
    seen: dict[str, int] = {}
    found = []
    for index, (_, verb, _) in enumerate(UNITS):
        seen[verb] = seen.get(verb, 0) + 1
        if verb in Smtp.verbs:
            found.append((verb, seen[verb], index))
    return found


def sent_under(failure: str, answer: bytes) -> bytes:
    """Returns what the server still sends of an answer."""
    match failure.split():
        case ["hang", "up", "within"]:
            return answer[: len(answer) // 2]
        case ["hang", "up", "after"]:
            return answer
        case ["after", number]:
            return answer[: int(number)]
        case ["reply", *_]:
            return b"421 4.3.2 closing\r\n"
    return b""


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("place", places(), ids=lambda place: f"{place[0]}-{place[1]}")
def test_a_fault_at_a_unit_ends_the_session_there_and_keeps_what_was_handled(
    place: tuple[str, int, int], failure: str
) -> None:
    verb, nth, index = place
    world, session = with_fault(f"smtp {verb} nth {nth} {failure}")
    drain(session)
    answers = [ask(session, unit) for unit in DIALOGUE]
    session.eof()
    drain(session)
    handled = [record for record in exchanged(world) if record[0] == "C"]
    assert handled == UNITS[: index + 1], "nothing after the fault is handled"
    assert answers[index] == sent_under(failure, ANSWERS[index])
    assert b"".join(answers[index + 1 :]) == b""
    dot = next(number for number, unit in enumerate(UNITS) if unit[1] == ".")
    stored = index > dot or (index == dot and FAILURES[failure])
    assert len(world.mail.inbox("alice@example.test")) == int(stored)
    world.check()


def test_a_split_answer_leaves_in_small_writes_and_the_session_goes_on() -> None:
    _, session = with_fault("EHLO split 1")
    drain(session)
    session.receive(EHLO)
    writes = list(iter(session.take, b""))
    assert set(map(len, writes)) == {1}
    assert b"".join(writes).startswith(b"250-mail.example.test")
    assert ask(session, b"NOOP\r\n") == b"250 2.0.0 OK\r\n"
    session.receive(b"NOOP\r\n")
    assert session.take() == b"250 2.0.0 OK\r\n", "only the answer that the fault met is split"


def test_a_delay_holds_back_the_unit_and_all_input_after_it() -> None:
    world, session = with_fault("RSET delay 30")
    drain(session)
    session.receive(b"RSET\r\nNOOP\r\n")
    assert drain(session) == b""
    assert session.in_flight
    world.clock.skip(30)
    session.tick()
    assert drain(session) == b"250 2.0.0 OK\r\n250 2.0.0 OK\r\n"


def test_a_client_that_waits_for_its_answer_is_not_idle() -> None:
    # RFC 5321 §4.5.3.2.6: a client waits ten minutes for the reply to the final dot.
    world, session = with_fault(". delay 590")
    session.receive(EHLO + MAIL + RCPT + b"DATA\r\nSubject: hi\r\n\r\n.\r\n")
    drain(session)
    for seconds, answer in ((400.0, b""), (190.0, b"250 "), (299.0, b""), (301.0, b"421 ")):
        world.clock.skip(seconds)
        session.tick()
        assert drain(session)[:4] == answer, seconds


@pytest.mark.parametrize("command", [b"DATA", b"BDAT 100", b"BDAT 99999999"])
def test_a_client_that_sends_a_message_slowly_is_not_idle(command: bytes) -> None:
    world, session = opened()
    session.receive(EHLO + MAIL + RCPT + command + b"\r\n")
    for _ in range(5):
        session.receive(b"Subject: hi\r\n")
        world.clock.skip(200.0)  # RFC 5321 §4.5.3.2.7: the time is that until a command comes
        session.tick()
        assert not session.closed
    world.clock.skip(Smtp.idle_timeout)
    session.tick()
    assert session.closed


def test_the_shell_is_asked_to_stop_reading_when_much_input_waits_for_a_delay() -> None:
    _, session = with_fault("RSET delay 30")
    session.receive(b"RSET\r\n" + b"NOOP\r\n" * (BACKLOG // 6 + 1))
    assert session.backlogged


def test_a_capability_that_a_fault_switches_off_is_neither_listed_nor_implemented() -> None:
    _, session = with_fault("PIPELINING off; EXPN off")
    answer = ask(session, EHLO)
    assert b"PIPELINING" not in answer and b"EXPN" not in answer
    assert ask(session, b"EXPN x\r\n").startswith(b"502")


@pytest.mark.parametrize(("greeting", "then"), [("421 4.3.2 busy", b""), ("554 5.3.2 no", b"503")])
def test_after_a_greeting_that_refuses_only_quit_is_accepted(greeting: str, then: bytes) -> None:
    # RFC 5321 §3.1 for 554. With 421 the server closes the connection itself (§3.8).
    _, session = with_fault(f'connect reply "{greeting}"')
    assert drain(session) == greeting.encode() + b"\r\n"
    assert ask(session, EHLO).startswith(then)
    assert ask(session, b"QUIT\r\n") == (b"221 2.0.0 Bye\r\n" if then else b"")


def test_a_name_is_a_list_or_a_mailbox_as_a_whole() -> None:
    config = {
        "person": [
            {"address": "alice@example.test", "aliases": ["al@example.test"]},
            {"address": "bob@example.test"},
        ]
    }
    _, session = opened(World(config, rehearsal=True))
    ask(session, EHLO)
    assert ask(session, b"EXPN al@example.test\r\n") == b"250 2.1.5 <alice@example.test>\r\n"
    for name in (b"alice@example.test", b"alice", b"a", b"ali"):
        assert ask(session, b"EXPN " + name + b"\r\n").startswith(b"550"), name


def test_a_name_that_only_a_catch_all_domain_knows_exists() -> None:
    config = {"servers": ["smtp"], "mail": {"catch_all": ["example.test"]}}
    _, session = opened(World(config, rehearsal=True))
    ask(session, EHLO)
    assert ask(session, b"VRFY foo\r\n") == b"250 2.1.5 <foo@example.test>\r\n"


@pytest.mark.parametrize(
    "command", ["EHLO {}", "RCPT TO:<{}@example.test>", "RCPT TO:<a@b> {}=1", "VRFY é{}@x SMTPUTF8"]
)
def test_no_line_of_a_reply_is_longer_than_a_client_must_read(command: str) -> None:
    world = World({"servers": ["smtp"], "mail": {"catch_all": ["x"]}}, rehearsal=True)
    _, session = opened(world)
    ask(session, EHLO + MAIL)
    long = "é" * 900 if "é" in command else "x" * 1900
    answer = ask(session, f"{command.format(long)}\r\n".encode())
    lines = answer.splitlines(keepends=True)
    assert max(map(len, lines)) <= 512, "RFC 5321 §4.5.3.1.5"
    assert answer.endswith(b"\r\n") and answer.decode()


@pytest.mark.parametrize("address", [b"Postmaster", b"postmaster@example.test"])
def test_mail_for_the_postmaster_is_taken_although_there_is_no_such_account(address: bytes) -> None:
    world, session = opened()
    ask(session, EHLO)
    assert ask(session, b"VRFY " + address + b"\r\n").startswith(b"252"), "RFC 5321 §4.5.1"
    ask(session, b"MAIL FROM:<bob@example.test>\r\n")
    assert ask(session, b"RCPT TO:<" + address + b">\r\n").startswith(b"250")
    assert ask(session, b"DATA\r\nSubject: hi\r\n\r\n.\r\n").splitlines()[1].startswith(b"250")
    session.written()
    assert len(world.mail.messages) == 1, "the sender gets no bounce"


@pytest.mark.parametrize("verb", [b"VRFY", b"EXPN"])
def test_a_name_in_utf_8_is_only_told_to_clients_that_ask_for_it(verb: bytes) -> None:
    person = {"address": "jörg@example.test", "aliases": ["joerg@example.test"]}
    _, session = opened(World({"person": [person]}, rehearsal=True))
    ask(session, EHLO)
    line = verb + b" joerg@example.test"
    assert ask(session, line + b"\r\n").startswith(b"252 2.6.8"), "RFC 6531 §3.7.4.2"
    told = ask(session, line + b" SMTPUTF8\r\n")
    assert told == "250 2.1.5 <jörg@example.test>\r\n".encode()


@pytest.mark.slow
def test_many_chunks_cost_time_in_proportion_to_their_number() -> None:
    def prepared(count: int) -> Callable[[], object]:
        _, session = opened()
        session.receive(WAY_TO["RCPT"])
        return lambda: ask(session, b"BDAT 1\r\nx" * count)

    assert factor(prepared, 1000) <= FACTOR_MOST


# ── policies and secrets ─────────────────────────────────────────────────────


def test_a_web_browser_is_disconnected_if_the_policy_says_so() -> None:
    _, session = opened(
        World({"servers": ["smtp"], "mail": {"hang_up_on_http": True}}, rehearsal=True)
    )
    assert ask(session, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"421")
    assert session.closed


@pytest.mark.parametrize(
    ("sent", "secret"),
    [
        (b"AUTH PLAIN AGFsaWNlAHNlY3", b"AGFsa"),
        (b"AUTH LOGIN\r\nYWxpY2U=\r\nc2Vjc", b"c2Vj"),
        (b"AUTH XOAUTH2 " + b"c2Vj" * COMMAND_LINE + b"\r\n", b"c2Vj"),
        (b"AUTH XOAUTH2 " + b"c2Vj" * LONGEST_LINE + b"\r\n", b"c2Vj"),
        (b"AUTH XOAUTH2 " + b"c2Vj" * LONGEST_LINE, b"c2Vj"),
        (b" AUTH PLAIN AGFsaWNlAHNlY3\r\n", b"AGFsa"),
        (b"AUTH\tPLAIN\tAGFsaWNlAHNlY3\r\n", b"AGFsa"),
        (b"MAIL FROM:<a@b.c>\r\nAUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n", b"c2Vj"),
        (b"AUTH NONE\r\nYWxpY2U=\r\nc2Vj", b"c2Vj"),
        (b"AUTH LOGIN\nYWxpY2U=\nc2VjcmV0\n", b"c2Vj"),
        (b"EHLO x\nAUTH LOGIN\nYWxpY2U=\nc2VjcmV0\nQUIT\r\n", b"c2Vj"),
        (b"AUTH LOGIN\nYWxpY2U=\nc2VjcmV0\nQUIT\r\n", b"c2Vj"),
    ],
    ids=[
        "PLAIN",
        "LOGIN",
        "too long",
        "far too long",
        "endless",
        "after a space",
        "tabs",
        "refused",
        "refused and cut off",
        "LF",
        "a line of several",
        "a line that begins with it",
    ],
)
def test_a_login_that_the_server_cannot_read_is_not_shown(sent: bytes, secret: bytes) -> None:
    world, session = opened()
    session.receive(EHLO)
    for at in range(0, len(sent), 1000):
        session.receive(sent[at : at + 1000])
    session.eof()
    assert secret not in b"".join(record.shown() for record in world.records)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_bare_lf_ends_lines_of_commands_and_content_where_the_world_says_so(size: int) -> None:
    world = World({"mail": {"bare_lf": True}}, rehearsal=True)
    _, session = opened(world)
    content = b"DATA\nSubject: a\r\n\n.b\n..c\r\n.\n"
    chunk = b"BDAT 6 LAST\na\n\r\nb\n"
    sent = (EHLO + MAIL + RCPT).replace(b"\r", b"") + content + MAIL + RCPT + chunk + b"QUIT\n"
    for at in range(0, len(sent), size):
        session.receive(sent[at : at + size])
    assert drain(session).endswith(b"221 2.0.0 Bye\r\n")
    assert [mail.raw for mail in world.mail.messages] == [
        b"Subject: a\r\n\r\nb\r\n.c\r\n",
        b"a\n\r\nb\n",
    ]


def test_what_the_world_lists_is_what_ehlo_lists() -> None:
    order = ["VRFY", "ETRN", "AUTH", "SIZE"]
    _, session = opened(World({"mail": {"ehlo": order, "size": 9}}, rehearsal=True))
    listed = ask(session, EHLO).split(b"\r\n")[1:-1]
    assert listed == [b"250-VRFY", b"250-ETRN", b"250-AUTH CRAM-MD5 PLAIN LOGIN", b"250 SIZE 9"]
    assert ask(session, b"ETRN example.test\r\n").startswith(b"458 ")
    assert ask(session, MAIL.replace(b">", b"> BODY=8BITMIME")).startswith(b"555 ")
