"""What an exhaustive test of a legality table walks through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fakes.wire import Rule


def in_states(verbs: Mapping[str, Rule], states: Iterable[str]) -> Iterator[tuple[str, str, bool]]:
    """Yields every verb in every state, and whether the table allows it."""
    for state in states:
        for verb, row in verbs.items():
            yield verb, state, state in row.states


def failing(check: Callable[..., None], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    """Returns the rows with which a check fails, and how: one test can show all that do.

    For rows that are many and quick: to report a test costs more than such a row.
    """
    found = []
    for row in rows:
        try:
            check(*row)
        except Exception as error:
            found.append(f"{row}: {type(error).__name__}: {error}")
    return found
