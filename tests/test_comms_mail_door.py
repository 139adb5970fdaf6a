"""Which mail is a command, at the mail side of a program that obeys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comms.commands import Commands, Verb
from comms.mail_door import MailDoor
from comms.read import read
from comms.settings import Server
from comms.state import State
from tests.scripted import JumpingClock, RecordingHost

INBOX, ADMIN = "secret9x@yourco.test", "jeremy@yourco.test"
TRACE = f"Delivered-To: {INBOX}\r\nReceived: by mx.yourco.test; Mon, 5 Jan 2026 00:00:00 +0000\r\n"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[MailDoor]:
    clock, host = JumpingClock(), RecordingHost()
    servers = Server("pop3", "x.test", 110), Server("smtp", "x.test", 25)
    with State(tmp_path / "state") as state:
        commands = Commands(state, {"restart": Verb(("true",), "mysql")}, {ADMIN: ["*"]}, clock, host)
        yield MailDoor(commands, state, servers, INBOX, [ADMIN], "mysql@yourco.test", clock, host)
    clock.close()


@pytest.mark.parametrize(
    ("mail", "reason"),
    [
        (f"{TRACE}From: Jeremy <{ADMIN}>\r\nSubject: restart\r\n\r\n", ""),
        (f"{TRACE}From: JEREMY@yourco.test\r\nSubject: restart\r\n\r\n", ""),
        (f"{TRACE.replace(INBOX, 'other@yourco.test')}From: {ADMIN}\r\n\r\n", "wrong inbox"),
        (f"From: {ADMIN}\r\nDelivered-To: {INBOX}\r\nSubject: restart\r\n\r\n", "wrong inbox"),
        (f"{TRACE}From: mallory@evil.example\r\nSubject: restart\r\n\r\nFrom: {ADMIN}\r\n", "a stranger"),
        (f"{TRACE}From: {ADMIN} <mallory@evil.example>\r\n\r\n", "not one sender"),
        (f"{TRACE}From: {ADMIN}\r\nFrom: mallory@evil.example\r\n\r\n", "not one sender"),
        (f"{TRACE}From: {ADMIN}\r\nAuto-Submitted: auto-replied\r\n\r\n", "automatic"),
        (f"Return-Path: <>\r\n{TRACE}From: {ADMIN}\r\n\r\n", "automatic"),
        (f"{TRACE}From: {ADMIN}\r\nDate: Mon, 5 Jan 1998 00:00:00 +0000\r\n\r\n", "stale"),
    ],
)
def test_only_an_administrator_s_own_mail_to_the_secret_inbox_is_a_command(door: MailDoor, mail: str, reason: str) -> None:
    found = door.judge(read(mail.encode()))
    assert found.startswith(reason) and bool(found) == bool(reason), found
