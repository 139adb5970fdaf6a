"""mail-trap: no customer is written to unless the server is a trap, whatever goes wrong."""

from __future__ import annotations

import pytest

from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.sending.mail_trap import CUSTOMERS
from tests.command import run_command
from tests.drills import cuts, first_middle_last

PAGE = catalogue.named("mail-trap")
ACT, _, NO_TRAP, _ = PAGE.acts()


@pytest.mark.slow
def test_on_fake_servers_in_real_time_the_mails_are_trapped() -> None:
    done = run_command("live", "mail-trap")
    assert done.returncode == 0
    assert done.stdout.endswith("ann@gmail.test: trapped\nbob@aol.test: trapped\n")


def recorded() -> list[Record]:
    """What crosses the wire in the first act."""
    recording = rehearsal.rehearse(PAGE, ACT).recording
    return [item for item in recording if isinstance(item, Record)]


CUTS = first_middle_last(cuts(recorded()), str)


@pytest.mark.parametrize("fault", CUTS)
def test_wherever_a_connection_is_lost_the_program_says_that_not_all_is_well(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [fault])
    assert (performance.unmet, performance.tracebacks) == ([], [])
    texts = [event["text"] for event in performance.events]
    trapped = sum(text.endswith(": trapped") for text in texts)
    failed = any(text.startswith("ends with exit code") for text in texts)
    assert failed != (trapped == 2)
    if trapped:
        assert len(performance.mails) == 3


@pytest.mark.parametrize("fault", ["RETR reset", "UIDL hang up before", "connect delay 3", ""])
def test_without_a_trap_no_customer_gets_a_mail(fault: str) -> None:
    faults = [f"pop3 {fault}"] if fault else []
    performance = rehearsal.rehearse(PAGE, NO_TRAP, faults)
    to = {address for mail in performance.envelopes for address in mail.to}
    assert not to & set(CUSTOMERS)
