"""What SEARCH and SORT read of a mail."""

from __future__ import annotations

from fakes.imap.subjects import Subject, decode_value
from tests.imap_messages import message

MAIL = message(
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_an?= alle\r\nTo: a@b\r\nto: c@d\r\n"
    b"Date: Mon, 2 Feb 2026 23:30:00 -0500\r\n"
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\nbefore\r\n"
    b"--x\r\nX-Part: one\r\nContent-Transfer-Encoding: base64\r\nContent-Type: text/plain;"
    b" charset=utf-8\r\n\r\nS8O2bG4=\r\n"
    b"--x\r\nContent-Type: text/plain; charset=latin-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nk=E4=\r\nse\r\n"
    b"--x\r\nContent-Type: application/pdf\r\n\r\nbinary\r\n"
    b"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: INNER\r\n\r\ninside\r\n--x--\r\nafter\r\n"
)


def test_headers_are_decoded_and_without_case() -> None:
    subject = Subject(MAIL)
    assert list(subject.header(b"subject")) == ["grüsse an alle"]
    assert list(subject.header(b"to")) == ["a@b", "c@d"]
    assert list(subject.header(b"none")) == []
    assert list(subject.header(b"")) == []
    assert decode_value(b" a\r\n\tb\tc") == "a b c"


def test_the_headers_of_parts_are_searched_too() -> None:
    headers = "\n".join(Subject(MAIL).headers)
    for text in ("subject: grüsse", "x-part: one", "subject: inner", "to: c@d"):
        assert text in headers


def test_bodies_are_decoded_texts() -> None:
    assert Subject(MAIL).bodies == ["köln", "käse", "inside"]


def test_a_body_that_cannot_be_decoded_is_searched_as_it_is() -> None:
    raw = b"Content-Transfer-Encoding: base64\r\n\r\nA"
    assert Subject(message(raw)).bodies == ["a"]


def test_the_date_is_that_of_the_sender() -> None:
    sent = Subject(MAIL).sent
    assert sent is not None and sent.day == Subject(MAIL).sent_day == 739649
    assert Subject(message(b"Date: ?\r\n\r\n")).sent_day == 0
