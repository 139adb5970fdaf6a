"""Mailbox names: as the client writes them (modified UTF-7, RFC 3501 §5.1.3), and LIST patterns."""

from __future__ import annotations

import binascii
import re

_ENCODED = re.compile(r"&([A-Za-z0-9+,]*)-")
_TO_ENCODE = re.compile(r"&|[^ -~]+")


def decode_name(raw: bytes, *, utf8: bool = False) -> str:
    """Returns the name in Unicode; INBOX in any case is `INBOX`.

    Raises ValueError for what is not modified UTF-7, or with `utf8` (RFC 6855 §3) not UTF-8.
    """
    name = raw.decode() if utf8 else _from_utf7(raw.decode("ascii"))
    return "INBOX" if name.casefold() == "inbox" else name


def encode_name(name: str, *, utf8: bool = False) -> bytes:
    """Returns the name as it is written to a client, not quoted yet."""
    return name.encode() if utf8 else _TO_ENCODE.sub(_to_base64, name).encode()


def _from_utf7(text: str) -> str:
    found = _ENCODED.sub(_from_base64, text)
    # Every name has one form only: ASCII is not encoded, and two encoded pieces are not adjacent
    # (RFC 3501 §5.1.3). A name in another form would be another mailbox for the client.
    if _TO_ENCODE.sub(_to_base64, found) != text:
        raise ValueError(f"not modified UTF-7: {text!r}")
    return found


def _from_base64(match: re.Match[str]) -> str:
    if not match[1]:
        return "&"
    encoded = match[1].replace(",", "/")
    # A decoding error is a ValueError, too.
    return binascii.a2b_base64(encoded + "=" * (-len(encoded) % 4)).decode("utf-16-be")


def _to_base64(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    encoded = binascii.b2a_base64(match[0].encode("utf-16-be"), newline=False).decode()
    return "&" + encoded.rstrip("=").replace("/", ",") + "-"


_WILDCARDS = re.compile(r"[*%]{2,}")


def matches(pattern: str, name: str) -> bool:
    """Whether a LIST pattern matches a name: `*` is anything, `%` anything without a `/`.

    INBOX matches in any case (RFC 3501 §6.3.8), also where others are below it. No pattern takes
    more time than its length times the length of the name, and a pattern that is much longer than
    the name is not tried.
    """
    pattern = _WILDCARDS.sub(lambda match: "*" if "*" in match[0] else "%", pattern)
    if len(pattern) > 2 * len(name) + 1:  # there are more other characters than in the name
        return False
    places: dict[str, int] = {}  # character → a bit for each of its places in the pattern
    for at, character in enumerate(pattern):
        places[character] = places.get(character, 0) | 1 << at
    anything, within = places.pop("*", 0), places.pop("%", 0)
    wildcards = anything | within
    # Bit n says that the first n characters of the pattern match what has been read of the name.
    states = 1 | (1 & wildcards) << 1
    in_any_case = len("INBOX") if f"{name}/".startswith("INBOX/") else 0
    for at, character in enumerate(name):
        stay = states & (anything if character == "/" else wildcards)
        fitting = places.get(character, 0)
        if at < in_any_case:
            fitting |= places.get(character.lower(), 0)
        states = stay | (states & fitting) << 1
        states |= (states & wildcards) << 1
    return bool(states >> len(pattern) & 1)
