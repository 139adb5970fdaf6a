"""What an exhaustive test of a legality table walks through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fakes.wire import Rule


def in_states(verbs: Mapping[str, Rule], states: Iterable[str]) -> Iterator[tuple[str, str, bool]]:
    """Yields every verb in every state, and whether the table allows it."""
    for state in states:
        for verb, row in verbs.items():
            yield verb, state, state in row.states
