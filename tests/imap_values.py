"""Reads the values in an IMAP response: lists, strings, atoms. For tests of what servers send."""

from __future__ import annotations

import re
from typing import Any

from fakes.imap.grammar import Arguments

_TOKEN = re.compile(
    rb'(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]|\\.)*)"|\{(?P<size>[0-9]+)\}\r\n'
    rb"|(?P<atom>[^ ()\[\r\n]+(?:\[[^\]]*\](?:<[0-9]+>)?)?)|[ \r\n]+",
    re.S,
)


def values(raw: bytes) -> list[Any]:
    """Returns the values of a line: bytes of strings, None for NIL, text of atoms, lists."""
    stack: list[list[Any]] = [[]]
    at = 0
    while at < len(raw):
        match = _TOKEN.match(raw, at)
        assert match is not None, raw[at : at + 60]
        at = match.end()
        if match["open"]:
            stack.append([])
        elif match["close"]:
            done = stack.pop()
            stack[-1].append(done)
        elif match["quoted"] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", match["quoted"], flags=re.S))
        elif match["size"]:
            stack[-1].append(raw[at : at + int(match["size"])])
            at += int(match["size"])
        elif match["atom"]:
            stack[-1].append(None if match["atom"] == b"NIL" else match["atom"].decode("latin-1"))
    (found,) = stack
    return found


def arguments(text: str | bytes) -> Arguments:
    """Returns the arguments of a command line, literals {n+} included, without its CRLF."""
    raw = (text.encode() if isinstance(text, str) else text) + b"\r\n"
    literals, at = {}, 0
    while match := re.compile(rb"\{([0-9]+)\+?\}\r\n").search(raw, at):
        at = match.end() + int(match[1])
        literals[match.start()] = (match.end(), at)
    return Arguments(raw, literals)
