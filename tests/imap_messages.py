"""Messages for tests of SEARCH, SORT and THREAD."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fakes.imap.source import Source


@dataclass(frozen=True)
class Numbered:
    """A message as `fakes.imap.subjects.Message` describes it."""

    number: int
    uid: int
    source: Source
    flags: Collection[str] = ()
    at: float = 0.0
    modseq: int = 1

    @property
    def size(self) -> int:
        """The size in bytes."""
        return len(self.source.raw)


def message(raw: bytes, number: int = 1, *flags: str, at: float = 0.0, modseq: int = 1) -> Numbered:
    """Returns a message whose UID is ten times its number."""
    return Numbered(number, 10 * number, Source(raw), flags, at, modseq)


def mailbox(raws: Sequence[bytes]) -> list[Numbered]:
    """Returns messages that are numbered from 1."""
    return [message(raw, number) for number, raw in enumerate(raws, 1)]
