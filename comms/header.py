"""Header fields of a mail: written folded and encoded, read unfolded (RFC 5322 §2.2, §3.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from comms import words
from comms.addresses import Address

# Characters per header line. RFC 5322 §2.1.1 recommends 78 at most, and RFC 2047 §2 allows only 76
# on lines with an encoded word.
LINE = 76
LONGEST_LINE = 998  # bytes that no line of a mail may exceed (RFC 5322 §2.1.1)
NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 §3.6.8
MESSAGE_ID = re.compile(r"<[^<>@\s]+@[^<>@\s]+>")

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


def fields(raw: bytes) -> Iterator[tuple[str, str]]:
    """Yields (name, unfolded value) of each header field, in order, still encoded (RFC 2047).

    The header ends at the first line that is not a field.
    """
    name, pieces = "", []
    at = 0
    while at < len(raw):
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        line = raw[at:end].rstrip(b"\r")
        at = end + 1
        if line[:1] in (b" ", b"\t") and name:
            pieces.append(line)
            continue
        if name:
            yield name, _value(name, b"".join(pieces).strip())
        field_name, colon, rest = line.partition(b":")
        name = field_name.rstrip().decode("ascii", "replace") if colon else ""
        if not NAME.fullmatch(name):
            return
        pieces = [rest]
    if name:
        yield name, _value(name, b"".join(pieces).strip())


def _value(name: str, raw: bytes) -> str:
    """Returns a field's bytes as text.

    In addresses no charset is guessed: bytes that are not UTF-8 become U+FFFD, which no address
    may contain, so a guess can never turn them into the address of a user with rights.
    """
    return (
        raw.decode("utf-8", "replace") if name.casefold() in _ADDRESSES else words.decode_bytes(raw)
    )
