"""May it be answered, to whom, with which headers; and what a delivery report says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import replies
from comms.read import Mail, read

TRACE = "Return-Path: <ann@x.example>\r\nX-Original-To: secret@us.test\r\nDelivered-To: us@us.test\r\nReceived: from a by b; now\r\n"


def mail(more: str = "", sender: str = "Ann <ann@x.example>", trace: str = TRACE) -> Mail:
    return read(
        f"{trace}From: {sender}\r\nSubject: hello\r\nMessage-ID: <1@x.example>\r\n{more}\r\nbody\r\n".encode()
    )


# ── what the server put on top ───────────────────────────────────────────────


def test_only_what_stands_above_the_first_received_is_the_server_s() -> None:
    assert replies.delivered_to(mail()) == ("secret@us.test", "us@us.test")
    assert replies.return_path(mail()) == "ann@x.example"
    forged = "Received: from a by b; now\r\nX-Original-To: secret@us.test\r\nReturn-Path: <>\r\n"
    assert (
        replies.delivered_to(mail(trace=forged)) == ()
        and replies.return_path(mail(trace=forged)) is None
    )
    nothing = "X-Original-To: secret@us.test\r\nReturn-Path: <>\r\n"
    assert replies.delivered_to(mail(trace=nothing)) == (), (
        "without a Received no server of ours has seen it"
    )


@pytest.mark.parametrize(
    ("value", "path"),
    [("<>", ""), ("<a@b.c>", "a@b.c"), ("a@b.c", "a@b.c"), (" < > ", ""), ("<a> b", None)],
)
def test_return_path_is_read(value: str, path: str | None) -> None:
    assert (
        replies.return_path(mail(trace=f"Return-Path: {value}\r\nReceived: from a by b; now\r\n"))
        == path
    )


# ── to whom, and how ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(("more", "to"), [
    ("", "ann@x.example"), ("Reply-To: bob@x.example\r\n", "bob@x.example"), ("Reply-To: a@x.y, b@x.y\r\n", "ann@x.example"),
    ("Reply-To: nobody\r\n", "ann@x.example"), ("Reply-To: a@x.y\r\nReply-To: b@x.y\r\n", "ann@x.example"),
    ("Reply-To:\r\n", "ann@x.example"), ("Reply-To: Bob <bob@x.example>\r\n", "bob@x.example"),
])  # fmt: skip
def test_an_answer_has_one_recipient(more: str, to: str) -> None:
    assert replies.reply_address(mail(more)) == to


def test_a_mail_from_nobody_or_from_us_is_not_answered() -> None:
    assert "exactly one From" in replies.unanswerable(mail(sender="a@x.y, b@x.y"))
    assert replies.unanswerable(mail(), own=["ann@x.example"]) == "it is our own"
    assert replies.unanswerable(mail(), own=["ANN@x.example"]) == "it is our own"
    assert (
        replies.unanswerable(mail("Reply-To: us@us.test\r\n"), own=["us@us.test"])
        == "it is our own"
    )
    assert replies.unanswerable(mail(), own=["us@us.test"]) == ""


def test_an_answer_is_threaded_marked_and_repeats_nothing() -> None:
    answer = replies.reply(
        mail("References: <a@x.y> <b@x.y>\r\nDisposition-Notification-To: ann@x.example\r\n"),
        "ann@x.example",
        "us@us.test",
        "Hi.\n",
    )
    headers = dict(answer.headers)
    assert headers["Auto-Submitted"] == "auto-replied"
    assert (
        headers["In-Reply-To"] == "<1@x.example>"
        and headers["References"] == "<a@x.y> <b@x.y> <1@x.example>"
    )
    assert answer.subject == "Re: hello" and answer.to == ["ann@x.example"]
    octets = answer.to_bytes()
    assert b"body" not in octets and b"Disposition" not in octets


def test_a_thread_without_end_is_cut_and_one_without_ids_has_none() -> None:
    many = "References: " + " ".join(f"<{number}@x.y>" for number in range(500)) + "\r\n"
    references = dict(replies.reply(mail(many), "a@x.y", "us@us.test", "").headers)[
        "References"
    ].split()
    assert len(references) == 20 and references[-1] == "<1@x.example>"
    bare = read(b"From: a@x.y\r\n\r\n")
    assert replies.reply(bare, "a@x.y", "us@us.test", "").headers == [
        ("Auto-Submitted", "auto-replied")
    ]


@pytest.mark.parametrize(("subject", "base_subject"), [
    ("Re: hello", "hello"), ("RE: re : Re[2]: hello", "hello"), ("AW: hello", "hello"), ("Reason: hello", "Reason: hello"), ("Re:", ""),
])  # fmt: skip
def test_a_subject_is_taken_back_to_its_stem(subject: str, base_subject: str) -> None:
    assert replies.base_subject(subject) == base_subject


@given(st.binary(max_size=300))
def test_any_octets_have_an_answer_to_each_question(octets: bytes) -> None:
    found = read(octets)
    replies.unanswerable(found, ["us@us.test"])
    replies.bounce(found)
    if found.sender is not None:
        replies.reply(found, found.sender.address, "us@us.test", "hi").headers  # noqa: B018


# ── reports ──────────────────────────────────────────────────────────────────

REPORT = (
    "From: MAILER-DAEMON@mx.example\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; mx.example\r\nArrival-Date: now\r\n\r\n{groups}\r\n"
    "--b\r\nContent-Type: {kind}\r\n\r\nMessage-ID: <ours@us.test>\r\nSubject: x\r\n\r\n--b--\r\n"
)
GROUP = "Original-Recipient: rfc822; {0}\r\nFinal-Recipient: rfc822; <{0}>\r\nAction: {1}\r\nStatus: {2}\r\n{3}\r\n"


def report(groups: str, kind: str = "message/rfc822") -> replies.Bounce | None:
    return replies.bounce(read(REPORT.format(groups=groups, kind=kind).encode()))


def test_the_action_decides_and_each_recipient_has_its_own() -> None:
    groups = (
        GROUP.format("a@x.example", "failed", "4.2.2", "Diagnostic-Code: smtp; 452\r\n full\r\n")
        + GROUP.format("b@x.example", "Delayed", "4.4.1", "")
        + GROUP.format("c@x.example", "delivered", "2.0.0", "")
    )
    found = report(groups)
    assert found is not None and found.failed == ("a@x.example",), (
        "failed is final, whatever the status (RFC 3464 §2.3.3)"
    )
    assert [fate.action for fate in found.recipients] == ["failed", "delayed", "delivered"]
    assert (
        found.recipients[0].status == "4.2.2" and found.recipients[0].diagnostic == "smtp; 452 full"
    )
    assert found.message_id == "<ours@us.test>"


@pytest.mark.parametrize(
    "kind", ["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"]
)
def test_the_mail_it_is_about_is_found_in_each_form(kind: str) -> None:
    found = report(GROUP.format("a@x.example", "failed", "5.1.1", ""), kind)
    assert found is not None and found.message_id == "<ours@us.test>"


def test_the_older_kinds_are_read_too() -> None:
    exim = read(
        b"Return-Path: <>\r\nReceived: from a by b; now\r\nFrom: Mail Delivery System <Mailer-Daemon@mx.example>\r\n"
        b"X-Failed-Recipients: a@x.example, b@x.example\r\n\r\nbounced\r\n\r\nMessage-ID: <ours@us.test>\r\n"
    )
    qmail = read(
        b"Return-Path: <>\r\nReceived: from a by b; now\r\nFrom: MAILER-DAEMON@mx.example\r\n\r\n"
        b"Hi. This is the qmail-send program at mx.example.\r\n\r\n<a@x.example>:\r\nSorry, no mailbox here.\r\n\r\n"
        b"--- Below this line is a copy of the message.\r\n\r\nMessage-ID: <ours@us.test>\r\n"
    )
    for mail, failed in ((exim, ("a@x.example", "b@x.example")), (qmail, ("a@x.example",))):
        found = replies.bounce(mail)
        assert found is not None and found.failed == failed and found.message_id == "<ours@us.test>"


@pytest.mark.parametrize("octets", [
    b"From: a@x.y\r\n\r\nHi. This is the lunch menu\r\n<a@x.example>:\r\n", b"Content-Type: multipart/report\r\n\r\n", b"",
    b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nAction\r\n",
])  # fmt: skip
def test_what_is_no_report_is_none(octets: bytes) -> None:
    assert replies.bounce(read(octets)) is None
