"""Transfer encodings, as programs write them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.encodings import BASE64, IDENTITY, QUOTED_PRINTABLE, UUENCODE, decode, named
from comms.encodings import uuencoded_files as files


@pytest.mark.parametrize(
    ("field", "encoding"),
    [
        ("quoted-printable;", QUOTED_PRINTABLE),
        ('"quoted-printable"', QUOTED_PRINTABLE),
        ("Quoted_Printable", QUOTED_PRINTABLE),
        ("(as always) base64", BASE64),
        ("BASE64 (really)", BASE64),
        ("base64; charset=x", BASE64),
        ("'base64'", BASE64),
        ("base 64", IDENTITY),
        ("x-uue", UUENCODE),
        ("uuencode", UUENCODE),
        ("7bit;", IDENTITY),
        ("", IDENTITY),
    ],
)
def test_an_encoding_is_known_whatever_is_around_its_name(field: str, encoding: str) -> None:
    assert named(field) == encoding


@pytest.mark.parametrize(
    ("content", "decoded"),
    [
        (b"SGVsbG8=", b"Hello"),
        (b"SGVsbG8=V29ybGQ=", b"HelloWorld"),  # joined after encoding
        (b"SGVsbG8=\r\nV29ybGQ=\r\n", b"HelloWorld"),
        (b"SGVsbG8", b"Hello"),  # without padding
        (b"SGVs\r\n!bG8=", b"Hello"),
        (b"SGVsbG8==\r\n-- \r\nAnn's list\r\n", b"Hello"),  # a footer of a list
        (b"SGVsbG8gV", b"Hello "),  # one character too many
        (b"Please help me, it is on fire.", b"Please help me, it is on fire."),
        (b"=====", b""),
    ],
)
def test_base64_is_read_leniently(content: bytes, decoded: bytes) -> None:
    assert decode(content, BASE64) == decoded


@pytest.mark.parametrize(
    ("content", "decoded"),
    [
        (b"Caf=C3=A9", b"Caf\xc3\xa9"),
        (b"Caf=c3=a9", b"Caf\xc3\xa9"),
        (b"a=\r\nb", b"ab"),
        (b"a= \t\r\nb", b"ab"),
        (b"a  \r\nb", b"a\r\nb"),
        (b"1 = 2", b"1 = 2"),
        (b"end=", b"end"),
    ],
)
def test_quoted_printable_is_read_leniently(content: bytes, decoded: bytes) -> None:
    assert decode(content, QUOTED_PRINTABLE) == decoded


UU = b"begin 644 a.txt\r\n%2&5L;&\\\r\n`\r\nend\r\n"


@pytest.mark.parametrize(
    ("text", "kept", "found"),
    [
        (b"Here.\r\n" + UU + b"Bye.", b"Here.\r\nBye.", [(b"a.txt", b"Hello")]),
        (UU + UU, b"", [(b"a.txt", b"Hello")] * 2),
        (UU.replace(b"\r\n", b"\n"), b"", [(b"a.txt", b"Hello")]),
        (UU.replace(b"`\r\n", b""), b"", [(b"a.txt", b"Hello")]),
        (UU.replace(b"\\\r\n", b"\\*\r\n"), b"", [(b"a.txt", b"Hello")]),  # any filler
        (UU.replace(b"a.txt", b"my file.txt "), b"", [(b"my file.txt", b"Hello")]),
        (UU.replace(b"end", b""), UU.replace(b"end", b""), []),  # not complete
        (b"begin 644 the work\r\nsoon\r\nend\r\n", b"begin 644 the work\r\nsoon\r\nend\r\n", []),
        (b"In the begin 644 x\r\nend", b"In the begin 644 x\r\nend", []),
    ],
)
def test_uuencoded_files_are_taken_out_of_a_text(
    text: bytes, kept: bytes, found: list[tuple[bytes, bytes]]
) -> None:
    rest, taken = files(text)
    assert (rest, [(file.name, file.content) for file in taken]) == (kept, found)


def test_a_uuencoded_part_is_its_file() -> None:
    assert decode(UU, UUENCODE) == b"Hello" and decode(b"none", UUENCODE) == b"none"


@given(st.binary(max_size=200), st.sampled_from([BASE64, QUOTED_PRINTABLE, UUENCODE, IDENTITY]))
def test_any_content_can_be_decoded(content: bytes, encoding: str) -> None:
    assert isinstance(decode(content, encoding), bytes)


def test_a_soft_line_break_may_be_a_carriage_return_only() -> None:
    assert decode(b"a=\rb\rc\r\nd=\r\ne", QUOTED_PRINTABLE) == b"ab\rc\r\nde"


@pytest.mark.parametrize("size", [120, 121, 122])
@pytest.mark.parametrize("gap", [b"\r\n\r\n", b"\n\n", b"\r\n \r\n"])
def test_a_footer_after_base64_is_left_out_with_padding_and_without(size: int, gap: bytes) -> None:
    content = bytes(range(size))
    encoded = base64.encodebytes(content).strip()
    footer = b"-- \r\nTo unsubscribe, write to the list\r\n"
    assert decode(encoded + gap + footer, BASE64) == content
    assert decode(encoded.replace(b"\n", b"\r\n\r\n"), BASE64) == content


def test_comments_may_be_in_comments() -> None:
    assert named("(a (b) c) quoted-printable") == QUOTED_PRINTABLE
