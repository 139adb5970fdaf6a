"""Calls from other threads to the loop of a world, and waits for changes of its state.

The state of a world belongs to the thread of its loop. Other threads use a Bridge:

    bridge.call(lambda: list(state))                 # run on the loop's thread; returns the result
    bridge.wait_until(lambda: state or None, 5)      # wait until the check returns something
    await bridge.until(lambda: state or None, 5)     # the same, for a test that runs on a loop
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class _Waiter(NamedTuple):
    check: Callable[[], object]
    future: concurrent.futures.Future[object]


class Bridge:
    """Runs calls on the loop's thread and wakes the threads that wait for a change.

    Until a loop is attached, everything runs where it is called. That is enough for cores without
    sockets, where nothing is concurrent.
    """

    __slots__ = ("_process", "_thread", "_waiters", "loop")

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._process = self._thread = 0
        self._waiters: tuple[_Waiter, ...] = ()

    def attach(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        """Sets the loop that owns the state, and the identifier of its thread."""
        self.loop, self._thread, self._process = loop, thread, os.getpid()

    @property
    def here(self) -> bool:
        """Whether the caller is on the loop's own thread, or no loop is attached."""
        return self.loop is None or threading.get_ident() == self._thread

    @property
    def running(self) -> bool:
        """Whether there is a loop that has not ended."""
        return self.loop is not None and not self.loop.is_closed()

    def hindrance(self) -> str:
        """Returns why a blocking wait of the caller is in vain, "" if it is not."""
        if not self.running:
            return "the world is not running"
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return ""
        return "the wait blocked the event loop of the test; use `await …arrival(…)`"

    def call(self, read: Callable[[], T]) -> T:
        """Runs `read` on the loop's thread and returns its result. Raises what it raises.

        Raises RuntimeError in a process that was forked, which has no such thread.
        """
        # After the loop has ended, nothing changes any more: the state may be read from anywhere.
        if self.here or self.loop is None or self.loop.is_closed():
            return read()
        if os.getpid() != self._process:
            raise RuntimeError(
                "this process was forked from the one in which the world serves; read there what "
                "has arrived, and give this one what it needs, such as world.address(…)"
            )
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(read())
            except BaseException as error:
                future.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return future.result()

    def run(self, work: Coroutine[object, object, T], timeout: float | None = None) -> T:
        """Runs a coroutine on the loop, from another thread, and returns its result.

        Raises what it raises, and TimeoutError after `timeout` seconds.
        """
        assert self.loop is not None and not self.here
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def changed(self) -> None:
        """Checks what the waiters wait for. Called on the loop's thread after every change."""
        if not self._waiters:
            return
        for check, future in self._waiters:
            if future.done():
                continue
            try:
                found = check()
            except BaseException as error:  # raised in the test that waits
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)
            else:
                # A waiter may be cancelled in its own thread at any moment, even now. A cancelled
                # future must not get a result.
                if found is not None and future.set_running_or_notify_cancel():
                    future.set_result(found)
        self._waiters = tuple(one for one in self._waiters if not one.future.done())

    def wait_until(self, check: Callable[[], T | None], timeout: float) -> T | None:
        """Blocks until `check` returns something other than None, and returns that.

        Returns None after `timeout` real seconds. Raises RuntimeError if it would block the loop
        that has to do the work.
        """
        __tracebackhide__ = True
        if self.here and self.loop is not None:
            found = check()
            if found is None:
                raise RuntimeError(
                    "a blocking wait on the loop that serves the fakes would never end; "
                    "use `await …arrival(…)`, or run this in a thread (asyncio.to_thread)"
                )
            return found
        future = self.call(lambda: self.add_waiter(check))
        try:
            # Without a loop, nothing can change while this thread waits.
            timeout = timeout if self.running else 0
            return future.result(timeout)  # type: ignore[return-value]
        except concurrent.futures.TimeoutError:
            self.call(lambda: self._forget(future))
            return None

    async def until(self, check: Callable[[], T | None], timeout: float) -> T | None:
        """Like `wait_until`, for a test that runs on a loop."""
        future = self.call(lambda: self.add_waiter(check))
        # A wrapped future is done only at the loop's next turn, too late for a timeout of 0.
        if future.done():
            return future.result()  # type: ignore[return-value]
        try:
            wrapped = asyncio.wrap_future(future)
            return await asyncio.wait_for(wrapped, timeout)  # type: ignore[arg-type]
        except TimeoutError:
            self.call(lambda: self._forget(future))
            return None

    def add_waiter(self, check: Callable[[], T | None]) -> concurrent.futures.Future[object]:
        """Adds a waiter. Its future is done at once if there is something already."""
        future: concurrent.futures.Future[object] = concurrent.futures.Future()
        self._waiters += (_Waiter(check, future),)
        self.changed()
        return future

    def _forget(self, future: concurrent.futures.Future[object]) -> None:
        self._waiters = tuple(one for one in self._waiters if one.future is not future)
