"""The receiving programs over IMAP: all their claims hold, and no cut or kill repeats anything."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from comms import settings
from comms.errors import StateError
from comms.state import State
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue, doors, rehearsal
from scenarios.jabber import mysql_by_jabber, mysql_by_jabber_acts
from scenarios.play import Act, merged
from scenarios.processing import autoresponder, mail_to_jabber, mail_to_webhook, tickets
from scenarios.processing.tickets_samples import CAROL, TICKETS, customer_mail
from scenarios.receiving import mysql_by_mail, secret_inbox
from scenarios.receiving.mysql_by_mail_samples import INBOX, RESTART, SENDER
from scenarios.sending import ship_notices
from scenarios.sending.ship_notices_samples import orders
from tests import drills
from tests import test_scenarios_autoresponder as answering
from tests import test_scenarios_commands_by_mail as by_command
from tests import test_scenarios_mail_to_jabber as to_jabber
from tests import test_scenarios_mail_to_webhook as to_webhook
from tests import test_scenarios_mysql_by_mail as by_mail
from tests import test_scenarios_secret_inbox as secret
from tests import test_scenarios_ship_notices as shipping
from tests import test_scenarios_tickets as desk
from tests.thorough import THOROUGH


def over_imap(world: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the world of a page with IMAP instead of POP3."""
    servers = ["imap" if name == "pop3" else name for name in world["servers"]]
    return {**world, "servers": servers}


MYSQL, DESK = over_imap(mysql_by_mail.WORLD), over_imap(tickets.WORLD)
MAILS = (by_mail.REQUEST, by_mail.STRANGER)
LETTERS = (desk.REQUEST, customer_mail("second", "dave@customer.test"))
TWO_DOORS = next((page, act) for page, act in doors.acts() if act.name == "mysql-two-doors")
NETWORKS = next(
    (page, doors.through(page, act, "imap"))
    for page, act in doors.acts()
    if act.name == "many-networks"
)
# Each act through the doors that it does not name itself.
THROUGH = [
    (page, act, door)
    for page, act in doors.acts()
    if doors.doors(act) == doors.DOORS
    for door in doors.DOORS
    if door not in act.world["servers"] or {*doors.DOORS} <= {*act.world["servers"]}
]
# Of each page the first, the middle and the last one; in `make soak`, all.
OTHER = [
    case
    for _, cases in itertools.groupby(THROUGH, lambda case: case[0].name)
    for case in (cases if THOROUGH else drills.three_of([*cases]))
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


def killed_with_two_doors(at: int, folder: Path) -> int | None:
    """Kills mysql-by-jabber at this step, while it obeys a mail, and lets it run again."""
    folder.mkdir()
    (folder / "started").mkdir()
    world_of = over_imap(merged(mysql_by_jabber.WORLD, mysql_by_jabber_acts.TWO_DOORS))
    with World({**world_of, "tls": "off"}) as world:
        person = mysql_by_jabber_acts.MICHAEL
        mysql_by_jabber_acts.orders(world, person, "Restart MySQL")
        mysql_by_jabber_acts.orders(world, mysql_by_jabber_acts.MALLORY, "Restart MySQL")
        command = ["mktemp", "-p", str(folder / "started")]
        rules = {**world.settings["scenario"]["mysql-by-jabber"], "restart": command}
        table = {**world.settings, "scenario": {"mysql-by-jabber": rules}}
        steps = drills.killed(at, mysql_by_jabber.__name__, table, folder)
        drills.start_again(mysql_by_jabber.__name__, table, folder)
        with State(folder / "mysql-by-jabber.sqlite3") as state:
            ledger = [str(row[0]) for row in state.rows("SELECT status FROM ledger")]
            lost = state.rows("SELECT 1 FROM outbox_recipient WHERE status = 'unknown'")
        started = len(list((folder / "started").iterdir()))
        assert ledger in (["done"], ["unknown"])
        assert started == 1 if ledger == ["done"] else started <= 1, "at most once; else reported"
        receipts = len(world.mail.inbox(person))
        assert receipts == 1 or (receipts == 0 and lost)
        assert world.mail.inbox(mysql_by_jabber.BOT) == []
    return steps


def records_of_networks() -> list[Record]:
    recording = rehearsal.rehearse(*NETWORKS).recording
    return [entry for entry in recording if isinstance(entry, Record)]


def everything_is_answered_once(fault: str) -> None:
    performance = rehearsal.rehearse(*NETWORKS, [fault])
    assert (performance.unmet, performance.broken) == ([], [])


def answers_once(fault: str) -> None:
    answering.test_wherever_the_connection_is_cut_each_mail_gets_one_answer(
        fault, over_imap(autoresponder.WORLD)
    )


def each_command_runs_once(case: by_command.Case, fault: str) -> None:
    by_command.test_wherever_the_connection_is_cut_each_command_runs_once(
        case, fault, over_imap(case.page.WORLD)
    )


def nobody_is_notified_twice(fault: str) -> None:
    world, found = shipping.play(2, fault, config=over_imap(ship_notices.WORLD))
    shipping.nobody_is_missing_or_notified_twice(Counter(orders(world)), found)


def both_mails_are_posted(fault: str) -> None:
    to_webhook.play(fault, config=over_imap(mail_to_webhook.WORLD))


def _cuts_of_webhook() -> list[str]:
    played = to_webhook.play(config=over_imap(mail_to_webhook.WORLD))
    return cuts(record for record in played.records if record.session <= 3)


# Program → all ways to cut its sessions of IMAP, and what must hold after each of them.
CUTS: dict[str, tuple[Callable[[], list[str]], Callable[[str], None]]] = {
    "mysql-by-mail": (mysql_cuts, command_runs_once),
    "tickets": (desk_cuts, mail_is_one_ticket),
    "mysql-by-jabber": (lambda: cuts(records_of_two_doors()), orders_of_both_doors_run_once),
    "many-networks": (lambda: cuts(records_of_networks()), everything_is_answered_once),
    "autoresponder": (
        lambda: cuts(answering.rehearse(until=30, config=over_imap(autoresponder.WORLD)).records),
        answers_once,
    ),
    "secret-inbox": (
        lambda: secret.IMAP_CUTS,
        lambda fault: secret.holds(secret.rehearse(fault, config=secret.IMAP)),
    ),
    **{
        case.name: (
            partial(
                lambda case: cuts(
                    by_command.rehearse(case, until=30, config=over_imap(case.page.WORLD)).records
                ),
                case,
            ),
            partial(each_command_runs_once, case),
        )
        for case in by_command.CASES
    },
    "mail-to-jabber": (
        lambda: cuts(
            to_jabber.rehearsed(
                to_jabber.BOTH, until=60, config=over_imap(mail_to_jabber.WORLD)
            ).records
        ),
        lambda fault: to_jabber.each_user_is_told(fault, over_imap(mail_to_jabber.WORLD)),
    ),
    "mail-to-webhook": (
        _cuts_of_webhook,
        both_mails_are_posted,
    ),
    "ship-notices": (
        lambda: cuts(shipping.play(2, config=over_imap(ship_notices.WORLD))[0].records),
        nobody_is_notified_twice,
    ),
}
# Program → kills it at a step over IMAP, and checks what must hold; returns the number of steps,
# or None if it was killed.
KILLS: dict[str, Callable[[int, Path], int | None]] = {
    "mysql-by-mail": lambda at, folder: by_mail.killed(at, folder, MYSQL)[0],
    "tickets": lambda at, folder: desk.killed(at, folder, DESK)[0],
    "mysql-by-jabber": killed_with_two_doors,
    "autoresponder": lambda at, folder: answering.killed(
        at, folder, over_imap(autoresponder.WORLD)
    )[0],
    "secret-inbox": lambda at, folder: secret.killed(at, folder, over_imap(secret_inbox.WORLD))[0],
    **{
        case.name: partial(
            lambda case, at, folder: by_command.killed(
                case, at, folder, over_imap(case.page.WORLD)
            )[0],
            case,
        )
        for case in by_command.CASES
    },
    "mail-to-jabber": lambda at, folder: to_jabber.killed(
        at, folder, over_imap(mail_to_jabber.WORLD)
    ),
    "mail-to-webhook": lambda at, folder: to_webhook.killed(
        at, folder, over_imap(mail_to_webhook.WORLD)
    ),
    "ship-notices": lambda at, folder: shipping.killed(at, folder, over_imap(ship_notices.WORLD)),
}
# These programs only read; the two tables name all others (the tests compare them).
READERS = {"inbox-count", "mail-trap"}
SHARED = {"many-networks"}  # not killed here: its mail goes through the door of mysql-by-jabber
QUICK = "imap UID_EXPUNGE nth 1 hang up within"
# Their own tests cut them over IMAP.
WITH_TESTS = {"autoresponder", "secret-inbox", *(case.name for case in by_command.CASES)}


def test_every_program_that_receives_is_cut_and_killed_over_imap() -> None:
    names = {page.name for page in doors.pages()}
    assert CUTS.keys() | READERS == KILLS.keys() | READERS | SHARED == names


def test_a_command_runs_once_if_the_connection_is_lost_while_its_mail_is_removed() -> None:
    command_runs_once(QUICK)


def test_a_mail_that_is_received_again_is_audited_under_its_person() -> None:
    everything_is_answered_once("imap UID_STORE nth 1 hang up before")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CUTS if name not in WITH_TESTS])
def test_over_imap_nothing_is_lost_or_done_twice_wherever_the_connection_is_cut(name: str) -> None:
    found, check = CUTS[name]
    for fault in some(found()):
        check(fault)


@pytest.mark.slow
def test_over_pop3_an_order_of_two_doors_runs_once_wherever_the_connection_is_cut() -> None:
    for fault in some(cuts(records_of_two_doors("pop3"), "pop3")):
        orders_of_both_doors_run_once(fault, "pop3")


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLS)
def test_over_imap_nothing_is_lost_or_done_twice_wherever_the_program_is_killed(
    name: str, tmp_path: Path
) -> None:
    assert drills.each_step(lambda at: KILLS[name](at, tmp_path / str(at))) > 30


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
