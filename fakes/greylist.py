"""Greylisting: the first attempt to deliver is refused for now, a later one is accepted.

A mail server that retries gets through; a program that sends once does not. What is remembered is
the triple of the client's address, the sender and the recipient (RFC 6647 §2.4).
"""

from __future__ import annotations


class Greylist:
    """When each triple was first seen, in seconds since the epoch. All connections share it."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str, str], float] = {}

    def accepts(self, peer: str, sender: str, recipient: str, now: float, delay: float) -> bool:
        """Whether the first attempt of this triple was at least `delay` seconds ago."""
        triple = (peer, sender.casefold(), recipient.casefold())
        return now - self._first.setdefault(triple, now) >= delay
