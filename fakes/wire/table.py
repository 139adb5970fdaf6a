"""The legality table: which command is legal in which state, where it leads, and who says so.

    states = "START READY MAIL RCPT"
    verbs = {
        "MAIL": rule("READY", "RFC 5321 §4.1.1.2", then="MAIL"),
        "RSET": rule("START READY MAIL RCPT", "RFC 5321 §4.1.1.5", then="START READY"),
        "NOOP": rule("START READY MAIL RCPT", "RFC 5321 §4.1.1.9"),
    }

With one state in `then`, the dispatcher enters it when the handler has succeeded. With several, the
handler chooses among them. With none, the state stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fakes.suggest import nearest


@dataclass(frozen=True)
class Rule:
    """A row of a legality table."""

    states: frozenset[str]
    section: str
    then: tuple[str, ...] = ()
    enters: str = field(init=False)  # the only state in `then`; "" if the handler chooses

    def __post_init__(self) -> None:
        object.__setattr__(self, "enters", self.then[0] if len(self.then) == 1 else "")


def rule(states: str, section: str, then: str = "") -> Rule:
    """Returns a row; states are separated by spaces."""
    return Rule(frozenset(states.split()), section, tuple(then.split()))


def check(name: str, states: Iterable[str], verbs: Mapping[str, Rule]) -> None:
    """Raises TypeError if a row names a state that the protocol does not have.

    Called when a core's class is created, so that a misspelt state fails at import.
    """
    known = list(states)
    for verb, row in verbs.items():
        for state in (*row.states, *row.then):
            if state not in known:
                raise TypeError(
                    f"{name}: the rule for {verb!r} names an unknown state {state!r}"
                    f"{nearest(state, known)}; states: {', '.join(known)}"
                )
