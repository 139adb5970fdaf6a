"""`make soak`, its third part: the receiving programs over IMAP are cut and killed at every step.

    python -m tests.soak_doors

The tests do this at the first, the middle and the last step (tests/test_scenarios_over_imap.py).
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TMPDIR", "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp")

from tests import test_scenarios_mysql_by_mail as by_mail
from tests import test_scenarios_over_imap as over_imap
from tests import test_scenarios_tickets as desk

CUTS: dict[str, tuple[Callable[[], list[str]], Callable[[str], None]]] = {
    "mysql-by-mail": (over_imap.mysql_cuts, over_imap.command_runs_once),
    "tickets": (over_imap.desk_cuts, over_imap.mail_is_one_ticket),
    "mysql-by-jabber": (
        lambda: over_imap.cuts(over_imap.records_of_two_doors()),
        over_imap.orders_of_both_doors_run_once,
    ),
}
KILLS: dict[str, Callable[[int, Path], tuple[int | None, list[str]]]] = {
    "mysql-by-mail": lambda at, folder: by_mail.killed(at, folder, over_imap.MYSQL),
    "tickets": lambda at, folder: desk.killed(at, folder, over_imap.DESK),
}


def main() -> None:
    """Prints a line for each program and kind of accident. Raises AssertionError."""
    for name, (cuts, check) in CUTS.items():
        found = cuts()
        for cut in found:
            _show(f"{name}: {cut}")
            check(cut)
        _show(f"{name}: cut in {len(found)} ways, and nothing was lost or done twice", "\n")
    for name, killed in KILLS.items():
        with tempfile.TemporaryDirectory() as folder:
            for at in itertools.count(1):
                _show(f"{name}: killed at step {at}")
                if killed(at, Path(folder, str(at)))[0] is not None:
                    break
        _show(f"{name}: killed at {at - 1} steps, and nothing was lost or done twice", "\n")


def _show(text: str, end: str = "\r") -> None:
    if end == "\n" or sys.stdout.isatty():
        sys.stdout.write(f"{text:<99}{end}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
