"""The header of a mail: fields by name, encoded words, addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.mail_header import Headers, decode_bytes, decode_words


def test_fields_are_found_by_name_in_any_case_and_are_unfolded() -> None:
    assert Headers(b"Subject: a\r\n\tb\r\n\r\n")["subject"] == "a b"
    headers = Headers(b"Subject: a\r\n b\r\nX-N: 1\r\nx-n: 2\r\njunk\r\nTo : c\r\n\r\nBody: no\r\n")
    assert headers["SUBJECT"] == "a b" and headers["to"] == "c"
    assert headers.get_all("X-N") == ["1", "2"] and headers.get_all("Body") == []
    assert list(headers) == ["Subject", "X-N", "To"] and len(headers) == 3
    assert "subject" in headers and "body" not in headers and headers.get("body") is None
    with pytest.raises(KeyError, match="no header Body; there are: Subject, X-N, To"):
        headers["Body"]


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?UTF-8?B?R3LDvMOfZQ==?= aus =?latin-1?q?K=F6ln?=", "Grüße aus Köln"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=\t=?utf-8?q?_c?= d", "ab c d"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),
        ("=?utf-8?b?R3LDvMOfZQ?=", "Grüße"),
        ("=?utf-8?q?a b?=", "a b"),
        ("=?no-such?q?=C3=BC?=", "ü"),
        ("=?punycode?q?=E9?=", "é"),
        ("=?utf-8*de?q?a?=", "a"),
        ("=?utf-8?x?a?= =?", "=?utf-8?x?a?= =?"),
        ("=?utf-8?q?=FF?=", "�"),
        ("=?iso-8859-1?q?=93a=94_=80?=", "“a” €"),  # meant as Windows-1252
        ("=?gb2312?b?w/Y=?= =?gb2312?b?6UY=?=", "闽镕"),
        ("=?Shift_JIS?b?h0A=?=", "①"),
    ],
)
def test_encoded_words_are_decoded(value: str, decoded: str) -> None:
    assert decode_words(value) == decoded


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("a@b.test", ["a@b.test"]),
        ("Ann <a@b.test>, Bob <c@d.test>", ["a@b.test", "c@d.test"]),
        ('"Ann, B." <a@b.test>', ["a@b.test"]),
        ("=?utf-8?q?A=2C?= <a@b.test>", ["a@b.test"]),
        ("a@b.test (Ann, at work)", ["a@b.test"]),
        ("a@b.test (Ann (at work), or not), c@d.test", ["a@b.test", "c@d.test"]),
        ("team: a@b.test, <c@d.test>;, e@f.test", ["a@b.test", "c@d.test", "e@f.test"]),
        ("undisclosed-recipients:;", []),
        ('"a b"@c.test', ['"a b"@c.test']),
        ("a@b.test <c@d.test>", ["c@d.test"]),
        ("", []),
        ("nobody", []),
    ],
)
def test_addresses_are_read_without_names_and_comments(value: str, addresses: list[str]) -> None:
    assert Headers(f"To: {value}\r\n\r\n".encode()).addresses("to") == addresses


def test_bytes_are_decoded_by_their_charset_else_as_utf_8_else_as_latin_1() -> None:
    assert decode_bytes(b"\xe9", "iso-8859-1") == decode_bytes("é".encode()) == "é"
    assert decode_bytes(b"\xe9", "us-ascii") == decode_bytes(b"\xe9", "hex") == "é"
    assert decode_bytes(b"a\xff", "utf-8") == "a�"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header(raw: bytes) -> None:
    headers = Headers(b"To: " + raw)
    assert all(isinstance(headers[name], str) for name in headers)
    assert isinstance(headers.addresses("to"), list)


@pytest.mark.slow
@pytest.mark.parametrize(
    "repeated", ["=?a?q?", "=?", '"', "(", "<", "\\", "a@", ",", ":", "=?a?b?x"]
)
def test_a_long_field_is_read_at_once(repeated: str) -> None:
    """There is no limit here: a megabyte would take hours if each part were searched to the end."""
    value = repeated * (1_000_000 // len(repeated))
    headers = Headers(b"To: " + value.encode())
    assert headers["to"] and isinstance(headers.addresses("to"), list)
