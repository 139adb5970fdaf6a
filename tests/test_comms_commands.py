"""Commands: their form, rights, confirmation; each runs once, even over crashes; the ledger."""

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comms.clock import RealClock
from comms.commands import (
    AUDIT_ROWS,
    Commands,
    Order,
    Refusal,
    Verb,
    describe,
    is_offered,
    misspelt,
    names,
    normalized,
)
from comms.errors import StateError
from comms.host import Outcome, OutcomeLike, RealHost
from comms.ledger import Ledger
from comms.state import State
from fakes.host import Command
from fakes.world import World

VERBS = {
    "restart mysql": Verb(("restart",), "mysql", 10),
    "stop mysql": Verb(("stop",), "mysql", 10),
    "drop mysql": Verb(("stop",), "mysql", 10, confirm=True),
    "status": Verb(("status",), "other"),
}
RIGHTS = {"jeremy": ["*"], "michael": ["status"]}


class Desk:
    """Commands on the host of a world, and what was reported of them."""

    def __init__(self, folder: Path, world: World) -> None:
        self.state = State(folder / "state.sqlite3")
        self.world = world
        for name in ("restart", "stop", "status"):
            world.host.commands[(name,)] = Command(2.0, f"{name}ed\n")
        self.reported: list[tuple[str, int | None, str]] = []
        self.commands = Commands(self.state, VERBS, RIGHTS, world.clock, world.host)

    def report(self, db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        self.reported.append((order.verb, outcome.code, outcome.error))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with World({"servers": []}, rehearsal=True) as world:
        desk = Desk(tmp_path, world)
        yield desk
        desk.state.close()


@pytest.mark.parametrize(
    "text", ["restart mysql", "Restart MySQL", "  restart\n\tMYSQL \r\n", "RESTART\u00a0MYSQL"]
)
def test_a_command_has_one_standard_form(text: str) -> None:
    assert normalized(text) == "restart mysql"


def test_only_senders_with_rights_are_obeyed(desk: Desk) -> None:
    with pytest.raises(Refusal, match="a stranger"):
        desk.commands.accept("eve", "restart mysql", ["1"])
    with pytest.raises(Refusal, match="may not restart mysql"):
        desk.commands.accept("michael", "restart mysql", ["2"])
    desk.commands.accept("michael", "Status", ["3"])
    desk.commands.perform(desk.report)
    assert desk.world.host.ran == [("status",)]
    assert desk.commands.allowed("michael") == ["status"] and desk.commands.allowed("eve") == []


def test_an_unknown_command_is_answered_with_the_known_ones(desk: Desk) -> None:
    desk.commands.accept("jeremy", "restart mysq", ["1"])
    desk.commands.accept("michael", "restart mysq", ["2"])
    desk.commands.perform(desk.report)
    (_, _, to_jeremy), (_, _, to_michael) = desk.reported
    assert "did you mean 'restart mysql'?" in to_jeremy
    assert to_michael == "unknown command; you may say: status", "without what he may not use"
    assert desk.world.host.ran == []


def test_a_request_is_accepted_once_by_any_of_its_keys(desk: Desk) -> None:
    desk.commands.accept("jeremy", "restart mysql", ["uid", "id"])
    for known in (["uid"], ["id"], ["new", "id"]):
        with pytest.raises(Refusal, match="received before"):
            desk.commands.accept("jeremy", "restart mysql", known)
    desk.commands.accept("jeremy", "restart mysql", ["new"])
    desk.commands.perform(desk.report)
    desk.commands.perform(desk.report)
    assert desk.world.host.ran == [("restart",)] * 2 and len(desk.reported) == 2


def test_a_failure_a_hang_and_a_missing_program_are_different_outcomes(desk: Desk) -> None:
    desk.world.host.commands["restart",].code = 3
    desk.world.host.commands["stop",].takes = 100
    del desk.world.host.commands["status",]
    for number, verb in enumerate(VERBS):
        desk.commands.accept("jeremy", verb, [str(number)])
    outcomes = [outcome for _, outcome in desk.commands.perform(desk.report)]
    assert [outcome.code for outcome in outcomes] == [3, None, None]
    assert (
        "still running after 10 s" in outcomes[1].error
        and "could not be started" in outcomes[2].error
    )
    # What was stopped may have been done.
    rows = desk.state.rows("SELECT status FROM ledger ORDER BY id")
    assert [str(row[0]) for row in rows] == ["failed", "unknown", "asked", "failed"]


def test_a_command_that_was_running_at_a_crash_is_reported_and_not_run_again(desk: Desk) -> None:
    order = desk.commands.accept("jeremy", "restart mysql", ["1"])
    assert desk.commands.ledger.begin(order.id, 0.0)
    desk.commands.accept("jeremy", "stop mysql", ["2"])
    desk.commands.accept("jeremy", "status", ["3"])
    desk.commands.perform(desk.report)
    assert desk.world.host.ran == [("status",)], "stop waits for the restart of the same target"
    desk.commands.recover(desk.report)
    assert (
        desk.reported[1][0] == "restart mysql"
        and "the program ended before it did" in desk.reported[1][2]
    )
    desk.commands.perform(desk.report)
    assert desk.world.host.ran == [("status",), ("stop",)]
    assert desk.commands.recover(desk.report) == []


def test_the_end_of_a_command_and_its_report_commit_together(desk: Desk) -> None:
    desk.commands.accept("jeremy", "restart mysql", ["1"])

    def failing(db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        raise sqlite3.OperationalError("disk full")

    with pytest.raises(StateError):
        desk.commands.perform(failing)
    assert [entry.what for entry in desk.commands.ledger.entries("begun")] == ["restart mysql"]
    assert [row[2] for row in desk.commands.audit()] == ["accepted"]


def test_a_command_that_is_no_longer_offered_is_unknown(desk: Desk) -> None:
    desk.commands.accept("jeremy", "stop mysql", ["1"])
    del desk.commands.verbs["stop mysql"]
    desk.commands.perform(desk.report)
    assert desk.world.host.ran == [] and "unknown command" in desk.reported[0][2]


def test_the_audit_has_sender_command_and_outcome_in_safe_lines(desk: Desk) -> None:
    desk.commands.accept("jeremy", "restart mysql", ["1"])
    desk.commands.perform(desk.report)
    desk.commands.refuse("eve\r\n", "x\x1b[31m" + "y" * 10_000, "a stranger")
    accepted, done, refused = desk.commands.audit()
    assert accepted == ("jeremy", "restart mysql", "accepted", "") and done == (
        "jeremy",
        "restart mysql",
        "done",
        "exit 0",
    )
    assert refused[0] == "eve" and refused[1].isprintable() and len(refused[1]) == 500
    with desk.state.transaction() as db:
        for _ in range(AUDIT_ROWS + 10):
            desk.commands.note(db, "x", "y", "z")
    assert len(desk.commands.audit()) == AUDIT_ROWS


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(0, "ok\n", 2.04), "> restart mysql\ndb1: done in 2.0 s\n\n| ok\n"),
        (Outcome(3, "", 0.5), "> restart mysql\ndb1: failed with exit status 3 after 0.5 s\n"),
        (
            Outcome(None, "", 60.0, "still running after 60 s, and ended", in_doubt=True),
            "> restart mysql\ndb1: still running after 60 s, and ended: "
            "whether it was done is not known\n",
        ),
        (
            Outcome(-9, "", 0.5, in_doubt=True),
            "> restart mysql\ndb1: exit status -9: whether it was done is not known\n",
        ),
    ],
)
def test_a_receipt_says_how_the_command_ended(outcome: Outcome, text: str) -> None:
    assert describe(Order(1, "restart mysql", "jeremy", {}), outcome, "db1") == text


def test_a_receipt_has_the_last_twenty_lines() -> None:
    output = "".join(f"{number}\n" for number in range(100))
    lines = describe(Order(1, "x", "j", {}), Outcome(0, output), "h").splitlines()
    assert lines[-1] == "| 99" and len(lines) == 23


# ── confirmation, and the same command by another message ────────────────────


class Talk:
    """What people send, and what they are told."""

    def __init__(self, desk: Desk, again: float = 0.0) -> None:
        self.desk, self.sent = desk, 0
        self.again = again
        self.reopen()

    def reopen(self) -> None:
        """What a restart of the program does."""
        world = self.desk.world
        rights = {"jeremy": ["*"], "michael": ["*"]}
        self.commands = Commands(
            self.desk.state, VERBS, rights, world.clock, world.host, again=self.again
        )

    def says(self, who: str, text: str, at: float | None = None, key: str = "") -> str:
        """Sends a command at a time; returns what the report says."""
        if at is not None:
            clock = self.desk.world.clock
            clock.jump(1767571200 + at - clock.time())
        self.sent += 1
        self.desk.reported.clear()
        self.commands.accept(who, text, [key or f"key {self.sent}"])
        self.commands.perform(self.desk.report)
        return "".join(error for _, _, error in self.desk.reported)

    @property
    def ran(self) -> int:
        return len(self.desk.world.host.ran)


def phrase(question: str) -> str:
    return question.rpartition(" s: ")[2]


def test_a_command_that_needs_no_confirmation_runs_at_once(desk: Desk) -> None:
    talk = Talk(desk)
    assert talk.says("jeremy", "stop mysql") == "" and talk.ran == 1
    assert talk.says("jeremy", "stop mysql") == "" and talk.ran == 2, "without a window"


def test_a_dangerous_command_runs_once_after_its_phrase_was_repeated(desk: Desk) -> None:
    talk = Talk(desk)
    question = talk.says("jeremy", "Drop MySQL", 0)
    assert "to drop mysql, send within 60 s: drop mysql " in question and talk.ran == 0
    talk.reopen()
    assert talk.says("jeremy", phrase(question), 60) == "" and talk.ran == 1
    assert "unknown command" in talk.says("jeremy", phrase(question), 60) and talk.ran == 1
    audit = [(what, verdict) for _, what, verdict, _ in talk.commands.audit()]
    assert ("drop mysql", "asked") in audit and ("drop mysql", "done") in audit


@pytest.mark.parametrize(
    ("who", "text", "at"),
    [
        ("michael", "{}", 1),
        ("jeremy", "drop mysql", 1),
        ("jeremy", "drop mysql 0000", 1),
        ("jeremy", "{}", 61),
        ("jeremy", "{} ", 3600),
        ("jeremy", "yes", 1),
    ],
)
def test_another_sender_word_or_time_confirms_nothing(
    desk: Desk, who: str, text: str, at: float
) -> None:
    talk = Talk(desk)
    question = talk.says("jeremy", "drop mysql", 0)
    talk.says(who, text.format(phrase(question)), at)
    assert talk.ran == 0


def test_a_command_of_any_length_can_be_confirmed(desk: Desk) -> None:
    talk = Talk(desk)
    talk.commands.verbs["drop NAMES"] = VERBS["drop mysql"]
    for length in (195, 196, 200):
        command = f"drop {'a' * 64}, {'b' * 64}, {'c' * (length - 137)}"
        question = talk.says("jeremy", command, 0)
        assert f"to {command}, send within 60 s: " in question
        before = talk.ran
        assert talk.says("jeremy", phrase(question), 1) == "" and talk.ran == before + 1


def test_another_message_withdraws_the_request(desk: Desk) -> None:
    talk = Talk(desk)
    question = talk.says("jeremy", "drop mysql", 0)
    talk.says("jeremy", "status", 1)
    assert "unknown command" in talk.says("jeremy", phrase(question), 2) and talk.ran == 1


def test_each_request_has_its_own_word(desk: Desk) -> None:
    talk = Talk(desk)
    questions = [talk.says(who, "drop mysql", 0) for who in ("jeremy", "michael", "jeremy")]
    assert len({*map(phrase, questions)}) == 3
    assert talk.says("michael", phrase(questions[1]), 1) == "" and talk.ran == 1


def test_a_confirmed_command_is_not_asked_about_again_after_a_crash(desk: Desk) -> None:
    talk = Talk(desk)
    question = talk.says("jeremy", "drop mysql", 0)
    talk.commands.accept("jeremy", phrase(question), ["confirmed"])
    (entry,) = talk.commands.ledger.entries("intended")
    assert talk.commands._confirmed(entry).verb == "drop mysql"  # and then it is killed
    talk.reopen()
    talk.commands.perform(desk.report)
    assert talk.ran == 1


@pytest.mark.parametrize(
    ("who", "text", "at", "asked"),
    [
        ("jeremy", "restart mysql", 40, True),
        ("jeremy", " RESTART\nmysql", 62, True),
        ("jeremy", "restart mysql", 63, False),
        ("jeremy", "stop mysql", 40, False),
        ("michael", "restart mysql", 40, False),
    ],
)
def test_the_same_command_by_another_message_is_asked_about(
    desk: Desk, who: str, text: str, at: float, asked: bool
) -> None:
    talk = Talk(desk, again=60)
    assert talk.says("jeremy", "restart mysql", 0) == ""
    answer = talk.says(who, text, at)
    assert talk.ran == (1 if asked else 2)
    if asked:
        assert answer.startswith(f"not run yet: you ordered this {at} s ago (it is done); ")
        assert talk.says(who, phrase(answer), at + 1) == "" and talk.ran == 2


def test_only_what_may_have_been_done_is_asked_about(desk: Desk) -> None:
    talk = Talk(desk, again=60)
    desk.world.host.commands["restart",].code = 1
    talk.says("jeremy", "restart mysql", 0)
    talk.says("jeremy", "restart mysql", 10)
    assert talk.ran == 2, "one that has failed may be repeated at once"
    desk.world.host.commands["restart",].takes = 100
    for again in range(2):  # it has been ended after its time, and may have been done
        text = talk.says("jeremy", "restart mysql", 20 + again)
        assert talk.ran == 3 and text.startswith("not run yet: " if again else "still running")
    assert "(it is unknown)" in text
    order = talk.commands.accept("jeremy", "stop mysql", ["a"])
    assert talk.commands.ledger.begin(order.id, 0.0)
    assert "(it is running)" in talk.says("jeremy", "stop mysql", 900)
    talk.commands.recover(desk.report)
    assert "(it is unknown)" in talk.says("jeremy", "stop mysql", 900) and talk.ran == 3


def test_a_question_is_not_withdrawn_by_the_next_line_of_its_own_message(desk: Desk) -> None:
    talk = Talk(desk)
    talk.commands.accept_lines("jeremy", ["drop mysql", "status"], ["one"], {})
    talk.commands.perform(desk.report)
    (question,) = [error for verb, _, error in desk.reported if verb == "drop mysql"]
    assert desk.world.host.ran == [("status",)]
    assert talk.says("jeremy", phrase(question), 1) == "" and talk.ran == 2


def test_of_one_message_one_command_is_asked_about_and_its_phrase_works(desk: Desk) -> None:
    talk = Talk(desk)
    talk.commands.verbs["drop other"] = VERBS["drop mysql"]
    talk.commands.accept_lines("jeremy", ["drop mysql", "drop other", "status"], ["one"], {})
    talk.commands.perform(desk.report)
    (_, _, question), (_, _, second), (_, code, _) = desk.reported
    assert question.startswith("not run yet: to drop mysql") and code == 0
    assert second == "not run, because another one is to be confirmed first; send it again then"
    assert talk.says("jeremy", phrase(question), 1) == "" and talk.ran == 2
    assert "to drop other, send within" in talk.says("jeremy", "drop other", 2)


@pytest.mark.parametrize(
    ("first", "outcome"),
    [
        ("restart mysql", "failed"),
        ("drop mysql", "asked"),
        ("reboot", "failed"),
    ],
)
def test_the_lines_after_one_that_was_not_done_do_not_run_if_they_shall_stop(
    desk: Desk, first: str, outcome: str
) -> None:
    talk = Talk(desk)
    desk.world.host.commands["restart",].code = 1
    for stop, ran in ((True, 0), (False, 1)):
        desk.world.host.ran.clear()
        lines = ["stop mysql", first, "status", "status"]
        talk.commands.accept_lines("jeremy", lines, [f"stop {stop}"], {"stop": stop})
        talk.commands.perform(desk.report)
        assert desk.world.host.ran.count(("status",)) == 2 * ran
    rows = talk.commands.state.rows("SELECT status FROM ledger ORDER BY id")
    status = [str(row[0]) for row in rows]
    assert status == ["done", outcome, *["skipped"] * 2, "done", outcome, *["done"] * 2]
    assert ("status", None, f"not run, because this was not done: {first}") in desk.reported


FORM = "create index NAME on NAME.NAME (NAMES)"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("create index i on shop.orders (a, b,c)", ("i", "shop", "orders", "a, b,c")),
        ("create index i on shop.orders (a)", ("i", "shop", "orders", "a")),
        ("create index i on shop.orders ()", ()),
        ("create index i on shop.orders (a) -- x", ()),
        ("create index i on shopxorders (a)", ()),
        (f"create index {'x' * 65} on shop.orders (a)", ()),
        ("create index i on shop.orders (a); drop", ()),
    ],
)
def test_the_names_of_a_command_are_where_its_verb_has_capitals(
    text: str, found: tuple[str, ...]
) -> None:
    assert names(FORM, text) == found


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("create index i on shop.orders (a)", True),
        ("create index i on test_1.orders (a)", True),
        ("create index i on crm.orders (a)", False),
        ("show tables in crm", False),
        ("show tables in shop", True),
        ("show databases", True),
    ],
)
def test_a_right_may_be_for_some_commands_of_a_verb(desk: Desk, text: str, may: bool) -> None:
    verbs = {form: Verb(("status",), "") for form in (FORM, "show tables in NAME")}
    verbs["show databases"] = Verb(("status",), "")
    rights = ["show databases", "create index NAME on shop.NAME (NAMES)", "show tables in shop"]
    rights += ["create index * on test_*.* (NAMES)", "gone"]
    commands = Commands(desk.state, verbs, {"ann": rights}, desk.world.clock, desk.world.host)
    assert commands.allowed("ann") == [*sorted(rights[:1]), rights[3], rights[1], rights[2]]
    assert [is_offered(right, verbs) for right in rights] == [True] * 4 + [False]
    if may:
        commands.accept("ann", text, [text])
    else:
        with pytest.raises(Refusal, match="may not"):
            commands.accept("ann", text, [text])


def test_a_command_that_is_too_long_is_not_the_command_that_its_beginning_is(desk: Desk) -> None:
    verbs = {"drop index NAME on NAME.NAME": Verb(("stop",), "")}
    commands = Commands(desk.state, verbs, RIGHTS, desk.world.clock, desk.world.host)
    commands.accept("jeremy", f"drop index {'i' * 64} on {'d' * 60}.{'t' * 64}", ["long"])
    commands.perform(desk.report)
    assert desk.world.host.ran == [] and "unknown command" in desk.reported[0][2]


def test_what_only_looks_is_not_asked_about(desk: Desk) -> None:
    talk = Talk(desk, again=60)
    talk.commands.verbs["status"] = Verb(("status",), "other", repeatable=True)
    assert talk.says("jeremy", "status", 0) == talk.says("jeremy", "status", 1) == ""
    assert talk.ran == 2


def test_a_clock_that_is_set_back_asks_rather_than_runs(desk: Desk) -> None:
    talk = Talk(desk, again=60)
    talk.says("jeremy", "restart mysql", 7200)
    assert "not run yet" in talk.says("jeremy", "restart mysql", 0) and talk.ran == 1


def test_the_ledger_says_what_it_forgot_and_until_when(desk: Desk) -> None:
    talk = Talk(desk)
    talk.says("jeremy", "restart mysql", 0, key="old")
    talk.says("jeremy", "status", 0)
    talk.says("michael", "restart mysql", 0)
    with pytest.raises(Refusal, match="received before"):
        talk.says("jeremy", "restart mysql", 399 * 86400, key="old")
    desk.world.clock.jump(2 * 86400)
    talk.reopen()
    talk.commands.perform(desk.report)
    assert talk.commands.ledger.find("old") is None
    *who, detail = talk.commands.audit()[-1]
    assert who == ["the ledger", "3 commands", "forgotten"]
    assert detail == "until 2026-01-06T00:00:00+00:00: restart mysql (2), status (1)"


def test_a_command_may_be_a_function(desk: Desk) -> None:
    talk = Talk(desk)
    talk.commands.verbs["ask"] = Verb(lambda order: Outcome(0, order.who, 1.0), "", 1.0)
    talk.commands.accept("jeremy", "ask", ["1"])
    assert [outcome.output for _, outcome in talk.commands.perform(desk.report)] == ["jeremy"]


# ── several processes ────────────────────────────────────────────────────────


def _race(path: Path, number: int, out: Any) -> None:
    clock = RealClock()
    with State(path) as state:
        commands = Commands(state, {"go": Verb(("true",), "it")}, {"j": ["*"]}, clock, RealHost())
        with contextlib.suppress(Refusal):
            commands.accept("j", "go", ["the one"])
        done = commands.perform(lambda db, order, outcome: None)
        out.put(len(done))


@pytest.mark.slow
def test_several_processes_on_one_state_start_a_command_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    out = context.Queue()
    processes = [
        context.Process(target=_race, args=(tmp_path / "s.sqlite3", number, out))
        for number in range(6)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert Counter(out.get(timeout=5) for _ in processes)[1] == 1
    with State(tmp_path / "s.sqlite3") as state:
        assert [entry.status for entry in Ledger(state).entries("done")] == ["done"]


# ── what changed while a command waited ──────────────────────────────────────


def reported(orders: list[tuple[str, str]]) -> Any:
    return lambda db, order, outcome: orders.append((order.verb, outcome.error))


@pytest.mark.parametrize(
    ("rights", "days", "ran", "reports"),
    [
        ({"jeremy": ["*"]}, 0, 1, 1),
        ({"jeremy": ["*"]}, 10, 0, 1),
        ({"jeremy": ["*"]}, -10, 0, 1),
        ({}, 0, 0, 0),
        ({}, 10, 0, 0),
        ({"michael": ["*"]}, 0, 0, 0),
        ({"jeremy": ["status"]}, 0, 0, 0),
        ({"jeremy": []}, 0, 0, 0),
        ({"jeremy": ["restart mysql"]}, 0.9, 1, 1),
    ],
)
def test_a_command_is_judged_again_when_it_is_performed(
    tmp_path: Path, rights: dict[str, list[str]], days: float, ran: int, reports: int
) -> None:
    with World({"servers": []}, rehearsal=True) as world:
        world.host.commands["restart",] = Command()
        with State(tmp_path / "s") as state:
            first = Commands(state, VERBS, RIGHTS, world.clock, world.host)
            first.accept("jeremy", "restart mysql", ["key"])
        world.clock.jump(days * 86400)
        orders: list[tuple[str, str]] = []
        with State(tmp_path / "s") as state:
            again = Commands(state, VERBS, rights, world.clock, world.host)
            again.recover(reported(orders))
            again.perform(reported(orders))
            again.perform(reported(orders))
            assert len(world.host.ran) == ran and len(orders) == reports, orders
            if reports and not ran:
                assert "stale" in orders[0][1]
            assert again.ledger.entries("intended") == []
            assert again.audit()[-1][2] in ("done", "stale", "refused")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("x"),
        OSError(28, "no space"),
        RuntimeError("x"),
        sqlite3.IntegrityError("x"),
    ],
)
def test_a_report_that_fails_does_not_come_back_at_every_restart(
    tmp_path: Path, error: Exception
) -> None:
    def report(db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        db.execute("INSERT INTO memory VALUES ('half', '1')")
        raise error

    with World({"servers": []}, rehearsal=True) as world, State(tmp_path / "s") as state:
        world.host.commands["restart",] = Command()
        commands = Commands(state, VERBS, RIGHTS, world.clock, world.host)
        commands.accept("jeremy", "restart mysql", ["key"])
        commands.perform(report)
        assert commands.recover(report) == [] and state.recall("half") is None
        assert len(commands.ledger.entries("done")) == 1
        assert any(event.text.startswith("unreported") for event in world.events)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("restart web", ""),
        ("STOP", "'STOP' has capitals, or odd spaces; write 'stop'"),
        ("restart  web", "'restart  web' has capitals, or odd spaces; write 'restart web'"),
    ],
)
def test_a_name_that_no_message_can_have_is_named(name: str, problem: str) -> None:
    assert misspelt(["status", name]) == problem
