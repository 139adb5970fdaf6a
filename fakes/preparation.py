"""Strings made comparable before they are compared: the profiles of stringprep (RFC 3454) for names and passwords.

    saslprep("I\\u00adX")   # "IX": user names and passwords (RFC 4013)
    nodeprep("Juliet")      # "juliet": what stands before the @ of a Jabber address (RFC 6122 Appendix A)
    resourceprep("Balcony") # "Balcony": what stands behind the / (RFC 6122 Appendix B)

The tables are those of Unicode 3.2, in Python's stringprep module. A character that is newer than 3.2 passes unchanged,
as a stringprep "query" (RFC 3454 §7); one that this Python's Unicode does not know either is refused.
"""

from __future__ import annotations

import stringprep
import unicodedata
from collections.abc import Callable

Table = Callable[[str], bool]

_CONTROLS: tuple[Table, ...] = (
    stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4, stringprep.in_table_c5,
    stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8, stringprep.in_table_c9,
)  # fmt: skip


def saslprep(text: str) -> str:
    """RFC 4013: other blanks become a blank, invisible characters go, the rest is put into form KC. Raises ValueError."""
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(" " if stringprep.in_table_c12(one) else one for one in text if not stringprep.in_table_b1(one))
    return _checked(mapped, _CONTROLS)


def nodeprep(text: str) -> str:
    """RFC 6122 Appendix A: folded, form KC, no blanks and none of `"&'/:<>@`. Raises ValueError."""
    mapped = "".join(stringprep.map_table_b2(one) for one in text if not stringprep.in_table_b1(one))
    spaces: tuple[Table, ...] = (stringprep.in_table_c11_c12,)
    return _checked(mapped, (*spaces, *_CONTROLS, "\"&'/:<>@".__contains__))


def resourceprep(text: str) -> str:
    """RFC 6122 Appendix B: form KC, case kept, blanks allowed. Raises ValueError."""
    mapped = "".join(one for one in text if not stringprep.in_table_b1(one))
    return _checked(mapped, (stringprep.in_table_c12, *_CONTROLS))


def _checked(mapped: str, prohibited: tuple[Table, ...]) -> str:
    """RFC 3454 §4 to §6: normalised, nothing prohibited in it, and not of both directions."""
    text = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    for one in text:
        if any(table(one) for table in prohibited) or unicodedata.category(one) == "Cn":
            raise ValueError(f"the character U+{ord(one):04X} may not stand here")
    if any(stringprep.in_table_d1(one) for one in text):
        if any(stringprep.in_table_d2(one) for one in text):
            raise ValueError("letters that run left and letters that run right do not mix in one name")
        if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
            raise ValueError("a name that runs left must begin and end with a letter that does")
    return text
