"""Encoded words and charsets: always text, one safe line, never an exception."""

from __future__ import annotations

import email.header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import words

encodable = st.text(st.characters(codec="utf-8"), max_size=200)


@given(encodable, st.integers(0, 40))
def test_no_encoded_word_is_too_long_and_no_character_is_split(text: str, used: int) -> None:
    encoded = words.encode(text, used)
    assert len(encoded[0]) + used <= words.WORD
    assert max(map(len, encoded)) <= words.WORD
    for word in encoded:
        words.decode(word).encode("utf-8")  # a split character would have become U+FFFD
    assert words.one_line(text) == words.decode(" ".join(encoded))


@given(encodable.filter(str.strip))
def test_the_standard_library_decodes_what_is_encoded(text: str) -> None:
    parsed = email.header.decode_header(" ".join(words.encode(text)))
    decoded = "".join(
        raw.decode(charset or "ascii") if isinstance(raw, bytes) else raw for raw, charset in parsed
    )
    assert decoded == text


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?a_b?= =?utf-8?q?c?=", "a bc"),  # RFC 2047 §6.2: no space between two words
        ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        ("=?utf-8?b?ww==?= =?UTF-8?B?pA==?=", "ä"),  # a character split between two words
        ("=?utf-8*en?q?a?=", "a"),  # with a language (RFC 2231 §5)
        ("=?utf-8?q?a=0D=0ABcc:_x?=", "a  Bcc: x"),
        ("=?utf-8?b?%%%?=", ""),  # nothing of it is base64
        ("=?no-such?q?=E9?=", "é"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
    ],
)
def test_encoded_words_are_decoded(text: str, decoded: str) -> None:
    assert words.decode(text) == decoded


@given(st.text("=?utf8-qbB_A= \r\n\0\u202eä", max_size=80))
def test_any_header_decodes_to_one_safe_line(text: str) -> None:
    decoded = words.decode(text)
    assert not set(decoded) & set("\r\n\0\u202e")
    decoded.encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        (b"\xc3\xa9", "utf-8", "é"),
        (b"\xc3\xa9", "", "é"),
        (b"\xe9", "", "é"),  # not UTF-8, so Windows-1252
        (b"\x80", "iso-8859-1", "€"),  # declared as Latin-1, meant as Windows-1252
        (b"\xe9", '"ISO-8859-1" ', "é"),
        (b"\xb0\xa1", "gb2312", "啊"),
        (b"\xff\x9d", "utf-8", "ÿ\ufffd"),
        (b"abc", "rot13", "abc"),  # a codec, but not a charset
        (b"+2AA-", "utf-7", "+2AA-"),  # half a surrogate pair
    ],
)
def test_bytes_are_decoded_by_the_declared_charset_or_the_likely_one(
    raw: bytes, charset: str, text: str
) -> None:
    assert words.decode_bytes(raw, charset) == text


@given(st.binary(max_size=100), st.text(max_size=20))
def test_any_bytes_in_any_charset_decode_to_encodable_text(raw: bytes, charset: str) -> None:
    text = words.decode_bytes(raw, charset)
    assert text.encode("utf-8").decode("utf-8") == text


@pytest.mark.parametrize(
    "character", ["\r", "\n", "\0", "\x7f", "\x85", "\u2028", "\u202e", "\ud800"]
)
def test_one_line_replaces_what_is_not_safe(character: str) -> None:
    assert words.one_line(f" a{character}b ") == "a b"


def test_text_that_a_reader_would_decode_is_recognised() -> None:
    assert words.looks_encoded("=?utf-8?q?a?=") and not words.looks_encoded("a = b?")
