"""Rounds that begin when mail arrives, or by the clock where no server tells."""

from __future__ import annotations

from typing import Any

import pytest

from comms import settings
from comms.doorbell import Doorbell
from fakes.world import World

ALICE = "alice@example.test"
MAIL = b"Subject: hi\r\n\r\n"


def rounds(protocol: str, *faults: str, until: float = 100, poll: float = 30, **config: Any) -> Any:
    """Returns when the rounds began, and what was logged; mail arrives after 10 and 50 seconds."""
    given = {"servers": [protocol], "program": ALICE, **config}
    with World(given, rehearsal=True, faults=faults) as world:
        world.clock.until(until)
        for seconds in (10, 50):
            world.clock.at(seconds, lambda: world.mail.deliver(ALICE, MAIL))
        server = settings.load(world.settings, world.folder).server(protocol)
        began = []
        with Doorbell(server, world.clock, world.host) as doorbell:
            for _ in doorbell.every(poll):
                began.append(world.clock.elapsed)
        logged = [event.text for event in world.events if event.who == "program"]
        return began, logged


def test_a_round_begins_when_mail_arrives() -> None:
    # The second round finds what arrived before the server was asked to tell.
    assert rounds("imap") == ([0, 1, 10, 41, 50, 81, 100, 101], [])


def test_without_idle_the_clock_decides() -> None:
    assert rounds("pop3") == ([0, 30, 60, 90, 120], [])
    assert rounds("imap", off={"imap": ["IDLE"]})[1] == []


@pytest.mark.parametrize(
    "fault", ["imap-bye-in-idle", "imap IDLE nth 2 reset", "imap connect reset"]
)
def test_a_lost_connection_is_replaced_after_the_next_round(fault: str) -> None:
    began, logged = rounds("imap", fault)
    assert len(began) < 12 and any(line.startswith("doorbell trouble=") for line in logged)


def test_a_server_that_refuses_to_wait_is_asked_once() -> None:
    began, logged = rounds("imap", 'imap IDLE reply "NO not here"', until=200)
    assert len(logged) == 1 and began[:4] == [0, 1, 32, 63]


def test_a_server_that_refuses_for_now_is_asked_again() -> None:
    began, logged = rounds("imap", 'imap SELECT times 1 reply "NO System error"', until=200)
    assert len(logged) == 1 and began[:5] == [0, 31, 32, 50, 81]


def test_it_logs_in_in_the_strongest_way_as_the_mailbox_does() -> None:
    config = {"servers": ["imap"], "program": ALICE, "mail": {"scram": True}}
    with World(config, rehearsal=True) as world:
        world.clock.until(2)
        server = settings.load(world.settings, world.folder).server("imap")
        with Doorbell(server, world.clock, world.host) as doorbell:
            list(doorbell.every(30))
        logins = [record for record in world.records if record.verb in ("AUTHENTICATE", "LOGIN")]
        assert [login.fields.get("mechanism") for login in logins] == ["SCRAM-SHA-256"]
