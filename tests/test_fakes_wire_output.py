"""The queue of writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fakes.wire.output import LARGE, Output


def writes(output: Output) -> list[bytes]:
    found = []
    while write := output.take():
        found.append(write)
    return found


def test_what_is_appended_between_two_takes_is_one_write() -> None:
    output = Output()
    output.append(b"one ")
    output.append(b"two")
    assert writes(output) == [b"one two"]


def test_a_large_write_is_not_copied_to_grow() -> None:
    output, large = Output(), b"x" * LARGE
    output.append(large)
    output.append(b"one ")
    output.append(b"two")
    assert output.take() is large and writes(output) == [b"one two"]


def test_without_coalescing_each_append_is_a_write() -> None:
    output = Output(coalesce=False)
    output.append(b"one ")
    output.append(b"two")
    assert writes(output) == [b"one ", b"two"]


def test_what_is_appended_after_a_take_begins_another_write() -> None:
    output = Output(coalesce=False)
    output.append(b"one ")
    output.append(b"two ")
    output.coalesce = True
    assert output.take() == b"one "
    output.append(b"three")
    assert writes(output) == [b"two ", b"three"]


def test_a_split_cuts_what_is_appended_and_ends_when_the_queue_is_empty() -> None:
    output = Output()
    output.chunk = 2
    output.append(b"abcde")
    assert writes(output) == [b"ab", b"cd", b"e"]
    output.append(b"abcde")
    assert writes(output) == [b"abcde"]


def test_an_empty_queue_is_false_and_returns_nothing() -> None:
    output = Output()
    assert not output and output.take() == b""


@given(st.lists(st.binary(min_size=1, max_size=20)), st.booleans(), st.integers(0, 5))
def test_no_byte_is_lost_and_pending_counts_them(
    pieces: list[bytes], coalesce: bool, chunk: int
) -> None:
    output = Output(coalesce)
    output.chunk = chunk
    for piece in pieces:
        output.append(piece)
    assert output.pending == len(b"".join(pieces))
    assert b"".join(writes(output)) == b"".join(pieces)
    assert output.pending == 0
