"""The autoresponder: who gets an answer; cut at every unit, killed at every step, a full disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from comms import settings
from comms.errors import CommsError, StateError
from comms.read import read
from comms.state import State
from fakes.world import World
from scenarios.processing import autoresponder
from scenarios.processing.autoresponder import WORLD, Rules, address_of, objection
from scenarios.processing.autoresponder_samples import (
    ANN,
    INFO,
    JEREMY,
    ROBOT,
    SALES,
    answers,
    prepared,
    writes,
)
from tests import drills
from tests.thorough import THOROUGH

MODULE = autoresponder.__name__
PASSWORD = "canary-p4ssw0rd"
TABLE = {"scenario": {"autoresponder": prepared()}}
RULES = settings.load(TABLE).table("autoresponder", Rules)


def trace(to: str, path: str = f"<{ANN}>") -> str:
    """What our server writes above a mail."""
    line = f"Return-Path: {path}\r\n" if path else ""
    return f"{line}Delivered-To: {to}\r\nReceived: from x by mx.yourco.test; now\r\n"


# ── the decision ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("to", "address"),
    [
        (INFO, INFO),
        (INFO.upper(), INFO),
        ("info+a+b@yourco.test", INFO),
        ("+info@yourco.test", ""),
        ("info@yourco.test.evil.example", ""),
        ("information@yourco.test", ""),
        (ROBOT, ""),
        ("", ""),
    ],
)
def test_the_envelope_says_which_address_answers(to: str, address: str) -> None:
    mail = read(f"{trace(to)}From: {ANN}\r\nTo: {SALES}\r\n\r\n".encode())
    assert address_of(mail, RULES.answers) == address


def test_an_address_is_known_by_its_domain_in_ascii() -> None:
    known = {"info@bücher.test": Path("x")}
    mail = read(f"{trace('info+a@xn--bcher-kva.test')}From: {ANN}\r\n\r\n".encode())
    assert address_of(mail, known) == "info@bücher.test"


def test_a_header_that_the_sender_wrote_says_nothing() -> None:
    mail = read(f"From: {ANN}\r\nTo: {INFO}\r\nDelivered-To: {INFO}\r\n\r\n".encode())
    assert address_of(mail, RULES.answers) == ""


@pytest.mark.parametrize(
    ("address", "path", "header", "reason"),
    [
        (INFO, f"<{ANN}>", f"From: {ANN}", ""),
        (INFO, "", f"From: {ANN}", "our server has not recorded its envelope sender"),
        (INFO, "<>", f"From: {ANN}", "the envelope sender is null"),
        (INFO, f"<{SALES}>", f"From: {ANN}", "it is our own"),
        (INFO, f"<{ANN}>", f"From: {ANN}\r\nReply-To: {JEREMY}", "it is our own"),
        ("", f"<{ANN}>", f"From: {ANN}", "not to an address that answers"),
        (JEREMY, f"<{ANN}>", f"From: {ANN}", "it does not name the person who is away"),
        (JEREMY, f"<{ANN}>", f"From: {ANN}\r\nTo: J <{JEREMY}>", ""),
        (JEREMY, f"<{ANN}>", f"From: {ANN}\r\nTo: x@y.test\r\nCc: {JEREMY.upper()}", ""),
        (JEREMY, f"<{ANN}>", f"From: {ANN}\r\nTo: x@y.test\r\nBcc: {JEREMY}", ""),
        (JEREMY, f"<{ANN}>", f"From: {ANN}\r\nTo: x@y.test\r\nResent-To: J <{JEREMY}>", ""),
        (JEREMY, f"<{ANN}>", f"From: {ANN}\r\nResent-Cc: x@y.test, {JEREMY}", ""),
        (
            JEREMY,
            f"<{ANN}>",
            f"From: {ANN}\r\nX-To: {JEREMY}",
            "it does not name the person who is away",
        ),
    ],
)
def test_who_gets_an_answer(address: str, path: str, header: str, reason: str) -> None:
    mail = read(f"{trace(address, path)}{header}\r\n\r\n".encode())
    assert objection(mail, address, RULES) == reason


def test_settings_without_an_address_are_refused() -> None:
    with pytest.raises(CommsError, match="answers: is empty; write answers = "):
        settings.load({"scenario": {"autoresponder": {}}}).table("autoresponder", Rules)
    wrong = {"scenario": {"autoresponder": {"answers": {INFO: "no-such-file"}}}}
    with pytest.raises(CommsError, match="no-such-file"):
        settings.load(wrong).table("autoresponder", Rules)


# ── drills ───────────────────────────────────────────────────────────────────


def rehearse(*faults: str, until: float = 100, config: Mapping[str, Any] = WORLD) -> World:
    """The world after a person, a program and a person who wants Jeremy have written."""
    with World(config, rehearsal=True, faults=faults) as world:
        writes(world, INFO, ANN, "Hours?")
        writes(world, INFO, ANN, "Away", "Auto-Submitted: auto-replied\r\n")
        writes(world, JEREMY, ANN, "Lunch?")
        world.clock.until(until)
        loaded = settings.load(world.settings, world.folder)
        try:
            autoresponder.run(world.clock, loaded, world.host)
        except CommsError:
            world.clock.until(world.clock.elapsed + until)
            autoresponder.run(world.clock, loaded, world.host)
        with State(world.folder / "autoresponder.sqlite3") as state:
            world.lost = state.rows(  # type: ignore[attr-defined]
                "SELECT 1 FROM outbox_recipient WHERE status = 'unknown'"
            )
        world.faults.disarm()
    return world


def cuts(servers: list[str]) -> Iterator[Any]:
    """At every unit: three of them quick, with POP3; in `make soak` most of those with IMAP."""
    config = {**WORLD, "servers": servers}
    found = list(drills.cuts(rehearse(until=30, config=config).records))
    within = [cut for cut in found if cut.endswith("hang up within")]
    if "imap" in servers:
        rows = drills.marks([cut for cut in found if cut.startswith("imap")], ())
    else:
        rows = drills.marks(found, drills.three_of(within))
    for cut, marks in rows:
        yield pytest.param(cut, config, marks=marks, id=f"{servers[1]} {cut}")


ROWS = [row for servers in (["smtp", "pop3"], ["smtp", "imap"]) for row in cuts(servers)]


@pytest.mark.parametrize(("fault", "config"), ROWS)
def test_wherever_the_connection_is_cut_each_mail_gets_one_answer(
    fault: str, config: Mapping[str, Any]
) -> None:
    world = rehearse(fault, config=config)
    subjects = sorted(mail.subject for mail in answers(world, ANN))
    lost = len(world.lost)  # type: ignore[attr-defined]
    assert len({*subjects}) == len(subjects) and {*subjects} <= {"Auto: Hours?", "Auto: Lunch?"}
    # What may have arrived is on record, and is not sent again.
    assert len(subjects) + lost >= 2 and world.mail.inbox(ROBOT) == []


def prepare(
    folder: Path, config: Mapping[str, Any] = WORLD
) -> Iterator[tuple[World, dict[str, Any]]]:
    folder.mkdir()
    with World({**config, "tls": "off"}) as world:
        writes(world, INFO, ANN, "Hours?")
        writes(world, SALES, ANN, "Prices?")
        writes(world, INFO, ANN, "Away", "Auto-Submitted: auto-replied\r\n")
        yield world, dict(world.settings)


def settled(world: World, folder: Path) -> int:
    """Checks what is there in the end; returns how many answers have arrived."""
    with State(folder / "autoresponder.sqlite3") as state:
        ledger = [str(row[0]) for row in state.rows("SELECT status FROM ledger")]
        lost = state.rows("SELECT 1 FROM outbox_recipient WHERE status = 'unknown'")
    assert sorted(ledger) == ["done", "done", "silent"] and world.mail.inbox(ROBOT) == []
    subjects = [mail.subject for mail in answers(world, ANN)]
    assert len({*subjects}) == len(subjects) and len(subjects) + len(lost) >= 2
    return len(subjects)


def killed(at: int, folder: Path, config: Mapping[str, Any] = WORLD) -> tuple[int | None, int]:
    """Kills the program at this step, and lets it run again."""
    for world, table in prepare(folder, config):
        steps = drills.killed(at, MODULE, table, folder)
        drills.start_again(MODULE, table, folder)
        arrived = settled(world, folder)
    return steps, arrived


@pytest.mark.slow
def test_killed_at_any_step_each_mail_gets_at_most_one_answer(tmp_path: Path) -> None:
    seen: Counter[int] = Counter()

    def kill(at: int) -> int | None:
        steps, arrived = killed(at, tmp_path / str(at))
        seen[arrived] += 1
        return steps

    assert drills.each_step(kill) > 50
    assert seen[2] > seen[1] > 0 or not THOROUGH, seen


@pytest.mark.slow
def test_on_a_full_disk_no_answer_is_lost_or_sent_twice(tmp_path: Path) -> None:
    codes: Counter[int] = Counter()
    for room in drills.rooms(200_000):
        folder = tmp_path / str(room)
        for world, table in prepare(folder):
            code = drills.on_full_disk(room, MODULE, table, folder)
            codes[code] += 1
            drills.start_again(MODULE, table, folder)
            settled(world, folder)
        if code == 0:
            break
    assert codes[StateError.exit_code] > 3 and codes[0] == 1, codes


@pytest.mark.slow
def test_two_instances_at_once_answer_each_mail_once(tmp_path: Path) -> None:
    folder = tmp_path / "both"
    for world, table in prepare(folder):
        assert {*drills.together(4, MODULE, table, folder)} <= {0, StateError.exit_code}
        drills.start_again(MODULE, table, folder)
        assert settled(world, folder) == 2


def test_a_clock_that_jumps_answers_nothing_twice() -> None:
    with World(WORLD, rehearsal=True) as world:
        writes(world, JEREMY, ANN, "Lunch?")
        world.clock.at(40, lambda: world.clock.jump(-86400))
        world.clock.at(50, lambda: writes(world, JEREMY, ANN, "Dinner?"))
        world.clock.until(100)
        loaded = settings.load(world.settings, world.folder)
        autoresponder.run(world.clock, loaded, world.host)
        assert [mail.subject for mail in answers(world, ANN)] == ["Auto: Lunch?"]


def test_the_password_is_in_no_output() -> None:
    people = [{**one, "password": PASSWORD} for one in WORLD["person"]]
    world = rehearse("smtp connect refuse times 1", config={**WORLD, "person": people})
    texts = [mail.raw.decode() for mail in answers(world, ANN)]
    texts += [*world.said, *(event.text for event in world.events)]
    assert len(texts) > 3 and not [text for text in texts if PASSWORD in text]
