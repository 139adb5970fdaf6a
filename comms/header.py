"""Header fields of a mail: written folded and encoded, read unfolded (RFC 5322 §2.2, §3.6)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence

from comms import words
from comms.addresses import Address

# Characters per header line. RFC 5322 §2.1.1 recommends 78 at most, and RFC 2047 §2 allows only 76
# on lines with an encoded word.
LINE = 76
LONGEST_LINE = 998  # bytes that no line of a mail may exceed (RFC 5322 §2.1.1)
NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 §3.6.8
# Printable and bounded, because programs store ids and repeat them in headers.
_ID_PART = r"[^<>@\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,450}"
MESSAGE_ID = re.compile(rf"<{_ID_PART}@{_ID_PART}>")

_ADDRESSES = frozenset({"from", "sender", "reply-to", "to", "cc", "bcc"})


# ── writing ──────────────────────────────────────────────────────────────────


def check_line(attribute: str, value: str) -> None:
    """Raises ValueError, naming the attribute, if `value` could add a header to the mail."""
    if any(c in value for c in "\r\n\0"):
        raise ValueError(
            f"{attribute}: {value!r} contains a line break or NUL, which could add a header to the "
            "mail; remove it"
        )


def address_field(name: str, addresses: Sequence[Address]) -> str:
    """Returns a header field that lists addresses, folded, without the final CRLF."""
    pieces: list[str] = []
    for address in addresses:
        if pieces:
            pieces[-1] += ","
        pieces += address.header_pieces()
    return _folded(name, pieces)


def text_field(name: str, value: str) -> str:
    """Returns a header field with free text, folded, without the final CRLF.

    The text is encoded (RFC 2047) if it is not plain ASCII that can be folded between words.
    """
    plain = (
        value.isascii()
        and value.isprintable()
        and value == value.strip()
        and not words.looks_encoded(value)
    )
    longest = max(map(len, value.split(" ")), default=0)
    if plain and longest < LONGEST_LINE - len(name) - 2:
        return _folded(name, value.split(" "))
    # A name of more than 40 characters gets a first line that is too long, instead of no room for
    # a single encoded word.
    return _folded(name, words.encode(value, used=min(len(name) + 1, 40)))


def _folded(name: str, pieces: list[str]) -> str:
    """Joins the pieces with spaces, breaking lines between them (RFC 5322 §2.2.3).

    Never produces a line that consists of spaces only, because §3.2.2 forbids it.
    """
    lines, line = [], f"{name}:"
    for piece in pieces:
        too_long = len(line) + 1 + len(piece) > LINE
        # A break is only possible where both lines keep visible characters: not after the name,
        # not before an empty piece (two spaces in a row), not after one.
        possible = line.strip() and piece and line != f"{name}:" and line[-1] != " "
        if too_long and possible:
            lines.append(line)
            line = ""
        line += f" {piece}"
    return "\r\n".join([*lines, line])


# ── reading ──────────────────────────────────────────────────────────────────

# Names that show that a line belongs to a header, where the line before it does not.
_KNOWN = re.compile(
    r"(?:from|sender|reply-to|to|cc|subject|date|message-id|mime-version|content-[a-z-]+|received"
    r"|return-path|references|in-reply-to|x-[a-z-]+)",
    re.I,
)
# Bytes of a header that are read. Exchange accepts as many; Postfix and Sendmail accept less.
LONGEST = 256 * 1024
TOO_LONG = f"the header is longer than {LONGEST} bytes, and was read up to there"
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_JUNK_LINES = 5  # as many lines in a row may be no fields, if a known field follows them


def split(
    raw: bytes,
    at: int = 0,
    is_delimiter: Callable[[bytes], bool] = lambda line: False,
    longest: int = LONGEST,
) -> tuple[list[tuple[str, bytes]], int]:
    """Returns (name, unfolded bytes) of each field from `at` on, and where the body begins.

    The header ends at an empty line, or at the first line that is not a field. The separators of
    mailbox files (`From ann@…`) are ignored, and so are a few lines that are not fields if a field
    with a well-known name follows. `is_delimiter` recognises the lines that end a part (RFC 2046).

    Of a header of more than `longest` bytes, only the beginning is returned, and the body begins
    after the next empty line.
    """
    limit = at + longest
    fields: list[tuple[str, bytes]] = []
    name, pieces, junk = "", [b""], False
    ends = False  # whether an empty line is known to follow
    stop = len(raw)
    while at < stop:
        line, after = _line(raw, at)
        if line.startswith(b"--") and is_delimiter(line):
            break
        goes_on = line[:1] in (b" ", b"\t")
        if at + len(line) > limit and (goes_on or _field(line)[0]):
            cut = _cut(line, limit - at)
            line = cut if goes_on or _field(cut)[0] else b""
            after, stop = _after_empty_line(raw, at), 0
        if goes_on and line and (name or junk):
            pieces.append(line)
            at = after
            continue
        found, value = _field(line)
        separator = line.startswith((b"From ", b">From "))
        junk = separator or bool(
            not found and line and (name or fields) and _known_field_follows(raw, after)
        )
        if junk and not separator and not ends:
            # Without an empty line that ends the header, it is likely that the text begins here.
            ends = raw.find(b"\n\n", at) >= 0 or raw.find(b"\n\r\n", at) >= 0
            junk = ends
        if not found and not junk:
            at = at if line else after
            break
        if name:
            fields.append((name, b"".join(pieces).strip()))
        name, pieces = found, [value]
        at = after
    if name:
        fields.append((name, b"".join(pieces).strip()))
    return fields, at


def _cut(line: bytes, length: int) -> bytes:
    """Returns the beginning of a line: whole items of a list, as half an address is another one."""
    cut = line[: max(length, 0)]
    return cut.rpartition(b",")[0] or cut


def _after_empty_line(raw: bytes, at: int) -> int:
    match = _EMPTY_LINE.search(raw, at)
    return match.end() if match else len(raw)


def _line(raw: bytes, at: int) -> tuple[bytes, int]:
    """Returns the line at `at` without its end, and where the next one begins."""
    end = raw.find(b"\n", at)
    end = len(raw) if end < 0 else end
    return raw[at:end].rstrip(b"\r"), min(end + 1, len(raw))


def _field(line: bytes) -> tuple[str, bytes]:
    """Returns the name and the value that begin on this line; no name if it is not a field.

    Spaces before the colon are allowed, as RFC 5322 §4.5 demands of readers.
    """
    field_name, colon, value = line.removeprefix(codecs.BOM_UTF8).partition(b":")
    name = field_name.rstrip(b" \t").decode("ascii", "replace") if colon else ""
    return (name, value) if NAME.fullmatch(name) else ("", b"")


def _known_field_follows(raw: bytes, at: int) -> bool:
    """Returns whether a header goes on after a line that is not a field."""
    for _ in range(_JUNK_LINES):
        line, after = _line(raw, at)
        if not line or at >= len(raw):
            return False
        name, _ = _field(line)
        if name:
            return _KNOWN.fullmatch(name) is not None
        at = after
    return False


def fields(raw: bytes, charset: str = "") -> Iterator[tuple[str, str]]:
    """Yields (name, unfolded value) of each header field, in order, still encoded (RFC 2047)."""
    for name, value in split(raw)[0]:
        yield name, text_of(name, value, charset)


def text_of(name: str, raw: bytes, charset: str = "") -> str:
    """Returns a field's bytes as text: UTF-8, or else in the charset of the body.

    In addresses no charset is guessed: bytes that are not UTF-8 become U+FFFD, which no address
    may contain, so a guess can never turn them into the address of a user with rights.
    """
    if name.casefold() in _ADDRESSES:
        return raw.decode("utf-8", "replace")
    return words.raw_text(raw.decode("utf-8", "surrogateescape"), charset)
