"""How transcripts write frames, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import transcript
from fakes.toc import Toc, frames
from fakes.toc.codec import Frames
from fakes.toc.masks import unmasked
from fakes.transcript import Step, TranscriptError
from fakes.wire import Record, Secret
from fakes.world import World
from tests.toc_raw import roasted

NO_SECRET = str.encode


def said(*texts: str) -> list[bytes]:
    """What the lines of one client send."""
    codec = Frames()
    return [codec.octets(Step(1, "C", text), NO_SECRET) for text in texts]


def frame(kind: int, number: int, payload: bytes) -> bytes:
    return frames.Frame(kind, number, payload).packed()


@pytest.mark.parametrize(
    ("text", "sent"),
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
        ("{m 1\\nb bob}", frame(2, 1, b"{m 1\nb bob}\0")),
        ("{old alice}", frame(2, 1, b"old alice\0")),
        ("\\{old alice}", frame(2, 1, b"{old alice}\0")),
    ],
)
def test_a_line_of_a_client_is_a_frame(text: str, sent: bytes) -> None:
    assert said(text) == [sent]


def test_numbers_go_on_from_where_the_last_line_left_them() -> None:
    assert [one[2:4] for one in said("[signon =65534] 1 a", "x", "[keep-alive]", "[data +0] x", "x")] == [
        b"\xff\xfe", b"\xff\xff", b"\0\0", b"\0\0", b"\0\1"
    ]  # fmt: skip


def test_a_line_with_a_bar_is_octets_and_no_frame() -> None:
    assert Frames().octets(Step(1, "C", "FLAPON\\r\\n\\r\\n", whole=False), NO_SECRET) == b"FLAPON\r\n\r\n"


def matches(text: str, came: bytes, whole: bool = True) -> bool:
    return Frames().match(Step(1, "S", text, whole=whole), came) is not None


def test_a_line_of_the_server_wants_one_frame_of_its_type() -> None:
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


def test_a_gap_in_the_server_s_numbers_fits_nothing() -> None:
    codec = Frames()
    step = Step(1, "S", "NICK:a")
    for number, fits in ((65535, True), (0, True), (2, False), (0, False), (1, True)):
        came = frame(2, number, b"NICK:a")
        assert (codec.match(step, came) is not None) is fits
        if fits:
            codec.heard(came)


def test_a_server_that_skips_a_number_fails_a_transcript(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "TOC: x\n\nC| FLAPON\\r\\n\\r\\n\nS: [signon] 1\nC: [signon] 1 alice\n"
    text += 'C: toc_signon a 1 alice {roasted alice} english "x"\nS: SIGN_ON:TOC1.0\nS: CONFIG:\nS: NICK:alice\n'
    transcript.play_on_core(transcript.parse(text))
    honest = Toc.say

    def skipping(self: Toc, message: str, section: str = "") -> None:
        self._sent += message.startswith("NICK")
        honest(self, message, section)

    monkeypatch.setattr(Toc, "say", skipping)
    with pytest.raises(TranscriptError, match="expected  S: NICK:alice"):
        transcript.play_on_core(transcript.parse(text))


@given(st.sampled_from("CS"), st.integers(0, 255), st.binary(max_size=40), st.integers(0, 65535), st.booleans())
def test_any_frame_is_written_so_that_it_can_be_said_again(
    direction: str, kind: int, payload: bytes, number: int, nul: bool
) -> None:
    raw = frame(kind, number, payload + (b"\0" if nul else b""))
    (line,) = Frames().rendered(Record(0, "toc", 1, direction, raw), masked=True)
    (step,) = transcript.parse(f"TOC: x\n\n{line}\n").steps
    if direction == "C":
        codec = Frames()
        codec._sent = number - 1
        assert codec.octets(step, NO_SECRET) == raw
    else:
        assert matches(step.text, raw)


def test_secrets_stand_behind_their_labels_and_gaps_are_said() -> None:
    raw = frame(2, 5, b"toc_signon a 1 alice 0x2408 x\0")
    record = Record(0, "toc", 1, "C", raw, secrets=(Secret(27, 33, "roasted alice"),), fields={"step": 3})
    assert list(Frames().rendered(record, masked=True)) == ["C: [data +3] toc_signon a 1 alice {roasted alice} x"]
    assert list(Frames().rendered(record, masked=False)) == ["C: [data +3] toc_signon a 1 alice 0x2408 x"]


def test_labels_say_what_they_stand_for() -> None:
    world = World({"aim": [{"screen_name": "Alice", "password": "password"}]})
    said = {label: unmasked(label, world.aim) for label in (
        "roasted alice", "roasted nobody", "code alice", "code alice wrong", "old alice", "old alice wrong", "new alice", "hidden command",
    )}  # fmt: skip
    assert said == {
        "roasted alice": b"0x2408105c23001130",
        "roasted nobody": roasted("wrong").encode(),
        "code alice": str(7696 * ord("a") * ord("p")).encode(),
        "code alice wrong": b"0",
        "old alice": b"password",
        "old alice wrong": b"wrong",
        "new alice": b"changed",
        "hidden command": b'"',
    }


def test_a_cue_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(TranscriptError, match="`cue: aim-says-so` is not known; known: aim-sends"):
        transcript.play_on_core(transcript.parse("TOC: x\n\ncue: aim-says-so alice\n"))
