"""Who is known, who is on line, what has been heard: without any protocol."""

from __future__ import annotations

import asyncio
import threading

import pytest

from fakes.bridge import Bridge
from fakes.chat import Heard, Known, Online


def test_a_name_is_known_once_in_whatever_spelling() -> None:
    known: Known[str] = Known(str.lower)
    known.add("Alice", "account")
    assert known.find("ALICE") == "account"
    assert known.find("bob") is None
    assert (list(known), len(known)) == (["account"], 1)
    with pytest.raises(ValueError, match="alice is in this world twice"):
        known.add("alice", "another")


def test_a_name_may_have_several_sessions_oldest_first() -> None:
    online: Online[int] = Online(str.lower)
    online.enter("Alice", 1)
    online.enter("bob", 2)
    online.enter("alice", 3)
    assert online.of("ALICE") == [1, 3]
    assert (list(online), len(online)) == ([1, 3, 2], 3)
    assert online.leave("alice", 1)
    assert not online.leave("alice", 1)
    assert online.leave("alice", 3)
    assert (online.of("alice"), list(online)) == ([], [2])


def test_a_session_that_leaves_while_all_are_told_disturbs_nobody() -> None:
    online: Online[int] = Online(str)
    for number in range(4):
        online.enter(f"name {number // 2}", number)
    seen = []
    for number in online:
        seen.append(number)
        online.leave("name 0", 1)
        online.leave("name 1", 2)
    assert seen == [0, 1, 2, 3]


def heard(*messages: str) -> Heard[str]:
    one: Heard[str] = Heard(Bridge(), "IM")
    for message in messages:
        one.tell(message)
    return one


def test_one_message_that_fits_is_given_and_none_or_two_are_a_failure_that_says_what_came() -> None:
    assert heard("a", "b").wait_for(lambda message: message == "b") == "b"
    with pytest.raises(AssertionError, match=r"one IM that fits expected within 0 s; what came:\n  a"):
        heard("a").wait_for(lambda message: message == "b", timeout=0)
    with pytest.raises(AssertionError, match=r"one IM that fits expected, but there came:\n  b\n  b"):
        heard("b", "b").wait_for(lambda message: message == "b")


def test_a_number_of_messages_is_exact() -> None:
    assert heard("a", "b").wait_for(2) == ["a", "b"]
    with pytest.raises(AssertionError, match=r"2 IM\(s\) expected within 0 s; what came:\n  \(nothing\)"):
        heard().wait_for(2, timeout=0)
    with pytest.raises(AssertionError, match=r"1 IM\(s\) expected, but there came"):
        heard("a", "b").wait_for()


def test_no_message_is_asked_for_too() -> None:
    heard().assert_none()
    heard("a").assert_none(lambda message: message == "b")
    with pytest.raises(AssertionError, match=r"no such IM was expected, but there came:\n  a"):
        heard("a").assert_none()


def test_a_message_is_waited_for_across_threads() -> None:
    bridge, loop = Bridge(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    bridge.attach(loop, thread.ident or 0)
    one: Heard[str] = Heard(bridge, "IM")
    threading.Timer(0.01, lambda: bridge.call(lambda: one.tell("late"))).start()
    assert one.wait_for(1) == ["late"]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def test_its_twin_is_awaited_on_the_loop() -> None:
    bridge = Bridge()
    bridge.attach(asyncio.get_running_loop(), threading.get_ident())
    one: Heard[str] = Heard(bridge, "IM")
    asyncio.get_running_loop().call_soon(lambda: one.tell("soon"))
    assert await one.arrival(lambda message: message == "soon") == "soon"
    with pytest.raises(RuntimeError, match="await"):
        one.wait_for(2)
