"""The TOC rows of the benchmark: cost of an IM, memory of an idle connection, and scaling."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable

from fakes.toc import Account, Aim, Toc
from fakes.wire import Facts, Runtime
from fakes.world import World
from tests.bench_measure import timed
from tests.bench_scaling import median, row
from tests.toc_raw import Raw, RawOnSocket

IMS = 2000
MAILS = 200
IDLE = 300

MAIL = b"MAIL FROM:<c@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
TEXT = b"Subject: hi\r\n\r\nuptime\r\n.\r\n"


def toc_ims() -> None:
    """Compare an IM from client to client with a one-line mail to the SMTP fake.

    The IMs are sent as fast as the socket takes them.
    """
    # Every round sends the same bytes, so the sequence numbers do not continue between rounds.
    config = {"servers": ["toc", "smtp"], "toc": {"sequence": False}}
    with World(config, watch=lambda one: None) as world:
        sender, receiver = (RawOnSocket(world.address("toc"), name) for name in ("alice", "bob"))
        for client in (sender, receiver):
            client.sign_on()
        sender.say("toc_add_buddy bob")
        sender.until(lambda message: message.startswith("UPDATE_BUDDY:bob:T"))
        ims = b"".join(sender.im("bob", "uptime") for _ in range(IMS))

        def an_im(clock: Callable[[], float]) -> float:
            before = clock()
            thread = threading.Thread(target=sender.send, args=(ims,))
            thread.start()
            left = IMS
            while left:
                left -= receiver.receive().count(b"uptime")
            thread.join()
            return (clock() - before) / IMS

        def a_mail(clock: Callable[[], float]) -> float:
            with socket.create_connection(world.address("smtp")) as link:
                reader = link.makefile("rb")
                reader.readline()
                link.sendall(b"HELO client.example\r\n")
                reader.readline()
                before = clock()
                for _ in range(MAILS):
                    link.sendall(MAIL)
                    for _ in range(3):
                        reader.readline()
                    link.sendall(TEXT)
                    reader.readline()
                return (clock() - before) / MAILS

        for name, clock in (
            ("CPU of the server", lambda: world.call(time.thread_time)),
            ("wall time", time.perf_counter),
        ):
            row(
                f"toc: {name} per IM from client to client",
                median(lambda: an_im(clock), 9),
                median(lambda: a_mail(clock), 9),
                "a mail  ",
            )
        for client in (sender, receiver):
            client.close()


def toc_idle() -> None:
    """Compare the memory of an idle TOC session with that of an idle SMTP connection."""

    def held(server: str, connect: Callable[[tuple[str, int], int], socket.socket]) -> float:
        names = [f"name{n}" for n in range(IDLE)]
        config = {"servers": [server], "aim": [{"screen_name": name} for name in names]}
        with World(config, watch=lambda one: None) as world:
            # The first connection pays for what all of them share.
            connect(world.address(server), 0).close()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            clients = [connect(world.address(server), n) for n in range(IDLE)]
            after = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            for client in clients:
                client.close()
        return (after - before) / IDLE / 1024

    def signed_on(address: tuple[str, int], number: int) -> socket.socket:
        raw, link = Raw(f"name{number}"), socket.create_connection(address)
        commands = ("toc_init_done", f"toc_get_status name{number}")
        link.sendall(raw.opening() + b"".join(map(raw.command, commands)))
        while not raw.messages or not raw.messages[-1].startswith("UPDATE_BUDDY"):
            raw.feed(link.recv(4096))
        return link

    def greeted(address: tuple[str, int], number: int) -> socket.socket:
        link = socket.create_connection(address)
        link.recv(100)
        return link

    ours, theirs = held("toc", signed_on), held("smtp", greeted)
    name = "toc: memory of an idle connection, signed on"
    print(f"{name:<58} {ours:9.2f} KiB smtp     {theirs:9.2f} KiB ratio {ours / theirs:6.2f}")


def toc_scaling() -> None:
    """Twice the watchers, or twice the input at once, must take about twice the time."""

    def talking(people: int, act: Callable[[Toc, Raw], None]) -> float:
        runtime = Runtime(lambda: 0.0, lambda length: "1" * length)
        aim = Aim(Account(f"name{n}") for n in range(people))
        cores = []
        for n in range(people):
            core, raw = Toc(runtime, aim), Raw(f"name{n}")
            core.opened(Facts(n))
            commands = ("toc_add_buddy name0", "toc_init_done")
            core.receive(raw.opening() + b"".join(map(raw.command, commands)))
            cores.append((core, raw))
        return timed(lambda: act(*cores[0]))

    def away(core: Toc, raw: Raw) -> None:
        for _ in range(20):
            core.receive(raw.command("toc_set_away gone"))

    def flood(count: int) -> Callable[[Toc, Raw], None]:
        def send(core: Toc, raw: Raw) -> None:
            core.receive(b"".join(raw.im("name1", "x" * 1000) for _ in range(count)))

        return send

    def compare(name: str, once: Callable[[], float], twice: Callable[[], float]) -> None:
        row(f"toc: {name}, twice as much", median(twice, 5), median(once, 5), "once    ", "2")

    compare(
        "an away message to 250 watchers", lambda: talking(250, away), lambda: talking(500, away)
    )
    compare("4 MB of IMs at once", lambda: talking(2, flood(4000)), lambda: talking(2, flood(8000)))


ROWS = [toc_ims, toc_idle, toc_scaling]
