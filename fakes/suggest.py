"""The "did you mean" of error messages."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns ` (did you mean 'x'?)` for the known word that is most like `word`, or ""."""
    import difflib  # only an error needs it

    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(str(word).casefold(), folded, n=1)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""
