"""Encoded words in headers (RFC 2047), and text that is safe to print.

Decoding always succeeds, and what it returns for a header is one line that is safe to print.
"""

from __future__ import annotations

import base64
import quopri
import re
from collections.abc import Iterator

from comms import charsets, encodings

WORD = 75  # characters of the longest encoded word, delimiters included (RFC 2047 §2)
# The longest charset label is shorter, and a language tag follows it (RFC 2231 §5).
_BEGIN = re.compile(r"=\?([^?\s*=]{1,60})(?:\*[^?\s]{0,60})?\?([bBqQ])\?")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Control characters, surrogates, separators of lines and paragraphs, and the bidirectional controls
# that make people see text in another order than programs.
_UNSAFE = re.compile(r"[\0-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")


def raw_text(text: str, charset: str = "") -> str:
    """Returns text whose bytes that are not UTF-8 were kept as surrogates ("surrogateescape").

    They are decoded as the charset says, which is that of the body, or else the likely one.
    """
    if not _SURROGATE.search(text) and "\x1b" not in text:
        return text
    return charsets.decode(text.encode("utf-8", "surrogateescape"), charset)


def decode(text: str, charset: str = "") -> str:
    """Decodes the encoded words of a header's value, and raw bytes kept as surrogates.

    Returns one line without control characters.
    """
    pieces: list[str] = []
    run: list[tuple[str, str, str]] = []  # adjacent words: (charset, b or q, content) of each
    last = 0
    for start, end, word in _encoded_words(text):
        between = text[last:start]
        # RFC 2047 §6.2: white space between two encoded words is not part of the text.
        if not run or between.strip(" \t\r\n"):
            pieces += [_joined(run), raw_text(between, charset)]
            run = []
        run.append(word)
        last = end
    return one_line("".join([*pieces, _joined(run), raw_text(text[last:], charset)]))


def _encoded_words(text: str) -> Iterator[tuple[int, int, tuple[str, str, str]]]:
    """Yields (start, end, (charset, b or q, content)) of each encoded word.

    Spaces within the content are accepted: many programs forget to encode them.
    """
    at = 0
    while (start := text.find("=?", at)) >= 0:
        match = _BEGIN.match(text, start)
        if match is None:
            at = start + 1
            continue
        end = text.find("?=", match.end())
        if end < 0:
            return
        content = text[match.end() : end]
        if "=?" in content:  # this one is not closed, and the next one begins
            at = match.end()
            continue
        yield start, end + 2, (match[1].lower(), match[2].lower(), content)
        at = end + 2


def _joined(run: list[tuple[str, str, str]]) -> str:
    """Decodes adjacent words.

    Words of the same charset are joined as bytes, because many programs split a character between
    two of them, and some even a group of four base64 characters.
    """
    pieces: list[str] = []
    raw: list[bytes] = []
    charset, rest = "", ""  # `rest` are base64 characters whose group may go on in the next word
    for name, kind, content in [*run, ("", "", "")]:
        content = "".join(content.split()) if kind == "b" else content
        goes_on = kind == "b" and name == charset and len(content) % 4 != 0
        if rest and not goes_on:
            raw.append(_base64(rest))
            rest = ""
        if name != charset:
            if raw:
                pieces.append(charsets.decode(b"".join(raw), charset))
            raw, charset = [], name
        if kind == "b":
            content = rest + content
            whole = len(content) if content.endswith("=") else len(content) // 4 * 4
            raw.append(_base64(content[:whole]))
            rest = content[whole:]
        elif kind == "q":
            # Raw bytes within the word are in its charset, too.
            raw.append(quopri.decodestring(content.encode("utf-8", "surrogateescape"), header=True))
    return "".join(pieces)


def _base64(content: str) -> bytes:
    return encodings.base64_bytes(content.encode("ascii", "replace"))


def looks_encoded(text: str) -> bool:
    """Returns whether a reader could take a part of this for an encoded word."""
    return "=?" in text


def encode(text: str, used: int = 0) -> list[str]:
    """Returns the text as encoded words (UTF-8, base64), none of them too long (RFC 2047 §2).

    `used` is how many characters the first line already has. No character is split between two
    words.
    """
    found, chunk = [], b""
    # Base64 turns three bytes into four characters.
    room = (WORD - used - len("=?utf-8?b??=")) // 4 * 3
    for character in text:
        raw = character.encode("utf-8", "replace")
        if len(chunk) + len(raw) > room:
            found.append(chunk)
            chunk, room = b"", (WORD - len("=?utf-8?b??=")) // 4 * 3
        chunk += raw
    return [f"=?utf-8?b?{base64.b64encode(raw).decode()}?=" for raw in (*found, chunk)]


def one_line(text: str) -> str:
    """Replaces line breaks, control characters and lone surrogates by spaces.

    The result is safe in a header, in a log and on a terminal.
    """
    return _UNSAFE.sub(" ", text).strip()
