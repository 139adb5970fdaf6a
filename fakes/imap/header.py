"""Header fields as bytes: where they are, and the lexical tokens of RFC 5322 §3.2 in their values.

Nothing is decoded: encoded words and raw bytes stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NAME = re.compile(rb"([^:\r\n \t]+)[ \t]*:")
_SPACES = re.compile(rb"[ \t\r\n]+")
_COMMENT_MARK = re.compile(rb"[()]|\\.?", re.S)
_QUOTED = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.S)
_ESCAPE = re.compile(rb"\\(.)|\r?\n", re.S)


def read_fields(raw: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yields of each field of a header its name in lower case, and where it and its value begin.

    The last number is where the next one begins. A line that is not a field has the name b"".
    """
    at = start
    while at < end:
        following = at
        while True:
            newline = raw.find(b"\n", following, end)
            following = end if newline < 0 else newline + 1
            if raw[following : following + 1] not in (b" ", b"\t") or following >= end:
                break
        match = _NAME.match(raw, at, following)
        if match is None:
            yield b"", at, at, following
        else:
            yield match[1].lower(), at, match.end(), following
        at = following


def unfold(value: bytes) -> bytes:
    """Returns a value in one line: a line end and the space after it become one space."""
    return b" ".join(line.strip(b" \t\r\n") for line in value.split(b"\n")).strip()


def with_single_spaces(value: bytes) -> bytes:
    """Returns a value with each run of white space as one space, and none around it."""
    return _SPACES.sub(b" ", value).strip(b" ")


class Scanner:
    """Reads tokens of a value, beginning at `at`."""

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.at = 0
        self.comment: bytes | None = None  # the last one that was read

    def next(self) -> bytes:
        """Returns the next byte, b"" at the end."""
        return self.value[self.at : self.at + 1]

    def skip(self) -> bool:
        """Skips white space and comments. Returns whether they are complete and more follows."""
        while self.at < len(self.value):
            byte = self.value[self.at]
            if byte in b" \t\r\n":
                match = _SPACES.match(self.value, self.at)
                assert match is not None
                self.at = match.end()
            elif byte != 0x28:
                return True
            elif not self._skip_comment():
                return False
        return False

    def mark(self, mark: bytes) -> bool:
        """Skips a mark if it is next, and what `skip` skips after it; says whether it was."""
        found = self.value.startswith(mark, self.at)
        if found:
            self.at += len(mark)
            self.skip()
        return found

    def token(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """Reads what matches the pattern, None if nothing does."""
        match = pattern.match(self.value, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match[0]

    def quoted(self) -> bytes | None:
        """Reads a quoted string, without quotes and backslashes. None if it is not complete."""
        match = _QUOTED.match(self.value, self.at)
        if match is None:
            return None
        self.at = match.end()
        return unescape(match[1])

    def _skip_comment(self) -> bool:
        start, depth = self.at + 1, 0
        for match in _COMMENT_MARK.finditer(self.value, self.at):
            depth += {b"(": 1, b")": -1}.get(match[0], 0)
            if not depth:
                self.comment, self.at = unescape(self.value[start : match.start()]), match.end()
                return True
        self.at = len(self.value)
        return False


def unescape(text: bytes) -> bytes:
    """Returns the content of a quoted string or comment: without backslashes and line ends."""
    if b"\\" not in text and b"\n" not in text:
        return text
    return _ESCAPE.sub(lambda match: match[1] or b"", text)
