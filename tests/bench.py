"""`make bench`: how fast, as ratios of medians measured in one run, so that the machine matters little.

Never part of the tests: a slow machine is not a wrong program. `python -m tests.bench smtp` runs the rows of one kind.
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
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP

from comms.read import read
from fakes.smtp import Smtp
from fakes.wire import Facts
from fakes.world import World

ROUNDS = 41


def median(run: Callable[[], float], rounds: int = ROUNDS) -> float:
    """The median of what `run` gives, after one run that warms up."""
    run()
    return statistics.median(run() for _ in range(rounds))


def timed(run: Callable[[], object]) -> float:
    """Seconds that it takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def row(name: str, ours: float, theirs: float, whose: str, aim: str = "") -> None:
    """One line: ours, theirs, the ratio."""
    aimed = f"   aim {aim}" if aim else ""
    print(
        f"{name:<58} {ours * 1e3:9.3f} ms  {whose} {theirs * 1e3:9.3f} ms  ratio {ours / theirs:6.2f}{aimed}"
    )


def free_port() -> int:
    """aiosmtpd's Controller cannot take port 0."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def smtp_start() -> None:
    """Start to first greeting, and start + one message + stop, beside aiosmtpd's Controller."""

    def greeting(address: tuple[str, int]) -> None:
        with socket.create_connection(address) as link:
            link.recv(100)

    def message(address: tuple[str, int]) -> None:
        with smtplib.SMTP(*address, local_hostname="client.example") as client:
            client.sendmail(
                "carol@example.org", ["alice@example.test"], "Subject: hi\r\n\r\nhi\r\n"
            )

    def ours(talk: Callable[[tuple[str, int]], None]) -> None:
        with World({"servers": ["smtp"]}) as world:
            talk(world.address("smtp"))

    def theirs(talk: Callable[[tuple[str, int]], None]) -> None:
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
            median(lambda: timed(lambda: ours(talk))),
            median(lambda: timed(lambda: theirs(talk))),
            "aiosmtpd",
            "0.5",
        )


def smtp_messages() -> None:
    """CPU of the server per message, measured on its own thread, beside aiosmtpd."""
    for size, count, aim in ((1_000, 300, "0.5"), (100_000, 100, "0.2")):
        body = b"Subject: hi\r\n\r\n" + b"x" * 76 + b"\r\n"
        body += (b"y" * 76 + b"\r\n") * (size // 78)
        script = (
            b"MAIL FROM:<c@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n",
            body + b".\r\n",
        )

        def talk(
            address: tuple[str, int], script: tuple[bytes, bytes] = script, count: int = count
        ) -> None:
            with socket.create_connection(address) as link:
                reader = link.makefile("rb")
                reader.readline()
                link.sendall(b"HELO client.example\r\n")
                reader.readline()
                for _ in range(count):
                    for part, answers in zip(script, (3, 1), strict=True):
                        for line in part.splitlines(keepends=True) if answers == 3 else [part]:
                            link.sendall(line)
                            reader.readline()

        def ours() -> float:
            with World({"servers": ["smtp"]}) as world:
                before = world.call(time.thread_time)
                talk(world.address("smtp"))
                return (world.call(time.thread_time) - before) / count

        def theirs() -> float:
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
            talk(listening.getsockname()[:2])
            used = cpu() - before
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            return used / count

        row(
            f"smtp: CPU a message of {size:,} octets",
            median(ours, 5),
            median(theirs, 5),
            "aiosmtpd",
            aim,
        )


def smtp_scaling() -> None:
    """Twice the input, about twice the time: the core fed with what hurts naive parsers."""

    def fed(content: bytes) -> float:
        world = World({"servers": ["smtp"]}, rehearsal=True)
        session = world.core("smtp")
        assert isinstance(session, Smtp)
        session.opened(Facts(1))
        session.receive(b"EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")

        def feed() -> None:
            for at in range(0, len(content), 65536):
                session.receive(content[at : at + 65536])
            session.receive(b"\r\n.\r\n")

        return timed(feed)

    inputs: list[tuple[str, Callable[[int], bytes]]] = [
        ("one line of 10 MB", lambda n: b"x" * (10_000_000 * n)),
        ("100,000 headers", lambda n: b"X-Header: value\r\n" * (100_000 * n)),
        ("10 MB of dots", lambda n: b"..\r\n" * (2_500_000 * n)),
        ("10 MB of mail", lambda n: b"Subject: hi\r\n\r\n" + (b"y" * 76 + b"\r\n") * (128_000 * n)),
    ]
    for name, make in inputs:
        once, twice = make(1), make(2)
        row(
            f"smtp: {name}, twice as much",
            median(lambda: fed(twice), 5),
            median(lambda: fed(once), 5),
            "once    ",
            "2",
        )
    for name, make in inputs[1:2] + inputs[3:]:
        once, twice = make(1), make(2)
        first, second = (
            median(lambda: timed(lambda: read(once)), 3),
            median(lambda: timed(lambda: read(twice)), 3),
        )
        row(f"message: reading {name}, twice as much", second, first, "once    ", "2")


def kinds() -> Iterator[tuple[str, Callable[[], None]]]:
    """This file's rows, and those of its neighbours bench_*.py (each has `ROWS`)."""
    yield from (("smtp", run) for run in (smtp_start, smtp_messages, smtp_scaling))
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name.startswith("bench_"):
            rows = importlib.import_module(f"tests.{module.name}").ROWS
            yield from ((module.name.removeprefix("bench_"), run) for run in rows)


def main() -> None:
    wanted = sys.argv[1:]
    for kind, run in kinds():
        if not wanted or kind in wanted:
            run()


if __name__ == "__main__":
    main()
