"""The POP3 core: every command in every state, any chopping, any bytes, and every fault."""

from __future__ import annotations

import base64
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.maildrop import Row
from fakes.pop3 import Pop3
from fakes.rows import Rows
from fakes.transcripts.recorder import render
from fakes.wire import Facts, Record, TlsFacts, Want
from fakes.wire.lines import LONGEST_LINE
from fakes.world import World
from tests.bare_core import ask, drain, exchanged
from tests.legality import in_states

ALICE = "alice@example.test"
LOGIN = b"USER alice\r\nPASS secret\r\n"
# What a client sends to reach each state.
WAY_TO = {
    "AUTHORIZATION": b"",
    "NAMED": b"USER alice\r\n",
    "TRANSACTION": LOGIN,
    "AUTH": b"AUTH LOGIN\r\n",
}
ARGUMENTS = {
    "USER": "bob",
    "PASS": "secret",
    "APOP": "alice 0123",
    "AUTH": "LOGIN",
    "RETR": "1",
    "DELE": "1",
    "TOP": "1 0",
}
MAIL = b"Subject: one\r\n\r\n.\r\n..dots\r\n.x\r\nlast"
# A session that does a bit of everything, unit by unit.
DIALOGUE = [
    b"CAPA\r\n",
    b"AUTH PLAIN\r\n",
    b"AGFsaWNlAHdyb25n\r\n",
    LOGIN,
    b"STAT\r\n",
    b"UIDL\r\n",
    b"LIST\r\n",
    b"RETR 1\r\n",
    b"TOP 1 1\r\n",
    b"BANANA\r\n",
    b"DELE 1\r\n",
    b"RSET\r\n",
    b"DELE 2\r\n",
    b"LIST\r\n",
    b"QUIT\r\n",
]
STREAM = b"".join(DIALOGUE)


def opened(
    world: World | None = None, mails: int = 2, mail: dict[str, object] | None = None
) -> tuple[World, Pop3]:
    """Returns a world and a core that is connected; alice has that many mails."""
    world = world or World({"servers": ["pop3"], "tls": "off", "mail": mail or {}}, rehearsal=True)
    for _ in range(mails):
        world.mail.deliver(ALICE, MAIL)
    session = world.core("pop3")
    assert isinstance(session, Pop3)
    session.opened(Facts(1))
    return world, session


# ── commands and states ──────────────────────────────────────────────────────


def test_every_state_of_the_table_is_tried() -> None:
    assert set(WAY_TO) == set(Pop3.states.split())
    for state, way in WAY_TO.items():
        _, session = opened()
        session.receive(way)
        assert session.state == state


@pytest.mark.parametrize(
    ("verb", "state", "legal"),
    [row for row in in_states(Pop3.verbs, WAY_TO) if row[0].isupper() and row[1] != "AUTH"],
)
def test_a_command_is_accepted_in_the_states_of_its_rule_and_in_no_other(
    verb: str, state: str, legal: bool
) -> None:
    _, session = opened(World({"tls": "optional"}, rehearsal=True))
    session.receive(WAY_TO[state])
    before = (session.user, set(session._marked), session.tls)
    answer = ask(session, f"{verb} {ARGUMENTS.get(verb, '')}".strip().encode() + b"\r\n")
    assert answer.startswith((b"+", b"-ERR"))
    # POP3 has no code for a command in the wrong state; the texts tell it from other refusals.
    wrong_state = answer.startswith(
        (b"-ERR Log in first", b"-ERR You are logged in", b"-ERR Say USER first")
    )
    assert wrong_state != legal, f"{verb} in {state}: {answer!r}"
    if wrong_state:
        after = (session.user, session._marked, session.tls)
        assert after == before, "a refused command changes nothing"


def test_a_response_is_not_taken_for_a_command() -> None:
    _, session = opened()
    session.receive(WAY_TO["AUTH"])
    assert ask(session, b"QUIT\r\n").startswith((b"+ ", b"-ERR"))
    assert not session.closed


@pytest.mark.parametrize(
    "verb", ["USER", "PASS", "APOP", "AUTH", "STLS", "UTF8", "LANG", "CAPA", "TOP", "UIDL"]
)
def test_without_its_capability_a_command_is_unknown(verb: str) -> None:
    off = {"PASS": "USER", "AUTH": "SASL"}.get(verb, verb)
    _, session = opened(World({"tls": "optional", "off": {"pop3": [off]}}, rehearsal=True))
    state = "TRANSACTION" if verb in ("TOP", "UIDL") else "AUTHORIZATION"
    session.receive(WAY_TO[state])
    line = f"{verb} {ARGUMENTS.get(verb, '')}".strip().encode() + b"\r\n"
    assert ask(session, line) == b"-ERR Unknown command\r\n"


def test_response_codes_can_be_switched_off() -> None:
    _, session = opened(World({"off": {"pop3": ["AUTH-RESP-CODE"]}}, rehearsal=True))
    answer = ask(session, b"USER alice\r\nPASS wrong\r\n")
    assert answer.endswith(b"-ERR Authentication failed\r\n")
    _, session = opened(World({"off": {"pop3": ["RESP-CODES"]}}, rehearsal=True))
    session.store.maildrop(ALICE).holder = object()
    assert b"[" not in ask(session, LOGIN)


# ── logins ───────────────────────────────────────────────────────────────────


def test_the_apop_digest_of_rfc_1939_section_7_is_accepted() -> None:
    people = [{"address": "mrose@dbc.mtview.ca.us", "password": "tanstaaf"}]
    _, session = opened(World({"person": people}, rehearsal=True), mails=0)
    drain(session)
    session._stamp = "<1896.697170952@dbc.mtview.ca.us>"
    assert ask(session, b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n").startswith(b"+OK")


def test_each_greeting_has_another_timestamp() -> None:
    world, first = opened()
    second = world.core("pop3")
    second.opened(Facts(2))
    stamps = [re.findall(rb"<\S+@\S+>", drain(session)) for session in (first, second)]
    assert len(stamps[0]) == len(stamps[1]) == 1 and stamps[0] != stamps[1]


@pytest.mark.parametrize(
    "response",
    [
        b"\0alice\0wrong",
        b"alice\0alice\0wrong",
        b"bob\0alice\0secret",
        b"\0\0secret",
        b"\0alice\0",
        b"alice secret",
        b"",
        b"\0alice\0secret\0",
        b"\0" + b"a" * 256 + b"\0secret",
        b"\0alice\0\xff",
    ],
)
def test_a_wrong_plain_response_is_refused_and_changes_nothing(response: bytes) -> None:
    _, session = opened()
    encoded = base64.b64encode(response) or b"="
    assert ask(session, b"AUTH PLAIN\r\n" + encoded + b"\r\n").startswith(b"+ \r\n-ERR ")
    assert not session.user
    right = base64.b64encode(b"\0alice\0secret")
    assert ask(session, b"AUTH PLAIN " + right + b"\r\n").startswith(b"+OK")


@pytest.mark.parametrize(
    "line", [b"=AAA", b"AAA=BBB", b"!!!!", b"AAA", b"A A=", b"\xc3\xa9===", b"AAAA===="]
)
def test_a_response_that_is_not_base64_is_refused(line: bytes) -> None:
    _, session = opened()
    answer = ask(session, b"AUTH PLAIN\r\n" + line + b"\r\n")
    assert answer.startswith(b"+ \r\n-ERR ")  # RFC 5034 §4
    assert session.state == "AUTHORIZATION"


# ── what a client fetches ────────────────────────────────────────────────────


@given(
    st.lists(
        st.sampled_from([b".", b"..", b"\r\n", b"\n", b"\r", b"x", b"\0", b"\xff", b" ", b"."]),
        max_size=30,
    )
)
def test_a_mail_is_fetched_as_it_is_stored_and_its_size_is_right(pieces: list[bytes]) -> None:
    world, session = opened(mails=0)
    world.mail.deliver(ALICE, b"Subject: x\r\n\r\n" + b"".join(pieces))
    # A bare LF before a dot, or at the end, becomes CRLF: see Row.served.
    raw = re.sub(rb"(?<!\r)\n(?=\.|\Z)", b"\r\n", world.mail.inbox(ALICE)[0].raw)
    raw += b"" if raw.endswith(b"\r\n") else b"\r\n"
    session.receive(LOGIN)
    status, _, rest = ask(session, b"RETR 1\r\n").partition(b"\r\n")
    assert status == b"+OK %d octets" % len(raw)
    assert b"\r\n.\r\n" not in rest[:-1], "only the end may look like the end"
    stuffed = rest.removesuffix(b".\r\n")
    lines = [line.removeprefix(b".") for line in stuffed.split(b"\r\n")]
    assert b"\r\n".join(lines) == raw
    assert ask(session, b"LIST 1\r\n") == b"+OK 1 %d\r\n" % len(raw)
    assert ask(session, b"STAT\r\n") == b"+OK 1 %d\r\n" % len(raw)
    assert ask(session, b"TOP 1 99999\r\n").partition(b"\r\n")[2] == rest


def test_a_mail_that_ends_in_a_bare_lf_has_no_empty_line_at_its_end() -> None:
    world, session = opened(mails=0)
    world.mail.deliver(ALICE, b"Subject: x\n\nHello!\n")
    session.receive(LOGIN)
    for command in (b"RETR 1\r\n", b"TOP 1 9\r\n"):
        assert ask(session, command).endswith(b"\nSubject: x\n\nHello!\r\n.\r\n")


def test_an_empty_mail_and_one_that_begins_with_a_dot_are_complete() -> None:
    _, session = opened()
    session.receive(LOGIN)
    mail = session._rows[0].mail
    rows = [Row(1, b"", b"", mail), Row(2, b"", b".first\r\n", mail)]
    session._rows = Rows(rows).seen()
    assert ask(session, b"RETR 1\r\n") == b"+OK 0 octets\r\n.\r\n"
    assert ask(session, b"RETR 2\r\n") == b"+OK 8 octets\r\n..first\r\n.\r\n"


def test_only_a_header_in_utf_8_needs_the_utf8_command() -> None:
    world, session = opened(mails=0, mail={"withhold_utf8": True})
    world.mail.deliver(ALICE, b"Subject: \xff\r\n\r\n")
    world.mail.deliver(ALICE, "Subject: é\r\n\r\n".encode())
    world.mail.deliver(ALICE, "Subject: e\r\n\r\né\r\n".encode())
    session.receive(LOGIN)
    answers = [ask(session, b"RETR %d\r\n" % number)[:11] for number in (1, 2, 3)]
    assert [answer[:4] for answer in answers] == [b"+OK ", b"-ERR", b"+OK "]
    assert answers[1] == b"-ERR [UTF8]"


@pytest.mark.parametrize(
    "header",
    [
        "Subject: Grüße",
        "From: Zoë <zoe@example.org>",
        "Subject: 订单确认",
        "X-Note: 📦 unterwegs",
        'Content-Type: text/plain; name="Übersicht.txt"',
        "Subject: a\r\n\tfolded ñ",
    ],
)
def test_a_header_in_utf_8_is_sent_as_it_is_to_a_client_that_did_not_ask_for_it(
    header: str,
) -> None:
    world, session = opened(mails=0)
    world.mail.deliver(ALICE, f"{header}\r\n\r\nhi\r\n".encode())
    session.receive(LOGIN)
    for command in (b"RETR 1\r\n", b"TOP 1 0\r\n"):
        answer = ask(session, command)
        assert answer.startswith(b"+OK") and header.encode() + b"\r\n\r\n" in answer


def test_a_bare_lf_before_a_dot_is_counted_as_it_is_sent() -> None:
    world, session = opened(mails=0)
    world.mail.deliver(ALICE, b"Subject: x\r\n\r\none\n.\ntwo\r\n")
    session.receive(LOGIN)
    size = ask(session, b"LIST 1\r\n").split()[2]
    answer = ask(session, b"RETR 1\r\n")
    assert answer.endswith(b"one\r\n..\ntwo\r\n.\r\n")
    content = answer.partition(b"\r\n")[2].removesuffix(b".\r\n")
    assert len(content.replace(b"\r\n..", b"\r\n.")) == int(size)
    assert ask(session, b"TOP 1 3\r\n").endswith(b"\r\n\r\none\r\n..\ntwo\r\n.\r\n")


def test_top_of_a_mail_without_a_header_of_its_own_ends_below_the_trace() -> None:
    world, session = opened(mails=0)
    world.mail.deliver(ALICE, b"\r\n.one\r\n\r\ntwo\r\n")
    session.receive(LOGIN)
    answers = [ask(session, b"TOP 1 %d\r\n" % count) for count in (0, 1)]
    tops = [answer.rpartition(b"\r\n\r\n") for answer in answers]
    assert [top[2] for top in tops] == [b".\r\n", b"..one\r\n.\r\n"]


@pytest.mark.parametrize("end", [b"\r\n", b""])
def test_a_password_that_is_far_too_long_is_not_shown(end: bytes) -> None:
    world, session = opened()
    for piece in [b"USER alice\r\nPASS ", *[b"hush" * 200] * 20, end]:
        session.receive(piece)
    session.eof()
    assert b"hush" not in b"".join(record.shown() for record in world.records)


def test_a_password_that_is_sent_although_its_login_was_refused_is_not_shown() -> None:
    world, session = opened()
    session.receive(b"AUTH NONE\r\nYWxpY2U=\r\nc2VjcmV0\r\nNOOP\r\nBANANA\r\n")
    shown = b"".join(record.shown() for record in world.records)
    assert b"c2Vj" not in shown and b"BANANA" in shown


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "login", [b"PASS hush", b" pass\thush", b"APOP alice hush", b"a\nPASS hush"]
)
def test_a_password_after_a_bare_lf_is_not_shown(login: bytes, end: bytes) -> None:
    world, session = opened()
    session.receive(b"USER alice\n" + login + b"\nSTAT\nQUIT" + end)
    session.eof()
    shown = b"".join(record.shown() for record in world.records)
    assert b"USER alice\n" in shown and b"hush" not in shown


def test_a_number_may_be_as_large_as_a_line_permits() -> None:
    _, session = opened()
    session.receive(LOGIN)
    whole = ask(session, b"RETR 1\r\n").partition(b"\r\n")[2]
    # RFC 1939 §7: a client may ask for more lines than there are.
    for count in (b"2147483647", b"9" * 200):
        assert ask(session, b"TOP 1 " + count + b"\r\n").partition(b"\r\n")[2] == whole
    assert ask(session, b"LIST 0000000001\r\n").startswith(b"+OK 1 ")
    assert ask(session, b"RETR 2147483647\r\n") == b"-ERR No such message\r\n"


def test_top_takes_a_bare_lf_for_a_line_end() -> None:
    world, session = opened(mails=0)
    for raw in (b"Subject: x\n\none\ntwo\nthree\n", b"\none\n\ntwo\n"):
        world.mail.folder(ALICE).deliver(raw)
    session.receive(LOGIN)
    tops = [ask(session, b"TOP %d %d\r\n" % at).partition(b"\r\n")[2] for at in [(1, 0), (2, 2)]]
    assert tops == [b"Subject: x\n\r\n.\r\n", b"\none\n\r\n.\r\n"]


def test_answers_wait_as_input_while_much_output_is_unread() -> None:
    world, session = opened(mails=0)
    world.mail.deliver(ALICE, b"x" * 1_000_000)
    session.receive(LOGIN + b"RETR 1\r\n" * 100 + b"QUIT\r\n")
    assert session.output.pending < 3_000_000 and not session.closed
    writes = list(iter(session.take, b""))
    assert max(map(len, writes)) < 3_000_000 and sum(map(len, writes)) > 100_000_000
    assert writes[-1].endswith(b"+OK Bye\r\n") and session.closed


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
    b" ",
    b"\0",
    b"\xff",
    b"STLS\r\n",
    b"UTF8\r\n",
    b"LANG \xc3\xa9\r\n",
    b"AUTH LOGIN\r\n",
    b"*\r\n",
    b"AUTH CRAM-MD5\r\n",
    b"AUTH PLAIN =\r\n",
    b"APOP a b\r\n",
    b"a" * 300,
    b"PASS \xff\r\n",
    b"TOP 1 999999999\r\n",
    b"LIST 99999999999999999999\r\n",
    b"RETR \xd9\xa1\r\n",
    b"USER \xf0\x9f\x98\x80\r\n",
    b"APOP alice  \r\n",
]


@given(
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=40)), max_size=25),
    st.booleans(),
)
def test_any_line_is_answered_once_and_raises_nothing(pieces: list[bytes], tls: bool) -> None:
    world, session = opened(World({"tls": "optional" if tls else "off"}, rehearsal=True))
    output = drain(session)
    for piece in pieces:
        session.receive(piece)
        output += drain(session)
        if session.wants is Want.START_TLS:
            session.wants = None
            session.secured(TlsFacts())
    assert output.startswith(b"+OK ")
    records = exchanged(world)
    units = [raw for direction, _, raw in records if direction == "C"]
    answers = [raw for direction, _, raw in records if direction == "S"]
    assert len(answers) == len(units) + 1, "the greeting answers nothing"
    for answer in answers:
        assert answer.startswith((b"+OK", b"-ERR", b"+ ")) and answer.endswith(b"\r\n")
    # The password is in the transcript only if the client sent it where no password belongs.
    text = render(world.recording).replace("{", "").encode()
    assert b"secret" not in text or b"secret" in b"".join(pieces)
    session.eof()
    assert world.mail.maildrop(ALICE).holder is None


def test_an_endless_line_is_not_kept_and_is_refused_when_it_ends() -> None:
    _, session = opened()
    for _ in range(100):
        session.receive(b"x" * 10_000)
        assert len(session.buffer) <= LONGEST_LINE + 10_000
    assert ask(session, b"\r\nCAPA\r\n").startswith(b"-ERR Line too long\r\n+OK")


def test_a_transcript_shows_no_password_however_it_was_sent() -> None:
    world, session = opened(mails=0)
    plain = base64.b64encode(b"\0a\0hidden")
    session.receive(
        b"PASS hidden\r\n pass hidden\r\nUSER alice\r\npAsS hidden words\r\n"
        + b"AUTH PLAIN "
        + plain
        + b"\r\nAPOP alice hidden\r\nPASS hidden"
        + b"x" * 300
        + b"\r\n"
    )
    text = render(world.recording)
    assert "hidden" not in text and plain.decode() not in text
    assert "{pass alice wrong}" in text


# ── the lock of the maildrop ─────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["eof", "reset", "idle", "quit", "cut"])
def test_the_lock_is_released_however_a_session_ends(end: str) -> None:
    world, session = opened()
    session.receive(LOGIN + b"DELE 1\r\n")
    assert world.mail.maildrop(ALICE).holder is session
    if end == "idle":
        world.clock.skip(Pop3.idle_timeout)
        session.tick()
    elif end == "quit":
        session.receive(b"QUIT\r\n")
    elif end == "eof":
        session.eof()
    else:
        session.close(Want.RESET if end == "reset" else Want.CLOSE)
    assert session.closed and world.mail.maildrop(ALICE).holder is None
    # RFC 1939 §6: only QUIT commits deletions.
    assert len(world.mail.inbox(ALICE)) == (1 if end == "quit" else 2)


def test_a_client_that_fetches_a_mail_by_a_slow_line_is_not_idle() -> None:
    config = {"servers": ["pop3"], "tls": "off"}
    world, session = opened(World(config, rehearsal=True, faults=["RETR bandwidth 1"]), mails=0)
    world.mail.deliver(ALICE, b"Subject: x\r\n\r\n" + b"x" * 700 + b"\r\n")
    ask(session, LOGIN)
    answer = ask(session, b"RETR 1\r\n")
    while not session.closed and not answer.endswith(b"\r\n.\r\n"):
        world.clock.skip(1.0)
        session.tick()
        answer += drain(session)
    assert len(answer) > 700 and not session.closed


def test_a_session_without_the_lock_does_not_release_it() -> None:
    world, session = opened()
    session.receive(LOGIN)
    other = world.core("pop3")
    other.opened(Facts(2))
    other.receive(LOGIN)
    other.eof()
    assert world.mail.maildrop(ALICE).holder is session


def test_one_session_too_many_is_asked_to_try_later() -> None:
    world = World({"servers": ["pop3"]}, rehearsal=True)
    session = world.core("pop3")
    session.opened(Facts(1, crowded=True))
    assert session.take().startswith(b"-ERR [SYS/TEMP] ") and session.closed


# ── every fault at every command ─────────────────────────────────────────────

# Each failure, and whether a QUIT that meets it still removes the marked messages.
FAILURES = {
    "hang up before": False,
    "hang up within": True,
    "hang up after": True,
    "reset": False,
    "after 0": True,
    "after 5": True,
    "stall": False,
    "delay 7": True,
    "split 1": True,
    "lost stored": True,
    "lost unstored": False,
    'reply "-ERR [SYS/TEMP] later"': False,
    'reply "+OK"': False,
    'reply "what is this"': False,
}
PLACES = ["connect", "CAPA", "USER", "PASS", "STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "RSET"]
PLACES += ["NOOP", "QUIT"]
# Reaches each of these places once, and DELE twice: RSET takes the first deletion back.
LINES = [b"CAPA", b"USER alice", b"PASS secret", b"STAT", b"LIST", b"UIDL", b"RETR 1", b"TOP 1 0"]
LINES += [b"DELE 2", b"RSET", b"NOOP", b"DELE 1", b"QUIT"]


@pytest.mark.parametrize("place", PLACES)
def test_only_a_quit_that_was_handled_removes_messages(place: str) -> None:
    for failure, removes in FAILURES.items():
        if place != "connect" or not failure.startswith("lost"):  # there is nothing to store
            removed = messages_removed_with(f"pop3 {place} nth 1 {failure}")
            assert place != "QUIT" or removed == int(removes), failure


def messages_removed_with(fault: str) -> int:
    """Returns how many messages a session with this fault removes, by its records.

    Checks that the maildrop says the same.
    """
    world, session = opened(World({"servers": ["pop3"]}, rehearsal=True, faults=[fault]))
    drain(session)
    for line in LINES:
        session.receive(line + b"\r\n")
        drain(session)
        # Long enough for the fault that delays a unit.
        world.clock.skip(10)
        session.tick()
        drain(session)
    session.eof()
    assert world.faults.unmet() == []
    assert world.mail.maildrop(ALICE).holder is None, fault
    records = [one for one in world.recording if isinstance(one, Record)]
    removed = sum(int(record.fields.get("removed", 0)) for record in records)
    assert len(world.mail.inbox(ALICE)) == 2 - removed, fault
    return removed


def test_commands_that_do_not_exist_end_the_connection_where_the_world_says_so() -> None:
    _, session = opened(mail={"bad_commands_before_login": 2})
    assert ask(session, b"STAT\r\nCAPA\r\nSTAT\r\n").endswith(b"-ERR Log in first\r\n")
    assert ask(session, b"PASS x\r\n" * 3 + b"STAT\r\n").count(b"-ERR") == 4
    assert ask(session, b"NONSENSE\r\nCAPA\r\n") == (
        b"-ERR Unknown command\r\n-ERR Too many bad commands\r\n"
    )
    assert session.closed


def test_a_second_session_sees_the_same_mails_where_the_world_says_so() -> None:
    world, session = opened(mail={"several_sessions": True})
    other = world.core("pop3")
    other.opened(Facts(2))
    login = b"USER alice\r\nPASS secret\r\n"
    assert ask(session, login).endswith(ask(other, login)[-40:])
    assert ask(session, b"DELE 1\r\nQUIT\r\n").endswith(b"+OK Bye\r\n")
    assert ask(other, b"STAT\r\nRETR 1\r\n").count(b"+OK 2 ") == 1
    assert ask(other, b"RETR 1\r\n").startswith(b"-ERR That message was removed")
    assert ask(other, b"DELE 1\r\nDELE 2\r\nQUIT\r\n").endswith(b"+OK Bye\r\n")
    assert world.mail.inbox(ALICE) == []
