"""Greylisting: the first attempt to deliver is refused for now, a later one is accepted.

A mail server that retries gets through; a program that sends once does not. What is remembered is
the triple of the client's address, the sender and the recipient (RFC 6647 §2.4).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice


class Greylist:
    """When each triple was first seen, in seconds since the epoch. All connections share it.

    Beyond `limit` triples, the oldest tenth is forgotten, and `on_drop` is called with a sentence.
    """

    __slots__ = ("_first", "_limit", "_on_drop")

    def __init__(
        self, limit: int | None = None, on_drop: Callable[[str], None] = lambda text: None
    ) -> None:
        self._limit, self._on_drop = limit, on_drop
        self._first: dict[tuple[str, str, str], float] = {}

    def accepts(self, peer: str, sender: str, recipient: str, now: float, delay: float) -> bool:
        """Whether the first attempt of this triple was at least `delay` seconds ago."""
        if self._limit is not None and len(self._first) > self._limit:
            self._forget()
        triple = (peer, sender.casefold(), recipient.casefold())
        return now - self._first.setdefault(triple, now) >= delay

    def _forget(self) -> None:
        """Forgets the oldest tenth, not one at a time: a dict finds its first key slowly then."""
        oldest = list(islice(self._first, len(self._first) // 10 + 1))
        for triple in oldest:
            del self._first[triple]
        self._on_drop(
            f"greylist: forgot the {len(oldest):,} oldest triples, because keep.greylist is "
            f"{self._limit:,}"
        )
