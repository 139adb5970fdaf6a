"""Prepares names and passwords before they are compared: profiles of stringprep (RFC 3454).

    saslprep("I\\u00adX")     # "IX": user names and passwords (RFC 4013)
    nodeprep("Juliet")        # "juliet": the part of a JID before the @ (RFC 6122 Appendix A)
    resourceprep("Balcony")   # "Balcony": the part after the / (RFC 6122 Appendix B)

The tables are those of Unicode 3.2, from Python's stringprep module. A character that is newer is
left unchanged, as RFC 3454 §7 allows for queries; one that this Python does not know is prohibited.
"""

from __future__ import annotations

import itertools
import stringprep
import unicodedata
from collections.abc import Callable

Table = Callable[[str], bool]

_NODE_DELIMITERS = "\"&'/:<>@"  # RFC 6122 §A.5
_PROHIBITED_EVERYWHERE: tuple[Table, ...] = (
    stringprep.in_table_c21_c22,  # control characters
    stringprep.in_table_c3,  # private use
    stringprep.in_table_c4,  # non-characters
    stringprep.in_table_c5,  # surrogates
    stringprep.in_table_c6,  # replacement characters
    stringprep.in_table_c7,  # ideographic description
    stringprep.in_table_c8,  # changes of display, deprecated
    stringprep.in_table_c9,  # tags
)


def saslprep(text: str) -> str:
    """Prepares a user name or password (RFC 4013). Raises ValueError.

    Spaces beyond ASCII become U+0020 and invisible characters are removed.
    """
    if text.isascii() and text.isprintable():
        return text
    # U+200B is in both tables, as a space and as invisible. It is removed.
    visible = _without_invisible(text)
    spaced = _mapped(visible, lambda char: " " if stringprep.in_table_c12(char) else char)
    return _normalize(spaced, _PROHIBITED_EVERYWHERE)


def nodeprep(text: str) -> str:
    """Prepares the local part of a JID (RFC 6122 Appendix A). Raises ValueError.

    Case is folded. Spaces and the characters `"&'/:<>@` are prohibited.
    """
    folded = _mapped(_without_invisible(text), stringprep.map_table_b2)
    prohibited = (stringprep.in_table_c11_c12, *_PROHIBITED_EVERYWHERE)
    return _normalize(folded, (*prohibited, _NODE_DELIMITERS.__contains__))


def resourceprep(text: str) -> str:
    """Prepares the resource of a JID (RFC 6122 Appendix B). Raises ValueError.

    Case is kept, and U+0020 is allowed, but no other space.
    """
    prohibited = (stringprep.in_table_c12, *_PROHIBITED_EVERYWHERE)
    return _normalize(_without_invisible(text), prohibited)


def _without_invisible(text: str) -> str:
    """RFC 3454 §3.1: soft hyphens, joiners and the like are mapped to nothing."""
    return _mapped(text, lambda char: "" if stringprep.in_table_b1(char) else char)


def _mapped(text: str, mapped: Callable[[str], str]) -> str:
    """Replaces each character. Each different one is looked up once, because that takes long."""
    return text.translate({ord(char): mapped(char) for char in set(text)})


def _normalize(mapped: str, prohibited: tuple[Table, ...]) -> str:
    """RFC 3454 §4 to §6: normalizes, then checks for prohibited characters and mixed directions."""
    text = _nfkc(mapped)
    different = dict.fromkeys(text)  # in the order of the text: the first error is named
    for char in different:
        unassigned = unicodedata.category(char) == "Cn"
        if unassigned or any(table(char) for table in prohibited):
            raise ValueError(f"the character U+{ord(char):04X} is prohibited here")
    # RFC 3454 §6: table D.1 has the letters that run from right to left, D.2 those from left to
    # right. Mixed, the parts of an address could be displayed in another order than they are in.
    if any(map(stringprep.in_table_d1, different)):
        if any(map(stringprep.in_table_d2, different)):
            raise ValueError(
                "letters that run left and letters that run right do not mix in one name"
            )
        if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
            raise ValueError("a name that runs left must begin and end with a letter that does")
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
