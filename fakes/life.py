"""Starting and stopping a world: on a thread of its own, or on the loop of an async test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from fakes.bridge import Bridge
from fakes.shell import Shell

STOP = 5.0  # real seconds that a world takes to stop before that is an error


class Life:
    """The loop that serves one world. `open` opens the world's ports, `new_loop` makes the loop."""

    __slots__ = ("_bridge", "_new_loop", "_open", "_shell", "_thread", "running")

    def __init__(
        self,
        shell: Shell,
        bridge: Bridge,
        open: Callable[[], None],
        new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        self._shell = shell
        self._bridge = bridge
        self._open = open
        self._new_loop = new_loop
        self._thread: threading.Thread | None = None
        self.running = False

    def start(self) -> None:
        """Opens the ports and serves them on a thread. Raises OSError if a port is in use."""
        loop = self._new_loop()
        self._shell.attach(loop)
        self._thread = threading.Thread(target=loop.run_forever, name="world", daemon=True)
        try:
            self._open()  # before the thread runs, so that the caller gets its errors
            self._thread.start()
            self._bridge.attach(loop, self._thread.ident or 0)
            self.running = True
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Closes everything and ends the thread.

        Raises RuntimeError, naming what holds it, if it does not end within five seconds.
        """
        self.running = False
        loop, thread = self._shell.loop, self._thread
        assert thread is not None

        async def end() -> None:
            await self._shell.stop()
            loop.stop()

        if thread.is_alive():
            loop.call_soon_threadsafe(lambda: loop.create_task(end()))
            thread.join(STOP)
            if thread.is_alive():
                raise self._held()
        else:
            loop.run_until_complete(self._shell.stop())
        loop.close()

    def start_here(self) -> None:
        """Serves on the loop that the caller runs on. Raises OSError if a port is in use."""
        loop = asyncio.get_running_loop()
        self._shell.attach(loop)
        self._bridge.attach(loop, threading.get_ident())
        self._open()
        self.running = True

    async def stop_here(self) -> None:
        """Closes everything on the caller's loop. Raises RuntimeError if that takes too long."""
        self.running = False
        try:
            await asyncio.wait_for(self._shell.stop(), STOP)
        except TimeoutError:
            raise self._held() from None

    def _held(self) -> RuntimeError:
        holder = self._shell.holder
        return RuntimeError(f"the world did not stop within {STOP:g} s, held by {holder}")
