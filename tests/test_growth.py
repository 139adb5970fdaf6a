"""No pattern and no parser costs more than the size of its input, whatever is in it.

The patterns, parsers and inputs are found by tests/growth.py.
"""

from __future__ import annotations

import re
from functools import partial

import pytest

from tests import growth
from tests.growth import Attack, Door, Pattern

FOUND, UNKNOWN = growth.patterns()
# Modules whose patterns are made when they run, from what a test or a table of ours says.
OURS = ("fakes.mail", "fakes.smtp", "fakes.toc.codec", "fakes.transcripts.codec")
DOORS = growth.doors()


def slow_attacks(pattern: Pattern) -> list[str]:
    is_bytes = isinstance(pattern.pattern.pattern, bytes)
    found = []
    for run in pattern.runs():
        for attack in pattern.attacks():

            def apply(size: int, attack: Attack = attack) -> object:
                given = growth.text(attack, size)
                return run(given.encode("utf-8") if is_bytes else given)

            factor = growth.growth(apply)
            if factor > growth.MOST:
                found.append(f"{attack!r}: ×{factor:.0f}")
                break
    return found


def test_every_pattern_can_be_found() -> None:
    unknown = [place for place in UNKNOWN if place.partition(":")[0] not in OURS]
    assert not unknown, (
        "write each pattern where it can be evaluated: as a text, or at module level"
    )
    assert len(FOUND) > 60


def test_every_kind_of_parser_is_found() -> None:
    kinds = {door.kind for door in DOORS}
    assert kinds == {"str", "bytes", "Mail", "feed"} and len(DOORS) > 60


@pytest.mark.slow
@pytest.mark.parametrize("pattern", FOUND, ids=lambda item: sorted(item.places)[0])
def test_a_pattern_grows_with_its_input_only(pattern: Pattern) -> None:
    assert not slow_attacks(pattern), f"{pattern.pattern.pattern!r} in {sorted(pattern.places)}"


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS, ids=lambda item: item.name)
def test_a_parser_grows_with_its_input_only(door: Door) -> None:
    found = []
    for attack in growth.door_attacks(door):
        factor = growth.growth(partial(growth.knocked, door, attack))
        if factor > growth.MOST:
            found.append(f"{attack!r}: ×{factor:.0f}")
            break  # one is enough, and the others may be slower still
    assert not found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "attack"),
    [
        (r"\s*\[#\d+\]", "blanks"),
        (r"<[^<>\s]+@[^<>\s]+>", "half of an id"),
        (r"(?:a|aa)+$", "exponential"),
        (r"(\w+\s*)*:", "nested"),
        (r"^.*x.*y.*z$", "three runs"),
    ],
)
def test_the_attacks_find_what_is_known_to_be_slow(source: str, attack: str) -> None:
    pattern = Pattern(re.compile(source), methods={"search"})
    assert slow_attacks(pattern), attack
