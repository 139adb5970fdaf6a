"""What hosts say, and what status-digest remembers of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from comms.clock import Clock
from comms.host import Host
from comms.state import State
from comms.words import one_line


@dataclass(frozen=True)
class Report:
    """What a host said last, and when; `silence` is why it said nothing this time."""

    lines: dict[str, str]
    heard: float = 0.0
    silence: str = ""


def ask(command: Sequence[str], before: Report, timeout: float, clock: Clock, host: Host) -> Report:
    """Runs the command of a host. Returns what it says; if it is silent, what it said before."""
    outcome = host.run(command, timeout)
    rows = [one_line(row)[:200] for row in outcome.output.splitlines() if row.strip()]
    if outcome.code is None:
        return replace(before, silence="it did not answer")
    if outcome.code or not rows:
        return replace(before, silence=rows[-1] if rows else f"exit status {outcome.code}")
    pairs = (row.partition(":") for row in rows)
    return Report({key.strip(): value.strip() for key, _, value in pairs}, clock.time())


def recalled(state: State, name: str) -> Report:
    """Returns what a host said before; an empty report if it was never asked."""
    saved = state.recall(f"host {name}", asdict(Report({})))
    return Report(**saved) if saved else Report({})
