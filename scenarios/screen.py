"""The one place that prints to the terminal, without what a terminal would obey."""

from __future__ import annotations

import sys
import traceback

from comms.host import printable


def show(text: str = "") -> None:
    """Prints a text to stdout. Control characters in it are escaped, except line feeds and tabs."""
    print(printable(text))


def complain(text: str) -> None:
    """Prints a text to stderr, in the same way."""
    print(printable(text), file=sys.stderr)


def show_traceback() -> None:
    """Prints the current exception to stderr. Its text may be that of a server."""
    complain(traceback.format_exc().rstrip("\n"))
