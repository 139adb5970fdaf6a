"""`make soak`: a server that has run for months, in a minute or in an hour.

    python -m tests.soak                      # 20,000 mails and messages
    N=1000000 SEED=7 python -m tests.soak     # the same again, with more of them
    KEPT=0.1 python -m tests.soak             # one in ten mails is never fetched

Runs `python -m fakes --quiet`. Mails come by SMTP for alice, whose program fetches and deletes them
by POP3 every now and then; messages go from one Jabber client to another. The sizes are random, and
the seed is printed. Twenty times, a line says how much memory the server has. The last line says
how much each mail and message of the second half has cost.
"""

from __future__ import annotations

import os
import random
import sys
import time

from tests.bench_clients import MESSAGE, Lines, Xmpp
from tests.bench_measure import memory, pin
from tests.bench_servers import PASSWORD, USER, mail, ours

PIECE = 100  # mails and messages that are sent before the next look


class Soak:
    """The connections to one server, and what is sent over them."""

    def __init__(self, ports: dict[str, int], seed: int, kept: float) -> None:
        self.ports, self.kept = ports, kept
        self.random = random.Random(seed)
        self.smtp = Lines(ports["smtp"])
        self.smtp.ask(b"HELO client.example\r\n")
        self.alice = Xmpp(ports["xmpp"], "alice", "garden", online=True)
        self.bob = Xmpp(ports["xmpp"], "bob", "home", online=True)
        self.sent = 0

    def piece(self) -> None:
        """Sends about as many mails as messages, and sometimes fetches what has come."""
        mails = self.random.randint(0, PIECE)
        for _ in range(mails):
            self.send_mail()
        messages = [MESSAGE % (self.sent + n) for n in range(PIECE - mails)]
        self.alice.socket.sendall(b"".join(messages))
        self.bob.count(b"</message>", len(messages))
        self.sent += PIECE
        if self.random.random() < 0.3:
            self.fetch()

    def send_mail(self) -> None:
        """Sends a mail to alice, who fetches it, or to bob, who never does."""
        to = b"bob" if self.random.random() < self.kept else b"alice"
        raw = mail(int(self.random.expovariate(1 / 1000)))
        # RFC 2920: these three may be sent at once, which halves the time that a mail takes.
        self.smtp.ask(b"MAIL FROM:<c@example.org>\r\nRCPT TO:<%b@example.test>\r\nDATA\r\n" % to)
        for _ in ("RCPT", "DATA"):
            self.smtp.file.readline()
        reply = self.smtp.ask(raw + b".\r\n")
        if not reply.startswith(b"250"):
            raise SystemExit(f"after {self.sent:,}: a mail was refused: {reply!r}")

    def fetch(self) -> None:
        """Fetches and deletes all of alice's mails."""
        with Lines(self.ports["pop3"]) as lines:
            lines.ask(b"USER %b\r\n" % USER.encode())
            lines.ask(b"PASS %b\r\n" % PASSWORD.encode())
            count = int(lines.ask(b"STAT\r\n").split()[1])
            for number in range(1, count + 1):
                lines.ask(b"RETR %d\r\n" % number)
                while lines.file.readline() != b".\r\n":
                    pass
                lines.ask(b"DELE %d\r\n" % number)
            lines.ask(b"QUIT\r\n")


def curve(total: int, seed: int, kept: float = 0.0) -> list[tuple[int, float]]:
    """Sends that much. Returns and prints, twenty times, how much had been sent, and the memory."""
    points: list[tuple[int, float]] = []
    begin = time.monotonic()
    with ours()() as running:
        soak = Soak(running.ports, seed, kept)
        while soak.sent < total:
            soak.piece()
            if soak.sent >= total * (len(points) + 1) / 20:
                soak.fetch()
                points.append((soak.sent, memory(running.pid)))
                mib = points[-1][1] / 1024**2
                rate = soak.sent / (time.monotonic() - begin)
                print(f"{soak.sent:>10,}  {mib:7.1f} MiB  {'#' * int(mib)}  {rate:,.0f}/s")
                sys.stdout.flush()
    return points


def growth(points: list[tuple[int, float]]) -> float:
    """Returns the bytes that each mail or message of the second half has cost."""
    (sent, before), (in_all, after) = points[len(points) // 2], points[-1]
    return (after - before) / max(1, in_all - sent)


def main() -> None:
    """Prints the seed, the curve, and what the second half has cost."""
    total = int(os.environ.get("N") or 20_000)
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    kept = float(os.environ.get("KEPT") or 0)
    print(f"{total:,} mails and messages, SEED={seed}, KEPT={kept:g}, {pin()}\n")
    points = curve(total, seed, kept)
    print(f"\nsecond half: {growth(points):,.0f} bytes for each mail or message (flat: below 10)")


if __name__ == "__main__":
    main()
