"""Calls and waits across threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from fakes.bridge import Bridge


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    """A bridge to a loop that runs in another thread."""
    bridge, loop = Bridge(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    bridge.attach(loop, thread.ident or 0)
    yield bridge
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def here() -> Bridge:
    """A bridge to the running loop."""
    bridge = Bridge()
    bridge.attach(asyncio.get_running_loop(), threading.get_ident())
    return bridge


class State:
    """Something that is None until it is set; setting it wakes the waiters."""

    def __init__(self, bridge: Bridge) -> None:
        self.value: str | None = None
        self.checked = 0
        self._bridge = bridge

    def check(self) -> str | None:
        self.checked += 1
        return self.value

    def set(self, value: str) -> None:
        self.value = value
        self._bridge.changed()

    def set_later(self, value: str) -> threading.Timer:
        """Sets it from another thread, in a moment."""
        timer = threading.Timer(0.01, lambda: self._bridge.call(lambda: self.set(value)))
        timer.start()
        return timer


def boom() -> str | None:
    raise LookupError("boom")


# ── calls ────────────────────────────────────────────────────────────────────


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12
def test_in_a_forked_process_a_call_is_an_error_and_does_not_hang(bridge: Bridge) -> None:
    reading, writing = os.pipe()
    if os.fork() == 0:
        signal.alarm(20)  # if it hangs
        try:
            bridge.wait_until(lambda: None, 0)
        except RuntimeError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as answer:
        assert answer.read().startswith("this process was forked from the one in which the world")


def test_without_a_loop_a_call_runs_where_it_is_made() -> None:
    assert Bridge().here
    assert Bridge().call(threading.get_ident) == threading.get_ident()


def test_a_call_runs_on_the_loop_s_thread(bridge: Bridge) -> None:
    assert not bridge.here
    assert bridge.call(
        lambda: (bridge.here, threading.get_ident() != threading.main_thread().ident)
    )


def test_a_call_raises_what_its_function_raises(bridge: Bridge) -> None:
    with pytest.raises(LookupError, match="boom"):
        bridge.call(boom)


def test_after_the_loop_has_ended_a_call_runs_where_it_is_made() -> None:
    bridge, loop = Bridge(), asyncio.new_event_loop()
    bridge.attach(loop, 0)
    loop.close()
    assert bridge.call(threading.get_ident) == threading.get_ident()


def test_a_coroutine_runs_on_the_loop(bridge: Bridge) -> None:
    async def work() -> bool:
        return bridge.here

    assert bridge.run(work()) is True

    async def endless() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        bridge.run(endless(), timeout=0.01)


# ── blocking waits ───────────────────────────────────────────────────────────


def test_without_a_loop_a_wait_checks_once() -> None:
    state = State(Bridge())
    assert Bridge().wait_until(lambda: 3, 1) == 3
    assert Bridge().wait_until(state.check, 5) is None, "at once: nothing can change meanwhile"
    assert state.checked == 1


def test_a_wait_ends_when_its_check_returns_something(bridge: Bridge) -> None:
    state = State(bridge)
    timer = state.set_later("found")
    assert bridge.wait_until(state.check, 5) == "found"
    assert state.checked == 2, "when the wait began, and after the change"
    timer.join()


def test_a_wait_for_what_is_there_already_ends_at_once(bridge: Bridge) -> None:
    assert bridge.wait_until(lambda: "there", 0) == "there"


def test_a_wait_that_times_out_is_checked_no_more(bridge: Bridge) -> None:
    state = State(bridge)
    assert bridge.wait_until(state.check, 0.01) is None
    bridge.call(lambda: state.set("too late"))
    assert state.checked == 1


def test_a_wait_raises_what_its_check_raises(bridge: Bridge) -> None:
    with pytest.raises(LookupError, match="boom"):
        bridge.wait_until(boom, 5)


async def test_a_blocking_wait_on_the_loop_itself_is_an_error_unless_it_is_over() -> None:
    bridge = here()
    assert bridge.wait_until(lambda: "there", 5) == "there"
    with pytest.raises(RuntimeError, match=r"would never end; use `await …arrival\(…\)`"):
        bridge.wait_until(lambda: None, 5)


# ── awaited waits ────────────────────────────────────────────────────────────


async def test_an_awaited_wait_ends_when_its_check_returns_something() -> None:
    bridge = here()
    state = State(bridge)
    asyncio.get_running_loop().call_soon(state.set, "found")
    assert await bridge.until(state.check, 5) == "found"


async def test_an_awaited_wait_works_for_a_loop_in_another_thread(bridge: Bridge) -> None:
    state = State(bridge)
    timer = state.set_later("found")
    assert await bridge.until(state.check, 5) == "found"
    timer.join()


async def test_an_awaited_wait_without_a_timeout_sees_what_is_there() -> None:
    assert await here().until(lambda: "there", 0) == "there"
    state = State(here())
    assert await here().until(state.check, 0) is None


async def test_an_awaited_wait_raises_what_its_check_raises() -> None:
    with pytest.raises(LookupError, match="boom"):
        await here().until(boom, 5)


async def test_a_cancelled_wait_is_checked_no_more() -> None:
    bridge = here()
    state = State(bridge)
    task = asyncio.create_task(bridge.until(state.check, 5))
    while not state.checked:
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    state.set("too late")
    state.set("later still")
    assert state.checked == 1
    assert bridge._waiters == ()
