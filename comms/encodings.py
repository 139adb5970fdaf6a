"""Transfer encodings of a mail's contents, read as leniently as the best readers do (RFC 2045 §6).

Decoding never raises. What cannot be decoded is left out, or returned as it is.
"""

from __future__ import annotations

import binascii
import functools
import re
from dataclasses import dataclass

from comms.comments import without_comments

_ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_NOT_ALPHABET = bytes(code for code in range(256) if code not in _ALPHABET)
# What no line of base64 contains: another character, or space between two characters.
_FOOTER = re.compile(rb"[^A-Za-z0-9+/=\s]|\S[^\S\n]+\S")
_GAP = re.compile(rb"\S[ \t]{0,9}\r?\n[ \t]{0,9}\r?\n")  # an empty line after others
_UU = bytes(range(0x20, 0x61))
_SOFT_RETURN = re.compile(rb"=\r(?!\n)")
_BEGIN = re.compile(rb"begin(?:-base64)? [0-7]{3,4} ([^\r\n]{1,500})")

IDENTITY, BASE64, QUOTED_PRINTABLE, UUENCODE = "", "base64", "quoted-printable", "uuencode"


@functools.lru_cache(maxsize=256)
def named(field: str) -> str:
    """Returns which encoding a Content-Transfer-Encoding means, whatever is around its name."""
    bare = without_comments(field.casefold()).strip(" \t\"';:,")
    word = re.split(r"[\s;,\"'(]", bare, maxsplit=1)[0]
    key = re.sub(r"[^a-z0-9]", "", word)
    if key in ("base64", "b64", "xbase64"):
        return BASE64
    if key in ("quotedprintable", "quoteprintable", "qp"):
        return QUOTED_PRINTABLE
    if key in ("xuuencode", "uuencode", "xuue", "uue", "xuu"):
        return UUENCODE
    return IDENTITY


def decode(content: bytes, encoding: str) -> bytes:
    """Returns the decoded content of a part. `encoding` is what `named` has returned."""
    if encoding == BASE64:
        return base64_bytes(content) if _looks_like_base64(content) else content
    if encoding == QUOTED_PRINTABLE:
        return _quoted_printable(content)
    if encoding == UUENCODE:
        _, files = uuencoded_files(content)
        return files[0].content if files else content
    return content


def _looks_like_base64(content: bytes) -> bool:
    """Returns whether nearly everything before the padding is in the alphabet, without words."""
    sample = content[:4000].partition(b"=")[0].strip()
    outside = len(sample.translate(None, bytes(_ALPHABET) + b"\r\n\t "))
    words = sample.count(b" ") - sample.count(b"\n ") - sample.count(b" \r\n")
    return (outside + max(words, 0)) * 10 <= len(sample)


def base64_bytes(content: bytes) -> bytes:
    """Decodes base64: characters outside the alphabet do not count, and padding ends a piece only.

    Some programs encode in pieces, and join the results with their padding. After padding, or an
    empty line if there is none, a line with other characters is not base64 any more, but a footer
    that a server has added.
    """
    first = content.find(b"=")
    if first < 0 and (gap := _GAP.search(content)):
        first = gap.end()
    if first >= 0:
        content = content[:first] + _without_footer(content[first:])
    data = content.translate(None, _NOT_ALPHABET)
    found = []
    for piece in data.split(b"="):
        # A single character that remains cannot be a byte.
        whole = piece[: len(piece) - 1] if len(piece) % 4 == 1 else piece
        if whole:
            found.append(binascii.a2b_base64(whole + b"=" * (-len(whole) % 4)))
    return b"".join(found)


def _without_footer(rest: bytes) -> bytes:
    footer = _FOOTER.search(rest)
    return rest[: rest.rfind(b"\n", 0, footer.start()) + 1] if footer else rest


def _quoted_printable(content: bytes) -> bytes:
    # Spaces at the end of a line were added on the way (RFC 2045 §6.7), also after a soft break.
    # Python would look for the next line feed if a soft line break is a carriage return only.
    lines = _SOFT_RETURN.sub(b"=\n", content).split(b"\n")
    for number, line in enumerate(lines):
        bare = line.rstrip(b" \t\r")
        if len(bare) < len(line.rstrip(b"\r")):
            lines[number] = bare + (b"\r" if line.endswith(b"\r") else b"")
    return binascii.a2b_qp(b"\n".join(lines))


# ── uuencode ─────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class UuencodedFile:
    """A file within a text, from its line `begin` to its line `end`."""

    name: bytes
    content: bytes


def uuencoded_files(text: bytes) -> tuple[bytes, list[UuencodedFile]]:
    """Returns a text without the uuencoded files in it, and these files.

    Only what is complete and valid is a file. Everything else stays in the text.
    """
    if b"begin" not in text or b"end" not in text:
        return text, []
    lines = text.split(b"\n")
    kept: list[bytes] = []
    files: list[UuencodedFile] = []
    at = 0
    while at < len(lines):
        match = _BEGIN.fullmatch(lines[at].rstrip())
        after, content = _uuencoded(lines, at + 1) if match else (at + 1, None)
        if match and content is not None:
            files.append(UuencodedFile(match[1].strip(), content))
        else:
            kept += lines[at:after]
        at = after
    return b"\n".join(kept), files


def _uuencoded(lines: list[bytes], at: int) -> tuple[int, bytes | None]:
    """Returns the position after the lines that belong to a file, and its content, or None."""
    found: list[bytes] = []
    while at < len(lines):
        line = lines[at].rstrip(b"\r")
        at += 1
        if line.rstrip() == b"end":
            return at, b"".join(found)
        data = _uuencoded_line(line)
        if data is None:
            return at - 1, None
        found.append(data)
    return at, None


def _uuencoded_line(line: bytes) -> bytes | None:
    bare = line.rstrip()
    if not bare or bare == b"`":
        return b""
    length = (line[0] - 32) & 63
    needed = (length + 2) // 3 * 4
    # Programs that remove spaces at line ends remove zero bytes, and some add a checksum.
    if not 0x20 <= line[0] <= 0x60 or len(line) > needed + 3 or not _is_uu(line):
        return None
    # Some programs fill the last group with anything.
    padded = line[1 : (length * 4 + 2) // 3 + 1].ljust(needed, b" ")
    try:
        return binascii.a2b_uu(line[:1] + padded)
    except binascii.Error:
        return None


def _is_uu(line: bytes) -> bool:
    return not line.translate(None, _UU)
