"""The globs of waits, of faults and of attachments."""

from __future__ import annotations

from fnmatch import fnmatchcase

LONGEST = 1000  # characters; Python takes quadratic time to find where brackets end


def fits(text: str, glob: str) -> bool:
    """Whether a text matches a glob. One of more than 1,000 characters matches only itself.

    Many texts have brackets, such as "[Shop] Order 7" or "[Gmail]/Drafts", so that an opening
    bracket may also stand for itself.
    """
    if len(glob) > LONGEST:
        return text == glob
    return fnmatchcase(text, glob) or ("[" in glob and fnmatchcase(text, glob.replace("[", "[[]")))
