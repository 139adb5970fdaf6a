"""Whatever others write, reading it costs time in proportion to its size.

The patterns, the parsers and what to give them are found by growth.py. It was checked by planting:
here, patterns and parsers that take quadratic time are planted in a package and found.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests import growth
from tests.growth import (
    FACTOR_MOST,
    PACKAGES,
    factor,
    modules,
    parsers,
    patterns,
    slow_attack,
    unreadable,
)
from tests.growth import goes_back_within_possessive as goes_back

# These make a pattern from what the person wrote who runs the program, or who wrote the test.
WRITTEN_WHILE_RUNNING = {
    "comms.commands",  # the forms of commands
    "comms.replies",  # prefixes of subjects
    "comms.secrecy",  # passwords
    "fakes.smtp",  # a table of parameters
    "fakes.toc.codec",
    "fakes.transcripts.codec",
    "fakes.xmpp.codec",
    "scenarios.processing.mail_to_webhook",  # the addresses that an operator maps
}

PLANTED = """
import re

AT_MODULE_LEVEL = {"subject": [re.compile(r"\\\\s*\\\\[#")]}
HARMLESS = re.compile(r"[a-z]+@")
SHORT = re.compile(r"\\\\w+:")


class Owner:
    MESSAGE_ID = re.compile(rb"<[^<>\\\\s]+@[^<>\\\\s]+>")


def in_a_function(text: str) -> object:
    return SHORT.search(text[-20:]), HARMLESS.match(text), re.split(r"^(?:a|aa)+$", text)


def copies(text: str) -> None:
    while text:
        text = text[100:] + text[:99]


def rewrites(raw: bytes) -> None:
    found = []
    for line in raw.split(b"<a "):
        found = [part.strip().lower() for part in [*found, line]]


def harmless(text: str) -> list[str]:
    return [word.strip() for word in text.split()]


class Reader:
    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        self._buffer += data
        self._words = self._buffer.split(b"<")

    def next(self) -> None:
        return None
"""


def found_slow(targets: list[growth.Pattern] | list[growth.Parser]) -> list[str]:
    slow = [(target, slow_attack(target)) for target in targets]
    return [f"{target.name}: {found}" for target, found in slow if found]


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_no_pattern_takes_more_than_linear_time(package: str) -> None:
    targets = patterns(modules([package]))
    assert targets and not found_slow(targets)


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_no_parser_takes_more_than_linear_time(package: str) -> None:
    targets = parsers(modules([package]))
    assert targets and not found_slow(targets)


@pytest.mark.slow
def test_every_pattern_can_be_read_from_the_source() -> None:
    places = {place.partition(":")[0] for place in unreadable(modules())}
    assert places == WRITTEN_WHILE_RUNNING, "write a pattern as a text, or at module level"


@pytest.mark.slow
def test_no_pattern_is_one_that_debian_s_python_matches_wrongly() -> None:
    wrong = [pattern.name for pattern in patterns(modules()) if goes_back(pattern.pattern)]
    assert wrong == [], "make the repeats within the possessive one possessive, too"


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        (r"(?:ab?c)++", True),
        (r"x(?:a(?:b|bc)d)*+", True),
        (r"(?:(?:\.[0-9]{1,3}-)|x)++", True),
        (r"(?:ab?+c)++", False),
        (r"(?:[ -]?[0-9])++", False),
        (r"(?:\.[1-9][0-9]{0,9})*+", False),
        (r"(?:[^\"]|\.)*+", False),
        (r"(?:ab?c)+", False),
    ],
)
def test_a_choice_within_a_possessive_group_is_found(pattern: str, wrong: bool) -> None:
    assert goes_back(re.compile(pattern)) == wrong


@pytest.mark.slow
def test_what_is_planted_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "__init__.py").write_text("")
    (tmp_path / "planted" / "parts.py").write_text(PLANTED.replace("\\\\", "\\"))
    monkeypatch.syspath_prepend(tmp_path)
    try:
        found = modules(["planted"])
        slow = [*found_slow(patterns(found)), *found_slow(parsers(found))]
    finally:
        for name in ("planted", "planted.parts"):
            sys.modules.pop(name, None)
    print(*slow, sep="\n")
    assert [text.partition(": ")[0] for text in slow] == [
        "planted.parts.AT_MODULE_LEVEL",
        "planted.parts.Owner.MESSAGE_ID",
        "planted.parts:14",
        "planted.parts.copies",
        "planted.parts.rewrites",
        "planted.parts.Reader",
    ]


@pytest.mark.parametrize("excess", [4.0, 8.0, 1000.0])
def test_two_readings_that_are_too_high_hide_nothing(
    excess: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[int] = []  # what is run is a size, and a reading is its quadratic time
    too_high: tuple[int, ...] = ()

    def quadratic(size: int, limit: float) -> float:
        readings.append(size)
        took = 5e-5 + 5e-9 * size * size
        took = excess * took if len(readings) in too_high else took
        return took if took < limit else math.inf

    monkeypatch.setattr(growth, "_seconds", quadratic)
    for number in range(1, 20):
        readings, too_high = [], (number, number + 1)
        assert growth._suspicious(lambda size: size, 0.0015, 4000), f"{too_high}: {readings}"  # type: ignore[arg-type, return-value]


def sorts_again_and_again(text: str) -> None:
    found: list[str] = []
    for word in text.split():
        found = sorted([*found, word])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reader", "size"), [(re.compile(r"[\w ]+:").search, 300), (sorts_again_and_again, 600)]
)
def test_a_quadratic_reader_is_found_with_a_known_input(
    reader: Callable[[str], object], size: int
) -> None:
    assert factor(lambda size: partial(reader, "a " * (size // 2)), size) > FACTOR_MOST


@pytest.mark.slow
def test_a_linear_reader_passes_with_a_known_input() -> None:
    assert factor(lambda size: partial(str.split, "a " * (size // 2)), 25_000) <= FACTOR_MOST
