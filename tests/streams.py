"""A connection that a test reads itself, whenever it wants to."""

from __future__ import annotations

from comms.clock import Clock
from comms.link import Link


def open_stream(host: str, port: int, clock: Clock) -> Link:
    """Connects. What arrives is a stream, so that no time limit for an answer holds."""
    link = Link.connect(host, port, clock=clock)
    link.expect(None)
    return link
