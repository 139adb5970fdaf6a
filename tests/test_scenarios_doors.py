"""The table of what holds over POP3 and over IMAP."""

from __future__ import annotations

import pytest

from scenarios import doors
from scenarios.doors import ABOUT, DOORS, LEGEND, Row
from scenarios.errors import FAILED
from scenarios.play import equal
from scenarios.rehearsal import Performance

ACTS = doors.acts()


def row(name: str) -> Row:
    """An act, played through its doors."""
    [played] = doors.play([(page, act) for page, act in ACTS if act.name == name])
    return played


def test_an_act_is_played_over_pop3_and_over_imap() -> None:
    played = row("bounce-loop-guard")
    assert [*played.cells] == [*DOORS] and played.exit_code == 0
    for door, other in (DOORS, DOORS[::-1]):
        protocols = played.cells[door].protocols
        assert door in protocols and other not in protocols
    _, title, line, *_ = doors.lines([played])
    assert title == "mysql-by-mail · Listing 6.4"
    assert line.split() == ["bounce-loop-guard", "✓", "5", "✓", "5"]


def test_an_act_about_one_protocol_says_what_it_is_about() -> None:
    played = row("apop-login")
    assert [*played.cells] == ["pop3"] and played.exit_code == 0
    assert [*doors.lines([played])][2].split() == ["apop-login", "✓", "5", "–", "APOP"]
    names = {act.name for _, act in ACTS}
    assert {*ABOUT} <= names and len(LEGEND) <= 100


@pytest.mark.parametrize("spoken", ["pop3", "imap"])
def test_a_claim_that_breaks_and_the_wrong_door_are_seen(spoken: str) -> None:
    page, act = next((page, act) for page, act in ACTS if act.name not in ABOUT)
    broken = Row(page, act, {"imap": Performance(act, [equal("it rains", 1, 2)])})
    assert broken.exit_code == FAILED
    assert [line.strip() for line in doors.lines([broken])][2:4] == [
        f"{act.name:30}–       ✗ 1",
        "imap: it rains",
    ]
    cell = Performance(act)
    cell.recording = row("apop-login").cells["pop3"].recording
    assert Row(page, act, {spoken: cell}).exit_code == (0 if spoken == "pop3" else FAILED)
