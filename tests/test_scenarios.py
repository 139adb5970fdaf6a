"""Every scenario, every act: its claims hold, the book's way breaks just what it is said to break, and a rehearsal is the
same octet for octet.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from comms.message import Message
from fakes.world import World
from scenarios import __main__ as command
from scenarios import catalogue
from scenarios.catalogue import Scenario
from scenarios.play import Act, Claim, Program, act
from scenarios.sending import apache_alert
from scenarios.sending.apache_alert import Rules, Watch, decide
from tests import drills

ROOT = Path(__file__).parent.parent
SCENARIOS = catalogue.scenarios()
ACTS = [(scenario, one) for scenario in SCENARIOS for one in command.acts(scenario)]
FAULTS = [
    case
    for scenario in SCENARIOS
    if scenario.faults
    for case in drills.first_middle_last(((scenario, fault) for fault in scenario.faults), str)
]
FAULT_NAMES = [f"{scenario.name}: {fault}" for scenario in SCENARIOS for fault, _ in scenario.faults]
_rehearsed: dict[str, command.Performance] = {}


def first_rehearsal(scenario: Scenario, act: Act) -> command.Performance:
    """Rehearses an act, once for all tests that need an undisturbed rehearsal of it."""
    if act.name not in _rehearsed:
        _rehearsed[act.name] = command.rehearse(scenario, act)
    return _rehearsed[act.name]


@pytest.mark.parametrize(("scenario", "act"), ACTS, ids=[one.name for _, one in ACTS])
def test_every_claim_of_every_act_holds(scenario: Scenario, act: Act) -> None:
    performance = first_rehearsal(scenario, act)
    assert performance.claims, "an act ends in claims"
    assert [(claim.text, claim.found) for claim in performance.claims if not claim.holds] == []


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.book], ids=lambda one: one.name)
def test_the_book_s_way_breaks_exactly_what_it_is_said_to_break(scenario: Scenario) -> None:
    played = command.play(scenario, command.acts(scenario), book=True)
    assert played.broken == played.expected
    assert played.broken, "the printed way has its faults"


@pytest.mark.parametrize(("scenario", "fault"), FAULTS, ids=FAULT_NAMES)
def test_every_fault_that_a_scenario_lists_does_what_it_says(scenario: Scenario, fault: tuple[str, str]) -> None:
    played = command.play(scenario, command.acts(scenario), [fault[0]])
    assert (played.broken, played.unmet) == (played.expected, [])
    assert (fault[1] == "all hold") == (not played.broken)


@pytest.mark.parametrize(("scenario", "act"), ACTS, ids=[one.name for _, one in ACTS])
def test_a_rehearsal_is_the_same_twice_in_one_process(scenario: Scenario, act: Act) -> None:
    first, second = first_rehearsal(scenario, act), command.rehearse(scenario, act)
    assert first.transcript == second.transcript
    assert first.mails == second.mails
    assert [str(one) for one in first.recording] == [str(one) for one in second.recording]


@pytest.mark.slow
def test_a_rehearsal_is_the_same_in_two_processes_with_other_hash_seeds(tmp_path: Path) -> None:
    kept = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        command_line = [sys.executable, "-m", "scenarios", "run", "all", "--quiet", "--out", str(folder)]
        subprocess.run(command_line, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
        kept.append(
            {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        )
    assert kept[0] == kept[1]
    assert kept[0], "something was kept"


def test_every_scenario_says_what_a_reader_needs_first() -> None:
    for scenario in SCENARIOS:
        doc = (ROOT / (scenario.module.replace(".", "/") + ".py")).read_text()
        assert scenario.section and scenario.protocols
        assert f"make scenario NAME={scenario.name}" in doc
        if scenario.book:
            assert "What goes wrong in the printed listing" in doc or "As printed" in doc


# ── claims break when the program is spoiled ─────────────────────────────────────────────────────────────────────


def broken(name: str, **played: Any) -> list[str]:
    scenario = catalogue.named(name)
    return command.rehearse(scenario, command.acts(scenario)[0], **played).broken


def test_a_monitor_that_tells_at_every_check_breaks_its_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    def every_check(watch: Watch, verdict: str, now: float, rules: Rules) -> tuple[Watch, str]:
        return watch, verdict if verdict == "down" else ""

    monkeypatch.setattr(apache_alert, "decide", every_check)
    assert "each administrator got one mail" in broken("apache-alert")


def test_a_monitor_that_looks_for_any_apache_breaks_its_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    def anywhere(host: Any, rules: Rules) -> str:
        return "up" if "apache" in " ".join(one.name for one in host.processes()) else "down"

    monkeypatch.setattr(apache_alert, "look", anywhere)
    scenario = catalogue.named("apache-alert")
    crash = command.acts(scenario)[0]
    world: Mapping[str, Any] = {**crash.world, "host": {"name": "web1.yourco.test", "processes": ["apache2", "apachetop"]}}
    spoiled = Act(crash.name, crash.play, crash.book, world)
    assert "each administrator got one mail" in command.rehearse(scenario, spoiled).broken


def test_display_forms_in_the_envelope_break_its_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Message, "envelope", lambda self: (self.sender, [", ".join(self.to)]))
    assert "one message with bare addresses" in broken("apache-alert")


# ── the pure decision ────────────────────────────────────────────────────────────────────────────────────────────

RULES = Rules(admins=("a@b.c",), confirm=2, remind=100, flaps=4, flap_window=1000)


def news(verdicts: str, seconds: float = 10) -> list[str]:
    """The news of each check: u up, d down, ? unknown."""
    watch, told = Watch(), []
    for number, letter in enumerate(verdicts):
        watch, said = decide(watch, {"u": "up", "d": "down", "?": "unknown"}[letter], number * seconds, RULES)
        told.append(said)
    return told


@pytest.mark.parametrize(("verdicts", "told"), [
    ("uuuu", ["", "", "", ""]),
    ("uddd", ["", "", "down", ""]),
    ("ududu", ["", "", "", "", ""]),
    ("dd", ["", "down"]),
    ("dduu", ["", "down", "", "up"]),
    ("d?d", ["", "", "down"]),
    ("????", ["", "", "", ""]),
    ("dd????uu", ["", "down", "", "", "", "", "", "up"]),
    ("dd" + "d" * 11, ["", "down", *[""] * 9, "reminder", ""]),
    ("uudduudduu" + "uu" * 4, ["", "", "", "down", "", "up", "", "down", "", "flapping", *[""] * 8]),
])  # fmt: skip
def test_news_is_a_confirmed_change_or_a_reminder(verdicts: str, told: list[str]) -> None:
    assert news(verdicts) == told


def test_after_a_quiet_window_the_state_is_told_again() -> None:
    told = news("uudduudduu" + "u" * 110)
    assert [one for one in told if one] == ["down", "up", "down", "flapping", "up"]


# ── the stage ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_act_plays_in_the_scenario_s_world_with_its_own_tables_over_it() -> None:
    @act("x", tls="optional", host={"name": "h"})
    def play(world: World, program: Program) -> Iterator[Claim]:
        """Title."""
        yield Claim("holds", True)

    one: Act = play.__act__  # type: ignore[attr-defined]
    assert one.world["host"] == {"name": "h", "processes": WORLD["host"]["processes"]}
    assert one.world["tls"] == "optional" and one.title == "Title."


WORLD = apache_alert.WORLD
