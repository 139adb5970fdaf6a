r"""A client's command, parted into words: bare, `"quoted"` or `{braced}`.

In each form a backslash makes the next character literal; `$ [ ] ( )` need none, whatever AOL's document asks of clients,
since some clients never write it. A line feed may stand inside quotes and braces.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Malformed(ValueError):
    """A command that cannot be parted into words."""


class Word(NamedTuple):
    """An argument, unescaped, and where it stood."""

    text: str
    start: int
    end: int


_BLANK = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(
    r'"((?:[^"\\]|\\.)*)"|\{((?:[^}\\]|\\.)*)\}|((?:[^\\ \t\r\n"{]|\\.|\\\Z)(?:[^\\ \t\r\n]|\\.|\\\Z)*)', re.S
)
_ESCAPED = re.compile(r"\\(.)", re.S)


def words(command: str) -> list[Word]:
    """The words of a command. Raises Malformed when a quote or brace is opened and never closed."""
    found = []
    at = _BLANK.match(command).end()  # type: ignore[union-attr]  # it matches nothing too
    while at < len(command):
        match = _WORD.match(command, at)
        if match is None:
            raise Malformed(f"{command[at]} is opened and never closed")
        text = match[match.lastindex or 0]
        if "\\" in text:
            text = _ESCAPED.sub(r"\1", text)
        found.append(Word(text, match.start(), match.end()))
        at = _BLANK.match(command, match.end()).end()  # type: ignore[union-attr]
    return found
