"""send-raw-message: what is repaired, what is refused, and that everything else stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.sending.send_raw_message_repair import made_ready
from tests.command import run_command
from tests.drills import cuts, sampled, three_of

PAGE = catalogue.named("send-raw-message")
ACT = PAGE.acts()[0]
ADDED = ["Date: today", "Message-ID: <new@x.test>"]
GOOD = b"From: a@x.test\r\nDate: d\r\nMessage-ID: <1@x.test>\r\n\r\nhi\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        GOOD,
        GOOD.replace(b"From:", b"FROM :"),  # RFC 5322 §4.5.8
        GOOD.replace(b"From:", b"from:"),
        GOOD.replace(b"hi", b"x" * 998),
        GOOD.replace(b"hi", b"\xff\xfe 8-bit"),
        GOOD.replace(b"hi", b"Bcc: only text\r\nReturn-Path: too"),
        GOOD.replace(b"Date", b"Resent-From: b@x.test\r\nDate"),
        GOOD.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
        b"From: a@x.test\r\nDate: d\r\nMessage-ID:\r\n <1@x.test>\r\n\r\n",
    ],
)
def test_a_message_without_a_mistake_is_sent_as_it_is(raw: bytes) -> None:
    ready = made_ready(raw, ADDED)
    assert (ready.raw, ready.repairs) == (raw, ())


def test_a_header_without_an_empty_line_after_it_gets_one() -> None:
    assert made_ready(GOOD[:-6], ADDED).raw == GOOD[:-6] + b"\r\n"


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        (GOOD.replace(b"\r\n", b"\n"), GOOD),
        (GOOD[:-2], GOOD),
        (GOOD.replace(b"Date", b"bCC: c@x.test,\r\n\td@x.test\r\nDate"), GOOD),
        (b"Return-Path: <>\r\nresent-bcc : x@x.test\r\n" + GOOD, GOOD),
        (GOOD.replace(b"Date: d\r\n", b""), b"Date: today\r\n" + GOOD.replace(b"Date: d\r\n", b"")),
    ],
)
def test_a_repair_changes_nothing_else(raw: bytes, sent: bytes) -> None:
    ready = made_ready(raw, ADDED)
    assert (ready.raw, bool(ready.repairs)) == (sent, True)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (GOOD.replace(b"hi", b"h\ri"), "line 5: a bare CR or LF"),
        (GOOD.replace(b"hi", b"h\r"), "line 5: a bare CR or LF"),
        (GOOD + b"\n", "line 6: a bare CR or LF"),
        (GOOD.replace(b"\r\n", b"\n") + b"\r", "line 1: a bare CR or LF"),
        (GOOD.replace(b"\r\n", b"\r"), "line 1: a bare CR or LF"),
        (b"\0" + GOOD, "line 1: a NUL"),
        (b" folded: first\r\n" + GOOD, "line 1: ' folded: first' is not a header field"),
        (GOOD.replace(b"Date", b" \t \r\nDate"), "line 2: ' \\\\t ' is not a header field"),
        (GOOD.replace(b"\r\n\r\n", b"\r\n"), "line 4: 'hi' is not a header field"),
        (b"\xef\xbb\xbf" + GOOD, "line 1: "),
        (b"\r\n" + GOOD, "header: 0 From fields"),
        (GOOD.replace(b"a@x", b"\xe9@x"), "header: neither ASCII nor UTF-8"),
    ],
)
def test_what_cannot_be_repaired_is_refused_with_its_line(raw: bytes, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        made_ready(raw, ADDED)


def test_a_header_beyond_ascii_is_noticed_and_a_text_is_not_one() -> None:
    assert made_ready(GOOD.replace(b"a@x", "ä@x".encode()), ADDED).utf8
    assert not made_ready(GOOD.replace(b"hi", "ä".encode()), ADDED).utf8


@given(st.binary(max_size=60), st.sampled_from([b"", GOOD, GOOD.replace(b"\r\n", b"\n")]))
@example(b"\n", GOOD)
def test_whatever_is_accepted_needs_no_further_repair(junk: bytes, head: bytes) -> None:
    try:
        ready = made_ready(head + junk, ADDED)
    except ValueError as error:
        assert ";" in str(error)
        return
    again = made_ready(ready.raw, ADDED)
    assert (again.raw, again.repairs) == (ready.raw, ())
    assert ready.raw.replace(b"\r\n", b"").translate(None, b"\r\n\0") == ready.raw.replace(
        b"\r\n", b""
    )


@pytest.mark.slow
def test_on_fake_servers_in_real_time_it_sends_its_own_example(tmp_path: Path) -> None:
    done = run_command("live", "send-raw-message", "--out", str(tmp_path))
    assert done.returncode == 0
    assert "teacher@yourco.test: accepted\nfriend@yourco.test: accepted\n" in done.stdout


def recorded() -> list[Record]:
    """What crosses the wire in the first act."""
    recording = rehearsal.rehearse(PAGE, ACT).recording
    return [item for item in recording if isinstance(item, Record)]


FOUND = list(cuts(recorded()))
CUTS = sampled(FOUND, three_of(FOUND))


@pytest.mark.parametrize("fault", CUTS)
def test_wherever_the_connection_is_lost_it_says_whether_the_message_is_sent(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [fault])
    assert (performance.unmet, performance.tracebacks) == ([], [])
    texts = [event["text"] for event in performance.events]
    accepted = sum(text.endswith(": accepted") for text in texts)
    unknown = sum("lost after the message" in text for text in texts)
    failed = sum(text.startswith("ends with exit code") for text in texts)
    assert (accepted, unknown, failed) in [(2, 0, 0), (0, 2, 0), (0, 0, 1)]
    if not unknown:
        assert len(performance.mails) == (1 if accepted else 0)
