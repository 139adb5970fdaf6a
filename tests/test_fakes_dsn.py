"""Delivery status notifications: who gets a report, and what is in it."""

from __future__ import annotations

import pytest

from comms import bounces
from comms.read import read
from fakes.dsn import decode_xtext
from fakes.wire import Facts
from fakes.world import World
from tests.smtp_raw import BODY, send_mail

CAROL = "carol@example.org"
ALICE = "alice@example.test"
FROM_CAROL = f"MAIL FROM:<{CAROL}>"
TO_UNKNOWN = "RCPT TO:<eve@example.test>"


def bouncing(*commands: str, body: bytes = BODY) -> World:
    """A world that accepts unknown recipients and reports them later, after one mail was sent."""
    world = World({"mail": {"unknown": "bounce"}}, rehearsal=True)
    answers = send_mail(world, *commands, body=body)
    assert answers[-1].startswith("250 2.0.0"), answers
    return world


def reports(world: World) -> list[bytes]:
    """What the server sent with the null sender `<>`."""
    return [mail.raw for mail in world.mail.messages if not mail.envelope.sender]


def report(world: World) -> bytes:
    """The one report to Carol."""
    return world.mail.wait_for(
        lambda mail: not mail.envelope.sender and mail.envelope.to == [CAROL]
    ).raw


# ── who gets a report ────────────────────────────────────────────────────────


def test_an_unknown_recipient_is_rejected_by_default() -> None:
    world = World(rehearsal=True)
    assert send_mail(world, FROM_CAROL, TO_UNKNOWN)[1].startswith("550 5.1.1")
    assert world.mail.messages == []


def test_an_unknown_recipient_bounces_where_the_policy_says_so() -> None:
    found = bounces.report(read(report(bouncing(FROM_CAROL, TO_UNKNOWN))))
    assert found is not None
    assert (found.failed, found.message_id) == (("eve@example.test",), "<m1@example.org>")
    assert found.recipients[0].status == "5.1.1"


def test_a_report_that_cannot_be_delivered_causes_no_other_report() -> None:
    world = bouncing("MAIL FROM:<mallory@example.test>", TO_UNKNOWN)
    assert len(reports(world)) == 1, "RFC 5321 §6.1"


def test_mail_from_the_null_sender_causes_no_report() -> None:
    assert len(bouncing("MAIL FROM:<>", TO_UNKNOWN).mail.messages) == 1


def test_a_report_is_sent_after_the_mail_has_been_acknowledged() -> None:
    world = World({"mail": {"unknown": "bounce"}}, rehearsal=True)
    session = world.core("smtp")
    session.opened(Facts(1))
    session.receive(
        b"EHLO c\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<eve@example.test>\r\n"
        b"DATA\r\nSubject: x\r\n\r\n.\r\n"
    )
    assert world.mail.messages == world.mail.inbox(ALICE) == []
    session.written()
    assert [mail.envelope.sender for mail in world.mail.messages] == [ALICE, ""]
    assert len(world.mail.inbox(ALICE)) == 1


@pytest.mark.parametrize(
    ("notify", "reported"),
    [
        ("", True),
        (" NOTIFY=FAILURE", True),
        (" NOTIFY=DELAY,FAILURE", True),
        (" NOTIFY=NEVER", False),
        (" NOTIFY=SUCCESS", False),
        (" NOTIFY=DELAY", False),
    ],
)
def test_a_failure_is_reported_unless_notify_excludes_it(notify: str, reported: bool) -> None:
    world = bouncing(FROM_CAROL, TO_UNKNOWN + notify)
    assert bool(reports(world)) == reported  # RFC 3461 §5.2


@pytest.mark.parametrize(
    ("to", "notify", "action"),
    [
        (ALICE, " NOTIFY=SUCCESS", "delivered"),
        (ALICE, " NOTIFY=SUCCESS,FAILURE", "delivered"),
        (ALICE, "", ""),
        (ALICE, " NOTIFY=FAILURE", ""),
        ("far@elsewhere.example", " NOTIFY=SUCCESS", "relayed"),
        ("far@elsewhere.example", "", ""),
    ],
)
def test_a_success_is_reported_only_when_notify_asks_for_it(
    to: str, notify: str, action: str
) -> None:
    world = bouncing(FROM_CAROL, f"RCPT TO:<{to}>{notify}")
    found = [bounces.report(read(raw)) for raw in reports(world)]
    assert [bounce.recipients[0].action for bounce in found if bounce] == (
        [action] if action else []
    )
    assert not any(bounce and bounce.failed for bounce in found)


def test_one_report_names_all_failed_recipients_and_the_others_get_the_mail() -> None:
    to = ("RCPT TO:<x@example.test>", f"RCPT TO:<{ALICE}>", "RCPT TO:<y@example.test>")
    world = bouncing(FROM_CAROL, *to)
    found = bounces.report(read(report(world)))
    assert found is not None and found.failed == ("x@example.test", "y@example.test")
    assert len(world.mail.inbox(ALICE)) == 1


# ── what is in a report ──────────────────────────────────────────────────────


def test_the_sender_s_own_identifiers_are_returned_decoded() -> None:
    world = bouncing(
        f"{FROM_CAROL} ENVID=QQ+2B314 RET=HDRS",
        "RCPT TO:<eve@example.test> ORCPT=rfc822;No+2BBody@example.test NOTIFY=FAILURE",
    )
    text = report(world).decode()
    assert "Original-Envelope-Id: QQ+314\r\n" in text
    assert "Original-Recipient: rfc822;No+Body@example.test\r\n" in text
    assert (
        "Final-Recipient: rfc822; eve@example.test\r\nAction: failed\r\nStatus: 5.1.1\r\n" in text
    )
    assert "Reporting-MTA: dns; mail.example.test\r\n" in text
    assert "text/rfc822-headers" in text and "the body" not in text


def test_without_identifiers_there_are_no_fields_for_them_and_the_mail_is_returned_whole() -> None:
    raw = report(bouncing(FROM_CAROL, TO_UNKNOWN))
    text = raw.decode()
    assert "Original-" not in text
    assert "message/rfc822" in text and "the body" in text
    mail = read(raw)
    assert mail.get("auto-submitted") == "auto-replied" and mail.get("message-id") and mail.date
    media_type = "multipart/report; report-type=delivery-status"
    assert mail.get("content-type").startswith(media_type)
    types = [attachment.type for attachment in mail.attachments]
    assert types == ["message/delivery-status", "message/rfc822"]
    assert not mail.defects


def test_a_report_says_where_it_has_eight_bits() -> None:
    raw = report(bouncing(FROM_CAROL, TO_UNKNOWN, body="Subject: é\r\n\r\nö\r\n".encode()))
    field = b"\r\nContent-Transfer-Encoding: 8bit\r\n"
    assert [field in part for part in raw.split(b"\r\n--=")] == [True, False, False, True, False]
    assert field not in report(bouncing(FROM_CAROL, TO_UNKNOWN))


def test_the_header_of_a_mail_may_end_with_bare_lfs() -> None:
    world = bouncing(f"{FROM_CAROL} RET=HDRS", TO_UNKNOWN, body=b"Subject: x\n\nthe body\r\n")
    assert b"\r\n\r\nSubject: x\r\n\r\n--" in report(world)


def test_an_envid_cannot_add_a_field_to_the_report() -> None:
    raw = report(bouncing(f"{FROM_CAROL} ENVID=a+0D+0AX-Evil:+20yes", TO_UNKNOWN))
    assert not [line for line in raw.split(b"\r\n") if line.startswith(b"X-Evil")]


def test_beyond_ascii_the_report_has_the_format_of_rfc_6533() -> None:
    world = bouncing(
        f"{FROM_CAROL} SMTPUTF8",
        "RCPT TO:<jürgen@example.test> ORCPT=utf-8;j\\x{FC}rgen@example.test",
    )
    text = report(world).decode()
    assert "message/global-delivery-status" in text
    assert "Content-Type: message/global\r\n" in text
    assert "Final-Recipient: utf-8; jürgen@example.test\r\n" in text
    assert "Original-Recipient: utf-8;jürgen@example.test\r\n" in text
    (envelope,) = [mail.envelope for mail in world.mail.messages if not mail.envelope.sender]
    assert "SMTPUTF8" in envelope.params, "the report is such a mail itself"


@pytest.mark.parametrize(
    ("xtext", "text"),
    [
        ("a+2Bb+3Dc", "a+b=c"),
        ("j\\x{FC}rgen", "jürgen"),
        ("\\x{FFFFFF}", "?"),
        ("+0D+0A", "??"),
        ("+zz+2b", "+zz+2b"),
    ],
)
def test_xtext_is_decoded_and_what_cannot_be_printed_replaced(xtext: str, text: str) -> None:
    assert decode_xtext(xtext) == text
