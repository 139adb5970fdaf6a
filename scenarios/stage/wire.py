"""All of the wire: what the client sends on the left, what the server sends further right.

The section of the standard stands at the right edge where there is room. Secrets are masked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import groupby
from typing import Any

from scenarios.stage.text import Line

CONTENT = 16  # lines of a unit that are shown
DEEPEST = 8  # levels by which XML is indented
_CLIENT, _SERVER = 10, 24  # the columns at which the two begin
LEGEND = "Words in {braces} stand for secrets, which are never shown."


class WireChoice:
    """Which records are shown: `all`, a protocol, or one of its sessions (`smtp:3`)."""

    def __init__(self, text: str, protocols: Sequence[str]) -> None:
        """Raises ValueError if the text is none of these."""
        self.protocol, colon, number = text.partition(":")
        if self.protocol == "all" and not colon:
            self.protocol = ""
        elif self.protocol not in protocols:
            near = get_close_matches(self.protocol, ["all", *protocols], 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            known = ", ".join(protocols)
            raise ValueError(
                f"unknown {text!r}{hint}; choose from: all, {known}, or {protocols[0]}:3"
            )
        if colon and re.fullmatch("[1-9][0-9]{0,8}", number) is None:
            raise ValueError(f"{text!r}: {number!r} must be the number of a session, as in smtp:3")
        self.session = int(number) if colon else 0

    def check(self, recorded: Iterable[Any]) -> None:
        """Raises ValueError if nothing that was recorded is chosen."""
        last: dict[str, int] = {}  # protocol → the highest number of its sessions
        for item in recorded:
            if hasattr(item, "direction"):
                last[item.protocol] = max(item.session, last.get(item.protocol, 0))
        if self.protocol and self.protocol not in last:
            known = ", ".join(["all", *last])
            raise ValueError(f"nobody speaks {self.protocol} here; choose from: {known}")
        if self.session > last.get(self.protocol, 0):
            known = ", ".join(f"{protocol}:1 to {number}" for protocol, number in last.items())
            raise ValueError(
                f"no session {self.protocol}:{self.session} here; choose from: {known}"
            )

    def __call__(self, item: Any) -> bool:
        """Whether an item of a recording is shown. What did not happen on the wire always is."""
        if not hasattr(item, "direction"):
            return True
        return (not self.protocol or item.protocol == self.protocol) and (
            not self.session or item.session == self.session
        )


def wire(recording: Iterable[Any], chosen: WireChoice, width: int) -> Iterator[Line]:
    """Yields the lines of a recording."""
    for item in recording:
        if not chosen(item):
            continue
        stamp = time.strftime("%H:%M:%S", time.gmtime(item.at))
        if not hasattr(item, "direction"):
            first, *more = item.text.split("\n")
            said = "says: " if item.level == "say" else ""
            yield [(f"{stamp}  ", "dim"), (f"{item.who}: {said}{first}", "bold")]
            yield from ([(f"{'':10}| {line}", "")] for line in more)
        elif item.direction == "-":
            remark = item.fields.get("remark", "")
            text = " ".join(
                filter(None, (item.verb, f"({remark})" if remark else "", _fault(item)))
            )
            yield [(f"{stamp}  [{item.protocol}:{item.session}] {text}", "dim")]
        else:
            yield from _unit(item, width)


def _unit(record: Any, width: int) -> Iterator[Line]:
    """Yields the lines of a unit, a long one without its middle."""
    indent = _CLIENT if record.direction == "C" else _SERVER
    style = "" if record.direction == "C" else "green"
    shown = decoded(record)
    hidden = len(shown) - CONTENT
    if hidden > 1:
        shown[CONTENT - 1 : -1] = [f"… {hidden} more lines …"]
    if remark := getattr(record, "fields", {}).get("remark"):
        shown[0] += f"   ({remark})"
    if fault := _fault(record):
        shown[0] += f"   {fault}"
        style = "bold red"
    room = width - indent - 3
    for number, text in enumerate(shown):
        mark = f"{record.direction}: " if number == 0 else "   "
        parts = [text[at : at + room] for at in range(0, len(text), room)] or [""]
        for part in parts[:4]:
            line: Line = [(" " * indent + mark + part, style)]
            free = width - indent - len(mark) - len(part)
            if number == 0 and part is parts[0] and len(record.section) + 2 <= free:
                line.append((f"{record.section:>{free}}", "dim"))
            yield line
            mark = "   "
        if len(parts) > 4:
            yield [(f"{'':{indent}}   … {len(text) - 4 * room:,} more characters", style)]


def _fault(record: Any) -> str:
    return f"(fault: {record.fault})" if record.fault else ""


def decoded(record: Any) -> list[str]:
    """Returns a unit as the lines in which a person reads it, secrets masked.

    XML has an element a line, a frame of TOC its type and number, and encoded parts of a mail are
    left out.
    """
    text = record.shown().decode("utf-8", "backslashreplace").removesuffix("\r\n")
    if record.protocol in ("xmpp", "component"):
        return _xml(text)
    lines = [_printable(line) for line in text.replace("\r\n", "\n").split("\n")]
    if record.protocol == "toc" and record.raw[:1] == b"*" and len(record.raw) >= 6:
        kind = {1: "signon", 2: "data", 3: "error", 5: "keepalive"}.get(record.raw[1], "frame")
        lines[0] = f"[{kind} {int.from_bytes(record.raw[2:4], 'big')}] {lines[0]}"
    return list(_without_encoded_parts(lines))


_ENCODED = re.compile(r"[A-Za-z0-9+/]{60,}={0,2}")


def _without_encoded_parts(lines: list[str]) -> Iterator[str]:
    for encoded, group in groupby(lines, lambda line: bool(_ENCODED.fullmatch(line))):
        found = list(group)
        if encoded and len(found) > 1:
            yield f"… {len(found)} lines of base64 …"
        else:
            yield from found


def _xml(text: str) -> list[str]:
    """Returns XML with an element a line, each indented by how deep it is."""
    lines: list[str] = []
    depth = 0
    for tag in re.findall(r"<?[^<]+", text):  # a tag and the text after it
        closing = tag.startswith("</")
        if closing:
            depth = max(depth - 1, 0)
        if lines and (closing or not tag.startswith("<")) and len(lines[-1]) + len(tag) < 70:
            lines[-1] += _printable(tag)
        else:
            lines.append("  " * min(depth, DEEPEST) + _printable(tag))
        head = tag.partition(">")[0]
        if tag.startswith("<") and not closing and not head.endswith(("/", "?")):
            depth += 1
    return lines or [""]


def _printable(line: str) -> str:
    """The line with escapes for what a terminal would obey or not show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
