"""What happened in a world: records of the wire, and events off it, in order."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from fakes.descriptor import Server
from fakes.history import Snapshot
from fakes.host import Event
from fakes.wire import Record

_PORT = re.compile(r"\b(?:127\.0\.0\.1|localhost):(\d+)\b")


class _Sorted:
    """The entries of a recording by their kind. Each entry is looked at once."""

    __slots__ = ("_end", "events", "records", "said")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.events: list[Event] = []
        self.said: list[str] = []  # the texts of the events that are lines of the program's output
        self._end = 0

    def add_from(self, entries: list[Record | Event]) -> None:
        """Adds those that came since the last call."""
        new = entries[self._end :]
        self._end += len(new)  # not the length now: another thread may add entries meanwhile
        for entry in new:
            if isinstance(entry, Record):
                self.records.append(entry)
            else:
                self.events.append(entry)
                if entry.level == "say":
                    self.said.append(entry.text)


class Recording:
    """The record of one world.

    `watch` is called with each entry instead of keeping it: a server that runs for months must not
    keep everything. If the environment has FAKES_DEBUG=1, each entry is also printed on stderr.
    """

    __slots__ = ("_debug", "_entries", "_servers", "_sorted", "_watch")

    def __init__(
        self, watch: Callable[[Record | Event], None] | None, servers: Iterable[Server]
    ) -> None:
        self._entries: list[Record | Event] = []
        self._sorted: _Sorted | None = None  # made when one kind of entry is first asked for
        self._watch = watch
        self._servers = tuple(servers)
        self._debug = os.environ.get("FAKES_DEBUG", "0") not in ("", "0")

    def add(self, entry: Record | Event) -> None:
        """Adds an entry."""
        if self._debug:
            from fakes.transcripts.recorder import wire_lines

            for line in wire_lines(entry, self._servers):
                print(line, file=sys.stderr)
        if self._watch is not None:
            self._watch(entry)
            return
        self._entries.append(entry)

    def taker(self, wanted: bool) -> Callable[[Record], None] | None:
        """Returns what takes the records of the wire; None if they are not wanted."""
        return self.add if wanted or self._debug else None

    @property
    def entries(self) -> Snapshot[Record | Event]:
        """All entries so far."""
        return Snapshot(self._entries)

    @property
    def records(self) -> Snapshot[Record]:
        """The entries of the wire so far."""
        return Snapshot(self._by_kind().records)

    @property
    def events(self) -> Snapshot[Event]:
        """The entries off the wire so far."""
        return Snapshot(self._by_kind().events)

    @property
    def said(self) -> Snapshot[str]:
        """The lines that the program printed so far."""
        return Snapshot(self._by_kind().said)

    def _by_kind(self) -> _Sorted:
        if self._sorted is None:
            self._sorted = _Sorted()
        self._sorted.add_from(self._entries)
        return self._sorted


def without_ports(event: Event, host: str, names: Mapping[int, str]) -> Event:
    """Returns an event with `HOST:NAME` in place of our own addresses.

    Port numbers differ from run to run, and a rehearsal must not. `names` maps them to listeners.
    """
    text = _PORT.sub(lambda match: f"{host}:{names.get(int(match[1]), match[1])}", event.text)
    return replace(event, text=text)
