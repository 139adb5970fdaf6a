"""Waiting until a socket or a pipe is ready, whatever the number of its descriptor is."""

from __future__ import annotations

import selectors
from collections.abc import Iterable
from typing import Any

# Not select.select: it refuses descriptors above 1023, which a large test suite reaches. Not epoll
# either: it is a descriptor itself, to be opened and closed at each wait.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def wait_until_ready(
    reading: Iterable[Any], seconds: float | None, writing: Iterable[Any] = ()
) -> bool:
    """Waits until one of these can be read or written, and returns whether one can.

    They are sockets, descriptors, or objects with a method `fileno`. Without `seconds`, the wait
    has no end.
    """
    with _Selector() as selector:
        for source in reading:
            selector.register(source, selectors.EVENT_READ)
        for target in writing:
            selector.register(target, selectors.EVENT_WRITE)
        return bool(selector.select(seconds))
