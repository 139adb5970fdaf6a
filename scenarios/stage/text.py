"""A story as lines for a terminal: who does what at what simulated time.

A line is a list of spans, each a text with a style. Without its styles it is the same text, so that
a terminal without colours shows the same story.
"""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence

from scenarios.stage.beats import EVENT, LOG, PROGRAM, SAYS, SERVERS, WARNING, Beat
from scenarios.stage.words import WORDS

WIDTH = 100  # of what is not shown on a terminal
DETAIL = 12  # lines of a beat's detail that are shown
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

    def tell(self, beats: Iterable[Beat]) -> Iterator[Line]:
        """Yields the lines of some beats."""
        for beat in beats:
            lines = list(self._beat(beat))
            yield from lines
            for word in self._new_words(" ".join(plain(line) for line in lines)):
                text = f"({word}: {WORDS[word]})"
                yield from self._wrapped(" " * _INDENT, "", text, "dim", lines=3)

    def _beat(self, beat: Beat) -> Iterator[Line]:
        stamp = time.strftime("%H:%M:%S", time.gmtime(beat.at))
        style = "bold red" if beat.trouble else _STYLES.get(beat.kind, "")
        text = f"{_VERBS.get(beat.kind, '')}{beat.text}"
        if beat.count > 1:
            text = f"{text} ({beat.count} times, until {_until(beat)})"
        who = self._name(beat.source)
        yield from self._wrapped(
            f"{stamp}  {who:<{_WHO - 1}} ", self._colour(beat.source), text, style, lines=3
        )
        detail = list(beat.detail)
        if len(detail) > DETAIL + 1:
            detail[DETAIL:] = [f"… {len(detail) - DETAIL} more lines"]
        for line in detail:
            trouble = beat.trouble and not line.startswith(" ")
            yield from self._wrapped(" " * _INDENT, "", f"| {line}", "red" if trouble else "dim")

    def _wrapped(
        self, prefix: str, colour: str, text: str, style: str, lines: int = 2
    ) -> Iterator[Line]:
        """Yields a text as at most so many lines, the later ones indented."""
        room = self._width - _INDENT
        first = room - max(len(prefix) - _INDENT, 0)
        found = textwrap.wrap(
            text,
            first,
            max_lines=lines,
            placeholder=" …",
            subsequent_indent="  ",
            drop_whitespace=False,
        ) or [""]
        for number, part in enumerate(found):
            yield [(prefix if number == 0 else " " * _INDENT, colour), (part.rstrip(), style)]

    def _name(self, who: str) -> str:
        """Returns a short name: for a person or a host the part before the domain."""
        if who == PROGRAM or who in SERVERS.values():
            return who
        local, at, domain = who.partition("@")
        if not at:
            return who.partition(".")[0]
        return local if domain.endswith("yourco.test") else who

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
            if word not in self._explained and re.search(rf"\b{re.escape(word)}s?\b", text):
                self._explained.add(word)
                yield word


def _until(beat: Beat) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(beat.until or beat.at))


_VERBS = {SAYS: "says: ", LOG: "logs: ", WARNING: "logs: "}
_STYLES = {SAYS: "bold", LOG: "", WARNING: "yellow", EVENT: ""}


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the rows of a table with aligned columns; columns that are empty are left out."""
    kept = [n for n in range(len(rows[0])) if any(row[n] for row in rows[1:])]
    widths = [max(len(row[n]) for row in rows) for n in kept]
    for row in rows:
        cells = (f"{row[n]:<{width}}" for n, width in zip(kept, widths, strict=True))
        yield "  ".join(cells).rstrip()
