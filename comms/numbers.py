"""The one way to read a whole number that another program has written."""

from __future__ import annotations

MOST = 2**63 - 1  # what a database, and every length and count on the net, can hold


def number(text: str | bytes, most: int = MOST) -> int | None:
    """Returns the number that these ASCII digits write; None if they do not write one up to `most`.

    `int` would do more: it accepts signs, spaces, `1_000` and the digits of every script, and it
    raises for more than 4,300 of them.
    """
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(most)):
        return None
    value = int(digits)
    return value if value <= most else None
