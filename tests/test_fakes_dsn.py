"""What becomes of mail that cannot be delivered, or whose sender wants to know: bounces, quota, aliases, catch-all."""

from __future__ import annotations

import smtplib
from typing import Any

import pytest

from comms import replies
from comms.read import read
from fakes.dsn import decoded
from fakes.wire import Facts
from fakes.world import World

CAROL = "carol@example.org"
ALICE = "alice@example.test"
BODY = b"Subject: hello\r\nMessage-ID: <m1@example.org>\r\n\r\nthe body\r\n"


def talk(world: World, *lines: str, body: bytes = BODY) -> list[str]:
    """Sends one mail by raw lines; gives the reply to each, the last one to the content."""
    session = world.core("smtp")
    session.opened(Facts(1))
    answers = []
    for line in ("EHLO client.example", *lines, "DATA"):
        while session.take():
            pass
        session.receive(line.encode() + b"\r\n")
        answers.append(session.take().decode())
    if answers[-1].startswith("354"):
        session.receive(body + b".\r\n")
        answers.append(session.take().decode())
    session.written()
    return answers[1:]


def bounced(config: dict[str, Any], *lines: str, body: bytes = BODY) -> tuple[World, list[str]]:
    world = World({"mail": {"unknown": "bounce"}, **config}, rehearsal=True)
    return world, talk(world, *lines, body=body)


def report(world: World, to: str = CAROL) -> bytes:
    (notice,) = [mail for mail in world.mail.messages if mail.envelope.to == [to] and not mail.envelope.sender]
    return notice.raw


# ── who is told, and who is not ──────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_recipient_is_refused_or_bounces_as_the_world_says() -> None:
    world = World(rehearsal=True)
    assert talk(world, f"MAIL FROM:<{CAROL}>", "RCPT TO:<nobody@example.test>")[1].startswith("550 5.1.1")
    world, answers = bounced({}, f"MAIL FROM:<{CAROL}>", "RCPT TO:<nobody@example.test>")
    assert answers[-1].startswith("250 2.0.0")
    found = replies.bounce(read(report(world)))
    assert found is not None and found.failed == ("nobody@example.test",) and found.message_id == "<m1@example.org>"
    assert found.recipients[0].status == "5.1.1"


def test_a_report_comes_from_the_null_sender_and_is_never_answered_by_another() -> None:
    world, _ = bounced({}, "MAIL FROM:<nobody-either@example.test>", "RCPT TO:<nobody@example.test>")
    notices = [mail for mail in world.mail.messages if not mail.envelope.sender]
    assert len(notices) == 1, "the report itself cannot be delivered, and nothing comes of that (RFC 5321 §6.1)"
    world, _ = bounced({}, "MAIL FROM:<>", "RCPT TO:<nobody@example.test>")
    assert len(world.mail.messages) == 1


def test_a_report_is_known_only_once_the_mail_is() -> None:
    world = World({"mail": {"unknown": "bounce"}}, rehearsal=True)
    session = world.core("smtp")
    session.opened(Facts(1))
    session.receive(
        b"EHLO c\r\nMAIL FROM:<alice@example.test>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n"
    )
    assert world.mail.messages == []
    session.written()
    assert [mail.envelope.sender for mail in world.mail.messages] == [ALICE, ""]
    assert len(world.mail.inbox(ALICE)) == 1


@pytest.mark.parametrize(("notify", "told"), [
    ("", True), (" NOTIFY=FAILURE", True), (" NOTIFY=DELAY,FAILURE", True), (" NOTIFY=NEVER", False), (" NOTIFY=SUCCESS", False),
    (" NOTIFY=DELAY", False),
])  # fmt: skip
def test_a_failure_is_reported_to_those_who_want_to_hear_of_it(notify: str, told: bool) -> None:
    world, _ = bounced({}, f"MAIL FROM:<{CAROL}>", f"RCPT TO:<nobody@example.test>{notify}")
    assert (len(world.mail.messages) == 2) == told  # RFC 3461 §5.2


@pytest.mark.parametrize(("to", "notify", "action"), [
    (ALICE, " NOTIFY=SUCCESS", "delivered"), (ALICE, " NOTIFY=SUCCESS,FAILURE", "delivered"), (ALICE, "", ""),
    (ALICE, " NOTIFY=FAILURE", ""), ("far@elsewhere.example", " NOTIFY=SUCCESS", "relayed"), ("far@elsewhere.example", "", ""),
])  # fmt: skip
def test_success_is_reported_only_when_asked_for(to: str, notify: str, action: str) -> None:
    world, _ = bounced({}, f"MAIL FROM:<{CAROL}>", f"RCPT TO:<{to}>{notify}")
    notices = [read(mail.raw) for mail in world.mail.messages if not mail.envelope.sender]
    found = [replies.bounce(mail) for mail in notices]
    assert [one.recipients[0].action for one in found if one] == ([action] if action else [])
    assert not any(one and one.failed for one in found)


def test_one_report_names_all_who_failed_and_the_others_get_the_mail() -> None:
    recipients = ("RCPT TO:<x@example.test>", f"RCPT TO:<{ALICE}>", "RCPT TO:<y@example.test>")
    world, _ = bounced({}, f"MAIL FROM:<{CAROL}>", *recipients)
    found = replies.bounce(read(report(world)))
    assert found is not None and found.failed == ("x@example.test", "y@example.test")
    assert len(world.mail.inbox(ALICE)) == 1


# ── what stands in it ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_sender_s_marks_come_back_decoded() -> None:
    world, _ = bounced(
        {}, f"MAIL FROM:<{CAROL}> ENVID=QQ+2B314 RET=HDRS",
        "RCPT TO:<nobody@example.test> ORCPT=rfc822;No+2BBody@example.test NOTIFY=FAILURE",
    )  # fmt: skip
    text = report(world).decode()
    assert "Original-Envelope-Id: QQ+314\r\n" in text
    assert "Original-Recipient: rfc822;No+Body@example.test\r\n" in text
    assert "Final-Recipient: rfc822; nobody@example.test\r\nAction: failed\r\nStatus: 5.1.1\r\n" in text
    assert "Reporting-MTA: dns; mail.example.test\r\n" in text
    assert "text/rfc822-headers" in text and "the body" not in text


def test_without_marks_there_are_no_fields_for_them_and_the_mail_comes_back_whole() -> None:
    world, _ = bounced({}, f"MAIL FROM:<{CAROL}>", "RCPT TO:<nobody@example.test>")
    text = report(world).decode()
    assert "Original-" not in text
    assert "message/rfc822" in text and "the body" in text
    mail = read(report(world))
    assert mail.get("auto-submitted") == "auto-replied" and mail.get("message-id") and mail.date
    assert mail.get("content-type").startswith("multipart/report; report-type=delivery-status")
    assert [one.type for one in mail.attachments] == ["message/delivery-status", "message/rfc822"]
    assert not mail.defects


def test_an_envid_cannot_smuggle_a_field_in() -> None:
    world, _ = bounced({}, f"MAIL FROM:<{CAROL}> ENVID=a+0D+0AX-Evil:+20yes", "RCPT TO:<nobody@example.test>")
    assert not [line for line in report(world).split(b"\r\n") if line.startswith(b"X-Evil")]


def test_beyond_ascii_the_report_is_the_one_of_rfc_6533() -> None:
    world, answers = bounced(
        {}, f"MAIL FROM:<{CAROL}> SMTPUTF8", "RCPT TO:<jürgen@example.test> ORCPT=utf-8;j\\x{FC}rgen@example.test"
    )
    assert answers[-1].startswith("250"), answers
    text = report(world).decode()
    assert "message/global-delivery-status" in text and "Content-Type: message/global\r\n" in text
    assert "Final-Recipient: utf-8; jürgen@example.test\r\n" in text
    assert "Original-Recipient: utf-8;jürgen@example.test\r\n" in text


def test_xtext_is_decoded() -> None:
    assert decoded("a+2Bb+3Dc") == "a+b=c"
    assert decoded("j\\x{FC}rgen") == "jürgen"
    assert decoded("+0D+0A") == "??"


def test_a_report_is_made_on_demand_for_mail_that_was_taken() -> None:
    world = World(rehearsal=True)
    talk(world, f"MAIL FROM:<{ALICE}>", "RCPT TO:<far@elsewhere.example>", "RCPT TO:<near@elsewhere.example> NOTIFY=NEVER")
    (mail,) = world.mail.relayed
    notice = world.mail.bounce(mail, "far@elsewhere.example", action="delayed", status="4.4.1", text="no answer from host")
    assert notice is not None and "Delayed" in notice.subject
    found = replies.bounce(read(notice.raw))
    assert found is not None and found.failed == () and found.recipients[0].action == "delayed"
    assert world.mail.bounce(mail, "near@elsewhere.example") is None, "NOTIFY=NEVER"
    assert len(world.mail.inbox(ALICE)) == 1
    with pytest.raises(LookupError, match="no recipient"):
        world.mail.bounce(mail, "other@elsewhere.example")


# ── room ─────────────────────────────────────────────────────────────────────────────────────────────────────────

FULL = {"person": [{"address": ALICE, "quota": 300}, {"address": "bob@example.test"}]}


def test_a_full_maildrop_is_452_at_the_recipient_or_the_dot() -> None:
    world = World(FULL, rehearsal=True)
    assert talk(world, f"MAIL FROM:<{CAROL}> SIZE=301", f"RCPT TO:<{ALICE}>")[1].startswith("452 4.2.2")
    answers = talk(world, f"MAIL FROM:<{CAROL}>", f"RCPT TO:<{ALICE}>", body=b"x" * 400 + b"\r\n")
    assert answers[1].startswith("250") and answers[-1].startswith("452 4.2.2")
    assert world.mail.messages == [] and world.mail.inbox(ALICE) == []
    assert talk(world, f"MAIL FROM:<{CAROL}>", f"RCPT TO:<{ALICE}>")[-1].startswith("250")
    assert talk(world, f"MAIL FROM:<{CAROL}>", f"RCPT TO:<{ALICE}>", body=b"x" * 200 + b"\r\n")[-1].startswith("452 4.2.2")


def test_when_only_some_have_room_it_is_taken_and_the_others_bounce() -> None:
    world = World(FULL, rehearsal=True)
    answers = talk(
        world, f"MAIL FROM:<{CAROL}>", f"RCPT TO:<{ALICE}>", "RCPT TO:<bob@example.test>", body=b"x" * 400 + b"\r\n"
    )
    assert answers[-1].startswith("250")  # RFC 5321 §4.4: one reply for all
    found = replies.bounce(read(report(world)))
    assert found is not None and found.failed == (ALICE,) and found.recipients[0].status == "5.2.2"
    assert len(world.mail.inbox("bob@example.test")) == 1


def test_with_bounces_a_full_maildrop_bounces() -> None:
    world, answers = bounced(FULL, f"MAIL FROM:<{CAROL}>", f"RCPT TO:<{ALICE}>", body=b"x" * 400 + b"\r\n")
    assert answers[1].startswith("250") and answers[-1].startswith("250")
    assert b"Status: 5.2.2" in report(world)


def test_room_comes_back_when_mail_is_removed() -> None:
    world = World(FULL, rehearsal=True)
    world.mail.deliver(ALICE, b"x\r\n" * 20)
    assert world.mail.drop(ALICE).size > 0 and world.mail.full(ALICE, 200)
    world.mail.remove(ALICE, world.mail.drop(ALICE).rows)
    assert not world.mail.full(ALICE, 200)


# ── other names ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.world(
    person=[{"address": ALICE, "aliases": ["sales@example.test", "all@example.test"]},
            {"address": "bob@example.test", "aliases": ["all@example.test"]}],
    mail={"domains": ["example.test"], "catch_all": ["hooks.test"]}, servers=["smtp"],
)  # fmt: skip
def test_an_alias_reaches_its_owners_and_a_catch_all_everybody(world: World) -> None:
    with smtplib.SMTP(*world.address("smtp"), "client.example") as client:
        for to in ("sales@example.test", "ALL@example.test", "alice+tag@example.test", "what.ever@hooks.test"):
            client.sendmail(CAROL, [to], BODY)
    world.mail.wait_for(4)
    assert len(world.mail.inbox(ALICE)) == 3 and len(world.mail.inbox("bob@example.test")) == 1
    assert len(world.mail.inbox("sales@example.test")) == 3, "an alias names its owner's maildrop"
    assert len(world.mail.inbox("what.ever@hooks.test")) == 1 and world.mail.inbox("other@hooks.test") == []
    known_as = [read(mail.raw).get("delivered-to") for mail in world.mail.inbox(ALICE)]
    assert known_as == ["sales@example.test", "ALL@example.test", "alice+tag@example.test"]


def test_one_person_by_two_names_gets_one_mail() -> None:
    world = World({"person": [{"address": ALICE, "aliases": ["sales@example.test"]}]}, rehearsal=True)
    talk(world, f"MAIL FROM:<{CAROL}>", f"RCPT TO:<{ALICE}>", "RCPT TO:<sales@example.test>")
    assert len(world.mail.inbox(ALICE)) == 1


def test_direct_delivery_takes_its_sender_from_the_mail() -> None:
    world = World(rehearsal=True)
    world.mail.deliver(ALICE, b"From: Carol <carol@example.org>\r\n\r\n")
    world.mail.deliver(ALICE, b"From: Carol <carol@example.org>\r\n\r\n", sender="")
    world.mail.deliver(ALICE, b"From: \xff\x00 <\r\n\r\n")
    paths = [replies.return_path(read(mail.raw)) for mail in world.mail.inbox(ALICE)]
    assert paths == [CAROL, "", ""]
