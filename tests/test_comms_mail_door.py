"""Which mail is a command, and where its receipt comes from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from comms.commands import Commands, Order, Verb
from comms.errors import SettingsError
from comms.mail_door import MailDoor, MailRules, same_address
from comms.mailbox import Entry, Incoming
from comms.read import read
from comms.settings import Server
from comms.state import State
from tests.scripted import JumpingClock, RecordingHost

INBOX, ADMIN = "secret9x@yourco.test", "jeremy@yourco.test"
NOW = format_datetime(datetime.now(UTC))
TRACE = f"Delivered-To: {INBOX}\r\nReceived: by mx.yourco.test; {NOW}\r\n"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[MailDoor]:
    clock, host = JumpingClock(), RecordingHost()
    pop3, smtp = Server("pop3", "x.test", 110), Server("smtp", "x.test", 25)
    rules = MailRules(pop3, smtp, INBOX, (ADMIN,), "mysql@yourco.test")
    with State(tmp_path / "state") as state:
        commands = Commands(
            state, {"restart": Verb(("true",), "mysql")}, {ADMIN: ["*"]}, clock, host
        )
        yield MailDoor(rules, commands, clock, host)
    clock.close()


@pytest.mark.parametrize(
    ("mail", "reason"),
    [
        (f"{TRACE}From: Jeremy <{ADMIN}>\r\nSubject: restart\r\n\r\n", ""),
        (f"{TRACE}From: JEREMY@yourco.test\r\nSubject: restart\r\n\r\n", ""),
        (f"{TRACE.replace(INBOX, 'other@yourco.test')}From: {ADMIN}\r\n\r\n", "wrong inbox"),
        (f"From: {ADMIN}\r\nDelivered-To: {INBOX}\r\nSubject: restart\r\n\r\n", "wrong inbox"),
        (
            f"{TRACE}From: mallory@evil.example\r\nSubject: restart\r\n\r\nFrom: {ADMIN}\r\n",
            "a stranger",
        ),
        (f"{TRACE}From: {ADMIN} <mallory@evil.example>\r\n\r\n", "not one sender"),
        (f"{TRACE}From: {ADMIN}\r\nFrom: mallory@evil.example\r\n\r\n", "not one sender"),
        (f"{TRACE}From: {ADMIN}\r\nAuto-Submitted: auto-replied\r\n\r\n", "automatic"),
        (f"Return-Path: <>\r\n{TRACE}From: {ADMIN}\r\n\r\n", "automatic"),
        (f"{TRACE}From: {ADMIN}\r\nDate: Mon, 5 Jan 1998 00:00:00 +0000\r\n\r\n", "stale"),
    ],
)
def test_only_mail_from_an_administrator_to_the_secret_inbox_is_a_command(
    door: MailDoor, mail: str, reason: str
) -> None:
    found = door.objection(read(mail.encode()))
    assert found.startswith(reason) and bool(found) == bool(reason), found


@pytest.mark.parametrize(
    ("user", "sender"),
    [
        ("mysql@yourco.test", "mysql@yourco.test"),
        ("mysql", "mysql@yourco.test"),
        ("", "robot@yourco.test"),
        (INBOX, "robot@yourco.test"),
        ("Secret9X", "robot@yourco.test"),
    ],
)
def test_receipts_never_use_the_secret_address_as_sender(
    tmp_path: Path, user: str, sender: str
) -> None:
    clock, host = JumpingClock(), RecordingHost()
    pop3, smtp = Server("pop3", "x.test", 110, user=user), Server("smtp", "x.test", 25, user=user)
    with State(tmp_path / "state") as state:
        commands = Commands(state, {}, {}, clock, host)
        door = MailDoor(MailRules(pop3, smtp, INBOX, (ADMIN,)), commands, clock, host)
        assert door.sender == sender
    clock.close()


def test_the_secret_is_compared_as_a_whole() -> None:
    assert same_address(INBOX, INBOX.upper()) and not same_address(INBOX, INBOX + "x")
    assert not same_address(INBOX, "") and not same_address(INBOX, "\udcff")


@pytest.mark.parametrize("domain", ["bücher.test", "xn--bcher-kva.test", "BÜCHER.test"])
def test_a_domain_that_is_not_ascii_may_be_written_either_way(tmp_path: Path, domain: str) -> None:
    clock, host = JumpingClock(), RecordingHost()
    pop3, smtp = Server("pop3", "x.test", 110), Server("smtp", "x.test", 25)
    admin = f"jeremy@{domain}"
    rules = MailRules(pop3, smtp, f"secret9x@{domain}", (admin,), "mysql@yourco.test")
    raw = (
        f"Delivered-To: secret9x@xn--bcher-kva.test\r\nReceived: by mx; {NOW}\r\n"
        "From: jeremy@xn--bcher-kva.test\r\nSubject: restart\r\n\r\n"
    )
    with State(tmp_path / "state") as state:
        verbs = {"restart": Verb(("true",), "mysql")}
        commands = Commands(state, verbs, {admin.casefold(): ["*"]}, clock, host)
        door = MailDoor(rules, commands, clock, host)
        door._take(Incoming(raw.encode(), Entry("1", len(raw))), "place")
        assert [entry.facts["who"] for entry in commands.ledger.entries("intended")] == [
            admin.casefold()
        ]
    clock.close()


# ── settings that could only fail later ──────────────────────────────────────


def mail_rules(sender: str, user: str = "mysql@yourco.test", inbox: str = INBOX) -> MailRules:
    server = Server("pop3", "x.test", 110, user=user), Server("smtp", "x.test", 25, user=user)
    return MailRules(*server, inbox, (ADMIN,), sender)


@pytest.mark.parametrize(
    ("sender", "user"),
    [
        ("MySQL mysql@yourco.test", ""),
        ("MySQL", ""),
        ("a@b.test, c@d.test", ""),
        ("MySQL <mysql@yourco.test", ""),
        ("mysql@" + "ü" * 80 + ".test", ""),
        ("", "two words"),
        ("", "a<b"),
        ("", "a\nb"),
    ],
)
def test_a_sender_that_no_receipt_could_have_is_refused_at_the_start(
    sender: str, user: str
) -> None:
    with pytest.raises(SettingsError, match=r"sender: .*; write sender = ") as caught:
        mail_rules(sender, user)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "sender", [INBOX, f"MySQL <{INBOX}>", INBOX.upper(), f'"x" <{INBOX.title()}>', f" {INBOX} "]
)
def test_the_secret_inbox_is_refused_as_sender(sender: str) -> None:
    with pytest.raises(SettingsError, match="would show the secret address"):
        mail_rules(sender)


# ── the time of a mail ───────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("received", "date", "reason"),
    [
        ("now", "", ""),
        ("now", "Date: nonsense\r\n", ""),
        ("Mon, 5 Jan 1998 00:00:00 +0000", "", "stale"),
        ("Mon, 5 Jan 1998 00:00:00 +0000", "Date: nonsense\r\n", "stale"),
        ("yesterday", "", "no usable time"),
        ("yesterday", "Date: nonsense\r\n", "no usable time"),
        ("", "Date: \r\n", "no usable time"),
        ("Mon, 5 Jan 10000 00:00:00 +0000", "", "no usable time"),
        ("Mon, 99 Jan 2026 00:00:00 +0000", "Date: 0\r\n", "no usable time"),
        ("now", "Date: Mon, 5 Jan 2099 00:00:00 +0000\r\n", "stale"),
    ],
)
def test_a_mail_without_a_usable_time_is_not_obeyed(
    door: MailDoor, received: str, date: str, reason: str
) -> None:
    # Not in the table: the names of the tests must be the same in each process that runs some.
    received = NOW if received == "now" else received
    trace = f"Delivered-To: {INBOX}\r\nReceived: by mx.yourco.test; {received}\r\n"
    older = f"Received: from evil.example; {NOW}\r\n"
    mail = f"{trace}{older}From: {ADMIN}\r\n{date}Subject: restart\r\n\r\n"
    found = door.objection(read(mail.encode()))
    assert found.startswith(reason) and bool(found) == bool(reason), found


# ── receipts ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "thread",
    [
        ["<a\0b@c>", "restart"],
        ["<a@b>", "restart", "<\0@c>"],
        ["<a@b>", "restart", "<a\nBcc: x@y.test@c>"],
        ["<a@b>", "re\0start"],
        ["<a@b>", "re\r\nBcc: x@y.test"],
        ["<a@b>", "\ud800"],
        ["<" + "a" * 5000 + "@b>", "restart"],
    ],
)
def test_a_receipt_that_cannot_be_composed_becomes_a_plain_one(
    door: MailDoor, thread: list[str]
) -> None:
    facts = {"door": "mail", "to": ADMIN, "mail": thread}
    order = Order(
        door._commands.accept(ADMIN, "restart", ["key"], facts).id, "restart", ADMIN, facts
    )
    assert order.verb == "restart"
    [(_, outcome)] = door._commands.perform(door.report)
    assert outcome.code == 0 and len(door.outbox.waiting()) == 1
    assert door._commands.recover(door.report) == []


# ── receipts that come back ──────────────────────────────────────────────────

REPORT = (
    "To: {to}\r\nFrom: MAILER-DAEMON@mx.example\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    f"Final-Recipient: rfc822; {ADMIN}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
    "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {id}\r\n\r\n--b--\r\n"
)


@pytest.mark.parametrize("returns", ["", "mysql+*@yourco.test"])
@pytest.mark.parametrize("owner", ["owner@yourco.test", ADMIN, ""])
def test_only_the_token_of_a_receipt_proves_that_it_came_back(
    tmp_path: Path, returns: str, owner: str
) -> None:
    clock, host = JumpingClock(), RecordingHost()
    servers = Server("pop3", "x.test", 110), Server("smtp", "x.test", 25)
    sender = "mysql@yourco.test"
    rules = MailRules(*servers, INBOX, (ADMIN,), sender, returns=returns, owner=owner)
    with State(tmp_path / "state") as state:
        verbs = {"restart": Verb(("true",), "mysql")}
        commands = Commands(state, verbs, {ADMIN: ["*"]}, clock, host)
        door = MailDoor(rules, commands, clock, host)
        commands.accept(ADMIN, "restart", ["1"], {"to": ADMIN, "mail": ["<1@x.test>", "restart"]})
        commands.perform(door.report)
        (row,) = state.rows("SELECT message_id, sender FROM outbox")
        message_id, path = map(str, row)
        forged = [(sender, "<guessed@x.test>"), (path.replace("@", "0@"), "<guessed@x.test>")]
        if returns:
            forged += [(sender, message_id), (path.replace("+b1", "+b2"), message_id)]
        for to, id in forged:
            door._note_returned(read(REPORT.format(to=to, id=id).encode()))
        assert door.reachability.since(ADMIN) is None
        for _ in range(2):
            door._note_returned(read(REPORT.format(to=path, id=message_id).encode()))
        assert door.reachability.since(ADMIN) is not None
        told = [to for _, to in door.outbox.waiting() if to != ADMIN]
        assert told == ([owner] if owner not in ("", ADMIN) else []), "once"
    clock.close()
