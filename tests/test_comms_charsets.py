"""Charsets: whatever is declared, text comes out, and as much of it as possible."""

from __future__ import annotations

import encodings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.charsets import codec, decode

RUSSIAN = "Здравствуйте, принтер не работает"


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
        (b"abc", "punycode", "abc"),
        (b"a\\u0041", "unicode_escape", "a\\u0041"),
    ],
)
def test_bytes_are_decoded_by_the_declared_charset_or_the_likely_one(
    raw: bytes, charset: str, text: str
) -> None:
    assert decode(raw, charset) == text


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        (RUSSIAN.encode() + b"\xaa", "utf-8", RUSSIAN + "\ufffd"),
        (b"\xff" + RUSSIAN.encode(), "utf-8", "\ufffd" + RUSSIAN),
        (RUSSIAN.encode()[:-1], "utf-8", RUSSIAN[:-1] + "\ufffd"),  # cut in the last character
        (RUSSIAN.encode() + b"\xaa", "", RUSSIAN + "\ufffd"),
        ("打印机不能工作".encode("gbk") + b"\xff", "gb2312", "打印机不能工作\ufffd"),
        ("プリンター".encode("cp932") + b"\x83", "shift_jis", "プリンター\ufffd"),
        ("프린터가".encode("cp949") + b"\xff", "ks_c_5601-1987", "프린터가\ufffd"),
        ("εκτυπωτής".encode("cp1253") + b"\xaa", "windows-1253", "εκτυπωτής\ufffd"),
        (RUSSIAN.encode(), "windows-1253", RUSSIAN),  # valid UTF-8 under another label
        (RUSSIAN.encode(), "us-ascii", RUSSIAN),
        (b"caf\xe9", "utf-8", "café"),  # nothing of it is UTF-8
        (RUSSIAN.encode(), "unknown-8bit", RUSSIAN),  # says nothing, and so does the next one
        (RUSSIAN.encode(), "x-user-defined", RUSSIAN),
        (b"caf\xe9", "unknown-8bit", "café"),
        (RUSSIAN.encode("cp1251"), "cp-1251", RUSSIAN),
    ],
)
def test_a_charset_that_nearly_fits_is_used(raw: bytes, charset: str, text: str) -> None:
    assert decode(raw, charset) == text


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("windows-31j", "cp932"),
        ("x-sjis", "cp932"),
        ("csWindows31J", "cp932"),
        ("x-gbk", "gb18030"),
        ("GB_2312-80", "gb18030"),
        ("csGB2312", "gb18030"),
        ("x-x-big5", "big5hkscs"),
        ("cn-big5", "big5hkscs"),
        ("ks_c_5601-1989", "cp949"),
        ("iso-ir-149", "cp949"),
        ("unicode-1-1-utf-8", "utf-8"),
        ("x-unicode20utf8", "utf-8"),
        ("3Dutf-8", "utf-8"),
        ("UTF_8", "utf-8"),
        ("x-mac-cyrillic", "mac-cyrillic"),
        ("x-mac-ukrainian", "mac-cyrillic"),
        ("macintosh", "mac-roman"),
        ("iso-8859-8-i", "iso8859-8"),
        ("logical", "iso8859-8"),
        ("csISO88596E", "iso8859-6"),
        ("iso88592", "iso8859-2"),
        ("ISO_8859-5:1988", "iso8859-5"),
        ("l9", "iso8859-15"),
        ("x-cp1251", "cp1251"),
        ("cswindows1257", "cp1257"),
        ("Windows-01252", "cp1252"),
        ("dos-874", "cp874"),
        ("TIS-620", "cp874"),
        ("koi", "koi8-r"),
        ("koi8-ru", "koi8-u"),
        ("sun_eu_greek", "iso8859-7"),
        ("ibm00858", "cp858"),
        ("CCSID01140", "cp1140"),
        ("csUCS4", "utf-32"),
        ("unicodeFFFE", "utf-16-be"),
        ("hz-gb-2312", "hz"),
        ("x-euc-jp", "euc_jp"),
        ("x-none", ""),
        ("a\0b", ""),
        ("x" * 100_000, ""),
        ("idna", ""),
    ],
)
def test_labels_of_whatwg_iana_and_real_mail_are_known(label: str, name: str) -> None:
    assert codec(label) == name


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        (b"\x1b$B-!%F%9%H\x1b(B", "iso-2022-jp", "①テスト"),
        (b"\x1b$B-!%F%9%H\x1b(B", "", "①テスト"),
        (b"\x1b$B%F%9%H\x1b(B", "us-ascii", "テスト"),
        (b"\x1b$B%F%9%H\x1b(B", "utf-8", "テスト"),
        (b"\x1b$B%F%9%H\x1b(B", "iso-2022-jp-ms", "テスト"),
        (b"\x1b$B|b66\x1b(B", "iso-2022-jp", "髙橋"),
        (b"\x1b$@%F%9%H\x1b(J abc", "", "テスト abc"),
        (b"\x1b(IC=D\x1b(B", "", "ﾃｽﾄ"),
        (b"\x1b$B%F\x1b(B\r\nabc", "iso-2022-jp", "テ\r\nabc"),
        (b"\x1b$B%F\r\nabc", "iso-2022-jp", "テ\r\nabc"),  # the escape at the end is missing
        (b"\x1b$B%F\r\n%F%9\r\na b c", "iso-2022-jp", "テ\r\nテス\r\na b c"),
        (b"\x1b[1mbold\x1b[0m", "", "\x1b[1mbold\x1b[0m"),  # a terminal's escapes
        (b"\xad\xa1\xa5\xc6", "euc-jp", "①テ"),
        ("①髙".encode("cp932"), "shift_jis", "①髙"),
    ],
)
def test_japanese_is_read_with_the_characters_of_nec_and_ibm(
    raw: bytes, charset: str, text: str
) -> None:
    assert decode(raw, charset) == text


@pytest.mark.parametrize(
    ("raw", "charset"),
    [
        (b"\xef\xbb\xbfHello", "utf-8"),
        (b"\xef\xbb\xbfHello", ""),
        (b"\xef\xbb\xbfHello", "iso-8859-1"),
        (b"\xff\xfeH\0e\0l\0l\0o\0", "utf-16"),
        (b"\xff\xfeH\0e\0l\0l\0o\0", ""),
        (b"\xfe\xff\0H\0e\0l\0l\0o", "utf-8"),
        (b"H\0e\0l\0l\0o\0", "utf-16"),
        (b"\0H\0e\0l\0l\0o", "utf-16"),
        (b"Hello", "utf-16"),  # a server has encoded it again
        ("\ufeffHello".encode("utf-32"), "utf-32"),
        (b"+/v8-Hello", "utf-7"),
    ],
)
def test_byte_order_marks_are_heeded_and_removed(raw: bytes, charset: str) -> None:
    assert decode(raw, charset) == "Hello"


@given(st.binary(max_size=100), st.text(max_size=20) | st.sampled_from(["utf-7", "iso-2022-jp"]))
def test_any_bytes_in_any_charset_decode_to_encodable_text(raw: bytes, charset: str) -> None:
    text = decode(raw, charset)
    assert text.encode("utf-8").decode("utf-8") == text


def test_a_label_that_python_does_not_know_is_not_looked_for() -> None:
    before = len(encodings._cache)
    assert [codec(f"nosuch{number}") for number in range(100)] == [""] * 100
    assert len(encodings._cache) == before


@pytest.mark.parametrize(
    ("label", "name", "text"),
    [
        ("csShiftJIS", "cp932", "①髙テスト"),
        ("csISOLatin1", "cp1252", "“smart” €"),
        ("csISO58GB231280", "gb18030", "镕堃喆"),
    ],
)
def test_an_alias_with_cs_means_the_same_as_the_name(label: str, name: str, text: str) -> None:
    assert decode(text.encode(name), label) == decode(text.encode(name), label[2:]) == text
