"""Between a world's loop and everyone else: calls marshalled onto it, and waits for what happens there."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")


class Bridge:
    """State belongs to the loop's thread: read it with `call`, wait for it with `wait_until` or `await until`.

    Without a loop (cores alone, nothing concurrent) everything runs where it is called.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._waiters: list[tuple[Callable[[], object], concurrent.futures.Future[object]]] = []

    def attach(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        """From now on the state belongs to this loop in this thread."""
        self.loop, self._thread = loop, thread

    @property
    def here(self) -> bool:
        """Whether the caller is on the loop's own thread (or there is no loop)."""
        return self.loop is None or threading.get_ident() == self._thread

    def call(self, read: Callable[[], T]) -> T:
        """The result of `read`, run on the loop's thread. Raises what it raises."""
        if self.here or self.loop is None or self.loop.is_closed():
            return read()
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(read())
            except BaseException as error:
                future.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return future.result()

    def run(self, work: Coroutine[object, object, T], timeout: float | None = None) -> T:
        """The result of a coroutine, run on the loop from another thread. Raises what it raises, and TimeoutError."""
        assert self.loop is not None and not self.here
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def changed(self) -> None:
        """Something happened that somebody may be waiting for. Called on the loop's thread."""
        for waiter in list(self._waiters):
            check, future = waiter
            if future.done():
                continue
            try:
                found = check()
            except BaseException as error:
                future.set_exception(error)
            else:
                if found is None:
                    continue
                future.set_result(found)
            self._waiters.remove(waiter)

    def wait_until(self, check: Callable[[], T | None], timeout: float) -> T | None:
        """What `check` gives once it gives something; None after `timeout` real seconds. Blocks.

        Raises RuntimeError when called on the loop that would have to do the work.
        """
        __tracebackhide__ = True
        if self.here and self.loop is not None:
            found = check()
            if found is None:
                raise RuntimeError(
                    "a blocking wait on the loop that serves the fakes would wait for ever; "
                    "use `await …arrival(…)`, or run this in a thread (asyncio.to_thread)"
                )
            return found
        future = self.call(lambda: self._waiter(check))
        try:
            return future.result(timeout if self.loop is not None else 0)  # type: ignore[return-value]
        except concurrent.futures.TimeoutError:
            self.call(lambda: self._forget(future))
            return None

    async def until(self, check: Callable[[], T | None], timeout: float) -> T | None:
        """The twin of `wait_until` for a test that runs on a loop."""
        future = self.call(lambda: self._waiter(check))
        # A wrapped future is done only at the loop's next turn, too late for a timeout of 0.
        if future.done():
            return future.result()  # type: ignore[return-value]
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)  # type: ignore[arg-type]
        except TimeoutError:
            self.call(lambda: self._forget(future))
            return None

    def _waiter(self, check: Callable[[], T | None]) -> concurrent.futures.Future[object]:
        future: concurrent.futures.Future[object] = concurrent.futures.Future()
        self._waiters.append((check, future))
        self.changed()
        return future

    def _forget(self, future: concurrent.futures.Future[object]) -> None:
        self._waiters = [waiter for waiter in self._waiters if waiter[1] is not future]
