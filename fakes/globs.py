"""The globs of waits, of faults and of attachments."""

from __future__ import annotations

from fnmatch import fnmatchcase


def fits(text: str, glob: str) -> bool:
    """Whether a text matches a glob.

    Many texts have brackets, such as "[Shop] Order 7" or "[Gmail]/Drafts", so that an opening
    bracket may also stand for itself.
    """
    return fnmatchcase(text, glob) or ("[" in glob and fnmatchcase(text, glob.replace("[", "[[]")))
