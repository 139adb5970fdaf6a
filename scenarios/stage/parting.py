"""Where two recordings of one act part: the first difference in what happens.

Two programs may look into the maildrop in different ways, greet their server differently, and word
what they print differently, and still do the same. So what counts is what reaches others: a mail or
a message that the program sends, what it asks of a contact, a command that runs, a process or
program that dies. Only if all of that is the same, what the program prints counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.stage.beats import EVENT, MAIL, MESSAGE, PROGRAM, REQUEST, SAYS, Beat
from scenarios.stage.story import beats

NOWHERE = -1  # the position of what comes after everything
SENT = (MAIL, MESSAGE, REQUEST)


@dataclass(frozen=True)
class Parting:
    """Where a recording parts from another: at a position, and which positions the other lacks."""

    at: int
    apart: frozenset[int]

    def row(self, told: Sequence[Beat]) -> int:
        """Returns the number of the beat at which the recording parts, or how many there are."""
        rows = (row for row, beat in enumerate(told) if self.at in beat.items)
        return next(rows, len(told))

    def differs(self, beat: Beat) -> bool:
        """Whether something in the beat does not happen in the other recording."""
        return not self.apart.isdisjoint(beat.items)


def partings(one: Iterable[Any], other: Iterable[Any]) -> tuple[Parting, Parting] | None:
    """Returns where each of two recordings parts from the other; None if the same happens."""
    sides = [list(one), list(other)]
    for counts in (_happens, _is_said):
        found = _compared(sides, counts)
        if found is not None:
            return found
    return None


def _happens(beat: Beat) -> bool:
    """Whether a beat reaches others, or is an event of a person, a machine or the program."""
    return beat.kind == EVENT or (beat.kind in SENT and beat.source == PROGRAM)


def _is_said(beat: Beat) -> bool:
    return beat.kind == SAYS


def _compared(
    sides: Sequence[Sequence[Any]], counts: Callable[[Beat], bool]
) -> tuple[Parting, Parting] | None:
    """Returns where the beats that count differ. At each moment their order does not matter."""
    told = [[beat for beat in beats(side) if counts(beat)] for side in sides]
    apart = [_without(told[side], told[1 - side]) for side in (0, 1)]
    moments = [_moment(beat) for side in apart for beat in side]
    if not moments:
        return None
    first, second = (_parting(told[side], apart[side], min(moments)) for side in (0, 1))
    return first, second


def _without(told: Sequence[Beat], other: Sequence[Beat]) -> list[Beat]:
    """Returns the beats that do not also happen, at the same moment, in the other recording."""
    there = Counter(map(_key, other))
    found = []
    for beat in told:
        there[_key(beat)] -= 1
        if there[_key(beat)] < 0:
            found.append(beat)
    return found


def _parting(told: Sequence[Beat], apart: Sequence[Beat], moment: float) -> Parting:
    """Returns the parting of a side at a moment. If it has nothing then, at what happens next."""
    after = (beat for beat in told if _moment(beat) > moment or beat in apart)
    at = next((beat.items[0] for beat in after), NOWHERE)
    return Parting(at, frozenset(item for beat in apart for item in beat.items))


def _key(beat: Beat) -> tuple[float, str, str, str, str]:
    return _moment(beat), beat.kind, beat.source, beat.target, beat.text


def _moment(beat: Beat) -> float:
    return max(beat.at, beat.until)
