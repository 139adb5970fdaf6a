"""Lines of IRC: from bytes to words, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.irc.lines import Command, Line, cut, decode, encode, parse

WORD = st.text("abc#é\udcff", min_size=1, max_size=8)
VALUE = st.text("a;: \\\r\n=é", max_size=8)


@pytest.mark.parametrize(
    ("raw", "command"),
    [
        (b"PING", Command("PING")),
        (b"  ping   a   :b c ", Command("PING", ("a", "b c "), text="a   :b c ")),
        (b":me PING x", Command("PING", ("x",), text="x")),
        (b"PRIVMSG a ::)", Command("PRIVMSG", ("a", ":)"), text="a ::)")),
        (b"PRIVMSG a :", Command("PRIVMSG", ("a", ""), text="a :")),
        (b"@a=\\:\\s\\q\\;b;+c= X", Command("X", (), {"a": "; q", "b": "", "+c": ""})),
        (b"@a", Command("", (), {"a": ""})),
        (b"", Command("")),
        (b":only", Command("")),
    ],
)
def test_a_line_is_split_into_tags_verb_and_parameters(raw: bytes, command: Command) -> None:
    assert parse(raw) == command


def test_the_fifteenth_parameter_takes_the_rest() -> None:
    words = [str(number) for number in range(1, 18)]
    assert parse(f"X {' '.join(words)}".encode()).parameters == (*words[:14], "15 16 17")


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(raw: bytes) -> None:
    command = parse(raw)
    assert len(command.parameters) <= 15
    assert encode(decode(raw)) == raw


@pytest.mark.slow
@given(WORD, st.lists(WORD, max_size=5), st.text("a: é\udcff", max_size=9), VALUE)
def test_what_the_server_writes_is_read_as_it_was(
    verb: str, words: list[str], text: str, value: str
) -> None:
    line = Line("a!b@c", verb, tuple(words), text)
    read = parse(line.to_bytes({"x": value})[:-2])
    assert (read.verb, read.parameters) == (verb.upper(), (*words, text))
    assert read.tags == {"x": value}


@given(st.text("aé€😀\udcff", max_size=300), st.integers(1, 200))
def test_a_text_is_cut_between_two_characters(text: str, limit: int) -> None:
    text = decode(encode(text))
    short = cut(text, limit)
    assert text.startswith(short) or "\udcff" in text
    assert len(encode(short)) <= limit
    if len(encode(text)) > limit:
        assert len(encode(short)) > limit - 4


def test_a_line_that_is_too_long_is_cut_to_512_bytes() -> None:
    raw = Line("a!b@c", "PRIVMSG", ("x",), "é" * 400).to_bytes({"time": "now"})
    tags, _, rest = raw.partition(b" ")
    assert tags == b"@time=now"
    assert 510 <= len(rest) <= 512 and rest.endswith("é\r\n".encode())
