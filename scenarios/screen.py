"""The one place that prints to the terminal, without what a terminal would obey."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from comms.host import printable
from comms.waiting import wait_until_ready
from scenarios.errors import UsageError

NEXT = "Enter shows the next event; q and Enter end the story."
WIDTH = 100  # columns of output that no terminal shows


class Enough(Exception):
    """The user has seen enough."""


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


def show_words(text: str) -> None:
    """Prints lines of words as `show` does. On a narrow terminal, none breaks inside a word."""
    lines = text.split("\n")
    show("\n".join(part for line in lines for part in _fitting(line)))


def _fitting(line: str) -> list[str]:
    if not _is_terminal(sys.stdout) or len(line) <= width():
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line,
        max(width(), 20),
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def width() -> int:
    """Returns the columns of the terminal; 100 if the output is no terminal."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if _is_terminal(sys.stdout) else WIDTH


def show_line(spans: Sequence[tuple[str, str]]) -> None:
    """Prints a line of texts and their styles: in colour on a terminal, if Rich is installed."""
    console = _console()
    text = "".join(text for text, _ in spans).rstrip()
    if console is None:
        show(text)
        return
    from rich.text import Text

    console.print(Text.assemble(*((printable(part), style) for part, style in spans)))


@contextmanager
def keyboard() -> Iterator[Callable[[], None]]:
    """Yields what waits until a user presses Enter.

    That raises Enough for `q` and at the end of the input, and KeyboardInterrupt after Ctrl-C. The
    handler of the signal does not: what it raised would be lost in a destructor or the callback of
    a weak reference, and would be late just before a read.
    """
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        handler = signal.signal(signal.SIGINT, lambda *_: None)
        wakeup = signal.set_wakeup_fd(writing.fileno())
        try:
            yield lambda: _wait_for_enter(reading)
            _raise_if_interrupted(reading)
        finally:
            signal.set_wakeup_fd(wakeup)
            signal.signal(signal.SIGINT, handler)


def _wait_for_enter(signals: socket.socket) -> None:
    try:
        if os.name != "nt":  # there, Ctrl-C ends a read, and only sockets can be waited for
            wait_until_ready([signals, sys.stdin], None)
        _raise_if_interrupted(signals)
        line = sys.stdin.readline()
    except (OSError, ValueError):  # the terminal is gone
        line = ""
    if not line or line.strip().lower() in ("q", "quit"):
        raise Enough


def _raise_if_interrupted(signals: socket.socket) -> None:
    if wait_until_ready([signals], 0):
        raise KeyboardInterrupt


def has_user() -> bool:
    """Whether a user can be asked to press Enter."""
    return _is_terminal(sys.stdin)


def _is_terminal(file: Any) -> bool:
    try:
        return bool(file.isatty())
    except (AttributeError, ValueError):  # closed
        return False


@cache
def _console() -> Any:
    """Returns what prints in colour, or None: no terminal, NO_COLOR, or no Rich."""
    if not _is_terminal(sys.stdout) or os.environ.get("NO_COLOR"):
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False, soft_wrap=True, emoji=False, markup=False)


def complain(text: str) -> None:
    """Prints a text to stderr, in the same way. Never raises: there is no other place to say it."""
    try:
        if sys.stderr is not None:  # closed; print would take stdout instead
            print(printable(text), file=sys.stderr)
    except (OSError, ValueError):
        pass


def show_traceback() -> None:
    """Prints the current exception to stderr. Its text may be that of a server."""
    complain(traceback.format_exc().rstrip("\n"))
