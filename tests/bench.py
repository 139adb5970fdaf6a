"""`make bench`: how fast it is, as ratios of medians that were measured in one run.

Ratios depend little on the machine, and only a little on what else it does. The benchmark
is not one of the tests, because a slow machine is not a wrong program. `python -m tests.bench smtp`
prints the rows of one kind.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import smtplib
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP

from comms.read import read
from fakes.smtp import Smtp
from fakes.wire import Facts
from fakes.world import World

ROUNDS = 41
Address = tuple[str, int]


def median(run: Callable[[], float], rounds: int = ROUNDS) -> float:
    """Returns the median of what `run` returns, after one run that warms up."""
    run()
    return statistics.median(run() for _ in range(rounds))


def timed(run: Callable[[], object]) -> float:
    """Returns the seconds that a call takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def row(name: str, ours: float, theirs: float, whose: str, aim: str = "") -> None:
    """Prints one line: our seconds, theirs, the ratio, and the ratio that is the aim."""
    aimed = f"   aim {aim}" if aim else ""
    print(
        f"{name:<58} {ours * 1e3:9.3f} ms  {whose} {theirs * 1e3:9.3f} ms  "
        f"ratio {ours / theirs:6.2f}{aimed}"
    )


def free_port() -> int:
    """Returns a port that is free now, because aiosmtpd's Controller cannot take port 0."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


# ── starting ─────────────────────────────────────────────────────────────────


def smtp_start() -> None:
    """Compares the start of a world with that of aiosmtpd's Controller."""

    def greeting(address: Address) -> None:
        with socket.create_connection(address) as link:
            link.recv(100)

    def message(address: Address) -> None:
        with smtplib.SMTP(*address, local_hostname="client.example") as client:
            client.sendmail(
                "carol@example.org", ["alice@example.test"], "Subject: hi\r\n\r\nhi\r\n"
            )

    def ours(talk: Callable[[Address], None]) -> None:
        with World({"servers": ["smtp"]}) as world:
            talk(world.address("smtp"))

    def theirs(talk: Callable[[Address], None]) -> None:
        controller = Controller(Sink(), hostname="127.0.0.1", port=free_port())
        controller.start()
        try:
            talk(("127.0.0.1", controller.port))
        finally:
            controller.stop()

    for name, talk in (
        ("start to first greeting (and stop)", greeting),
        ("start + one message + stop", message),
    ):
        row(
            f"smtp: {name}",
            median(partial(timed, partial(ours, talk))),
            median(partial(timed, partial(theirs, talk))),
            "aiosmtpd",
            "0.5",
        )


# ── messages ─────────────────────────────────────────────────────────────────


def send_messages(address: Address, body: bytes, count: int) -> None:
    """Sends one message that many times over one connection, waiting for each reply."""
    with socket.create_connection(address) as link:
        replies = link.makefile("rb")
        replies.readline()
        link.sendall(b"HELO client.example\r\n")
        replies.readline()
        for _ in range(count):
            for unit in (
                b"MAIL FROM:<c@example.org>\r\n",
                b"RCPT TO:<alice@example.test>\r\n",
                b"DATA\r\n",
                body + b".\r\n",
            ):
                link.sendall(unit)
                replies.readline()


def cpu_of_ours(body: bytes, count: int) -> float:
    """Returns the processor time per message of our server, measured on its thread."""
    with World({"servers": ["smtp"]}) as world:
        before = world.call(time.thread_time)
        send_messages(world.address("smtp"), body, count)
        return (world.call(time.thread_time) - before) / count


def cpu_of_aiosmtpd(body: bytes, count: int) -> float:
    """Returns the processor time per message of aiosmtpd, measured on its thread."""
    loop = asyncio.new_event_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    server = loop.run_until_complete(
        loop.create_server(lambda: SMTP(Sink(), hostname="x", loop=loop), sock=listening)
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def now() -> float:
        return time.thread_time()

    def cpu() -> float:
        return asyncio.run_coroutine_threadsafe(now(), loop).result()

    before = cpu()
    send_messages(listening.getsockname()[:2], body, count)
    used = cpu() - before
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    return used / count


def smtp_messages() -> None:
    """Compares the processor time of one message with that of aiosmtpd."""
    for size, count, aim in ((1_000, 300, "0.5"), (100_000, 100, "0.2")):
        body = b"Subject: hi\r\n\r\n" + b"x" * 76 + b"\r\n"
        body += (b"y" * 76 + b"\r\n") * (size // 78)
        row(
            f"smtp: CPU per message of {size:,} bytes",
            median(partial(cpu_of_ours, body, count), 5),
            median(partial(cpu_of_aiosmtpd, body, count), 5),
            "aiosmtpd",
            aim,
        )


# ── scaling ──────────────────────────────────────────────────────────────────

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


# ── the command ──────────────────────────────────────────────────────────────


def kinds() -> Iterator[tuple[str, Callable[[], None]]]:
    """Yields the rows of this file and those of each bench_*.py beside it, with their kind."""
    yield from (("smtp", run) for run in (smtp_start, smtp_messages, smtp_scaling))
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name.startswith("bench_"):
            rows = importlib.import_module(f"tests.{module.name}").ROWS
            yield from ((module.name.removeprefix("bench_"), run) for run in rows)


def main() -> None:
    """Prints the rows of the kinds that the command line names, or all of them."""
    wanted = sys.argv[1:]
    for kind, run in kinds():
        if not wanted or kind in wanted:
            run()


if __name__ == "__main__":
    main()
