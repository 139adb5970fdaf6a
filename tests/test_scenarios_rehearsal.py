"""Playing an act: the world, the program's settings and exit code, faults, and what is expected."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from comms.clock import Clock
from comms.errors import Refused
from comms.host import Host
from comms.settings import Settings
from scenarios import rehearsal
from scenarios.catalogue import Page
from scenarios.docstring import Docstring
from scenarios.errors import PageError
from scenarios.play import Claim, Program, Scenario, ends, equal
from scenarios.rehearsal import FaultMisfit, Performance, Played, rehearse

if TYPE_CHECKING:
    from fakes import World

HERE = Path(__file__)
FAULTS = (("smtp-421", "all hold"), ("EHLO hang up", "breaks a, b, and c, the greeting is heard"))
DOC = Docstring("Greet", "Listing 0", ("SMTP",), (), None, {}, FAULTS)


class Greeting(Page):
    """A page without a file, whose program is `greet`."""

    def run(self, book: bool = False, mended: int = 0) -> Any:
        return greet


PAGE = Greeting("greet", HERE, "tests", DOC)


def greet(clock: Clock, settings: Settings, host: Host) -> int:
    table = settings.tables["scenario"]["greet"]
    if table.get("dies_before", 0) > clock.time():
        raise KeyError("too early")
    if "error" in table:
        raise {"refused": Refused("no"), "bug": KeyError("x")}[table["error"]]
    for _ in clock.every(60):
        host.say(table["text"])
    return 7


scenario = Scenario({"servers": ["smtp"], "scenario": {"greet": {"text": "Hello"}}})


@scenario.act("greets")
def greets(world: World, program: Program) -> Iterator[Claim]:
    """The program runs twice: once only, and with another text."""
    codes = [program(once=True), program(once=True, scenario={"greet": {"text": "Bye"}})]
    yield equal("the greeting is heard", world.said, ["Hello", "Bye"])
    yield equal("the exit code is that of the program", codes, [7, 7])


@scenario.act("fails")
def fails(world: World, program: Program) -> Iterator[Claim]:
    """The program ends with an exception."""
    codes = [program(scenario={"greet": {"error": error}}) for error in ("refused", "bug")]
    yield equal("the exit code is that of the exception", codes, [4, 70])
    found = [event.text for event in ends(world)]
    wanted = ["ends with exit code 4: Refused: no", "ends with exit code 70: KeyError: 'x'"]
    yield equal("each end is an event", found, wanted)


SUPERVISED = Scenario(scenario.world)


@SUPERVISED.act("supervised")
def supervised(world: World, program: Program) -> Iterator[Claim]:
    """The program dies twice, and is then well; later it dies until the play is over."""
    world.clock.until(30)
    dies = world.clock.time() + 10
    code = program(supervised=True, scenario={"greet": {"dies_before": dies}}, once=True)
    yield equal(
        "a program that died is started again", (code, world.clock.elapsed >= 10), (7, True)
    )
    restarts = [event.at for event in world.events if event.who == "supervisor"]
    start = world.clock.time() - world.clock.elapsed
    yield equal("each time five seconds later", [at - start for at in restarts[:2]], [5, 10])
    code = program(supervised=True, scenario={"greet": {"error": "bug"}})
    yield equal("until the play is over", (code, world.clock.elapsed), (70, 30))


def test_a_supervisor_starts_a_program_again_until_the_play_is_over() -> None:
    assert [claim for claim in rehearse(PAGE, SUPERVISED.acts[0]).claims if not claim.holds] == []


@pytest.mark.parametrize("act", scenario.acts, ids=lambda act: act.name)
def test_the_program_runs_in_the_world_of_the_act_and_its_end_is_recorded(act: Any) -> None:
    performance = rehearse(PAGE, act)
    assert performance.broken == []
    assert performance.unmet == [] and "C:" not in performance.transcript
    found = ["KeyError" in text and __file__ in text for text in performance.tracebacks]
    assert found == [True] * (act.name == "fails"), "a Refused is no bug"


def test_what_a_scenario_counts_is_counted_at_the_end_of_an_act() -> None:
    act = dataclasses.replace(scenario.acts[0], counts={"lines": lambda world: len(world.said)})
    assert rehearse(PAGE, act).counts == {"lines": 2}


def test_a_fault_that_nothing_meets_is_listed_and_does_not_raise() -> None:
    played = rehearsal.play(PAGE, scenario.acts[:1], ["RCPT hang up"])
    assert (played.unmet, played.exit_code) == (["smtp RCPT hang up before"], 1)


@pytest.mark.parametrize("fault", ["RCTP hang up", "pop3 RETR hang up"])
def test_a_fault_that_does_not_fit_the_world_is_a_usage_error(fault: str) -> None:
    with pytest.raises(FaultMisfit):
        rehearse(PAGE, scenario.acts[0], [fault])


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        (None, "act wrong: makes no claims; write yield equal(text, found, wanted)"),
        ([], "act wrong: makes no claims; write yield equal(text, found, wanted)"),
        ([True], "act wrong: yields something else than claims; write yield equal("),
    ],
)
def test_an_act_must_yield_claims(claims: Any, message: str) -> None:
    wrong = Scenario({"servers": []})

    def play(world: World, program: Program) -> Any:
        return None if claims is None else iter(claims)

    wrong.act("wrong")(play)
    with pytest.raises(PageError) as caught:
        rehearse(PAGE, wrong.acts[0])
    assert message in str(caught.value) and HERE.name in str(caught.value)


@pytest.mark.parametrize(
    ("world", "message"),
    [
        ({"servrs": []}, "WORLD: servrs: unknown key (did you mean 'servers'?)"),
        ({"scenario": {"great": {}}}, "WORLD: scenario.great: not this page's settings; write"),
    ],
)
def test_a_wrong_world_is_a_mistake_of_the_page(world: dict[str, Any], message: str) -> None:
    wrong = Scenario(world)
    wrong.act("wrong")(greets)
    with pytest.raises(PageError) as caught:
        rehearse(PAGE, wrong.acts[0])
    assert f"act wrong: {message}" in str(caught.value)


# ── what is expected to break ────────────────────────────────────────────────


def played(*claims: Claim, fault: str) -> Played:
    """The outcome of one act with these claims under a listed fault."""
    act = Scenario({"servers": ["smtp"]})
    act.act("act")(lambda world, program: iter(claims))
    return rehearsal.play(PAGE, act.acts, [fault])


def test_the_claims_after_breaks_are_found_though_they_contain_commas() -> None:
    claims = [Claim(text, False) for text in ("a", "b, and c", "the greeting is heard")]
    done = played(*claims, Claim("d", True), fault="EHLO hang up")
    assert done.expected == done.broken == ["a", "b, and c", "the greeting is heard"]


def test_a_listed_claim_that_no_act_makes_is_still_expected() -> None:
    done = played(Claim("a", False), fault="EHLO hang up")
    assert done.expected == ["a", "b, and c, the greeting is heard"]
    assert done.exit_code == 1


def test_the_exit_code_is_0_only_if_exactly_the_expected_claims_break() -> None:
    held, broken = Claim("x", True), Claim("x", False)
    act = scenario.acts[0]
    for claims, expected, unmet, code in (
        ([held], [], [], 0),
        ([broken], [], [], 1),
        ([broken], ["x"], [], 0),
        ([held], ["x"], [], 1),
        ([held], [], ["fault"], 1),
    ):
        performance = Performance(act, claims=claims, expected=expected)
        assert Played(PAGE, [performance], unmet).exit_code == code
