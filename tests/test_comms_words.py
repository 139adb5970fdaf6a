"""Encoded words and charsets: always text, one safe line, never an exception."""

from __future__ import annotations

import email.header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import words

encodable = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


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
        (b"=?utf-8?Q?Caf=C3=A9 is / closed?=", "", "Café is / closed"),
        ("=?utf-8?Q?Café?=".encode(), "", "Café"),  # raw bytes within a word
        (b"=?iso-8859-1?Q?Caf\xe9 x?=", "", "Café x"),
        (b"=?utf-8?b?Q2Fmw?= =?utf-8?b?6k=?=", "", "Café"),  # four base64 characters are split
        (b"=?utf-8?b?YQ?= =?utf-8?b?Yg==?=", "", "ab"),  # the padding is missing
        (b"=?utf-8?b?YQ==Yg==?=", "", "ab"),
        (b"=?utf-8?b?Q2Fm w6k=?=", "", "Café"),
        (b"=?utf-8?q?=F0=9F?= =?utf-8?q?=98=80?=", "", "😀"),
        (b"(=?utf-8?q?a?=)=?utf-8?q?b?=", "", "(a)b"),
        (b"=?utf-8?q?a =?utf-8?q?b?=", "", "=?utf-8?q?a b"),  # the first one is not closed
        (b"=?iso-2022-jp?b?GyRCLSElRiU5JUgbKEI=?=", "", "①テスト"),
        (b"=?windows-31j?b?g2WDWINn?=", "", "テスト"),
        ("Принтер".encode("koi8-r"), "koi8-r", "Принтер"),
        ("Принтер".encode(), "koi8-r", "Принтер"),  # valid UTF-8
        (b"\x1b$B%F%9%H\x1b(B", "", "テスト"),
        (b"Caf\xe9", "", "Café"),
    ],
)
def test_headers_that_are_not_as_rfc_2047_wants_them_are_decoded(
    raw: bytes, charset: str, text: str
) -> None:
    assert words.decode(raw.decode("utf-8", "surrogateescape"), charset) == text


@pytest.mark.parametrize(
    "character", ["\r", "\n", "\0", "\x7f", "\x85", "\u2028", "\u202e", "\ud800"]
)
def test_one_line_replaces_what_is_not_safe(character: str) -> None:
    assert words.one_line(f" a{character}b ") == "a b"


def test_text_that_a_reader_would_decode_is_recognised() -> None:
    assert words.looks_encoded("=?utf-8?q?a?=") and not words.looks_encoded("a = b?")
