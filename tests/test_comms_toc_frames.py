"""SFLAP frames, the client's side: their layout and numbers, however the bytes are split."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.toc.frames import DATA, KEEP_ALIVE, SIGNON, Frame, FrameError, Frames, signon


def framed(start: int, *frames: tuple[int, bytes]) -> bytes:
    """Frames as the specification describes them, written independently of comms."""
    return b"".join(
        b"*"
        + bytes([kind])
        + struct.pack(">H", (start + at) % 65536)
        + struct.pack(">H", len(payload))
        + payload
        for at, (kind, payload) in enumerate(frames)
    )


def read_all(frames: Frames) -> list[Frame]:
    return list(iter(frames.read, None))


FRAMES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=8)


def test_a_frame_is_a_star_kind_number_length_and_payload() -> None:
    assert Frames(258).write(DATA, b"toc_init_done\0") == b"*\x02\x01\x02\x00\x0etoc_init_done\0"


def test_frames_of_all_kinds_are_numbered_together_modulo_65536() -> None:
    frames = Frames(65534)
    written = [frames.write(kind) for kind in (SIGNON, DATA, KEEP_ALIVE, DATA)]
    assert [struct.unpack(">H", raw[2:4])[0] for raw in written] == [65534, 65535, 0, 1]


def test_the_first_number_is_taken_modulo_65536() -> None:
    assert Frames(65536 + 7).write(DATA)[2:4] == b"\0\x07"


@given(FRAMES, st.integers(0, 65535), st.lists(st.integers(0, 3000)))
def test_frames_do_not_depend_on_how_the_bytes_are_split(
    sent: list[tuple[int, bytes]], start: int, cuts: list[int]
) -> None:
    raw = framed(start, *sent)
    frames, found = Frames(0), []
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    for begin, end in pairwise(edges):
        frames.feed(raw[begin:end])
        found += read_all(frames)
    assert found == [Frame(kind, payload) for kind, payload in sent]


@given(FRAMES, st.integers(0, 65535))
def test_written_frames_read_back_the_same(sent: list[tuple[int, bytes]], start: int) -> None:
    writer, reader = Frames(start), Frames(0)
    for kind, payload in sent:
        reader.feed(writer.write(kind, payload))
    assert read_all(reader) == [Frame(kind, payload) for kind, payload in sent]


def test_the_numbers_of_the_server_may_wrap_around() -> None:
    frames = Frames(0)
    frames.feed(framed(65535, (SIGNON, b"\0\0\0\1"), (DATA, b"NICK:x")))
    assert [frame.payload for frame in read_all(frames)] == [b"\0\0\0\1", b"NICK:x"]


@pytest.mark.parametrize("wrong", [0, 8, 6, 65535])
def test_a_missing_or_repeated_number_is_a_frame_error(wrong: int) -> None:
    frames = Frames(0)
    frames.feed(framed(6, (SIGNON, b"")) + framed(wrong, (DATA, b"")))
    frames.read()
    with pytest.raises(FrameError, match=f"frame 7 is missing: frame {wrong} came"):
        frames.read()


def test_bytes_without_a_star_are_a_frame_error() -> None:
    frames = Frames(0)
    frames.feed(b"H")
    with pytest.raises(FrameError, match=r"begins with '\*'"):
        frames.read()


RESTS = st.binary(max_size=100) | st.binary(max_size=100).map(lambda raw: b"*" + raw)


@given(FRAMES, st.integers(0, 65535), RESTS)
def test_any_bytes_after_frames_are_a_frame_error_unless_they_could_be_a_frame(
    sent: list[tuple[int, bytes]], start: int, rest: bytes
) -> None:
    frames = Frames(0)
    frames.feed(framed(start, *sent) + rest)
    for kind, payload in sent:
        assert frames.read() == Frame(kind, payload)
    if rest and not rest.startswith(b"*"):
        with pytest.raises(FrameError, match="a frame begins with"):
            frames.read()
        return
    if len(rest) < 6:
        assert frames.read() is None
        return
    number, length = struct.unpack(">HH", rest[2:6])
    if sent and number != (start + len(sent)) % 65536:
        with pytest.raises(FrameError, match="is missing"):
            frames.read()
        return
    complete = Frame(rest[1], rest[6 : 6 + length]) if len(rest) >= 6 + length else None
    assert frames.read() == complete


def test_a_payload_that_is_too_long_for_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="65535"):
        Frames(0).write(DATA, b"x" * 65536)


def test_the_signon_frame_contains_the_version_and_the_name_as_tlv_1() -> None:
    assert signon("opsbot") == b"\0\0\0\1" + b"\0\1" + b"\0\6" + b"opsbot"
