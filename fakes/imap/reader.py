"""Reads commands from what a client sends: a line, in which each literal is followed by more line.

    reader = Reader(session.buffer)
    found = reader.next()
    if isinstance(found, Announced): ...   # the server has to decide about it first
    if isinstance(found, Command): ...   # a complete command

The time is proportional to the bytes, however they are split. The memory is bounded: the line
without its literals by LONGEST_LINE, literals by the decision of the server about each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LONGEST_LINE = 65_536  # bytes of a command with its CRLFs, without the contents of its literals
TOO_LONG = "Line too long"  # Command.problem of a longer one

# At the end of a line. Twenty digits are a number of 64 bits (RFC 9051 §9).
_ANNOUNCED = re.compile(rb"\{([0-9]{1,20})(\+?)\}\r\n")
_LONGEST_ANNOUNCEMENT = 26  # bytes, a `~` included


@dataclass(frozen=True, slots=True)
class Announced:
    """A literal is announced, and its bytes have not been read yet. The server must decide.

    Call `Reader.accept()`, after sending `+ …` if `is_sync` is true, or `Reader.refuse(…)` with the
    reason. Until then, `Reader.next` returns the same literal again.
    """

    line: bytes  # the first line of the command, with the CRLF
    size: int
    total: int  # size of this literal and of all others in the command, which is to be limited
    is_sync: bool  # the client waits for a continuation: {n}, and not {n+} (RFC 7888)
    is_binary: bool  # ~{n} (RFC 6855 §4)


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was sent. `raw` ends in CRLF, and has the contents of literals in it."""

    raw: bytes
    # Position of the `{` of each literal → where its content begins and ends.
    literals: Mapping[int, tuple[int, int]]
    # Why the command cannot be executed: the reason given to `refuse`, or TOO_LONG. What exceeds a
    # limit, and what comes after it, is not in `raw`.
    problem: object = None


class Reader:
    """Takes commands off the front of a buffer, which the session may share and append to."""

    def __init__(self, buffer: bytearray | None = None, longest_line: int = LONGEST_LINE) -> None:
        self.buffer = bytearray() if buffer is None else buffer
        self.longest_line = longest_line
        self.bare_lf = False  # a bare LF ends a line, too, and is handled as CRLF
        self.reset()

    def reset(self) -> None:
        """Forgets an incomplete command: the connection is in TLS now."""
        self._raw = bytearray()  # what of the command has been taken off the buffer
        self._literals: dict[int, tuple[int, int]] = {}
        self._scanned = 0  # bytes of the buffer that are known not to contain the end of the line
        self._line_size = 0  # bytes of the command without the contents of literals
        self._first_line = b""
        self._announced: Announced | None = None
        self._missing = 0  # bytes of the literal that have not been read
        self._literal_size = 0  # bytes of all literals so far
        self._problem: object = None
        self._is_complete = False  # a client that waited for a continuation was refused

    def feed(self, data: bytes) -> None:
        """Appends what the client has sent."""
        self.buffer += data

    def next(self) -> Command | Announced | None:
        """Returns the next command, a literal to decide about, or None if more input is needed."""
        if self._is_complete:
            return self._taken()
        while self._announced is None:
            if self._missing and not self._take_literal():
                return None
            if self.bare_lf:
                self._end_line()
            end = self.buffer.find(b"\r\n", self._scanned)
            if end < 0:
                self._wait_for_line()
                return None
            announced = self._take_line(end + 2)
            if announced is None:
                return self._taken()
            if self._problem is not None:  # nothing is decided about: it is discarded, if it comes
                if announced.is_sync:
                    return self._taken()
                self._missing = announced.size
            else:
                self._announced = announced
        return self._announced

    def _end_line(self) -> None:
        """Makes a bare LF that ends the next line a CRLF."""
        end = self.buffer.find(b"\n", self._scanned)
        if end >= 0 and self.buffer[max(0, end - 1) : end] != b"\r":
            self.buffer[end:end] = b"\r"

    def so_far(self) -> Command:
        """Returns what is known of the command whose literal is announced."""
        return Command(bytes(self._raw), dict(self._literals))

    def read_since(self, start: int) -> bytes:
        """Returns what is known of that command from a position on."""
        return bytes(self._raw[start:])

    def accept(self) -> None:
        """Reads the announced literal into the command."""
        assert self._announced is not None
        size, self._announced = self._announced.size, None
        start = len(self._raw)
        self._literals[self._raw.rindex(b"{")] = (start, start + size)
        self._missing = size
        self._literal_size += size

    def refuse(self, problem: object, swallow: bool = True) -> None:
        """Refuses the announced literal: `next` returns the command with this problem.

        A client that waits for a continuation sends no more of it. Otherwise the literal and the
        rest of the command are read, and discarded (RFC 7888 §3), unless `swallow` is false.
        """
        assert self._announced is not None and problem is not None
        announced, self._announced, self._problem = self._announced, None, problem
        self._is_complete = announced.is_sync or not swallow
        self._missing = 0 if self._is_complete else announced.size

    def _take_literal(self) -> bool:
        """Moves bytes of the literal into the command; says whether it is complete."""
        size = min(self._missing, len(self.buffer))
        if self._problem is None:
            self._raw += self.buffer if size == len(self.buffer) else self.buffer[:size]
        del self.buffer[:size]
        self._missing -= size
        return not self._missing

    def _wait_for_line(self) -> None:
        """The end of the line has not come. Bytes beyond the limit are discarded."""
        # The last byte may be the CR of a CRLF that has not arrived completely.
        self._scanned = max(0, len(self.buffer) - 1)
        if self._line_size + len(self.buffer) > self.longest_line:
            self._keep(self._scanned)
            # What may be the announcement of a literal stays: the literal has to be discarded too.
            excess = max(0, len(self.buffer) - _LONGEST_ANNOUNCEMENT)
            del self.buffer[:excess]
            self._scanned -= excess
            self._line_size += excess
            self._problem = self._problem or TOO_LONG

    def _keep(self, size: int) -> None:
        """Copies from the buffer into the command as much as there is room for."""
        if self._problem is None:
            self._raw += self.buffer[: max(0, min(size, self.longest_line - self._line_size))]

    def _take_line(self, size: int) -> Announced | None:
        """Takes a line off the buffer. Returns the literal that it ends with."""
        self._keep(size)
        announced = _ANNOUNCED.search(self.buffer, max(0, size - _LONGEST_ANNOUNCEMENT), size)
        literal = None
        if announced is not None and announced.end() == size:
            start, count = announced.start(), int(announced[1])
            literal = Announced(
                self._first_line or bytes(self.buffer[:size]),
                count,
                self._literal_size + count,
                not announced[2],
                bytes(self.buffer[max(0, start - 2) : start]) in (b" ~", b"(~"),
            )
            self._first_line = literal.line
        del self.buffer[:size]
        self._scanned = 0
        self._line_size += size
        if self._line_size > self.longest_line:
            self._problem = self._problem or TOO_LONG
        return literal

    def _taken(self) -> Command:
        found = Command(bytes(self._raw), self._literals, self._problem)
        if not found.raw.endswith(b"\r\n"):
            found = Command(found.raw + b"\r\n", self._literals, self._problem)
        self.reset()
        return found
