"""Lines of IRC as a client reads them, and texts as it cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.irc.lines import Line, check_word, parse, pieces, readable


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"PING :x y", Line("PING", ("x y",))),
        (b":a!b@c privmsg #d :e :f", Line("PRIVMSG", ("#d", "e :f"), "a!b@c")),
        (b":a!b@c PRIVMSG #d word", Line("PRIVMSG", ("#d", "word"), "a!b@c")),
        (b":s  005  me  A=1   :x", Line("005", ("me", "A=1", "x"), "s")),
        (b"@a=b\\s\\:c;+x :n X", Line("X", (), "n", {"a": "b ;c", "+x": ""})),
        (b"X :caf\xe9", Line("X", ("café",))),
        (b"X :caf\xc3\xa9", Line("X", ("café",))),
        (b"PING :a\rQUIT\0", Line("PING", ("aQUIT",))),
        (b":", Line("")),
        (b"@", Line("")),
        (b"", Line("")),
    ],
)  # fmt: skip
def test_a_line_is_split(raw: bytes, line: Line) -> None:
    assert parse(raw) == line


def test_what_a_line_offers() -> None:
    line = parse(b":ann!a@b KICK #c bot")
    assert (line.nick, line[1], line[2], line[-1], str(line)) == (
        "ann", "bot", "", "bot", "KICK #c bot",
    )  # fmt: skip
    assert parse(b":irc.example.test NOTICE x").nick == ""


@pytest.mark.slow
@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(raw: bytes) -> None:
    line = parse(raw.replace(b"\n", b""))
    assert "\0" not in str(line)


@pytest.mark.parametrize("word", ["", "a b", "a\r", "a\n", "a,b", ":a", "a\0"])
def test_what_cannot_be_one_word_of_a_command_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"target: .* cannot be sent"):
        check_word("target", word)


def test_colours_and_bold_are_not_read() -> None:
    assert (
        readable("\x0304,12red\x03 \x02bold\x0f \x1ditalic \x04ff0000x 5") == "red bold italic x 5"
    )


@pytest.mark.parametrize(
    ("text", "room", "found"),
    [
        ("one two", 10, ["one two"]),
        ("one two", 5, ["one", "two"]),
        ("one two", 3, ["one", "two"]),
        ("one\r\n\r\ntwo\0\n", 10, ["one", "two"]),
        ("ééé", 5, ["éé", "é"]),
        ("abcdef", 4, ["abcd", "ef"]),
        ("", 10, []),
    ],
)
def test_a_text_is_cut_at_line_ends_else_spaces_else_characters(
    text: str, room: int, found: list[str]
) -> None:
    assert list(pieces(text, room)) == found


@given(st.text("ab é€😀\n\r\0", max_size=200), st.integers(4, 60))
def test_no_piece_is_too_long_and_nothing_but_spaces_is_lost(text: str, room: int) -> None:
    found = list(pieces(text, room))
    assert all(0 < len(piece.encode()) <= room for piece in found)
    assert not any(character in piece for piece in found for character in "\r\n\0")

    def kept(text: str) -> str:
        return "".join(text.replace("\0", "").split())

    assert kept("".join(found)) == kept(text)
