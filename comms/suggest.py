"""The hint in error messages that corrects a misspelled word."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns ` (did you mean 'smtp'?)` with the nearest known word; "" if no word is near."""
    import difflib  # only an error needs it

    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""
