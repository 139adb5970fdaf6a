"""Composing: nothing can be smuggled into a mail, and every reader gets back what was written."""

from __future__ import annotations

import dataclasses
import email
import email.policy
import re
import string
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import words
from comms.addresses import Address
from comms.attachments import Attachment
from comms.compose import Message
from comms.read import read
from fakes.clock import Rehearsal
from tests.scripted import RecordingHost


def message(**changes: object) -> Message:
    attributes: dict[str, object] = {
        "sender": "Jeremy <jeremy@yourco.test>",
        "to": ["ops@yourco.test"],
        "subject": "Hello",
        "text": "Hi\n",
    }
    return Message(**{**attributes, **changes})  # type: ignore[arg-type]


def message_from(raw: bytes) -> Message:
    """Returns the message that would be composed into these bytes."""
    mail = read(raw)
    assert mail.sender is not None
    have_an_attribute = (
        "from to cc reply-to subject date message-id mime-version content-type "
        "content-transfer-encoding".split()
    )
    return Message(
        sender=str(mail.sender),
        to=[str(address) for address in mail.to],
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        cc=[str(address) for address in mail.cc],
        reply_to=[str(address) for address in mail.reply_to],
        attachments=list(mail.attachments),
        headers=[
            (name, words.decode(value))
            for name, value in mail.headers
            if name.lower() not in have_an_attribute
        ],
        date=mail.date.timestamp() if mail.date else None,
        message_id=mail.message_id,
    )


# ── any message ──────────────────────────────────────────────────────────────


lines = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=120).map(
    str.strip
)
texts = st.text(
    st.characters(
        exclude_categories=["Cs"], exclude_characters="\r\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
    ),
    max_size=300,
).map(lambda text: text.rstrip("\n") + "\n")
addresses = st.sampled_from(
    [
        "a@b.test",
        "Ann <ann@b.test>",
        "Jürgen Groß <j@b.test>",
        '"Last, First" <l@b.test>',
        '"a b"@c.test',
    ]
)
file_names = (
    st.text(string.ascii_letters + "äß漢 -_", min_size=1, max_size=30)
    .map(str.strip)
    .filter(bool)
    .map(lambda name: name + ".bin")
)
attachments = st.builds(Attachment, file_names, st.binary(max_size=200))
headers = st.tuples(st.sampled_from(["X-Order", "X-Loop", "Auto-Submitted"]), lines.filter(bool))
messages = st.builds(
    Message,
    sender=addresses,
    to=st.lists(addresses, min_size=1, max_size=3),
    subject=lines,
    text=texts,
    html=st.none() | texts.map(lambda text: "<p>" + text),
    cc=st.lists(addresses, max_size=2),
    reply_to=st.lists(addresses, max_size=1),
    attachments=st.lists(attachments, max_size=3, unique_by=lambda file: file.name.casefold()),
    headers=st.lists(headers, max_size=3),
    date=st.none() | st.integers(0, 2**32).map(float),
    message_id=st.sampled_from(["", "<a.b@c.test>"]),
)


@given(messages)
def test_a_composed_mail_reads_back_the_same(mail: Message) -> None:
    raw = mail.to_bytes()
    again = message_from(raw)
    # Where the text is blank, a reader sees the HTML or the attached mail instead.
    text = mail.text if (mail.text or "").isspace() else again.text
    assert dataclasses.replace(again, text=text) == mail
    assert raw == mail.to_bytes(), "nothing about it is random"


@given(messages)
def test_a_composed_mail_consists_of_seven_bit_lines_that_any_server_accepts(mail: Message) -> None:
    raw = mail.to_bytes()
    assert raw.isascii()
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    for line in raw.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        assert len(line) <= 76 or b"=?" not in line, "the limit of RFC 2047 §2 for encoded words"


@given(messages)
def test_the_standard_library_reads_a_composed_mail_without_defects(mail: Message) -> None:
    parsed = email.message_from_bytes(mail.to_bytes(), policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    assert not [part.defects for part in parsed.walk() if part.defects]
    assert parsed.get_body(("plain",)) is not None
    assert len(list(parsed.iter_attachments())) == len(mail.attachments)


# ── what is refused ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"subject": "Hi\r\nBcc: victim@evil.example"}, "subject: .* contains a line break or NUL"),
        ({"subject": "nul \0"}, "subject: .* contains a line break or NUL"),
        ({"sender": "a@b.test\nTo: c@d"}, "sender: .* contains a line break"),
        ({"sender": ""}, "sender: '' is not one address; write one like"),
        ({"sender": "a@b.test, c@d.test"}, "sender: .* is not one address"),
        ({"to": ["Apache"]}, "to: 'Apache' is not one address"),
        ({"to": ["a@" + "ä" * 70]}, "to: the domain of .* cannot be encoded in ASCII"),
        ({"to": ["a@b，c＠d.test"]}, "to: the domain of .* cannot be encoded"),
        ({"to": ["a@b＞，＜c＠d.test"]}, "to: the domain of .* cannot be encoded"),
        ({"to": ["a@b\u3000c.test"]}, "to: the domain of .* cannot be encoded"),
        ({"to": ["a@straße.test"]}, "to: the domain of .* cannot be encoded"),
        ({"to": []}, "to: no recipients; give at least one address in to, cc or bcc"),
        ({"headers": [("X-Bad", "a\r\nb")]}, "X-Bad: .* contains a line break"),
        ({"headers": [("X Bad", "a")]}, "headers: 'X Bad' is not a header name"),
        ({"headers": [("Subject", "a")]}, "headers: Subject has an attribute"),
        ({"message_id": "x"}, "message_id: 'x' is not a Message-ID; write <unique@host>"),
        ({"date": float("nan")}, "date: nan is not a time that a header can show; write seconds"),
        ({"date": 1e12}, "date: 1000000000000.0 is not a time"),
        ({"attachments": [Attachment("a\nb", b"")]}, "attachments: .* contains a line break"),
    ],
)
def test_what_could_break_a_mail_is_an_error_that_names_the_attribute(
    changes: dict[str, object], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        message(**changes).to_bytes()


# ── attributes ───────────────────────────────────────────────────────────────


def test_bcc_is_in_the_envelope_only() -> None:
    mail = message(cc=["C <c@d.test>"], bcc=["secret@e.test", "ops@yourco.test"])
    recipients = ["ops@yourco.test", "c@d.test", "secret@e.test"]
    assert mail.envelope() == ("jeremy@yourco.test", recipients), "each recipient once"
    assert b"secret" not in mail.to_bytes()


def test_headers_can_be_added_set_read_and_removed() -> None:
    mail = message()
    mail.add_header("X-Order", "1")
    mail.add_header("x-order", "2")
    assert mail.get_header("X-ORDER") == ["1", "2"]
    mail.set_header("X-Order", "3")
    assert mail.get_header("x-order") == ["3"]
    mail.remove_header("X-Order")
    assert mail.get_header("x-order") == []


def test_a_stamp_takes_the_date_from_the_clock_and_the_id_from_the_host() -> None:
    clock, host = Rehearsal(), RecordingHost()
    mail = message().stamped(clock, host)
    raw = mail.to_bytes()
    assert b"Date: Mon, 05 Jan 2026 00:00:00 +0000\r\n" in raw
    assert re.search(rb"Message-ID: <[a-z0-9]{20}@host\.example\.test>\r\n", raw)
    assert mail.stamped(clock, host) == mail, "what is there already stays"


def test_an_inline_image_is_related_to_the_html_and_a_file_is_attached() -> None:
    mail = message(html='<img src="cid:logo">')
    mail.attach("logo.png", b"\x89PNG", content_id="logo")
    mail.attach("report.csv", b"a,b\n")
    parsed = email.message_from_bytes(mail.to_bytes(), policy=email.policy.default)
    assert [part.get_content_type() for part in parsed.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "text/csv",
    ]


@pytest.mark.parametrize(
    ("type", "content", "becomes"),
    [
        ("message/rfc822", b"Subject: x\r\nMIME-Version: 1.0\r\n\r\n.\r\nFrom y", "message/rfc822"),
        ("message/rfc822", b"", "message/rfc822"),
        ("message/rfc822", b"Subject: x\r\n\r\nGr\xfc\xdfe\r\n", "application/octet-stream"),
        ("message/rfc822", b"no header\rat all \0", "application/octet-stream"),
        ("message/rfc822", b"x" * 999, "application/octet-stream"),
        ("message/delivery-status", b"Action: failed\r\n", "application/octet-stream"),
        ("multipart/mixed", b"x" * 2000, "application/octet-stream"),
    ],
)
def test_what_must_not_be_encoded_arrives_byte_for_byte(
    type: str, content: bytes, becomes: str
) -> None:
    raw = message(attachments=[Attachment("a.eml", content, type)]).to_bytes()
    assert raw.isascii() and max(map(len, raw.split(b"\r\n"))) <= 998
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw)
    assert read(raw).attachments == (Attachment("a.eml", content, becomes),)


def test_what_no_mail_may_have_is_replaced() -> None:
    mail = message(text="a\0b\ud800", html="a\0b")
    mail.attach("\ud800.bin", b"\0")
    again = read(mail.to_bytes())
    assert (again.text, again.html) == ("a\ufffdb?\n", "a\ufffdb\n")
    assert again.attachments == (Attachment("_.bin", b"\0"),), "safe_name makes ? a _"


def test_a_domain_that_is_not_ascii_is_encoded_by_idna() -> None:
    assert message(to=["ops@bücher.test"]).envelope()[1] == ["ops@xn--bcher-kva.test"]


@pytest.mark.parametrize("name", ["x" * 2000, '"' * 600, f"{'x' * 990} y"])
def test_a_name_without_spaces_makes_no_line_that_is_too_long(name: str) -> None:
    sender = Address(name, "a@b.test")
    raw = message(sender=str(sender)).to_bytes()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert read(raw).sender == sender
