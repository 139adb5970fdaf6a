"""Text and the bytes that TOC carries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.toc.frames import MESSAGE_LIMIT
from fakes.toc.text import check_message, encode_im, encode_latin, is_latin


def test_an_im_is_latin_1_if_possible_and_utf_8_otherwise() -> None:
    assert encode_im("naïve") == (b"na\xefve", "L")
    assert encode_im("5 €") == ("5 €".encode(), "U")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\0b", r"'\\x00' at position 1 cannot be sent over TOC; leave it out"),
        ("€€\ud800", r"'\\ud800' at position 2 cannot be sent over TOC; leave it out"),
        ("\udfffx", r"'\\udfff' at position 0 cannot be sent"),
    ],
)
def test_a_character_that_cannot_be_sent_is_named_with_its_position(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encode_im(text)


@pytest.mark.parametrize("character", ["\0", "\ud800", "\udfff"])
def test_outside_of_an_im_the_same_characters_are_refused(character: str) -> None:
    with pytest.raises(ValueError, match="at position 1 cannot be sent over TOC; leave it out"):
        encode_latin(f"a{character}b")


def test_outside_of_an_im_only_latin_1_can_be_sent() -> None:
    assert encode_latin("caf\xe9\xff") == b"caf\xe9\xff"
    with pytest.raises(ValueError, match=r"'€' at position 2 .*write it as &#8364; in HTML"):
        encode_latin("5 €")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_all_other_text_can_be_sent_in_an_im(text: str) -> None:
    raw, encoding = encode_im(text)
    assert raw.decode({"L": "latin-1", "U": "utf-8"}[encoding]) == text
    assert is_latin(text) == (encoding == "L")


def test_a_message_of_8185_bytes_is_the_longest() -> None:
    check_message("x" * MESSAGE_LIMIT)
    with pytest.raises(ValueError, match="has 8186 bytes"):
        check_message("x" * (MESSAGE_LIMIT + 1))


@pytest.mark.parametrize("length", [8186, 8187, 8191, 8192, 8193])
def test_a_longer_message_is_refused_with_its_length(length: int) -> None:
    with pytest.raises(ValueError, match=f"has {length} bytes; .* at most {MESSAGE_LIMIT}"):
        check_message("x" * length)
