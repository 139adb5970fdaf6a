"""Beats as a picture: a lane for each person, program, server and host, an arrow for each beat.

Each beat is a row, an SVG of its own. The rows touch, so that the lanes run from top to bottom.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass

from scenarios.stage.beats import PROGRAM, SERVERS, Beat, lanes
from scenarios.stage.markup import Markup, tag

LETTER = 8.5  # pixels of a letter, rather too many than too few: of bold capitals
LINE = 17  # pixels between two lines of text
MARGIN = 70  # pixels left of the first lane
NOTE = 330  # pixels that a note may take, right of its lane
LINES = 12  # of a text; the rest of a longer one is on the wire beneath


@dataclass(frozen=True)
class Lanes:
    """Which lanes there are, and how far they are from each other, in pixels."""

    names: tuple[str, ...]
    step: int

    @classmethod
    def of(cls, beats: Sequence[Beat]) -> Lanes:
        """Returns the lanes of these beats: people and hosts, then the program, then servers."""
        servers = set(SERVERS.values())

        def side(name: str) -> int:
            return 1 if name == PROGRAM else 2 if name in servers else 0

        names = sorted(lanes(beats) or [PROGRAM], key=side)
        return cls(tuple(names), {1: 250, 2: 220, 3: 190, 4: 170}.get(len(names), 155))

    @property
    def width(self) -> int:
        """Pixels of the whole picture."""
        last = self.x(self.names[-1])
        return last + (2 * MARGIN if len(self.names) > 2 else NOTE)

    def x(self, name: str) -> int:
        """Where a lane is."""
        return MARGIN + self.step * self.names.index(name)

    def head(self) -> Markup:
        """Returns the names of the lanes, as the first row."""
        letters = int(min(self.step, 2 * MARGIN) / LETTER) - 2  # the first lane is near the edge
        split = {
            name: name.replace("@", "\n@").split("\n") if len(name) > letters else [name]
            for name in self.names
        }
        names = [
            _text(line, self.x(name), 17 + LINE * number, "lane", "middle")
            for name, lines in split.items()
            for number, line in enumerate(lines)
        ]
        height = 9 + LINE * max(map(len, split.values()))
        return tag("svg", names, aria_hidden="true", **self._size(height))

    def row(self, beat: Beat) -> Markup:
        """Returns the picture of a beat: an arrow if something is sent, else a note in a lane."""
        shapes, height = self._arrow(beat) if beat.target else self._note(beat)
        height = max(height, LINE * (1 + ("–" in stamp(beat))) + 6)  # the time is beside it
        verticals = [
            tag("line", x1=self.x(name), x2=self.x(name), y1="0", y2=height, class_="life")
            for name in self.names
        ]
        label = (
            f"{stamp(beat)} {beat.source}{' to ' if beat.target else ''}{beat.target}: "
            f"{' '.join(_wrapped(beat.text, self.width))}"
        )
        return tag("svg", verticals, shapes, role="img", aria_label=label, **self._size(height))

    def _size(self, height: int) -> dict[str, object]:
        """The size of a row; with a viewBox, so that paper can make it smaller."""
        return {"width": self.width, "height": height, "viewBox": f"0 0 {self.width} {height}"}

    def _arrow(self, beat: Beat) -> tuple[list[Markup], int]:
        start, end = self.x(beat.source), self.x(beat.target)
        # A label may be wider than its arrow, because nothing else is in the row.
        room = max(abs(start - end) - 24, min(460, self.width - 24))
        lines, y = _wrapped(_label(beat), room), 15
        shapes = self._block(lines, start, end, y, "label")
        y += LINE * len(lines) - 6
        tip = 9 if end > start else -9
        head = f"M{end - tip} {y - 5} L{end} {y} L{end - tip} {y + 5} Z"
        shapes.append(tag("line", x1=start, x2=end - tip, y1=y, y2=y, class_="arrow"))
        shapes.append(tag("circle", cx=start, cy=y, r=3, class_="dot"))
        shapes.append(tag("path", d=head, class_="tip"))
        details = [line for detail in beat.detail for line in _wrapped(detail, room)]
        shapes += self._block(details, start, end, y + LINE + 2, "detail")
        return shapes, y + LINE * len(details) + 10

    def _block(self, lines: Sequence[str], start: int, end: int, y: int, kind: str) -> list[Markup]:
        """Lines of text in the middle of an arrow, moved if they would leave the picture."""
        wide = max(map(len, lines), default=0) * LETTER
        left = min((start + end - wide) / 2, self.width - wide - 6)
        if len(lines) == 1:
            return [_text(lines[0], round(max(left, 6) + wide / 2), y, kind, "middle")]
        return [
            _text(line, round(max(left, 6)), y + LINE * number, kind, "start")
            for number, line in enumerate(lines)
        ]

    def _note(self, beat: Beat) -> tuple[list[Markup], int]:
        x = self.x(beat.source)
        right = self.width - x >= min(NOTE, self.width / 2)
        room = min(560, (self.width - x if right else x) - 24)
        lines = [(line, "label") for line in _wrapped(_label(beat), room)]
        lines += [(line, "detail") for detail in beat.detail for line in _wrapped(detail, room)]
        shapes = [tag("rect", x=x - 5, y=6, width=10, height=10, rx=2, class_="dot")]
        for number, (line, kind) in enumerate(lines):
            side = (x + 14, "start") if right else (x - 14, "end")
            shapes.append(_text(line, side[0], 15 + LINE * number, kind, side[1]))
        return shapes, LINE * len(lines) + 8


def _label(beat: Beat) -> str:
    mark = "✖ " if beat.trouble else ""
    return f"{mark}{beat.text}{f' ({beat.count} times)' if beat.count > 1 else ''}"


def _wrapped(text: str, room: float) -> list[str]:
    letters = max(12, int(room / LETTER))
    wrapped = textwrap.wrap(
        text, letters, break_on_hyphens=False, max_lines=LINES, placeholder=" …"
    )
    return wrapped or [" "]


def _text(text: str, x: int, y: int, kind: str, anchor: str) -> Markup:
    return tag("text", text, x=x, y=y, class_=kind, text_anchor=anchor)


def clock(at: float) -> str:
    """Returns a time of day; the days of a rehearsal are in 2026."""
    return time.strftime("%H:%M:%S", time.gmtime(at))


def stamp(beat: Beat) -> str:
    """Returns when a beat happened, and until when if that is later."""
    first, last = clock(beat.at), clock(max(beat.at, beat.until))
    return first if first == last else f"{first}–{last}"
