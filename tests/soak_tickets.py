"""`make soak`, its last part: eight workers of tickets are killed, on real servers.

    python -m tests.soak_tickets                    # 40 points
    POINTS=1000 SEED=7 python -m tests.soak_tickets # the same again, with more of them

They share one mailbox of a Dovecot and one PostgreSQL, to which a Postfix delivers while they are
killed (tests/killed_workers.py). After every ten points, workers that live do the rest, and each
mail must be one ticket with at most one answer. Needs root, for the servers.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.killed_workers import Kills, street
from tests.real import postgresql

WORKERS = 8
PART = 10  # points


def main() -> None:
    """Prints a line for each part. Raises AssertionError."""
    points = int(os.environ.get("POINTS") or 40)
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    print(f"{WORKERS} workers of tickets, {points} points, SEED={seed}")
    began = time.monotonic()
    with postgresql() as database, street(database) as town:
        with tempfile.TemporaryDirectory() as folder:
            kills = Kills(town, seed, WORKERS, Path(folder))
            for done in range(0, points, PART):
                kills.play(min(PART, points - done))
                print(
                    f"{kills.sent:6,} mails, {kills.killed:6,} workers killed, "
                    f"{len(kills.unknown)} answers unknown, {time.monotonic() - began:,.0f} s"
                )
                sys.stdout.flush()
    print(f"each mail is one ticket; unknown whether answered: {kills.unknown or 'none'}")


if __name__ == "__main__":
    main()
