"""Two ways to play an act, side by side and aligned on time: our program, and the listing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest

from scenarios.stage.beats import Beat
from scenarios.stage.text import Line

TITLES = ("our program", "as printed")
PARTING = "from here they differ"


def side_by_side(ours: Sequence[Beat], printed: Sequence[Beat], width: int) -> Iterator[Line]:
    """Yields what both do, moment by moment. The first difference is marked."""
    column = (width - len("00:00:00  ") - 3) // 2
    yield [(f"{'':10}{TITLES[0]:<{column}}   {TITLES[1]}", "bold")]
    marked = False
    for at in sorted({beat.at for beat in (*ours, *printed)}):
        stamp = time.strftime("%H:%M:%S", time.gmtime(at))
        left = [_told(beat) for beat in ours if beat.at == at]
        right = [_told(beat) for beat in printed if beat.at == at]
        for number, (one, other) in enumerate(_aligned(left, right)):
            same = one == other
            if not same and not marked:
                marked = True
                yield [(f"{'':10}{f' {PARTING} ':─^{width - 10}}", "bold red")]
            shown = stamp if number == 0 else ""
            style = "dim" if same else "red"
            yield [
                (f"{shown:<10}{_cut(one, column):<{column}}", ""),
                (" │ " if same else " ≠ ", style),
                (_cut(other, column), "" if same else "red"),
            ]


def _aligned(left: list[str], right: list[str]) -> Iterator[tuple[str, str]]:
    """Yields the texts of one moment in pairs: what is the same, then what is on one side only."""
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from zip(left[a:b], right[c:d], strict=True)
        else:
            yield from zip_longest(left[a:b], right[c:d], fillvalue="")


def _told(beat: Beat) -> str:
    who = beat.source.partition("@")[0].partition(".")[0]
    times = f" ({beat.count} times)" if beat.count > 1 else ""
    return f"{who}: {'✗ ' if beat.trouble else ''}{beat.text}{times}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
