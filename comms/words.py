"""Text that is not ASCII in a header (RFC 2047), and text in charsets that lie: always a str, one safe line, no raise."""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re

WORD = 75  # the longest encoded word, delimiters included (RFC 2047 §2)
_ENCODED = re.compile(r"=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BETWEEN = re.compile(r"[ \t\r\n]+")

# Names seen in real mail that Python does not know, or that mean something else there than they do in mail.
_ALIASES = {
    "uft-8": "utf-8", "utf8mb4": "utf-8", "unicode-1-1-utf-8": "utf-8", "unicode-1-1-utf-7": "utf-7",
    "ansi": "cp1252", "iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "ascii", "windows-874": "cp874",
    "iso-8859-8-i": "iso-8859-8", "iso-8859-8-e": "iso-8859-8", "iso-8859-6-i": "iso-8859-6", "gb2312": "gb18030",
    "ks_c_5601-1987": "cp949", "x-sjis": "cp932", "shift_jis": "cp932", "x-mac-roman": "mac-roman",
}  # fmt: skip


def decode_bytes(octets: bytes, charset: str = "") -> str:
    """The text in these octets: by the charset said, else UTF-8, else Windows-1252 with marks for what fits nothing."""
    name = charset.strip().strip("\"'").lower()
    for guess in (_ALIASES.get(name, name), "utf-8", "cp1252"):
        try:
            if not guess or not codecs.lookup(guess)._is_text_encoding:
                continue
            text = octets.decode(guess)
            if not _SURROGATE.search(
                text
            ):  # half a character: UTF-7 lets it through, and nothing can be done with it
                return text
        except (LookupError, ValueError):
            continue
    return octets.decode("cp1252", "replace")


def decode(text: str) -> str:
    """A header's value with its encoded words decoded, as one line without control characters."""
    pieces: list[str] = []
    run: list[
        tuple[str, bytes]
    ] = []  # adjacent words: a character may be split over two of the same charset
    last = 0
    for match in _ENCODED.finditer(text):
        between = text[last : match.start()]
        if not run or not _BETWEEN.fullmatch(between or " "):
            pieces += [_joined(run), between]
            run = []
        run.append((match[1].lower(), _word(match[2].lower(), match[3])))
        last = match.end()
    return one_line("".join([*pieces, _joined(run), text[last:]]))


def _joined(run: list[tuple[str, bytes]]) -> str:
    text, octets, charset = "", b"", ""
    for name, content in run:
        if name != charset:
            text += decode_bytes(octets, charset)
            octets, charset = b"", name
        octets += content
    return text + decode_bytes(octets, charset)


def _word(kind: str, content: str) -> bytes:
    octets = content.encode("ascii", "replace")
    if kind == "q":
        return quopri.decodestring(octets, header=True)
    try:
        return base64.b64decode(octets + b"=" * (-len(octets) % 4))
    except binascii.Error:
        return octets


def looks_encoded(text: str) -> bool:
    """Whether a reader would take part of this for an encoded word."""
    return "=?" in text


def encode(text: str, used: int = 0) -> list[str]:
    """The text as encoded words (UTF-8, base64), none longer than RFC 2047 allows, no character split.

    `used` is what the first line holds already: a line with an encoded word has at most 76 characters.
    """
    found, chunk = [], b""
    room = (WORD - used - len("=?utf-8?b??=")) // 4 * 3
    for character in text:
        octets = character.encode("utf-8", "replace")
        if len(chunk) + len(octets) > room:
            found.append(chunk)
            chunk, room = b"", (WORD - len("=?utf-8?b??=")) // 4 * 3
        chunk += octets
    return [f"=?utf-8?b?{base64.b64encode(one).decode()}?=" for one in (*found, chunk)]


def one_line(text: str) -> str:
    """The text without line breaks, control characters and lone surrogates: safe in a header, a log, a terminal."""
    return "".join(c if _is_safe(c) else " " for c in text).strip()


def _is_safe(character: str) -> bool:
    # line and paragraph separators break lines, bidirectional controls reorder what people see
    code = ord(character)
    if code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000:
        return False
    return code not in (0x2028, 0x2029) and not (
        0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    )
