r"""Splits a client's command into words: bare, `"quoted"` or `{braced}`.

In each form a backslash makes the next character literal. `$ [ ] ( )` need no backslash, although
AOL's document asks clients for one, because some clients never write it. A line feed may appear
inside quotes and braces.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fakes.toc.refusals import Drop
from fakes.wire import Unit


class Malformed(ValueError):
    """A command that cannot be split into words."""


class Word(NamedTuple):
    """One word of a command, unescaped, and its position in the command."""

    text: str
    start: int
    end: int


_SPACE = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(
    r'"((?:[^"\\]|\\.)*+)"'
    r"|\{((?:[^}\\]|\\.)*+)\}"
    # A quote or brace opens only at the start of a word; a backslash at the very end is itself.
    r'|((?:[^\\ \t\r\n"{]|\\.|\\\Z)(?:[^\\ \t\r\n]|\\.|\\\Z)*+)',
    re.S,
)
_ESCAPED = re.compile(r"\\(.)", re.S)


def words(command: str) -> list[Word]:
    """Returns the words of a command.

    Raises Malformed if a quote or brace is opened and never closed.
    """
    found = []
    at = _SPACE.match(command).end()  # type: ignore[union-attr]  # it matches nothing too
    while at < len(command):
        match = _WORD.match(command, at)
        if match is None:
            raise Malformed(f"{command[at]} is opened and never closed")
        text = match[match.lastindex or 0]
        if "\\" in text:
            text = _ESCAPED.sub(r"\1", text)
        found.append(Word(text, match.start(), match.end()))
        at = _SPACE.match(command, match.end()).end()  # type: ignore[union-attr]
    return found


def arguments(unit: Unit, least: int = 0) -> list[str]:
    """Returns the texts of a command's arguments.

    Raises Drop if there are fewer than `least`.
    """
    texts = [word.text for word in unit.content]
    if len(texts) < least:
        raise Drop(f"{unit.verb} needs {least} argument(s)")
    return texts


def number(text: str) -> int:
    """Returns an argument as an integer of at most nine digits. Raises Drop if it is not one."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Drop(f"{text!r} is not a number")
    return int(text)


def unbraced(text: str) -> str:
    """Returns the text without surrounding braces, which some clients send inside quotes."""
    return text[1:-1] if text[:1] == "{" and text[-1:] == "}" else text


def whole_argument(unit: Unit) -> str:
    """Returns all that follows the verb as one argument, with its spaces and line feeds.

    Most clients send a text of several lines without quotes. Spaces around it do not belong to it,
    nor does a pair of quotes or braces, or braces inside quotes.
    """
    text = unit.arg.rstrip(" \t")
    inside = text.rstrip()
    if len(inside) > 1 and inside[0] + inside[-1] in ('""', "{}"):
        text = unbraced(inside[1:-1]) if inside[0] == '"' else inside[1:-1]
    return _ESCAPED.sub(r"\1", text)


def encoding_and_language(encoding: str, language: str = "en") -> tuple[str, str]:
    """Returns an encoding and a language that fit a field of a message.

    An unknown encoding counts as A (ASCII), an unknown form of a language as English: the message
    arrives, whatever a client calls them. Raises Drop for a language that is not a word.
    """
    if not re.fullmatch(r"[\w-]*", language, re.ASCII):
        raise Drop("a language is a word")
    if not re.fullmatch(r"[A-Za-z-]{1,16}", language):
        language = "en"
    return encoding if encoding in ("A", "L", "U") else "A", language
