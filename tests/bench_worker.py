"""What the benchmark measures inside of a process by itself: Python's libraries, and memory.

Each public function here prepares something and returns a function that measures it once. Then the
process answers each line of its input, which are the arguments, with a number (see `worker` in
tests/bench_measure.py):

    echo | python -m tests.bench_worker start ours greeting
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import poplib
import select
import signal
import smtplib
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from tests.bench_measure import Missing, memory, timed

Port = Callable[[], AbstractContextManager[int]]  # a server in this process, and its port
Answer = Callable[..., float]
PATIENCE = 600  # seconds that a process may measure before it is ended

_OPEN = contextlib.ExitStack()  # servers that stay open until the process ends
ALICE, BOB = "alice@example.test", "bob@example.test"
PASSWORD = "secret"


# ── servers in this process, each with a thread ──────────────────────────────


@contextlib.contextmanager
def _ours(kind: str = "smtp", keep: bool = True) -> Iterator[int]:
    from fakes import World

    watch = None if keep else (lambda entry: None)
    with World({"servers": [kind], "tls": "off"}, watch=watch) as world:
        yield world.address(kind)[1]


@contextlib.contextmanager
def _aiosmtpd(handler: object = None) -> Iterator[int]:
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink

    # The Controller cannot take port 0.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    controller = Controller(handler or Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


@contextlib.contextmanager
def _floor(protocol: Callable[[], asyncio.BaseProtocol] | None = None) -> Iterator[int]:
    from tests.bench_floor import SmtpFloor

    loop = asyncio.new_event_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    factory = protocol or SmtpFloor
    server = loop.run_until_complete(loop.create_server(factory, sock=listening))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


SERVERS: dict[str, Port] = {"ours": _ours, "aiosmtpd": _aiosmtpd, "floor": _floor}


# ── starting ─────────────────────────────────────────────────────────────────


def start(kind: str, what: str, times: str = "15") -> Answer:
    """Seconds from nothing to the first greeting; or for a start, one message and a stop."""

    def greeting() -> float:
        begin = time.perf_counter()
        with SERVERS[kind]() as port, socket.create_connection(("127.0.0.1", port)) as link:
            link.recv(100)
            return time.perf_counter() - begin

    def message() -> float:
        begin = time.perf_counter()
        with SERVERS[kind]() as port:
            with smtplib.SMTP("127.0.0.1", port, "client.example") as client:
                client.sendmail("carol@example.org", [ALICE], "Subject: hi\r\n\r\nhi\r\n")
        return time.perf_counter() - begin

    measure = {"greeting": greeting, "message": message}[what]
    return lambda: statistics.median(measure() for _ in range(int(times)))


# ── memory ───────────────────────────────────────────────────────────────────


def world_memory(kind: str, count: str = "50") -> Answer:
    """Bytes that a further server takes in a process that has ten already."""

    def measure() -> float:
        with contextlib.ExitStack() as stack:
            for _ in range(10):
                stack.enter_context(SERVERS[kind]())
            gc.collect()
            before = memory(os.getpid())
            for _ in range(int(count)):
                stack.enter_context(SERVERS[kind]())
            gc.collect()
            return (memory(os.getpid()) - before) / int(count)

    return measure


def mail_memory(kind: str, count: str = "1000", size: str = "2000") -> Answer:
    """Bytes that this many stored mails take: `recording`, `quiet`, `aiosmtpd` or `floor`."""
    from tests.bench_clients import send_mails
    from tests.bench_servers import mail

    kept: list[object] = []

    class Keeper:
        async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
            kept.append(envelope)
            return "250 OK"

    servers: dict[str, Port] = {
        "recording": _ours,
        "quiet": lambda: _ours(keep=False),
        "aiosmtpd": lambda: _aiosmtpd(Keeper()),
        "floor": _floor,
    }

    def measure() -> float:
        raw = mail(int(size))
        with servers[kind]() as port:
            send_mails(port, 50, raw)
            before = memory(os.getpid())
            send_mails(port, int(count), raw)
            return memory(os.getpid()) - before

    return measure


def recording_server() -> Answer:
    """A world of a test's that serves Jabber. Prints its port, and serves until stdin ends."""
    from fakes import World

    people = [{"address": ALICE}, {"address": BOB}]
    config = {"servers": ["xmpp"], "tls": "off", "person": people, "xmpp": {"resources": 2000}}
    with World(config) as world:
        print(world.address("xmpp")[1], flush=True)
        sys.stdin.read()
    return lambda: 0.0


# ── XMPP clients ─────────────────────────────────────────────────────────────


def xmpp_client(kind: str, port: str) -> Answer:
    """Bob's client. `send N` and `receive N` are answered with its processor time."""
    both = {"ours": _comms, "slixmpp": _slixmpp, "floor": _raw}[kind](int(port))

    def measure(what: str, count: str) -> float:
        before = time.process_time()
        both[what](int(count))
        return (time.process_time() - before) / max(1, int(count))

    return measure


TEXT = "Wherefore art thou, Romeo?"


def _comms(port: int) -> dict[str, Callable[[int], None]]:
    from comms.clock import RealClock
    from comms.host import RealHost
    from comms.settings import Server
    from comms.xmpp import Client, Jid, stanzas

    server = Server(
        "xmpp", "127.0.0.1", port, "none", password=PASSWORD, auth="plain", jid=f"{BOB}/home"
    )
    client = Client(server, RealClock(), RealHost())
    alice = Jid.parse(f"{ALICE}/garden")
    received = 0

    @client.on_message
    def count_one(message: object) -> None:
        nonlocal received
        received += 1

    def send(count: int) -> None:
        for _ in range(count):
            client.send(stanzas.message(alice, TEXT))

    def receive(count: int) -> None:
        nonlocal received
        received = 0
        while received < count:
            client.wait(time.time() + 0.05)

    return {"send": send, "receive": receive}


def _slixmpp(port: int) -> dict[str, Callable[[int], None]]:
    try:
        import slixmpp
    except ImportError:
        raise Missing("slixmpp is not installed: pip install slixmpp") from None

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    client: Any = slixmpp.ClientXMPP(f"{BOB}/home", PASSWORD)
    client.loop = loop
    client.enable_starttls, client.enable_direct_tls, client.enable_plaintext = False, False, True
    client.plugin["feature_mechanisms"].unencrypted_plain = True
    client.plugin["feature_mechanisms"].use_mech = "PLAIN"
    started = loop.create_future()
    client.add_event_handler("session_start", lambda _: started.set_result(None))
    client.connect(host="127.0.0.1", port=port)
    loop.run_until_complete(asyncio.wait_for(started, 10))
    client.send_presence()
    left, done = 0, loop.create_future()

    def count_one(_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set_result(None)

    client.add_event_handler("message", count_one)

    def send(count: int) -> None:
        async def all_of_them() -> None:
            for _ in range(count):
                client.send_message(f"{ALICE}/garden", TEXT)
            while not client.waiting_queue.empty() or client.transport.get_write_buffer_size():
                await asyncio.sleep(0)

        loop.run_until_complete(all_of_them())

    def receive(count: int) -> None:
        nonlocal left, done
        left, done = count, loop.create_future()
        loop.run_until_complete(done)

    return {"send": send, "receive": receive}


def _raw(port: int) -> dict[str, Callable[[int], None]]:
    from tests.bench_clients import Xmpp

    client = Xmpp(port, "bob", "home", online=True)
    message = f"<message to='{ALICE}/garden' type='chat' id='%d'><body>{TEXT}</body></message>"

    def send(count: int) -> None:
        for first in range(0, count, 100):
            client.socket.sendall(
                "".join(message % n for n in range(first, min(first + 100, count))).encode()
            )

    return {"send": send, "receive": lambda count: client.count(b"</message>", count)}


# ── mail to a program and back ───────────────────────────────────────────────


def chain(kind: str, smtp: str = "0", pop3: str = "0", times: str = "10") -> Answer:
    """Seconds from a mail to the answer of a program that fetches it: SMTP, POP3, SMTP.

    `ours` and `floor` are servers on threads of this process, as in a test. Otherwise the servers
    are those on the two ports.
    """
    stack = _OPEN
    if kind == "ours":
        from fakes import World

        world = stack.enter_context(World({"servers": ["smtp", "pop3"], "tls": "off"}))
        ports = world.address("smtp")[1], world.address("pop3")[1]
    elif kind == "floor":
        from tests.bench_floor import Pop3Floor

        ports = stack.enter_context(_floor()), stack.enter_context(_floor(Pop3Floor.of(1)))
    else:
        ports = int(smtp), int(pop3)

    def submit(subject: str) -> None:
        with smtplib.SMTP("127.0.0.1", ports[0], "client.example") as client:
            client.sendmail(BOB, [ALICE], f"Subject: {subject}\r\nFrom: {BOB}\r\n\r\nhello\r\n")

    def fetch() -> int:
        client = poplib.POP3("127.0.0.1", ports[1])
        client.user(ALICE)
        client.pass_(PASSWORD)
        count: int = client.stat()[0]
        if count:
            client.retr(1)
            client.dele(1)
        client.quit()
        return count

    def once() -> None:
        submit("uptime")
        wait = select.poll()  # nothing is registered, so poll() waits as long as it is told to
        while not fetch():
            wait.poll(1)
        submit("Re: uptime")

    def clear() -> None:
        wait = select.poll()
        while kind != "floor" and not fetch():  # whose maildrop is never empty
            wait.poll(1)

    def measure() -> float:
        took = timed(once)
        clear()
        return took

    return lambda: statistics.median(measure() for _ in range(int(times)))


# ── growth ───────────────────────────────────────────────────────────────────

MAIL = b"MAIL FROM:<c@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
SMALL = b"Subject: hi\r\n\r\nuptime\r\n"


def maildrop(count: str, times: str = "50") -> Answer:
    """Processor time of an action with this many mails in the maildrop, on cores without sockets.

    The answer is asked for an action: stat, login, delivery, quota (a delivery under one), or
    delete (DELE and QUIT).
    """
    from fakes import World
    from fakes.wire import Facts
    from tests.bare_core import ask

    config = {"servers": ["smtp", "pop3"], "person": [{"address": ALICE}]}
    world = World(config, rehearsal=True, watch=lambda entry: None)

    def session(listener: str, *commands: bytes) -> Any:
        core = world.core(listener)
        core.opened(Facts(1))
        for command in commands:
            ask(core, command)
        return core

    def deliver() -> None:
        ask(smtp, MAIL)
        reply = ask(smtp, SMALL + b".\r\n")
        assert reply.startswith(b"250"), reply

    def login() -> Any:
        return session("pop3", b"USER alice@example.test\r\n", b"PASS secret\r\n")

    def delete() -> float:
        core = login()
        begin = time.thread_time()
        ask(core, b"DELE 1\r\n")
        ask(core, b"QUIT\r\n")
        took = time.thread_time() - begin
        deliver()
        return took

    def log_in_and_out() -> float:
        begin = time.thread_time()
        core = login()
        ask(core, b"QUIT\r\n")
        return time.thread_time() - begin

    def stat() -> float:
        core = login()
        begin = time.thread_time()
        reply = ask(core, b"STAT\r\n")
        took = time.thread_time() - begin
        assert reply.startswith(b"+OK"), reply
        ask(core, b"QUIT\r\n")
        return took

    def delivery() -> float:
        begin = time.thread_time()
        deliver()
        return time.thread_time() - begin

    def delivery_under_a_quota() -> float:
        # It is set now, because it must not slow down the filling of the maildrop.
        world.program.quota = 10**12
        took = delivery()
        world.program.quota = None
        return took

    smtp = session("smtp", b"HELO client.example\r\n")
    for _ in range(int(count)):
        world.mail.deliver(ALICE, SMALL, sender="")
    measures = {
        "stat": stat,
        "login": log_in_and_out,
        "delivery": delivery,
        "quota": delivery_under_a_quota,
        "delete": delete,
    }
    return lambda action: _typical(measures[action], int(times))


def _typical(measure: Callable[[], float], times: int, patience: float = 1.0) -> float:
    """Returns the median of that many measurements, or fewer after `patience` seconds."""
    found: list[float] = []
    end = time.process_time() + patience
    while not found or (len(found) < times and time.process_time() < end):
        found.append(measure())
    return statistics.median(found)


def waiting(count: str, times: str = "50") -> Answer:
    """Processor time of a delivery after this many, while a test waits for one that never comes."""
    from fakes import World

    world = World({"servers": ["smtp"]}, watch=lambda entry: None)
    world.__enter__()
    never = threading.Thread(
        target=lambda: world.mail.wait_for(lambda mail: False, timeout=3600), daemon=True
    )
    for _ in range(int(count)):
        world.mail.deliver(ALICE, SMALL, sender="")
    never.start()
    world.mail.deliver(ALICE, SMALL, sender="")

    def delivery() -> float:
        begin = time.process_time()
        world.mail.deliver(ALICE, SMALL, sender="")
        return time.process_time() - begin

    return lambda: _typical(delivery, int(times))


def looking(what: str, count: str, times: str = "200") -> Answer:
    """Processor time of a look at `world.records` or `world.mail.messages` after this many."""
    from fakes import World
    from fakes.wire import Facts
    from tests.bare_core import ask

    world = World({"servers": ["smtp"]}, rehearsal=True)
    if what == "records":
        core = world.core("smtp")
        core.opened(Facts(1))
        while len(world.recording) < int(count):
            for _ in range(100):
                ask(core, b"NOOP\r\n")
    else:
        for _ in range(int(count)):
            world.mail.deliver(ALICE, SMALL, sender="")

    def look() -> float:
        begin = time.thread_time()
        seen = world.records if what == "records" else world.mail.messages
        assert len(seen) and seen[-1] is not None
        return time.thread_time() - begin

    return lambda: _typical(look, int(times))


def roster(contacts: str) -> Answer:
    """A Jabber server for alice and her contacts.

    `port` is answered with its port, `longest` with the processor time of the longest turn of its
    loop since the last question. Only the time of its own thread counts, so that other processes on
    the same processor do not matter.
    """
    from fakes import World

    names = [f"contact{n}@example.test" for n in range(int(contacts))]
    person = [{"address": ALICE, "contacts": dict.fromkeys(names, "both")}]
    people = [*person, *({"address": name} for name in names)]
    config = {"servers": ["xmpp"], "tls": "off", "person": people}
    world = World(config, watch=lambda entry: None)
    world.__enter__()
    longest, last = 0.0, 0.0

    def beat() -> None:
        nonlocal longest, last
        now = time.thread_time()
        longest, last = max(longest, now - last), now
        asyncio.get_running_loop().call_soon(beat)

    def begin() -> None:
        nonlocal last
        last = time.thread_time()
        asyncio.get_running_loop().call_soon(beat)

    world.call(begin)

    def answer(what: str) -> float:
        nonlocal longest
        if what == "port":
            return world.address("xmpp")[1]
        found, longest = longest, 0.0
        return found

    return answer


# ── the command ──────────────────────────────────────────────────────────────


def main() -> None:
    """Prepares what the command line names, and answers each line of stdin with a number."""
    functions = {
        name: function
        for name, function in globals().items()
        if inspect.isfunction(function) and function.__module__ == __name__
    }
    if hasattr(signal, "alarm"):
        signal.alarm(PATIENCE)
    try:
        answer = functions[sys.argv[1]](*sys.argv[2:])
    except Missing as missing:
        print(f"missing: {missing}", flush=True)
        return
    for line in sys.stdin:
        print(repr(float(answer(*line.split()))), flush=True)


if __name__ == "__main__":
    main()
