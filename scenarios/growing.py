"""Files that another program appends lines to, read from where the last look ended."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Connection

from comms.state import State

LONGEST_LINE = 1_000_000  # bytes
BEFORE = 1000  # bytes before an offset that tell whether the file is still the same


def lines(file: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """Yields each complete line after the offset, and the offset after it.

    A line that is still being written has no end yet, and is read later. If the file is shorter
    than the offset, it is a new one. A line that is too long is yielded without its rest. Raises
    OSError.
    """
    with file.open("rb") as stream:
        if offset > os.fstat(stream.fileno()).st_size:
            offset = 0
        stream.seek(offset)
        while line := stream.readline(LONGEST_LINE):
            kept = line
            while not line.endswith(b"\n"):
                line = stream.readline(LONGEST_LINE)
                if not line:
                    return
            yield kept, stream.tell()


def mark(file: Path, offset: int) -> str:
    """Returns what tells, at the next look, whether this is still the same file. Raises OSError."""
    with file.open("rb") as stream:
        stream.seek(max(0, offset - BEFORE))
        return hashlib.sha256(stream.read(min(offset, BEFORE))).hexdigest()


def resumed(file: Path, offset: int, known: str) -> int:
    """Returns the offset if the file is the one that was marked there, or else 0. Raises OSError.

    Only the end of what was read is compared: enough for lines that all differ.
    """
    return offset if mark(file, offset) == known else 0


class Place:
    """How far a file was read, in a state file. Another file of its name is read as a whole."""

    def __init__(self, state: State, file: Path) -> None:
        self._state, self._file = state, file

    def lines(self) -> Iterator[tuple[bytes, int]]:
        """Yields each complete line after the place, and the offset after it. Raises OSError."""
        offset = int(self._state.recall("offset", 0) or 0)
        known = self._state.recall("mark", "")
        yield from lines(self._file, resumed(self._file, offset, known) if known else offset)

    def move(self, db: Connection, offset: int) -> None:
        """Remembers how far the file was read, in the caller's transaction."""
        self._state.remember(db, "offset", offset)
        try:
            self._state.remember(db, "mark", mark(self._file, offset))
        except OSError:  # it was just moved away; of the next one, only the length will tell
            self._state.remember(db, "mark", None)
