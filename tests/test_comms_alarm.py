"""The owner is warned of refused mail: what counts, and how often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comms.alarm import alarm
from comms.commands import Commands
from comms.mail_door import MailDoor, MailRules
from comms.settings import Server
from comms.state import State
from fakes.world import World

OWNER = "owner@yourco.test"


def warned(folder: Path, *reasons: tuple[float, str], owner: str = OWNER) -> list[str]:
    """The texts of the alarms that wait to be sent, after refusals at these times."""
    pop3, smtp = Server("pop3", "x.test", 110), Server("smtp", "x.test", 25)
    with World({"servers": []}, rehearsal=True) as world, State(folder / "state") as state:
        commands = Commands(state, {}, {}, world.clock, world.host)
        rules = MailRules(pop3, smtp, "secret@yourco.test", ("jeremy@yourco.test",))
        door = MailDoor(rules, commands, world.clock, world.host)
        start = world.clock.time()
        for at, reason in reasons:
            world.clock.jump(start + at - world.clock.time())
            alarm(owner, state, world.clock, world.host, door, reason)
        rows: list[Any] = state.rows("SELECT data FROM outbox ORDER BY id")
    return [str(row[0], "ascii").partition("\r\n\r\n")[2] for row in rows]


def test_the_first_refusal_warns_and_later_ones_wait_for_an_hour(tmp_path: Path) -> None:
    refusals = [(0, "a stranger"), (1, "a stranger"), (3599, "wrong inbox"), (3600, "a stranger")]
    first, second = warned(tmp_path, *refusals)
    assert first.startswith("Refused since the last alarm: 1\r\n- a stranger: 1\r\n")
    wanted = "Refused since the last alarm: 3\r\n- a stranger: 2\r\n- wrong inbox: 1\r\n"
    assert second.startswith(wanted) and "secret@" not in first + second


@pytest.mark.parametrize("reason", ["received before", "automatic: it is a report", ""])
def test_what_is_no_attack_warns_nobody(tmp_path: Path, reason: str) -> None:
    assert warned(tmp_path, (0, reason)) == []
    assert warned(tmp_path, (0, "a stranger"), owner="") == []


def test_a_clock_that_was_ahead_holds_back_no_alarm(tmp_path: Path) -> None:
    assert len(warned(tmp_path, (86400, "a stranger"), (0, "a stranger"))) == 2
