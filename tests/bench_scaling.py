"""Rows of the benchmark in which twice the input must take about twice the time."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

from comms.read import read
from fakes.smtp import Smtp
from fakes.wire import Facts
from fakes.world import World
from tests.bench_measure import timed


def median(run: Callable[[], float], rounds: int) -> float:
    """Returns the median of what `run` returns, after one run that warms up."""
    run()
    return statistics.median(run() for _ in range(rounds))


def row(name: str, ours: float, theirs: float, whose: str, aim: str = "") -> None:
    """Prints one line: our seconds, theirs, the ratio, and the ratio that is the aim."""
    aimed = f"   aim {aim}" if aim else ""
    print(
        f"{name:<58} {ours * 1e3:9.3f} ms  {whose} {theirs * 1e3:9.3f} ms  "
        f"ratio {ours / theirs:6.2f}{aimed}"
    )


# Input that hurts naive parsers, made in a multiple of its size.
INPUTS: list[tuple[str, Callable[[int], bytes]]] = [
    ("one line of 10 MB", lambda n: b"x" * (10_000_000 * n)),
    ("100,000 headers", lambda n: b"X-Header: value\r\n" * (100_000 * n)),
    ("10 MB of dots", lambda n: b"..\r\n" * (2_500_000 * n)),
    ("10 MB of mail", lambda n: b"Subject: hi\r\n\r\n" + (b"y" * 76 + b"\r\n") * (128_000 * n)),
]
TO_READ = ("100,000 headers", "10 MB of mail")  # what the client reads as a message


def smtp_scaling() -> None:
    """Twice the input must take about twice the time: for the server, and for the client."""

    def feed(content: bytes) -> float:
        """Returns the seconds that a core takes for one message with this content."""
        world = World({"servers": ["smtp"]}, rehearsal=True)
        session = world.core("smtp")
        assert isinstance(session, Smtp)
        session.opened(Facts(1))
        session.receive(b"EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")

        def receive() -> None:
            for at in range(0, len(content), 65536):
                session.receive(content[at : at + 65536])
            session.receive(b"\r\n.\r\n")

        return timed(receive)

    for name, make in INPUTS:
        once, twice = make(1), make(2)
        row(
            f"smtp: {name}, twice as much",
            median(partial(feed, twice), 5),
            median(partial(feed, once), 5),
            "once    ",
            "2",
        )
    for name, make in INPUTS:
        if name in TO_READ:
            once, twice = make(1), make(2)
            row(
                f"message: reading {name}, twice as much",
                median(partial(timed, partial(read, twice)), 3),
                median(partial(timed, partial(read, once)), 3),
                "once    ",
                "2",
            )


ROWS = [smtp_scaling]
