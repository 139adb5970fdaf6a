"""`make bench`: how fast it is, as ratios within one run, with what each ratio must be.

    python -m tests.bench                     # everything
    python -m tests.bench smtp growth         # some groups
    python -m tests.bench --rounds 15 smtp    # more rounds for each row
    python -m tests.bench --before ../old     # with the comms and fakes of another checkout, too
    python -m tests.bench --list              # the names of the groups

Each row compares `ours` with `floor`, a bare asyncio protocol that does nothing else, and with
servers and clients that others wrote (`make bench-peers` installs them). A goal is a ratio: ours
divided by the other's. Ratios depend little on the machine, and only a little on what else it does.
The benchmark is not one of the tests, because a slow machine is not a wrong program.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests import bench_fixtures, bench_growth, bench_imap, bench_scaling, bench_toc
from tests.bench_clients import (
    Work,
    connections,
    cpu_of,
    crossing,
    fetch_by_poplib,
    fetch_raw,
    figure_of,
    filled,
    log_in,
    mails,
    memory_of,
    pump,
    rate_of,
    receiving,
    sending,
)
from tests.bench_measure import (
    FLOOR,
    OURS,
    Contestant,
    Goal,
    Result,
    Row,
    fresh,
    importing,
    in_new_process,
    kept,
    overlay,
    pin,
    run,
    show,
    summary,
)
from tests.bench_servers import (
    chain_on_real_servers,
    dovecot,
    ejabberd,
    floor,
    ours,
    prosody,
    recording,
)

KIB, MIB = 1 / 1024, 1 / 1024**2


# ── SMTP: processor time of the server ───────────────────────────────────────


def smtp(name: str, work: Work, count: int, *goals: Goal, loop: str = "asyncio") -> Row:
    """Processor time per mail of ours, of the floor (on the same loop), and of aiosmtpd.

    `drops` is the floor without keeping mails: it has no goal, because what it saves is memory that
    a server which keeps them must ask the kernel for.
    """
    contestants = {
        OURS: cpu_of(ours(loop), work, count),
        FLOOR: cpu_of(floor("smtp", loop=loop), work, count),
        "drops": cpu_of(floor("smtp-drops", loop=loop), work, count),
        "aiosmtpd": cpu_of(floor("aiosmtpd"), work, count),
    }
    return Row(f"smtp: {name}: CPU per mail", contestants, goals)


SMTP = [
    smtp(
        "1 kB, connection kept",
        mails(300, 1000),
        300,
        Goal(FLOOR, 1.5, 1.2),
        Goal("aiosmtpd", 0.5, 0.4),
    ),
    smtp(
        "1 kB, connection kept, ours on uvloop",
        mails(300, 1000),
        300,
        Goal("aiosmtpd", 0.42, 0.25),
        loop="uvloop",
    ),
    smtp("100 kB, connection kept", mails(60, 100_000), 60, Goal(FLOOR, 1.35, 1.1)),
    smtp("1 kB, a connection each", connections(150, 1000), 150, Goal(FLOOR, 1.65, 1.25)),
]


# ── POP3: rates, beside Dovecot ──────────────────────────────────────────────


def pop3(
    name: str, work: Work, count: int, mails: tuple[int, int], *goals: Goal, loop: str = "asyncio"
) -> Row:
    """How often per second it is done on a maildrop with that many mails of that size."""
    contestants = {
        OURS: rate_of(filled(ours(loop), *mails), work, count),
        FLOOR: rate_of(floor("pop3", *mails, loop=loop), work, count),
        "Dovecot": rate_of(filled(dovecot, *mails), work, count),
    }
    return Row(f"pop3: {name}: rate", contestants, goals, "/s", 1)


def at_least(against: str, must: float, aim: float | None = None) -> Goal:
    """A goal for rates, where more is better."""
    return Goal(against, must, aim, at_least=True)


POP3 = [
    pop3(
        "1,000 mails of 2 kB by poplib",
        fetch_by_poplib(1000),
        1000,
        (1000, 2000),
        at_least("Dovecot", 0.8, 1.3),
    ),
    pop3(
        "1,000 mails of 2 kB by poplib, ours on uvloop",
        fetch_by_poplib(1000),
        1000,
        (1000, 2000),
        at_least("Dovecot", 1, 1.3),
        loop="uvloop",
    ),
    pop3("a mail of 10 MB", fetch_raw, 1, (1, 10_000_000), at_least("Dovecot", 1.5, 2.2)),
    pop3(
        "login, STAT and QUIT at 1,000 mails",
        log_in(50),
        50,
        (1000, 2000),
        at_least("Dovecot", 3, 5),
    ),
]


# ── XMPP: servers, and clients ───────────────────────────────────────────────

JABBER = {OURS: ours(), FLOOR: floor("xmpp"), "Prosody": prosody, "ejabberd": ejabberd}

XMPP = [
    Row(
        "xmpp: messages from client to client: rate",
        {name: figure_of(server, pump(10_000)) for name, server in JABBER.items()},
        [at_least("Prosody", 4, 6)],
        "/s",
        1,
    ),
    Row(
        "xmpp: 99 % of crossings take at most",
        {name: figure_of(server, crossing(1000)) for name, server in JABBER.items()},
        [Goal("Prosody", 0.2)],
    ),
    Row(
        "xmpp: memory per idle connection, ours recording",
        {name: memory_of(server) for name, server in {**JABBER, OURS: recording}.items()},
        [Goal("", 16)],
        "KiB",
        KIB,
        rounds=3,
    ),
    Row(
        "xmpp client: CPU per message sent",
        {kind: sending(kind, 2000) for kind in (OURS, FLOOR, "slixmpp")},
        [Goal("slixmpp", 0.3, 0.25)],
    ),
    Row(
        "xmpp client: CPU per message received",
        {kind: receiving(kind, 2000) for kind in (OURS, FLOOR, "slixmpp")},
        [Goal("slixmpp", 1, 0.6)],
    ),
]


# ── importing, starting, memory ──────────────────────────────────────────────


def imports(module: str, must: float, aim: float) -> Row:
    """Processor time of an import in a process that has asyncio and smtplib already."""
    contestants = {OURS: importing(module), "aiosmtpd": importing("aiosmtpd.controller")}
    name = f"import: {module}, beyond asyncio and smtplib"
    return Row(name, contestants, [Goal("aiosmtpd", must, aim)], "ms", 1e3)


IMPORT = [
    imports("fakes", 2, 1),
    imports("comms.smtp", 0.6, 0.5),
    imports("comms.xmpp", 0.8, 0.5),
]


def each(
    contestant: Callable[..., Contestant], name: str, *arguments: object
) -> dict[str, Contestant]:
    """The same measurement of ours, the floor, and aiosmtpd's Controller."""
    return {kind: contestant(name, kind, *arguments) for kind in (OURS, FLOOR, "aiosmtpd")}


# What a single test pays. Modules of the benchmark are not imported, because they would count.
_FIRST_WORLD = """
import socket
from fakes import World
with World({"servers": ["smtp"], "tls": "off"}) as world:
    socket.create_connection(world.address("smtp")).recv(100)
"""
_FIRST_CONTROLLER = """
import socket
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
with socket.create_server(("127.0.0.1", 0)) as taken:
    port = taken.getsockname()[1]
controller = Controller(Sink(), hostname="127.0.0.1", port=port)
controller.start()
socket.create_connection(("127.0.0.1", port)).recv(100)
controller.stop()
"""


def first_world() -> None:
    """Compares the processor time of the first world of a process with that of aiosmtpd."""
    pairs = [(_FIRST_WORLD, _FIRST_CONTROLLER)] * 9
    found = [(in_new_process(ours), in_new_process(theirs)) for ours, theirs in pairs]
    ours, theirs = (statistics.median(times) for times in zip(*found, strict=True))
    name = "import, start, greeting, stop: the first of a process"
    bench_scaling.row(name, ours, theirs, "aiosmtpd", "1")


START = [
    Row(
        "start: to the first greeting",
        each(kept, "start", "greeting"),
        [Goal("aiosmtpd", 0.7, 0.46)],
        "ms",
        1e3,
    ),
    Row(
        "start: start, one mail, stop",
        each(kept, "start", "message"),
        [Goal("aiosmtpd", 0.65, 0.5)],
        "ms",
        1e3,
    ),
]


def stored(kind: str, must: float, aim: float) -> Row:
    """Memory of mails in a world that is quiet or recording."""
    kinds = {OURS: kind, FLOOR: "floor", "aiosmtpd": "aiosmtpd"}
    contestants = {name: fresh("mail_memory", which) for name, which in kinds.items()}
    name = f"memory: 1,000 stored mails of 2 kB, {kind}"
    return Row(name, contestants, [Goal("", must, aim)], "MiB", MIB, rounds=5)


MEMORY = [
    Row(
        "memory: a further world",
        each(fresh, "world_memory"),
        [Goal("", 25, 21)],
        "KiB",
        KIB,
        rounds=5,
    ),
    stored("quiet", 4, 2.4),
    stored("recording", 8, 5),
]

CHAIN = [
    Row(
        "chain: a mail to a program, which fetches it and answers; ours in a test's thread",
        {
            OURS: kept("chain", "ours"),
            FLOOR: kept("chain", "floor"),
            "real": chain_on_real_servers,
        },
        [Goal("real", 0.3, 0.2)],
        "ms",
        1e3,
    )
]

# ── the command ──────────────────────────────────────────────────────────────

# A function prints rows by itself: ratios that have an aim and no `must`.
GROUPS: Mapping[str, list[Row] | list[Callable[[], None]]] = {
    "smtp": SMTP,
    "pop3": POP3,
    "imap": bench_imap.ROWS,
    "xmpp": XMPP,
    "import": IMPORT,
    "start": START,
    "first": [first_world],
    "fixtures": bench_fixtures.ROWS,
    "memory": MEMORY,
    "chain": CHAIN,
    "growth": bench_growth.ROWS,
    "scaling": bench_scaling.ROWS,
    "toc": bench_toc.ROWS,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the groups that the command line names, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--rounds", type=int, default=0, help="rounds per row")
    parser.add_argument("--before", type=Path, help="another checkout, to measure both")
    parser.add_argument("--list", action="store_true", help="only print the names of the groups")
    options = parser.parse_args(arguments)
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"unknown group {min(unknown)!r}; choose from {', '.join(GROUPS)}")
    if options.list:
        print("\n".join(GROUPS))
        return
    with contextlib.ExitStack() as stack:
        other = options.before and stack.enter_context(overlay(options.before))
        measure(options.groups or list(GROUPS), options.rounds, other)


def measure(groups: Sequence[str], rounds: int, before: Path | None) -> None:
    """Measures these groups, and prints each row as soon as it is known."""
    begin = time.monotonic()
    print(f"medians (quartiles) of interleaved rounds, {pin()}\n")
    results: list[Result] = []
    for group in groups:
        for row in GROUPS[group]:
            if isinstance(row, Row):
                results.append(run(row, rounds, before))
                show(results[-1])
            else:
                row()
    summary(results)
    print(f"it took {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
