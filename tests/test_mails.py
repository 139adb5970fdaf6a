"""Mails as people and programs really send them, and what is right for each (tests/mails)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comms import bounces, replies
from comms.read import Mail, read

FOLDER = Path(__file__).parent / "mails"


def found(mail: Mail, what: str) -> Any:
    """Returns what a mail says about one of the columns of the table."""
    report = bounces.report(mail)
    values = {
        "text": mail.text.strip(),
        "subject": mail.subject,
        "sender": mail.sender.address if mail.sender else None,
        "names": [attachment.name for attachment in mail.attachments],
        "content": mail.attachments[0].content if mail.attachments else None,
        "unanswerable": bool(replies.unanswerable(mail)),
        "automatic reply": bool(replies.automatic_reply(mail)),
        "failed": [*report.failed] if report else [],
    }
    return values[what]


RIGHT: dict[str, dict[str, Any]] = {
    "a1-blank-text-part": {"text": "The real words"},
    "a2-unterminated-html": {"text": "The real words"},
    "a4-boundary-missing": {"text": "The real words"},
    "a5-boundary-never-comes": {"text": "The real words"},
    "a7-boundary-folded-inside": {"text": "The real words"},
    "a8-type-without-semicolon": {"text": "The real words"},
    "a11-head-ended-by-content": {"text": "The real words"},
    "a12-only-enriched": {"text": "The real words"},
    "b1-text-image-text": {"text": "Before the picture\nBehind the picture"},
    "c1-one-bad-octet-utf8": {"text": "Здравствуйте, принтер не работает�"},
    "c3-iso-2022-jp-nec": {"text": "①テスト"},
    "c5-windows-31j": {"text": "テスト"},
    "c7-x-gbk": {"text": "打印机"},
    "c9-bom": {"text": "Hello"},
    "c10-macjapanese-label": {"text": "テスト"},
    "d1-blanks-in-encoded-word": {"subject": "Café is / closed"},
    "d3-raw-subject-in-the-bodys-charset": {"subject": "Принтер сломан"},
    "d4-latin1-in-from-name": {"sender": "ann@customer.test"},
    "d6-name-equals-address": {"sender": "ann@customer.test"},
    "d8-blank-before-colon": {"subject": "Printer", "text": "The real words"},
    "d10-mbox-line-on-top": {"sender": "ann@customer.test", "subject": "Printer"},
    "e1-raw-utf8-filename": {"names": ["Größe.pdf"]},
    "e3-latin1-filename": {"names": ["Größe.pdf"]},
    "f1-cte-semicolon": {"text": "Café"},
    "f4-base64-forwarded-mail": {"content": b"Subject: inner\r\n\r\nHello\r\n"},
    "f5-forwarded-mail-refolded": {
        "content": b"X-Long: "
        + b" ".join([b"a" * 60, b"b" * 60, b"c" * 60])
        + b"\r\nSubject: inner\r\n\r\nHello"
    },
    "g1-table-cells": {"text": "Name Ann"},
    "g2-link-target": {"text": "See here (https://x.example/r?t=1)"},
    "h1-x-auto-response-suppress": {"unanswerable": True},
    "h3-do_not_reply": {"unanswerable": True},
    "h5-apple-vacation": {"unanswerable": True},
    "h8-feedback-id-of-a-person": {"unanswerable": False},
    "h7-old-bounce-no-null-path": {"unanswerable": True},
    "h9-null-path-under-gmails-own-received": {
        "automatic reply": True,
        "failed": ["one@customer.test"],
    },
    "f6-uuencoded-in-text": {"names": ["a.txt"], "text": "Here it is."},
    "m1-dsn-two-recipients-one-block": {"failed": ["one@customer.test", "two@customer.test"]},
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_real_mail_is_read_as_it_was_meant(name: str) -> None:
    mail = read((FOLDER / f"{name}.eml").read_bytes())
    assert {what: found(mail, what) for what in RIGHT[name]} == RIGHT[name]


def test_every_file_is_in_the_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.eml")} == {*RIGHT}
