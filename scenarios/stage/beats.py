"""A recording as beats: what a person who watched would tell, one thing at a time.

A beat covers one or more items of a recording: a conversation in which a mail was sent, three looks
at an empty maildrop, a line that the program printed. Every item belongs to exactly one beat. The
story on the terminal, the comparison of two runs and the picture are all drawn from beats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

PROGRAM = "program"  # the lane of the program that is rehearsed


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One thing that happens.

    `at` and `until` are in seconds since the epoch. `source` is who acts: the program, a protocol
    for its server (`smtp`), a person or a host by name. `target` is whom it is sent to, with the
    same names; it is empty if nothing is sent. `items` are positions in the recording.
    """

    at: float
    kind: str  # "event", "says", "log", "opening", "mail", "look", "message", "wire", "closing"
    source: str
    text: str
    target: str = ""
    until: float = 0.0  # if the beat is not over at once
    detail: tuple[str, ...] = ()  # further lines, such as the header fields of a mail
    trouble: str = ""  # "refused", "fault", "lost", "error"; never folded
    count: int = 1  # how many conversations or lines were folded into this beat
    items: tuple[int, ...] = ()

    def and_also(self, later: Beat, text: str = "") -> Beat:
        """Returns this beat with a later one folded into it."""
        return replace(
            self,
            text=text or self.text,
            until=max(self.until, later.until, later.at),
            count=self.count + later.count,
            items=self.items + later.items,
        )


def lanes(beats: Sequence[Beat]) -> list[str]:
    """Returns every source and target, in the order in which they first appear."""
    return list(dict.fromkeys(name for beat in beats for name in (beat.source, beat.target) if name))
