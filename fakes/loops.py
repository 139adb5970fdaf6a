"""Which event loop serves a world: that of asyncio, or uvloop, which is faster.

A rehearsal always runs on asyncio, so that what is installed does not change the run. In real time,
uvloop is used if it is installed. `World(loop=…)` or the environment's FAKES_LOOP choose.

Each loop of uvloop takes 280 KiB while it is open, one of asyncio 4: 256 KiB are the buffer into
which it reads. Closing the loop returns them (measured over 1,000 worlds that ended).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

from fakes.extras import installed

LOOPS = ("asyncio", "uvloop")
REMEDY = "uvloop is not installed: pip install uvloop, or write asyncio"


REINSTALL = (
    "install it again (pip install --force-reinstall uvloop), or write asyncio as the loop or in "
    "the environment's FAKES_LOOP"
)


def new_loop() -> asyncio.AbstractEventLoop:
    """Returns a loop of asyncio that can watch a socket; the default one of Windows cannot."""
    return asyncio.SelectorEventLoop() if os.name == "nt" else asyncio.new_event_loop()


def loop_factory(
    name: str | None, *, rehearsal: bool, environment: Mapping[str, str] = os.environ
) -> Callable[[], asyncio.AbstractEventLoop]:
    """Returns what makes the loop of a world. Raises ValueError for a loop that cannot be used.

    `name` is asyncio or uvloop; without one, the environment's FAKES_LOOP is.
    """
    chosen = name or environment.get("FAKES_LOOP", "")
    if chosen not in ("", *LOOPS):
        where = "loop" if name else "FAKES_LOOP"
        raise ValueError(f"{where}: unknown loop {chosen!r}; write {' or '.join(LOOPS)}")
    if rehearsal:
        if name == "uvloop":
            raise ValueError("loop: a rehearsal runs on asyncio; leave loop out")
        return new_loop
    if chosen == "asyncio":
        return new_loop
    if not installed("uvloop"):
        if chosen:
            raise ValueError(f"loop: {REMEDY}")
        return new_loop
    try:
        import uvloop
    except ImportError as error:
        raise ValueError(
            f"loop: uvloop is installed, but cannot be imported ({error}): {REINSTALL}"
        ) from None

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def check_running(name: str | None, running: asyncio.AbstractEventLoop) -> None:
    """Raises ValueError if a world that named its loop is to be served on one of another kind."""
    kind = "uvloop" if type(running).__module__.partition(".")[0] == "uvloop" else "asyncio"
    if name not in (None, kind):
        raise ValueError(
            f"loop: `async with` serves on the loop that runs, which is one of {kind}; leave loop "
            f"out, write `with`, or run the test on {name}"
        )
