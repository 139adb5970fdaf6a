"""The floor of the benchmark: bare asyncio protocols that do nothing but answer in the right shape.

    python -m tests.bench_floor smtp                   # prints its port, serves until stdin ends
    python -m tests.bench_floor pop3 --loop uvloop 1000 2000

They check nothing and parse nothing. No server in Python with asyncio costs less, so the ratio of
ours to them is the cost of what our servers do. The floor of SMTP keeps each mail, because a server
does: memory that the process does not have yet is most of what a large mail costs. `smtp-drops` is
the same without keeping any.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from collections.abc import Callable
from typing import Any, ClassVar


class Floor(asyncio.Protocol):
    """Keeps the transport, and what has come of a unit that is not complete."""

    greeting = b""

    transport: Any

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the greeting."""
        self.transport = transport
        if self.greeting:
            self.transport.write(self.greeting)


class SmtpFloor(Floor):
    """Answers each line with 250, and content with 250 at its final dot; keeps the content."""

    greeting = b"220 floor\r\n"
    in_content = False
    mails: ClassVar[list[bytes]] = []  # of all connections

    def data_received(self, data: bytes) -> None:
        """Collects content up to the final dot; anything else is one command per write."""
        self.buffer += data
        if self.in_content:
            if self.buffer.endswith(b"\r\n.\r\n"):
                self.keep(self.buffer[:-3])
                self.in_content, self.buffer = False, b""
                self.transport.write(b"250 OK\r\n")
            return
        if not self.buffer.endswith(b"\n"):
            return
        command, self.buffer = self.buffer[:4].upper(), b""
        self.in_content = command == b"DATA"
        if command == b"QUIT":
            self.transport.write(b"221 bye\r\n")
            self.transport.close()
        else:
            self.transport.write(b"354 go\r\n" if self.in_content else b"250 OK\r\n")

    def keep(self, mail: bytes) -> None:
        """Stores a mail."""
        self.mails.append(mail)


class DroppingFloor(SmtpFloor):
    """The same, but no mail is kept."""

    def keep(self, mail: bytes) -> None:
        pass


class Pop3Floor(Floor):
    """Answers RETR with the same mail each time, STAT with the same numbers, all else with +OK."""

    greeting = b"+OK\r\n"
    count, size, answer = 0, 0, b""

    @classmethod
    def of(cls, count: int = 1, size: int = 2000) -> Callable[[], Pop3Floor]:
        """Returns a protocol for a maildrop with that many mails of that size."""
        mail = b"Subject: hi\r\n\r\n" + (b"y" * 76 + b"\r\n") * (size // 78)
        answer = b"+OK\r\n" + mail + b".\r\n"
        return type("Pop3Floor", (cls,), {"count": count, "size": len(mail), "answer": answer})

    def data_received(self, data: bytes) -> None:
        """Answers one command per write."""
        command = data[:4]
        if command == b"RETR":
            self.transport.write(self.answer)
        elif command == b"STAT":
            self.transport.write(b"+OK %d %d\r\n" % (self.count, self.count * self.size))
        else:
            self.transport.write(b"+OK\r\n")
            if command == b"QUIT":
                self.transport.close()


class XmppFloor(Floor):
    """Answers a login in the right shape, and passes messages on to the resource `home`.

    They are passed on one by one and unchanged, without a `from`.
    """

    bob: Any = None
    online = False
    end = b"</message>"

    def data_received(self, data: bytes) -> None:
        """Answers by the words that occur in a write."""
        if self.online:
            *stanzas, self.buffer = (self.buffer + data).split(self.end)
            for stanza in stanzas:
                XmppFloor.bob.write(stanza + self.end)
            return
        if b"<stream:stream" in data:
            self.transport.write(b"<stream:stream><stream:features></stream:features>")
        elif b"<auth" in data:
            self.transport.write(b"<success/>")
        elif b"<bind" in data:
            self.is_bob = b"<resource>home</resource>" in data
            self.transport.write(b"<iq type='result' id='b'></iq>")
        elif b"<presence" in data:
            self.online = True
            if self.is_bob:
                XmppFloor.bob = self.transport
            self.transport.write(b"<presence/>")


FLOORS: dict[str, Callable[..., Callable[[], Floor]]] = {
    "smtp": lambda: SmtpFloor,
    "smtp-drops": lambda: DroppingFloor,
    "pop3": Pop3Floor.of,
    "xmpp": lambda: XmppFloor,
}


def aiosmtpd(loop: asyncio.AbstractEventLoop) -> Callable[[], asyncio.BaseProtocol]:
    """Returns aiosmtpd's protocol, whose messages are dropped: a peer in a process like a floor."""
    from aiosmtpd.handlers import Sink
    from aiosmtpd.smtp import SMTP

    handler = Sink()
    return lambda: SMTP(handler, hostname="x", loop=loop)


async def serve(kind: str, numbers: list[int]) -> None:
    """Listens on a free port, prints it, and serves until stdin ends."""
    loop = asyncio.get_running_loop()
    protocol = aiosmtpd(loop) if kind == "aiosmtpd" else FLOORS[kind](*numbers)
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Runs the server that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_floor")
    parser.add_argument("kind", choices=[*FLOORS, "aiosmtpd"])
    parser.add_argument("numbers", type=int, nargs="*")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    options = parser.parse_args()
    factory = importlib.import_module(options.loop).new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(options.kind, options.numbers))


if __name__ == "__main__":
    main()
