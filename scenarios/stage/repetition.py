"""What happens again and again: told in full once, then in one line each, then as a number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from scenarios.stage.beats import EVENT, LOOK, SUPERVISOR, Beat, joined

LONGEST = 10  # beats of what may be found to repeat itself
EACH = 6  # repetitions that get a line of their own
AGAIN = "again"  # the kind of a beat that stands for a repetition
_NUMBER = re.compile(r"\b(?<!-)[0-9]+\b")  # SHA-256 is a name


def without_repetition(beats: Sequence[Beat]) -> list[Beat]:
    """Returns beats of which repeated sequences are told in full only once.

    Two sequences are alike if the same parties do the same kinds of things; whom and what they name
    may differ, and is told. A beat with trouble is never folded, unless a program dies of the same
    trouble each time that it is started again.
    """
    found = _Sequences(beats)
    told: list[Beat] = []
    start = 0
    while start < len(beats):
        length, times = found.longest_repetition(start)
        if not times:
            told.append(beats[start])
            start += 1
            continue
        first = beats[start : start + length]
        told += first
        blocks = [beats[start + n * length : start + (n + 1) * length] for n in range(1, times)]
        told += _with_a_number([_in_one_line(first, block) for block in blocks])
        start += times * length
    return told


def _shape(beat: Beat) -> tuple[str, ...]:
    if beat.trouble:
        return (beat.kind, beat.source, beat.target, beat.text, *beat.detail)
    # People may do the same thing, each in other words. What a machine does is another thing if it
    # has another name: a command, or the death of another process. A number makes no difference.
    machine = beat.kind == EVENT and "@" not in beat.source and not beat.target
    text = re.sub(r"[0-9]+", "0", beat.text)
    words = [text] if machine else re.findall(r"[\w-]+", text)[:1]
    status = re.findall(r"status=(\w+)", beat.text)
    source = "@" if "@" in beat.source else beat.source
    return (beat.kind, source, beat.target, *words, *status)


def _may_repeat(block: Sequence[Beat]) -> bool:
    """Whether nothing in a sequence has to be told each time."""
    restarts = any(beat.source == SUPERVISOR for beat in block)
    troubles = {beat.trouble for beat in block if beat.trouble}
    return not troubles or (restarts and "error" in troubles and "fault" not in troubles)


class _Sequences:
    """The sequences of beats that are alike."""

    def __init__(self, beats: Sequence[Beat]) -> None:
        self._beats = beats
        self._shapes = [_shape(beat) for beat in beats]
        self._moments = [beat.at for beat in beats]

    def longest_repetition(self, start: int) -> tuple[int, int]:
        """Returns the length and number of the sequences which are alike, from `start` on.

        Of several lengths, that is the one which saves the most lines. Returns (0, 0) if none does.
        """
        best = (0, 0, 0)
        for length in range(1, LONGEST + 1):
            block = self._shapes[start : start + length]
            if len(block) < length:
                break
            if not _may_repeat(self._beats[start : start + length]):
                continue
            starts = range(start, len(self._shapes) - length + 1, length)
            alike = takewhile(lambda at: self._shapes[at : at + length] == block, starts)
            times = sum(1 for _ in alike)
            while times > 1 and not self._is_whole(start, length, times):
                times -= 1
            saved = (times - 1) * length - min(times - 1, EACH)
            best = max(best, (saved, length, times), key=lambda found: found[0])
        saved, length, times = best
        return (length, times) if saved > 0 else (0, 0)

    def _is_whole(self, start: int, length: int, times: int) -> bool:
        """Whether no sequence ends between beats of the same moment.

        Otherwise it would be the end of one thing and the beginning of the next. Sequences that are
        all of one moment are whole, too.
        """
        end = start + length * times
        borders = range(start + length, min(end + 1, len(self._moments)), length)
        whole = all(self._moments[at] != self._moments[at - 1] for at in borders)
        return whole or self._moments[start] == self._moments[end - 1]


def _in_one_line(first: Sequence[Beat], block: Sequence[Beat]) -> Beat:
    """Returns a block as one beat, which tells what differs from the first block."""
    pairs = zip(first, block, strict=True)
    told = [beat for model, beat in pairs if _differs(model, beat)]
    lead = told[0] if told else block[0]
    return Beat(
        at=lead.at,
        until=max(max(beat.at, beat.until) for beat in block),
        kind=lead.kind if told else AGAIN,
        source=lead.source,
        target=lead.target,
        text=joined(told) if told else "the same again",
        items=tuple(item for beat in block for item in beat.items),
    )


def _differs(model: Beat, beat: Beat) -> bool:
    """Whether a beat tells something else. For looks that found nothing, a number is no news."""
    if beat.kind == LOOK:
        return _NUMBER.sub("", beat.text) != _NUMBER.sub("", model.text)
    return beat.text != model.text


def _with_a_number(lines: list[Beat]) -> list[Beat]:
    """Returns the repetitions; of many, the first ones and the last."""
    told: list[Beat] = []
    for beat in lines:
        last = told[-1] if told else None
        if last is not None and last.text == beat.text == "the same again":
            told[-1] = last.and_also(beat, count=last.count + 1)
        else:
            told.append(beat)
    if len(told) <= EACH:
        return told
    middle, last = told[EACH - 2 : -1], told[-1]
    rest = middle[0]
    for beat in middle[1:]:
        rest = rest.and_also(beat)
    number = sum(beat.count for beat in middle)
    return [
        *told[: EACH - 2],
        replace(rest, kind=AGAIN, text=f"… {number} more like these …"),
        last,
    ]
