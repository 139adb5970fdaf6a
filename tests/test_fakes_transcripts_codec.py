"""How bytes are written as lines of a transcript, and read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.transcripts.codec import LINES, escaped, protected
from fakes.transcripts.text import Step, parse
from fakes.wire import Record, Secret


def steps_of(record: Record, masked: bool = False) -> list[Step]:
    """Writes a record as a transcript and reads that."""
    return parse("\n".join(["SMTP: x", *LINES.to_lines(record, masked)])).steps


def recorded(direction: str, raw: bytes) -> Record:
    return Record(0.0, "smtp", 1, direction, raw)


# What has a meaning in a transcript, or none as text.
PIECES = [
    b"\r\n",
    b"\n",
    b" ",
    b"*",
    b"\\",
    b"\\x41",
    b"{plain alice}",
    b"(tls)",
    b"\0\xff\x1b",
    "é\u2028\u3000".encode(),
]
BYTES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=8).map(b"".join)


@given(BYTES)
def test_any_bytes_of_a_client_are_sent_again_as_they_were(raw: bytes) -> None:
    steps = steps_of(recorded("C", raw))
    assert not any(step.event for step in steps)
    assert b"".join(LINES.to_bytes(step, lambda label: b"SECRET") for step in steps) == raw


@given(BYTES)
def test_any_bytes_of_a_server_match_themselves_once_recorded(raw: bytes) -> None:
    rest = raw
    for step in steps_of(recorded("S", raw)):
        assert not step.event
        end = LINES.match(step, rest)
        assert end is not None
        rest = rest[end:]
    assert rest == b""


@pytest.mark.parametrize("raw", [b"a * b", b"*", b"\xff.*[x]", b"{plain alice}"])
def test_a_recorded_line_matches_no_other_line(raw: bytes) -> None:
    (step,) = parse(f"SMTP: x\nS: x{escaped(raw, '*')}\n").steps
    assert LINES.match(step, b"x" + raw + b"\r\n")
    assert not LINES.match(step, b"xother\r\n")


@pytest.mark.parametrize(
    ("received", "matches"),
    [
        (b"250 Queued as A1 now\r\n", True),
        (b"250 Queued as  now\r\n", False),
        (b"250 Queued as A B now\r\n", False),
        (b"250 Queued as <A> now\r\n", False),
        (b"250 Queued as A1 now", False),
    ],
)
def test_a_wildcard_is_one_word(received: bytes, matches: bool) -> None:
    (step,) = parse("SMTP: x\nS: 250 Queued as * now\n").steps
    assert (LINES.match(step, received) is not None) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(foo)", r"unknown event \(foo\); write \(pause\), \(tls\)"),
        ("AUTH PLAIN {plain}", "a brace begins a secret; write for example {plain alice}"),
        (r"NOOP \q", r"unknown escape \\q; write \\r, "),
    ],
)
def test_a_line_that_cannot_be_sent_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LINES.to_bytes(Step(2, "C", text), lambda label: b"")


@pytest.mark.parametrize("text", ["(foo)", r"250 \q"])
def test_a_line_that_no_server_can_send_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unknown"):
        LINES.match(Step(2, "S", text), b"250 ok\r\n")


def test_a_fragment_has_no_line_end() -> None:
    (step,) = parse("SMTP: x\nS| 250\n").steps
    assert LINES.match(step, b"250-more") == 3


def test_a_label_is_replaced_by_the_secret_and_the_secret_by_its_label() -> None:
    (step,) = parse("SMTP: x\nC: AUTH PLAIN {plain alice}\n").steps
    assert LINES.to_bytes(step, lambda label: label.upper().encode()) == (
        b"AUTH PLAIN PLAIN ALICE\r\n"
    )
    record = recorded("C", b"PASS abc\r\nNOOP\r\n")
    record.secrets = (Secret(5, 8, "pass alice"),)
    assert list(LINES.to_lines(record, masked=True)) == ["C: PASS {pass alice}", "C: NOOP"]
    assert list(LINES.to_lines(record, masked=False)) == ["C: PASS abc", "C: NOOP"]


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b"\xff\x00", r"\xff\x00"),
        (b"\t\r\n", r"\t\r\n"),
        ("é".encode(), "é"),
        ("\u2028".encode(), r"\xe2\x80\xa8"),
        (b"\\", r"\\"),
        (b"{", "{"),
    ],
)
def test_only_what_cannot_be_printed_is_escaped(raw: bytes, written: str) -> None:
    assert escaped(raw) == written


def test_a_space_at_the_end_and_a_parenthesis_at_the_beginning_are_protected() -> None:
    assert protected("250 ") == r"250\x20"
    assert protected("(closes)") == r"\(closes)"
