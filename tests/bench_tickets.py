"""How many mails a second become tickets and are answered, beside what the database can commit.

    python -m tests.bench_tickets              # 100 mails a row, in 3 rounds
    python -m tests.bench_tickets 1000 5

Mails are sent to `python -m fakes`; workers of tickets, which run as they are deployed, collect
them over IMAP, store them, and send an acknowledgement of each. The time is from the first mail to
the last acknowledgement. Before and after that, the same database commits as many small rows as it
can, in the same way. A mail takes several commits, so that no loss of power loses or repeats
anything. Each round measures SQLite with one worker and PostgreSQL with one and with two; a ratio
is the median of those of the rounds, beside the least and the greatest: a busy machine changes the
rates, and the ratios less. Of two workers, one at a time reads the mailbox, and both send: the
second one is there for when the first one dies. It is no part of `make bench`, because PostgreSQL
needs root, and it has no goals.
"""

from __future__ import annotations

import contextlib
import json
import os
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from sqlalchemy import Column, Integer, MetaData, Table, create_engine, text

from scenarios.models import connect
from tests.bench_measure import ROOT
from tests.bench_servers import PASSWORD, USER, Running, ours
from tests.databases import emptied
from tests.real import postgresql, wait_until

COMMITS = 1.0  # seconds in which commits are counted, before and after
ROWS = (("SQLite", 1), ("PostgreSQL", 1), ("PostgreSQL", 2))  # databases, and numbers of workers
PATIENCE = 300.0  # seconds


def commits(url: str, place: Path) -> float:
    """Returns how many transactions with one small row the database commits in a second."""
    tables = MetaData()
    table = Table("measured", tables, Column("id", Integer, primary_key=True))
    engine = connect(url, place.joinpath, tables)
    count, begin = 0, time.perf_counter()
    with engine.connect() as db:
        while (seconds := time.perf_counter() - begin) < COMMITS:
            with db.begin():
                db.execute(table.insert())
            count += 1
    tables.drop_all(engine)
    engine.dispose()
    return count / seconds


@contextlib.contextmanager
def workers(count: int, running: Running, url: str, place: Path) -> Iterator[None]:
    """Runs so many workers, and waits until each is at work."""
    account = {"host": "127.0.0.1", "tls": "none", "user": USER}
    tables = {
        "smtp": {"host": "127.0.0.1", "port": running.ports["smtp"], "tls": "none"},
        "imap": {**account, "port": running.ports["imap"], "password": PASSWORD},
        "scenario.tickets": {
            "database": url,
            "sender": USER,
            "poll": 0.1,
            "answers": 1_000_000,
        },
    }
    lines: list[str] = []
    for name, values in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    site = place / "site.toml"
    site.touch(0o600)
    site.write_text("\n".join(lines))
    command = [sys.executable, "-m", "scenarios", "run", "tickets", "--live", str(site)]
    logs = [place / f"log-{number}" for number in range(count)]
    processes = []
    for log in logs:
        with log.open("w") as file:
            processes.append(subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file))
    try:
        wait_until(lambda: all("runs" in log.read_text() for log in logs), "the workers run", 60)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def rate(mails: int, count: int, url: str, place: Path) -> float:
    """Returns how many mails a second so many workers turn into tickets that are answered."""
    with ours()() as running, workers(count, running, url, place):
        found = url.replace(":///", f":///{place}/") if url.startswith("sqlite") else url
        engine = create_engine(found)
        begin = time.perf_counter()
        with smtplib.SMTP("127.0.0.1", running.ports["smtp"], "client.example") as client:
            for number in range(mails):
                sender = f"bob+{number}@example.test"
                head = f"From: {sender}\r\nSubject: {number}\r\nMessage-ID: <{number}@x.test>\r\n"
                client.sendmail(sender, [USER], f"{head}\r\nPlease help.\r\n".encode())

        def answered() -> bool:
            with engine.connect() as db:
                sql = "SELECT count(*) FROM answer WHERE status = 'sent'"
                return int(db.scalar(text(sql)) or 0) == mails

        wait_until(answered, f"{mails} answers", PATIENCE)
        seconds = time.perf_counter() - begin
        engine.dispose()
    return mails / seconds


def measured(name: str, count: int, server: str, mails: int) -> tuple[float, float]:
    """Returns mails and commits a second on an empty database."""
    with TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        place = Path(folder)
        url = "sqlite:///tickets.sqlite3" if name == "SQLite" else emptied(server)
        limit = commits(url, place)
        found = rate(mails, count, url, place)
        return found, (limit + commits(url, place)) / 2


def main() -> None:
    """Prints a row for each database and number of workers."""
    mails, rounds = [*map(int, sys.argv[1:3]), *(100, 3)[len(sys.argv[1:3]) :]]
    found: dict[tuple[str, int], list[tuple[float, float]]] = {row: [] for row in ROWS}
    with postgresql() as server:
        for _ in range(rounds):
            for name, count in ROWS:
                found[name, count].append(measured(name, count, server, mails))
    load = os.getloadavg()[0]
    print(f"{mails} mails, {rounds} rounds, {os.cpu_count()} processors, load {load:.1f}")
    print(f"{'':22}{'mails/s':>9}{'commits/s':>11}{'a part of':>11}{'least':>8}{'greatest':>10}")
    for (name, count), pairs in found.items():
        rates, limits = zip(*pairs, strict=True)
        parts = sorted(mine / limit for mine, limit in pairs)
        row = f"{name}, {count} worker{'s' * (count > 1)}"
        print(f"{row:22}{median(rates):9.0f}{median(limits):11.0f}{median(parts):11.1%}", end="")
        print(f"{parts[0]:8.1%}{parts[-1]:10.1%}")
    workers_of_two = zip(found["PostgreSQL", 2], found["PostgreSQL", 1], strict=True)
    print(f"two workers / one: {median(two[0] / one[0] for two, one in workers_of_two):.2f}")


if __name__ == "__main__":
    main()
