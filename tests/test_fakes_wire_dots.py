"""Lines that begin with a dot."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.wire.dots import dot_stuff, find_dotted, unstuff


@pytest.mark.parametrize(
    ("lines", "stuffed"),
    [
        (b"", b""),
        (b"no dot\r\n", b"no dot\r\n"),
        (b"in the mid.dle\r\n", b"in the mid.dle\r\n"),
        (b".\r\n", b"..\r\n"),
        (b"a\r\n.b\r\n..c\r\n", b"a\r\n..b\r\n...c\r\n"),
        (b"bare\n.line end", b"bare\n.line end"),
    ],
)
def test_a_dot_that_begins_a_line_is_doubled(lines: bytes, stuffed: bytes) -> None:
    assert dot_stuff(lines) == stuffed
    assert unstuff(stuffed) == lines


@given(
    st.lists(st.sampled_from([b".", b"\n", b"\r\n", b"a", b"." * 80]), max_size=12),
    st.integers(0, 20),
)
def test_the_next_line_with_a_dot_is_found(pieces: list[bytes], start: int) -> None:
    content = b"".join(pieces)
    starts = [match.start() for match in re.finditer(rb"(?:^|(?<=\n))\.", content)]
    assert find_dotted(content, start) == next((at for at in starts if at >= start), -1)


def test_after_many_other_dots_a_line_with_a_dot_is_found() -> None:
    many = b"a.b " * 1000
    assert find_dotted(many + b"\n.") == len(many) + 1
    assert find_dotted(many) == -1
