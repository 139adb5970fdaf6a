"""Restart MySQL by mail: who is obeyed, and the order of effects.

The command runs at most once, wherever the connection is cut, the program is killed, or the disk
is full.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from comms import settings
from comms.errors import CommsError, StateError
from comms.state import State
from fakes.world import World
from scenarios.book import mysql_by_mail as book
from scenarios.receiving import mysql_by_mail
from scenarios.receiving.mysql_by_mail import WORLD, Rules
from scenarios.receiving.mysql_by_mail_samples import ADMINS, INBOX, RESTART, SENDER, request
from tests import drills

MODULE = mysql_by_mail.__name__
REQUEST = request(sender="Jeremy <jeremy@yourco.test>", message_id="one@phone.test")
STRANGER = request(sender="eve@evil.example", message_id="two@evil.example")


def rehearse(
    *mails: bytes,
    faults: tuple[str, ...] = (),
    run: Any = mysql_by_mail.run,
    restarts: int = 1,
    until: float = 100,
    config: Mapping[str, Any] = WORLD,
) -> World:
    """The world after these mails arrived and the program ran `restarts` times."""
    with World(config, rehearsal=True, faults=faults) as world:
        for mail in mails:
            world.mail.deliver(INBOX, mail)
        world.clock.until(until)
        loaded = settings.load(world.settings, world.folder)
        for _ in range(restarts):
            try:
                run(world.clock, loaded, world.host)
            except (CommsError, OSError, EOFError, ArithmeticError, ValueError):
                world.clock.until(world.clock.elapsed + until)
            except Exception as error:  # of poplib and smtplib: they end the printed listing
                assert run is book.run, error
        world.state = state_of(world)  # type: ignore[attr-defined]
        world.faults.disarm()
    return world


def state_of(world: World) -> dict[str, list[str]]:
    path = world.folder / "mysql-by-mail.sqlite3"
    if not path.exists():
        return {"ledger": [], "outbox": []}
    with State(path) as state:
        tables = {name for (name,) in state.rows("SELECT name FROM sqlite_master")}
        ledger = state.rows("SELECT status FROM ledger ORDER BY id") if "ledger" in tables else []
        outbox = (
            state.rows("SELECT status FROM outbox_recipient")
            if "outbox_recipient" in tables
            else []
        )
    return {"ledger": [str(row[0]) for row in ledger], "outbox": [str(row[0]) for row in outbox]}


# ── who is obeyed ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"admins": []}, "admins: is empty; write admins = "),
        ({"admins": ["Jeremy <j@yourco.test>"]}, "not a bare mail address"),
        ({"inbox": ""}, 'inbox: "" is not a bare mail address'),
        ({"poll": 0}, "more than 0"),
        ({"admin": ["a@b.c"]}, "did you mean 'admins'"),
        ({"restart": "systemctl restart"}, "a list"),
    ],
)
def test_wrong_settings_name_the_key_and_the_remedy(table: dict[str, Any], says: str) -> None:
    whole = {"scenario": {"mysql-by-mail": {"inbox": INBOX, "admins": list(ADMINS), **table}}}
    with pytest.raises(CommsError, match=says):
        settings.load(whole).table("mysql-by-mail", Rules)


def test_a_command_that_was_received_before_is_not_run_again() -> None:
    again = request(
        "Restart MySQL",
        "Jeremy <jeremy@yourco.test>",
        message_id="one@phone.test",
        body="once more",
    )
    date = "Date: Mon, 5 Jan 2026 00:00:00 +0000\r\n"
    dated = request(message_id="two@phone.test", more=date)
    encoded = dated.replace(b"Subject: Restart", b"Subject: =?utf-8?q?Restart?=")
    resent = f"Resent-From: {ADMINS[0]}\r\nResent-To: {INBOX}\r\n".encode() + dated
    quoted = "".join(f"> {line}\r\n" for line in dated.decode().splitlines())
    inside = "Content-Type: message/rfc822\r\n"
    forwarded = (
        request("Fwd: Restart MySQL", message_id="three@phone.test", body=quoted),
        request(
            "Fwd: Restart MySQL", message_id="four@phone.test", more=inside, body=dated.decode()
        ),
        request("", message_id="five@phone.test", more=inside, body=dated.decode()),
    )
    table = {**WORLD["scenario"]["mysql-by-mail"], "again": 0}
    config = {**WORLD, "scenario": {"mysql-by-mail": table}}
    mails = (REQUEST, REQUEST, again, dated, encoded, resent, *forwarded)
    assert rehearse(*mails, config=config).host.ran == [RESTART] * 2


def test_two_mails_without_date_and_id_are_two_commands_unless_fetched_twice() -> None:
    plain = b"From: jeremy@yourco.test\r\nSubject: Restart MySQL\r\n\r\n"
    table = {**WORLD["scenario"]["mysql-by-mail"], "again": 0}
    config = {**WORLD, "scenario": {"mysql-by-mail": table}}
    assert rehearse(plain, plain, config=config).host.ran == [RESTART, RESTART]
    assert rehearse(plain, faults=("pop3 QUIT lost unstored times 3",)).host.ran == [RESTART]


def test_the_same_command_by_another_mail_runs_if_it_is_repeated_with_the_word() -> None:
    with World(WORLD, rehearsal=True) as world:
        for number, at in enumerate((10, 40)):
            mail = request(message_id=f"{number}@phone.test")
            world.clock.at(at, partial(world.mail.deliver, INBOX, mail))

        def repeat() -> None:
            question = world.mail.inbox(ADMINS[0])[-1].text
            assert "you ordered this 30 s ago (it is done)" in question
            world.mail.deliver(INBOX, request(question.rpartition("900 s: ")[2].strip()))

        world.clock.at(200, repeat)
        world.clock.until(300)
        loaded = settings.load(world.settings, world.folder)
        mysql_by_mail.run(world.clock, loaded, world.host)
        assert world.host.ran == [RESTART] * 2 and len(world.mail.inbox(ADMINS[0])) == 3


def test_a_receipt_ignores_reply_to() -> None:
    world = rehearse(
        request(more="Reply-To: eve@evil.example\r\nReturn-Receipt-To: eve@evil.example\r\n")
    )
    receipts = [mail for mail in world.mail.messages if mail.envelope.sender == SENDER]
    assert [mail.envelope.to for mail in receipts] == [["jeremy@yourco.test"]]


def test_the_secret_address_is_never_printed_logged_or_sent() -> None:
    requests = [
        REQUEST,
        request("help me"),
        request(sender="eve@evil.example"),
        request(more=f"Reply-To: {INBOX}\r\n"),
    ]
    world = rehearse(*requests)
    logged = [event.text for event in world.events]
    sent = [mail.raw.decode() for mail in world.mail.messages if mail.envelope.sender == SENDER]
    assert len(sent) == 3 and not any(INBOX in text for text in logged + sent)


def test_receipts_never_use_the_secret_address_as_sender() -> None:
    people = [{"address": INBOX}, {"address": ADMINS[0]}]
    config = {
        **WORLD,
        "program": INBOX,
        "person": people,
        "scenario": {"mysql-by-mail": {"inbox": INBOX, "admins": [ADMINS[0]]}},
    }
    with World(config, rehearsal=True) as world:
        world.mail.deliver(INBOX, REQUEST)
        mysql_by_mail.run(world.clock, settings.load(world.settings, world.folder), world.host)
        (receipt,) = world.mail.inbox(ADMINS[0])
        assert world.host.ran == [RESTART] and INBOX.encode() not in receipt.raw


def test_a_command_that_hangs_is_ended_and_reported() -> None:
    table = {**WORLD["scenario"]["mysql-by-mail"], "timeout": 5}
    config = {**WORLD, "scenario": {"mysql-by-mail": table}}
    with World(config, rehearsal=True) as world:
        world.host.commands[RESTART].takes = 3600
        world.mail.deliver(INBOX, REQUEST)
        world.clock.until(60)
        mysql_by_mail.run(world.clock, settings.load(world.settings, world.folder), world.host)
        assert "still running after 5 s, and ended" in world.mail.inbox(ADMINS[0])[0].text


def table() -> Iterator[Any]:
    """The rows of tests/tables/senders.txt."""
    text = (Path(__file__).parent / "tables" / "senders.txt").read_text("utf-8")
    for block in text.split("\n== ")[1:]:
        title, _, mail = block.partition("\n")
        name, obeyed, answered = (part.strip() for part in title.split("|"))
        envelope = "jeremy@yourco.test"
        if mail.startswith("envelope: "):
            line, _, mail = mail.partition("\n")
            envelope = line.removeprefix("envelope: ").strip("<>")
        head, empty, body = mail.rstrip("\n").partition("\n\n")
        if head and not re.search(r"(?im)^subject:", head):
            head += "\nSubject: Restart MySQL"
        lines = "\n" + body + "\n"
        if head or empty:
            lines = head + "\n" + (empty and lines)
        data = re.sub(rb"\\x([0-9a-f]{2})", lambda hex: bytes([int(hex[1], 16)]), lines.encode())
        data = data.replace(b"\n", b"\r\n") + (b"" if empty else b"\r\n")
        yield pytest.param(data, envelope, obeyed == "yes", answered == "yes", id=name)


ROWS = list(table())


@pytest.mark.parametrize(("mail", "envelope", "obeyed", "answered"), ROWS)
def test_who_is_obeyed(mail: bytes, envelope: str, obeyed: bool, answered: bool) -> None:
    with World(WORLD, rehearsal=True) as world:
        world.mail.deliver(INBOX, mail, sender=envelope)
        mysql_by_mail.run(world.clock, settings.load(world.settings, world.folder), world.host)
        assert (world.host.ran == [RESTART]) == obeyed, [event.text for event in world.events]
        assert world.mail.inbox(SENDER) == []
        sent = [one.envelope.to for one in world.mail.messages if one.envelope.sender == SENDER]
        assert all(to == ["jeremy@yourco.test"] or to == ["JEREMY@YourCo.TEST"] for to in sent)


def test_the_table_has_at_least_forty_rows() -> None:
    assert len(ROWS) >= 40


# ── the order of effects ─────────────────────────────────────────────────────

PLAIN = rehearse(REQUEST, STRANGER, until=30)


CUTS = list(drills.cuts(PLAIN.records))
SAMPLED = [
    row
    for protocol in ("smtp", "pop3")
    for row in drills.first_middle_last(
        [cut for cut in CUTS if cut.startswith(protocol)], drills.place
    )
]


@pytest.mark.parametrize("fault", SAMPLED)
def test_wherever_the_connection_is_cut_the_command_runs_once_with_at_most_one_receipt(
    fault: str,
) -> None:
    world = rehearse(REQUEST, STRANGER, faults=(fault,))
    state = world.state  # type: ignore[attr-defined]
    assert world.host.ran == [RESTART]
    receipts = [mail for mail in world.mail.messages if mail.envelope.sender == SENDER]
    assert [mail.envelope.to for mail in receipts] in ([], [["jeremy@yourco.test"]])
    assert state["ledger"] == ["done"]
    # A receipt that may have arrived is on record, and is not sent again.
    assert state["outbox"] in ([], ["unknown"]) and (receipts or state["outbox"] == ["unknown"])
    assert world.mail.maildrop(SENDER).rows == []


@pytest.mark.slow
def test_the_printed_listing_runs_the_command_again_and_again() -> None:
    counts: Counter[int] = Counter()
    for fault in drills.cuts(rehearse(REQUEST, STRANGER, run=book.run, until=30).records):
        counts[
            len(rehearse(REQUEST, STRANGER, faults=(fault,), run=book.run, restarts=3).host.ran)
        ] += 1
    assert max(counts) > 1, "the connection was lost between the command and the answer to QUIT"
    forever = rehearse(
        REQUEST, faults=("pop3 QUIT lost unstored",), run=book.run, restarts=10, until=0
    )
    assert len(forever.host.ran) >= 10
    ours = rehearse(REQUEST, faults=("pop3 QUIT lost unstored",))
    assert len(ours.host.ran) == 1


@pytest.fixture
def world() -> Iterator[World]:
    with World({**WORLD, "tls": "off"}) as world:
        yield world


def live(world: World, folder: Path) -> dict[str, Any]:
    """Settings with a command that creates a file each time it is started."""
    started = folder / "started"
    started.mkdir()
    table = {
        **world.settings["scenario"]["mysql-by-mail"],
        "restart": ["mktemp", "-p", str(started)],
        "again": 0,
    }
    return {**world.settings, "scenario": {"mysql-by-mail": table}}


def settled(world: World, folder: Path) -> tuple[int, int, list[str], list[str]]:
    """(restarts, receipts, ledger, outbox) after the program ran on undisturbed."""
    with State(folder / "mysql-by-mail.sqlite3") as state:
        ledger = [str(row[0]) for row in state.rows("SELECT status FROM ledger")]
        outbox = [str(row[0]) for row in state.rows("SELECT status FROM outbox_recipient")]
    assert world.mail.inbox(SENDER) == [], "the maildrop is empty"
    assert list((folder / "mysql-by-mail.refused").glob("*.eml")), "the stranger's mail is kept"
    return (
        len(list((folder / "started").iterdir())),
        len(world.mail.inbox(ADMINS[0])),
        ledger,
        outbox,
    )


def holds(found: tuple[int, int, list[str], list[str]]) -> None:
    restarts, receipts, ledger, outbox = found
    assert ledger in (["done"], ["unknown"])
    assert restarts == 1 if ledger == ["done"] else restarts <= 1, "at most once; else reported"
    assert receipts == 1 or (receipts == 0 and outbox == ["unknown"])


def killed(
    at: int, folder: Path, config: Mapping[str, Any] = WORLD
) -> tuple[int | None, list[str]]:
    """Kills the program at this step and starts it again, twice.

    Returns the number of steps (None if it was killed), and the status of each command.
    """
    folder.mkdir()
    with World({**config, "tls": "off"}) as world:
        world.mail.deliver(INBOX, REQUEST)
        world.mail.deliver(INBOX, STRANGER)
        table = live(world, folder)
        steps = drills.killed(at, MODULE, table, folder)
        drills.start_again(MODULE, table, folder)
        found = settled(world, folder)
        holds(found)
    return steps, found[2]


@pytest.mark.slow
def test_killed_at_any_step_the_command_starts_at_most_once_and_is_reported(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    def kill(at: int) -> int | None:
        steps, status = killed(at, tmp_path / str(at))
        seen[str(status)] += 1
        return steps

    assert drills.each_step(kill, whole=True) > 50
    assert seen["['unknown']"] and seen["['done']"] > seen["['unknown']"]


@pytest.mark.slow
def test_on_a_full_disk_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    codes: Counter[int] = Counter()
    for room in drills.rooms(200_000):
        folder = tmp_path / str(room)
        folder.mkdir()
        with World({**WORLD, "tls": "off"}) as world:
            world.mail.deliver(INBOX, REQUEST)
            world.mail.deliver(INBOX, STRANGER)
            table = live(world, folder)
            code = drills.on_full_disk(room, MODULE, table, folder)
            codes[code] += 1
            before = len(list((folder / "started").iterdir()))
            assert before <= 1
            drills.start_again(MODULE, table, folder)
            holds(settled(world, folder))
        if code == 0:
            break
    assert codes[StateError.exit_code] > 5 and codes[0] == 1


@pytest.mark.parametrize("at", drills.first_middle_last(range(1, 30), int))
def test_a_commit_that_fails_loses_nothing(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = itertools.count(1)

    class Failing(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql == "COMMIT" and next(commits) == at:
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **o: connect(*a, **{**o, "factory": Failing})
    )
    world = rehearse(REQUEST, STRANGER, restarts=2)
    state = world.state  # type: ignore[attr-defined]
    assert state["ledger"] in (["done"], ["unknown"]) and len(world.host.ran) <= 1
    assert len(world.host.ran) == 1 or state["ledger"] == ["unknown"]
    assert world.mail.maildrop(SENDER).rows == []
    receipts = [mail for mail in world.mail.messages if mail.envelope.sender == SENDER]
    assert len(receipts) == 1 or state["outbox"] == ["unknown"]


@pytest.mark.slow  # the process that forks the programs has to start
def test_two_instances_at_once_run_each_command_once(tmp_path: Path) -> None:
    with World({**WORLD, "tls": "off"}) as world:
        for number in range(5):
            world.mail.deliver(INBOX, request(message_id=f"{number}@phone.test"))
        table = live(world, tmp_path)
        codes = drills.together(4, MODULE, table, tmp_path)
        assert 0 in codes and set(codes) <= {0, StateError.exit_code}, codes
        drills.start_again(MODULE, table, tmp_path)
        assert len(list((tmp_path / "started").iterdir())) == 5
        assert len(world.mail.inbox(ADMINS[0])) == 5


@pytest.mark.parametrize("command", ["connect", "STAT", "LIST", "QUIT"])
def test_a_mailbox_that_is_refused_once_does_not_end_the_program(command: str) -> None:
    world = rehearse(REQUEST, faults=(f'pop3 {command} reply "-ERR busy" times 1',))
    assert world.host.ran == [RESTART]
    assert world.mail.inbox(SENDER) == []
