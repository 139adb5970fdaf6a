"""review-bot: who may vote, what counts, and programs that are killed at every step."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.errors import SettingsError
from comms.link import Link
from comms.settings import load
from comms.state import State
from fakes import World
from fakes.wire import Record
from scenarios import catalogue
from scenarios.bots import review_bot
from scenarios.bots.review_bot_desk import USAGE, Desk, is_new
from scenarios.bots.review_bot_dialogue import LONGEST, Step, Workflows, read_workflows
from scenarios.bots.review_bot_model import MANAGER, PEER, Reviews, Turn, needs
from scenarios.bots.review_bot_samples import BOT, LEAVE, PEOPLE, address_of
from scenarios.play import merged
from scenarios.rehearsal import rehearse
from tests import drills
from tests.test_comms_bots_impostors import aim, in_room, irc, jabber
from tests.thorough import THOROUGH

PAGE = catalogue.named("review-bot")
TABLE = review_bot.WORLD["scenario"]["review-bot"]
STATE = "review-bot.sqlite3"
PATIENCE = 20.0  # seconds

# ── settings ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"peers": ["ann", "zoe"]}, "peers: 'zoe' is nobody of people; choose from: ann, bob"),
        ({"managers": ["zoe"]}, "managers: 'zoe' is nobody of people"),
        ({"managers": []}, "managers"),
        ({"peers": ["dan"]}, "managers: it takes two people to approve a review"),
        ({"people": {**PEOPLE, "eve": {"irc": "eve"}}}, "people: eve cannot be told of reviews"),
        ({"people": {**PEOPLE, "eve": {"icq": "1"}}}, "people: unknown network 'icq'"),
        ({"people": {**PEOPLE, "eve": {"irc": "DAN", "aim": "E"}}}, "'DAN' is both dan and eve"),
        ({"people": {**PEOPLE, "Dan": {"aim": "E"}}}, "people: two names differ by case only"),
        ({"workflows": {"close": LEAVE}}, "workflows: 'close' cannot be the name of one"),
        ({"workflows": {"two words": LEAVE}}, "workflows: 'two words' cannot be the name of one"),
        ({"workflows": {"leave": []}}, "workflows"),
        ({"workflows": {"leave": ["From?"]}}, "workflows: leave: 'From?' is not a step"),
        ({"workflows": {"leave": ["a: A?", "a: B?"]}}, "workflows: leave: a twice"),
        ({"rooms": ["dev"]}, "rooms: 'dev' is not a bare Jabber address"),
        ({"remind": 0}, "remind"),
        ({"timout": 1}, "did you mean 'timeout'"),
    ],
)
def test_wrong_settings_are_named(table: Mapping[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        load({"scenario": {"review-bot": {**TABLE, **table}}}).table("review-bot", review_bot.Rules)


@pytest.mark.parametrize(
    ("servers", "words"),
    [([], "no network"), (["xmpp"], "settings: eve has no account on [xmpp] or [toc]")],
)
def test_everybody_needs_a_network_to_be_told(servers: list[str], words: str) -> None:
    people = {**PEOPLE, "eve": {"aim": "Eve"}}
    rules = {"scenario": {"review-bot": {"people": people}}}
    with (
        World(merged(review_bot.WORLD, {"servers": servers, **rules}), rehearsal=True) as world,
        pytest.raises(SettingsError, match=re.escape(words)),
    ):
        review_bot.run(world.clock, load(world.settings, world.folder), world.host)


# ── votes ────────────────────────────────────────────────────────────────────

P, M, BOTH = {PEER}, {MANAGER}, {PEER, MANAGER}


@pytest.mark.parametrize(
    ("approvals", "missing"),
    [
        ([], (PEER, MANAGER)),
        ([P], (MANAGER,)),
        ([P, P], (MANAGER,)),
        ([M, M], (PEER,)),
        ([P, M], ()),
        ([BOTH], (PEER, MANAGER)),
        ([BOTH, P], ()),
        ([M, BOTH], ()),
        ([BOTH, BOTH], ()),
    ],
)
def test_it_takes_two_people(approvals: list[set[str]], missing: tuple[str, ...]) -> None:
    assert needs({f"person {n}": roles for n, roles in enumerate(approvals)}) == missing


ROLES = {name: frozenset(role) for name, role in zip("abcde", (P, P, M, BOTH, ()), strict=True)}


class Office:
    """The desk on a state file; with other settings, it can be opened again."""

    def __init__(self) -> None:
        self._state = State(Path(":memory:"))
        self.opens(ROLES, {"leave": LEAVE})

    def opens(self, roles: Mapping[str, frozenset[str]], workflows: Mapping[str, Any]) -> None:
        reviews, steps = Reviews(self._state, roles, 60, 3), read_workflows(workflows)
        talks = Workflows(self._state, steps, 60, reviews.open_request)
        self._desk = Desk(reviews, talks, steps)

    def say(self, who: str, text: str, in_room: bool = False) -> str:
        """A person says something; returns the answer."""
        with self._state.transaction() as db:
            return self._desk.answer(Turn(db, who, 0.0), text, in_room)

    def close(self) -> None:
        self._state.close()


@pytest.fixture
def office() -> Iterator[Office]:
    with contextlib.closing(Office()) as found:
        yield found


PEOPLE_SAY = st.one_of(
    st.tuples(st.sampled_from("bcde"), st.sampled_from(["approve 1 {}", "reject 1 {} No"])),
    st.tuples(st.sampled_from("abcde"), st.sampled_from(["withdraw 1", "approve 1 {}"])),
    st.tuples(st.sampled_from("abcde"), st.sampled_from([f"delegate 1 {one}" for one in "abcde"])),
    st.just(("a", "update 1 {}x")),
)


@given(st.lists(PEOPLE_SAY, max_size=14))
def test_whatever_is_said_nobody_alone_and_no_author_approves(said: list[tuple[str, str]]) -> None:
    with contextlib.closing(Office()) as office:
        say = office.say
        say("a", "review v Mend it")
        version, votes, parts = "v", dict[str, str](), {one: one for one in "bcde"}

        def roles(who: str) -> set[str]:
            return {role for holder in parts if parts[holder] == who for role in ROLES[holder]}

        for who, text in said:
            was_open = ": open" in say("e", "status 1")
            say(who, text.format(version))
            verb = text.partition(" ")[0]
            if verb == "update":
                version, votes = f"{version}x", {}
            elif verb == "withdraw" and was_open:
                votes.pop(who, None)
            elif verb == "delegate" and was_open:
                if who in parts and ROLES[who] and who not in votes and text[-1] != "a":
                    parts[who] = text[-1]
            elif was_open and roles(who):
                votes.setdefault(who, verb)
            counted = {one: verdict for one, verdict in votes.items() if roles(one)}
            approved = {*counted.values()} == {"approve"} and any(
                PEER in roles(one) and MANAGER in roles(other)
                for one, other in itertools.permutations(counted, 2)
            )
            status = say("e", "status 1")
            assert (": approved" in status) == approved, status
            assert re.findall(r"^(.) \(", status, re.M) == sorted(votes)


@pytest.mark.parametrize("verb", [*USAGE, "delegat", "leave", ""])
@pytest.mark.parametrize(
    "rest",
    ["", " ", "x", "1", "#", "#1 x" * 3000, "1 \ud800", "-1", "0", "9" * 30, "1 " + "x" * 10_000],
)
def test_any_text_gets_a_short_answer(verb: str, rest: str, office: Office) -> None:
    office.say("a", "review v Mend it")
    answer = office.say("b", f"{verb} {rest}")
    assert 0 < len(answer) < 400 and answer.replace("\n", " ").isprintable()
    assert office.say("e", "status 1").splitlines()[0] == "#1 Mend it (v) by a: open"


def test_votes_of_those_who_have_lost_their_role_do_not_count(office: Office) -> None:
    office.say("a", "review v Mend it")
    office.say("b", "approve 1 v")
    office.say("c", "delegate 1 d")
    office.opens({**ROLES, "b": frozenset()}, {"leave": LEAVE})
    assert "b (counts no more): approve" in office.say("e", "status 1")
    assert office.say("c", "approve 1 v") == "You are neither a peer nor a manager of #1"
    office.opens({name: roles for name, roles in ROLES.items() if name != "d"}, {})
    assert office.say("c", "approve 1 v") == "#1 is approved", "the delegate is gone"


def test_only_the_author_changes_a_review_and_only_once(office: Office) -> None:
    office.say("a", "review v Mend it")
    for text in ("update 1 w", "close 1"):
        assert office.say("b", text) == "#1 is a's; only its author may do that"
    assert office.say("a", "CLOSE 1") == "#1 is closed"
    assert [office.say("a", text) for text in ("close 1", "update 1 w", "reviews")] == [
        "#1 is closed already",
        "#1 is closed",
        "0 open",
    ]
    assert office.say("b", "approve 1 v") == "#1 is closed; only a new version opens it again"


def test_a_list_of_many_reviews_is_cut(office: Office) -> None:
    for number in range(25):
        office.say("a", f"review v{number} {'x' * LONGEST}")
    lines = office.say("b", "reviews").splitlines()
    assert lines[0] == "25 open" and lines[-1] == "and 5 more" and len(lines) == 22
    assert max(map(len, lines)) < 120
    assert "x" * LONGEST in office.say("b", "status 25"), "who decides sees all of it"


# ── workflows ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "answer", "is_one"),
    [
        ("date", "2026-12-31", True),
        ("date", "20261231", False),
        ("date", "2026-02-30", False),
        ("date", "2026-W01-1", False),
        ("date", "\u0662026-12-31", False),
        ("number", "12", True),
        ("number", "-1", False),
        ("number", "\u0661", False),
        ("number", "9" * 16, False),
        ("", "x" * LONGEST, True),
        ("", "x" * (LONGEST + 1), False),
        ("", "", False),
    ],
)
def test_an_answer_is_of_the_kind_that_the_step_wants(kind: str, answer: str, is_one: bool) -> None:
    assert bool(Step("a", kind, "A?").problem_of(answer)) != is_one


def test_in_a_workflow_commands_are_obeyed_and_all_else_is_an_answer(office: Office) -> None:
    office.say("a", "review v Mend it")
    for text, answer in (
        ("leave", "leave 1/3: From which day? (cancel ends this)"),
        ("approve 1 w", "#1 is at v, and that is not what you have read; read it, then say: "),
        ("2026-12-24", "leave 2/3: Until which day?"),
        ("status", "leave 2/3: Until which day?"),
        ("until: 2026-12-31", "leave 3/3: What for?"),
        ("leave", "leave: from 2026-12-24, until 2026-12-31, why leave. Is that right?"),
        ("why: ", "Please answer with 1 to 200 characters"),
        ("why: review v the plan: twice", "leave: from 2026-12-24, until 2026-12-31, why review v"),
        ("yes", "#2 is open at 1"),
        ("yes", "I do not understand that"),
    ):
        assert office.say("b", text).startswith(answer), text
    assert office.say("b", "status").startswith("2 open")


def test_in_a_room_nothing_is_an_answer(office: Office) -> None:
    alone = "leave is between you and me: say it to me alone"
    assert office.say("a", "leave", in_room=True) == alone
    office.say("a", "leave")
    assert office.say("a", "2026-12-24", in_room=True).startswith("I do not understand that")
    assert office.say("a", "status").startswith("leave 1/3")


def test_a_workflow_that_the_settings_have_lost_is_over(office: Office) -> None:
    office.say("a", "leave")
    office.opens(ROLES, {"order": ["what: What?"]})
    assert office.say("a", "2026-12-24").startswith("I do not understand that")
    assert office.say("a", "cancel") == "There is nothing to cancel"
    assert office.say("a", "order") == "order 1/1: What? (cancel ends this)"


# ── impostors ────────────────────────────────────────────────────────────────

VOTE = "approve 1 r17"
BODY = f"<body>{VOTE}</body>"
SAID = f"bot: {VOTE}"
B, JEREMY = "bob@yourco.test", "jeremy@yourco.test"
# Jeremy is the author, and Mallory a stranger; the votes are Bob's.
VOTES: list[tuple[str, str, bool, Callable[[World], object]]] = [
    ("irc", "Bob", True, irc("bob joins", "bob logs in", "bob says", text=SAID)),
    ("irc", "Bob with another nick", True, irc("x joins", "x logs in bob", "x says", text=SAID)),
    ("irc", "Bob's nick without a login", False, irc("bob joins", "bob says", text=SAID)),
    (
        "irc",
        "the author with Bob's nick",
        False,
        irc("jeremy joins", "jeremy logs in", "jeremy is bob", "jeremy says", text=SAID),
    ),
    (
        "irc",
        "the author with the nick that Bob has left",
        False,
        irc(
            *("bob joins", "bob logs in", "bob is away", "jeremy joins", "jeremy logs in"),
            *("jeremy is bob", "jeremy says"),
            text=SAID,
        ),
    ),
    ("irc", "a relay", False, irc("relay joins", f"relay says <bob> {SAID}")),
    (
        "irc",
        "a tag with his account",
        False,
        irc("mallory joins", f"mallory tags {SAID}", text=SAID),
    ),
    ("irc", "a notice", False, irc("bob joins", "bob logs in", "bob notices", text=SAID)),
    ("jabber", "Bob", True, jabber(f"{B}/phone", BODY)),
    ("jabber", "the author", False, jabber(f"{JEREMY}/phone", BODY)),
    ("jabber", "the author with Bob as a resource", False, jabber(f"{JEREMY}/{B}", BODY)),
    ("jabber", "bob elsewhere", False, jabber("bob@yourco.test.evil/x", BODY)),
    ("jabber", "a Cyrillic letter", False, jabber("b\u043eb@yourco.test/x", BODY)),
    ("jabber", "a stranger", False, jabber("mallory@yourco.test/x", BODY)),
    ("jabber", "an error", False, jabber(f"{B}/x", BODY, "error")),
    (
        "jabber",
        "a copy that the author forwards",
        False,
        jabber(
            f"{JEREMY}/x",
            f"{BODY}<forwarded xmlns='urn:xmpp:forward:0'><message from='{B}/x'>{BODY}</message>"
            "</forwarded>",
        ),
    ),
    (
        "jabber",
        "a correction",
        False,
        jabber(f"{B}/x", f"{BODY}<replace xmlns='urn:xmpp:message-correct:0' id='1'/>"),
    ),
    ("jabber", "Bob in a room", True, in_room(("bob", "robert", ""), ("bob", "", SAID))),
    (
        "jabber",
        "the author with Bob's nick in a room",
        False,
        in_room(("jeremy", "bob", ""), ("jeremy", "", SAID)),
    ),
    (
        "jabber",
        "Bob in a room that hides who he is",
        False,
        in_room(("bob", "bob", ""), ("bob", "", SAID), whois="moderators"),
    ),
    ("jabber", "in private", False, in_room(("bob", "bob", ""), ("bob", "", f"privately {VOTE}"))),
    (
        "jabber",
        "the author with the nick that Bob has left in the room",
        False,
        in_room(
            *(("bob", "bob", ""), ("bob", "", "leaves"), ("jeremy", "bob", "")),
            ("jeremy", "", SAID),
        ),
    ),
    ("jabber", "to others", False, in_room(("bob", "bob", ""), ("bob", "", f"I say {VOTE}"))),
    ("aim", "Bob", True, aim("Bob", VOTE)),
    ("aim", "with another spelling", True, aim("b OB", VOTE)),
    ("aim", "a digit for a letter", False, aim("B0b", VOTE)),
    ("aim", "an auto-response", False, aim("Bob", VOTE, auto=True)),
    ("aim", "who quotes him", False, aim("B0b", f"Bob: {VOTE}")),
]
NETWORKS = {"irc": "irc", "jabber": "xmpp", "aim": "toc"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "counts", "act"),
    [pytest.param(network, *row, id=f"{network}: {text}") for network, text, *row in VOTES],
)
def test_only_the_account_that_a_network_vouches_for_votes(
    network: str, counts: bool, act: Callable[[World], object]
) -> None:
    people = {name: {"jabber": address_of(name), "irc": name} for name in ("jeremy", "dan")}
    people["bob"] = {"jabber": B, "irc": "bob", "aim": "Bob"}
    rules = {"people": people, "peers": ["bob"], "rooms": ["ops@conference.yourco.test"]}
    names = ("bot", "bot2", "bob", "jeremy", "mallory", "dan")
    config = {
        "servers": sorted({"xmpp", NETWORKS[network]}),
        "program": BOT,
        "person": [{"address": address_of(name)} for name in names],
        "aim": [{"screen_name": name} for name in ("OpsBot", "Bob", "B0b")],
        "scenario": {"review-bot": {**TABLE, **rules}},
    }
    with World(config, rehearsal=True) as world:
        world.clock.at(2, partial(world.jabber.actor(JEREMY).says, BOT, "review r17 Mend it"))
        act(world)
        world.clock.until(24)
        tables = {**world.settings, "irc": {**world.settings.get("irc", {}), "channels": ["#ops"]}}
        if network != "irc":
            del tables["irc"]
        review_bot.run(world.clock, load(tables, world.folder), world.host)
        assert votes_in(world.folder) == ([(1, "bob", "approve")] if counts else [])


def votes_in(folder: Path) -> list[tuple[object, ...]]:
    """The votes in the state file of a program that has ended."""
    with contextlib.closing(State(folder / STATE)) as state:
        return state.rows("SELECT review, person, verdict FROM review_vote ORDER BY review, person")


# ── killed at every step ─────────────────────────────────────────────────────

DIALOGUE = (
    ("ann", "review r17 Mend the header"),
    ("bob", "approve 1 r17"),
    ("carol", "leave"),
    ("dan", "approve 1 r17"),
    ("carol", "2026-12-24"),
    ("bob", "delegate 1 dan"),
    ("carol", "2026-12-31"),
    ("carol", "WHY: Skiing"),
    ("carol", "yes"),
    ("dan", "reject 2 1 Too many are away"),
)
LEFT = {
    "review": [(1, "r17", "approved"), (2, "1", "open")],
    "vote": [(1, "bob", "approve"), (1, "dan", "approve"), (2, "dan", "reject")],
    "log": [
        (1, "ann opened it at r17"),
        (1, "bob said approve r17"),
        (1, "dan said approve r17"),
        (1, "it is approved at r17"),
        (2, "carol opened it at 1"),
        (2, "dan said reject 1: Too many are away"),
    ],
}
TABLES = {
    "review": "SELECT id, version, status FROM review ORDER BY id",
    "vote": "SELECT review, person, verdict FROM review_vote ORDER BY review, person",
    "log": "SELECT review, what FROM review_log ORDER BY review, id",
}


class Killed(BaseException):
    """Ends the program as SIGKILL would."""


def killed_at(step: int, world: World, monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs the program until it is killed before or after its n-th commit or write.

    With 0 it is not. Returns how many steps it has taken.
    """
    taken, links = 0, set[Link]()
    begin, send = State.transaction, Link.sendall

    def passes() -> None:
        nonlocal taken
        taken += 1
        if taken == step:
            raise Killed

    @contextlib.contextmanager
    def transaction(self: State) -> Iterator[Any]:
        with begin(self) as db:
            yield db
            passes()
        passes()

    def sendall(self: Link, data: Any) -> None:
        links.add(self)
        if step and taken >= step:
            return  # who is dead does not say goodbye
        passes()
        send(self, data)
        passes()

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(State, "transaction", transaction)
        patch.setattr(Link, "sendall", sendall)
        one_run(world)
    for link in links:
        link.abort()
    return taken


def one_run(world: World) -> None:
    """Runs the program until the play is over."""
    review_bot.run(world.clock, load(named_session(world), world.folder), world.host)


def named_session(world: World) -> dict[str, Any]:
    """The settings, with a resource: a new start takes over from a session that was killed."""
    return merged(world.settings, {"xmpp": {"jid": f"{BOT}/review"}})


def says(actor: Any, text: str, id: int) -> None:
    """Says something to the bot in a message with an id, as clients do."""
    actor.sends(f"<message to='{BOT}' type='chat' id='m{id}'><body>{text}</body></message>")


def play(step: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Plays the dialogue, with a kill at a step; nothing may be lost or doubled."""
    rules = {"servers": ["xmpp"], "scenario": {"review-bot": {"resume": True}}}
    with World(merged(review_bot.WORLD, rules), rehearsal=True) as world:
        people = {name: world.jabber.actor(address_of(name)) for name, _ in DIALOGUE}
        for actor in people.values():
            actor.comes()
        for number, (name, text) in enumerate(DIALOGUE):
            world.clock.at(2 + number, partial(says, people[name], text, number))
        world.clock.until(4 + len(DIALOGUE))
        taken = killed_at(step, world, monkeypatch)
        if step:
            assert taken >= step, "it was not killed"
            world.cut("xmpp")
            world.clock.until(world.clock.elapsed + 30)
            one_run(world)
        with contextlib.closing(State(world.folder / STATE)) as state:
            left = {name: state.rows(query) for name, query in TABLES.items()}
            assert state.rows("SELECT person FROM dialogue") == [], step
        assert left == LEFT, step
        for name, actor in people.items():
            told = Counter(stanza.body for stanza in actor.messages)
            assert max(told.values(), default=1) == 1, (step, name, told)
        if not step:
            assert sum(len(actor.messages) for actor in people.values()) == 19
        return taken


@pytest.mark.slow
def test_killed_at_any_step_no_vote_and_no_answer_is_lost_or_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = play(0, monkeypatch)
    assert steps > 100
    for step in range(1, steps + 1, 1 if THOROUGH else steps // 12):
        play(step, monkeypatch)


@pytest.mark.slow
def test_killed_at_any_step_a_vote_by_aim_that_is_repeated_counts_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kill(step: int) -> int | None:
        with World(review_bot.WORLD, rehearsal=True) as world:
            ann, bob = world.jabber.actor("ann@yourco.test"), world.aim.actor("Bob")
            bob.signs_on()
            world.clock.at(2, partial(says, ann, "review r17 Mend the header", 1))
            world.clock.at(6, partial(bob.says, "ReviewBot", "approve 1 r17"))
            world.clock.until(4)
            one_run(world)
            world.clock.until(9)
            steps = killed_at(step, world, monkeypatch)
            world.cut("toc")
            # AIM keeps nothing, so that who has got no answer says it again.
            world.clock.at(
                world.clock.elapsed + 40, partial(bob.says, "ReviewBot", "approve 1 r17")
            )
            world.clock.until(world.clock.elapsed + 50)
            one_run(world)
            assert votes_in(world.folder) == [(1, "bob", "approve")], step
            texts = Counter(im.text for im in bob.heard)
            assert max(texts.values()) == 1, (step, texts)
            return None if step else steps

    assert drills.each_step(kill) > 10


@pytest.mark.slow
def test_a_vote_counts_at_most_once_wherever_the_connection_is_cut() -> None:
    act = next(act for act in PAGE.acts() if act.name == "review-changed")
    records = [item for item in rehearse(PAGE, act).recording if isinstance(item, Record)]
    # Of the ways to lose it, each unit meets at least one.
    for cut in list(drills.cuts(records))[:: 1 if THOROUGH else 9]:
        performance = rehearse(PAGE, act, [cut])
        sent = Counter(
            re.sub(rb" id='[^']*'", b"", record.raw)
            for record in performance.recording
            if isinstance(record, Record)
            and record.direction == "C"
            and b"approved by" in record.raw
        )
        assert max(sent.values(), default=0) <= 1, cut
        assert performance.tracebacks == [], cut


def test_a_message_that_comes_again_is_known_by_any_of_its_keys() -> None:
    with contextlib.closing(State(Path(":memory:"))) as state, state.transaction() as db:
        assert is_new(db, ["a", "b"], 0.0)
        assert not is_new(db, ["b", "c"], 1.0)
        assert not is_new(db, ["c"], 2.0)
        assert is_new(db, [], 3.0) and is_new(db, [], 3.0), "what has no key is always new"
        assert is_new(db, ["a"], 31 * 86400.0), "after a month it is forgotten"
