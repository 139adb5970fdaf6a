"""How a test waits for what arrives at a fake, and what a failed wait reports."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.arrivals import Arrivals
from fakes.bridge import Bridge
from fakes.world import World

NOTHING = "  (nothing)"


def arrivals(*items: str) -> Arrivals[str]:
    found: Arrivals[str] = Arrivals(Bridge(), "IM")
    found.add_arrival(*items)
    return found


def is_b(item: str) -> bool:
    return item == "b"


@pytest.fixture
def served() -> Iterator[tuple[Bridge, Arrivals[str]]]:
    """A record whose loop runs in another thread."""
    bridge, loop = Bridge(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    bridge.attach(loop, thread.ident or 0)
    yield bridge, Arrivals(bridge, "IM")
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
async def here() -> Arrivals[str]:
    """A record on the test's own loop."""
    bridge = Bridge()
    bridge.attach(asyncio.get_running_loop(), threading.get_ident())
    return Arrivals(bridge, "IM")


# ── what has arrived already ─────────────────────────────────────────────────


def test_wait_for_returns_the_one_arrival_that_fits() -> None:
    assert arrivals("a", "b").wait_for(is_b) == "b"
    assert arrivals("a").wait_for() == "a"


def test_wait_for_n_returns_the_arrivals_in_order() -> None:
    assert arrivals("a", "b").wait_for_n(2) == ["a", "b"]
    assert arrivals("b", "a", "b").wait_for_n(2, is_b) == ["b", "b"]


def test_assert_none_passes_when_nothing_fits() -> None:
    arrivals().assert_none()
    arrivals().assert_none(within=0.01)
    arrivals("a").assert_none(is_b)


def test_all_lists_the_arrivals_and_clear_forgets_them() -> None:
    record = arrivals("a", "b")
    assert record.all == ["a", "b"]
    record.clear()
    assert record.all == []
    record.assert_none()


def test_all_is_what_had_arrived_at_that_moment() -> None:
    record = arrivals("a", "b")
    before = record.all
    record.add_arrival("c")
    assert (before == ["a", "b"]) and (record.all == ["a", "b", "c"])
    record.clear()
    assert (len(before), before[-1]) == (2, "b")


def test_everything_is_remembered_unless_there_is_a_limit() -> None:
    record: Arrivals[int] = Arrivals(Bridge(), "number")
    record.add_arrival(*range(100_001))
    assert len(record.all) == 100_001


def test_with_a_limit_the_last_arrivals_are_remembered_and_it_is_said_once() -> None:
    said: list[str] = []
    record: Arrivals[int] = Arrivals(Bridge(), "IM", counts=lambda n: n % 2 == 0)
    record.remember(10, said.append)
    for number in range(12):
        record.add_arrival(number)
    assert record.all == [*range(12)] and not said  # a quarter more may be there
    for number in range(12, 20):
        record.add_arrival(number)
    assert 10 <= len(record.all) <= 12 and record.all[-1] == 19
    assert said == [
        "of the IMs that have arrived, only the last are remembered, because keep.arrivals is 10"
    ]
    record.remember(0)
    record.add_arrival(20)
    assert record.all == [] and record.all_that_count == []


def test_a_record_of_several_kinds_counts_one_of_them_unless_a_predicate_is_given() -> None:
    record: Arrivals[str] = Arrivals(Bridge(), "stanza", counts=is_b, counted_noun="message")
    record.add_arrival("a", "b", "c")
    assert record.wait_for() == "b"
    assert record.wait_for(lambda item: item == "c") == "c"
    assert record.wait_for_n(2, lambda item: not is_b(item)) == ["a", "c"]
    with pytest.raises(AssertionError, match=r"^expected no message, but 1 arrived:\n  b$"):
        record.assert_none()
    with pytest.raises(AssertionError, match=r"^expected 2 messages within 0 s, but 1 arrived;"):
        record.wait_for_n(2, timeout=0)
    with pytest.raises(
        AssertionError, match=r"^expected one stanza that fits, but 2 arrived:\n  a\n  c$"
    ):
        record.wait_for(lambda item: not is_b(item))


def test_repr_says_how_many_arrivals_there_are() -> None:
    assert [repr(arrivals(*items)) for items in ("", "a", "ab")] == [
        "<Arrivals 0 IMs>",
        "<Arrivals 1 IM>",
        "<Arrivals 2 IMs>",
    ]


# ── failures ─────────────────────────────────────────────────────────────────


def failure(record: Arrivals[Any], method: str, *args: object, **more: object) -> str:
    with pytest.raises(AssertionError) as caught:
        getattr(record, method)(*args, **more)
    return str(caught.value)


def test_a_wait_that_times_out_lists_everything_that_arrived(
    served: tuple[Bridge, Arrivals[str]],
) -> None:
    bridge, record = served
    assert failure(record, "wait_for", timeout=0.01) == (
        f"expected one IM within 0.01 s, but none arrived; everything that arrived:\n{NOTHING}"
    )
    bridge.call(lambda: record.add_arrival("a", "c"))
    assert failure(record, "wait_for", is_b, timeout=0) == (
        "expected one IM that fits within 0 s, but none arrived; everything that arrived:\n  a\n  c"
    )
    assert failure(record, "wait_for_n", 3, timeout=0) == (
        "expected 3 IMs within 0 s, but 2 arrived; everything that arrived:\n  a\n  c"
    )
    bridge.call(lambda: record.add_arrival("b"))
    assert failure(record, "wait_for_n", 2, is_b, timeout=0) == (
        "expected 2 IMs that fit within 0 s, but 1 arrived; everything that arrived:\n  a\n  c\n  b"
    )


def test_a_wait_of_a_world_that_does_not_run_says_so_at_once() -> None:
    with World(servers=["smtp"], tls="off") as ended:
        pass
    for world in (World(servers=["smtp"], tls="off"), ended):
        assert "none arrived; the world is not running; " in failure(world.mail, "wait_for")


async def test_a_wait_that_blocks_the_loop_of_the_test_says_so(
    served: tuple[Bridge, Arrivals[str]],
) -> None:
    bridge, record = served
    missed = failure(record, "wait_for", timeout=0)
    assert "the wait blocked the event loop of the test; use `await …arrival(…)`; " in missed
    bridge.call(lambda: record.add_arrival("a"))
    assert record.wait_for() == "a"  # what is there already blocks nothing


def test_more_arrivals_than_expected_are_a_failure() -> None:
    assert failure(arrivals("b", "a", "b"), "wait_for", is_b) == (
        "expected one IM that fits, but 2 arrived:\n  b\n  b"
    )
    assert failure(arrivals("a", "b"), "wait_for") == "expected one IM, but 2 arrived:\n  a\n  b"
    assert failure(arrivals("a", "b", "c"), "wait_for_n", 2) == (
        "expected 2 IMs, but 3 arrived:\n  a\n  b\n  c"
    )


def test_assert_none_lists_what_should_not_have_arrived() -> None:
    assert failure(arrivals("a", "b"), "assert_none") == "expected no IM, but 2 arrived:\n  a\n  b"
    assert failure(arrivals("a", "b"), "assert_none", is_b, within=1) == (
        "expected no IM that fits, but 1 arrived:\n  b"
    )


def test_each_arrival_is_one_line_of_the_failure() -> None:
    assert failure(arrivals("a\r\nb"), "assert_none").endswith(":\n  a\\r\\nb")


def test_pytest_shows_the_line_of_the_test_that_waited(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from fakes.arrivals import Arrivals
        from fakes.bridge import Bridge

        def test_that_waits():
            Arrivals(Bridge(), "IM").wait_for(timeout=0)  # the line

        def test_that_asks_for_a_number():
            Arrivals(Bridge(), "IM").wait_for(2)  # the other line
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:asyncio")
    result.assert_outcomes(failed=2)
    shown = result.stdout.str()
    assert "# the line" in shown and "# the other line" in shown
    assert "arrivals.py" not in shown and "bridge.py" not in shown


# ── misuse ───────────────────────────────────────────────────────────────────


def test_a_number_belongs_to_wait_for_n() -> None:
    with pytest.raises(TypeError, match=r"use wait_for_n\(2\)"):
        arrivals("a", "b").wait_for(2)  # type: ignore[arg-type]


async def test_a_number_belongs_to_arrival_n(here: Arrivals[str]) -> None:
    with pytest.raises(TypeError, match=r"use arrival_n\(2\)"):
        await here.arrival(2)  # type: ignore[arg-type]


def test_a_predicate_alone_belongs_to_wait_for() -> None:
    with pytest.raises(TypeError, match=r"use wait_for\(predicate\)"):
        arrivals("a").wait_for_n(is_b)  # type: ignore[arg-type]
    for wrong in ("a", None):
        with pytest.raises(TypeError, match="expects a number first, not"):
            arrivals("a").wait_for_n(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expects a predicate, not 'b'"):
            arrivals("a").wait_for_n(1, "b")  # type: ignore[arg-type]


def test_waiting_for_no_arrivals_is_assert_none() -> None:
    with pytest.raises(ValueError, match=r"use assert_none\(\)"):
        arrivals().wait_for_n(0)


def test_a_text_is_not_a_predicate() -> None:
    for method in ("wait_for", "assert_none"):
        with pytest.raises(
            TypeError, match=f"{method} expects a predicate, not 'a'; pass a function"
        ):
            getattr(arrivals("a"), method)("a")


async def test_a_blocking_wait_on_the_loop_that_serves_the_fake_is_an_error(
    here: Arrivals[str],
) -> None:
    with pytest.raises(RuntimeError, match="await"):
        here.wait_for_n(2)


# ── what arrives later ───────────────────────────────────────────────────────


def test_a_wait_wakes_for_what_arrives_in_another_thread(
    served: tuple[Bridge, Arrivals[str]],
) -> None:
    bridge, record = served
    timer = threading.Timer(0.01, lambda: bridge.call(lambda: record.add_arrival("late")))
    timer.start()
    assert record.wait_for() == "late"
    timer.join()


def test_assert_none_fails_for_what_arrives_within_its_time(
    served: tuple[Bridge, Arrivals[str]],
) -> None:
    bridge, record = served
    timer = threading.Timer(0.01, lambda: bridge.call(lambda: record.add_arrival("late")))
    timer.start()
    with pytest.raises(AssertionError, match="but 1 arrived:\n  late"):
        record.assert_none(within=5)
    timer.join()


def test_arrivals_recorded_together_are_counted_together(
    served: tuple[Bridge, Arrivals[str]],
) -> None:
    bridge, record = served
    timer = threading.Timer(
        0.01, lambda: bridge.call(lambda: record.add_arrival("mail", "its bounce"))
    )
    timer.start()
    with pytest.raises(AssertionError, match="expected one IM, but 2 arrived"):
        record.wait_for()
    timer.join()


async def test_arrival_is_awaited_on_the_test_s_own_loop(here: Arrivals[str]) -> None:
    asyncio.get_running_loop().call_soon(here.add_arrival, "soon")
    assert await here.arrival(lambda item: item == "soon") == "soon"
    assert await here.arrival() == "soon"


async def test_a_wait_asks_its_predicate_once_about_each_arrival(here: Arrivals[str]) -> None:
    asked: list[str] = []

    def is_c(item: str) -> bool:
        asked.append(item)
        return item == "c"

    here.add_arrival("a")
    for item in "bbc":
        asyncio.get_running_loop().call_soon(here.add_arrival, item)
    assert await here.arrival(is_c) == "c"
    assert asked == ["a", "b", "b", "c"]


async def test_what_was_found_before_a_clear_does_not_count(here: Arrivals[str]) -> None:
    here.add_arrival("old")
    for step in (here.clear, lambda: here.add_arrival("new"), lambda: here.add_arrival("newer")):
        asyncio.get_running_loop().call_soon(step)
    assert await here.arrival_n(2) == ["new", "newer"]


async def test_arrival_n_is_awaited_on_the_test_s_own_loop(here: Arrivals[str]) -> None:
    asyncio.get_running_loop().call_soon(here.add_arrival, "a")
    asyncio.get_running_loop().call_soon(here.add_arrival, "b")
    assert await here.arrival_n(2) == ["a", "b"]
    assert await here.arrival_n(1, is_b) == ["b"]


async def test_no_arrival_is_awaited_on_the_test_s_own_loop(here: Arrivals[str]) -> None:
    here.add_arrival("a")
    await here.no_arrival(is_b)
    await here.no_arrival(is_b, within=0.01)
    asyncio.get_running_loop().call_soon(here.add_arrival, "b")
    with pytest.raises(AssertionError) as caught:
        await here.no_arrival(is_b, within=5)
    assert str(caught.value) == "expected no IM that fits, but 1 arrived:\n  b"
    with pytest.raises(TypeError, match=r"no_arrival has no keyword .*; it has: predicate, within"):
        await here.no_arrival(timeout=1)  # type: ignore[arg-type]


async def test_awaiting_without_a_timeout_looks_at_what_has_arrived(here: Arrivals[str]) -> None:
    here.add_arrival("a")
    assert await here.arrival(timeout=0) == "a"


async def test_awaited_failures_read_like_the_others(here: Arrivals[str]) -> None:
    here.add_arrival("a")
    with pytest.raises(
        AssertionError,
        match=r"^expected one IM that fits within 0\.01 s, but none arrived;.*\n  a$",
    ):
        await here.arrival(is_b, timeout=0.01)
    with pytest.raises(AssertionError, match=r"^expected 2 IMs within 0 s, but 1 arrived;.*\n  a$"):
        await here.arrival_n(2, timeout=0)
    with pytest.raises(TypeError, match=r"use arrival\(predicate\)"):
        await here.arrival_n(is_b)  # type: ignore[arg-type]


# ── where it is found ────────────────────────────────────────────────────────


def test_mail_jabber_and_aim_are_waited_for_in_the_same_way() -> None:
    world = World(rehearsal=True)
    mail = world.mail.deliver("alice@example.test", b"Subject: hi\r\n\r\n")
    romeo, juliet = (world.jabber.actor(f"{name}@example.test") for name in ("alice", "bob"))
    juliet.comes()
    romeo.says("bob@example.test", "hi")
    world.aim.actor("bob").signs_on()
    world.aim.actor("alice").says("bob", "hi")
    assert world.mail.wait_for() is mail
    assert world.jabber.wait_for().body == juliet.wait_for().body == "hi"
    assert world.aim.wait_for().text == world.aim.actor("bob").wait_for().text == "hi"
    for record in (world.mail, world.jabber, juliet, world.aim, world.aim.actor("bob")):
        assert isinstance(record, Arrivals)
        with pytest.raises(AssertionError, match="but 1 arrived"):
            record.assert_none()


def test_a_miss_names_the_arrival_that_almost_fits() -> None:
    reasons = {
        "who": lambda text, wanted: "" if text[0] == wanted else f"who is {text[0]}",
        "what": lambda text, wanted: "" if text[1] == wanted else f"what is {text[1]}",
    }
    record: Arrivals[str] = Arrivals(Bridge(), "word", criteria=reasons)
    record.add_arrival("ay", "by", "bz")
    with pytest.raises(AssertionError, match=r"; the nearest: bz: what is z; everything that"):
        record.wait_for(who="b", what="x", timeout=0)
    record.clear()
    record.add_arrival("az", "bz")
    with pytest.raises(AssertionError) as missed:
        record.wait_for(who="c", what="x", timeout=0)
    assert "nearest" not in str(missed.value), "none is nearer than the other"


def test_of_those_that_miss_as_much_the_nearest_is_most_like_what_was_wanted() -> None:
    mail = World(rehearsal=True).mail
    for subject in ("Your invoice", "Ordre 7 has been sent", "Welcome"):
        mail.deliver("bob@example.test", f"Subject: {subject}\r\n\r\n".encode())
    with pytest.raises(
        AssertionError, match=r"nearest: .*subject is 'Ordre 7 has been sent'; every"
    ):
        mail.wait_for(subject="Order 7 *", to="bob@example.test", timeout=0)
