"""How transcripts write TOC frames, and how they read them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.toc import Toc, frames
from fakes.toc.codec import Frames
from fakes.toc.masks import unmasked
from fakes.transcripts.player import play_on_core
from fakes.transcripts.text import Step, TranscriptError, parse
from fakes.wire import Record, Secret
from fakes.world import World
from tests.toc_raw import roasted

NO_SECRET = str.encode


def frame(kind: int, number: int, payload: bytes) -> bytes:
    return frames.Frame(kind, number, payload).packed()


# ── what a client sends ──────────────────────────────────────────────────────


def sent(*texts: str) -> list[bytes]:
    """The bytes that the `C:` lines of one client send, line by line."""
    codec = Frames()
    return [codec.to_bytes(Step(1, "C", text), NO_SECRET) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("toc_init_done", frame(2, 1, b"toc_init_done\0")),
        ("", frame(2, 1, b"\0")),
        ("[keep-alive]", frame(5, 1, b"")),
        ("[keep-alive] \\x00", frame(5, 1, b"\0")),
        ("[signoff]", frame(4, 1, b"")),
        ("[signon] 1 alice", frame(1, 1, b"\0\0\0\1\0\1\0\5alice")),
        ("[signon raw] \\x00\\x00", frame(1, 1, b"\0\0")),
        ("[data raw] toc_init_done", frame(2, 1, b"toc_init_done")),
        ("[data +2] toc_init_done", frame(2, 2, b"toc_init_done\0")),
        ("[data =65535] x", frame(2, 65535, b"x\0")),
        ("[data raw =7]", frame(2, 7, b"")),
        ("[9] x", frame(9, 1, b"x")),
        ("[data] [data] x", frame(2, 1, b"[data] x\0")),
        ("a\\r\\n\\t\\\\\\x7f\\*", frame(2, 1, b"a\r\n\t\\\x7f*\0")),
        ("\\(signs on alice)", frame(2, 1, b"(signs on alice)\0")),
        ("{m 1\\nb bob}", frame(2, 1, b"{m 1\nb bob}\0")),
        ("{old alice}", frame(2, 1, b"old alice\0")),
        ("\\{old alice}", frame(2, 1, b"{old alice}\0")),
    ],
)
def test_a_client_line_is_one_frame(text: str, expected: bytes) -> None:
    assert sent(text) == [expected]


def test_sequence_numbers_continue_from_line_to_line() -> None:
    raw = sent("[signon =65534] 1 a", "x", "[keep-alive]", "[data +0] x", "x")
    assert [line[2:4] for line in raw] == [b"\xff\xfe", b"\xff\xff", b"\0\0", b"\0\0", b"\0\1"]


def test_a_line_with_a_bar_is_bytes_without_a_frame() -> None:
    step = Step(1, "C", "FLAPON\\r\\n\\r\\n", whole=False)
    assert Frames().to_bytes(step, NO_SECRET) == b"FLAPON\r\n\r\n"


LOGIN = 'login.example.test 5190 alice {roasted alice} english "test"'
SIGN_ONS = {
    "toc_signon": f"toc_signon {LOGIN}",
    "toc2_signon": f"toc2_signon {LOGIN} 160 {{code alice}}",
    "toc2_login": f'toc2_login {LOGIN} 160 US "" "" 3 0 30303 -kentucky -utf8 {{code alice}}',
}


@pytest.mark.parametrize(
    ("step", "command", "ready"),
    [
        ("(signs on alice)", "toc_signon", True),
        ("(signs on alice with toc_signon)", "toc_signon", True),
        ("(signs on alice with toc2_signon)", "toc2_signon", True),
        ("(signs on alice with toc2_login)", "toc2_login", True),
        ("(signs on alice without toc_init_done)", "toc_signon", False),
        ("(signs on alice with toc2_signon without toc_init_done)", "toc2_signon", False),
    ],
)
def test_a_sign_on_step_sends_what_the_written_out_lines_send(
    step: str, command: str, ready: bool
) -> None:
    lines = ["[signon] 1 alice", SIGN_ONS[command], *(["toc_init_done"] if ready else [])]
    assert sent(step, "next") == [
        b"FLAPON\r\n\r\n" + b"".join(sent(*lines)),
        sent(*lines, "next")[-1],
    ]


@pytest.mark.parametrize(
    "text", ["(signs on)", "(signs on alice with toc3)", "(signs on alice, at last)", "(hello)"]
)
def test_an_unknown_client_step_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(TranscriptError, match=r"line 7: .*: unknown step; write \(signs on NAME\)"):
        Frames().to_bytes(Step(7, "C", text), NO_SECRET)


# ── what a server sends ──────────────────────────────────────────────────────


def matches(text: str, came: bytes, whole: bool = True) -> bool:
    return Frames().match(Step(1, "S", text, whole=whole), came) is not None


def test_a_server_line_expects_one_frame_of_its_type() -> None:
    assert matches("NICK:a", frame(2, 9, b"NICK:a"))
    assert Frames().match(Step(1, "S", "NICK:a"), frame(2, 9, b"NICK:a") + b"more") == 12
    assert matches("[signon] 1", frame(1, 9, b"\0\0\0\1"))
    assert matches("[keep-alive]", frame(5, 9, b""))
    assert matches("UPDATE_BUDDY:a:T:0:*:0: O\\x20", frame(2, 9, b"UPDATE_BUDDY:a:T:0:12345:0: O "))
    assert matches("a\\*b", frame(2, 9, b"a*b"))
    assert matches("SIGN", b"SIGN", whole=False)
    assert not matches("NICK:a", frame(2, 9, b"NICK:a\0"))
    assert not matches("NICK:a", frame(2, 9, b"NICK:ab"))
    assert not matches("NICK:a", frame(5, 9, b"NICK:a"))
    assert not matches("NICK:a", frame(2, 9, b"NICK:a")[:-1])
    assert not matches("NICK:*", frame(2, 9, b"NICK:a:b"))
    assert not matches("NICK:*", frame(2, 9, b"NICK:"))
    assert not matches("NICK:a", b"NICK:a")


def test_a_gap_in_the_numbers_of_the_server_matches_nothing() -> None:
    codec = Frames()
    step = Step(1, "S", "NICK:a")
    for number, fits in ((65535, True), (0, True), (2, False), (0, False), (1, True)):
        came = frame(2, number, b"NICK:a")
        assert (codec.match(step, came) is not None) is fits
        if fits:
            codec.consumed(came)


def test_a_server_that_skips_a_number_fails_a_transcript(monkeypatch: pytest.MonkeyPatch) -> None:
    sign_on = "C: (signs on alice without toc_init_done)\n"
    short = parse(f"TOC: x\n\n{sign_on}S: (signed on)\n")
    written_out = parse(
        f"TOC: x\n\n{sign_on}S: [signon] 1\nS: SIGN_ON:TOC1.0\nS: CONFIG:\nS: NICK:alice\n"
    )
    play_on_core(short)
    play_on_core(written_out)
    say = Toc.say

    def skipping(self: Toc, message: str, section: str = "") -> None:
        self._sent += message.startswith("NICK")
        say(self, message, section)

    monkeypatch.setattr(Toc, "say", skipping)
    with pytest.raises(TranscriptError, match="expected  S: NICK:alice"):
        play_on_core(written_out)
    with pytest.raises(TranscriptError, match=r"expected  S: \(signed on\)"):
        play_on_core(short)


def answer(*payloads: bytes, numbers: Iterable[int] = range(9, 99)) -> bytes:
    """What a server sends first: a SIGNON frame, and then these messages."""
    kinds = [1, *(2 for _ in payloads)]
    sent = zip(kinds, numbers, [b"\0\0\0\1", *payloads], strict=False)
    return b"".join(frame(kind, number, payload) for kind, number, payload in sent)


def signed_on(step: str, came: bytes) -> int | None:
    codec = Frames()
    codec.to_bytes(Step(1, "C", step), NO_SECRET)
    return codec.match(Step(2, "S", "(signed on)"), came)


TOC1 = answer(b"SIGN_ON:TOC1.0", b"CONFIG:m 1\nb x\n", b"NICK:Bob Smith")
TOC2 = answer(b"SIGN_ON:TOC2.0", b"NICK:Bob Smith", b"CONFIG2:m:1\ndone:\n")


def test_signed_on_consumes_the_whole_answer_and_no_more() -> None:
    assert signed_on("(signs on bobsmith)", TOC1) == len(TOC1)
    assert signed_on("(signs on bobsmith with toc2_signon)", TOC2 + b"*\2") == len(TOC2)
    assert signed_on("(signs on bobsmith with toc2_login)", TOC2 + TOC2) == len(TOC2)


@pytest.mark.parametrize(
    ("why", "step", "came"),
    [
        ("the other version", "(signs on bobsmith)", TOC2),
        ("the other version", "(signs on bobsmith with toc2_signon)", TOC1),
        ("another name", "(signs on bob)", TOC1),
        ("an error", "(signs on bobsmith)", answer(b"ERROR:980")),
        ("incomplete", "(signs on bobsmith)", TOC1[:-1]),
        ("no SIGNON frame", "(signs on bobsmith)", TOC1[10:]),
        (
            "out of order",
            "(signs on bobsmith)",
            answer(b"SIGN_ON:TOC1.0", b"NICK:Bob Smith", b"CONFIG:"),
        ),
        (
            "a gap in the numbers",
            "(signs on bobsmith)",
            answer(b"SIGN_ON:TOC1.0", b"CONFIG:", b"NICK:Bob Smith", numbers=(1, 2, 3, 5)),
        ),
    ],
)
def test_signed_on_matches_nothing_else(why: str, step: str, came: bytes) -> None:
    assert signed_on(step, came) is None, why


def test_the_player_reads_on_until_the_answer_to_a_sign_on_can_be_complete() -> None:
    codec = Frames()
    codec.to_bytes(Step(1, "C", "(signs on bobsmith)"), NO_SECRET)
    step = Step(2, "S", "(signed on)")
    for length in range(len(TOC1)):
        assert codec.match(step, TOC1[:length]) is None
        assert not codec.complete(TOC1[:length])
    assert codec.complete(TOC1)
    codec.consumed(TOC1)
    update = frame(2, 13, b"NICK:x")
    assert codec.match(Step(3, "S", "NICK:y"), update) is None
    assert codec.complete(update)  # one frame is enough again
    assert codec.match(Step(3, "S", "NICK:x"), update) == len(update)


@pytest.mark.parametrize("text", ["(signed on)", "(signed off)"])
def test_signed_on_without_a_sign_on_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(TranscriptError, match=r"line 3: .* after a line \(signs on NAME\)"):
        Frames().match(Step(3, "S", text), TOC1)


# ── the recorder ─────────────────────────────────────────────────────────────


@given(
    st.sampled_from("CS"),
    st.integers(0, 255),
    st.binary(max_size=40),
    st.integers(0, 65535),
    st.booleans(),
)
def test_any_frame_is_written_so_that_it_reads_back(
    direction: str, kind: int, payload: bytes, number: int, nul: bool
) -> None:
    raw = frame(kind, number, payload + (b"\0" if nul else b""))
    (line,) = Frames().to_lines(Record(0, "toc", 1, direction, raw), masked=True)
    (step,) = parse(f"TOC: x\n\n{line}\n").steps
    if direction == "C":
        codec = Frames()
        codec._sent = number - 1
        assert codec.to_bytes(step, NO_SECRET) == raw
    else:
        assert matches(step.text, raw)


def test_the_recorder_writes_labels_for_secrets_and_marks_gaps() -> None:
    raw = frame(2, 5, b"toc_signon a 1 alice 0x2408 x\0")
    secrets = (Secret(27, 33, "roasted alice"),)
    record = Record(0, "toc", 1, "C", raw, secrets=secrets, fields={"step": 3})
    assert list(Frames().to_lines(record, masked=True)) == [
        "C: [data +3] toc_signon a 1 alice {roasted alice} x"
    ]
    assert list(Frames().to_lines(record, masked=False)) == [
        "C: [data +3] toc_signon a 1 alice 0x2408 x"
    ]


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("roasted alice", b"0x2408105c23001130"),
        ("roasted nobody", roasted("wrong").encode()),
        ("code alice", str(7696 * ord("a") * ord("p")).encode()),
        ("code alice wrong", b"0"),
        ("old alice", b"password"),
        ("old alice wrong", b"wrong"),
        ("new alice", b"changed"),
        ("hidden command", b'"'),
    ],
)
def test_a_label_has_the_value_that_it_names(label: str, value: bytes) -> None:
    world = World({"aim": [{"screen_name": "Alice", "password": "password"}]})
    assert unmasked(label, world.aim) == value


def test_an_unknown_cue_is_refused_by_name() -> None:
    hint = r"cue: unknown word 'aim-says-so' .did you mean 'aim-says'.*known: aim-sends"
    with pytest.raises(TranscriptError, match=hint):
        play_on_core(parse("TOC: x\n\ncue: aim-says-so alice\n"))
