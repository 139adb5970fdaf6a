"""The Jabber scenarios under drill: the link cut at every unit, the program killed at every step, odd settings."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from comms import settings as comms_settings
from comms.commands import Commands, Order, Verb
from comms.errors import CommsError, SettingsError
from comms.host import Outcome
from comms.settings import load
from comms.state import State
from comms.xmpp import Outbox, stanzas
from fakes.faults import Fault
from fakes.wire import Record
from fakes.world import World
from scenarios import __main__ as command_line
from scenarios import catalogue
from scenarios.jabber import contact_list, jabber_hello, mysql_by_jabber
from scenarios.jabber.mysql_by_jabber import ADMINS, BOT, RESTART, WORLD, command, run, told
from tests import drills

MYSQL = catalogue.named("mysql-by-jabber")
MAIN = command_line.acts(MYSQL)[0]


# ── the link is cut before, within and after every unit ──────────────────────────────────────────────────────────


def units() -> list[tuple[str, int]]:
    """Each place of the act's one session where a fault may strike: verb, and the how-manieth of it."""
    seen: Counter[str] = Counter({"connect": 1})
    found = [("connect", 1)]
    for one in command_line.rehearse(MYSQL, MAIN).recording:
        if isinstance(one, Record) and one.direction == "C":
            seen[one.verb] += 1
            found.append((one.verb, seen[one.verb]))
    return found


WHATS: list[dict[str, Any]] = [
    {"hang_up": "before"}, {"hang_up": "within"}, {"hang_up": "after"}, {"reset": True}, {"after": 5}, {"split": 1},
]  # fmt: skip
CUTS = [Fault(verb, "xmpp", nth=nth, **what) for verb, nth in units() for what in WHATS]
SAMPLED = drills.first_middle_last(CUTS, lambda fault: (fault.where, fault.nth))


def ran(performance: command_line.Performance) -> int:
    """How often MySQL was restarted."""
    return sum(1 for one in performance.recording if getattr(one, "text", "") == f"runs: {' '.join(RESTART)}")


@pytest.mark.parametrize("fault", SAMPLED, ids=str)
def test_a_cut_runs_nothing_twice_and_answers_nothing_twice(fault: Fault) -> None:
    performance = command_line.rehearse(MYSQL, MAIN, [str(fault)])
    assert performance.unmet == []
    assert ran(performance) <= 3, "three orders are three restarts at most"
    said = [one for one in performance.recording if isinstance(one, Record) and one.verb == "message"]
    answers = Counter(str(one.raw).partition("id=")[2] for one in said if b"told to restart" in one.raw)
    assert sum(answers.values()) <= ran(performance), "no restart is told twice"
    ends = [text for one in performance.recording if "ends with exit" in (text := str(getattr(one, "text", "")))]
    assert all("exit code 70" not in text for text in ends), ends
    if "split" in str(fault):
        assert performance.broken == []


# ── the program is killed at every step ──────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """As SIGKILL would: nothing is caught, nothing tidied up."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Kills the program at its n-th step: before or after a transaction, before or after a command."""
    count = [0]

    def passes() -> None:
        count[0] += 1
        if count[0] == step:
            raise Killed

    original = State.transaction

    @contextmanager
    def transaction(self: State) -> Iterator[Any]:
        passes()
        with original(self) as db:
            yield db
        passes()

    with monkeypatch.context() as patch:
        patch.setattr(State, "transaction", transaction)
        yield count


def once(world: World) -> None:
    """The program, from its start to its end or its death."""
    with suppress(Killed):
        run(world.clock, comms_settings.load(world.settings, world.folder), world.host)


STEPS = 40


def test_wherever_the_program_is_killed_an_order_is_done_at_most_once_and_answered_at_most_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = []
    for step in range(1, STEPS):
        with World({**WORLD, "host": {"name": "db1", "services": ["mariadb"]}}, rehearsal=True) as world:
            jeremy = world.jabber.person(ADMINS[0])
            jeremy.comes()
            world.clock.at(10, lambda: jeremy.says(BOT, "restart"))
            with killed_at(step, monkeypatch) as count:
                once(world)
            died = count[0] == step
            world.clock.until(world.clock.elapsed + 20)
            once(world)
            answers = [stanza.body for stanza in jeremy.messages]
            table.append((step, died, len(world.host.ran), answers))
            assert len(world.host.ran) <= 1, table
            assert len(answers) <= 1, table
            if not died:
                assert answers == ["MySQL told to restart."], table
                break
    else:
        raise AssertionError("the run is longer than the drill")
    outcomes = {(runs, tuple(answers)) for _, _, runs, answers in table}
    unknown = "it was started, and the program ended before it did: whether it was done is not known"
    assert (0, ()) in outcomes, "killed before it was written down: it was never ordered"
    assert (1, ("MySQL told to restart.",)) in outcomes
    assert any(unknown in "".join(answers) for _, answers in outcomes), outcomes


def test_an_answer_that_waited_goes_out_after_the_restart_of_the_program() -> None:
    with World(WORLD, rehearsal=True) as world:
        jeremy = world.jabber.person(ADMINS[0])
        jeremy.comes()
        with State(world.folder / "mysql-by-jabber.sqlite3") as state:
            Outbox(state).put(f"{ADMINS[0]}/play", "MySQL told to restart.", world.clock.time(), answer=True)
        once(world)
        once(world)
        assert [stanza.body for stanza in jeremy.messages] == ["MySQL told to restart."]


# ── claims break when the program is spoiled ─────────────────────────────────────────────────────────────────────


def broken(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, value: Any) -> list[str]:
    monkeypatch.setattr(target, name, value)
    return command_line.rehearse(MYSQL, MAIN).broken


def test_a_client_that_hands_out_everything_breaks_the_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    found = broken(monkeypatch, stanzas, "why_not", lambda *_: "")
    assert "what is old, broken, announced, from a room or forwarded is no order" in found


def test_a_program_that_answers_strangers_breaks_the_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, who: str, what: str, reason: str) -> None:
        Outbox(self._state).put(who, "Invalid command!", self._clock.time(), answer=True)

    found = broken(monkeypatch, Commands, "refuse", refuse)
    assert {"a stranger hears nothing", "and leaves a trace"} <= set(found)


def test_a_program_that_says_told_whatever_happens_breaks_the_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_by_jabber, "told", lambda order, outcome, known: f"MySQL told to {order.verb}.")
    fails = next(act for act in command_line.acts(MYSQL) if act.name == "jabber-order-fails")
    found = command_line.rehearse(MYSQL, fails).broken
    assert "the exit status is told, with the end of the output" in found


# ── the pure decisions, and the settings ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("restart", "restart"), (" Restart\n", "restart"), ("RESTART  MySQL", "restart"), ("restart mysql now", "restart mysql now"),
        ("mysql", "mysql"), ("", ""), ("re\u200bstart", "re\u200bstart"), ("\u202erestart", "restart"),
    ],
)  # fmt: skip
def test_a_command_is_the_same_in_any_case_with_blanks_around_it(text: str, meant: str) -> None:
    assert command(text) == meant


@pytest.mark.parametrize(
    ("outcome", "known", "words"),
    [
        (Outcome(0, "noise\n", 2.0), True, "MySQL told to restart."),
        (Outcome(3, "a\nb\n", 2.0), True, "MySQL was not told to restart, or did not obey: exit status 3.\na\nb"),
        (Outcome(None, "", 60.0, "still running after 60 s, and ended"), True,
         "MySQL was not told to restart, or did not obey: still running after 60 s, and ended."),
        (Outcome(None, "", 0.0, "this is no command; you may say: stop"), False, "Invalid command!; you may say: stop"),
        (Outcome(1, "x" * 5000, 1.0), True, "MySQL was not told to restart, or did not obey: exit status 1.\n" + "x" * 1000),
    ],
)  # fmt: skip
def test_an_answer_says_what_really_happened(outcome: Outcome, known: bool, words: str) -> None:
    assert told(Order(1, "restart", ADMINS[0], {}), outcome, known) == words


@pytest.mark.parametrize(
    ("scenario", "kind", "table", "words"),
    [
        ("mysql-by-jabber", mysql_by_jabber.Rules, {}, "admins is empty"),
        ("mysql-by-jabber", mysql_by_jabber.Rules, {"admins": ["a b@x"]}, "not a Jabber address"),
        ("mysql-by-jabber", mysql_by_jabber.Rules, {"admins": ["x.test"]}, "no account"),
        ("mysql-by-jabber", mysql_by_jabber.Rules, {"admins": ["a@x.test/phone"]}, "no account"),
        ("mysql-by-jabber", mysql_by_jabber.Rules, {"admins": ["a@x.test"], "poll": 0}, "more than 0"),
        ("mysql-by-jabber", mysql_by_jabber.Rules, {"admins": ["a@x.test"], "inbox": "secret"}, "inbox"),
        ("mysql-by-jabber", mysql_by_jabber.Rules, {"admins": ["a@x.test"], "restrat": []}, "did you mean 'restart'"),
        ("jabber-hello", jabber_hello.Rules, {}, "write to ="),
        ("jabber-hello", jabber_hello.Rules, {"to": "a@x.test", "listen": "telepathy"}, "listen"),
        ("jabber-hello", jabber_hello.Rules, {"to": "a@x.test", "poll": -1}, "poll"),
        ("contact-list", contact_list.Rules, {"deny": ["@"]}, "deny"),
    ],
)
def test_settings_that_cannot_be_are_named(scenario: str, kind: Any, table: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as error:
        load({"scenario": {scenario: table}}).table(scenario, kind)
    assert f"scenario.{scenario}." in str(error.value)


def test_a_second_instance_leaves_and_the_work_is_not_done_twice(tmp_path: Path) -> None:
    with World(WORLD, rehearsal=True) as world, State(world.folder / "mysql-by-jabber.sqlite3") as other:
        other.own()
        settings = comms_settings.load(world.settings, world.folder)
        with pytest.raises(CommsError, match="another instance") as error:
            run(world.clock, settings, world.host)
        assert error.value.exit_code == 5


def test_the_book_stands_on_the_sans_io_stream_alone() -> None:
    for path in Path("scenarios/book").glob("*jabber*.py"):
        found = set(re.findall(r"^from (comms\.xmpp\S*)", path.read_text("utf-8"), re.M))
        assert found <= {"comms.xmpp.stream"}, f"{path} imports {found}, where the listing's faults are mended"


def test_what_was_accepted_by_a_door_that_is_closed_now_ends_nothing() -> None:
    with World(WORLD, rehearsal=True) as world:
        settings = comms_settings.load(world.settings, world.folder)
        with State(world.folder / "mysql-by-jabber.sqlite3") as state:
            verbs = {"restart": Verb(RESTART, "mysql")}
            commands = Commands(state, verbs, {ADMINS[0]: ["*"]}, world.clock, world.host)
            commands.order(ADMINS[0], "restart", (), {"door": "mail", "to": ADMINS[0], "mail": ["1@x", "Restart"]})
        assert run(world.clock, settings, world.host) == 0
        assert world.host.ran == [RESTART]
        assert any(event.text.startswith("unanswered") for event in world.events)


# ── live: the exit codes that scripts rest on ────────────────────────────────────────────────────────────────────


def live(folder: Path, xmpp: str, scenario: str, name: str = "jabber-hello") -> subprocess.CompletedProcess[str]:
    (folder / "site.toml").write_text(f"[xmpp]\n{xmpp}\n[scenario.{name}]\n{scenario}\n")
    words = [sys.executable, "-m", "scenarios", "run", name, "--live", str(folder / "site.toml"), "--once"]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_a_live_run_ends_with_the_code_that_says_what_happened(tmp_path: Path) -> None:
    config = {"servers": ["xmpp"], "person": [{"address": BOT, "contacts": {"them@yourco.test": "both"}},
                                              {"address": "them@yourco.test"}], "tls": "off"}  # fmt: skip
    with World(config) as world:
        host, port = world.address("xmpp")
        server = f'jid = "{BOT}"\nhost = "{host}"\nport = {port}\ntls = "none"\ntimeout = 5\n'
        password = 'password = "secret"\n'
        done = live(tmp_path, server + password, 'to = "them@yourco.test"')
        assert (done.returncode, done.stdout) == (0, "them@yourco.test was greeted.\n"), done.stderr
        assert world.jabber.wait_for(1)[0].body == "Hello from Python!"
        refused = live(tmp_path, server + 'password = "wrong"', 'to = "them@yourco.test"')
        assert refused.returncode == 4 and "not-authorized" in refused.stderr and "wrong" not in refused.stderr
        late = live(tmp_path, server + password, 'to = "nobody@yourco.test"\nwait = 0.2')
        assert late.returncode == 4 and "has not authorised us within 0.2 s" in late.stderr
        clear = live(tmp_path, server.replace('tls = "none"\n', "") + password, 'to = "them@yourco.test"')
        assert clear.returncode == 4 and "nothing is sent in clear" in clear.stderr
    away = live(tmp_path, server + password, 'to = "them@yourco.test"')
    assert away.returncode == 3 and "cannot be reached" in away.stderr
    wrong = live(tmp_path, 'jid = "yourco.test"\nhost = "127.0.0.1"', 'to = "them@yourco.test"')
    assert wrong.returncode == 2 and "is a server; write jid" in wrong.stderr
