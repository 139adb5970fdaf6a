"""Reading: any bytes are a mail, and none of them can break the reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import header
from comms.read import read

# ── any bytes ────────────────────────────────────────────────────────────────


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_mail(raw: bytes) -> None:
    mail = read(raw)
    assert not set(mail.subject) & set("\r\n\0")
    assert isinstance(mail.text, str)


FRAGMENTS = [
    b"From: a@b.test\r\n",
    b"From: a@b.test <c@d.test>\r\n",
    b"Subject: =?utf-8?q?=0D=0ABcc:?=\r\n",
    b"Subject: =?x?b?%%%?= =?utf-8?b?w?=\r\n",
    b"Content-Type: multipart/mixed; boundary=x\r\n",
    b'Content-Type: text/plain; charset="uft-8"\r\n',
    b"\r\n",
    b"--x\r\n",
    b"--x--\r\n",
    b"Content-Type: text/html; charset=no-such\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: x\r\n",
    b"Content-Disposition: attachment; filename*=utf-8''..%2f..%2fetc\r\n",
    b"Content-Disposition: attachment; filename*0*=x''a; filename*1=b\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: message/delivery-status\r\n",
    b"Date: yesterday\r\n",
    b"<p>&#99999999;<![x",
    b"\xff\0",
    b"Content-Type: text/plain; charset*=a'b\r\n",
    b"References: <a@b> <c\r\n",
    b"Content-Type: ;;;\r\n",
    b" folded\r\n",
]


@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=10), max_size=30))
def test_any_fragments_of_mail_are_a_mail_with_safe_file_names(fragments: list[bytes]) -> None:
    for attachment in read(b"".join(fragments)).attachments:
        name = attachment.name
        assert name and not set(name) & set("/\\\r\n\0") and not name.startswith(".")


def test_a_charset_parameter_that_breaks_the_standard_library_is_survived() -> None:
    assert read(b"Content-Type: text/plain; charset*=a'b\r\n\r\n\xff").text == "ÿ"


@pytest.mark.slow
def test_fifty_levels_and_ten_thousand_parts_are_read() -> None:
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
        for level in range(50)
    )
    assert read(nested + b"\r\ndeep\r\n").text.strip() == "deep"
    many = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        + b"--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n" * 10_000
        + b"--x--\r\n"
    )
    assert read(many).text == "\n".join(["hi"] * 10_000)


def test_a_header_that_is_too_long_is_a_defect_and_the_mail_is_no_command() -> None:
    filler = b"X-Filler: x\r\n" * 30_000
    mail = read(b"From: a@b.test\r\n" + filler + b"From: c@d.test\r\n\r\nHello\r\n")
    assert mail.sender is not None and mail.text == "Hello\n"
    assert header.TOO_LONG in mail.defects and not mail.is_strict


# ── headers ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("head", "sender"),
    [
        ("From: Jeremy <jeremy@yourco.test>", "jeremy@yourco.test"),
        ("From: jeremy@yourco.test", "jeremy@yourco.test"),
        ("From:\r\n =?utf-8?q?J=C3=A9r=C3=A9my?=\r\n <jeremy@yourco.test>", "jeremy@yourco.test"),
        ("From : jeremy@yourco.test", "jeremy@yourco.test"),
        ("From: jeremy@yourco.test\r\nFrom: bob@evil.example", None),
        ("From: jeremy@yourco.test <bob@evil.example>", None),
        ("From: jeremy@yourco.test, bob@evil.example", None),
        ("From: jeremy@yourco.test)<bob@evil.example>", None),
        ("From: admins: jeremy@yourco.test;", None),
        ("From: ", None),
        ("To: jeremy@yourco.test", None),
        ("Subject: x\r\n\r\nFrom: jeremy@yourco.test", None),
    ],
)
def test_a_sender_needs_exactly_one_from_with_exactly_one_valid_address(
    head: str, sender: str | None
) -> None:
    mail = read(f"{head}\r\n\r\n".encode())
    assert (mail.sender.address if mail.sender else None) == sender


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        ("Restart\r\n MySQL", "Restart MySQL"),
        ("=?utf-8?q?Restart_MySQL?=", "Restart MySQL"),
        ("=?utf-8?b?UmVzdA==?=\r\n =?utf-8?b?YXJ0?=", "Restart"),
        ("=?utf-8?b?ww==?= =?utf-8?b?pA==?=", "ä"),
        ("=?utf-8?q?a=0D=0ABcc:_x?=", "a  Bcc: x"),
        ("=?iso-8859-1?q?=E9?= and =?windows-874?q?=A1?=", "é and ก"),
        ("plain \u202e reversed", "plain   reversed"),
        ("=?uft-8?q?=C3=A9?=", "é"),
        ("=?no-such?q?=E9?=", "é"),
    ],
)
def test_a_subject_is_one_decoded_line_that_is_safe_to_print(raw: str, subject: str) -> None:
    assert read(f"Subject: {raw}\r\n\r\n".encode()).subject == subject


def test_a_sender_with_bytes_that_are_not_utf_8_is_none() -> None:
    # It could be neither stored nor written into an answer.
    mail = read(b'From: "\xff"@x.example\r\nTo: "\xff"@x.example\r\n\r\n')
    assert mail.sender is None and mail.to == () and not mail.is_strict


def test_repeated_headers_and_invalid_addresses_are_defects() -> None:
    mail = read(b"From: a@b.test\r\nFrom: c@d.test\r\nTo: nobody\r\nTo: e@f.test\r\n\r\n")
    assert [address.address for address in mail.to] == ["e@f.test"]
    assert [defect.partition(" ")[0] for defect in mail.defects] == ["more", "To:"]


def test_get_all_and_get_ignore_case() -> None:
    mail = read(b"X-Order: 1\r\nx-order: 2\r\n\r\n")
    assert mail.get_all("X-ORDER") == ["1", "2"]
    assert mail.get("X-ORDER") == "1" and mail.get("X-Loop") == ""


# ── contents ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("utf-8", b"\xc3\xa9", "é"),
        ("uft-8", b"\xc3\xa9", "é"),
        ("1", b"\xe9", "é"),
        ("", b"\xe9", "é"),
        ("iso-8859-8-i", b"\xe0", "א"),
        ("koi8-r", b"\xc1", "а"),
        ("gb2312", b"\xb0\xa1", "啊"),
        ("utf-8", b"\xff\x9d", "ÿ\ufffd"),
        ("rot13", b"abc", "abc"),
    ],
)
def test_text_in_a_wrongly_declared_charset_is_decoded(charset: str, raw: bytes, text: str) -> None:
    head = f'Content-Type: text/plain; charset="{charset}"\r\n\r\n'
    assert read(head.encode() + raw).text == text


def test_html_without_plain_text_is_read_as_text() -> None:
    mail = read(b"Content-Type: text/html\r\n\r\n<p>Restart</p>")
    assert (mail.text, mail.html) == ("Restart\n", "<p>Restart</p>")


@pytest.mark.parametrize(
    ("label", "head"),
    [
        ("", '<meta charset="koi8-r">'),
        (
            "; charset=us-ascii",
            "<meta http-equiv=Content-Type content='text/html; charset=koi8-r'>",
        ),
        ("; charset=unknown-8bit", "<META CHARSET=koi8-r>"),
        ("", '<?xml version="1.0" encoding="koi8-r"?>'),
        ("; charset=koi8-r", '<meta charset="utf-8">'),
    ],
)
def test_html_says_its_charset_where_the_part_does_not(label: str, head: str) -> None:
    raw = f"Content-Type: text/html{label}\r\n\r\n{head}<p>".encode() + "Да".encode("koi8-r")
    assert read(raw).text == "Да\n"


def test_a_forwarded_mail_is_one_attachment() -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        b"--x\r\n\r\nsee below\r\n"
        b"--x\r\nContent-Type: message/rfc822\r\n\r\n"
        b"From: x@y.test\r\nSubject: inner\r\n\r\nquoted\r\n"
        b"\r\n--x--\r\n"
    )
    mail = read(raw)
    assert mail.text.strip() == "see below"
    assert [attachment.type for attachment in mail.attachments] == ["message/rfc822"]
    assert b"Subject: inner" in mail.attachments[0].content
