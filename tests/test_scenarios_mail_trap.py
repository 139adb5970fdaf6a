"""mail-trap: no customer is written to unless the server is a trap, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.play import Act, merged
from scenarios.sending.mail_trap import CUSTOMERS
from tests.command import run_command
from tests.drills import cuts, marks, three_of

PAGE = catalogue.named("mail-trap")
ACT, OVER_IMAP, _, NO_TRAP, _ = PAGE.acts()


@pytest.mark.slow
def test_on_fake_servers_in_real_time_the_mails_are_trapped(tmp_path: Path) -> None:
    done = run_command("live", "mail-trap", "--out", str(tmp_path))
    assert done.returncode == 0
    assert "ann@gmail.test: trapped\nbob@aol.test: trapped\n" in done.stdout


def cuts_of(act: Act) -> Iterator[Any]:
    """The places of an act where a connection can be cut."""
    recording = rehearsal.rehearse(PAGE, act).recording
    found = list(cuts([item for item in recording if isinstance(item, Record)]))
    for fault, mark in marks(found, three_of(found)):
        yield pytest.param(act, fault, marks=mark)


CUTS = [case for act in (ACT, OVER_IMAP) for case in cuts_of(act)]


@pytest.mark.parametrize(("act", "fault"), CUTS)
def test_wherever_a_connection_is_lost_the_program_says_that_not_all_is_well(
    act: Act, fault: str
) -> None:
    performance = rehearsal.rehearse(PAGE, act, [fault])
    assert (performance.unmet, performance.tracebacks) == ([], [])
    texts = [event["text"] for event in performance.events]
    trapped = sum(text.endswith(": trapped") for text in texts)
    failed = any(text.startswith("ends with exit code") for text in texts)
    assert failed != (trapped == 2)
    if trapped:
        assert len(performance.mails) == 3


IMAP = {"servers": ["smtp", "imap"]}


@pytest.mark.parametrize(
    "fault", ["pop3 UIDL hang up before", "pop3 connect delay 3", "imap UID FETCH reset", ""]
)
def test_without_a_trap_no_customer_gets_a_mail(fault: str) -> None:
    world = merged(NO_TRAP.world, IMAP if fault.startswith("imap") else {})
    performance = rehearsal.rehearse(PAGE, replace(NO_TRAP, world=world), [fault] if fault else [])
    to = {address for mail in performance.envelopes for address in mail.to}
    assert not to & set(CUSTOMERS)
