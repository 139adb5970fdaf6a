"""A message as a value: what a test reads from it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from email.message import EmailMessage

import pytest

from fakes.mail import Envelope, Mail, Recipient

NO_ENVELOPE = Envelope("", ())


def signup_mail() -> Mail:
    message = EmailMessage()
    message["Subject"] = "Confirm"
    message["From"] = "Shöp <shop@shop.test>"
    message.set_content("Your code is 482913. See http://shop.test/a?b=1&c=2 today.")
    message.add_alternative(
        '<a href="https://shop.test/confirm?x=1&amp;y=2">here</a>', subtype="html"
    )
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="receipt-1.pdf")
    message.add_attachment(b"a,b", maintype="text", subtype="csv", filename="items.csv")
    return Mail(message.as_bytes(), NO_ENVELOPE)


def test_header_fields_and_text_are_decoded() -> None:
    mail = signup_mail()
    assert (mail.subject, mail.sender) == ("Confirm", "Shöp <shop@shop.test>")
    assert mail.text == "Your code is 482913. See http://shop.test/a?b=1&c=2 today.\n"


def test_a_mail_can_be_copied_and_sent_to_another_process() -> None:
    mail = Mail(signup_mail().raw, Envelope("shop@shop.test", (Recipient("ann@a.test"),)), 5.0, "q")
    assert mail.links() and mail.attachments  # what has been read does not go along
    for copied in (copy.deepcopy(mail), pickle.loads(pickle.dumps(mail))):
        assert (copied.raw, copied.at, copied.queue_id) == (mail.raw, 5.0, "q")
        assert copied.envelope == mail.envelope and copied.text == mail.text
    assert dataclasses.asdict(mail.envelope)["recipients"] == (
        {"address": "ann@a.test", "params": {}},
    )


def test_links_are_found_in_text_and_html() -> None:
    assert signup_mail().links() == [
        "http://shop.test/a?b=1&c=2",
        "https://shop.test/confirm?x=1&y=2",
    ]


def test_codes_are_separate_runs_of_four_to_eight_digits() -> None:
    assert signup_mail().codes() == ["482913"]
    text = b"\r\n1234 123 123456789 v1234 12345678. x.1234"
    assert Mail(text, NO_ENVELOPE).codes() == ["1234", "12345678"]


def test_an_attachment_is_found_by_the_pattern_of_its_name() -> None:
    assert signup_mail().attachment("receipt-*.pdf") == b"%PDF"


def test_a_pattern_that_fits_none_or_several_attachments_fails_and_names_all() -> None:
    for pattern, number in (("*.txt", 0), ("*", 2)):
        with pytest.raises(
            AssertionError,
            match=rf"but {number} match; the attachments are: receipt-1\.pdf, items\.csv",
        ):
            signup_mail().attachment(pattern)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\xff",
        b"Subject: =?utf-8?q?=ff=0d=0a?=\r\n\r\n\xff",
        b"Content-Type: text/plain; charset=no-such\r\n\r\n\xe9",
        b'Content-Type: multipart/mixed; boundary="\r\n\r\n--\r\n',
    ],
)
def test_any_bytes_are_a_mail_with_a_subject_and_a_text(raw: bytes) -> None:
    mail = Mail(raw, NO_ENVELOPE)
    assert isinstance(mail.subject, str) and isinstance(mail.text, str)
    assert repr(mail).startswith("<Mail")
    assert mail.links() == mail.codes() == []


def test_a_charset_that_is_none_does_not_matter() -> None:
    raw = b'Content-Type: text/plain; charset="\0"\r\n\r\n\xc3\xa9\r\n'
    assert Mail(raw, NO_ENVELOPE).text == "é\n"


def test_a_text_in_an_unknown_charset_is_read_as_latin_1() -> None:
    raw = b"Content-Type: text/plain; charset=no-such\r\n\r\n\xe9"
    assert Mail(raw, NO_ENVELOPE).text == "é"


def test_an_envelope_names_its_recipients_and_knows_whether_tls_was_used() -> None:
    recipients = (Recipient("bob@b.test"), Recipient("ops@b.test", {"NOTIFY": "NEVER"}))
    envelope = Envelope("a@b.test", recipients)
    assert envelope.to == ["bob@b.test", "ops@b.test"]
    tls = {name: Envelope("", (), protocol=name).tls for name in ("SMTP", "ESMTP", "ESMTPA")}
    assert not any(tls.values())
    assert Envelope("", (), protocol="ESMTPS").tls and Envelope("", (), protocol="ESMTPSA").tls


def test_repr_shows_envelope_and_subject() -> None:
    envelope = Envelope("a@b.test", (Recipient("c@d.test"), Recipient("e@f.test")))
    assert (
        repr(Mail(b"Subject: hi\r\n\r\n", envelope)) == "<Mail a@b.test → c@d.test, e@f.test: 'hi'>"
    )
    assert repr(Mail(b"", NO_ENVELOPE)) == "<Mail <> → : ''>"


# ── more of a mail ───────────────────────────────────────────────────────────


def test_the_header_is_read_by_name() -> None:
    raw = (
        b"From: =?utf-8?q?Z=C3=B6?= <z@x.test>\r\nTo: Ann <a@x.test>, b@x.test\r\nCC: c@x.test\r\n"
        b"Reply-To: d@x.test\r\nX-Tag: 1\r\nX-Tag: 2\r\n\r\n"
    )
    mail = Mail(raw, NO_ENVELOPE)
    assert (mail.to, mail.cc) == (["a@x.test", "b@x.test"], ["c@x.test"])
    assert mail.headers["reply-to"] == "d@x.test" and mail.headers.get_all("x-tag") == ["1", "2"]
    assert mail.sender == "Zö <z@x.test>"
    assert (Mail(b"", NO_ENVELOPE).to, Mail(b"", NO_ENVELOPE).cc) == ([], [])


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Hello <b>Ann</b>,</p><p>bye</p>", "Hello Ann,\n\nbye\n"),
        ("<style>p{color:red}</style><div>a</div><div>b</div>", "a\nb\n"),
        ("<table><tr><td>Total</td><td>5&nbsp;&euro;</td></tr></table>", "Total\t5 €\n"),
        ("<head><title>x</title></head><body>1 &lt; 2</body>", "1 < 2\n"),
        ("line one<br>line two", "line one\nline two\n"),
    ],
)
def test_the_text_of_a_mail_with_html_only_is_readable(html: str, text: str) -> None:
    raw = b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()
    mail = Mail(raw, NO_ENVELOPE)
    assert (mail.text, mail.html) == (text, html)


def test_a_blank_text_part_does_not_hide_the_html() -> None:
    message = EmailMessage()
    message.set_content("\n")
    message.add_alternative("<p>Hello</p>", subtype="html")
    mail = Mail(message.as_bytes(), NO_ENVELOPE)
    assert (mail.text, mail.html) == ("Hello\n", "<p>Hello</p>\n")


def with_files(*files: tuple[str, bytes]) -> Mail:
    message = EmailMessage()
    message.set_content("see the files")
    for name, content in files:
        message.add_attachment(
            content, maintype="application", subtype="octet-stream", filename=name or None
        )
    return Mail(message.as_bytes(), NO_ENVELOPE)


def test_several_attachments_of_one_name_are_an_error_that_lists_them() -> None:
    mail = with_files(("x.bin", b"1"), ("y.bin", b"2"), ("x.bin", b"3"))
    with pytest.raises(
        AssertionError,
        match=r"'x.bin', but 2 match; .* x.bin, y.bin, x.bin; mail.attachments has each of them",
    ):
        mail.attachment("x.bin")
    assert [one.content for one in mail.attachments] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("name", ["a[1].pdf", "[draft].txt", "100%?.csv", "Übersicht.pdf", "a b.c"])
def test_an_attachment_is_found_by_its_own_name(name: str) -> None:
    mail = with_files((name, b"1"), ("other", b"2"))
    assert mail.attachment(name) == b"1"
    assert repr(mail.attachments[0]) == f"<Attachment {name} application/octet-stream 1 bytes>"


def test_attachments_without_a_name_and_attached_messages_are_listed() -> None:
    inner = EmailMessage()
    inner["Subject"] = "inner " + "long " * 40
    inner.set_content("see https://inner.test/ code: 482913")
    message = EmailMessage()
    message.set_content("see the mail")
    message.add_attachment(b"1", maintype="image", subtype="png")
    message.add_attachment(inner)
    mail = Mail(message.as_bytes(), NO_ENVELOPE)
    assert [(one.name, one.type) for one in mail.attachments] == [
        ("", "image/png"),
        ("", "message/rfc822"),
    ]
    assert b"inner.test" in mail.attachments[1].content
    assert mail.links() == mail.codes() == [] and mail.text == "see the mail\n"


def test_the_name_of_an_attachment_in_raw_bytes_is_decoded() -> None:
    for raw in ("ü.pdf".encode(), b"\xfc.pdf", b"=?utf-8?q?=C3=BC.pdf?="):
        head = b'Content-Type: application/pdf; name="' + raw + b'"\r\n\r\n%PDF'
        assert Mail(head, NO_ENVELOPE).attachment("ü.pdf") == b"%PDF"


@pytest.mark.parametrize(
    "parameters",
    [
        "filename=Der B\u00e4r.pdf",
        "filename=Der B\u00e4r.pdf; size=4",
        "filename==?utf-8?q?Der_B=C3=A4r.pdf?=",
        "filename=\"Der Br.pdf\"; filename*=UTF-8''Der%20B%C3%A4r.pdf",
        "FILENAME*=\"iso-8859-1'de'Der%20B%E4r.pdf\"",
        "filename*=UTF-8''Der%20B\u00e4r.pdf",
        "filename*0*=UTF-8''Der%20B%C3; filename*1*=%A4r.pdf",
        'filename="Der B\u00e4r.pdf"',
    ],
)
def test_the_name_of_an_attachment_is_read_however_it_is_written(parameters: str) -> None:
    head = f"Content-Disposition: attachment; {parameters}\r\nContent-Type: application/pdf\r\n"
    assert [one.name for one in Mail(f"{head}\r\n%PDF".encode(), NO_ENVELOPE).attachments] == [
        "Der B\u00e4r.pdf"
    ]


def test_a_text_attachment_is_neither_text_nor_searched() -> None:
    message = EmailMessage()
    message.set_content("hello")
    message.add_attachment("code: 482913 https://x.test", filename="log.txt")
    mail = Mail(message.as_bytes(), NO_ENVELOPE)
    assert (mail.text, mail.links(), mail.codes()) == ("hello\n", [], [])


def test_endless_parameters_are_cut() -> None:
    raw = b'Content-Type: text/plain; x="' + b'"' * 1_000_000 + b'"; charset=utf-8\r\n\r\nhello\r\n'
    mail = Mail(raw, NO_ENVELOPE)
    assert mail.text == "hello\n"
    assert len(mail.message["Content-Type"]) <= 2048 < len(mail.headers["Content-Type"])


def test_a_field_that_cannot_be_parsed_counts_as_one_that_is_not_there() -> None:
    comments = "(" * 1000  # each is within the one before, and the email package is recursive
    for field in ("Content-Type", "Content-Disposition", "Content-Transfer-Encoding"):
        for value in (comments, f"text/plain; x={comments}"):
            mail = Mail(f"{field}: {value}\r\n\r\nhello\r\n".encode(), NO_ENVELOPE)
            assert (mail.text, mail.attachments) == ("hello\n", [])
            assert mail.as_dict()["text"] == "hello\n"


def test_an_endless_transfer_encoding_is_cut() -> None:
    raw = b"Content-Transfer-Encoding: " + b'"' * 20_000 + b"\r\n\r\nhello\r\n"
    mail = Mail(raw, NO_ENVELOPE)
    assert mail.text == "hello\n"
    name = "Content-Transfer-Encoding"
    assert len(mail.message[name]) <= 2048 < len(mail.headers[name])


def test_what_the_envelope_has_is_not_looked_for_in_the_mail() -> None:
    mail = Mail(b"Subject: hi\r\n\r\n", NO_ENVELOPE)
    for name, there in (("recipients", "to"), ("login", "login"), ("helo", "helo")):
        with pytest.raises(AttributeError, match=f"no '{name}'; write mail.envelope.{there}"):
            getattr(mail, name)
    with pytest.raises(AttributeError, match="'Mail' object has no attribute 'subjekt'"):
        getattr(mail, "subjekt")  # noqa: B009
