"""Answers: which mails get one, to which address, with which headers; and delivery reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import replies
from comms.read import Mail, read

TRACE = (
    "Return-Path: <ann@x.example>\r\n"
    "X-Original-To: secret@us.test\r\n"
    "Delivered-To: us@us.test\r\n"
    "Received: from a by b; now\r\n"
)


def mail(more: str = "", sender: str = "Ann <ann@x.example>", trace: str = TRACE) -> Mail:
    header = f"From: {sender}\r\nSubject: hello\r\nMessage-ID: <1@x.example>\r\n{more}"
    return read(f"{trace}{header}\r\nbody\r\n".encode())


# ── what our own server has added ────────────────────────────────────────────


def test_fields_above_the_first_received_are_believed() -> None:
    assert replies.delivered_to(mail()) == ("secret@us.test", "us@us.test")
    assert replies.return_path(mail()) == "ann@x.example"


@pytest.mark.parametrize(
    "trace",
    [
        "Received: from a by b; now\r\nX-Original-To: secret@us.test\r\nReturn-Path: <>\r\n",
        "X-Original-To: secret@us.test\r\nReturn-Path: <>\r\n",  # no Received at all
    ],
)
def test_other_fields_of_the_same_names_are_not_believed(trace: str) -> None:
    assert replies.delivered_to(mail(trace=trace)) == ()
    assert replies.return_path(mail(trace=trace)) is None


@pytest.mark.parametrize(
    ("value", "path"),
    [("<>", ""), ("<a@b.c>", "a@b.c"), ("a@b.c", "a@b.c"), (" < > ", ""), ("<a> b", None)],
)
def test_a_return_path_is_parsed(value: str, path: str | None) -> None:
    trace = f"Return-Path: {value}\r\nReceived: from a by b; now\r\n"
    assert replies.return_path(mail(trace=trace)) == path


# ── may it be answered? ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "sender", "reason"),
    [
        ("Auto-Submitted: auto-replied\r\n", "a@x.y", "Auto-Submitted: auto-replied"),
        ("Auto-Submitted: Auto-Generated; x=y\r\n", "a@x.y", "Auto-Submitted: auto-generated"),
        ("Auto-Submitted: no (really)\r\n", "a@x.y", ""),
        ("Precedence: BULK\r\n", "a@x.y", "Precedence: bulk"),
        ("Precedence: first-class\r\n", "a@x.y", ""),
        ("List-Id: <x.y>\r\n", "a@x.y", "it was sent to many (List-Id)"),
        ("Feedback-ID: 1\r\n", "a@x.y", ""),  # webmail adds it to the mail of people
        ("X-Autoreply: yes\r\n", "a@x.y", "it has x-autoreply"),
        ("Content-Type: multipart/report; boundary=b\r\n", "a@x.y", "it is a report"),
        ("", "MAILER-DAEMON@x.y", "MAILER-DAEMON@x.y is not the address of a person"),
        ("", "no-reply+1@x.y", "no-reply+1@x.y is not the address of a person"),
        ("", "owner-list@x.y", "owner-list@x.y is not the address of a person"),
        ("", "list-request@x.y", "list-request@x.y is not the address of a person"),
        ("", "roota@x.y", ""),
        ("", "a@x.y", ""),
    ],
)
def test_mail_of_programs_is_recognised(more: str, sender: str, reason: str) -> None:
    assert replies.automatic(mail(more, sender)) == reason
    assert replies.unanswerable(mail(more, sender)) == reason


def test_a_null_sender_marks_an_automatic_reply() -> None:
    trace = TRACE.replace("<ann@x.example>", "<>")
    assert replies.automatic_reply(mail(trace=trace)) == "the envelope sender is null"
    assert replies.automatic_reply(mail("Auto-Submitted: auto-generated\r\n")) == ""


def test_mail_without_exactly_one_sender_is_not_answered() -> None:
    assert "exactly one From" in replies.unanswerable(mail(sender="a@x.y, b@x.y"))


@pytest.mark.parametrize(
    ("more", "own", "reason"),
    [
        ("", "ann@x.example", "it is our own"),
        ("", "ANN@x.example", "it is our own"),
        ("Reply-To: us@us.test\r\n", "us@us.test", "it is our own"),
        ("", "us@us.test", ""),
    ],
)
def test_our_own_mail_is_not_answered(more: str, own: str, reason: str) -> None:
    assert replies.unanswerable(mail(more), own=[own]) == reason


# ── answers ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "to"),
    [
        ("", "ann@x.example"),
        ("Reply-To: bob@x.example\r\n", "bob@x.example"),
        ("Reply-To: Bob <bob@x.example>\r\n", "bob@x.example"),
        ("Reply-To: a@x.y, b@x.y\r\n", "ann@x.example"),
        ("Reply-To: a@x.y\r\nReply-To: b@x.y\r\n", "ann@x.example"),
        ("Reply-To: nobody\r\n", "ann@x.example"),
        ("Reply-To:\r\n", "ann@x.example"),
    ],
)
def test_an_answer_goes_to_one_address(more: str, to: str) -> None:
    assert replies.reply_address(mail(more)) == to


def test_an_answer_is_in_the_thread_marked_as_automatic_and_quotes_nothing() -> None:
    asked = mail("References: <a@x.y> <b@x.y>\r\nDisposition-Notification-To: ann@x.example\r\n")
    answer = replies.reply(asked, "ann@x.example", "us@us.test", "Hi.\n")
    assert dict(answer.headers) == {
        "Auto-Submitted": "auto-replied",
        "In-Reply-To": "<1@x.example>",
        "References": "<a@x.y> <b@x.y> <1@x.example>",
    }
    assert answer.subject == "Re: hello" and answer.to == ["ann@x.example"]
    raw = answer.to_bytes()
    assert b"body" not in raw and b"Disposition" not in raw


def test_a_long_thread_is_cut() -> None:
    many = "References: " + " ".join(f"<{number}@x.y>" for number in range(500)) + "\r\n"
    answer = replies.reply(mail(many), "a@x.y", "us@us.test", "")
    references = dict(answer.headers)["References"].split()
    assert len(references) == 20 and references[-1] == "<1@x.example>"


def test_an_answer_to_a_mail_without_message_id_is_not_in_a_thread() -> None:
    answer = replies.reply(read(b"From: a@x.y\r\n\r\n"), "a@x.y", "us@us.test", "")
    assert answer.headers == [("Auto-Submitted", "auto-replied")]


def test_a_forwarded_mail_is_attached_unchanged() -> None:
    raw = b"From: a@x.y\r\nSubject: =?utf-8?q?=C3=A4?=\r\n\r\nbody\r\n"
    message = replies.forward(read(raw), "us@us.test", ["boss@us.test"], "See below.\n")
    assert message.subject == "Fwd: ä"
    assert [attachment.content for attachment in message.attachments] == [raw]
    assert read(message.to_bytes()).attachments[0].content.replace(b"\r\n", b"\n") == raw.replace(
        b"\r\n", b"\n"
    )


@pytest.mark.parametrize(
    ("subject", "base"),
    [
        ("Re: hello", "hello"),
        ("RE: re : Re[2]: hello", "hello"),
        ("AW: hello", "hello"),
        ("Reason: hello", "Reason: hello"),
        ("Re:", ""),
    ],
)
def test_the_base_subject_has_no_prefix(subject: str, base: str) -> None:
    assert replies.base_subject(subject) == base


@given(st.binary(max_size=300))
def test_any_bytes_can_be_asked_about(raw: bytes) -> None:
    found = read(raw)
    replies.bounce(found)
    why_not = replies.unanswerable(found, ["us@us.test"])
    if found.sender is None:
        assert why_not == "it does not have exactly one From with exactly one address"
    else:
        answer = replies.reply(found, found.sender.address, "us@us.test", "hi")
        assert ("Auto-Submitted", "auto-replied") in answer.headers


# ── delivery reports ─────────────────────────────────────────────────────────

REPORT = (
    "From: MAILER-DAEMON@mx.example\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
    "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; mx.example\r\nArrival-Date: now\r\n\r\n{groups}\r\n"
    "--b\r\nContent-Type: {kind}\r\n\r\nMessage-ID: <ours@us.test>\r\nSubject: x\r\n\r\n"
    "--b--\r\n"
)


def group(address: str, action: str, status: str, more: str = "") -> str:
    return (
        f"Original-Recipient: rfc822; {address}\r\nFinal-Recipient: rfc822; <{address}>\r\n"
        f"Action: {action}\r\nStatus: {status}\r\n{more}\r\n"
    )


def report(groups: str, kind: str = "message/rfc822") -> replies.Bounce | None:
    return replies.bounce(read(REPORT.format(groups=groups, kind=kind).encode()))


def test_the_action_of_each_recipient_decides() -> None:
    found = report(
        group("a@x.example", "failed", "4.2.2", "Diagnostic-Code: smtp; 452\r\n full\r\n")
        + group("b@x.example", "Delayed", "4.4.1")
        + group("c@x.example", "delivered", "2.0.0")
    )
    assert found is not None
    assert found.failed == ("a@x.example",), (
        "failed is final, whatever the status (RFC 3464 §2.3.3)"
    )
    assert [item.action for item in found.recipients] == ["failed", "delayed", "delivered"]
    first = found.recipients[0]
    assert (first.status, first.diagnostic) == ("4.2.2", "smtp; 452 full")


@pytest.mark.parametrize(
    "kind", ["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"]
)
def test_the_mail_that_a_report_is_about_is_found_in_each_form(kind: str) -> None:
    found = report(group("a@x.example", "failed", "5.1.1"), kind)
    assert found is not None and found.message_id == "<ours@us.test>"


EXIM = (
    b"Return-Path: <>\r\nReceived: from a by b; now\r\n"
    b"From: Mail Delivery System <Mailer-Daemon@mx.example>\r\n"
    b"X-Failed-Recipients: a@x.example, b@x.example\r\n\r\n"
    b"bounced\r\n\r\nMessage-ID: <ours@us.test>\r\n"
)
QMAIL = (
    b"Return-Path: <>\r\nReceived: from a by b; now\r\nFrom: MAILER-DAEMON@mx.example\r\n\r\n"
    b"Hi. This is the qmail-send program at mx.example.\r\n\r\n"
    b"<a@x.example>:\r\nSorry, no mailbox here.\r\n\r\n"
    b"--- Below this line is a copy of the message.\r\n\r\nMessage-ID: <ours@us.test>\r\n"
)


@pytest.mark.parametrize(
    ("raw", "failed"), [(EXIM, ("a@x.example", "b@x.example")), (QMAIL, ("a@x.example",))]
)
def test_reports_of_exim_and_qmail_are_read(raw: bytes, failed: tuple[str, ...]) -> None:
    found = replies.bounce(read(raw))
    assert found is not None
    assert (found.failed, found.message_id) == (failed, "<ours@us.test>")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"From: a@x.y\r\n\r\nHi. This is the lunch menu\r\n<a@x.example>:\r\n",
        b"Content-Type: multipart/report\r\n\r\n",
        b"Content-Type: multipart/report; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nAction\r\n",
    ],
)
def test_other_mail_is_not_a_report(raw: bytes) -> None:
    assert replies.bounce(read(raw)) is None
