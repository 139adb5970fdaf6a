"""What IMAP writes in its own way: names of folders, sets of mails, answers to FETCH (RFC 3501).

folder_name("Entwürfe")                  # 'Entw&APw-rfe'
[*uid_sets([1, 2, 3, 7])]                # ['1:3,7']
fetched([(b"4 (UID 7 BODY[] {5}", b"hello"), b")"])      # {'UID': '7', 'BODY[]': b'hello'}
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence

DEEPEST = 100  # lists within lists
LONGEST_SET = 8000  # bytes of a set; a server must accept lines of 8,192 (RFC 7162 §4)

# An atom, a string, a literal, NIL, or a list of these in parentheses.
Value = str | bytes | None | list["Value"]
Piece = bytes | tuple[bytes, bytes]  # a line, or the part of it before a literal, and the literal


def folder_name(name: str) -> str:
    """Returns a folder's name in modified UTF-7 (RFC 3501 §5.1.3).

    Raises ValueError for control characters, and for what is not Unicode.
    """
    if re.search(r"[\x00-\x1f\x7f-\x9f]", name):
        raise ValueError(f"{name!r} contains a control character")

    def shifted(match: re.Match[str]) -> str:
        encoded = base64.b64encode(match[0].encode("utf-16-be")).decode()
        return f"&{encoded.rstrip('=').replace('/', ',')}-"

    return re.sub(r"[^\x20-\x7e]+", shifted, name.replace("&", "&-"))


def quoted(text: str) -> str:
    """Returns a text as a quoted string (RFC 3501 §4.3). The text must be ASCII, and one line."""
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'


def uid_sets(uids: Iterable[int]) -> Iterator[str]:
    """Yields sets that name exactly these UIDs, each short enough for a command.

    Only neighbours become a range: others may have mails whose UIDs are in between.
    """
    ranges: list[tuple[int, int]] = []
    for uid in sorted(set(uids)):
        if ranges and ranges[-1][1] == uid - 1:
            ranges[-1] = (ranges[-1][0], uid)
        else:
            ranges.append((uid, uid))
    current = ""
    for first, last in ranges:
        item = f"{first}:{last}" if first < last else str(first)
        if current and len(current) + 1 + len(item) > LONGEST_SET:
            yield current
            current = ""
        current = f"{current},{item}" if current else item
    if current:
        yield current


# An atom may have a section, in which spaces, parentheses and quotes are allowed:
# BODY[HEADER.FIELDS ("To")]<0>. The section stops at another bracket, so that a search takes
# linear time.
_TOKEN = re.compile(
    rb'(?P<mark>[()])|"(?P<text>(?:[^"\\]|\\.)*+)"'
    rb"|(?P<atom>[^\s()\"\[]*\[[^\[\]]*\](?:<[0-9]+>)?|[^\s()\"]+)"
)
_LITERAL = re.compile(rb"~?\{[0-9]+\}$")


def fetched(pieces: Sequence[Piece]) -> dict[str, Value]:
    """Reads one answer to FETCH: the names of its items, in capitals, and their values.

    Literals may be anywhere in it, and the items may be others than those asked for, in any order.
    Raises ValueError if it is not an answer to FETCH.
    """
    stack: list[list[Value]] = [[]]
    for mark, value in _tokens(pieces):
        if mark == b"(":
            if len(stack) > DEEPEST:
                raise ValueError(f"more than {DEEPEST} lists within lists")
            stack.append([])
        elif mark == b")":
            inner = stack.pop()
            if not stack:
                raise ValueError("a parenthesis that was never opened")
            stack[-1].append(inner)
        else:
            stack[-1].append(value)
    if len(stack) > 1 or len(stack[0]) != 2 or not isinstance(stack[0][1], list):
        raise ValueError("no list of items")
    items = stack[0][1]
    names = items[::2]
    if len(items) % 2:
        raise ValueError("an item without a value")
    result = {}
    for name, value in zip(names, items[1::2], strict=True):
        if not isinstance(name, str):
            raise ValueError("a value without a name")
        result[name.upper()] = value
    return result


def _tokens(pieces: Sequence[Piece]) -> Iterator[tuple[bytes, Value]]:
    """Yields (parenthesis, None) or (b"", value) for each token. Raises ValueError."""
    for piece in pieces:
        text, literal = piece if isinstance(piece, tuple) else (piece, None)
        end = len(text)
        if literal is not None:
            announced = _LITERAL.search(text)
            end = announced.start() if announced else end
        at = 0
        while at < end:
            if text[at : at + 1] == b" ":
                at += 1
                continue
            match = _TOKEN.match(text, at, end)
            if match is None:
                raise ValueError("a string without an end")
            at = match.end()
            if match["mark"]:
                yield match["mark"], None
            elif match["text"] is not None:
                yield b"", re.sub(rb"\\(.)", rb"\1", match["text"])
            else:
                atom = match["atom"].decode("ascii", "replace")
                yield b"", None if atom.upper() == "NIL" else atom
        if literal is not None:
            yield b"", literal
