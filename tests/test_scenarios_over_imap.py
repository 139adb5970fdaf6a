"""The receiving programs over IMAP: all their claims hold, and no cut or kill repeats anything."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from comms import settings
from fakes.world import World
from scenarios import catalogue, rehearsal
from scenarios.play import Act, merged
from scenarios.processing import tickets
from scenarios.processing.tickets_samples import CAROL, TICKETS, customer_mail
from scenarios.receiving import mysql_by_mail
from scenarios.receiving.mysql_by_mail_samples import INBOX, RESTART, SENDER
from tests import drills
from tests import test_scenarios_mysql_by_mail as by_mail
from tests import test_scenarios_tickets as desk

SERVERS = {"servers": ["smtp", "imap"]}
MYSQL, DESK = mysql_by_mail.WORLD | SERVERS, tickets.WORLD | SERVERS
MAILS = (by_mail.REQUEST, by_mail.STRANGER)
LETTERS = (desk.REQUEST, customer_mail("second", "dave@customer.test"))
# Acts about POP3 itself: how a session ends, how APOP logs in, which answers of POP3 are lost.
ABOUT_POP3 = {
    "inbox-count",
    "inbox-count-object",
    "apop-login",
    "mysql-cut-before-quit",
    "ticket-session-broken",
}
ACTS = [
    (page, act)
    for page in map(catalogue.named, ("mysql-by-mail", "tickets", "mysql-by-jabber"))
    for act in page.acts()
    if "pop3" in act.world["servers"] and act.name not in ABOUT_POP3
]


@pytest.mark.slow  # an act of each page over IMAP is played with all acts
@pytest.mark.parametrize(("page", "act"), ACTS, ids=[act.name for _, act in ACTS])
def test_every_claim_holds_over_imap_too(page: catalogue.Page, act: Act) -> None:
    over = {"servers": [name for name in act.world["servers"] if name != "pop3"] + ["imap"]}
    over["scenario"] = {page.name: {"mailbox": "imap"}}  # type: ignore[assignment]
    performance = rehearsal.rehearse(page, replace(act, world=merged(act.world, over)))
    assert performance.broken == [] and performance.protocols.isdisjoint({"pop3"})


# ── cut at every unit, killed at every step ──────────────────────────────────

MYSQL_CUTS = [
    cut
    for cut in drills.cuts(by_mail.rehearse(*MAILS, until=30, config=MYSQL).records)
    if cut.startswith("imap")
]
DESK_CUTS = [
    cut
    for cut in drills.cuts(desk.play(*LETTERS, until=30, config=DESK).records)
    if cut.startswith("imap")
]


@pytest.mark.parametrize("fault", drills.quick_at("imap UID_EXPUNGE nth 1", MYSQL_CUTS))
def test_wherever_the_connection_is_cut_the_command_runs_once(fault: str) -> None:
    world = by_mail.rehearse(*MAILS, faults=(fault,), config=MYSQL)
    assert world.host.ran == [RESTART]
    receipts = [mail for mail in world.mail.messages if mail.envelope.sender == SENDER]
    assert [mail.envelope.to for mail in receipts] == [["jeremy@yourco.test"]]
    assert world.state["ledger"] == ["done"]  # type: ignore[attr-defined]
    assert world.mail.maildrop(SENDER).rows == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", DESK_CUTS)
def test_wherever_the_connection_is_cut_a_mail_is_one_ticket(fault: str) -> None:
    played = desk.play(*LETTERS, faults=(fault,), config=DESK)
    subjects = sorted(subject for _, subject, _ in played.tickets)
    assert subjects == ["The printer is on fire", "second"]
    assert played.left == 0 and not played.kept and played.answers == ["sent", "sent"]


@pytest.mark.slow
def test_killed_at_any_step_the_command_starts_at_most_once(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for at in itertools.count(1):
        steps, status = by_mail.killed(at, tmp_path / str(at), MYSQL)
        seen[str(status)] += 1
        if steps is not None:
            break
    assert at > 50, "the program has that many steps"
    assert seen["['unknown']"] and seen["['done']"] > seen["['unknown']"]


@pytest.mark.slow
def test_killed_at_the_first_middle_or_last_step_a_mail_is_one_ticket(tmp_path: Path) -> None:
    steps, _ = desk.killed(0, tmp_path / "whole", DESK)
    assert steps is not None
    for at in (1, steps // 2, steps):
        assert desk.killed(at, tmp_path / str(at), DESK)[0] is None, "it was killed"


# ── others in the same mailbox ───────────────────────────────────────────────


@pytest.mark.slow
def test_four_instances_at_once_make_one_ticket_for_each_mail(tmp_path: Path) -> None:
    with World({**DESK, "tls": "off"}) as world:
        for number in range(5):
            world.mail.deliver(TICKETS, customer_mail(f"number {number}"))
        for _ in range(4):
            codes = drills.together(4, tickets.__name__, world.settings, tmp_path)
            assert set(codes) <= {0, 3, 4}, codes
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
