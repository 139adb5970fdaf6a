"""Converting TOML values: each kind of annotation, and the one line that a wrong value gets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.conversion import (
    WrongValue,
    convert,
    convert_table,
    default_as_toml,
    example_as_toml,
    key_as_toml,
)
from comms.setting_types import MailAddress, NonEmpty, Seconds

FOLDER = Path("/etc/watch")
KINDS: list[tuple[Any, object, object]] = [
    (str, "x", "x"),
    (int, 5, 5),
    (float, 5, 5.0),
    (float, 10**400, math.inf),
    (bool, False, False),
    (Path, "a/b", FOLDER / "a/b"),
    (Path, "/tmp/b", Path("/tmp/b")),
    (Path | None, "b", FOLDER / "b"),
    (int | None, 3, 3),
    (Literal["", "poll"], "", ""),
    (tuple[int, ...], [1, 2], (1, 2)),
    (tuple[Path, ...], ["b"], (FOLDER / "b",)),
    (dict[str, tuple[str, ...]], {"disk": ["df"]}, {"disk": ("df",)}),
    (Seconds, 5, 5.0),
    (MailAddress | None, "a@b.test", "a@b.test"),
    (NonEmpty[tuple[MailAddress, ...]], ["a@b.test"], ("a@b.test",)),
]


@pytest.mark.parametrize(("kind", "value", "result"), KINDS, ids=range(len(KINDS)))
def test_a_value_becomes_the_type_of_its_annotation(
    kind: Any, value: object, result: object
) -> None:
    found = convert("key", value, kind, "", FOLDER)
    assert (found, type(found)) == (result, type(result))


WRONG: list[tuple[Any, object, str]] = [
    (str, 1, "key: expected a text in quotes, found 1; fix it"),
    (int, "1", 'key: expected a number, found "1"; fix it'),
    (int, 1.5, "key: expected a whole number, found 1.5; fix it"),
    (int, True, "key: expected a number, found true; fix it"),
    (float, False, "key: expected a number, found false; fix it"),
    (bool, 1, "key: expected true or false, found 1; fix it"),
    (Path, 1, "key: expected a text in quotes, found 1; fix it"),
    (Path, "", 'key: "" is not a path; fix it'),
    (Path, "a\0", 'key: "a\\u0000" is not a path; fix it'),
    (tuple[int, ...], 1, "key: expected a list, found 1; fix it"),
    (tuple[int, ...], [1, "x"], 'key[1]: expected a number, found "x"; fix it'),
    (dict[str, int], [], "key: expected a table, found []; fix it"),
    (dict[str, int], {"a b": "x"}, 'key."a b": expected a number, found "x"; fix it'),
    (dict[MailAddress, int], {"x": 1}, 'key.x: "x" is not a bare mail address; fix it'),
    (Literal["block", "object"], "blok", "key: unknown value 'blok' (did you mean 'block'?); "),
    (Literal["", "poll"], "x", "key: unknown value 'x'; choose \"\" or poll"),
    (Seconds | None, -1, "key: expected more than 0 seconds, found -1; fix it"),
    (NonEmpty[str], "", "key: is empty; fix it"),
]


@pytest.mark.parametrize(("kind", "value", "text"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_value_is_named_with_its_problem_and_the_remedy(
    kind: Any, value: object, text: str
) -> None:
    with pytest.raises(WrongValue) as caught:
        convert("key", value, kind, "fix it")
    assert str(caught.value).startswith(text)


def test_a_table_has_only_known_keys_and_the_remedy_shows_the_default() -> None:
    kinds = {"poll": Seconds, "to": MailAddress}
    assert convert_table("x", {"poll": 5}, kinds, FOLDER) == {"poll": 5.0}
    for table, defaults, text in (
        ({"pol": 1}, {}, "x.pol: unknown key (did you mean 'poll'?); known keys: poll, to"),
        (
            {"poll": 0},
            {"poll": "7"},
            "x.poll: expected more than 0 seconds, found 0; write poll = 7",
        ),
        ({"poll": 0}, {}, "x.poll: expected more than 0 seconds, found 0; write poll = 30"),
        ({"to": "x"}, {"to": ""}, 'x.to: "x" is not a bare mail address; write to = "you@example'),
        (1, {}, "x: expected a table, found 1; write [x]"),
    ):
        with pytest.raises(WrongValue) as caught:
            convert_table("x", table, kinds, FOLDER, defaults)
        assert str(caught.value).startswith(text)


# ── TOML that an error shows ─────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "toml"),
    [
        (str, '"text"'),
        (float, "1.5"),
        (Path, '"text"'),
        (Path | None, '"text"'),
        (tuple[str, ...], '["text"]'),
        (dict[str, str], '{ name = "text" }'),
        (dict[MailAddress, tuple[str, ...]], '{ "you@example.org" = ["text"] }'),
        (Literal["", "poll"], '"poll"'),
        (NonEmpty[tuple[MailAddress, ...]], '["you@example.org"]'),
    ],
)
def test_the_example_of_a_type_is_a_correct_value(kind: Any, toml: str) -> None:
    assert example_as_toml(kind) == toml


@dataclass
class Rules:
    required: str
    empty: str = ""
    nothing: Path | None = None
    number: float = 5
    truth: bool = False
    state: Path = Path("x.sqlite3")
    words: tuple[str, ...] = ("df", "-k")
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"a b": ("df",)})


def test_a_default_is_shown_as_toml_unless_it_is_empty() -> None:
    shown = {item.name: default_as_toml(item) for item in dataclasses.fields(Rules)}
    assert shown == {
        "required": "",
        "empty": "",
        "nothing": "",
        "number": "5",
        "truth": "false",
        "state": '"x.sqlite3"',
        "words": '["df", "-k"]',
        "commands": '{ "a b" = ["df"] }',
    }


def test_a_key_is_quoted_if_toml_wants_it() -> None:
    assert [key_as_toml(key) for key in ("a-b_1", "a b", "", "ä", 'a"b')] == [
        "a-b_1",
        '"a b"',
        '""',
        '"ä"',
        '"a\\"b"',
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([kind for kind, _, _ in KINDS]), JSON)
def test_any_value_is_converted_or_refused(kind: Any, value: object) -> None:
    try:
        convert("key", value, kind, "fix it")
    except WrongValue as error:
        assert error.name.startswith("key") and error.text
