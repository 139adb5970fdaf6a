"""From the bytes of a TOC client to units, and what breaks the framing."""

from __future__ import annotations

import pytest

from fakes.toc.aim import Aim
from fakes.toc.frames import DATA, KEEP_ALIVE, Frame
from fakes.toc.presence import Account
from fakes.toc.refusals import Drop
from fakes.toc.units import FrameReader, first_argument, opening, secrets_in_fragment, speaks_http
from fakes.wire import Unit


def reader(*, check_sequence: bool = True, longest: int = 2048) -> FrameReader:
    return FrameReader(Aim([Account("alice")]), check_sequence=check_sequence, longest=longest)


def read(*frames: Frame, check_sequence: bool = True, longest: int = 2048) -> list[Unit]:
    """Returns the units of these frames."""
    found = reader(check_sequence=check_sequence, longest=longest)
    buffer = bytearray(b"".join(frame.packed() for frame in frames))
    units = []
    while unit := found.next(buffer, "alice"):
        units.append(unit)
    assert not buffer
    return units


def command(text: str, number: int = 1) -> Frame:
    return Frame(DATA, number, text.encode("latin-1"))


def reason(unit: Unit) -> str:
    """Why the unit ends the session; "" if it does not."""
    assert unit.refusal is None or isinstance(unit.refusal, Drop)
    return unit.refusal.reply if unit.refusal is not None else ""


# ── the opening ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", [b"FLAPON\r\n\r\n", b"FLAPON\n\n"])
def test_both_forms_of_flapon_open_a_connection(form: bytes) -> None:
    for length in range(1, len(form)):
        buffer = bytearray(form[:length])
        assert opening(buffer) is None and buffer == form[:length]
        assert not speaks_http(buffer)
    buffer = bytearray(form + b"*")
    unit = opening(buffer)
    assert unit is not None and unit.verb == "FLAPON" and buffer == b"*"


def test_flapon_without_an_empty_line_ends_the_session() -> None:
    unit = opening(bytearray(b"FLAPON\r\nx"))
    assert unit is not None and reason(unit) == "FLAPON is followed by an empty line"


@pytest.mark.parametrize(
    ("start", "is_http"),
    [(b"", False), (b"F", False), (b"FL", False), (b"G", True), (b"FOO", True), (b"FLAPX", False)],
)
def test_a_connection_that_does_not_begin_with_flap_speaks_http(
    start: bytes, is_http: bool
) -> None:
    assert speaks_http(start) is is_http


# ── frames ───────────────────────────────────────────────────────────────────


def test_a_command_is_read_without_its_nul_and_split_into_words() -> None:
    (unit,) = read(command('toc_send_im  bob "hello there" auto\0\0'))
    assert (unit.verb, unit.arg) == ("toc_send_im", 'bob "hello there" auto')
    assert [word.text for word in unit.content] == ["bob", "hello there", "auto"]
    assert first_argument(unit) == "bob"
    assert unit.raw[slice(*unit.visible or ())] == b'toc_send_im  bob "hello there" auto'


def test_a_command_has_one_name_for_the_table() -> None:
    assert [unit.verb for unit in read(command("toc2_send_im bob hi"))] == ["toc_send_im"]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (command("tik_send_im bob"), "a command begins with toc"),
        (command("toc_send_im " + "x" * 2048), "a command of 2060 bytes; the limit is 2048"),
        (command('toc_send_im bob "hi'), '" is opened and never closed'),
        (Frame(3, 1, b""), "unknown frame type 3"),
    ],
)
def test_a_frame_that_cannot_be_handled_ends_the_session(frame: Frame, words: str) -> None:
    (unit,) = read(frame)
    assert reason(unit) == words


def test_a_byte_that_begins_no_frame_ends_the_session() -> None:
    buffer = bytearray(b"x*")
    unit = reader().next(buffer, "")
    assert unit is not None and reason(unit) == "no frame begins like this" and buffer == b"*"


def test_the_client_chooses_the_first_number_and_each_step_is_one() -> None:
    numbers = (65534, 65535, 0, 1)
    units = read(*(Frame(KEEP_ALIVE, number, b"") for number in numbers))
    assert [reason(unit) for unit in units] == [""] * 4
    units = read(command("toc_init_done", 7), command("toc_init_done", 9))
    assert reason(units[1]) == "the sequence number is 2 further, not 1"
    lenient = read(command("toc_init_done", 7), command("toc_noop", 9), check_sequence=False)
    assert [reason(unit) for unit in lenient] == ["", ""] and lenient[1].fields == {"step": 2}


# ── passwords ────────────────────────────────────────────────────────────────


def test_a_password_is_hidden_even_in_a_command_that_is_refused() -> None:
    (unit,) = read(command("toc_change_passwd secret " + "x" * 3000))
    assert reason(unit).startswith("a command of") and len(unit.secrets) == 2


def test_a_command_that_was_cut_off_shows_no_password() -> None:
    raw = command("toc_signon host 5190 alice 0x21").packed()
    (secret,) = secrets_in_fragment(raw)
    assert raw[: secret.start].endswith(b"toc_signon") and secret.end == len(raw)
    assert secrets_in_fragment(command("toc_send_im bob hel").packed()) == ()
