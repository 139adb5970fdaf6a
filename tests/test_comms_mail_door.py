"""Which mail is a command, and where its receipt comes from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from comms.commands import Commands, Verb
from comms.mail_door import MailDoor, MailRules, same_address
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
