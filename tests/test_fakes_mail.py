"""A message as a value: what a test reads from it."""

from __future__ import annotations

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
