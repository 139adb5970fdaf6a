"""The receiving programs over IMAP: all their claims hold, and no cut or kill repeats anything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from comms import settings
from comms.errors import StateError
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue, doors, rehearsal
from scenarios.play import Act
from scenarios.processing import tickets
from scenarios.processing.tickets_samples import CAROL, TICKETS, customer_mail
from scenarios.receiving import mysql_by_mail
from scenarios.receiving.mysql_by_mail_samples import INBOX, RESTART, SENDER
from tests import drills
from tests import test_scenarios_mysql_by_mail as by_mail
from tests import test_scenarios_tickets as desk
from tests.thorough import THOROUGH

SERVERS = {"servers": ["smtp", "imap"]}
MYSQL, DESK = mysql_by_mail.WORLD | SERVERS, tickets.WORLD | SERVERS
MAILS = (by_mail.REQUEST, by_mail.STRANGER)
LETTERS = (desk.REQUEST, customer_mail("second", "dave@customer.test"))
TWO_DOORS = next((page, act) for page, act in doors.acts() if act.name == "mysql-two-doors")
# Each act through the doors that it does not name itself.
OTHER = [
    (page, act, door)
    for page, act in doors.acts()
    if doors.doors(act) == doors.DOORS
    for door in doors.DOORS
    if door not in act.world["servers"] or {*doors.DOORS} <= {*act.world["servers"]}
]


@pytest.mark.slow  # an act of each page over IMAP is played with all acts
@pytest.mark.parametrize(
    ("page", "act", "door"), OTHER, ids=[f"{act.name}-{door}" for _, act, door in OTHER]
)
def test_every_claim_holds_through_the_other_door(
    page: catalogue.Page, act: Act, door: str
) -> None:
    [row] = doors.play([(page, act)], (door,))
    assert row.cells[door].broken == [] and row.exit_code == 0


# ── cut at every unit, killed at every step ──────────────────────────────────
#
# Here at the first, the middle and the last one; in `make soak` at all of them.


def cuts(records: Iterable[Record], door: str = "imap") -> list[str]:
    return [cut for cut in drills.cuts(records) if cut.startswith(door)]


def records_of_two_doors(door: str = "imap") -> list[Record]:
    page, act = TWO_DOORS
    recording = rehearsal.rehearse(page, doors.through(page, act, door)).recording
    return [entry for entry in recording if isinstance(entry, Record)]


def some(found: list[str]) -> list[str]:
    """Returns the cuts at the first, the middle and the last unit; in `make soak`, all."""
    places = list(dict.fromkeys(map(drills.place, found)))
    chosen = places if THOROUGH else drills.three_of(places)
    return [cut for cut in found if drills.place(cut) in chosen]


def mysql_cuts() -> list[str]:
    return cuts(by_mail.rehearse(*MAILS, until=30, config=MYSQL).records)


def desk_cuts() -> list[str]:
    return cuts(desk.play(*LETTERS, until=30, config=DESK).records)


def command_runs_once(fault: str) -> None:
    """A command by mail runs once, and is answered once, however the connection is cut."""
    world = by_mail.rehearse(*MAILS, faults=(fault,), config=MYSQL)
    assert world.host.ran == [RESTART]
    receipts = [mail for mail in world.mail.messages if mail.envelope.sender == SENDER]
    assert [mail.envelope.to for mail in receipts] == [["jeremy@yourco.test"]]
    assert world.state["ledger"] == ["done"]  # type: ignore[attr-defined]
    assert world.mail.maildrop(SENDER).rows == []


def mail_is_one_ticket(fault: str) -> None:
    played = desk.play(*LETTERS, faults=(fault,), config=DESK)
    subjects = sorted(subject for _, subject, _ in played.tickets)
    assert subjects == ["The printer is on fire", "second"]
    assert played.left == 0 and not played.kept and played.answers == ["sent", "sent"]


def orders_of_both_doors_run_once(fault: str, door: str = "imap") -> None:
    page, act = TWO_DOORS
    performance = rehearsal.rehearse(page, doors.through(page, act, door), [fault])
    assert performance.unmet == []
    ran = Counter(event["text"] for event in performance.events if event["text"][:5] == "runs:")
    assert sorted(ran.values()) == [1, 2], "a stop by mail, and a restart by each of two messages"
    assert {*performance.broken} <= {"mail is answered by mail"}, "not yet, if the link was cut"


QUICK = "imap UID_EXPUNGE nth 1 hang up within"


def test_a_command_runs_once_if_the_connection_is_lost_while_its_mail_is_removed() -> None:
    command_runs_once(QUICK)


@pytest.mark.slow
def test_wherever_the_connection_is_cut_the_command_runs_once() -> None:
    for fault in some(mysql_cuts()):
        command_runs_once(fault)


@pytest.mark.slow
def test_wherever_the_connection_is_cut_a_mail_is_one_ticket() -> None:
    for fault in some(desk_cuts()):
        mail_is_one_ticket(fault)


@pytest.mark.slow
@pytest.mark.parametrize("door", doors.DOORS)
def test_wherever_the_connection_is_cut_an_order_runs_once(door: str) -> None:
    for fault in some(cuts(records_of_two_doors(door), door)):
        orders_of_both_doors_run_once(fault, door)


@pytest.mark.slow
def test_killed_at_any_step_the_command_starts_at_most_once(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: by_mail.killed(at, tmp_path / str(at), MYSQL)[0]) > 50


@pytest.mark.slow
def test_killed_at_any_step_a_mail_is_one_ticket(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: desk.killed(at, tmp_path / str(at), DESK)[0]) > 40


# ── others in the same mailbox ───────────────────────────────────────────────


@pytest.mark.slow
def test_of_four_instances_at_once_on_sqlite_one_works(tmp_path: Path) -> None:
    with World({**DESK, "tls": "off"}) as world:
        for number in range(5):
            world.mail.deliver(TICKETS, customer_mail(f"number {number}"))
        for _ in range(4):
            codes = drills.together(4, tickets.__name__, world.settings, tmp_path)
            assert set(codes) <= {0, 3, 4, StateError.exit_code}, codes
        assert world.mail.inbox(TICKETS) == []
        found = desk.rows(tmp_path, "SELECT subject FROM ticket ORDER BY subject")
        assert [row[0] for row in found] == [f"number {number}" for number in range(5)]
        subjects = [re.sub(r" \[#\d+\]", "", mail.subject) for mail in world.mail.inbox(CAROL)]
        assert len(subjects) == len(set(subjects)) == 5


@pytest.mark.parametrize("nth", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3, 4))])
@pytest.mark.parametrize("doing", ["removes", "marks", "reads"])
def test_a_person_may_use_the_mailbox_while_the_program_reads_it(doing: str, nth: int) -> None:
    """The answer to the n-th FETCH takes five seconds, in which a person does something."""
    with World(MYSQL, rehearsal=True) as world:
        world.faults.arm(f"imap UID FETCH nth {nth} delay 5")
        inbox = world.mail.folder(SENDER)
        for mail in MAILS:
            world.mail.deliver(INBOX, mail)
        stranger = inbox.mails[1].uid
        does = {
            "removes": partial(inbox.remove, stranger),
            "marks": partial(inbox.flag, stranger, "\\Deleted"),
            "reads": partial(inbox.flag, stranger, "\\Seen"),
        }
        world.clock.at(2, does[doing])
        world.clock.until(100)
        loaded = settings.load(world.settings, world.folder)
        assert mysql_by_mail.run(world.clock, loaded, world.host) == 0
        assert world.host.ran == [RESTART]
        # What was marked before the program had seen it is left for the person.
        assert inbox.flags in ({}, {stranger: ["\\Deleted"]} if doing == "marks" else {})
