"""Values in few words: what a broken claim shows of what was wanted and of what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, zip_longest
from typing import Any

WIDTH = 84  # characters of a line, without the word before it
_MISSING = object()


def difference(found: object, wanted: object) -> tuple[str, ...]:
    """Returns what was wanted and what was found instead, in two lines.

    Of long values it is the first part in which they differ.
    """
    where, one, other = _first_difference(found, wanted)
    texts = [_text(value) for value in (other, one)]
    if isinstance(one, str) and isinstance(other, str) and max(map(len, texts)) > WIDTH:
        same = next(at for at, (a, b) in enumerate(zip_longest(*texts)) if a != b)
        texts = [f"…{text[same - 20 :]}" if same > 30 else text for text in texts]
    return (_line("wanted: ", where + texts[0]), _line("found:  ", where + texts[1]))


def summary(found: object) -> tuple[str, ...]:
    """Returns what was found, in one line."""
    return (_line("found:  ", _text(found)),)


def _line(word: str, text: str) -> str:
    return word + (text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…")


def _first_difference(found: Any, wanted: Any, where: str = "") -> tuple[str, Any, Any]:
    """Returns the place of the first difference, and the two values there.

    Values that fit into a line are not taken apart.
    """
    if max(len(where + _text(value)) for value in (found, wanted)) <= WIDTH:
        return where, found, wanted
    if isinstance(found, str) and isinstance(wanted, str):
        lines = (found.split("\n"), wanted.split("\n"))
        if max(map(len, lines)) > 1:
            return _first_of(*lines, where, "line")
    elif _is_list(found) and _is_list(wanted):
        if found and wanted and len({*map(_text, found)} | {*map(_text, wanted)}) > 1:
            return _first_of(found, wanted, where, "item")
    elif isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in dict.fromkeys((*wanted, *found)):
            one, other = found.get(key, _MISSING), wanted.get(key, _MISSING)
            if one != other:
                return _first_difference(one, other, f"{where}{_plain(key)}: ")
    return where, found, wanted


def _first_of(found: Any, wanted: Any, where: str, unit: str) -> tuple[str, Any, Any]:
    pairs = zip_longest(found, wanted, fillvalue=_MISSING)
    for number, (one, other) in enumerate(pairs, 1):
        if one is not other and one != other:
            return _first_difference(one, other, f"{where}{unit} {number}: ")
    return where, found, wanted


def _text(value: object) -> str:
    """Returns a value as a person would write it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.12g}"
        case bytes():
            return _text(value.decode("utf-8", "backslashreplace"))
        case str():
            return (
                '"' + value.replace("\r\n", "\n").replace("\n", "⏎") + '"' if value else "no text"
            )
        case Mapping():
            pairs = (f"{_plain(key)}: {_text(item)}" for key, item in value.items())
            return ", ".join(pairs) or "nothing"
        case tuple() if value and all(
            isinstance(item, str) and item.split() == [item] for item in value
        ):
            return " ".join(map(str, value))  # a command line, an envelope
        case Sequence() | set() | frozenset():
            items = sorted(value, key=_text) if isinstance(value, set | frozenset) else value
            return ", ".join(_counted(items)) or "nothing"
        case None:
            return "nothing"
    if value is _MISSING:
        return "nothing"
    subject = getattr(value, "subject", None)
    return f"mail {_text(subject)}" if subject is not None else str(value)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _plain(key: object) -> str:
    return key if isinstance(key, str) else _text(key)


def _counted(items: Iterable[Any]) -> Iterator[str]:
    """The items; those that repeat, once with their number."""
    for text, equal in groupby(
        f"({_text(item)})" if _is_list(item) else _text(item) for item in items
    ):
        count = len(list(equal))
        yield f"{count} × {text}" if count > 1 else text
