"""Is a service up? Three ways to find out, with one verdict: "up", "down" or "unknown".

A service is only "down" if that is certain. What cannot be determined is "unknown".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from comms.host import Host
from comms.numbers import number

NAME = 15  # bytes of a process's name that Linux keeps
DEAD = "ZX"  # states of processes that no longer run; a zombie is only a row in the table


def by_name(host: Host, names: Iterable[str]) -> str:
    """Returns whether a process with exactly one of these names runs.

    The caller and its descendants do not count.
    """
    try:
        table = host.processes()
    except OSError:
        return "unknown"
    wanted = {name[:NAME] for name in names}
    runs = any(row.name[:NAME] in wanted and row.state not in DEAD for row in table)
    return "up" if runs else "down"


def by_pidfile(host: Host, path: Path, names: Iterable[str] = ()) -> str:
    """Returns whether the process in a pidfile runs and, if names are given, has one of them.

    The names are necessary because the system reuses process ids. Without a file, or without a
    number in it, the verdict is "unknown": a service that never started looks the same as one that
    was stopped on purpose.
    """
    try:
        pid = number(host.read(path).split()[0])
        table = host.processes()
    except (OSError, IndexError):
        return "unknown"
    if pid is None:
        return "unknown"
    wanted = {name[:NAME] for name in names}
    for row in table:
        if row.pid == pid and row.state not in DEAD:
            return "up" if not wanted or row.name[:NAME] in wanted else "down"
    return "down"


def by_tcp(host: Host, address: str, port: int, timeout: float = 5.0) -> str:
    """Returns whether something accepts TCP connections there.

    Only a refusal means "down". Silence, or no route to the address, is "unknown".
    """
    try:
        return "up" if host.connects(address, port, timeout) else "down"
    except OSError:
        return "unknown"
