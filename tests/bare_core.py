"""A core without a socket: the test is its shell."""

from __future__ import annotations

from fakes.wire import Record, Session
from fakes.world import World


def drain(session: Session) -> bytes:
    """Returns all that the core wants to have written, and reports that it is written."""
    output = b""
    while more := session.take():
        output += more
    session.written()
    return output


def ask(session: Session, data: bytes) -> bytes:
    """Sends bytes to the core and returns its answer, without output from before."""
    drain(session)
    session.receive(data)
    return drain(session)


def exchanged(world: World) -> list[tuple[str, str, bytes]]:
    """Returns direction, verb and bytes of each record: two equal lists are the same dialogue."""
    records = [entry for entry in world.recording if isinstance(entry, Record)]
    return [(record.direction, record.verb, record.raw) for record in records]
