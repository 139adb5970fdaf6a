"""A recording as text for people: who did what at what simulated time, and the wire with RFCs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

CONTENT = 16  # lines of a message that are shown
WIDTH = 100
LONGEST = 200  # characters of a line that are shown


def narrate(recording: Iterable[Any]) -> Iterator[str]:
    """Yields the lines of a recording.

    An item with a `direction` is a record of the wire; any other is an event.
    """
    for item in recording:
        stamp = time.strftime("%H:%M:%S", time.gmtime(item.at))
        if not hasattr(item, "direction"):
            text = f"says: {item.text}" if item.level == "say" else item.text
            first, *more = text.split("\n")
            yield f"{stamp}  {item.who}: {first}"
            yield from (f"          | {line}".rstrip() for line in more)
        elif item.direction == "-":
            fault = f"   (fault: {item.fault})" if item.fault else ""
            if remark := getattr(item, "fields", {}).get("remark"):
                fault = f"   ({remark}){fault}"
            yield f"{stamp}  [{item.protocol} {item.session}] {item.verb}{fault}"
        else:
            yield from _wire(item)


def _wire(record: Any) -> Iterator[str]:
    """The lines of a command, or of an answer; a long one without its middle."""
    text = record.shown().decode("utf-8", "backslashreplace")
    lines = text.removesuffix("\r\n").split("\r\n")
    hidden = len(lines) - CONTENT
    what = getattr(record, "fields", {}).get("remark", "")
    if hidden > 1:
        lines[CONTENT - 1 : -1] = [f"… {hidden} more lines …"]
    for number, line in enumerate(lines):
        section = record.section if number == 0 and record.direction == "C" else ""
        fault = f"   (fault: {record.fault})" if record.fault and number == 0 else ""
        if len(line) > LONGEST:
            line = f"{line[:LONGEST]} … {len(line) - LONGEST:,} more characters"
        remark = f"   ({what})" if number == 0 and what else ""
        shown = f"          {record.direction}: {_printable(line)}{remark}{fault}"
        yield f"{shown:<{WIDTH - 22}} {section}".rstrip()


def _printable(line: str) -> str:
    """The line with escapes for what a terminal would obey or not show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
