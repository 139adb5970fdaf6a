"""TOML values, converted and checked as the annotations of a dataclass want them.

    convert("poll", 5, Seconds, "write poll = 30")      # 5.0
    convert("poll", "x", Seconds, "write poll = 30")    # raises WrongValue

An annotation is str, int, float, bool, Path, a Literal of texts, a tuple or dict of these, `X |
None`, or one of the types in setting_types.py.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from comms.setting_types import Check, shown
from comms.suggest import did_you_mean

# Type → how an error names it, and an example in TOML.
_TYPES: dict[type, tuple[str, str]] = {
    str: ("a text in quotes", '"text"'),
    int: ("a number", "1"),
    float: ("a number", "1.5"),
    bool: ("true or false", "true"),
    list: ("a list", '["text"]'),
    dict: ("a table", '{ name = "text" }'),
}


class WrongValue(Exception):
    """A value that is not valid: the name of its key, and `PROBLEM; REMEDY`."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name, self.text = name, text


def convert_table(
    name: str,
    table: object,
    kinds: Mapping[str, Any],
    folder: Path,
    defaults: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Returns the values of a table, each converted to the type of its key. Raises WrongValue.

    `kinds` are the known keys with their types. An error shows the line to write, with the key's
    value in `defaults` (as TOML), or else with an example of its type.
    """
    check_type(name, table, dict, f"write [{name}]")
    assert isinstance(table, Mapping)
    values = {}
    for key, value in table.items():
        place = f"{name}.{key_as_toml(key)}"
        if key not in kinds:
            hint, known = did_you_mean(key, kinds), ", ".join(kinds)
            raise WrongValue(place, f"unknown key{hint}; known keys: {known}")
        remedy = f"write {key} = {(defaults or {}).get(key) or example_as_toml(kinds[key])}"
        values[key] = convert(place, value, kinds[key], remedy, folder)
    return values


def convert(name: str, value: object, kind: Any, remedy: str, folder: Path = Path()) -> Any:
    """Returns a value as the annotation `kind` wants it. Raises WrongValue, with `remedy`.

    Relative paths start at `folder`.
    """
    kind, checks = _unwrapped(kind)
    result = _as_type(name, value, kind, remedy, folder)
    for check in checks:
        if problem := check.problem(result):
            raise WrongValue(name, f"{problem}; {remedy}")
    return result


def _as_type(name: str, value: Any, kind: Any, remedy: str, folder: Path) -> Any:
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is Path:
        check_type(name, value, str, remedy)
        if not value or "\0" in value:
            raise WrongValue(name, f"{shown(value)} is not a path; {remedy}")
        return folder / value
    if origin is Literal:
        check_type(name, value, str, remedy)
        check_choice(name, value, inner)
        return value
    if origin is tuple:
        check_type(name, value, list, remedy)
        return tuple(
            convert(f"{name}[{index}]", item, inner[0], remedy, folder)
            for index, item in enumerate(value)
        )
    if origin is dict:
        check_type(name, value, dict, remedy)
        result = {}
        for key, item in value.items():
            place = f"{name}.{key_as_toml(key)}"
            checked = convert(place, key, inner[0], remedy, folder)
            result[checked] = convert(place, item, inner[1], remedy, folder)
        return result
    check_type(name, value, origin, remedy)
    if origin is not float:
        return value
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf


def check_type(name: str, value: object, kind: type, remedy: str) -> None:
    """Raises WrongValue if a value of the file is not of this type."""
    allowed: Any = {float: (float, int), dict: Mapping}.get(kind, kind)
    # In Python True is an int, but in TOML it is not a number.
    if isinstance(value, allowed) and (kind is bool or not isinstance(value, bool)):
        return
    expected = _TYPES[kind][0]
    if kind is int and isinstance(value, float):
        expected = "a whole number"
    raise WrongValue(name, f"expected {expected}, found {shown(value)}; {remedy}")


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raises WrongValue if a text is not one of these."""
    if value not in choices:
        hint = did_you_mean(value, choices)
        *others, last = (choice or '""' for choice in choices)
        wanted = f"{', '.join(others)} or {last}" if others else last
        raise WrongValue(name, f"unknown value {value!r}{hint}; choose {wanted}")


def _unwrapped(kind: Any) -> tuple[Any, list[Check]]:
    """Returns the type inside of Annotated and of `X | None`, and its checks."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        # TOML has no null, so a value that the file has is an X.
        kind = next(item for item in typing.get_args(kind) if item is not type(None))
    if typing.get_origin(kind) is not Annotated:
        return kind, []
    inner, *extras = typing.get_args(kind)
    return inner, [extra for extra in extras if isinstance(extra, Check)]


# ── TOML that an error shows ─────────────────────────────────────────────────


def example_as_toml(kind: Any) -> str:
    """Returns a correct value of this type, as TOML."""
    kind, checks = _unwrapped(kind)
    if given := next((check.example for check in checks if check.example), ""):
        return given
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is Literal:
        return f'"{next(choice for choice in inner if choice)}"'
    if origin is tuple:
        return f"[{example_as_toml(inner[0])}]"
    if origin is dict:
        key = example_as_toml(inner[0])
        return f"{{ {'name' if key == _TYPES[str][1] else key} = {example_as_toml(inner[1])} }}"
    return _TYPES.get(origin, _TYPES[str])[1]


def default_as_toml(item: dataclasses.Field[Any]) -> str:
    """Returns the default of a field as TOML; "" if it has none, or an empty one."""
    value = item.default
    if item.default_factory is not dataclasses.MISSING:
        value = item.default_factory()
    return "" if value in (dataclasses.MISSING, None, "", (), {}) else _as_toml(value)


def _as_toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{key_as_toml(key)} = {_as_toml(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_as_toml, value))}]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def key_as_toml(key: str) -> str:
    """Returns a key as TOML: in quotes, unless it consists of letters, digits, - and _."""
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else json.dumps(key, ensure_ascii=False)
