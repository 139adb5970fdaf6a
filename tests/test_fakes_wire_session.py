"""The dispatcher and the life of a session, on the smallest protocol."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.wire import (
    BACKLOG,
    PENDING,
    Facts,
    Record,
    Refuse,
    Rule,
    Runtime,
    Session,
    TlsFacts,
    Unit,
    Want,
    rule,
)
from fakes.world import World
from tests.bare_core import ask, drain
from tests.linechat import LineChat


def opened(kind: type[Session] = LineChat, records: list[Record] | None = None) -> Session:
    kept = [] if records is None else records
    session = kind(Runtime(lambda: 0.0, lambda n: "x" * n, record=kept.append))
    session.opened(Facts(7))
    return session


# ── states ───────────────────────────────────────────────────────────────────


def test_the_first_state_is_the_initial_one_and_the_table_leads_on() -> None:
    session = opened()
    assert session.state == "NEW"
    session.receive(b"NAME romeo\r\n")
    assert session.state == "KNOWN"


def test_a_refused_verb_leads_nowhere() -> None:
    session = opened()
    session.receive(b"SAY juliet hi\r\n")
    assert session.state == "NEW" and drain(session) == b"what?\r\n"


class Chooses(LineChat):
    """Its handler of GO enters the state that the argument names."""

    states: ClassVar[str] = "NEW KNOWN GONE"
    verbs: ClassVar[dict[str, Rule]] = {
        "GO": rule("NEW", "§1", then="NEW KNOWN"),
        "STAY": rule("NEW", "§2"),
    }

    def do_GO(self, unit: Unit) -> None:
        self.state = unit.arg

    do_STAY = do_GO


def test_a_handler_may_choose_among_the_states_of_its_rule() -> None:
    session = opened(Chooses)
    session.receive(b"GO KNOWN\r\n")
    assert session.state == "KNOWN"


@pytest.mark.parametrize("line", [b"GO GONE\r\n", b"STAY KNOWN\r\n"])
def test_a_handler_that_enters_another_state_is_an_error_that_names_the_rule(line: bytes) -> None:
    with pytest.raises(
        AssertionError, match=r"<Chooses 7 \w+>: the handler of \w+ went from NEW to"
    ):
        opened(Chooses).receive(line)


# ── refusals ─────────────────────────────────────────────────────────────────


class Carries(LineChat):
    """Every unit carries a refusal; a line that begins with a space has no verb."""

    def next_unit(self) -> Unit | None:
        unit = super().next_unit()
        if unit is not None:
            unit.refusal = Refuse("carried")
        return unit

    def permits(self, unit: Unit) -> None:
        if unit.arg == "forbidden":
            raise Refuse("forbidden")

    def offers(self, verb: str) -> bool:
        return verb != "QUIT"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b" x", b"carried"),  # no verb: the refusal at once
        (b"NOPE", b"what?"),  # an unknown verb is unknown, whatever its arguments are
        (b"SAY forbidden", b"forbidden"),  # policy comes before the state
        (b"QUIT", b"what?"),  # not offered here
        (b"SAY x", b"what?"),  # not legal in this state
        (b"NAME x", b"carried"),  # legal: the refusal in place of the handler
    ],
)
def test_the_order_in_which_a_unit_is_refused(line: bytes, reply: bytes) -> None:
    session = opened(Carries)
    session.receive(line + b"\r\n")
    assert drain(session) == reply + b"\r\n"
    assert session.state == "NEW"


# ── records ──────────────────────────────────────────────────────────────────


def test_everything_is_recorded_with_verb_section_and_person() -> None:
    records: list[Record] = []
    session = opened(records=records)
    session.receive(b"NAME romeo\r\nSAY romeo hi\r\n")
    session.eof()
    found = [(one.direction, one.verb, one.section, one.person) for one in records]
    assert found == [
        ("-", "connects", "", ""),
        ("C", "NAME", "chat §1", ""),
        ("S", "", "", "romeo"),
        ("C", "SAY", "chat §2", "romeo"),
        ("S", "", "", "romeo"),
        ("-", "leaves", "", "romeo"),
        ("-", "closes", "", "romeo"),
    ]


def test_an_unfinished_unit_is_recorded_when_the_client_leaves() -> None:
    records: list[Record] = []
    session = opened(records=records)
    session.receive(b"NAME rom")
    session.eof()
    assert [(one.verb, one.raw) for one in records[1:3]] == [
        ("unfinished", b"NAME rom"),
        ("leaves", b""),
    ]


def test_facts_are_added_to_the_record_of_the_unit_that_is_handled() -> None:
    records: list[Record] = []
    session = opened(records=records)
    session.receive(b"NAME romeo\r\n")
    session.note(friend="juliet")
    assert records[1].fields == {"friend": "juliet"}


@given(st.lists(st.sampled_from([b"NAME a", b"SAY a hi", b"nonsense", b""]), max_size=6), st.data())
def test_the_records_are_the_same_however_the_input_is_chopped(
    lines: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(line + b"\r\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))

    def records_of(pieces: list[bytes]) -> list[str]:
        records: list[Record] = []
        session = opened(records=records)
        for piece in pieces:
            session.receive(piece)
        return [f"{one.direction} {one.raw!r}" for one in records if one.direction != "S"]

    ends = [0, *cuts, len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(ends)]
    assert records_of(pieces) == records_of([stream])


# ── TLS and successors ───────────────────────────────────────────────────────


def test_bytes_pipelined_before_the_handshake_are_dropped_by_start_tls() -> None:
    session = opened()
    session.do_NAME = lambda unit: session.start_tls()  # type: ignore[attr-defined]
    session.receive(b"NAME x\r\nSAY x injected\r\n")
    assert session.wants is Want.START_TLS and not session.buffer


def test_bytes_that_arrive_before_the_handshake_ends_are_dropped_by_secured() -> None:
    """The injection guard of the core itself: a shell may pass on bytes that were sent in clear."""
    session = opened()
    session.do_NAME = lambda unit: session.start_tls()  # type: ignore[attr-defined]
    session.receive(b"NAME x\r\n")
    session.receive(b"QUIT\r\n")
    session.wants = None
    session.secured(TlsFacts("TLSv1.3"))
    assert not session.buffer
    session.receive(b"\r\n")
    assert not session.closed, "QUIT was sent in clear and must not be handled"


@pytest.mark.parametrize("together", [True, False], ids=["in one read", "in a later read"])
@pytest.mark.parametrize(
    ("protocol", "before", "start_tls", "injected", "inside", "answer"),
    [
        ("smtp", b"EHLO c\r\n", b"STARTTLS\r\n", b"EHLO evil\r\n", b"NOOP\r\n", b"250 "),
        ("pop3", b"CAPA\r\n", b"STLS\r\n", b"USER evil\r\n", b"CAPA\r\n", b"+OK"),
    ],
    ids=["smtp", "pop3"],
)
def test_a_command_injected_before_the_handshake_is_neither_handled_nor_recorded(
    protocol: str,
    before: bytes,
    start_tls: bytes,
    injected: bytes,
    inside: bytes,
    answer: bytes,
    together: bool,
) -> None:
    # An attacker between client and server could otherwise put commands into the encrypted session
    # (CVE-2011-0411). The shell discards them too, so that no test on sockets sees this guard.
    world = World({"servers": [protocol], "tls": "optional"}, rehearsal=True)
    session = world.core(protocol)
    session.opened(Facts(1))
    ask(session, before)
    for data in [start_tls + injected] if together else [start_tls, injected]:
        session.receive(data)
    drain(session)
    assert session.wants is Want.START_TLS
    session.wants = None
    session.secured(TlsFacts("TLSv1.3"))
    session.receive(inside)
    answers = drain(session)
    assert answers.startswith(answer) and answers.count(answer) == 1
    assert not [record for record in world.records if b"evil" in record.raw]


def test_a_successor_takes_over_the_connection_and_the_rest_of_the_input() -> None:
    session = opened()
    successor = LineChat(session.runtime)
    session.do_NAME = lambda unit: session.hand_over_to(successor)  # type: ignore[attr-defined]
    session.receive(b"NAME x\r\nNAME romeo\r\n")
    assert session.wants is Want.HAND_OVER
    assert session.hand_over() is successor
    assert successor.facts == session.facts and successor.user == "romeo"
    assert session.closed and not session.buffer


# ── limits ───────────────────────────────────────────────────────────────────


def test_input_waits_while_too_much_output_is_unread() -> None:
    session = opened()
    session.receive(b"NAME romeo\r\n")
    big = b"SAY romeo " + b"x" * 480 + b"\r\n"
    session.receive(big * 5000)
    assert PENDING <= session.output.pending < PENDING + 1000
    assert session.buffer, "the rest waits"
    assert drain(session).count(b"romeo: ") == 5000, "and is handled as output is read"


class Counts(LineChat):
    """Its handler of GO answers with ten lines of half of what may be unread."""

    verbs: ClassVar[dict[str, Rule]] = {**LineChat.verbs, "GO": rule("NEW KNOWN", "§2")}

    def do_GO(self, unit: Unit) -> None:
        def lines() -> Iterator[None]:
            for number in range(10):
                self.send(b"%d" % number + b"x" * (PENDING // 2))
                yield

        self.go_on(lines())


def counted(output: bytes) -> str:
    return output.replace(b"x", b"").decode()


def test_a_long_answer_is_made_as_it_is_read_and_other_units_wait() -> None:
    session = opened(Counts)
    session.receive(b"GO\r\nSAY juliet hi\r\n")
    assert session.output.pending <= 1.5 * PENDING and session.in_flight
    session.receive(b"x" * (BACKLOG + 1))
    assert session.backlogged, "the shell is to stop reading"
    assert counted(session.take()) == "0" and not session.exhausted
    assert counted(drain(session)) == "123456789what?\r\n"
    assert not session.backlogged


def test_no_unit_is_handled_while_the_client_has_to_read() -> None:
    session = opened(Counts)
    drain(session)
    session.blocked = True
    session.receive(b"SAY juliet hi\r\n")
    session.receive(b"x" * (BACKLOG + 1))
    session.eof()
    assert drain(session) == b"" and session.backlogged and not session.closed
    session.blocked = False
    assert drain(session) == b"what?\r\n" and session.closed


def test_a_fault_knows_the_whole_of_a_long_answer() -> None:
    session = opened(Counts)
    answer = session.capture(lambda: session.handle(Unit(b"GO\r\n", "GO")))
    assert len(answer.messages) == 10 and drain(session) == b""


def test_who_sends_nothing_more_still_gets_a_long_answer_and_those_to_what_waited() -> None:
    session = opened(Counts)
    session.receive(b"GO\r\nSAY juliet hi\r\n")
    session.eof()
    assert not session.closed
    assert counted(drain(session)) == "0123456789what?\r\n" and session.closed


@pytest.mark.parametrize("end", [Session.close, Session.stall])
def test_a_long_answer_ends_with_the_session(end: Callable[[Session], None]) -> None:
    session = opened(Counts)
    session.receive(b"GO\r\n")
    end(session)
    assert counted(drain(session)) == "01"


def test_the_rest_of_a_long_unit_is_read() -> None:
    session = opened()
    session.buffer += b"x" * (BACKLOG + 1)
    assert not session.backlogged


def test_the_shell_is_asked_to_stop_reading_while_a_unit_is_delayed() -> None:
    session = opened()
    session.delay(5.0, lambda: None)
    session.receive(b"x" * (BACKLOG + 1))
    assert session.backlogged


@pytest.mark.parametrize("end", [Session.eof, Session.close])
def test_a_delayed_unit_is_not_handled_after_the_end(end: Callable[[Session], None]) -> None:
    session = opened()
    handled: list[str] = []
    session.delay(0.0, lambda: handled.append("late"))
    end(session)
    session.tick()
    assert handled == [] and session.due is None


# ── the end ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "end",
    [
        lambda session: session.eof(),
        lambda session: session.close(),
        lambda session: session.close(Want.RESET),
        lambda session: session.receive(b"QUIT\r\n"),
    ],
    ids=["eof", "close", "reset", "QUIT"],
)
def test_however_a_session_ends_it_is_abandoned_once(end: Callable[[Session], None]) -> None:
    session = opened()
    abandoned: list[str] = []
    session.abandoned = lambda: abandoned.append("once")  # type: ignore[method-assign]
    end(session)
    session.close()
    session.eof()
    session.receive(b"NAME late\r\n")
    assert abandoned == ["once"] and not drain(session)


def test_callbacks_run_when_everything_is_written() -> None:
    session = opened()
    ran: list[str] = []
    session.when_written(lambda: ran.append("written"))
    assert not ran
    session.written()
    session.written()
    assert ran == ["written"]


def test_a_session_is_shown_with_its_number_state_and_user() -> None:
    session = opened()
    assert repr(session) == "<LineChat 7 NEW>"
    session.receive(b"NAME romeo\r\n")
    assert repr(session) == "<LineChat 7 KNOWN romeo>"


@pytest.mark.parametrize(
    "method", ["next_unit", "unknown", "wrong_state", "refused", "scripted_reply"]
)
def test_what_a_protocol_must_define_is_named_when_it_is_missing(method: str) -> None:
    bare = Session(Runtime(lambda: 0.0, lambda n: ""))
    arguments = () if method == "next_unit" else (None,)
    with pytest.raises(NotImplementedError, match="Session"):
        getattr(bare, method)(*arguments)


def test_tls_where_clear_text_is_expected_is_named_in_the_record() -> None:
    world = World({"servers": ["smtp"]})
    session = world.core("smtp")
    session.opened(Facts(1))
    session.receive(b"\x16\x03\x01\x02\x00\x01")
    session.eof()
    [record] = [one for one in world.records if one.verb == "unfinished"]
    assert record.fields["remark"].startswith("a TLS handshake, but this port begins in clear text")
