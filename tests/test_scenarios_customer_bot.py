"""customer-bot: its files and hours, what it answers, impostors, lost connections, and kills."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.errors import SettingsError
from comms.settings import load
from comms.state import State
from fakes import World
from fakes.wire import Record
from scenarios import catalogue
from scenarios.bots import customer_bot
from scenarios.bots.customer_bot_dialogue import POLITE, Answer, answer
from scenarios.bots.customer_bot_input import Faq, read_customers, words_of
from scenarios.bots.customer_bot_model import Facts, inset
from scenarios.bots.customer_bot_samples import (
    CAROL,
    DORA,
    FAQ,
    JID,
    MALLORY,
    TEAM,
    bodies,
    opened,
    says,
    write_files,
)
from scenarios.play import merged
from scenarios.rehearsal import rehearse
from tests import drills, test_comms_bots_impostors
from tests.bots import ACCOUNTS
from tests.bots import WORLD as WORLD_OF_BOTS
from tests.thorough import THOROUGH

PAGE = catalogue.named("customer-bot")
AGENTS = {"Anna": {"jabber": "anna@yourco.test"}}
RIGHT = {"faq": "faq.toml", "customers": "customers.toml", "agents": AGENTS, "team": TEAM}


def play(world: World, seconds: float, **changes: Any) -> int:
    """Runs the program in a world for some seconds."""
    world.clock.until(world.clock.elapsed + seconds)
    settings = {**world.settings, **changes}
    return customer_bot.run(world.clock, load(settings, world.folder), world.host)


def rows(world: World, sql: str) -> list[tuple[object, ...]]:
    """Rows of the state file."""
    with State(world.folder / "customer-bot.sqlite3") as state:
        return state.rows(sql)


# ── settings and files ───────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"faq": "none.toml"}, "faq: .*none.toml cannot be read"),
        ({"agents": {}}, "agents"),
        ({"agents": {"Anna": {}}}, "agents"),
        ({"agents": {"Anna": {"irc": "anna"}}}, "agents: unknown network 'irc'"),
        ({"agents": {"Anna": {"jabber": "anna"}}}, "agents: 'anna' is not a bare Jabber"),
        ({"agents": {"A": {"aim": "x"}, "B": {"aim": "X"}}}, "agents: 'X' is both A and B"),
        ({"team": "team"}, "team"),
        ({"zone": "Mars"}, "zone: unknown time zone 'Mars'; write"),
        ({"zone": "../x"}, "zone: unknown time zone"),
        ({"hours": []}, "hours"),
        ({"hours": ["9 to 5"]}, "hours: '9 to 5' are no hours; write \"Mon-Fri 09:00-17:00\""),
        ({"hours": ["Mon-Fir 09:00-17:00"]}, "hours: .* are no hours"),
        ({"hours": ["Mon 17:00-09:00"]}, "hours: .* end before they begin"),
        ({"hours": ["Mon 00:00-24:01"]}, "hours: .* are no hours"),
        ({"hours": ["Mon 09:75-17:00"]}, "hours: .* are no hours"),
        ({"messages": 0}, "messages"),
        ({"abuse": [" "]}, "abuse"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, changes: Mapping[str, Any], words: str) -> None:
    for name in ("faq.toml", "customers.toml"):
        (tmp_path / name).touch()
    table = {"scenario": {"customer-bot": {**RIGHT, **changes}}}
    with pytest.raises(SettingsError, match=words):
        load(table, tmp_path).table("customer-bot", customer_bot.Rules)


ONE = '[[question]]\nask = ["hours"]\nanswer = "9 to 5"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected 1 to 1000 tables"),
        ("[[question]", "cannot be read: .*line 1.*; mend it"),
        ("\xff", "cannot be read"),
        (f"question = {'[' * 5000}", "cannot be read"),
        ("\xef\xbb\xbfquestion = 1", "expected 1 to 1000 tables"),
        (f"{ONE}[more]\n", "expected .* and nothing else"),
        ("question = 1", "expected 1 to 1000 tables"),
        (f"{ONE}[[question]]\nask = ['x']\n", "question 2: expected ask and answer; write"),
        (ONE.replace("answer", "anwser"), "question 1: expected ask and answer"),
        (ONE.replace('["hours"]', "[]"), "question 1: ask: expected a list of questions"),
        (ONE.replace('"hours"', "7"), "question 1: ask: expected words"),
        (ONE.replace("hours", "?!"), "question 1: ask: expected words"),
        (ONE.replace("hours", "x" * 201), "question 1: ask: expected words, at most 200"),
        (ONE.replace("hours", r"a\u001bb"), "question 1: ask: has control characters"),
        (ONE.replace("9 to 5", " "), "question 1: answer: expected a text"),
        (ONE.replace("9 to 5", "x" * 1501), "question 1: answer: .*at most 1500"),
        (f"{ONE}{ONE.replace('hours', 'HOURS?')}", "question 2: 'hours' is asked in question 1"),
    ],
)
def test_a_mistake_in_the_list_of_questions_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "faq.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=f"^faq.toml: {words}"):
        Faq(path)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('x = { name = "Ann" }', "x: expected a number"),
        ('"1\\n2" = { name = "Ann" }', "1 2: expected a number"),
        ("17 = 7", "17: expected a table with a name"),
        ('17 = { mail = "a@b.test" }', "17: expected a table with a name"),
        ('17 = { name = "Ann", icq = "1" }', "17: unknown key 'icq'"),
        ('17 = { name = "" }', "17: name: expected a text of one line"),
        ('17 = { name = "A\\nBcc: x" }', "17: name: expected a text of one line"),
        ('17 = { name = "A", mail = "a@b.test, c@d.test" }', "17: mail: .*not a bare mail address"),
        ('17 = { name = "A", mail = "a@straße.test" }', "17: mail: the domain of .* cannot be enc"),
        ('17 = { name = "A", jabber = "carol@" }', "17: jabber: 'carol@' is not a bare Jabber add"),
        ('1 = { name = "A", aim = "x" }\n2 = { name = "B", aim = "X" }', "2: 'X' is customer 1"),
    ],
)
def test_a_mistake_in_the_customers_is_named(tmp_path: Path, row: str, words: str) -> None:
    path = tmp_path / "customers.toml"
    path.write_text(row, "utf-8", newline="\n")
    with pytest.raises(SettingsError, match=f"^customers.toml: {words}"):
        read_customers(path)


# ── what it answers ──────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def faq(tmp_path_factory: pytest.TempPathFactory) -> Faq:
    path = tmp_path_factory.mktemp("faq") / "faq.toml"
    path.write_text(FAQ, "utf-8", newline="\n")
    return Faq(path)


@pytest.mark.parametrize(
    ("text", "title", "near"),
    [
        ("When are you open?", "opening hours", []),
        ("OPENING\u00a0HOURS", "opening hours", []),
        ("\uff4fpening hours", "opening hours", []),  # full width
        ("the oppening hours please", "opening hours", []),
        ("hours", "", ["opening hours"]),
        ("track and return a parcel", "", ["where is my parcel", "return a parcel"]),
        ("parcel", "", ["where is my parcel", "return a parcel"]),
        ("do you sell shells", "", []),
        ("\U0001f600", "", []),
        ("x" * 100_000, "", []),
        ("ab " * 50_000, "", []),
    ],
)
def test_a_question_is_found_by_its_words(faq: Faq, text: str, title: str, near: list[str]) -> None:
    entry, numbers = faq.search(text)
    assert (entry.title if entry else "") == title
    assert [faq.entries[number].title for number in numbers] == near


def test_a_session_knows_what_was_suggested_and_what_was_missed(faq: Faq) -> None:
    facts = Facts("Carol", {}, 0.0)
    say = partial(answer, faq, facts, abuse=(), insults=3)
    assert say("hours").text.endswith("\n1 opening hours")
    assert say("1").text.startswith("We are here")
    assert say("1").then == "person", "the suggestion counts once"
    assert say("hours").then == ""
    assert say("parcel").then == "person", "the second in a row"
    assert say("Bye!") == Answer("Goodbye!", "end")
    assert "opening hours; where is my parcel" in say("?").text


def test_abuse_is_told_once_and_then_nothing_is_answered(faq: Faq) -> None:
    facts = Facts("Carol", {}, 0.0)
    texts = ["an Idiot!", "opening hours", "idiot", "IDIOT", "opening hours", "person"]
    said = [answer(faq, facts, text, {"idiot"}, 3) for text in texts]
    assert said[0].text == POLITE and said[1].text.startswith("We are")
    assert said[2:] == [Answer()] * 4


@given(st.text(max_size=60))
def test_any_text_is_answered_suggested_or_handed_over(faq: Faq, text: str) -> None:
    said = answer(faq, Facts("Carol", {}, 0.0), text, (), 3)
    assert bool(said.text) or said.then == "person"
    assert not set(words_of(text)) & {"\n"}
    assert inset(text).count("\n    ") >= text.count("\n")


# ── what it does ─────────────────────────────────────────────────────────────


def test_a_mail_in_doubt_is_not_sent_again_but_is_in_the_audit() -> None:
    fault = "smtp . lost stored"
    with World(customer_bot.WORLD, rehearsal=True, faults=[fault]) as world:
        _, anna = opened(world)
        says(world, world.jabber.actor(DORA), (10, "person"))
        says(world, anna, (20, "!take"), (30, "!end"))
        assert [play(world, 40), play(world, 40)] == [0, 0]
        assert len(world.mail.inbox(TEAM)) == 1
        (row,) = rows(world, "SELECT what, verdict FROM audit")
        assert str(row[0]).endswith(f"to {TEAM}") and row[1] == "unknown"


def test_a_program_that_answers_everything_gets_few_answers_and_the_team_few_mails() -> None:
    with World(customer_bot.WORLD, rehearsal=True) as world:
        write_files(world)
        robot = world.jabber.actor(DORA)
        for number in range(60):
            says(world, robot, (10 + number, "Ticket closed."))
        play(world, 80)
        assert len(robot.messages) == 11 and len(world.mail.inbox(TEAM)) == 3


def test_a_customer_who_begins_again_and_again_causes_few_mails_a_day() -> None:
    always = {"hours": ["Mon-Sun 00:00-24:00"]}
    config = merged(customer_bot.WORLD, {"scenario": {"customer-bot": always}})
    with World(config, rehearsal=True) as world:
        write_files(world)
        dora, mallory = map(world.jabber.actor, (DORA, MALLORY))
        for number in range(10):
            says(world, dora, (20 + 20 * number, "person"), (30 + 20 * number, "end"))
        assert [play(world, 120), play(world, 120)] == [0, 0]
        says(world, mallory, (250, "person"))
        play(world, 20)
        assert len(world.mail.inbox(TEAM)) == 3 + 1, "others may write"
        told = [text for text in bodies(dora) if text != "Goodbye!"]
        written = ["I have written to the team" in text for text in told]
        assert written == [True] * 3 + [False] * 7, "nobody is told what is not so"
        says(world, dora, (86460, "person"))
        slow = merged(world.settings, {"scenario": {"customer-bot": {"poll": 3600}}})
        play(world, 86400, scenario=slow["scenario"])
        assert len(world.mail.inbox(TEAM)) == 3 + 1 + 1


def test_a_conversation_stored_by_an_older_version_goes_on() -> None:
    with World(customer_bot.WORLD, rehearsal=True) as world:
        write_files(world)
        play(world, 2)
        facts = '{"name": "dora", "to": {}, "last": 1767571200.0, "mails": 1, "offered": [2]}'
        with State(world.folder / "customer-bot.sqlite3") as state, state.transaction() as db:
            db.execute("INSERT INTO talk VALUES (7, 'jabber', ?, ?)", (DORA, facts))
        dora = world.jabber.actor(DORA)
        says(world, dora, (10, "1"))
        play(world, 10)
        assert bodies(dora) == ["Within 30 days: https://yourco.test/returns"]


def test_who_has_waited_longest_is_taken_first_and_an_agent_is_told_of_few() -> None:
    with World(customer_bot.WORLD, rehearsal=True) as world:
        _, anna = opened(world)

        def ask(name: str, text: str) -> None:
            head = f"<message from='{name}@there.test/x' to='{JID}' type='chat'>"
            world.jabber.inject(f"{head}<body>{text}</body></message>")

        for number in range(8):
            world.clock.at(30 - number, partial(ask, f"c{number}", "person"))
            world.clock.at(10 + number, partial(ask, f"c{number}", "opening hours"))
        says(world, anna, (40, "!take"))
        play(world, 50)
        *waiting, taken = bodies(anna)
        assert [text.partition("@")[0] for text in waiting] == ["c7", "c6", "c5", "c4", "c3"]
        assert taken.startswith("You talk to c7@there.test until")


def test_an_agent_who_is_none_any_more_has_no_customer() -> None:
    with World(customer_bot.WORLD, rehearsal=True) as world:
        carol, anna = opened(world)
        says(world, carol, (10, "person"))
        says(world, anna, (20, "!take"))
        play(world, 30)
        says(world, anna, (40, "What is your password?"))
        rules = {**world.settings["scenario"]["customer-bot"], "agents": {"Ben": {"aim": "Ben"}}}
        play(world, 30, scenario={"customer-bot": rules})
        texts = bodies(carol)
        assert texts[2] == "Anna is not there any more." and "password" not in "".join(texts)


def test_silence_ends_a_conversation_and_a_clock_that_is_set_does_not() -> None:
    config = merged(customer_bot.WORLD, {"scenario": {"customer-bot": {"quiet": 60}}})
    with World(config, rehearsal=True) as world:
        carol, anna = opened(world)
        says(world, carol, (10, "person"), (40, "Hello?"))
        says(world, anna, (20, "!take"))
        world.clock.at(30, lambda: world.clock.jump(3600))
        play(world, 90)
        assert bodies(anna)[2:] == ["Carol Jones: Hello?"]
        play(world, 20)
        assert bodies(anna)[3].endswith("nobody has said anything for a while")
        assert len(world.mail.inbox(CAROL)) == 1


def test_a_note_that_comes_again_or_corrects_another_one_is_not_added() -> None:
    config = merged(customer_bot.WORLD, {"scenario": {"customer-bot": {"poll": 50}}})
    with World(config, rehearsal=True) as world:
        _, anna = opened(world)

        def note(at: float, id: str, text: str, more: str = "") -> None:
            body = f"<body>!note 17 {text}</body>{more}"
            stanza = f"<message to='{JID}' type='chat' id='{id}'>{body}</message>"
            world.clock.at(at, partial(anna.sends, stanza))

        note(10, "one", "Call")
        note(11, "one", "Call")
        note(12, "two", "Cal", "<replace xmlns='urn:xmpp:message-correct:0' id='one'/>")
        note(13, "one", "Write")  # some clients count from 1 each time,
        note(700, "one", "Write")  # and people write the same
        play(world, 710)
        texts = [text for (text,) in rows(world, "SELECT text FROM customer_note")]
        assert texts == ["Call", "Write", "Write"]
        said = [text.partition(":")[0] for text in bodies(anna)]
        assert said[1] == "Not done, because it is old or corrects another one"


def test_a_message_that_was_stored_for_the_bot_is_passed_on_in_a_hand_over_only() -> None:
    stamp = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-05T00:00:01Z'/>"
    with World(customer_bot.WORLD, rehearsal=True) as world:
        _, anna = opened(world)
        dora = world.jabber.actor(DORA)

        def stored(sender: str, text: str) -> None:
            head = f"<message from='{sender}/x' to='{JID}' type='chat'>"
            world.jabber.inject(f"{head}<body>{text}</body>{stamp}</message>")

        world.clock.at(10, lambda: stored(DORA, "!find jones"))
        says(world, dora, (20, "person"))
        says(world, anna, (30, "!take"))
        world.clock.at(40, lambda: stored(DORA, "I wrote this before"))
        world.clock.at(50, lambda: stored("anna@yourco.test", "to a customer who is gone"))
        play(world, 60)
        assert bodies(anna)[2] == "Dora Smith: I wrote this before"
        assert bodies(anna)[3].startswith("Not done, because it is old")
        assert not any("gone" in text or "staff" in text for text in bodies(dora))


def test_a_sentence_of_an_agent_is_no_command() -> None:
    with World(customer_bot.WORLD, rehearsal=True) as world:
        carol, anna = opened(world)
        says(world, carol, (10, "person"))
        says(world, anna, (20, "take your time"), (30, "!take"), (40, "!end it"), (50, "!"))
        play(world, 60)
        said = bodies(anna)
        assert said[1].startswith("You have no customer, and I do not understand")
        assert [text.partition(" that")[0] for text in said[3:]] == ["I do not understand"] * 2
        assert len(bodies(carol)) == 2


# ── who is an agent ──────────────────────────────────────────────────────────


@pytest.mark.slow
def test_only_an_account_that_is_listed_is_an_agent() -> None:
    # The impostors of another bot, who all say "restart". An agent is told that there is no such
    # command; all others are customers, or nobody.
    obeyed = Counter[bool]()
    for rows_of in (test_comms_bots_impostors.JABBER, test_comms_bots_impostors.AIM):
        for text, is_agent, act in rows_of:
            config = {**WORLD_OF_BOTS, "servers": ["toc", "xmpp", "smtp"]}
            agents = {"jeremy": {name: ACCOUNTS["jeremy"][name] for name in ("aim", "jabber")}}
            config["scenario"] = {"customer-bot": {**RIGHT, "agents": agents}}
            with World(config, rehearsal=True) as world:
                write_files(world)
                act(world)
                play(world, 15)
                found = any(
                    b"and I do not understand that" in record.raw for record in world.records
                )
                # The bot is in no room.
                assert found == (is_agent and "room" not in text), text
                obeyed[found] += 1
    assert obeyed[True] >= 4 and obeyed[False] >= 20


# ── drills ───────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_nothing_is_said_or_mailed_twice_wherever_a_connection_is_cut() -> None:
    act = PAGE.acts()[0]
    records = [item for item in rehearse(PAGE, act).recording if isinstance(item, Record)]
    # Of the ways to lose it, each unit meets at least one.
    for cut in list(drills.cuts(records))[::19]:
        performance = rehearse(PAGE, act, [cut])
        said = Counter(
            (record.verb, record.raw.partition(b"<body>")[2] or record.raw)
            for record in performance.recording
            if isinstance(record, Record)
            and record.direction == "C"
            and (record.verb == "toc_send_im" or b"<body>" in record.raw)
        )
        hours = [count for (_, text), count in said.items() if b"We are here" in text]
        others = [count for (_, text), count in said.items() if b"We are here" not in text]
        assert max(hours, default=0) <= 2 and max(others, default=0) <= 1, cut
        assert performance.tracebacks == [], cut


class Killed(BaseException):
    """Ends the program as SIGKILL would."""


@pytest.mark.slow
def test_killed_at_any_step_no_hand_over_note_or_transcript_is_lost_or_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = State.transaction
    for step in itertools.count(1, 1 if THOROUGH else 11):
        taken = 0

        def passes(step: int = step) -> None:
            nonlocal taken
            taken += 1
            if taken == step:
                raise Killed

        @contextlib.contextmanager
        def transaction(self: State, passes: Callable[[], None] = passes) -> Iterator[Any]:
            passes()
            with original(self) as db:
                yield db
            passes()

        with World(customer_bot.WORLD, rehearsal=True) as world:
            carol, anna = opened(world)
            resumes = {**world.settings["scenario"]["customer-bot"], "resume": True}
            scenario = {"customer-bot": resumes}
            says(world, carol, (3, "person"), (8, "Hello"))
            # As real clients do, with ids, by which a message is known that comes again.
            for at, text in ((6, "!take"), (9, "!note 17 Call"), (12, "!end")):
                stanza = f"<message to='{JID}' type='chat' id='{at}'><body>{text}</body></message>"
                world.clock.at(at, partial(anna.sends, stanza))
            with monkeypatch.context() as patch, contextlib.suppress(Killed):
                patch.setattr(State, "transaction", transaction)
                play(world, 15, scenario=scenario)
            # What was lost with the program, people say again.
            says(world, carol, (23, "person"), (29, "Again"))
            says(world, anna, (26, "!take"), (35, "!end"))
            play(world, 37 - world.clock.elapsed, scenario=scenario)
            notes = rows(world, "SELECT text FROM customer_note")
            told = [text for text in bodies(anna) if text.startswith("Noted") or "!note" in text]
            mails = world.mail.inbox(CAROL)
            doubts = rows(world, "SELECT 1 FROM audit WHERE verdict = 'unknown'")
            told = [text for text in told if not text.startswith("You have no customer")]
            assert (len(notes), len(told)) in ((1, 1), (0, 1), (1, 0)), (step, notes, told)
            texts = Counter(mail.text for mail in mails)
            assert max(texts.values(), default=1) == 1, (step, texts)
            assert 1 <= len(mails) + len(doubts) <= 3, (step, len(mails), doubts)
            assert bodies(carol).count("Anna is here now, and reads what you write.") <= 2
            assert rows(world, "SELECT 1 FROM talk") == [], step
            if taken < step:
                assert (len(notes), len(mails)) == (1, 2)
                break
    assert step > 30
