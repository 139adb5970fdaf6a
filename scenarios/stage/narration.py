"""A recording told to a person: who did what at what simulated time, and the wire with its sections."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

CONTENT = 16  # lines of a message that are shown
WIDTH = 100
LONGEST = 200  # characters of a line that are shown


def narrate(recording: Iterable[Any]) -> Iterator[str]:
    """The lines of a recording: records of the wire (they have a `direction`), and events between them."""
    for one in recording:
        stamp = time.strftime("%H:%M:%S", time.gmtime(one.at))
        if not hasattr(one, "direction"):
            first, *more = (f"says: {one.text}" if one.level == "say" else one.text).split("\n")
            yield f"{stamp}  {one.who}: {first}"
            yield from (f"          | {line}".rstrip() for line in more)
        elif one.direction == "-":
            fault = f"   (fault: {one.fault})" if one.fault else ""
            yield f"{stamp}  [{one.protocol} {one.session}] {one.verb}{fault}"
        else:
            yield from _wire(one)


def _wire(record: Any) -> Iterator[str]:
    lines = record.shown().decode("utf-8", "backslashreplace").removesuffix("\r\n").split("\r\n")
    hidden = len(lines) - CONTENT
    if hidden > 1:
        lines[CONTENT - 1 : -1] = [f"… {hidden} more lines …"]
    for number, line in enumerate(lines):
        section = record.section if number == 0 and record.direction == "C" else ""
        fault = f"   (fault: {record.fault})" if record.fault and number == 0 else ""
        if len(line) > LONGEST:
            line = f"{line[:LONGEST]} … {len(line) - LONGEST:,} more characters"
        shown = f"          {record.direction}: {_printable(line)}{fault}"
        yield f"{shown:<{WIDTH - 22}} {section}".rstrip()


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
