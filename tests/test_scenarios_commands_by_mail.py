"""Pages with commands by mail: cut at every unit, killed at every step, on a full disk.

Each case is a mail, or two, and the commands that they must start, each of them once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from comms import settings, sms
from comms.commands import Order, describe
from comms.errors import CommsError, StateError
from comms.host import Outcome
from comms.mail_program import MailProgram
from comms.read import read
from comms.state import State
from fakes.world import World
from scenarios.receiving import (
    mysql_admin_by_mail,
    phone_command,
    phone_command_desk,
    services_by_mail,
    services_by_mail_desk,
)
from scenarios.receiving import mysql_admin_by_mail_samples as admin
from scenarios.receiving import phone_command_samples as phones
from scenarios.receiving import services_by_mail_samples as services
from scenarios.receiving.services_by_mail_acts import HOSTILE
from tests import drills
from tests.thorough import THOROUGH

PASSWORD = "canary-p4ssw0rd"


@dataclass(frozen=True)
class Case:
    """A page, what arrives, and what must run."""

    page: ModuleType
    arrive: Callable[[World], None]
    ran: tuple[tuple[str, ...], ...]
    person: str  # who must be answered
    commands: Callable[[str], dict[str, Any]]  # the settings in which a command makes a file
    made: Callable[[Path], object] = lambda folder: ()  # what there must be in the end: `there`
    there: object = ()

    @property
    def name(self) -> str:
        return self.page.__name__.rpartition(".")[2].replace("_", "-")

    @property
    def account(self) -> str:
        return str(self.page.WORLD["program"])


def _two_commands(world: World) -> None:
    services.mails(world, services.JEREMY, text="run backup\nrestart web\n")
    services.mails(world, "eve@evil.example", "run backup")


def _one_text(world: World) -> None:
    world.mail.deliver(phones.INBOX, phones.text("r", "Message-ID: <1@acme.test>\r\n"))
    world.mail.deliver(phones.INBOX, phones.text("r", sender="eve@evil.example"))


def _two_statements(world: World) -> None:
    admin.mails(world, admin.JEREMY, "create database test_1\nshow databases\n")


CASES = [
    Case(
        mysql_admin_by_mail,
        _two_statements,
        (),
        admin.JEREMY,
        lambda folder: {"database": f"sqlite:///{folder}"},
        admin.databases,
        ["test_1"],
    ),
    Case(
        services_by_mail,
        _two_commands,
        (services.BACKUP, ("systemctl", "restart", "nginx")),
        services.JEREMY,
        lambda folder: {"jobs": {"backup": ["mktemp", "-p", folder]}},
    ),
    Case(
        phone_command,
        _one_text,
        (phones.RESTART,),
        phones.ANN,
        lambda folder: {
            "commands": {"restart web": ["mktemp", "-p", folder]},
            "short": {"r": "restart web"},
        },
    ),
]


def rehearse(
    case: Case, *faults: str, until: float = 100, config: Mapping[str, Any] | None = None
) -> World:
    """The world after the mails of a case arrived, and the program was started again if it died."""
    with World(config or case.page.WORLD, rehearsal=True, faults=faults) as world:
        case.arrive(world)
        world.clock.until(until)
        loaded = settings.load(world.settings, world.folder)
        try:
            case.page.run(world.clock, loaded, world.host)
        except CommsError:
            world.clock.until(world.clock.elapsed + until)
            case.page.run(world.clock, loaded, world.host)
        world.faults.disarm()
        world.made = case.made(world.folder)  # type: ignore[attr-defined]
    return world


def cuts(case: Case, only: str = "") -> Iterator[Any]:
    """The cuts of a case over POP3, the first, middle and last of them quick, or over IMAP."""
    servers = ["smtp", "imap"] if only else ["smtp", "pop3"]
    config = {**case.page.WORLD, "servers": servers}
    found = list(drills.cuts(rehearse(case, until=30, config=config).records))
    within = [cut for cut in found if cut.endswith("hang up within")]
    if only:
        rows = drills.marks([cut for cut in found if cut.startswith(only)], ())
    else:
        rows = drills.marks(found, drills.three_of(within))
    for cut, marks in rows:
        yield pytest.param(case, cut, config, marks=marks, id=f"{case.name} {only} {cut}")


ROWS = [row for case in CASES for only in ("", "imap") for row in cuts(case, only)]


@pytest.mark.parametrize(("case", "fault", "config"), ROWS)
def test_wherever_the_connection_is_cut_each_command_runs_once(
    case: Case, fault: str, config: Mapping[str, Any]
) -> None:
    world = rehearse(case, fault, config=config)
    assert tuple(world.host.ran) == case.ran
    assert world.made == case.there  # type: ignore[attr-defined]
    assert len(world.mail.inbox(case.person)) <= 1 and world.mail.inbox(case.account) == []
    # Without an answer, one is on record that may have arrived.
    sent = [mail for mail in world.mail.messages if mail.envelope.sender == case.account]
    assert {to for mail in sent for to in mail.envelope.to} <= {case.person}
    assert sent or fault.startswith("smtp"), fault


# ── killed, on a full disk, two at once ──────────────────────────────────────


def live(case: Case, world: World, folder: Path) -> dict[str, Any]:
    """Settings with a command that creates a file each time it is started."""
    started = folder / "started"
    started.mkdir(parents=True)
    table = {**world.settings["scenario"][case.name], **case.commands(str(started))}
    return {**world.settings, "scenario": {case.name: table}}


def settled(case: Case, world: World, folder: Path) -> str:
    """Checks what is there in the end; returns the status of each command."""
    with State(folder / f"{case.name}.sqlite3") as state:
        ledger = [str(row[0]) for row in state.rows("SELECT status FROM ledger ORDER BY id")]
        left = state.rows("SELECT 1 FROM memory WHERE key LIKE 'transcript%'")
        lost = state.rows("SELECT 1 FROM outbox_recipient WHERE status = 'unknown'")
    # There is no systemctl here: what it should have done has failed, and is on record.
    assert len(ledger) == len(case.ran or ledger[:2])
    assert {*ledger} <= {"done", "unknown", "failed", "skipped"}
    assert "skipped" not in ledger or (ledger[0] == "unknown" and case.page is mysql_admin_by_mail)
    started = len(list((folder / "started").iterdir()))
    assert started == 1 if ledger[0] == "done" else started <= 1
    answers = len(world.mail.inbox(case.person))
    assert answers == 1 or (answers == 0 and lost), "all commands of a mail have one answer"
    assert not left and world.mail.inbox(case.account) == []
    return ledger[0]


NAMED = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def killed(case: Case, at: int, folder: Path, config: Mapping[str, Any]) -> tuple[int | None, str]:
    """Kills the program at this step, and lets it run again."""
    with World({**config, "tls": "off"}) as world:
        table = live(case, world, folder)
        case.arrive(world)
        steps = drills.killed(at, case.page.__name__, table, folder)
        drills.start_again(case.page.__name__, table, folder)
        return steps, settled(case, world, folder)


@pytest.mark.slow
@NAMED
def test_killed_at_any_step_a_command_starts_at_most_once_and_is_answered(
    case: Case, tmp_path: Path
) -> None:
    seen: Counter[str] = Counter()

    def kill(at: int) -> int | None:
        steps, status = killed(case, at, tmp_path / str(at), case.page.WORLD)
        seen[status] += 1
        return steps

    assert drills.each_step(kill) > 50
    assert (seen["unknown"] and seen["done"] > seen["unknown"]) or not THOROUGH, seen


@pytest.mark.slow
@NAMED
def test_on_a_full_disk_nothing_is_lost_or_done_twice(case: Case, tmp_path: Path) -> None:
    codes: Counter[int] = Counter()
    for room in drills.rooms(200_000):
        folder = tmp_path / str(room)
        with World({**case.page.WORLD, "tls": "off"}) as world:
            table = live(case, world, folder)
            case.arrive(world)
            code = drills.on_full_disk(room, case.page.__name__, table, folder)
            codes[code] += 1
            drills.start_again(case.page.__name__, table, folder)
            settled(case, world, folder)
        if code == 0:
            break
    assert codes[StateError.exit_code] > 3 and codes[0] == 1, codes


@pytest.mark.slow
@NAMED
def test_two_instances_at_once_run_each_command_once(case: Case, tmp_path: Path) -> None:
    with World({**case.page.WORLD, "tls": "off"}) as world:
        table = live(case, world, tmp_path)
        case.arrive(world)
        codes = drills.together(4, case.page.__name__, table, tmp_path)
        assert 0 in codes and {*codes} <= {0, StateError.exit_code}
        drills.start_again(case.page.__name__, table, tmp_path)
        assert settled(case, world, tmp_path) == "done"


# ── secrets, and settings ────────────────────────────────────────────────────


@NAMED
def test_neither_password_nor_inbox_is_in_any_output(case: Case) -> None:
    people = [{**one, "password": PASSWORD} for one in case.page.WORLD["person"]]
    config = {**case.page.WORLD, "person": people}
    world = rehearse(case, "smtp connect refuse times 1", config=config)
    texts = [
        mail.raw.decode() for mail in world.mail.messages if mail.envelope.sender == case.account
    ]
    texts += [*world.said, *(event.text for event in world.events if event.who == "program")]
    inbox = services.INBOX.partition("@")[0]
    assert len(texts) > 3 and not [text for text in texts if PASSWORD in text or inbox in text]


@pytest.mark.parametrize(
    ("page", "change", "problem"),
    [
        (services_by_mail, {"services": {"we b": "nginx"}}, "services: 'we b' is not one word"),
        (services_by_mail, {"services": {}}, "services: is empty"),
        (services_by_mail, {"jobs": {"X": ["x"]}}, "jobs: 'X' is not one word"),
        (services_by_mail, {"moderators": []}, "moderators: nobody may approve"),
        (services_by_mail, {"moderators": ["x@y.test"]}, "moderators: not all are administrators"),
        (services_by_mail, {"sender": services.INBOX}, "would show the secret address"),
        (phone_command, {"commands": {"x" * 31: ["x"]}}, "commands: 'x+' is not in lower case, or"),
        (phone_command, {"commands": {"Go": ["x"]}}, "commands: 'Go' is not in lower case"),
        (phone_command, {"short": {"r": "reboot"}}, "commands: 'reboot', which .* 'r' stands for"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    page: ModuleType, change: dict[str, Any], problem: str
) -> None:
    name = page.__name__.rpartition(".")[2].replace("_", "-")
    table = {**page.WORLD["scenario"][name], **change}
    with pytest.raises(CommsError, match=problem):
        settings.load({"scenario": {name: table}}).table(name, page.Rules)


# ── hostile commands ─────────────────────────────────────────────────────────

# Beyond those of the act services-hostile, whose story has to fit on a screen.
MORE_HOSTILE = (
    "help",
    "approve ' OR 1=1 --",
    "restart nginx",
    "restart --now",
    "restart web && reboot",
    "restart `reboot`",
    "restart ../../bin/sh",
    "restart web.service",
    "restart web web",
    "restart",
    "web restart",
    "restart\u200b web",
    "run /usr/local/bin/backup",
    "run ../backup",
    "mail ann@yourco.test",
    "approve",
)


@pytest.mark.parametrize("text", (*HOSTILE, *MORE_HOSTILE))
def test_a_command_with_more_in_it_is_unknown_and_nothing_runs(text: str) -> None:
    with World(services_by_mail.WORLD, rehearsal=True) as world:
        subject = text if text.isascii() else "in the text"
        services.mails(world, services.JEREMY, subject, f"{text}\n")
        world.clock.until(30)
        loaded = settings.load(world.settings, world.folder)
        services_by_mail.run(world.clock, loaded, world.host)
        assert world.host.ran == []
        [answer] = world.mail.inbox(services.JEREMY)
        assert "unknown command" in answer.text


@pytest.mark.parametrize(
    ("command", "word", "answer", "ran"),
    [
        ("start web", "active", "is already running; nothing was done", 1),
        ("start web", "inactive", "done in", 2),
        ("stop web", "inactive", "is already stopped; nothing was done", 1),
        ("stop web", "deactivating", "done in", 2),
        ("stop web", "", "nothing was done, because its state cannot be found out: still run", 1),
    ],
)
def test_a_service_is_left_alone_only_if_its_state_is_known(
    command: str, word: str, answer: str, ran: int
) -> None:
    with World(services_by_mail.WORLD, rehearsal=True) as world:
        asked = world.host.commands[services.ACTIVE]
        asked.code, asked.output = 0 if word == "active" else 3, f"{word}\n"
        asked.takes = 0 if word else 1000
        loaded = settings.load(world.settings, world.folder)
        rules = loaded.table("services-by-mail", services_by_mail.Rules)
        order = Order(1, command, services.JEREMY, {})
        with MailProgram("services-by-mail", rules, loaded, world.clock, world.host) as program:
            verb = services_by_mail_desk.Desk(rules, program).verbs()[command].command
            assert callable(verb)
            outcome = verb(order)
        assert answer in describe(order, outcome, "web1")
        assert len(world.host.ran) == ran and not outcome.in_doubt


def test_the_subject_of_a_mail_for_a_list_is_one_line_of_safe_text() -> None:
    with World(services_by_mail.WORLD, rehearsal=True) as world:
        loaded = settings.load(world.settings, world.folder)
        rules = loaded.table("services-by-mail", services_by_mail.Rules)
        head = b"Subject: mail staff\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        mail = read(head + "Sun\x1b]0;x\x07day\u2028B\u202ecc: x\r\nFrom ten.\r\n".encode())
        with MailProgram("services-by-mail", rules, loaded, world.clock, world.host) as program:
            facts = services_by_mail_desk.Desk(rules, program).facts(mail)
        assert facts == {"_subject": "Sun ]0;x day B cc: x", "_text": "From ten."}


# ── what phones send, and read ───────────────────────────────────────────────


@pytest.mark.parametrize("name", phones.TEXTS)
def test_a_text_message_has_one_command(name: str) -> None:
    mail = read(phones.TEXTS[name])
    assert phone_command_desk.command(mail, phones.SETTINGS["short"]) == "restart web"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(0, "ok\n"), "web1: go: done. ok"),
        (Outcome(0, "“ok” – “fine”…"), 'web1: go: done. "ok" - "fine"...'),
        (Outcome(3, "no"), "web1: go: FAILED, exit status 3. no"),
        (Outcome(None, "", 0.0, "go could not be started"), "web1: go: FAILED, go could not"),
        (
            Outcome(None, "", 1.0, "still running after 1 s, and ended", in_doubt=True),
            "web1: go: still running after 1 s, and ended: whether it was done is not known.",
        ),
        (Outcome(0, "\n".join("€" * 500)), "web1: go: done. € €"),
        (Outcome(0, "\x1b[31m\0漢字" * 500), "web1: go: done. ?[31m???"),
    ],
)
def test_an_answer_is_one_text_message(outcome: Outcome, text: str) -> None:
    answer = phone_command_desk.answer(Order(1, "go", phones.ANN, {}), outcome, "web1")
    assert answer.startswith(text) and sms.size(answer) <= sms.LONGEST and "\n" not in answer
