"""Encoded words in headers (RFC 2047), and text in charsets that mail declares wrongly.

Decoding always succeeds, and what it returns for a header is one line that is safe to print.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re

WORD = 75  # characters of the longest encoded word, delimiters included (RFC 2047 §2)
_ENCODED = re.compile(r"=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BETWEEN = re.compile(r"[ \t\r\n]+")

# Charset names seen in real mail that Python does not know, or that mean more in mail than in
# Python: what mail calls iso-8859-1 is usually Windows-1252.
_ALIASES = {
    "uft-8": "utf-8",
    "utf8mb4": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "ansi": "cp1252",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "ascii",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "gb2312": "gb18030",
    "ks_c_5601-1987": "cp949",
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "x-mac-roman": "mac-roman",
}


def decode_bytes(raw: bytes, charset: str = "") -> str:
    """Decodes bytes by the declared charset, else as UTF-8, else as Windows-1252.

    In the last case, undecodable bytes become U+FFFD. Never raises.
    """
    declared = charset.strip().strip("\"'").lower()
    for name in (_ALIASES.get(declared, declared), "utf-8", "cp1252"):
        try:
            # Codecs such as rot13 or base64 are not charsets, and a mail must not select them.
            if not name or not codecs.lookup(name)._is_text_encoding:
                continue
            text = raw.decode(name)
            # UTF-7 lets half a surrogate pair through. Such text cannot be encoded again.
            if not _SURROGATE.search(text):
                return text
        except (LookupError, ValueError):
            continue
    return raw.decode("cp1252", "replace")


def decode(text: str) -> str:
    """Decodes the encoded words of a header's value.

    Returns one line without control characters.
    """
    pieces: list[str] = []
    run: list[tuple[str, bytes]] = []  # adjacent words: (charset, content) of each
    last = 0
    for match in _ENCODED.finditer(text):
        between = text[last : match.start()]
        # RFC 2047 §6.2: white space between two encoded words is not part of the text.
        if not run or not _BETWEEN.fullmatch(between or " "):
            pieces += [_joined(run), between]
            run = []
        run.append((match[1].lower(), _content(match[2].lower(), match[3])))
        last = match.end()
    return one_line("".join([*pieces, _joined(run), text[last:]]))


def _joined(run: list[tuple[str, bytes]]) -> str:
    """Decodes adjacent words.

    Words of the same charset are joined as bytes, because many programs split a character between
    two of them.
    """
    text, raw, charset = "", b"", ""
    for name, content in run:
        if name != charset:
            text += decode_bytes(raw, charset)
            raw, charset = b"", name
        raw += content
    return text + decode_bytes(raw, charset)


def _content(kind: str, content: str) -> bytes:
    raw = content.encode("ascii", "replace")
    if kind == "q":
        return quopri.decodestring(raw, header=True)
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        return raw


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
    return "".join(c if _is_safe(c) else " " for c in text).strip()


def _is_safe(character: str) -> bool:
    code = ord(character)
    if code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000:
        return False
    if code in (0x2028, 0x2029):  # line and paragraph separator
        return False
    # Bidirectional controls make people see text in another order than programs.
    return not (0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069)
