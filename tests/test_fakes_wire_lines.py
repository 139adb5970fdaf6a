"""Framing and the AUTH exchange of the protocols made of lines."""

from __future__ import annotations

import base64
import binascii
import re
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import sasl
from fakes.faults import Fault
from fakes.people import People, Person
from fakes.wire import Facts, Record, Refuse, Rule, Runtime, Unit, rule
from fakes.wire.lines import LONGEST_LINE, Content, LineSession
from fakes.world import World
from tests.bare_core import drain

CAROL = Person("carol@example.test", "secret")


class Login(LineSession):
    """A protocol that does nothing but log in. `B n` is followed by n bytes, `D` by content."""

    protocol: ClassVar[str] = "login"
    states: ClassVar[str] = "OPEN AUTH IN"
    verbs: ClassVar[dict[str, Rule]] = {
        "AUTH": rule("OPEN", "§1", then="AUTH IN"),
        "response": rule("AUTH", "§2", then="AUTH IN"),
    }
    unauthenticated: ClassVar[str] = "OPEN"
    idle_timeout: ClassVar[float] = 60.0

    def next_unit(self) -> Unit | None:
        line = self.next_line(100)
        if line is None:
            return None
        if self.state == "AUTH":
            return Unit(line, "response", secrets=self.response_secret(line, 0))
        verb, _, arg = line[:-2].decode("latin-1").partition(" ")
        return Unit(line, verb, arg)

    def do_AUTH(self, unit: Unit) -> None:
        mechanism, space, initial = unit.arg.partition(" ")
        self.begin_exchange(mechanism, initial.encode() if space else None)

    def authenticated(self, exchange: sasl.Exchange) -> None:
        self.user, self.state = exchange.user, "IN"
        self.send(b"welcome\r\n")

    def rejected(self, error: binascii.Error | sasl.SaslError) -> Refuse:
        return Refuse(type(error).__name__)

    def cancelled(self) -> Refuse:
        return Refuse("cancelled")

    def unknown(self, unit: Unit) -> Refuse:
        return Refuse("unknown")

    def wrong_state(self, unit: Unit) -> Refuse:
        return Refuse("wrong state")

    def refused(self, refusal: Refuse) -> None:
        if self.state == "AUTH":
            self.end_exchange()
        self.send(f"{refusal.reply}\r\n".encode())


class Bench:
    """A session with carol's account, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.records: list[Record] = []
        runtime = Runtime(lambda: self.now, lambda n: "x" * n, record=self.records.append)
        self.session = Login(runtime, People([CAROL]), "mail.example.test")
        self.session.opened(Facts(1))

    def tell(self, line: bytes) -> bytes:
        self.session.receive(line + b"\r\n")
        return b"".join(iter(self.session.take, b""))


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def session(bench: Bench) -> Login:
    """A session whose buffer the test fills itself."""
    return bench.session


# ── lines ────────────────────────────────────────────────────────────────────


def test_a_line_ends_in_crlf_and_nothing_else(session: Login) -> None:
    session.buffer += b"one\ntwo\rthree\r"
    assert session.next_line(100) is None
    session.buffer += b"\nfour\r\n"
    assert session.next_line(100) == b"one\ntwo\rthree\r\n"
    assert session.next_line(100) == b"four\r\n"
    assert session.next_line(100) is None


@pytest.mark.parametrize(("length", "too_long"), [(8, False), (9, True)])
def test_the_limit_counts_the_crlf(session: Login, length: int, too_long: bool) -> None:
    session.buffer += b"x" * length + b"\r\n"
    assert session.next_line(10) == b"x" * length + b"\r\n"
    assert session.too_long == too_long


def test_an_endless_line_is_discarded_as_it_arrives_and_reported_at_its_end(session: Login) -> None:
    for _ in range(100):
        session.buffer += b"x" * 1000
        assert session.next_line(100) is None
        assert len(session.buffer) <= LONGEST_LINE + 1000
    session.buffer += b"\r\nnext\r\n"
    assert session.next_line(100) is not None and session.too_long
    assert session.next_line(100) == b"next\r\n" and not session.too_long


# ── content that a dot ends ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sent", "data"),
    [
        (b".\r\n", b""),
        (b"hi\r\n.\r\n", b"hi\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"a\r\n..b\r\n.c\r\n.\r\n", b"a\r\n.b\r\nc\r\n"),
        (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n"),
    ],
)
def test_dots_are_removed_and_only_crlf_dot_crlf_ends_content(
    session: Login, sent: bytes, data: bytes
) -> None:
    session.buffer += sent + b"NEXT"
    content = session.next_dotted(100)
    assert content is not None and (content.raw, content.data) == (sent, data)
    assert session.buffer == b"NEXT"


def test_content_over_the_limit_is_discarded_and_reported(session: Login) -> None:
    for _ in range(50):
        session.buffer += b"x" * 98 + b"\r\n"
        assert session.next_dotted(1000) is None
        assert len(session.buffer) <= 1200
    session.buffer += b".\r\n"
    content = session.next_dotted(1000)
    assert content is not None and session.too_long and not session.buffer


def test_added_dots_do_not_count_against_the_limit(session: Login) -> None:
    session.buffer += b"..\r\n" * 10 + b".\r\n"
    content = session.next_dotted(30)
    assert content is not None and not session.too_long


def test_added_dots_do_not_count_while_the_end_has_not_arrived(session: Login) -> None:
    session.buffer += b"a\r\n" + b"..\r\n" * 10
    assert session.next_dotted(33) is None
    session.buffer += b".\r\n"
    content = session.next_dotted(33)
    assert content is not None and not session.too_long
    assert content.data == b"a\r\n" + b".\r\n" * 10


@given(st.lists(st.sampled_from([b".", b"..", b"a", b"\n", b"\r", b""]), max_size=8), st.data())
def test_content_is_the_same_however_it_is_chopped(lines: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines) + b".\r\n"
    session = Bench().session
    at, content = 0, None
    while at < len(sent):
        assert content is None
        step = data.draw(st.integers(1, len(sent)))
        session.buffer += sent[at : at + step]
        at += step
        content = session.next_dotted(1000)
    assert content is not None and content.raw == sent
    assert content.data == b"".join(line + b"\r\n" for line in lines)


# ── content that is counted ──────────────────────────────────────────────────


def test_counted_content_is_taken_with_the_line_before_it(session: Login) -> None:
    session.buffer += b"B 4\r\nab"
    assert session.next_counted(5, 4, 100) is None
    session.buffer += b"\r\nNEXT"
    assert session.next_counted(5, 4, 100) == Content(b"ab\r\n", b"B 4\r\nab\r\n")
    assert session.buffer == b"NEXT"


def test_empty_counted_content_is_complete_at_once(session: Login) -> None:
    session.buffer += b"B 0\r\n"
    assert session.next_counted(5, 0, 100) == Content(b"", b"B 0\r\n")


def test_counted_content_over_the_limit_is_consumed_and_reported(session: Login) -> None:
    session.buffer += b"B 500\r\n"
    for _ in range(4):
        session.buffer += b"x" * 100
        assert session.next_counted(7, 500, 200) is None
        assert len(session.buffer) == 7, "nothing of it is kept"
    session.buffer += b"x" * 100 + b"NEXT"
    assert session.next_counted(7, 500, 200) == Content(b"", b"B 500\r\n")
    assert session.too_long
    assert session.buffer == b"NEXT"


# ── the exchange ─────────────────────────────────────────────────────────────

PLAIN = base64.b64encode(b"\0carol\0secret")
WRONG = base64.b64encode(b"\0carol\0guess")


def test_an_exchange_with_an_initial_response(bench: Bench) -> None:
    assert bench.tell(b"AUTH PLAIN " + PLAIN) == b"welcome\r\n"
    assert (bench.session.state, bench.session.user) == ("IN", "carol@example.test")


def test_an_equals_sign_is_an_empty_initial_response(bench: Bench) -> None:
    # RFC 4954 §4. It is not base64; PLAIN does not accept an empty response.
    assert bench.tell(b"AUTH PLAIN =") == b"Malformed\r\n"


def test_an_exchange_with_a_challenge(bench: Bench) -> None:
    assert bench.tell(b"AUTH LOGIN") == b"+ " + base64.b64encode(b"Username:") + b"\r\n"
    assert bench.tell(base64.b64encode(b"carol")).startswith(b"+ ")
    assert bench.tell(base64.b64encode(b"secret")) == b"welcome\r\n"


@pytest.mark.parametrize(
    ("response", "reply"),
    [
        (WRONG, b"WrongCredentials"),
        (b"!", b"Error"),
        (b"*", b"cancelled"),
        (base64.b64encode(b"no nul"), b"Malformed"),
    ],
)
def test_a_failed_exchange_leaves_everything_as_it_was(
    bench: Bench, response: bytes, reply: bytes
) -> None:
    bench.tell(b"AUTH PLAIN")
    assert bench.session.state == "AUTH"
    assert bench.tell(response) == reply + b"\r\n"
    assert (bench.session.state, bench.session.user) == ("OPEN", "")
    assert bench.tell(b"AUTH PLAIN " + PLAIN) == b"welcome\r\n"


def test_a_response_is_replaced_by_a_label_that_says_whose_it_is(bench: Bench) -> None:
    bench.tell(b"AUTH PLAIN")
    bench.tell(WRONG)
    bench.tell(b"AUTH PLAIN")
    bench.tell(PLAIN)
    shown = [one.shown() for one in bench.records if one.verb == "response"]
    assert shown == [b"{plain carol wrong}\r\n", b"{plain carol}\r\n"]


@pytest.mark.parametrize("line", [b"AUTH PLAIN AGNhc", b"AUTH  PLAIN AGNhc"])
def test_a_login_that_was_cut_off_is_hidden_too(bench: Bench, line: bytes) -> None:
    bench.session.receive(line)
    bench.session.eof()
    (record,) = [one for one in bench.records if one.verb == "unfinished"]
    assert b"AGNhc" not in record.shown() and b"PLAIN" in record.shown()


def test_a_response_that_was_cut_off_is_hidden_entirely(bench: Bench) -> None:
    bench.tell(b"AUTH PLAIN")
    bench.session.receive(b"AGNhcm9s")
    bench.session.eof()
    (record,) = [one for one in bench.records if one.verb == "unfinished"]
    assert record.shown() == b"{unfinished}"


# ── idle time ────────────────────────────────────────────────────────────────


def test_a_client_that_never_sends_anything_is_disconnected(bench: Bench) -> None:
    bench.now = 59.0
    bench.session.tick()
    assert not bench.session.closed
    bench.now = 60.0
    bench.session.tick()
    assert bench.session.closed


def test_a_silent_client_is_disconnected_and_every_command_restarts_the_timer(
    bench: Bench,
) -> None:
    bench.now = 50.0
    bench.tell(b"NOPE")
    bench.now = 109.0
    bench.session.tick()
    assert not bench.session.closed
    bench.now = 110.0
    bench.session.tick()
    assert bench.session.closed


@pytest.mark.parametrize(
    "pieces", [[b"..\r\n" * 10, b".\r\n"], [b"x" * 28 + b"\r\n", b".\r", b"\n"]]
)
def test_content_of_exactly_the_limit_fits_however_it_arrives(pieces: list[bytes]) -> None:
    session = Login(Runtime(lambda: 0.0, lambda length: "x" * length))
    content = None
    for piece in pieces:
        session.buffer += piece
        content = session.next_dotted(30)
    assert content is not None and not session.too_long


# ── faults ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("protocol", ["smtp", "pop3", "imap", "irc"])
@pytest.mark.parametrize("text", ["1 one\n2 two", "1 one\r\n2 two\r\n"])
def test_each_line_of_a_scripted_reply_ends_in_crlf(protocol: str, text: str) -> None:
    fault = Fault("connect", reply=text)
    session = World({"servers": [protocol]}, rehearsal=True, faults=[fault]).core(protocol)
    session.opened(Facts(1))
    answer = drain(session)
    assert re.fullmatch(rb"[^\r\n]+one\r\n2 two\r\n", answer)
