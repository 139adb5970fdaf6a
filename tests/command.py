"""The command `python -m scenarios`, run in the process of the test.

Starting Python takes half a second, which most tests of the command need not spend.
"""

from __future__ import annotations

import contextlib
import io
import signal
from dataclasses import dataclass

from scenarios.__main__ import main


@dataclass(frozen=True)
class Done:
    """How the command ended, as subprocess.CompletedProcess says it."""

    returncode: int
    stdout: str
    stderr: str


def run_command(*words: str) -> Done:
    """Runs the command and returns what it printed. A live run's signal handlers are undone."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Done(code, out.getvalue(), err.getvalue())
