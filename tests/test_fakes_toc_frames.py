"""SFLAP frames as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.toc.frames import DATA, Frame, first, signon, signon_name


def test_a_frame_has_a_header_of_six_bytes() -> None:
    assert Frame(DATA, 258, b"toc_init_done\0").packed() == b"*\2\1\2\0\x0etoc_init_done\0"


@given(st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=50), st.binary(max_size=9))
def test_a_frame_is_taken_when_it_is_complete(
    kind: int, number: int, payload: bytes, rest: bytes
) -> None:
    frame = Frame(kind, number, payload)
    packed = frame.packed()
    assert first(packed + rest) == frame
    for length in range(len(packed)):
        assert first(packed[:length]) is None


def test_a_client_s_sign_on_holds_its_name_in_a_tlv() -> None:
    assert signon() == b"\0\0\0\1"
    assert signon(b"alice") == b"\0\0\0\1\0\1\0\5alice"
    assert signon_name(signon(b"alice")) == b"alice"
    assert signon_name(signon(b"alice") + b"\0") == b"alice", "one client sends a NUL after it"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0\0\0\1",
        b"\0\0\0\2\0\1\0\5alice",
        b"\0\0\0\1\0\2\0\5alice",
        b"\0\0\0\1\0\1\0\6alice",
    ],
    ids=["empty", "no name", "version", "tag", "length"],
)
def test_a_malformed_sign_on_has_no_name(payload: bytes) -> None:
    assert signon_name(payload) is None
