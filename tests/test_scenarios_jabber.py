"""The Jabber scenarios: connections cut at every unit, programs killed at every step, settings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
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
from scenarios import catalogue, rehearsal
from scenarios.jabber import contact_list, jabber_hello, mysql_by_jabber
from scenarios.jabber.mysql_by_jabber import ADMINS, BOT, RESTART, WORLD, answer, command, run
from scenarios.play import Act
from tests import drills
from tests.command import Done, run_command

MYSQL = catalogue.named("mysql-by-jabber")
MAIN = MYSQL.acts()[0]
STATE = "mysql-by-jabber.sqlite3"


# ── the link is cut before, within and after every unit ──────────────────────


def units(act: Act = MAIN) -> list[tuple[str, int]]:
    """(verb, its occurrence number) of each unit of the act's session, where a fault may happen."""
    seen: Counter[str] = Counter({"connect": 1})
    found = [("connect", 1)]
    for record in rehearsal.rehearse(MYSQL, act).recording:
        if isinstance(record, Record) and record.direction == "C":
            seen[record.verb] += 1
            found.append((record.verb, seen[record.verb]))
    return found


KINDS: list[dict[str, Any]] = [
    {"hang_up": "before"},
    {"hang_up": "within"},
    {"hang_up": "after"},
    {"reset": True},
    {"after": 5},
    {"split": 1},
]
CUTS = [Fault(verb, "xmpp", nth=nth, **what) for verb, nth in units() for what in KINDS]
SAMPLED = drills.first_middle_last(CUTS, lambda fault: (fault.where, fault.nth))


def ran(performance: rehearsal.Performance) -> int:
    """How often MySQL was restarted."""
    runs = f"runs: {' '.join(RESTART)}"
    return sum(event["text"] == runs for event in performance.events)


@pytest.mark.parametrize("fault", SAMPLED, ids=str)
def test_a_cut_connection_runs_and_answers_nothing_twice(fault: Fault) -> None:
    performance = rehearsal.rehearse(MYSQL, MAIN, [str(fault)])
    assert performance.unmet == []
    assert ran(performance) <= 3, "three commands are at most three restarts"
    messages = [
        record.raw
        for record in performance.recording
        if isinstance(record, Record) and record.verb == "message"
    ]
    answers = [raw for raw in messages if b"told to restart" in raw]
    assert len(answers) <= ran(performance), "no restart is answered twice"
    ends = [event["text"] for event in performance.events if event["level"] == "end"]
    assert all("exit code 70" not in text for text in ends), ends
    if "split" in str(fault):
        assert performance.broken == []


# ── the program is killed at every step ──────────────────────────────────────


class Killed(BaseException):
    """Ends the program as SIGKILL would: nothing is caught, nothing cleaned up."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Kills the program at its n-th step: before or after a transaction."""
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


def once(world: World, **xmpp: Any) -> None:
    """Runs the program until it ends or is killed."""
    tables = {**world.settings, "xmpp": {**world.settings["xmpp"], **xmpp}}
    with suppress(Killed):
        run(world.clock, comms_settings.load(tables, world.folder), world.host)


STEPS = 40


@pytest.mark.slow
def test_killed_at_any_step_a_command_runs_and_is_answered_at_most_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = []
    for step in range(1, STEPS):
        with World(
            {**WORLD, "host": {"name": "db1", "services": ["mariadb"]}}, rehearsal=True
        ) as world:
            jeremy = world.jabber.actor(ADMINS[0])
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
        raise AssertionError("the program has more steps than were tried")
    outcomes = {(runs, tuple(answers)) for _, _, runs, answers in table}
    unknown = (
        "it was started, and the program ended before it did: whether it was done is not known"
    )
    assert (0, ()) in outcomes, "killed before it was stored: the command is lost"
    assert (1, ("MySQL told to restart.",)) in outcomes
    assert any(unknown in "".join(answers) for _, answers in outcomes), outcomes


RESUMES = {"mysql-by-jabber": {**WORLD["scenario"]["mysql-by-jabber"], "resume": True}}
RESUMING = replace(MAIN, world={**MAIN.world, "scenario": RESUMES})
CUTS_RESUMING = [
    Fault(verb, "xmpp", nth=nth, **what) for verb, nth in units(RESUMING) for what in KINDS[1:4:2]
]


@pytest.mark.slow
def test_with_resumption_a_program_killed_at_any_step_loses_no_order_silently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = []
    for step in range(1, STEPS):
        with World({**WORLD, "scenario": RESUMES}, rehearsal=True) as world:
            jeremy = world.jabber.actor(ADMINS[0])
            jeremy.comes()
            world.clock.at(10, lambda: jeremy.says(BOT, "restart"))
            with killed_at(step, monkeypatch) as count:
                once(world, jid=f"{BOT}/mysql")
            died = count[0] == step
            world.clock.until(world.clock.elapsed + 20)
            once(world, jid=f"{BOT}/mysql")
            answers = [stanza.body for stanza in jeremy.messages]
            ran = len(world.host.ran)
            table.append((step, died, ran, answers))
            assert ran <= 1, table
            # It has run, or Jeremy is told that this is not known, or is asked to say it again.
            assert ran or answers, table[-3:]
            if not died:
                assert (ran, answers) == (1, ["MySQL told to restart."]), table
                break
    else:
        raise AssertionError("the program has more steps than were tried")


ONLINE = {"PRESENCE", "MESSAGE", "A"}  # a connection that is cut during the login ends the program
CUTS_ONLINE = [cut for cut in CUTS_RESUMING if cut.where.upper() in ONLINE]


@pytest.mark.slow
@pytest.mark.parametrize("fault", CUTS_ONLINE, ids=str)
def test_with_resumption_a_cut_connection_loses_no_order_silently(fault: Fault) -> None:
    performance = rehearsal.rehearse(MYSQL, RESUMING, [str(fault)])
    assert ran(performance) <= 3, "three commands are at most three restarts"
    asked = [event for event in performance.events if "sent while the program" in event["text"]]
    ordered = ran(performance) + len(asked)
    assert ordered == 3, [event["text"] for event in performance.events]


def test_an_answer_that_waits_is_sent_by_the_next_run_of_the_program() -> None:
    with World(WORLD, rehearsal=True) as world:
        jeremy = world.jabber.actor(ADMINS[0])
        jeremy.comes()
        with State(world.folder / STATE) as state:
            now, text = world.clock.time(), "MySQL told to restart."
            Outbox(state).put(f"{ADMINS[0]}/play", text, now, answer=True)
        once(world)
        once(world)
        assert [stanza.body for stanza in jeremy.messages] == ["MySQL told to restart."]


# ── claims break when the program is spoiled ─────────────────────────────────


def test_a_client_that_returns_every_message_breaks_the_claims(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stanzas, "reason_to_ignore", lambda *_: "")
    act = next(act for act in MYSQL.acts() if act.name == "jabber-not-a-command")
    found = rehearsal.rehearse(MYSQL, act).broken
    assert "old, broken, announced and forwarded messages are not obeyed" in found


def test_a_program_that_answers_strangers_breaks_the_claims(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: Any, who: str, what: str, reason: str) -> None:
        Outbox(self.state).put(who, "Invalid command!", self._clock.time(), answer=True)

    monkeypatch.setattr(Commands, "refuse", refuse)
    found = rehearsal.rehearse(MYSQL, MAIN).broken
    assert {"a stranger gets no answer", "a stranger is logged"} <= set(found)


def test_a_program_that_always_reports_success_breaks_the_claims(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    success = "MySQL told to {0.verb}."
    monkeypatch.setattr(mysql_by_jabber, "answer", lambda order, outcome: success.format(order))
    fails = next(act for act in MYSQL.acts() if act.name == "jabber-order-fails")
    found = rehearsal.rehearse(MYSQL, fails).broken
    assert "a failure is answered with status and output" in found


# ── the pure decisions, and the settings ─────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("restart", "restart"),
        (" Restart\n", "restart"),
        ("RESTART  MySQL", "restart"),
        ("restart mysql now", "restart mysql now"),
        ("mysql", "mysql"),
        ("", ""),
        ("re\u200bstart", "re\u200bstart"),
        ("\u202erestart", "restart"),
    ],
)
def test_a_command_is_the_same_in_any_case_and_between_spaces(text: str, meant: str) -> None:
    assert command(text) == meant


REFUSED = "MySQL was not told to restart, or did not obey: "


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(0, "noise\n", 2.0), "MySQL told to restart."),
        (Outcome(3, "a\nb\n", 2.0), f"{REFUSED}exit status 3.\na\nb"),
        (
            Outcome(None, "", 60.0, "still running after 60 s, and ended", in_doubt=True),
            "restart: still running after 60 s, and ended: whether it was done is not known.",
        ),
        (
            Outcome(None, "", 0.0, "unknown command; you may say: stop"),
            "Invalid command!; you may say: stop",
        ),
        (Outcome(1, "x" * 5000, 1.0), f"{REFUSED}exit status 1.\n" + "x" * 1000),
    ],
)
def test_an_answer_says_what_really_happened(outcome: Outcome, words: str) -> None:
    assert answer(Order(1, "restart", ADMINS[0], {}), outcome) == words


def test_only_status_is_answered_with_its_output() -> None:
    outcome = Outcome(0, "active (running)\n", 1.0)
    text = answer(Order(1, "status", ADMINS[0], {}), outcome)
    assert text == "MySQL told to status.\nactive (running)"


@pytest.mark.parametrize(
    ("scenario", "kind", "table", "words"),
    [
        ("mysql-by-jabber", mysql_by_jabber.Rules, {}, "admins: missing key; write admins = "),
        ("mysql-by-jabber", mysql_by_jabber.Rules, {"admins": ["a b@x"]}, "not a Jabber address"),
        (
            "mysql-by-jabber",
            mysql_by_jabber.Rules,
            {"admins": ["x.test"]},
            "a server, not an account",
        ),
        (
            "mysql-by-jabber",
            mysql_by_jabber.Rules,
            {"admins": ["a@x.test/phone"]},
            "one connection of an account, not the account",
        ),
        (
            "mysql-by-jabber",
            mysql_by_jabber.Rules,
            {"admins": ["a@x.test"], "poll": 0},
            "more than 0",
        ),
        (
            "mysql-by-jabber",
            mysql_by_jabber.Rules,
            {"admins": ["a@x.test"], "inbox": "secret"},
            "inbox",
        ),
        (
            "mysql-by-jabber",
            mysql_by_jabber.Rules,
            {"admins": ["a@x.test"], "restrat": []},
            "did you mean 'restart'",
        ),
        (
            "mysql-by-jabber",
            mysql_by_jabber.Rules,
            {"admins": ["a@x.test"], "mail": {"eve@x.test": "eve@mail.test"}},
            "mail: not all are administrators",
        ),
        (
            "mysql-by-jabber",
            mysql_by_jabber.Rules,
            {"admins": ["a@x.test", "b@x.test"], "mail": {"a@x.test": "B@x.test"}},
            "mail: two administrators have one address",
        ),
        ("jabber-hello", jabber_hello.Rules, {}, "write to ="),
        ("jabber-hello", jabber_hello.Rules, {"to": "a@x.test", "listen": "telepathy"}, "listen"),
        ("jabber-hello", jabber_hello.Rules, {"to": "a@x.test", "poll": -1}, "poll"),
        ("contact-list", contact_list.Rules, {"deny": ["@"]}, "deny"),
    ],
)
def test_wrong_settings_are_named(
    scenario: str, kind: Any, table: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as error:
        load({"scenario": {scenario: table}}).table(scenario, kind)
    assert f"scenario.{scenario}." in str(error.value)


def test_a_second_instance_exits_at_once() -> None:
    with World(WORLD, rehearsal=True) as world, State(world.folder / STATE) as other:
        other.lock()
        settings = comms_settings.load(world.settings, world.folder)
        with pytest.raises(CommsError, match="another instance") as error:
            run(world.clock, settings, world.host)
        assert error.value.exit_code == 5


def test_the_printed_listings_use_only_the_sans_io_stream() -> None:
    for path in Path("scenarios/book").glob("*jabber*.py"):
        found = set(re.findall(r"^from (comms\.xmpp\S*)", path.read_text("utf-8"), re.M))
        assert found <= {"comms.xmpp.stream"}, (
            f"{path} imports {found}, which does not have the faults of the listing"
        )


def test_a_command_by_mail_still_runs_when_the_settings_have_no_inbox_any_more() -> None:
    with World(WORLD, rehearsal=True) as world:
        settings = comms_settings.load(world.settings, world.folder)
        with State(world.folder / STATE) as state:
            verbs = {"restart": Verb(RESTART, "mysql")}
            commands = Commands(state, verbs, {ADMINS[0]: ["*"]}, world.clock, world.host)
            facts = {"door": "mail", "to": ADMINS[0], "mail": ["1@x", "Restart"]}
            commands.accept(ADMINS[0], "restart", (), facts)
        assert run(world.clock, settings, world.host) == 0
        assert world.host.ran == [RESTART]
        assert any(event.text.startswith("unanswered") for event in world.events)


# ── live: exit codes ─────────────────────────────────────────────────────────


def live(folder: Path, xmpp: str, scenario: str, name: str = "jabber-hello") -> Done:
    (folder / "site.toml").write_text(f"[xmpp]\n{xmpp}\n[scenario.{name}]\n{scenario}\n")
    return run_command("run", name, "--live", str(folder / "site.toml"), "--once")


def test_a_live_run_ends_with_the_code_that_says_what_happened(tmp_path: Path) -> None:
    people = [
        {"address": BOT, "contacts": {"them@yourco.test": "both"}},
        {"address": "them@yourco.test"},
    ]
    with World({"servers": ["xmpp"], "person": people, "tls": "off"}) as world:
        host, port = world.address("xmpp")
        server = f'jid = "{BOT}"\nhost = "{host}"\nport = {port}\ntls = "none"\ntimeout = 5\n'
        password = 'password = "secret"\n'
        done = live(tmp_path, server + password, 'to = "them@yourco.test"')
        assert (done.returncode, done.stdout) == (0, "them@yourco.test was greeted.\n"), done.stderr
        assert world.jabber.wait_for_n(1)[0].body == "Hello from Python!"
        refused = live(tmp_path, server + 'password = "wrong"', 'to = "them@yourco.test"')
        assert (
            refused.returncode == 4
            and "not-authorized" in refused.stderr
            and "wrong" not in refused.stderr
        )
        late = live(tmp_path, server + password, 'to = "nobody@yourco.test"\nwait = 0.2')
        assert late.returncode == 4 and "has not authorised us within 0.2 s" in late.stderr
        clear = live(
            tmp_path, server.replace('tls = "none"\n', "") + password, 'to = "them@yourco.test"'
        )
        assert clear.returncode == 4 and "nothing is sent in clear" in clear.stderr
    away = live(tmp_path, server + password, 'to = "them@yourco.test"')
    assert away.returncode == 3 and "cannot be reached" in away.stderr
    wrong = live(tmp_path, 'jid = "yourco.test"\nhost = "127.0.0.1"', 'to = "them@yourco.test"')
    assert wrong.returncode == 2 and "is a server, not an account; write jid" in wrong.stderr


# ── what people and their clients really send ────────────────────────────────

JEREMY = ADMINS[0]
TOLD = "MySQL told to restart."
REPLACE = "<replace id='{}' xmlns='urn:xmpp:message-correct:0'/>"
EME = "<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>"
XHTML = (
    "<html xmlns='http://jabber.org/protocol/xhtml-im'>"
    "<body xmlns='http://www.w3.org/1999/xhtml'><p><b>Restart</b></p></body></html>"
)


def order(text: str, id: str, more: str = "") -> str:
    return f"<message to='{BOT}' type='chat' id='{id}'><body>{text}</body>{more}</message>"


def talked(*stanzas: str) -> tuple[World, list[str]]:
    """Plays mysql-by-jabber while jeremy sends stanzas. Returns the world, and what he heard."""
    with World(WORLD, rehearsal=True) as world:
        jeremy = world.jabber.actor(JEREMY)
        for number, stanza in enumerate(stanzas):
            world.clock.at(10 + 10 * number, partial(jeremy.sends, stanza))
        world.clock.until(30 + 10 * len(stanzas))
        run(world.clock, comms_settings.load(world.settings, world.folder), world.host)
        return world, [stanza.body or "" for stanza in jeremy.messages]


@pytest.mark.parametrize(
    "stanzas",
    [
        [order("restart", "a1"), order("restart mysql", "a2", REPLACE.format("a1"))],
        [order("restart", "a1"), order("restart", "a1")],
        [order("restart", "a1"), order("Restart MySQL", "a1")],
        [order("restart", "a1"), order("status", "a2", REPLACE.format("a1"))],
        [
            order("restart", "a1"),
            order("restart!", "a2", REPLACE.format("a1")),
            order("restart", "a3", REPLACE.format("a1")),
        ],
        [
            order("restart", "a1"),
            order("restart", "a2", REPLACE.format("a1")),
            order("restart", "a3", REPLACE.format("a2")),
            order("restart", "a2"),
        ],
        [
            order("restart", "a1", "<stanza-id xmlns='urn:xmpp:sid:0' by='x.test' id='s'/>"),
            order("restart", "b1", "<stanza-id xmlns='urn:xmpp:sid:0' by='x.test' id='s'/>"),
        ],
        [
            order("restart", "a1", "<origin-id xmlns='urn:xmpp:sid:0' id='o'/>"),
            order("restart", "b1", "<origin-id xmlns='urn:xmpp:sid:0' id='o'/>"),
        ],
        [
            order("restart", "a1"),
            order("restart", "a1", "<delay xmlns='urn:xmpp:delay' stamp='2026-01-05T00:00:10Z'/>"),
        ],
    ],
)
def test_an_order_is_obeyed_once_however_often_it_is_said_again(stanzas: list[str]) -> None:
    world, heard = talked(*stanzas)
    assert world.host.ran == [RESTART]
    assert heard[0] == TOLD
    assert len(heard) == len(stanzas) and all("already done" in text for text in heard[1:])


@pytest.mark.parametrize(
    ("stanzas", "times"),
    [
        ([order("restart", "a1"), order("status", "a2"), order("restart", "a3")], 1),
        ([order("restrat", "a1"), order("restart", "a2", REPLACE.format("a1"))], 1),
        ([order("restart", "a2", REPLACE.format("a1"))], 1),
        ([order("restart", "a1", REPLACE.format("a1"))], 1),
        (
            [
                order("restrat", "a1"),
                order("restart", "a2", REPLACE.format("a1")),
                order("restart", "a3", REPLACE.format("a1")),
            ],
            1,
        ),
        ([order("restart", "").replace(" id=''", "")] * 2, 1),
    ],
)
def test_another_order_or_a_mended_one_is_obeyed(stanzas: list[str], times: int) -> None:
    world, heard = talked(*stanzas)
    assert world.host.ran == [RESTART] * times and heard.count(TOLD) == times


@pytest.mark.parametrize("second", ["restart", " Restart MySQL "])
def test_the_same_order_by_another_message_is_asked_about(second: str) -> None:
    world, heard = talked(order("restart", "a1"), order(second, "a2"))
    assert world.host.ran == [RESTART] and heard[0] == TOLD
    assert heard[1].startswith("Not run yet: you ordered this 9 s ago (it is done); ")


def test_what_was_asked_about_may_be_corrected_and_is_not_asked_again() -> None:
    stop = order("stop", "a1")
    world, heard = talked(stop, stop, order("restart", "a2", REPLACE.format("a1")))
    assert world.host.ran == [RESTART]
    assert [text.partition(",")[0] for text in heard] == ["Not run yet: to stop", TOLD]


def test_an_order_is_known_after_a_restart_of_the_program(tmp_path: Path) -> None:
    with World(WORLD, rehearsal=True) as world:
        jeremy = world.jabber.actor(JEREMY)
        for number in range(2):
            world.clock.at(10 + 100 * number, partial(jeremy.sends, order("restart", "a1")))
            world.clock.until(50 + 100 * number)
            run(world.clock, comms_settings.load(world.settings, world.folder), world.host)
        assert world.host.ran == [RESTART]
        assert "already done" in (jeremy.messages[-1].body or "")


def test_a_correction_of_another_person_s_order_is_an_order_of_its_own() -> None:
    with World(WORLD, rehearsal=True) as world:
        jeremy, michael = (world.jabber.actor(address) for address in ADMINS)
        world.clock.at(10, partial(jeremy.sends, order("restart", "a1")))
        correction = order("restart", "a2", REPLACE.format("a1"))
        world.clock.at(20, partial(michael.sends, correction))
        run(world.clock, comms_settings.load(world.settings, world.folder), world.host)
        assert world.host.ran == [RESTART] * 2


@pytest.mark.parametrize(
    ("stanza", "answer", "ran"),
    [
        (order("You cannot read this.", "a1", EME), "I cannot read encrypted messages", []),
        (order("restart", "a1", EME), "I cannot read encrypted messages", []),
        (order("?OTRv2?", "a1"), "I cannot read encrypted messages", []),
        (f"<message to='{BOT}' type='chat'>{XHTML}</message>", TOLD, [RESTART]),
        (
            f"<message to='{BOT}'><x xmlns='jabber:x:conference' jid='r@x.test'/></message>",
            "I do not join chat rooms",
            [],
        ),
    ],
)
def test_a_message_without_a_plain_text_is_read_or_answered(
    stanza: str, answer: str, ran: list[tuple[str, ...]]
) -> None:
    world, heard = talked(stanza)
    assert (heard, world.host.ran) == ([answer], ran)


def test_a_stranger_who_encrypts_is_logged_and_not_answered() -> None:
    with World(WORLD, rehearsal=True) as world:
        mallory = world.jabber.actor("mallory@yourco.test")
        world.clock.at(10, partial(mallory.sends, order("x", "a1", EME)))
        run(world.clock, comms_settings.load(world.settings, world.folder), world.host)
        assert mallory.messages == []
        events = [event.text for event in world.events]
        assert any(text.startswith("refused who=mallory@yourco.test") for text in events)


FLOOD = "<![CDATA[" + "&" * 60_000 + "]]>"


@pytest.mark.parametrize(
    "content",
    [
        f"<body>{FLOOD}</body>",
        f"<body>hi</body><thread>{FLOOD}</thread>",
        f"<body>{FLOOD}</body><thread>{FLOOD}</thread>",
        "<body>" + "\U0001f600" * 15_000 + "</body>",
        "<body>&#9;" + "x" * 60_000 + "</body>",
    ],
)
@pytest.mark.parametrize("listen", ["poll", "callback"])
def test_a_flood_from_a_stranger_is_answered_and_costs_nothing(content: str, listen: str) -> None:
    config = {**jabber_hello.WORLD, "xmpp": {"stanza": 1 << 17}}
    with World(config, rehearsal=True) as world:
        world.jabber.befriend(jabber_hello.BOT, jabber_hello.THEM)
        shy = world.jabber.actor("shy@yourco.test")
        message = f"<message to='{jabber_hello.BOT}' type='chat' id='1'>{content}</message>"
        for second in (10, 20, 30):
            world.clock.at(second, partial(shy.sends, message))
        settings = {**world.settings}
        settings["scenario"]["jabber-hello"]["listen"] = listen
        loaded = comms_settings.load(settings, world.folder)
        assert jabber_hello.run(world.clock, loaded, world.host) == 0
        heard = [stanza.body or "" for stanza in shy.messages]
        assert len(heard) == 3 and all(text.startswith("Hello, shy. You said: ") for text in heard)
        assert not [event.text for event in world.events if "off-line" in event.text]


@pytest.mark.parametrize("delay", ["", "<delay xmlns='urn:xmpp:delay'/>"])
def test_a_flood_from_an_administrator_is_answered_too(delay: str) -> None:
    flood = order(FLOOD, "a1", f"<thread>{FLOOD}</thread>{delay}")
    world, heard = talked(flood, order("restart", "a2"))
    assert world.host.ran == [RESTART]
    assert len(heard) == 2 and heard[1] == TOLD and heard[0]
    events = [event.text for event in world.events if event.who == "program"]
    assert not [text for text in events if "off-line" in text]
    assert all(len(text) < 2_000 for text in events)


def test_a_connection_lost_between_a_message_and_its_answer_does_not_end_the_program() -> None:
    with World(jabber_hello.WORLD, rehearsal=True) as world:
        world.jabber.befriend(jabber_hello.BOT, jabber_hello.THEM)
        shy = world.jabber.actor("shy@yourco.test")
        hello = f"<message to='{jabber_hello.BOT}' type='chat'><body>hello</body></message>"

        def says_and_is_cut() -> None:
            shy.sends(hello)
            world.cut("xmpp")

        world.clock.at(10, says_and_is_cut)
        world.clock.at(100, partial(shy.sends, hello))
        world.clock.until(200)
        settings = {**world.settings}
        settings["scenario"]["jabber-hello"]["listen"] = "poll"
        loaded = comms_settings.load(settings, world.folder)
        assert jabber_hello.run(world.clock, loaded, world.host) == 0
        assert len(shy.messages) == 1
        assert [event.text for event in world.events if event.text.startswith("not-answered")]


# ── a wall clock that is set back ────────────────────────────────────────────


def test_mail_is_collected_in_time_although_the_wall_clock_was_set_back() -> None:
    inbox = "secret@yourco.test"
    bot = {"address": BOT, "aliases": [inbox], "contacts": dict.fromkeys(ADMINS, "both")}
    people = [bot, *({"address": address} for address in ADMINS)]
    rules = WORLD["scenario"]["mysql-by-jabber"] | {"inbox": inbox, "sender": f"MySQL <{BOT}>"}
    servers = {"servers": ["xmpp", "smtp", "pop3"], "person": people}
    config = {**WORLD, **servers, "scenario": {"mysql-by-jabber": rules}}
    mail = f"From: {JEREMY}\r\nSubject: restart\r\nMessage-ID: <1@x.test>\r\n\r\n\r\n"
    with World(config, rehearsal=True) as world:
        world.clock.at(40, lambda: world.clock.jump(-7200))
        world.clock.at(50, lambda: world.mail.deliver(inbox, mail.encode()))
        world.clock.until(100)
        run(world.clock, comms_settings.load(world.settings, world.folder), world.host)
        assert world.host.ran == [RESTART]
