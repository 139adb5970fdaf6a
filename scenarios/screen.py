"""The one place that prints to the terminal, without what a terminal would obey."""

from __future__ import annotations

import sys
import traceback

from comms.host import printable
from scenarios.errors import UsageError


def show(text: str = "") -> None:
    """Prints a text to stdout. Control characters in it are escaped, except line feeds and tabs.

    So is what the console has no character for. Raises UsageError if it cannot be written, for
    example because the disk is full.
    """
    text = printable(text)
    try:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"the output cannot be written: {reason}; write it elsewhere") from None


def complain(text: str) -> None:
    """Prints a text to stderr, in the same way. Never raises: there is no other place to say it."""
    try:
        print(printable(text), file=sys.stderr)
    except (OSError, ValueError):
        pass


def show_traceback() -> None:
    """Prints the current exception to stderr. Its text may be that of a server."""
    complain(traceback.format_exc().rstrip("\n"))
