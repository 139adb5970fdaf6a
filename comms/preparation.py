"""Preparing text before it is compared: the stringprep profiles (RFC 3454) of logins and Jabber.

Characters that Unicode 3.2 did not have are left as they are, which RFC 3454 §7 allows for queries.
"""

from __future__ import annotations

import itertools
import stringprep
import unicodedata
from collections.abc import Callable

_Table = Callable[[str], bool]

# Control characters, private use, non-characters, surrogates, tags and so on. All three profiles
# below forbid them.
_FORBIDDEN: tuple[_Table, ...] = (
    stringprep.in_table_c12,
    stringprep.in_table_c21,
    stringprep.in_table_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """Prepares a user name or password before it is hashed (RFC 4013 §2). Raises ValueError."""
    spaced = _mapped(text, lambda c: " " if stringprep.in_table_c12(c) else c)
    return _finished(_without_ignored(spaced))


def nodeprep(text: str) -> str:
    """Prepares the local part of a Jabber address (RFC 6122 Appendix A). Raises ValueError.

    Case is folded. Spaces are not allowed.
    """
    folded = _mapped(_without_ignored(text), stringprep.map_table_b2)
    prepared = _finished(folded)
    for character in dict.fromkeys(prepared):
        if character in " \"&'/:<>@":
            raise ValueError(f"{text!r} contains {character!r}, which is not allowed")
    return prepared


def resourceprep(text: str) -> str:
    """Prepares the resource of a Jabber address (RFC 6122 Appendix B). Raises ValueError.

    Case is kept.
    """
    return _finished(_without_ignored(text))


def _without_ignored(text: str) -> str:
    """Removes soft hyphens, joiners and the like, which have no meaning (RFC 3454 table B.1)."""
    return _mapped(text, lambda c: "" if stringprep.in_table_b1(c) else c)


def _mapped(text: str, mapped: Callable[[str], str]) -> str:
    """Replaces each character. A table is slow, so each different character is looked up once."""
    return text.translate({ord(c): mapped(c) for c in set(text)})


def _finished(text: str) -> str:
    """Normalises the text and checks it for forbidden characters and directions."""
    if text.isascii() and text.isprintable():
        return text
    text = _nfkc(text)
    different = dict.fromkeys(text)  # in the order of the text: the first error is named
    for character in different:
        if any(forbidden(character) for forbidden in _FORBIDDEN):
            raise ValueError(f"{text!r} contains {character!r}, which is not allowed")
    # RFC 3454 §6: text from right to left must not contain text from left to right, and has to
    # begin and end from right to left.
    if any(map(stringprep.in_table_d1, different)):
        if any(map(stringprep.in_table_d2, different)):
            raise ValueError(f"{text!r} mixes right-to-left and left-to-right text")
        if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
            raise ValueError(
                f"{text!r} is right-to-left text that does not begin and end from right to left"
            )
    return text


def _nfkc(text: str) -> str:
    """Returns the text in NFKC.

    Python's `normalize` takes quadratic time for many combining marks in a row, unless they are in
    order already. So all that a character stands for is put in order first.
    """
    ucd = unicodedata.ucd_3_2_0
    if len(text) > 100 and not text.isascii():
        characters = (part for character in text for part in ucd.normalize("NFKD", character))
        runs = itertools.groupby(characters, key=lambda character: ucd.combining(character) > 0)
        ordered = (sorted(run, key=ucd.combining) if marks else run for marks, run in runs)
        text = "".join(itertools.chain.from_iterable(ordered))
    return ucd.normalize("NFKC", text)
