"""Commands with literals, from bytes in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.imap.reader import TOO_LONG, Announced, Command, Reader


def read(
    data: bytes, *, size: int = 1 << 20, most: int = 100, line: int = 200
) -> list[tuple[bytes, object]]:
    """Returns each command with its problem. Literals of up to `most` bytes are accepted."""
    reader = Reader(longest_line=line)
    found: list[tuple[bytes, object]] = []
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
        while (each := reader.next()) is not None:
            if isinstance(each, Command):
                found.append((each.raw, each.problem))
            elif each.total > most:
                reader.refuse("too big")
            else:
                reader.accept()
    return found


def test_a_line_is_a_command() -> None:
    assert read(b"a NOOP\r\nb NOOP\r\nc NO") == [(b"a NOOP\r\n", None), (b"b NOOP\r\n", None)]


def test_a_literal_and_the_line_after_it_belong_to_the_command() -> None:
    command = b"a LOGIN {5}\r\nal\r\ne {6+}\r\nsecret\r\n"
    assert read(command + b"b NOOP\r\n") == [(command, None), (b"b NOOP\r\n", None)]


def test_the_literal_is_announced_before_its_bytes_are_read() -> None:
    reader = Reader()
    reader.feed(b"a APPEND x (\\Seen) ~{4}\r\n")
    announced = Announced(b"a APPEND x (\\Seen) ~{4}\r\n", 4, 4, is_sync=True, is_binary=True)
    assert reader.next() == announced == reader.next()
    reader.accept()
    assert reader.next() is None
    reader.feed(b"1\0\r\n\r\n")
    assert reader.next() == Command(b"a APPEND x (\\Seen) ~{4}\r\n1\0\r\n\r\n", {20: (25, 29)})


def test_a_client_that_waits_sends_no_literal_that_is_refused() -> None:
    found = read(b"a LOGIN {500}\r\nb NOOP\r\n")
    assert found == [(b"a LOGIN {500}\r\n", "too big"), (b"b NOOP\r\n", None)]


def test_a_literal_without_continuation_is_swallowed_when_it_is_refused() -> None:
    data = b"a X {500+}\r\n" + b"y" * 500 + b" {3+}\r\nb N z\r\nb NOOP\r\n"
    assert read(data) == [(b"a X {500+}\r\n", "too big"), (b"b NOOP\r\n", None)]


def test_literals_of_a_command_count_together() -> None:
    data = b"a X {60+}\r\n" + b"y" * 60 + b" {60}\r\n"
    assert read(data) == [(data, "too big")]


@pytest.mark.parametrize("end", [b"", b" {3+}\r\nabc", b" {3}"])
def test_a_line_that_is_too_long_is_skipped_with_its_literals(end: bytes) -> None:
    ((raw, problem), following) = read(b"a X " + b"y" * 500 + end + b"\r\nb NOOP\r\n")
    assert (raw[:4], problem, following) == (b"a X ", TOO_LONG, (b"b NOOP\r\n", None))
    assert len(raw) <= 202


def test_what_is_buffered_of_an_endless_line_is_bounded() -> None:
    reader = Reader(longest_line=100)
    for _ in range(50):
        reader.feed(b"x" * 1000)
        assert reader.next() is None and len(reader.buffer) < 100
    reader.feed(b"\r\nb NOOP\r\n")
    assert [reader.next(), reader.next()] == [
        Command(b"x" * 100 + b"\r\n", {}, TOO_LONG),
        Command(b"b NOOP\r\n", {}),
    ]


def test_an_unfinished_command_is_forgotten_on_reset() -> None:
    reader = Reader()
    reader.feed(b"a LOGIN {3+}\r\nx")
    assert isinstance(reader.next(), Announced)
    reader.accept()
    assert reader.next() is None
    reader.reset()
    reader.feed(b"b NOOP\r\n")
    assert reader.next() == Command(b"b NOOP\r\n", {})


PIECES = st.lists(
    st.sampled_from([b"a", b" ", b"\r\n", b"\n", b"{3}", b"{9+}", b"{0}", b"~{2+}", b"{99+}", b"z"])
)


@pytest.mark.slow
@given(PIECES, st.integers(1, 9))
def test_any_pieces_are_read_alike(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    assert read(data, size=size, most=20, line=12) == read(data, most=20, line=12)


@pytest.mark.slow
@given(st.binary(), st.integers(1, 9))
@example(b"{0}", 1)
def test_any_bytes_are_read(data: bytes, size: int) -> None:
    found = read(data + b"\r\n", size=size)
    assert found or b"{" in data, "only what announces a literal may be incomplete"
