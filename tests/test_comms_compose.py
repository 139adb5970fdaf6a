"""Mails: composed so that nothing can be smuggled in, read so that nothing can break the reader."""

from __future__ import annotations

import email
import email.policy
import re
import string
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import words
from comms.attachments import Attachment
from comms.compose import Message
from comms.read import read
from fakes.clock import Rehearsal
from fakes.host import Host


def message(**changes: object) -> Message:
    base: dict[str, object] = {
        "sender": "Jeremy <jeremy@yourco.test>",
        "to": ["ops@yourco.test"],
        "subject": "Hello",
        "text": "Hi\n",
    }
    return Message(**{**base, **changes})  # type: ignore[arg-type]


def of(octets: bytes) -> Message:
    """The message that these octets would be composed from."""
    mail = read(octets)
    assert mail.sender is not None
    own = {
        "from",
        "to",
        "cc",
        "reply-to",
        "subject",
        "date",
        "message-id",
        "mime-version",
        "content-type",
        "content-transfer-encoding",
    }
    return Message(
        str(mail.sender), [str(box) for box in mail.to], mail.subject, mail.text, mail.html, [str(box) for box in mail.cc], [],
        [str(box) for box in mail.reply_to], list(mail.attachments),
        [(name, words.decode(value)) for name, value in mail.headers if name.lower() not in own],
        mail.date.timestamp() if mail.date else None, mail.message_id,
    )  # fmt: skip


line = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=120
).map(str.strip)
text = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
    max_size=300,
).map(lambda text: text.rstrip("\n") + "\n")
boxes = st.sampled_from(
    [
        "a@b.test",
        "Ann <ann@b.test>",
        "Jürgen Groß <j@b.test>",
        '"Last, First" <l@b.test>',
        '"a b"@c.test',
    ]
)
names = (
    st.text(string.ascii_letters + "äß漢 -_", min_size=1, max_size=30)
    .map(str.strip)
    .filter(bool)
    .map(lambda name: name + ".bin")
)
headers = st.tuples(st.sampled_from(["X-Order", "X-Loop", "Auto-Submitted"]), line.filter(bool))
mails = st.builds(
    Message, boxes, st.lists(boxes, min_size=1, max_size=3), line, text, st.none() | text.map(lambda t: "<p>" + t),
    st.lists(boxes, max_size=2), st.just([]), st.lists(boxes, max_size=1),
    st.lists(st.builds(Attachment, names, st.binary(max_size=200)), max_size=3, unique_by=lambda one: one.name.casefold()),
    st.lists(headers, max_size=3), st.none() | st.integers(0, 2**32).map(float), st.sampled_from(["", "<a.b@c.test>"]),
)  # fmt: skip


@given(mails)
def test_what_is_composed_reads_back_the_same(mail: Message) -> None:
    octets = mail.to_bytes()
    assert of(octets) == mail
    assert octets == mail.to_bytes(), "no chance in it"


@given(mails)
def test_what_is_composed_is_seven_bit_lines_that_any_server_takes(mail: Message) -> None:
    octets = mail.to_bytes()
    assert octets.isascii()
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", octets)
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    head = octets.partition(b"\r\n\r\n")[0].split(b"\r\n")
    for header in head:
        assert len(header) <= 76 or b"=?" not in header, (
            "RFC 2047 §2: at most 76 characters where an encoded word is"
        )


@given(mails)
def test_the_standard_library_reads_what_we_compose(mail: Message) -> None:
    parsed = email.message_from_bytes(mail.to_bytes(), policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects and not [part.defects for part in parsed.walk() if part.defects]
    assert parsed.get_body(("plain",)) is not None
    assert len(list(parsed.iter_attachments())) == len(mail.attachments)


@pytest.mark.parametrize(("changes", "says"), [
    ({"subject": "Hi\r\nBcc: victim@evil.example"}, "subject: a line break"),
    ({"subject": "nul \0"}, "subject: a line break or NUL"),
    ({"sender": "a@b.test\nTo: c@d"}, "sender: a line break"),
    ({"sender": ""}, "sender: '' is not one address"),
    ({"sender": "a@b.test, c@d.test"}, "sender: .* is not one address"),
    ({"to": ["Apache"]}, "to: 'Apache' is not one address like"),
    ({"to": [], "cc": [], "bcc": []}, "to: nobody is given"),
    ({"headers": [("X-Bad", "a\r\nb")]}, "X-Bad: a line break"),
    ({"headers": [("X Bad", "a")]}, "cannot be a header's name"),
    ({"headers": [("Subject", "a")]}, "Subject is set by its own attribute"),
    ({"message_id": "x"}, "not of the form <unique@host>"),
    ({"attachments": [Attachment("a\nb", b"")]}, "attachments: a line break"),
])  # fmt: skip
def test_what_could_break_a_mail_is_refused_by_name(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        message(**changes).to_bytes()


def test_bcc_is_in_the_envelope_and_nowhere_else() -> None:
    mail = message(cc=["C <c@d.test>"], bcc=["secret@e.test", "ops@yourco.test"])
    assert mail.envelope() == (
        "jeremy@yourco.test",
        ["ops@yourco.test", "c@d.test", "secret@e.test"],
    )
    assert b"secret" not in mail.to_bytes()


def test_headers_can_be_added_set_got_and_removed() -> None:
    mail = message()
    mail.add_header("X-Order", "1")
    mail.add_header("x-order", "2")
    assert mail.get_header("X-ORDER") == ["1", "2"]
    mail.set_header("X-Order", "3")
    assert mail.get_header("x-order") == ["3"]
    mail.remove_header("X-Order")
    assert mail.get_header("x-order") == []


def test_a_stamp_is_the_clock_s_and_the_host_s() -> None:
    clock = Rehearsal()
    host = Host("web1.yourco.test", clock.time, lambda event: None)
    mail = message().stamped(clock, host)
    octets = mail.to_bytes()
    assert b"Date: Mon, 05 Jan 2026 00:00:00 +0000\r\n" in octets
    assert re.search(rb"Message-ID: <[a-z0-9]{20}@web1\.yourco\.test>\r\n", octets)
    assert mail.stamped(clock, host) == mail


def test_an_inline_picture_is_related_to_the_html_and_a_file_is_beside_it() -> None:
    mail = message(html='<img src="cid:logo">')
    mail.attach("logo.png", b"\x89PNG", content_id="logo")
    mail.attach("report.csv", b"a,b\n")
    parsed = email.message_from_bytes(mail.to_bytes(), policy=email.policy.default)
    kinds = [part.get_content_type() for part in parsed.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "text/csv",
    ]


def test_a_domain_beyond_ascii_is_written_in_ascii() -> None:
    assert message(to=["ops@bücher.test"]).envelope()[1] == ["ops@xn--bcher-kva.test"]
