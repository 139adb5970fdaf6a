"""What pages are written with: acts in a merged world, claims that say what they wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from scenarios.errors import PageError
from scenarios.play import Claim, Program, Scenario, equal, holds

if TYPE_CHECKING:
    from fakes import World


def nothing(world: World, program: Program) -> Iterator[Claim]:
    """Nothing happens.

    Only the first line is the title.
    """
    yield holds("it holds", True, None)


def test_an_act_is_played_in_the_scenario_s_world_with_its_own_tables_merged_over_it() -> None:
    scenario = Scenario({"host": {"name": "web1", "processes": ["sshd"]}, "servers": ["smtp"]})
    scenario.act("first", book=False, tls="optional", host={"name": "db1"})(nothing)
    (act,) = scenario.acts
    assert act.world == {
        "host": {"name": "db1", "processes": ["sshd"]},
        "servers": ["smtp"],
        "tls": "optional",
    }
    assert (act.name, act.title, act.book) == ("first", "Nothing happens.", False)
    assert scenario.world["host"]["name"] == "web1", "the scenario's own world is not changed"


def test_acts_are_collected_in_the_order_of_their_definition() -> None:
    scenario = Scenario({})
    for name in ("b", "a", "c"):
        scenario.act(name)(nothing)
    assert [act.name for act in scenario.acts] == ["b", "a", "c"]
    with pytest.raises(PageError, match=r"test_scenarios_play\.py: two acts are named 'a'"):
        scenario.act("a")(nothing)


def test_a_broken_equality_has_what_was_expected_and_what_was_found() -> None:
    assert equal("same", [1], [1]) == Claim("same", True)
    assert equal("same", [1], [2]) == Claim("same", False, found="[1]", expected="[2]")
    assert equal("same", "", "x") == Claim("same", False, found="''", expected="'x'")


def test_a_broken_condition_has_what_was_found() -> None:
    assert holds("short", True, [1]) == Claim("short", True)
    assert holds("short", [], [1, 2]) == Claim("short", False, found="[1, 2]")


def test_a_claim_keeps_what_was_found_at_its_time() -> None:
    heard: list[str] = []
    claim = equal("heard", heard, ["hello"])
    heard.append("too late")
    assert claim.found == "[]"
