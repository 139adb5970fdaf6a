"""The POP3 core: every verb in every state, every chopping, any octets, every fault, and a model of the maildrop."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import poplib
import re
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from fakes.faults import Fault
from fakes.maildrop import Row
from fakes.pop3 import Pop3
from fakes.transcripts.recorder import render
from fakes.wire import Facts, Record, TlsFacts, Want
from fakes.wire.lines import LONGEST_LINE
from fakes.world import World
from tests.legality import in_states

ALICE = "alice@example.test"
LOGIN = b"USER alice\r\nPASS secret\r\n"
WAY_TO = {
    "AUTHORIZATION": b"",
    "NAMED": b"USER alice\r\n",
    "TRANSACTION": LOGIN,
    "AUTH": b"AUTH LOGIN\r\n",
}
ARGUMENTS = {
    "USER": "bob", "PASS": "secret", "APOP": "alice 0123", "AUTH": "LOGIN", "RETR": "1", "DELE": "1", "TOP": "1 0",
}  # fmt: skip
MAIL = b"Subject: one\r\n\r\n.\r\n..dots\r\n.x\r\nlast"
# a session that does a bit of everything, unit by unit
DIALOGUE = [
    b"CAPA\r\n", b"AUTH PLAIN\r\n", b"AGFsaWNlAHdyb25n\r\n", LOGIN, b"STAT\r\n", b"UIDL\r\n", b"LIST\r\n", b"RETR 1\r\n",
    b"TOP 1 1\r\n", b"BANANA\r\n", b"DELE 1\r\n", b"RSET\r\n", b"DELE 2\r\n", b"LIST\r\n", b"QUIT\r\n",
]  # fmt: skip


def core(world: World | None = None, mails: int = 2) -> tuple[World, Pop3]:
    world = world or World({"servers": ["pop3"], "tls": "off"}, rehearsal=True)
    for _ in range(mails):
        world.mail.deliver(ALICE, MAIL)
    session = world.core("pop3")
    assert isinstance(session, Pop3)
    session.opened(Facts(1))
    return world, session


def said(session: Pop3) -> bytes:
    output = b""
    while more := session.take():
        output += more
    session.written()
    return output


def tell(session: Pop3, octets: bytes) -> bytes:
    said(session)
    session.receive(octets)
    return said(session)


def plain_records(world: World) -> list[tuple[str, str, bytes]]:
    return [
        (one.direction, one.verb, one.raw) for one in world.recording if isinstance(one, Record)
    ]


# ── by the table ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("verb", "state", "legal"), [
    row for row in in_states(Pop3.verbs, WAY_TO) if row[0].isupper() and row[1] != "AUTH"
])  # fmt: skip
def test_a_verb_is_taken_where_its_table_says_so_and_only_there(
    verb: str, state: str, legal: bool
) -> None:
    _, session = core(World({"tls": "optional"}, rehearsal=True))
    session.receive(WAY_TO[state])
    before = (session.user, set(session._marked), session.tls)
    answer = tell(session, f"{verb} {ARGUMENTS.get(verb, '')}".strip().encode() + b"\r\n")
    wrong_state = answer.startswith(
        (b"-ERR Log in first", b"-ERR You are logged in", b"-ERR Say USER first")
    )
    assert answer.startswith((b"+", b"-ERR"))
    assert wrong_state != legal, f"{verb} in {state}: {answer!r}"
    if wrong_state:
        assert (session.user, session._marked, session.tls) == before, "a refusal changes nothing"


def test_in_an_exchange_nothing_is_a_command() -> None:
    _, session = core()
    session.receive(WAY_TO["AUTH"])
    assert tell(session, b"QUIT\r\n").startswith((b"+ ", b"-ERR"))
    assert not session.closed


@pytest.mark.parametrize(
    "verb", ["USER", "PASS", "APOP", "AUTH", "STLS", "UTF8", "LANG", "CAPA", "TOP", "UIDL"]
)
def test_a_capability_that_is_off_takes_its_verb_with_it(verb: str) -> None:
    off = {"PASS": "USER", "AUTH": "SASL"}.get(verb, verb)
    _, session = core(World({"tls": "optional", "off": {"pop3": [off]}}, rehearsal=True))
    state = "TRANSACTION" if verb in ("TOP", "UIDL") else "AUTHORIZATION"
    session.receive(WAY_TO[state])
    assert (
        tell(session, f"{verb} {ARGUMENTS.get(verb, '')}".strip().encode() + b"\r\n")
        == b"-ERR Unknown command\r\n"
    )


def test_response_codes_can_be_switched_off() -> None:
    _, session = core(World({"off": {"pop3": ["AUTH-RESP-CODE"]}}, rehearsal=True))
    assert tell(session, b"USER alice\r\nPASS wrong\r\n").endswith(
        b"-ERR Authentication failed\r\n"
    )
    _, session = core(World({"off": {"pop3": ["RESP-CODES"]}}, rehearsal=True))
    session.store.maildrop(ALICE).holder = object()
    assert b"[" not in tell(session, LOGIN)


def test_the_published_apop_digest_is_accepted() -> None:
    people = [{"address": "mrose@dbc.mtview.ca.us", "password": "tanstaaf"}]
    _, session = core(World({"person": people}, rehearsal=True), mails=0)
    said(session)
    session._stamp = "<1896.697170952@dbc.mtview.ca.us>"
    assert tell(session, b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n").startswith(
        b"+OK"
    )  # RFC 1939 §7


def test_each_greeting_has_a_timestamp_of_its_own() -> None:
    world, first = core()
    second = world.core("pop3")
    second.opened(Facts(2))
    stamps = [re.findall(rb"<\S+@\S+>", said(one)) for one in (first, second)]  # type: ignore[arg-type]
    assert len(stamps[0]) == len(stamps[1]) == 1 and stamps[0] != stamps[1]


@pytest.mark.parametrize("response", [
    b"\0alice\0wrong", b"alice\0alice\0wrong", b"bob\0alice\0secret", b"\0\0secret", b"\0alice\0", b"alice secret", b"",
    b"\0alice\0secret\0", b"\0" + b"a" * 256 + b"\0secret", b"\0alice\0\xff",
])  # fmt: skip
def test_a_wrong_plain_response_is_refused_and_changes_nothing(response: bytes) -> None:
    _, session = core()
    encoded = base64.b64encode(response) or b"="
    assert tell(session, b"AUTH PLAIN\r\n" + encoded + b"\r\n").startswith(b"+ \r\n-ERR ")
    assert not session.user
    assert tell(
        session, b"AUTH PLAIN " + base64.b64encode(b"\0alice\0secret") + b"\r\n"
    ).startswith(b"+OK")


@pytest.mark.parametrize(
    "line", [b"=AAA", b"AAA=BBB", b"!!!!", b"AAA", b"A A=", b"\xc3\xa9===", b"AAAA===="]
)
def test_what_is_no_base64_is_refused(line: bytes) -> None:
    _, session = core()
    assert tell(session, b"AUTH PLAIN\r\n" + line + b"\r\n").startswith(
        b"+ \r\n-ERR "
    )  # RFC 5034 §4
    assert session.state == "AUTHORIZATION"


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    st.lists(
        st.sampled_from([b".", b"..", b"\r\n", b"\n", b"\r", b"x", b"\0", b"\xff", b" ", b"."]),
        max_size=30,
    )
)
def test_what_is_fetched_is_what_lies_there_and_its_size_is_true(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    world, session = core(mails=0)
    world.mail.deliver(ALICE, b"Subject: x\r\n\r\n" + content)
    raw = world.mail.inbox(ALICE)[0].raw
    raw += b"" if raw.endswith(b"\r\n") else b"\r\n"
    session.receive(LOGIN)
    status, _, rest = tell(session, b"RETR 1\r\n").partition(b"\r\n")
    assert status == b"+OK %d octets" % len(raw)
    assert b"\r\n.\r\n" not in rest[:-1], "nothing but the end looks like the end"
    stuffed = rest.removesuffix(b".\r\n")
    lines = [line.removeprefix(b".") for line in stuffed.split(b"\r\n")]
    assert b"\r\n".join(lines) == raw
    assert tell(session, b"LIST 1\r\n") == b"+OK 1 %d\r\n" % len(raw)
    assert tell(session, b"STAT\r\n") == b"+OK 1 %d\r\n" % len(raw)
    assert tell(session, b"TOP 1 99999\r\n").partition(b"\r\n")[2] == rest


def test_an_empty_mail_and_one_that_begins_with_a_dot_are_whole() -> None:
    _, session = core()
    session.receive(LOGIN)
    session._rows = [
        Row(1, b"", 0.0, session._rows[0].mail),
        Row(2, b".first\r\n", 0.0, session._rows[0].mail),
    ]
    assert tell(session, b"RETR 1\r\n") == b"+OK 0 octets\r\n.\r\n"
    assert tell(session, b"RETR 2\r\n") == b"+OK 8 octets\r\n..first\r\n.\r\n"


def test_octets_of_no_charset_in_a_header_are_sent_and_utf8_is_not_without_utf8() -> None:
    world, session = core(mails=0)
    world.mail.deliver(ALICE, b"Subject: \xff\r\n\r\n")
    world.mail.deliver(ALICE, "Subject: é\r\n\r\n".encode())
    world.mail.deliver(ALICE, "Subject: e\r\n\r\né\r\n".encode())
    session.receive(LOGIN)
    answers = [tell(session, b"RETR %d\r\n" % number)[:11] for number in (1, 2, 3)]
    assert [answer[:4] for answer in answers] == [b"+OK ", b"-ERR", b"+OK "]
    assert answers[1] == b"-ERR [UTF8]"


# ── any bytes ────────────────────────────────────────────────────────────────────────────────────────────────────


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


FRAGMENTS = [
    *DIALOGUE, b"\r\n", b"\n", b"\r", b" ", b"\0", b"\xff", b"STLS\r\n", b"UTF8\r\n", b"LANG \xc3\xa9\r\n", b"AUTH LOGIN\r\n",
    b"*\r\n", b"AUTH CRAM-MD5\r\n", b"AUTH PLAIN =\r\n", b"APOP a b\r\n", b"a" * 300, b"PASS \xff\r\n", b"TOP 1 999999999\r\n",
    b"LIST 99999999999999999999\r\n", b"RETR \xd9\xa1\r\n", b"USER \xf0\x9f\x98\x80\r\n", b"APOP alice  \r\n",
]  # fmt: skip


@given(
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=40)), max_size=25),
    st.booleans(),
)
def test_any_octets_raise_nothing_and_every_line_is_answered(
    pieces: list[bytes], tls: bool
) -> None:
    world, session = core(World({"tls": "optional" if tls else "off"}, rehearsal=True))
    output = said(session)
    for piece in pieces:
        session.receive(piece)
        output += said(session)
        if session.wants is Want.START_TLS:
            session.wants = None
            session.secured(TlsFacts())
    assert output.startswith(b"+OK ")
    units = [one for one in world.recording if isinstance(one, Record) and one.direction == "C"]
    answers = [one for one in world.recording if isinstance(one, Record) and one.direction == "S"]
    assert len(answers) == len(units) + 1
    assert all(
        one.raw.startswith((b"+OK", b"-ERR", b"+ ")) and one.raw.endswith(b"\r\n")
        for one in answers
    )
    assert b"secret" not in render(world.recording).replace(
        "{", ""
    ).encode() or b"secret" in b"".join(pieces)
    session.eof()
    assert world.mail.maildrop(ALICE).holder is None


def test_a_line_without_end_is_thrown_away_as_it_comes() -> None:
    _, session = core()
    for _ in range(100):
        session.receive(b"x" * 10_000)
        assert len(session.buffer) <= LONGEST_LINE + 10_000
    assert tell(session, b"\r\nCAPA\r\n").startswith(b"-ERR Line too long\r\n+OK")


def test_a_password_is_in_no_transcript_however_it_is_said() -> None:
    world, session = core(mails=0)
    session.receive(
        b"PASS hidden\r\n pass hidden\r\nUSER alice\r\npAsS hidden words\r\nAUTH PLAIN " + base64.b64encode(b"\0a\0hidden") +
        b"\r\nAPOP alice hidden\r\nPASS hidden" + b"x" * 300 + b"\r\n"
    )  # fmt: skip
    text = render(world.recording)
    assert "hidden" not in text and base64.b64encode(b"\0a\0hidden").decode() not in text
    assert "{pass alice wrong}" in text


# ── the life of a session ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["eof", "reset", "idle", "quit", "cut"])
def test_however_a_session_ends_its_lock_goes_with_it(end: str) -> None:
    world, session = core()
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
    assert len(world.mail.inbox(ALICE)) == (1 if end == "quit" else 2)


def test_a_refused_session_leaves_the_lock_to_its_holder() -> None:
    world, session = core()
    session.receive(LOGIN)
    other = world.core("pop3")
    other.opened(Facts(2))
    other.receive(LOGIN)
    other.eof()
    assert world.mail.maildrop(ALICE).holder is session


def test_too_many_sessions_are_told_to_come_later() -> None:
    world = World({"servers": ["pop3"]}, rehearsal=True)
    session = world.core("pop3")
    session.opened(Facts(1, crowded=True))
    assert session.take().startswith(b"-ERR [SYS/TEMP] ") and session.closed


WHATS: list[dict[str, Any]] = [
    {"hang_up": "before"}, {"hang_up": "within"}, {"hang_up": "after"}, {"reset": True}, {"after": 0}, {"after": 5}, {"stall": True},
    {"delay": 7.0}, {"split": 1}, {"lost": "stored"}, {"lost": "unstored"}, {"reply": "-ERR [SYS/TEMP] later"},
    {"reply": "+OK"}, {"reply": "what is this"},
]  # fmt: skip
PLACES = [
    "connect",
    "CAPA",
    "USER",
    "PASS",
    "STAT",
    "LIST",
    "UIDL",
    "RETR",
    "TOP",
    "DELE",
    "RSET",
    "NOOP",
    "QUIT",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", WHATS, ids=str)
def test_under_every_fault_only_an_answered_or_lost_quit_removes(
    place: str, what: dict[str, Any]
) -> None:
    if place == "connect" and "lost" in what:
        return
    world = World(
        {"servers": ["pop3"]}, rehearsal=True, faults=[Fault(place, "pop3", nth=1, **what)]
    )
    world, session = core(world)
    said(session)
    for line in (b"CAPA", b"USER alice", b"PASS secret", b"STAT", b"LIST", b"UIDL", b"RETR 1", b"TOP 1 0", b"DELE 2", b"RSET",
                 b"NOOP", b"DELE 1", b"QUIT"):  # fmt: skip
        session.receive(line + b"\r\n")
        said(session)
        world.clock.skip(10)
        session.tick()
        said(session)
    session.eof()
    assert world.faults.unmet() == []
    assert world.mail.maildrop(ALICE).holder is None
    taken = sum(one.fields.get("removed", 0) for one in world.recording if isinstance(one, Record))
    assert len(world.mail.inbox(ALICE)) == 2 - taken
    if place == "QUIT":
        kept = (
            what in ({"hang_up": "before"}, {"reset": True}, {"stall": True}, {"lost": "unstored"})
            or "reply" in what
        )
        assert taken == (0 if kept else 1)


# ── clients that no one here wrote ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.world(servers=["pop3"])
def test_poplib_does_all_it_can(world: World) -> None:
    world.mail.deliver(ALICE, MAIL)
    world.mail.deliver(ALICE, b"Subject: two\r\n\r\n")
    client = poplib.POP3(*world.address("pop3"), timeout=5)
    assert "UIDL" in client.capa()
    with contextlib.suppress(poplib.error_proto):
        client.apop("alice", "wrong")
    assert client.apop("alice", "secret").startswith(b"+OK")
    count, octets = client.stat()
    _, lines, _ = client.list()
    assert count == 2 and octets == sum(int(line.split()[1]) for line in lines)
    _, content, size = client.retr(1)
    assert content[-4:] == [b".", b"..dots", b".x", b"last"] and size == int(lines[0].split()[1])
    assert client.top(2, 0)[1][-2:] == [b"Subject: two", b""]
    assert client.uidl()[1] == [b"1 00000001", b"2 00000002"]
    client.dele(1)
    client.rset()
    client.dele(2)
    assert client.noop()
    client.quit()
    assert [mail.subject for mail in world.mail.inbox(ALICE)] == ["one"]


@pytest.mark.world(servers=["pop3"], tls="required")
def test_poplib_starts_tls_and_sees_no_login_before_it(world: World) -> None:
    import ssl

    context = ssl.create_default_context(cafile=str(world.ca_file))
    client = poplib.POP3("localhost", world.address("pop3")[1], timeout=5)
    with pytest.raises(poplib.error_proto):
        client.user("alice")
    client.stls(context)
    client.user("alice")
    client.pass_("secret")
    client.quit()


@pytest.mark.world(servers=["pop3"], tls="optional")
def test_implicit_tls_is_tls_from_the_first_octet() -> None:
    import ssl

    with World({"servers": ["pop3"], "tls": "optional"}, ports={"pop3s": 0}) as world:
        context = ssl.create_default_context(cafile=str(world.ca_file))
        client = poplib.POP3_SSL("localhost", world.address("pop3s")[1], context=context, timeout=5)
        assert "STLS" not in client.capa()
        client.user("alice")
        client.pass_("secret")
        client.quit()


def test_pipelined_answers_are_not_piled_up() -> None:
    world, session = core(mails=0)
    world.mail.deliver(ALICE, b"x" * 1_000_000)
    session.receive(LOGIN + b"RETR 1\r\n" * 100 + b"QUIT\r\n")
    assert session.output.pending < 3_000_000 and not session.closed
    pieces = list(iter(session.take, b""))
    assert max(map(len, pieces)) < 3_000_000 and sum(map(len, pieces)) > 100_000_000
    assert pieces[-1].endswith(b"+OK Bye\r\n") and session.closed


@pytest.mark.world(servers=["pop3"], mail={"size": 100_000_000})
@pytest.mark.slow
def test_a_mail_of_thirty_megabytes_is_fetched_and_a_reader_of_many_that_never_reads_is_cut_off(
    world: World,
) -> None:
    raw = b"Subject: big\r\n\r\n" + (b"." * 998 + b"\r\n") * 30_000
    world.mail.deliver(ALICE, raw)
    client = poplib.POP3(*world.address("pop3"), timeout=30)
    client.user("alice")
    client.pass_("secret")
    _, lines, octets = client.retr(1)
    assert octets == world.mail.maildrop(ALICE).rows[0].size and lines[-1] == b"." * 998
    client.quit()
    with socket.create_connection(world.address("pop3"), 30) as greedy:
        greedy.sendall(LOGIN + b"RETR 1\r\n" * 50)
        with pytest.raises(ConnectionError):
            while greedy.recv(1 << 20):
                pass
    world.recording.clear()


# ── a model ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Maildrop(RuleBasedStateMachine):
    """One maildrop under SMTP and several POP3 sessions, beside the plainest model of it that can be written down."""

    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.world = World({"servers": ["smtp", "pop3"]}, rehearsal=True)
        self.smtp = self.world.core("smtp")
        self.smtp.opened(Facts(1))
        self.smtp.receive(b"EHLO client.example\r\n")
        self.numbers = itertools.count(2)
        self.lies: list[tuple[str, bytes]] = []  # (unique id, body) of what lies in the maildrop
        self.ids = itertools.count(1)
        self.holder: Pop3 | None = None
        self.seen: list[tuple[str, bytes]] = []  # by the holder
        self.marked: set[int] = set()

    def ended(self, session: Pop3) -> None:
        if session is self.holder:
            self.holder = None

    def own(self, session: Pop3) -> bool:
        return session is self.holder

    @rule(body=st.sampled_from([b"", b".", b"..\r\n.", b"hello", b"\n.\n"]))
    def mail_arrives(self, body: bytes) -> None:
        stuffed = re.sub(rb"(?m)(^|(?<=\r\n))\.", rb"\1..", body) if b"." in body else body
        stuffed = b"\r\n".join(
            b"." + line if line.startswith(b".") else line for line in body.split(b"\r\n")
        )
        self.smtp.receive(
            b"MAIL FROM:<c@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nSubject: x\r\n\r\n"
            + stuffed
            + b"\r\n.\r\n"
        )
        while self.smtp.take():
            pass
        self.smtp.written()
        self.lies.append((f"{next(self.ids):08x}", body + b"\r\n"))

    @rule(target=sessions)
    def somebody_connects(self) -> Pop3:
        session = self.world.core("pop3")
        assert isinstance(session, Pop3)
        session.opened(Facts(next(self.numbers)))
        assert said(session).startswith(b"+OK")
        return session

    @rule(session=sessions, way=st.sampled_from(["pass", "apop", "wrong"]))
    def logs_in(self, session: Pop3, way: str) -> None:
        if self.own(session):
            return
        digest = hashlib.md5((session._stamp + "secret").encode()).hexdigest().encode()
        line = {
            "pass": LOGIN,
            "apop": b"APOP alice " + digest + b"\r\n",
            "wrong": b"USER alice\r\nPASS no\r\n",
        }[way]
        answer = tell(session, line).removeprefix(b"+OK Now the password\r\n")
        if way == "wrong":
            assert answer.startswith(b"-ERR [AUTH]")
        elif self.holder is not None:
            assert answer.startswith(b"-ERR [IN-USE]")
        else:
            assert answer.startswith(b"+OK")
            self.holder, self.seen, self.marked = session, list(self.lies), set()

    @precondition(lambda self: self.holder is not None)
    @rule(number=st.integers(0, 5))
    def fetches(self, number: int) -> None:
        assert self.holder is not None
        answer = tell(self.holder, b"RETR %d\r\n" % number)
        top = tell(self.holder, b"TOP %d 0\r\n" % number)
        if number - 1 in self.marked or not 1 <= number <= len(self.seen):
            assert answer.startswith(b"-ERR") and top.startswith(b"-ERR")
            return
        body = answer.removesuffix(b".\r\n").partition(b"\r\n\r\n")[2]
        lines = [line.removeprefix(b".") for line in body.split(b"\r\n")]
        assert b"\r\n".join(lines) == self.seen[number - 1][1]
        assert (
            top
            == answer.partition(b"\r\n\r\n")[0].replace(
                answer.partition(b"\r\n")[0], b"+OK The top of it"
            )
            + b"\r\n\r\n.\r\n"
        )

    @precondition(lambda self: self.holder is not None)
    @rule(number=st.integers(0, 5))
    def marks(self, number: int) -> None:
        assert self.holder is not None
        taken = 1 <= number <= len(self.seen) and number - 1 not in self.marked
        assert tell(self.holder, b"DELE %d\r\n" % number).startswith(b"+OK" if taken else b"-ERR")
        if taken:
            self.marked.add(number - 1)

    @precondition(lambda self: self.holder is not None)
    @rule()
    def unmarks(self) -> None:
        assert self.holder is not None
        assert tell(self.holder, b"RSET\r\n").startswith(b"+OK")
        self.marked.clear()

    @rule(session=consumes(sessions), way=st.sampled_from(["quit", "cut", "reset", "idle"]))
    def leaves(self, session: Pop3, way: str) -> None:
        if way == "quit":
            assert tell(session, b"QUIT\r\n").startswith(b"+OK")
            if self.own(session):
                gone = {self.seen[number][0] for number in self.marked}
                self.lies = [one for one in self.lies if one[0] not in gone]
        elif way == "idle":
            session.timers.at("idle", self.world.clock.now(), session.close)
            session.tick()
        else:
            session.eof() if way == "cut" else session.close(Want.RESET)
        self.ended(session)

    @invariant()
    def the_lists_agree(self) -> None:
        if self.holder is not None:
            shown = tell(self.holder, b"UIDL\r\n").split(b"\r\n")[1:-2]
            wanted = [
                f"{n + 1} {one[0]}".encode()
                for n, one in enumerate(self.seen)
                if n not in self.marked
            ]
            assert shown == wanted
            count = tell(self.holder, b"STAT\r\n").split()[1]
            assert int(count) == len(wanted)

    @invariant()
    def the_maildrop_agrees(self) -> None:
        rows = self.world.mail.maildrop(ALICE).rows
        assert [row.unique_id for row in rows] == [one[0] for one in self.lies]
        assert [row.raw.partition(b"\r\n\r\n")[2] for row in rows] == [one[1] for one in self.lies]
        assert self.world.mail.maildrop(ALICE).holder is self.holder


TestMaildrop = Maildrop.TestCase
