"""Mails: composed so that nothing can be smuggled in, read so that nothing can break the reader."""

from __future__ import annotations

import email
import email.policy
import re
import string
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import words
from comms.message import Attachment, Message, html_to_text, read
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


line = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=120).map(str.strip)
text = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=300
).map(lambda text: text.rstrip("\n") + "\n")
boxes = st.sampled_from(
    ["a@b.test", "Ann <ann@b.test>", "Jürgen Groß <j@b.test>", '"Last, First" <l@b.test>', '"a b"@c.test']
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
        assert len(header) <= 76 or b"=?" not in header, "RFC 2047 §2: at most 76 characters where an encoded word is"


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
    assert mail.envelope() == ("jeremy@yourco.test", ["ops@yourco.test", "c@d.test", "secret@e.test"])
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


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


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


def test_html_alone_becomes_text() -> None:
    html = "<html><head><style>p{}</style></head><body><p>Hello&nbsp;<b>you</b></p><script>x</script><ul><li>one<li>two</ul>a<br>b</body>"
    assert html_to_text(html) == "Hello you\n\none\ntwo\na\nb\n"
    assert read(b"Content-Type: text/html\r\n\r\n<p>Restart</p>").text == "Restart\n"


def test_attachments_have_safe_names_each_its_own() -> None:
    mail = message()
    for name in ("../../etc/passwd", "C:\\temp\\a.txt", "a.txt", ".hidden", "a" * 300 + ".pdf", 'x"y<z>.txt'):
        mail.attachments.append(Attachment(name, b"x"))
    names = [one.name for one in read(mail.to_bytes()).attachments]
    assert names[:4] == ["passwd", "a.txt", "a (2).txt", "hidden"]
    assert len(names[4]) <= 150 and names[4].endswith(".pdf") and names[5] == "x_y_z_.txt"


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
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(50))
    assert read(nested + b"\r\ndeep\r\n").text.strip() == "deep"
    many = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        + b"--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n" * 10_000
        + b"--x--\r\n"
    )
    assert len(read(many).attachments) == 9_999


def test_a_tree_of_files_is_never_left(tmp_path: Path) -> None:
    for one in read(message(attachments=[Attachment("..", b"x"), Attachment("/", b"y")]).to_bytes()).attachments:
        (tmp_path / one.name).write_bytes(one.content)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part-1.bin", "part-2.bin"]
