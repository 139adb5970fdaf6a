"""Text made comparable before it is compared: the profiles of stringprep (RFC 3454) that logins and Jabber need.

Code points that Unicode 3.2 did not know yet are let through as they are, as RFC 3454 §7 allows for queries.
"""

from __future__ import annotations

import stringprep
import unicodedata
from collections.abc import Callable

_Table = Callable[[str], bool]

# Control characters, private use, non-characters, surrogates, tags …: forbidden in every profile.
_NEVER: tuple[_Table, ...] = (
    stringprep.in_table_c12, stringprep.in_table_c21, stringprep.in_table_c22, stringprep.in_table_c3,
    stringprep.in_table_c4, stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7,
    stringprep.in_table_c8, stringprep.in_table_c9,
)  # fmt: skip


def saslprep(text: str) -> str:
    """A user name or password as it is hashed (RFC 4013 §2). Raises ValueError."""
    spaced = "".join(" " if stringprep.in_table_c12(c) else c for c in text)
    return _finished(_without_nothings(spaced))


def nodeprep(text: str) -> str:
    """The local part of a Jabber address: case folded, no blanks (RFC 6122 Appendix A). Raises ValueError."""
    folded = "".join(stringprep.map_table_b2(c) for c in _without_nothings(text))
    prepared = _finished(folded)
    for character in prepared:
        if character in " \"&'/:<>@":
            raise ValueError(f"{text!r} holds {character!r}, which may not stand there")
    return prepared


def resourceprep(text: str) -> str:
    """The resource of a Jabber address: case kept (RFC 6122 Appendix B). Raises ValueError."""
    return _finished(_without_nothings(text))


def _without_nothings(text: str) -> str:
    """Soft hyphens, joiners and the like mean nothing (RFC 3454 table B.1)."""
    return "".join(c for c in text if not stringprep.in_table_b1(c))


def _finished(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    text = unicodedata.ucd_3_2_0.normalize("NFKC", text)
    for character in text:
        if any(forbidden(character) for forbidden in _NEVER):
            raise ValueError(f"{text!r} holds {character!r}, which may not stand there")
    if any(map(stringprep.in_table_d1, text)):  # RFC 3454 §6: text that runs both ways
        if any(map(stringprep.in_table_d2, text)):
            raise ValueError(f"{text!r} mixes writing from the right and from the left")
        if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
            raise ValueError(f"{text!r} runs from the right, and does not begin and end so")
    return text
