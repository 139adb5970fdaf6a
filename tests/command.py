"""The command `python -m scenarios`: in the process of the test, or as a process of its own.

Starting Python takes half a second, which most tests of the command need not spend.
"""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from scenarios.__main__ import main
from scenarios.errors import ROOT


@dataclass(frozen=True)
class Done:
    """How the command ended, as subprocess.CompletedProcess says it."""

    returncode: int
    stdout: str
    stderr: str


def run_command(*words: str) -> Done:
    """Runs the command and returns what it printed. A live run's signal handlers are undone."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), handlers_restored():
        code = main(words)
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def handlers_restored() -> Iterator[None]:
    """Undoes what happens to the signal handlers inside of the block."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def start_command(*words: str) -> subprocess.Popen[str]:
    """Starts the command as a process, whose output the test reads. The test ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "scenarios", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Returns what a process prints on stdout, up to the line with this text."""
    assert process.stdout is not None
    shown = ""
    while text not in shown:
        line = process.stdout.readline()
        assert line, f"{text!r} was not printed: {shown}"
        shown += line
    return shown


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ends a process as Ctrl-C does, and returns its exit code and what it wrote to stderr."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    return process.returncode, err
