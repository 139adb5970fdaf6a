"""What a broken claim shows: values in few words, and of long ones the first difference."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.history import Snapshot
from scenarios.shape import WIDTH, difference, summary

LONG = [f"line number {number}" for number in range(40)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "nothing"),
        (None, "nothing"),
        ("", "no text"),
        (True, "yes"),
        (65.0, "65"),
        (1767571260.5, "1767571260.5"),
        (b"caf\xe9", '"caf\\xe9"'),
        ("two\r\nlines", '"two⏎lines"'),
        (["a", "a", "b"], '2 × "a", "b"'),
        ([("systemctl", "restart")] * 4, "4 × (systemctl restart)"),
        (("a b", ""), '"a b", no text'),
        ({"jeremy": [], "michael": ["x"]}, 'jeremy: nothing, michael: "x"'),
        ({"b", "a"}, '"a", "b"'),
        ((1, Snapshot(["a", "a"])), '1, (2 × "a")'),
    ],
)
def test_a_value_is_shown_in_few_words(value: Any, text: str) -> None:
    assert summary(value) == (f"found:  {text}",)


def test_of_long_values_the_first_difference_is_shown() -> None:
    assert difference(Snapshot([*LONG, "x"]), [*LONG, "y"]) == (
        'wanted: item 41: "y"',
        'found:  item 41: "x"',
    )
    assert difference("\n".join(LONG[:30]), "\n".join(LONG)) == (
        'wanted: line 31: "line number 30"',
        "found:  line 31: nothing",
    )
    assert difference({"a": "x" * 90, "b": 1}, {"a": "x" * 90, "b": 2}) == (
        "wanted: b: 2",
        "found:  b: 1",
    )
    wanted, found = difference("x" * 100 + "found", "x" * 100 + "wanted")
    assert wanted.endswith('xwanted"') and found.endswith('xfound"')


@pytest.mark.parametrize("value", ["x" * 500, LONG, {"a": LONG}, [tuple(LONG)] * 3, {1, 2}])
def test_a_line_is_never_long(value: Any) -> None:
    for lines in (summary(value), difference(value, []), difference([], value)):
        assert len(lines) <= 2 and max(map(len, lines)) <= WIDTH + len("wanted: ")
