"""`make soak`, its second part: ship-notices sends very many notices to a fake server.

    python -m tests.soak_notices                        # 20,000 notices
    NOTICES=1000000 SEED=7 python -m tests.soak_notices # the same again, with more of them

Runs the program as it is deployed, on SQLite, against `python -m fakes --quiet`. One recipient in
a hundred is refused, and at a few places that the seed chooses the connection is lost. All notices
reach one maildrop, which is emptied meanwhile. Twenty times, a line says how much memory the
program and the server have. In the end, nobody may be missing, and nobody have got two. With
TMPDIR=/dev/shm it does not wait for a disk, twice for each notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from scenarios.sending.ship_notices_samples import TEMPLATES
from tests.bench_clients import Lines
from tests.bench_measure import ROOT, memory, pin
from tests.bench_servers import PASSWORD, USER, Running, ours
from tests.soak import growth

LOST = 20  # times that the connection is lost
_ORDER = re.compile(rb"Subject: Order (\d+) ")


class Shop:
    """A list of customers, the program that notifies them, and what they have got."""

    def __init__(self, running: Running, place: Path, count: int) -> None:
        self.ports, self.place, self.count = running.ports, place, count
        self.got = bytearray(count + 1)  # order → how many notices
        with (place / "customers.csv").open("w") as file:
            file.write("order,name,address,parcel\n")
            for n in range(1, count + 1):
                file.write(f"{n},Customer {n},alice+{n}@example.test,PARCEL{n:07}\n")
        (place / "templates").mkdir()
        (place / "templates" / "shipped.txt").write_bytes((TEMPLATES / "shipped.txt").read_bytes())
        tables = {
            "smtp": {"host": "127.0.0.1", "port": running.ports["smtp"], "tls": "none"},
            "pop3": {
                "host": "127.0.0.1",
                "port": running.ports["pop3"],
                "tls": "none",
                "user": "bob@example.test",
                "password": PASSWORD,
            },
            "scenario.ship-notices": {
                "sender": "shop@example.test",
                "returns": "bob@example.test",
                "session": 10_000,
            },
        }
        site = place / "site.toml"
        site.touch(0o600)
        for name, values in tables.items():
            with site.open("a") as file:
                file.write(f"[{name}]\n")
                file.writelines(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        command = ["-m", "scenarios", "run", "ship-notices", "--live", str(site)]
        self.program = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def fetch(self) -> int:
        """Fetches and deletes what has come. Returns how many notices that were."""
        with Lines(self.ports["pop3"]) as lines:
            lines.ask(b"USER %b\r\n" % USER.encode())
            lines.ask(b"PASS %b\r\n" % PASSWORD.encode())
            count = int(lines.ask(b"STAT\r\n").split()[1])
            for number in range(1, count + 1):
                lines.ask(b"TOP %d 0\r\n" % number)
                head = b"".join(iter(lines.file.readline, b".\r\n"))
                found = _ORDER.search(head)
                if found is None:
                    raise SystemExit(f"this is not a notice: {head!r}")
                self.got[int(found[1])] += 1
                lines.ask(b"DELE %d\r\n" % number)
            lines.ask(b"QUIT\r\n")
        return count

    def problems(self) -> list[str]:
        """Compares what the program believes with what has come."""
        with sqlite3.connect(self.place / "ship-notices.sqlite3") as db:
            rows = db.execute('SELECT CAST("order" AS INTEGER), status FROM notice')
            statuses = dict(rows)
        db.close()
        print(f"\n{len(statuses):,} notices: {dict(Counter(statuses.values()))}")
        orders = range(1, self.count + 1)
        found = {
            "notified twice": [n for n in orders if self.got[n] > 1],
            "missing": [n for n in orders if statuses.get(n) == "sent" and not self.got[n]],
            "not in the table": [n for n in orders if n not in statuses],
            "refused, and notified": [
                n for n in orders if statuses.get(n) == "refused" and self.got[n]
            ],
            "waiting": [n for n, status in statuses.items() if status in ("waiting", "taken")],
        }
        return [f"{what}: {numbers[:10]}" for what, numbers in found.items() if numbers]


def curve(shop: Shop, server: int) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Prints, twenty times, the memory of the program and of the server, and returns both."""
    program: list[tuple[int, float]] = []
    fakes: list[tuple[int, float]] = []
    begin, got, ended = time.monotonic(), 0, False
    while not ended:
        with contextlib.suppress(subprocess.TimeoutExpired):
            ended = shop.program.wait(0.5) is not None
        got += shop.fetch()
        if not ended and got >= shop.count * (len(program) + 1) / 20:
            program.append((got, memory(shop.program.pid)))
            fakes.append((got, memory(server)))
            mib = [points[-1][1] / 1024**2 for points in (program, fakes)]
            rate = got / (time.monotonic() - begin)
            print(f"{got:>10,}  {mib[0]:7.1f} MiB  {mib[1]:7.1f} MiB  {rate:,.0f}/s")
            sys.stdout.flush()
    return program, fakes


def main() -> None:
    """Prints the seed, the curves, and whether anybody is missing or was notified twice."""
    count = int(os.environ.get("NOTICES") or 20_000)
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    print(f"{count:,} notices of ship-notices, SEED={seed}, {pin()}\n")
    print(f"{'':10}  {'program':>11}  {'server':>11}")
    places = random.Random(seed)
    faults = ['RCPT arg "*00@*" reply "550 5.1.1 no such mailbox"']
    for _ in range(LOST):
        kind = places.choice(("lost stored", "lost unstored", "hang up before"))
        faults.append(f"smtp . nth {places.randint(1, count)} {kind}")
    with TemporaryDirectory(prefix="soak-") as place, ours(faults=faults)() as running:
        shop = Shop(running, Path(place), count)
        try:
            program, fakes = curve(shop, running.pid)
        finally:
            shop.program.kill()
            shop.program.wait()
        problems = shop.problems()
    for name, points in (("program", program), ("server", fakes)) if program else ():
        print(f"{name}, second half: {growth(points):,.0f} bytes for each notice (flat: below 10)")
    if problems:
        raise SystemExit("\n".join(problems))
    print("nobody is missing, nobody was notified twice")


if __name__ == "__main__":
    main()
