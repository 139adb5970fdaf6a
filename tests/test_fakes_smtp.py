"""The SMTP core: every verb in every state, every chopping, any octets, every cut."""

from __future__ import annotations

import base64
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.faults import Fault
from fakes.smtp import COMMAND_LINE, Smtp
from fakes.smtp_syntax import parse_path
from fakes.wire import BACKLOG, Facts, Record, TlsFacts, Want
from fakes.world import World
from tests.legality import in_states

EHLO = b"EHLO client.example\r\n"
MAIL = b"MAIL FROM:<carol@example.org>\r\n"
RCPT = b"RCPT TO:<alice@example.test>\r\n"
WAY_TO = {
    "START": b"",
    "READY": EHLO,
    "MAIL": EHLO + MAIL,
    "RCPT": EHLO + MAIL + RCPT,
    "DATA": EHLO + MAIL + RCPT + b"DATA\r\n",
    "AUTH": EHLO + b"AUTH LOGIN\r\n",
}
ARGUMENTS = {
    "EHLO": "client.example", "HELO": "client.example", "MAIL": "FROM:<carol@example.org>",
    "RCPT": "TO:<alice@example.test>", "VRFY": "alice", "EXPN": "alice@example.test", "AUTH": "LOGIN",
}  # fmt: skip
# a session that does a bit of everything, unit by unit
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


def core(world: World | None = None) -> tuple[World, Smtp]:
    world = world or World({"servers": ["smtp"], "tls": "off"}, rehearsal=True)
    session = world.core("smtp")
    assert isinstance(session, Smtp)
    session.opened(Facts(1))
    return world, session


def said(session: Smtp) -> bytes:
    output = b""
    while more := session.take():
        output += more
    session.written()
    return output


def tell(session: Smtp, octets: bytes) -> bytes:
    said(session)
    session.receive(octets)
    return said(session)


def plain_records(world: World) -> list[tuple[str, str, bytes]]:
    return [
        (one.direction, one.verb, one.raw) for one in world.recording if isinstance(one, Record)
    ]


@pytest.mark.parametrize(("verb", "state", "legal"), [
    row for row in in_states(Smtp.verbs, WAY_TO) if row[0].isupper() and row[1] not in ("DATA", "AUTH")
])  # fmt: skip
def test_a_verb_is_taken_where_its_table_says_so_and_only_there(
    verb: str, state: str, legal: bool
) -> None:
    _, session = core(World({"tls": "optional"}, rehearsal=True))
    session.receive(WAY_TO[state])
    before = (session.state, session._sender, session._recipients[:])
    answer = tell(session, f"{verb} {ARGUMENTS.get(verb, '')}".strip().encode() + b"\r\n")
    refused = answer.startswith((b"503", b"554"))
    assert refused != legal, f"{verb} in {state}: {answer!r}"
    if refused:
        assert (session.state, session._sender, session._recipients) == before, (
            "a refusal changes nothing"
        )


def test_in_data_and_in_an_exchange_nothing_is_a_command() -> None:
    world, session = core()
    session.receive(WAY_TO["DATA"])
    assert tell(session, b"QUIT\r\nRSET\r\n") == b""
    assert tell(session, b".\r\n").startswith(b"250 2.0.0")
    assert world.mail.messages[0].raw == b"QUIT\r\nRSET\r\n"
    session.receive(b"AUTH LOGIN\r\n")
    assert tell(session, b"QUIT\r\n").startswith((b"334", b"501"))


def play(chunks: list[bytes]) -> tuple[list[tuple[str, str, bytes]], bytes]:
    world, session = core()
    output = said(session)
    for chunk in chunks:
        session.receive(chunk)
        output += said(session)
    return plain_records(world), output


WHOLE = play(DIALOGUE)


def test_the_dialogue_octet_by_octet_is_the_same() -> None:
    assert play([bytes([octet]) for octet in b"".join(DIALOGUE)]) == WHOLE


def test_the_dialogue_cut_in_two_anywhere_is_the_same() -> None:
    octets = b"".join(DIALOGUE)
    for at in range(len(octets)):
        assert play([octets[:at], octets[at:]]) == WHOLE, f"cut at {at}"


@given(st.lists(st.integers(0, len(b"".join(DIALOGUE))), max_size=12))
def test_any_chopping_gives_the_same_records(cuts: list[int]) -> None:
    octets = b"".join(DIALOGUE)
    edges = [0, *sorted(cuts), len(octets)]
    assert play([octets[a:b] for a, b in itertools.pairwise(edges)]) == WHOLE


FRAGMENTS = [*DIALOGUE, b"\r\n", b"\n", b"\r", b".", b"\0", b"\xff", b"STARTTLS\r\n", b"AUTH LOGIN\r\n", b"*\r\n",
             b"AUTH PLAIN\r\n", b"MAIL FROM:<", b"> SIZE=", b'"\\', b"HELP \xc3\xa9\r\n", b"a" * 3000,
             b"VRFY \xf0\x9f\x98\x80\r\n"]  # fmt: skip


@given(
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=40)), max_size=25),
    st.booleans(),
)
def test_any_octets_raise_nothing_and_every_line_is_answered_with_a_reply(
    pieces: list[bytes], tls: bool
) -> None:
    _, session = core(World({"tls": "optional" if tls else "off"}, rehearsal=True))
    output = said(session)
    for piece in pieces:
        session.receive(piece)
        output += said(session)
        if session.wants is Want.START_TLS:
            session.wants = None
            session.secured(TlsFacts())
    session.eof()
    for line in output.splitlines(keepends=True):
        assert (
            line[:3].isdigit() and line[3:4] in b" -" and line.endswith(b"\r\n") and line.isascii()
        )


@pytest.mark.parametrize("state", ["START", "AUTH", "DATA"])
def test_an_endless_line_takes_no_memory_and_ends_in_a_refusal(state: str) -> None:
    _, session = core(World({"servers": ["smtp"], "mail": {"size": 100_000}}, rehearsal=True))
    session.receive(WAY_TO[state])
    for _ in range(1000):
        session.receive(b"x" * 10_000)
        assert len(session.buffer) <= max(COMMAND_LINE, 100_000) + 10_000
    end = b"\r\n.\r\n" if state == "DATA" else b"\r\n"
    wanted = {"START": b"500 5.5.2", "AUTH": b"500 5.5.6", "DATA": b"552 5.3.4"}[state]
    assert tell(session, end).startswith(wanted)
    assert tell(session, b"NOOP\r\n").startswith(b"250")


@pytest.mark.parametrize(
    ("length", "answer"), [(512, b"250"), (1036, b"250"), (2048, b"250"), (2049, b"500 5.5.2")]
)
def test_lines_up_to_2048_octets_pass(length: int, answer: bytes) -> None:
    _, session = core()
    assert tell(session, b"NOOP " + b"x" * (length - 7) + b"\r\n").startswith(answer)


def test_an_answer_to_a_challenge_may_have_12288_octets() -> None:
    _, session = core()
    session.receive(EHLO + b"AUTH PLAIN\r\n")
    fits = base64.b64encode(b"\0a\0" + b"x" * 9000)
    assert tell(session, fits + b"\r\n").startswith(b"501 5.5.4 PLAIN takes at most 255"), (
        "read whole, then judged"
    )
    session.receive(b"AUTH PLAIN\r\n")
    assert tell(session, b"x" * 12287 + b"\r\n").startswith(b"500 5.5.6")


def test_content_lines_of_any_length_are_kept() -> None:
    world, session = core()
    session.receive(WAY_TO["DATA"])
    session.receive(b"x" * 100_000 + b"\r\n.\r\n")
    said(session)
    assert world.mail.messages[0].raw == b"x" * 100_000 + b"\r\n"


def test_a_test_is_told_of_a_mail_only_after_its_250_is_written() -> None:
    world, session = core()
    session.receive(WAY_TO["DATA"] + b".\r\n")
    assert world.mail.messages == [], "handled, but the 250 has not been taken yet"
    assert said(session).endswith(b"\r\n")
    assert len(world.mail.messages) == 1


# ── cuts: before, within and after every unit ────────────────────────────────────────────────────────────────────

ANSWERS = [
    play(DIALOGUE[: n + 1])[1].removeprefix(play(DIALOGUE[:n])[1]) for n in range(len(DIALOGUE))
]
UNITS = [one for one in WHOLE[0] if one[0] == "C"]


def places() -> list[tuple[str, int, int]]:
    """Each unit of the dialogue: its verb, the how-manieth of that verb, its index."""
    seen: dict[str, int] = {}
    found = []
    for index, (_, verb, _) in enumerate(UNITS):
        seen[verb] = seen.get(verb, 0) + 1
        if verb in Smtp.verbs:
            found.append((verb, seen[verb], index))
    return found


WHATS = [
    {"hang_up": "before"}, {"hang_up": "within"}, {"hang_up": "after"}, {"reset": True}, {"after": 0}, {"after": 3},
    {"stall": True}, {"lost": "stored"}, {"lost": "unstored"}, {"reply": "421 4.3.2 closing"},
]  # fmt: skip


@pytest.mark.parametrize("what", WHATS, ids=str)
@pytest.mark.parametrize("place", places(), ids=lambda place: f"{place[0]}-{place[1]}")
def test_a_cut_at_any_unit_ends_the_session_there_and_stores_what_was_handled(
    place: tuple[str, int, int], what: dict[str, object]
) -> None:
    verb, nth, index = place
    fault = Fault(verb, nth=nth, **what)  # type: ignore[arg-type]
    world, session = core(
        World({"servers": ["smtp"], "tls": "off"}, rehearsal=True, faults=[fault])
    )
    said(session)
    answers = [tell(session, unit) for unit in DIALOGUE]
    session.eof()
    said(session)
    handled = [one for one in plain_records(world) if one[0] == "C"]
    assert handled == UNITS[: index + 1], "nothing is handled behind the cut"
    answer = ANSWERS[index]
    wanted = {
        "before": b"", "within": answer[: len(answer) // 2], "after": answer,
    }.get(str(what.get("hang_up")), b"")  # fmt: skip
    wanted = answer[: int(str(what["after"]))] if "after" in what else wanted
    wanted = b"421 4.3.2 closing\r\n" if "reply" in what else wanted
    assert answers[index] == wanted
    assert b"".join(answers[index + 1 :]) == b""
    dot = next(n for n, unit in enumerate(UNITS) if unit[1] == ".")
    handles = (
        what.get("hang_up") in ("within", "after")
        or "after" in what
        or what.get("lost") == "stored"
    )
    stored = index > dot or (index == dot and handles)
    assert len(world.mail.inbox("alice@example.test")) == int(stored)
    world.check()


def test_an_answer_may_come_octet_by_octet_and_the_session_goes_on() -> None:
    _, session = core(
        World({"servers": ["smtp"], "tls": "off"}, rehearsal=True, faults=["EHLO split 1"])
    )
    said(session)
    session.receive(EHLO)
    writes = []
    while more := session.take():
        writes.append(more)
    assert set(map(len, writes)) == {1}
    assert b"".join(writes).startswith(b"250-mail.example.test")
    assert tell(session, b"NOOP\r\n") == b"250 2.0.0 OK\r\n"
    session.receive(b"NOOP\r\n")
    assert session.take() == b"250 2.0.0 OK\r\n", "only the answer that the fault met is split"


def test_a_delay_holds_the_unit_and_what_comes_behind_it() -> None:
    world, session = core(
        World({"servers": ["smtp"], "tls": "off"}, rehearsal=True, faults=["RSET delay 30"])
    )
    said(session)
    session.receive(b"RSET\r\nNOOP\r\n")
    assert said(session) == b""
    assert session.in_flight
    world.clock.skip(30)
    session.tick()
    assert said(session) == b"250 2.0.0 OK\r\n250 2.0.0 OK\r\n"


def test_what_waits_behind_a_delay_stops_the_reading() -> None:
    _, session = core(
        World({"servers": ["smtp"], "tls": "off"}, rehearsal=True, faults=["RSET delay 30"])
    )
    session.receive(b"RSET\r\n" + b"NOOP\r\n" * (BACKLOG // 6 + 1))
    assert session.backlogged


def test_a_capability_switched_off_by_a_fault_is_neither_listed_nor_known() -> None:
    _, session = core(
        World(
            {"servers": ["smtp"], "tls": "off"},
            rehearsal=True,
            faults=["PIPELINING off", "EXPN off"],
        )
    )
    answer = tell(session, EHLO)
    assert b"PIPELINING" not in answer and b"EXPN" not in answer
    assert tell(session, b"EXPN x\r\n").startswith(b"502")


@pytest.mark.parametrize(("greeting", "then"), [("421 4.3.2 busy", b""), ("554 5.3.2 no", b"503")])
def test_a_greeting_that_refuses(greeting: str, then: bytes) -> None:
    """RFC 5321 §3.1: after 554 only QUIT is taken; after 421 the server closes."""
    _, session = core(
        World(
            {"servers": ["smtp"], "tls": "off"},
            rehearsal=True,
            faults=[f'connect reply "{greeting}"'],
        )
    )
    assert said(session) == greeting.encode() + b"\r\n"
    assert tell(session, EHLO).startswith(then)
    assert tell(session, b"QUIT\r\n") == (b"221 2.0.0 Bye\r\n" if then else b"")


def test_a_browser_is_hung_up_on_where_that_is_asked_for() -> None:
    world = World({"servers": ["smtp"], "mail": {"shuns_http": True}}, rehearsal=True)
    _, session = core(world)
    assert tell(session, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"421")
    assert session.closed


@pytest.mark.parametrize(
    "begun", [b"AUTH PLAIN AGFsaWNlAHNlY3", b"AUTH LOGIN\r\nYWxpY2U=\r\nc2Vjc"]
)
def test_half_a_login_is_not_shown(begun: bytes) -> None:
    world, session = core()
    session.receive(EHLO + begun)
    session.eof()
    assert (
        b"c2Vj" not in b"".join(one.shown() for one in world.records)
        and b"AGFsa" not in world.records[-3].shown()
    )


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("text", "address"), [
    ("<a@b.c>", "a@b.c"), ("<>", ""), ('<"a b"@x.org>', '"a b"@x.org'), ('<"a"@x.org>', "a@x.org"),
    (r'<"\a"@x.org>', "a@x.org"), (r'<"\""@x.org>', r'"\""@x.org'), ("<@r,@s:a@b>", "a@b"),
    ("<a@[127.0.0.1]>", "a@[127.0.0.1]"),
    ("<a@[IPv6:::1]>", "a@[IPv6:::1]"), ('<"a@b"@c>', '"a@b"@c'), ("<!#$%&'*+/=?^_`{|}~-@x>", "!#$%&'*+/=?^_`{|}~-@x"),
])  # fmt: skip
def test_paths_that_are_paths(text: str, address: str) -> None:
    assert parse_path(text, null=True) == (address, "")


@pytest.mark.parametrize("text", [
    "a@b.c", "<a@b.c", "a@b.c>", "<a>", "<@b>", "<a@>", "<a b@c>", "<a..b@c>", "<.a@c>", "<a.@c>", "<a@b..c>", "<a@-b>",
    "<a@b->",
    '<"a@c>', '<a"b"@c>', "<a@b>x", "<<a@b>>", "<a@b\r\n>", "<a@[>", "< a@b>", "<a@b >", "<a@b_c>", "<\udcff@x>", "",
])  # fmt: skip
def test_paths_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_path(text, null=True)


def test_no_text_takes_long_to_be_judged() -> None:
    """Bounded by the line's length: the patterns are tried on what makes patterns explode."""
    shuffled = random.Random(1)
    for seed in ("a.", "a-", '"\\', "<", "@", "a@b,", ":", "[", "IPv6:"):
        text = "<" + seed * (COMMAND_LINE // len(seed)) + shuffled.choice("!>\x01")
        with pytest.raises(ValueError):
            parse_path(text, null=True)


@pytest.mark.parametrize(("hops", "reply"), [(100, b"250 2.0.0"), (101, b"554 5.4.6")])
def test_a_message_may_have_a_hundred_received_lines_and_no_more(hops: int, reply: bytes) -> None:
    # RFC 5321 §6.3: more than this many is taken for a loop
    _, session = core()
    session.receive(WAY_TO["DATA"])
    assert tell(session, b"Received: x\r\n" * hops + b"\r\n.\r\n").startswith(reply)
