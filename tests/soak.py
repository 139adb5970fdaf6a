"""`make soak`: a server that has run for months, in a minute or in an hour.

    python -m tests.soak                      # 500,000 mails and messages
    N=1000000 SEED=7 python -m tests.soak     # the same again, with more of them
    KEPT=0.1 python -m tests.soak             # one in ten mails of alice's goes to bob

Runs `python -m fakes --quiet`, which takes any login, with small limits of what it keeps. Mails
come

- by SMTP for alice, whose program fetches and deletes them by POP3 every now and then,
- by SMTP for bob, who never fetches any,
- by SMTP for a name that was never used before, and somebody logs in with that name,
- by IMAP, where a bot appends each to a folder, flags it, and moves or removes it.

Messages go from one Jabber client to another. The sizes are random, and the seed is printed. Twenty
times, a line says how much memory the server has. The last line says how much each mail and message
of the second half has cost, and the exit status is 1 if that is too much. With less than 300,000,
it may be: memory that was returned in pieces is used again, but not at once.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

from tests.bench_clients import MESSAGE, Lines, Xmpp
from tests.bench_imap import Imap
from tests.bench_measure import memory, pin
from tests.bench_servers import PASSWORD, USER, Running, mail, ours

PIECE = 100  # mails and messages that are sent before the next look
FLAT = 10  # bytes for each mail or message; a bot's mail that leaves one number behind costs 30
SETTINGS = """
[mail]
accept_any = ["logins", "recipients"]
[keep]
mail = 200_000
maildrops = 20
"""


class Soak:
    """The connections to one server, and what is sent over them."""

    def __init__(self, running: Running, seed: int, kept: float) -> None:
        self.ports, self.kept = running.ports, kept
        self.random = random.Random(seed)
        self.smtp = Lines(self.ports["smtp"])
        self.smtp.ask(b"HELO client.example\r\n")
        self.alice = Xmpp(self.ports["xmpp"], "alice", "garden", online=True)
        self.bob = Xmpp(self.ports["xmpp"], "bob", "home", online=True)
        self.bot = Imap(running)
        self.bot.answered(b"c CREATE Work\r\n")
        self.bot.answered(b"s SELECT Work\r\n")
        self.sent = 0

    def piece(self) -> None:
        """Sends about as many mails as messages, and sometimes fetches what has come."""
        mails = self.random.randint(0, PIECE)
        for number in range(mails):
            raw = mail(int(self.random.expovariate(1 / 1000)))
            way = self.random.random()
            if way < 0.5:
                self.send_mail(b"bob" if self.random.random() < self.kept else b"alice", raw)
            elif way < 0.9:
                self.handle(raw)
            else:
                name = b"name%d" % (self.sent + number)
                self.send_mail(name, raw)
                self.log_in(name)
        messages = [MESSAGE % (self.sent + n) for n in range(PIECE - mails)]
        self.alice.socket.sendall(b"".join(messages))
        self.bob.count(b"</message>", len(messages))
        self.sent += PIECE
        if self.random.random() < 0.3:
            self.fetch()

    def send_mail(self, to: bytes, raw: bytes) -> None:
        """Sends a mail by SMTP."""
        # RFC 2920: these three may be sent at once, which halves the time that a mail takes.
        self.smtp.ask(b"MAIL FROM:<c@example.org>\r\nRCPT TO:<%b@example.test>\r\nDATA\r\n" % to)
        for _ in ("RCPT", "DATA"):
            self.smtp.file.readline()
        reply = self.smtp.ask(raw + b".\r\n")
        if not reply.startswith(b"250"):
            raise SystemExit(f"after {self.sent:,}: a mail was refused: {reply!r}")

    def handle(self, raw: bytes) -> None:
        """What a bot does with a mail over IMAP: half of them stay in another folder."""
        commands = b"a APPEND Work {%d+}\r\n%b\r\n" % (len(raw), raw)
        commands += b"f UID STORE * +FLAGS.SILENT (\\Seen)\r\n"
        if self.random.random() < 0.5:
            commands += b"e UID MOVE * Archive\r\n"
        else:
            commands += b"d UID STORE * +FLAGS.SILENT (\\Deleted)\r\ne EXPUNGE\r\n"
        self.bot.socket.sendall(commands)
        self.bot.until(b"e ")

    def log_in(self, name: bytes) -> None:
        """Somebody has a look at the mail of a name for which there is no account."""
        with Lines(self.ports["pop3"]) as lines:
            lines.ask(b"USER %b\r\n" % name)
            reply = lines.ask(b"PASS anything\r\n")
            if not reply.startswith(b"+OK"):
                raise SystemExit(f"after {self.sent:,}: a login was refused: {reply!r}")
            lines.ask(b"QUIT\r\n")

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
    # That something is dropped is said each time, which is often with these limits.
    with ours(settings=SETTINGS, said=subprocess.DEVNULL)() as running:
        soak = Soak(running, seed, kept)
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


def main() -> int:
    """Prints the seed, the curve, and what the second half has cost. Returns 1 if it grows."""
    total = int(os.environ.get("N") or 500_000)
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    kept = float(os.environ.get("KEPT") or 0)
    print(f"{total:,} mails and messages, SEED={seed}, KEPT={kept:g}, {pin()}\n")
    cost = growth(curve(total, seed, kept))
    print(f"\nsecond half: {cost:,.0f} bytes for each mail or message (flat: below {FLAT})")
    return int(cost >= FLAT)


if __name__ == "__main__":
    sys.exit(main())
