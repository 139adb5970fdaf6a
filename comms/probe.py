"""Is a service up? Three ways to look, one verdict: up, down, or unknown. What cannot be looked at is never down."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from comms.host import Host

NAME = 15  # characters of a process's name that Linux keeps
DEAD = "ZX"  # states of a process that runs no more: a zombie is only a row


def by_name(host: Host, names: Iterable[str]) -> str:
    """Whether a process of exactly one of these names runs, other than the caller and its children."""
    try:
        table = host.processes()
    except OSError:
        return "unknown"
    wanted = {name[:NAME] for name in names}
    return (
        "up"
        if any(one.name[:NAME] in wanted and one.state not in DEAD for one in table)
        else "down"
    )


def by_pidfile(host: Host, path: Path, names: Iterable[str] = ()) -> str:
    """Whether the process runs whose number stands in a file and, as numbers are used again, has one of these names.

    No file, or no number in it: unknown, since a service that never came up and one that was stopped look the same.
    """
    try:
        pid = int(host.read(path).split()[0])
        table = host.processes()
    except (OSError, ValueError, IndexError):
        return "unknown"
    wanted = {name[:NAME] for name in names}
    return "up" if any(
        one.pid == pid and one.state not in DEAD and (not wanted or one.name[:NAME] in wanted) for one in table
    ) else "down"  # fmt: skip


def by_tcp(host: Host, address: str, port: int, timeout: float = 5.0) -> str:
    """Whether something takes connections there. Only a refusal says down; silence and no way there are unknown."""
    try:
        return "up" if host.connects(address, port, timeout) else "down"
    except OSError:
        return "unknown"
