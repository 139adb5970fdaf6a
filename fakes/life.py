"""Starting and stopping a world: on a thread of its own, or on the loop of an async test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine

from fakes.bridge import Bridge
from fakes.shell import Shell

STOP = 5.0  # real seconds that a world takes to stop before that is an error

Open = Callable[[], Coroutine[object, object, None]]


class Life:
    """The loop that serves one world."""

    def __init__(self, shell: Shell, bridge: Bridge) -> None:
        self._shell = shell
        self._bridge = bridge
        self._thread: threading.Thread | None = None

    def start(self, open: Open) -> None:
        """Starts a thread with a loop, and opens the ports on it."""
        loop = asyncio.new_event_loop()
        self._shell.attach(loop)
        self._thread = threading.Thread(target=loop.run_forever, name="world", daemon=True)
        try:
            if _on_a_loop():
                # An async test that wants the world on another thread: its loop cannot be nested.
                self._thread.start()
                self._bridge.attach(loop, self._thread.ident or 0)
                self._bridge.run(open())
            else:
                # Each hand-over between threads costs more than opening a port, so the ports are
                # opened first and the thread takes over the loop afterwards.
                loop.run_until_complete(open())
                self._thread.start()
                self._bridge.attach(loop, self._thread.ident or 0)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Closes everything and ends the thread.

        Raises RuntimeError, naming what holds it, if it does not end within five seconds.
        """
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
        loop.close()

    async def start_here(self, open: Open) -> None:
        """Serves on the caller's loop."""
        loop = asyncio.get_running_loop()
        self._shell.attach(loop)
        self._bridge.attach(loop, threading.get_ident())
        await open()

    async def stop_here(self) -> None:
        """Closes everything on the caller's loop. Raises RuntimeError if that takes too long."""
        try:
            await asyncio.wait_for(self._shell.stop(), STOP)
        except TimeoutError:
            raise self._held() from None

    def _held(self) -> RuntimeError:
        holder = self._shell.holder
        return RuntimeError(f"the world did not stop within {STOP:g} s, held by {holder}")


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
