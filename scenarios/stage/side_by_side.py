"""Two ways to play an act, side by side and aligned on time: our program, and the listing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import takewhile, zip_longest
from typing import Any

from scenarios.stage.beats import Beat, name
from scenarios.stage.parting import NOWHERE, Parting, partings
from scenarios.stage.story import story
from scenarios.stage.text import Line

Told = tuple[str, bool]  # what is told, and whether it does not happen on the other side

TITLES = ("our program", "as printed")
PARTING = "from here they differ"
LEGEND = "≠ something else happens   ~ only words, the moment, or the wire"
_NOTHING = Parting(NOWHERE, frozenset())


def side_by_side(ours: Sequence[Any], printed: Sequence[Any], width: int) -> Iterator[Line]:
    """Yields what two recordings tell, moment by moment. The first difference is marked."""
    column = (width - len("00:00:00  ") - 3) // 2
    yield [(f"{'':10}{TITLES[0]:<{column}}   {TITLES[1]}", "bold")]
    parts = partings(ours, printed) or (_NOTHING, _NOTHING)
    sides = [
        [(_told(beat), part.differs(beat), beat.at) for beat in story(recording)]
        for recording, part in zip((ours, printed), parts, strict=True)
    ]
    marked = False
    for at in sorted({at for side in sides for _, _, at in side}):
        stamp = time.strftime("%H:%M:%S", time.gmtime(at))
        left, right = ([row[:2] for row in side if row[2] == at] for side in sides)
        for number, ((one, new), (other, other_new)) in enumerate(_aligned(left, right)):
            differs = new or other_new
            if differs and not marked:
                marked = True
                yield [(f"{'':10}{f' {PARTING} ':─^{width - 10}}", "bold red")]
            shown = stamp if number == 0 else ""
            one_cut, other_cut = _cut(one, other, column)
            mark, style = ("≠", "red") if differs else ("│" if one == other else "~", "dim")
            yield [
                (f"{shown:<10}{one_cut:<{column}}", ""),
                (f" {mark} ", style),
                (other_cut, "red" if differs else ""),
            ]


def _aligned(left: Sequence[Told], right: Sequence[Told]) -> Iterator[tuple[Told, Told]]:
    """Yields what is told of one moment in pairs: the same, then what is on one side only."""
    texts, others = ([text for text, _ in side] for side in (left, right))
    for tag, a, b, c, d in SequenceMatcher(None, texts, others, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from zip(left[a:b], right[c:d], strict=True)
        else:
            yield from zip_longest(left[a:b], right[c:d], fillvalue=("", False))


def _told(beat: Beat) -> str:
    times = f" ({beat.count} times)" if beat.count > 1 else ""
    return f"{name(beat.source)}: {'✗ ' if beat.trouble else ''}{beat.text}{times}"


def _cut(one: str, other: str, length: int) -> Iterator[str]:
    """Yields both texts, cut to a length. Where they differ only beyond it, that is shown."""
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))
    hidden = one != other and same > length - 2
    skipped = range(length // 3, same - length // 3) if hidden else range(0)
    for text in (one, other):
        if skipped:
            text = f"{text[: skipped.start]}…{text[skipped.stop :]}"
        yield text if len(text) <= length else f"{text[: length - 1]}…"
