"""Rates of IMAP: ours beside Dovecot, and beside pymap, the IMAP server written in Python.

FETCH, APPEND, SEARCH, logins, and how fast a client that waits in IDLE is told. Mails come by
APPEND, because all of them can do that.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator

from tests.bench_clients import Lines, Work, rate_of
from tests.bench_measure import OURS, Goal, Missing, Row
from tests.bench_servers import PASSWORD, USER, Running, Server, dovecot, mail, ours
from tests.real import free_port, wait_for_port

LOGIN = b"l LOGIN %b %b\r\n" % (USER.encode(), PASSWORD.encode())


@contextlib.contextmanager
def pymap() -> Iterator[Running]:
    """pymap, whose mails are in memory as ours are."""
    program = shutil.which("pymap")
    if program is None:
        raise Missing("pymap is not installed: pip install pymap")
    port = free_port()
    words = [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-tls",
        "--no-service",
        "admin",
        "dict",
    ]
    words += ["--demo-user", USER, "--demo-password", PASSWORD]
    with subprocess.Popen([program, *words], stderr=subprocess.DEVNULL) as started:
        try:
            wait_for_port(port)
            yield Running(started.pid, {"imap": port})
        finally:
            started.kill()


# ── a client that only sends bytes, and looks for the end of the answer ──────


class Imap(Lines):
    """A connection that has logged in, and selected INBOX."""

    def __init__(self, running: Running, select: bool = True) -> None:
        super().__init__(running.ports["imap"])
        self.answered(LOGIN)
        if select:
            self.answered(b"s SELECT INBOX\r\n")

    def __enter__(self) -> Imap:
        return self

    def answered(self, command: bytes) -> None:
        """Sends a command, and reads until it is answered."""
        self.socket.sendall(command)
        self.until(command.partition(b" ")[0] + b" ")

    def until(self, begin: bytes) -> bytes:
        """Reads until a line that begins like this, and returns it."""
        while not (line := self.file.readline()).startswith(begin):
            if not line:
                raise RuntimeError("the server closed the connection")
            if literal := re.search(rb"\{([0-9]+)\}\r\n\Z", line):
                self.file.read(int(literal[1]))
        if begin != b"* " and b" OK" not in line:
            raise RuntimeError(f"the server answers {line!r}")
        return line

    def append(self, raw: bytes) -> None:
        """Appends a mail to INBOX."""
        self.socket.sendall(b"a APPEND INBOX {%d}\r\n" % len(raw))
        self.until_continuation()
        self.socket.sendall(raw + b"\r\n")
        self.until(b"a ")

    def until_continuation(self) -> None:
        """Reads until the server lets a literal come, or says that it waits."""
        while not self.file.readline().startswith(b"+"):
            pass


def filled(server: Server, count: int, size: int) -> Server:
    """The same server, with that many mails in INBOX."""

    @contextlib.contextmanager
    def with_mails() -> Iterator[Running]:
        with server() as running:
            with Imap(running) as client:
                for _ in range(count):
                    client.append(mail(size))
            yield running

    return with_mails


# ── what is done ─────────────────────────────────────────────────────────────


def fetch(running: Running) -> None:
    """Fetches all mails of INBOX."""
    with Imap(running) as client:
        client.answered(b"f UID FETCH 1:* (UID BODY.PEEK[])\r\n")


def append(count: int) -> Work:
    """Appends mails of 2 kB."""

    def work(running: Running) -> None:
        with Imap(running) as client:
            for _ in range(count):
                client.append(mail(2000))

    return work


def search(count: int) -> Work:
    """Searches INBOX for a text that no mail has."""

    def work(running: Running) -> None:
        with Imap(running) as client:
            for _ in range(count):
                client.answered(b"s UID SEARCH SUBJECT nowhere\r\n")

    return work


def log_in(count: int) -> Work:
    """Logs in and selects INBOX, each time over a new connection."""

    def work(running: Running) -> None:
        for _ in range(count):
            with Imap(running):
                pass

    return work


def wake_up(count: int) -> Work:
    """Appends a mail, and waits until another client is told, which waits in IDLE."""

    def work(running: Running) -> None:
        with Imap(running) as waiting, Imap(running, select=False) as other:
            waiting.socket.sendall(b"i IDLE\r\n")
            waiting.until_continuation()
            for _ in range(count):
                other.append(mail(500))
                while b"EXISTS" not in waiting.until(b"* "):
                    pass

    return work


def row(name: str, work: Work, count: int, mails: int = 0, aim: float = 1.0) -> Row:
    """How often per second it is done, with that many mails of 2 kB in INBOX."""
    servers: dict[str, Server] = {OURS: ours(), "Dovecot": dovecot, "pymap": pymap}
    contestants = {
        each: rate_of(filled(server, mails, 2000), work, count) for each, server in servers.items()
    }
    goals = (
        Goal("Dovecot", 0.5, aim, at_least=True),
        Goal("pymap", 1, 5, at_least=True),
    )
    return Row(f"imap: {name}: rate", contestants, goals, "/s", 1)


ROWS = [
    row("1,000 mails of 2 kB by one FETCH", fetch, 1000, 1000),
    row("APPEND of 2 kB", append(100), 100),
    row("SEARCH for a subject among 1,000", search(5), 5, 1000),
    row("login and SELECT at 1,000 mails", log_in(20), 20, 1000),
    # Few, because Dovecot takes half a second for each.
    row("a client in IDLE is told", wake_up(5), 5),
]
