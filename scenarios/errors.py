"""Errors of the user: wrong words on the command line, and mistakes in a scenario file."""

from __future__ import annotations

from pathlib import Path

FAILED, USAGE, OWN_FAULT = 1, 2, 70  # exit codes; sysexits.h calls 70 EX_SOFTWARE
ROOT = Path(__file__).resolve().parent.parent


class UsageError(Exception):
    """Something that the user asked for cannot be done; the text is one line, with the remedy."""


class PageError(UsageError):
    """A mistake in a scenario file; the text is `FILE: PROBLEM; REMEDY`."""

    def __init__(self, path: str | Path, text: str) -> None:
        path = Path(path)
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        super().__init__(f"{shown}: {text}")


def unwritable(folder: Path, error: OSError, option: str = "--out: ") -> UsageError:
    """Returns what to report about a folder, which `option` named, that cannot be written."""
    reason = f"{error.filename or folder} cannot be written: {error.strerror or error}"
    return UsageError(f"{option}{reason}; name another folder")


class Misuse(Exception):
    """Wrong use of play.py. The catalogue, which knows the file, turns it into a PageError."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy
