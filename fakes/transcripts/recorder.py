"""A recording written as a transcript: save it in tests/transcripts, and it is a test."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fakes.descriptor import Server
from fakes.host import Event
from fakes.servers import SERVERS
from fakes.transcripts.codec import Codec, Lines, escaped, protected
from fakes.wire import Record

_EVENTS = {
    "tls": "C: (tls)",
    "closes": "S: (closes)",
    "resets": "S: (resets)",
    "leaves": "C: (leaves)",
}


def render(
    recording: Iterable[Record | Event],
    title: str = "",
    given: str = "",
    *,
    masked: bool = True,
    fold: int = 0,
    servers: Iterable[Server] = SERVERS,
) -> str:
    """Returns a recording as a transcript; `given` is the world file that it was made in.

    With `fold`, a unit of more lines than that is cut, and a comment says how many are left out.
    """
    records = [one for one in recording if isinstance(one, Record)]
    names, talks = _names(records)
    faults = list(dict.fromkeys(record.fault for record in records if record.fault))
    first = records[0].protocol if records else "nothing"
    lines = [title or f"{first.upper()}: a recording"]
    lines += [f"given: {line}" for line in given.splitlines() if line.strip()]
    lines += [f"talks: {name} {talk}" for name, talk in talks.items() if talk != first]
    lines += [f"fault: {fault}" for fault in faults]
    lines.append("")
    clock = records[0].at if records else 0.0
    for record in records:
        event = record.direction == "-" and record.verb in ("connects", "fault")
        if record.at - clock >= 1 and not event:
            lines.append(f"clock: {record.at - clock:g}")
            clock = record.at
        prefix = f"{names[record.session]} " if names[record.session] else ""
        unit = list(lines_of(record, masked, servers))
        if fold and len(unit) > fold:
            unit[fold - 1 :] = [f"# and {len(unit) - fold + 1} more lines"]
        lines += [line if line.startswith("# ") else prefix + line for line in unit]
    return "\n".join(lines) + "\n"


def lines_of(
    record: Record, masked: bool = True, servers: Iterable[Server] = SERVERS
) -> Iterator[str]:
    """Yields the lines of one record, without a name before them."""
    if record.direction != "-":
        yield from codec_of(record.protocol, servers).to_lines(record, masked)
    elif record.verb == "unfinished":
        yield f"C| {protected(escaped(record.shown() if masked else record.raw, '{'))}"
    elif record.verb in _EVENTS:
        yield _EVENTS[record.verb]


def wire_lines(one: Record | Event, servers: Iterable[Server] = SERVERS) -> Iterator[str]:
    """Yields a record as lines for a person who watches, secrets masked; nothing for an event.

    A fault is named after the unit that it strikes, before what it makes the server do.
    """
    if not isinstance(one, Record):
        return
    for line in lines_of(one, servers=servers):
        yield f"{one.protocol}-{one.session} {line}"
    if "remark" in one.fields:
        yield f"{one.protocol}-{one.session} # {one.fields['remark']}"
    if one.fault:
        yield f"{one.protocol}-{one.session} # fault: {one.fault}"


def codec_of(protocol: str, servers: Iterable[Server] = SERVERS) -> Codec:
    """Returns a codec for one connection of a protocol."""
    for server in servers:
        if server.name == protocol:
            return server.codec()
    return Lines()  # a successor, such as the HTTP of TOC's port


def _names(records: list[Record]) -> tuple[dict[int, str], dict[str, str]]:
    """Returns session → name ("" if there is only one) and name → what it talks, and where."""
    protocols = {record.session: record.protocol for record in records}
    # A connection may be handed over to another protocol: what it began with names the port.
    began = {record.session: record.protocol for record in reversed(records)}
    if len(protocols) < 2 and began == protocols:
        return dict.fromkeys(protocols, ""), {}
    people = {one.session: one.person.partition("@")[0] for one in records if one.person}
    # A name that two sessions share, or that the grammar does not allow, is replaced by a number.
    unique = {
        name
        for name in people.values()
        if list(people.values()).count(name) == 1 and re.fullmatch(r"[\w.+-]+", name)
    }
    names = {
        number: people[number] if people.get(number) in unique else f"{protocol}-{number}"
        for number, protocol in protocols.items()
    }
    talks = {
        number: protocol if began[number] == protocol else f"{protocol} at {began[number]}"
        for number, protocol in protocols.items()
    }
    return names, {names[number]: talk for number, talk in talks.items()}
