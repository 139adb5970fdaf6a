"""Text messages (SMS) by mail: what fits into one, and the address of a phone at its carrier.

    text = sms.plain("“/var” is 98 % full…")        # '"/var" is 98 % full...'
    for part in sms.split(text):                     # or [sms.cut(text)]
        mail = Message(sender, [sms.address("555-010-0123", "verizon", clock.time())], text=part)

A text message has 160 characters of an alphabet of its own, called GSM 7-bit (3GPP TS 23.038,
section 6.2.1). A message with any other character would have room for 70.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from comms.suggest import did_you_mean

LONGEST = 160  # places of one message
MOST = 9  # parts of a long text; the number of each is one digit
MARKS = 30  # on one letter (UAX #15, section 13: stream-safe text)
SHOWN = 40  # characters of a wrong value that an error quotes
MARK = "..."  # ends a text that was cut; the alphabet has no ellipsis
ALPHABET = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")  # two places each: an escape goes before them
_ALIKE = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("•·", "*"),
        "…": "...",
        "⁄": "/",
        "×": "x",
        "\t": " ",
    }
)


# ── the alphabet ─────────────────────────────────────────────────────────────


def plain(text: str) -> str:
    """Returns a text in the alphabet: other characters become similar ones, or else `?`."""
    text = re.sub(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]", "\n", text).translate(_ALIKE)
    # Marks beyond those that any language writes on a letter: to sort many takes quadratic time.
    marks, kept = 0, []
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MARKS:
            kept.append(character)
    similar = []
    for character in unicodedata.normalize("NFC", "".join(kept)):
        if character in ALPHABET or character in EXTENSION:
            similar.append(character)
            continue
        # Without its accents, or as what it is a form of: `ê` is e, `①` is 1.
        form = unicodedata.normalize("NFKD", character).translate(_ALIKE)
        bare = "".join(part for part in form if not unicodedata.combining(part))
        if bare and all(part in ALPHABET or part in EXTENSION for part in bare):
            similar.append(bare)
        # What is not seen, such as the joiners within an emoji, needs no place.
        elif unicodedata.category(character) not in ("Cf", "Mn", "Me"):
            similar.append("?")
    return "".join(similar)


def size(text: str) -> int:
    """Returns how many places a text takes. Raises ValueError if it is not in the alphabet."""
    places = 0
    for character in text:
        if character not in ALPHABET and character not in EXTENSION:
            raise ValueError(f"{character!r} is not in the GSM alphabet; use sms.plain(text)")
        places += 2 if character in EXTENSION else 1
    return places


# ── the length ───────────────────────────────────────────────────────────────


def cut(text: str, room: int = LONGEST) -> str:
    """Returns the text, or as much of it as fits with a mark after it. Raises ValueError."""
    return text if size(text) <= room else _beginning(text, room - len(MARK)).rstrip() + MARK


def split(text: str, most: int = MOST) -> list[str]:
    """Returns the text as messages that begin with `1/3 ` if there are several, `most` at most.

    The last one is cut if the text is still longer. Raises ValueError.
    """
    if size(text) <= LONGEST or most < 2:
        return [cut(text)]
    room = LONGEST - len("1/9 ")
    parts: list[str] = []
    while text and len(parts) < min(most, MOST):
        last = len(parts) == min(most, MOST) - 1
        part = cut(text, room) if last else _beginning(text, room)
        parts.append(part.rstrip())
        text = text[len(part) :].lstrip()
    return [f"{number}/{len(parts)} {part}" for number, part in enumerate(parts, 1)]


def _beginning(text: str, room: int) -> str:
    """Returns what fits, up to the last space if that is not too far from the end."""
    if size(text[: room + 1]) <= room:  # each character takes a place at least
        return text
    end, places = 0, size(text[0])
    while places <= room:
        end += 1
        places += size(text[end])
    space = max(text.rfind(" ", 0, end + 1), text.rfind("\n", 0, end + 1))
    return text[:space] if space > end // 2 else text[:end]


# ── the address ──────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Gateway:
    """A carrier's mail gateway in North America: its domain, and the day on which it closes."""

    domain: str
    closes: date | None = None


# As the carriers have announced it. Carriers close their gateways, so ask yours.
CARRIERS: Mapping[str, Gateway] = {
    "att": Gateway("txt.att.net", date(2025, 6, 17)),
    "rogers": Gateway("pcs.rogers.com", date(2023, 7, 1)),
    "tmobile": Gateway("tmomail.net", date(2024, 12, 1)),
    "uscellular": Gateway("email.uscc.net"),
    "verizon": Gateway("vtext.com", date(2027, 3, 31)),
}


def address(phone: str, carrier: str, now: float, own: Mapping[str, str] | None = None) -> str:
    """Returns the mail address of a phone. `own` are further carriers: name → domain.

    `now` is in seconds since the epoch. Raises ValueError for an unknown carrier, one whose gateway
    has closed, or a number that is none.
    """
    digits = re.sub(r"[ ().+-]", "", phone)
    if not re.fullmatch(r"[0-9]{4,15}", digits):  # at most 15: ITU-T E.164
        raise ValueError(f"{phone[:SHOWN]!r} is not a phone number; write one like 555-010-0123")
    if own and carrier in own:
        return f"{digits}@{own[carrier]}"
    if carrier not in CARRIERS:
        known = (*CARRIERS, *(own or ()))
        hint = did_you_mean(carrier, known)
        raise ValueError(
            f"unknown carrier {carrier[:SHOWN]!r}{hint}; choose from {', '.join(known)}"
        )
    gateway = CARRIERS[carrier]
    if closed(carrier, now):
        raise ValueError(
            f"the mail gateway of {carrier} ({gateway.domain}) closed on {gateway.closes}; "
            "use another carrier, or a paid service with a gateway of its own"
        )
    national = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    if len(national) != 10:
        raise ValueError(
            f"{phone[:SHOWN]!r}: numbers of {carrier} have ten digits, as in 555-010-0123"
        )
    return f"{national}@{gateway.domain}"


def closed(carrier: str, now: float) -> bool:
    """Returns whether the gateway of a known carrier has closed by then."""
    day = CARRIERS[carrier].closes if carrier in CARRIERS else None
    return day is not None and datetime.fromtimestamp(now, UTC).date() >= day
