"""A story as lines for a terminal: who does what at what simulated time.

A line is a list of spans, each a text with a style. Without its styles it is the same text, so that
a terminal without colours shows the same story.
"""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from scenarios.stage.beats import (
    EVENT,
    LOG,
    LOOK,
    PROGRAM,
    SAYS,
    SERVERS,
    VERBS,
    WARNING,
    Beat,
    joined,
    name,
)
from scenarios.stage.repetition import AGAIN
from scenarios.stage.words import WORDS

WIDTH = 100  # of what is not shown on a terminal
LINES = 14  # that an act takes if it can, beside the details of what is told for the first time
MOST = 33  # lines that an act takes with them
MOMENT = 5  # seconds that count as the same moment where room is short
BRIEF = 3  # lines of a beat's detail where room is short
DETAIL = 8  # lines of a beat's detail that are shown
_WHO = 14  # columns for who acts
_INDENT = len("00:00:00  ") + _WHO
Line = list[tuple[str, str]]

_PEOPLE = ("cyan", "magenta", "yellow", "blue", "bright_cyan", "bright_magenta")


def plain(line: Line) -> str:
    """Returns a line without its styles."""
    return "".join(text for text, _ in line).rstrip()


class Teller:
    """Tells the acts of a run, and explains each unusual word where it first appears."""

    def __init__(self, width: int = WIDTH) -> None:
        self._width = max(width, 60)
        self._explained: set[str] = set()
        self._people: list[str] = []

    def tell_act(self, beats: Sequence[Beat]) -> list[list[Line]]:
        """Returns the lines of each beat of an act, shortened as far as its length demands."""
        new = sum(len(beat.detail) for beat in beats)
        wanted = min(LINES + new, MOST)
        before = set(self._explained)
        for shorten in _SHORTER:
            self._explained = set(before)
            beats = shorten(beats)
            told = [list(self.tell([beat], short=shorten is not _as_it_is)) for beat in beats]
            if sum(len(lines) for lines in told) <= wanted:
                break
        return told

    def tell(self, beats: Iterable[Beat], short: bool = False) -> Iterator[Line]:
        """Yields the lines of some beats; with `short`, a text that is long is cut."""
        for beat in beats:
            lines = list(self._beat(beat, short))
            yield from lines
            for word in self._new_words(" ".join(plain(line) for line in lines)):
                text = f"({word}: {WORDS[word]})"
                yield from self._wrapped(" " * 10, "", text, "dim", 2)

    def _beat(self, beat: Beat, short: bool) -> Iterator[Line]:
        stamp = time.strftime("%H:%M:%S", time.gmtime(beat.at))
        style = "bold red" if beat.trouble else _STYLES.get(beat.kind, "")
        text = f"{VERBS.get(beat.kind, '')}{beat.text}"
        if beat.count > 1:
            text = f"{text} ({beat.count} times, until {_until(beat)})"
        who = name(beat.source)
        yield from self._wrapped(
            f"{stamp}  {who:<{_WHO - 1}} ",
            self._colour(beat.source),
            text,
            style,
            _rows(beat, short),
        )
        detail = list(beat.detail)
        if len(detail) > DETAIL + 1:
            detail[DETAIL:] = [f"… {len(detail) - DETAIL} more lines"]
        for line in detail:
            trouble = beat.trouble and not line.startswith(" ")
            style = "red" if trouble else "dim"
            yield from self._wrapped(" " * _INDENT, "", f"| {line}", style, 2 if trouble else 1)

    def _wrapped(
        self, prefix: str, colour: str, text: str, style: str, rows: int
    ) -> Iterator[Line]:
        """Yields a text as at most `rows` lines, the later ones indented."""
        room = self._width - len(prefix)
        found = textwrap.wrap(
            text,
            room,
            max_lines=rows,
            placeholder=" …",
            subsequent_indent="  ",
            drop_whitespace=False,
        ) or [""]
        for number, part in enumerate(found):
            yield [(prefix if number == 0 else " " * len(prefix), colour), (part.rstrip(), style)]

    def _colour(self, who: str) -> str:
        if who == PROGRAM:
            return "bold"
        if who in SERVERS.values():
            return "green"
        if who not in self._people:
            self._people.append(who)
        return _PEOPLE[self._people.index(who) % len(_PEOPLE)]

    def _new_words(self, text: str) -> Iterator[str]:
        """Yields the words of the glossary that a text has, and that were not explained yet."""
        for word in WORDS:
            if word in self._explained or word not in text:  # nearly always
                continue
            if re.search(rf"\b{re.escape(word)}s?\b", text):
                self._explained.add(word)
                yield word


def _rows(beat: Beat, short: bool) -> int:
    """Returns how many lines a beat may take. Trouble is read to its end, if there is room."""
    if short:
        return 2 if beat.trouble and beat.kind != WARNING else 1
    return 3 if beat.trouble else 2 if beat.kind == WARNING else 1


# ── making an act shorter ────────────────────────────────────────────────────


def _as_it_is(beats: Sequence[Beat]) -> Sequence[Beat]:
    return beats


def _without_looks(beats: Sequence[Beat]) -> Sequence[Beat]:
    """Returns the beats with all looks but the first folded into what came before."""
    told: list[Beat] = []
    for beat in beats:
        if beat.kind == LOOK and not beat.trouble and any(one.kind == LOOK for one in told):
            told[-1] = replace(told[-1], items=told[-1].items + beat.items)
        else:
            told.append(beat)
    return told


def _by_the_moment(beats: Sequence[Beat]) -> Sequence[Beat]:
    """Returns the beats with what happens at the same moment in one, if that is not too long."""
    told: list[Beat] = []
    for beat in beats:
        last = told[-1] if told else beat
        text = joined([last, beat])
        plain = not (last.trouble or beat.trouble or last.detail or beat.detail or beat.count > 1)
        plain = plain and last.kind != AGAIN
        if told and plain and abs(beat.at - last.at) <= MOMENT and len(text) <= WIDTH - _INDENT - 6:
            told[-1] = last.and_also(beat, text=text, session=last.session)
        else:
            told.append(beat)
    return told


def _with_brief_details(beats: Sequence[Beat]) -> Sequence[Beat]:
    return [beat if beat.trouble else replace(beat, detail=beat.detail[:BRIEF]) for beat in beats]


def _without_details(beats: Sequence[Beat]) -> Sequence[Beat]:
    return [beat if beat.trouble else replace(beat, detail=()) for beat in beats]


_SHORTER = (_as_it_is, _without_looks, _by_the_moment, _with_brief_details, _without_details)


def _until(beat: Beat) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(beat.until or beat.at))


_STYLES = {SAYS: "bold", LOG: "", WARNING: "yellow", EVENT: ""}


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the rows of a table with aligned columns; columns that are empty are left out."""
    kept = [n for n in range(len(rows[0])) if any(row[n] for row in rows[1:])]
    widths = [max(len(row[n]) for row in rows) for n in kept]
    for row in rows:
        cells = (f"{row[n]:<{width}}" for n, width in zip(kept, widths, strict=True))
        yield "  ".join(cells).rstrip()
