"""Starting and stopping a world: on a thread of its own, or on the loop of an async test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from fakes.loops import check_running, new_loop
from fakes.shell import Shell

STOP = 5.0  # real seconds that a world takes to stop before that is an error


def _nothing() -> None:
    pass


class Life:
    """The loop that serves one world, made by `make`; `named` is the one that the world named.

    To start, it is told how to `open` the world's ports; to stop, what the world does first, before
    its connections are closed.
    """

    __slots__ = ("_make", "_named", "_shell", "_thread", "running")

    def __init__(
        self,
        shell: Shell,
        make: Callable[[], asyncio.AbstractEventLoop] = new_loop,
        named: str | None = None,
    ) -> None:
        self._shell = shell
        self._make, self._named = make, named
        self._thread: threading.Thread | None = None
        self.running = False

    def start(self, open: Callable[[], None]) -> None:
        """Opens the ports and serves them on a thread. Raises OSError if a port is in use."""
        loop = self._make()
        self._shell.attach(loop)
        self._thread = threading.Thread(target=loop.run_forever, name="world", daemon=True)
        try:
            open()  # before the thread runs, so that the caller gets its errors
            self._thread.start()
            self._shell.bridge.attach(loop, self._thread.ident or 0)
            self.running = True
        except BaseException:
            self.stop()
            raise

    def stop(self, first: Callable[[], None] = _nothing) -> None:
        """Closes everything and ends the thread.

        Raises RuntimeError, naming what holds it, if it does not end within five seconds.
        """
        self.running = False
        loop, thread = self._shell.loop, self._thread
        assert thread is not None

        async def end() -> None:
            await self._shell.stop(first)
            loop.stop()

        if thread.is_alive():
            loop.call_soon_threadsafe(lambda: loop.create_task(end()))
            thread.join(STOP)
            if thread.is_alive():
                raise self._held()
        else:
            loop.run_until_complete(self._shell.stop(first))
        loop.close()

    def check_loop(self) -> None:
        """Raises ValueError if the caller does not run on the loop that the world named."""
        check_running(self._named, asyncio.get_running_loop())

    async def start_here(self, open: Callable[[], None]) -> None:
        """Serves on the loop that the caller runs on. Raises OSError if a port is in use."""
        loop = asyncio.get_running_loop()
        self._shell.attach(loop)
        self._shell.bridge.attach(loop, threading.get_ident())
        try:
            open()
        except BaseException:
            await self.stop_here()
            raise
        self.running = True

    async def stop_here(self, first: Callable[[], None] = _nothing) -> None:
        """Closes everything on the caller's loop. Raises RuntimeError if that takes too long."""
        self.running = False
        try:
            await asyncio.wait_for(self._shell.stop(first), STOP)
        except TimeoutError:
            raise self._held() from None

    def _held(self) -> RuntimeError:
        holder = self._shell.holder
        return RuntimeError(f"the world did not stop within {STOP:g} s, held by {holder}")
