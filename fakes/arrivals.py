"""What has arrived at a fake, and how a test waits for it: the same for mail, Jabber and AIM.

    world.mail.wait_for()                                    # the only mail, once it is there
    world.mail.wait_for(lambda mail: mail.subject == "hi")   # the only one that fits
    world.jabber.wait_for_n(2)                               # exactly two messages, as a list
    im = await world.aim.arrival(timeout=1)                  # `wait_for`, for a test on a loop
    world.mail.assert_none(within=0.1)                       # nothing arrives for 0.1 seconds

A failure is an AssertionError that says what was expected, for how long, and what did arrive. More
arrivals than expected are a failure too, because a program that sends everything twice is wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from fakes.bridge import Bridge

TIMEOUT = 5.0  # real seconds that a test waits before it fails
REMEMBERED = 100_000  # only the last arrivals are kept, because a server may run for months

T = TypeVar("T")


class Arrivals(Generic[T]):
    """An ordered record of what has arrived.

    The record belongs to the loop's thread: `add_arrival` is called there. All other methods may be
    called from any thread. Timeouts are in real seconds.
    """

    def __init__(
        self,
        bridge: Bridge,
        noun: str,
        *,
        counts: Callable[[T], bool] | None = None,
        counted_noun: str = "",
    ) -> None:
        """`noun` names one arrival in failures: "mail", "IM".

        A wait without a predicate counts every arrival. If a record holds several kinds, `counts`
        selects those that such a wait counts, and `counted_noun` names them.
        """
        self._bridge = bridge
        self._arrivals: deque[T] = deque(maxlen=REMEMBERED)
        self._noun = noun
        self._counts = counts or _everything
        self._counted_noun = counted_noun or noun

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {counted(len(self._arrivals), self._noun)}>"

    def add_arrival(self, *arrivals: T) -> None:
        """Records what arrives and wakes the tests that wait. Called on the loop's thread.

        What belongs together is recorded in one call. Otherwise a test that expects one arrival
        would wake after the first and miss that there were two.
        """
        self._arrivals.extend(arrivals)
        self._bridge.changed()

    @property
    def all(self) -> list[T]:
        """Everything that has arrived so far."""
        return self._bridge.call(lambda: list(self._arrivals))

    def clear(self) -> None:
        """Forgets what has arrived so far, so that later waits count from zero."""
        self._bridge.call(self._arrivals.clear)

    # ── waiting ──────────────────────────────────────────────────────────────

    def wait_for(self, predicate: Callable[[T], bool] | None = None, timeout: float = TIMEOUT) -> T:
        """Waits for one arrival and returns it.

        With a predicate, only the arrivals that fit it count. Raises AssertionError if the arrival
        does not come in time, or if there is more than one.
        """
        __tracebackhide__ = True  # pytest shows the line of the test instead
        _check_predicate(predicate, "wait_for")
        found = self._bridge.wait_until(lambda: self._at_least(1, predicate), timeout)
        return self._exactly(1, predicate, timeout, found)[0]

    def wait_for_n(
        self, n: int, predicate: Callable[[T], bool] | None = None, timeout: float = TIMEOUT
    ) -> list[T]:
        """Waits for n arrivals and returns them, oldest first.

        With a predicate, only the arrivals that fit it count. Raises AssertionError if they do not
        come in time, or if there are more than n.
        """
        __tracebackhide__ = True
        _check_number(n, predicate, "wait_for")
        found = self._bridge.wait_until(lambda: self._at_least(n, predicate), timeout)
        return self._exactly(n, predicate, timeout, found)

    async def arrival(
        self, predicate: Callable[[T], bool] | None = None, timeout: float = TIMEOUT
    ) -> T:
        """Like `wait_for`, for a test that runs on a loop."""
        __tracebackhide__ = True
        _check_predicate(predicate, "arrival")
        found = await self._bridge.until(lambda: self._at_least(1, predicate), timeout)
        return self._exactly(1, predicate, timeout, found)[0]

    async def arrival_n(
        self, n: int, predicate: Callable[[T], bool] | None = None, timeout: float = TIMEOUT
    ) -> list[T]:
        """Like `wait_for_n`, for a test that runs on a loop."""
        __tracebackhide__ = True
        _check_number(n, predicate, "arrival")
        found = await self._bridge.until(lambda: self._at_least(n, predicate), timeout)
        return self._exactly(n, predicate, timeout, found)

    def assert_none(
        self, predicate: Callable[[T], bool] | None = None, within: float = 0.0
    ) -> None:
        """Raises AssertionError if there is an arrival, now or within the next `within` seconds.

        With a predicate, only the arrivals that fit it count.
        """
        __tracebackhide__ = True
        _check_predicate(predicate, "assert_none")

        def look() -> list[T] | None:
            return self._at_least(1, predicate)

        found = self._bridge.wait_until(look, within) if within else self._bridge.call(look)
        if found:
            unwanted = self._name(0, predicate)
            raise AssertionError(
                f"expected {unwanted}, but {len(found)} arrived:\n{_listing(found)}"
            )

    # ── looking ──────────────────────────────────────────────────────────────

    def _at_least(self, n: int, predicate: Callable[[T], bool] | None) -> list[T] | None:
        """All arrivals that fit, or None while fewer than n do. Called on the loop's thread."""
        fits = predicate or self._counts
        found = [arrival for arrival in self._arrivals if fits(arrival)]
        return found if len(found) >= n else None

    def _exactly(
        self, n: int, predicate: Callable[[T], bool] | None, timeout: float, found: list[T] | None
    ) -> list[T]:
        """Returns `found` if it is n arrivals. Raises AssertionError for fewer (None) or more."""
        __tracebackhide__ = True
        expected = self._name(n, predicate)
        if found is None:
            everything = self.all
            fits = predicate or self._counts
            number = sum(1 for arrival in everything if fits(arrival))
            raise AssertionError(
                f"expected {expected} within {timeout:g} s, but {number or 'none'} arrived; "
                f"everything that arrived:\n{_listing(everything)}"
            )
        if len(found) > n:
            raise AssertionError(
                f"expected {expected}, but {len(found)} arrived:\n{_listing(found)}"
            )
        return found

    def _name(self, n: int, predicate: Callable[[T], bool] | None) -> str:
        """What was expected, in words: "no mail", "one IM that fits", "2 messages"."""
        if predicate is None:
            noun, fits = self._counted_noun, ""
        else:
            noun, fits = self._noun, " that fits" if n <= 1 else " that fit"
        return {0: f"no {noun}", 1: f"one {noun}"}.get(n, counted(n, noun)) + fits


def _everything(arrival: object) -> bool:
    return True


def counted(n: int, noun: str) -> str:
    """A number with its noun: "1 mail", "2 mails"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _listing(arrivals: Iterable[object]) -> str:
    """One line for each arrival."""
    lines = [str(arrival).replace("\r", r"\r").replace("\n", r"\n") for arrival in arrivals]
    return "\n".join(f"  {line}" for line in lines or ["(nothing)"])


def _check_predicate(predicate: object, method: str) -> None:
    """Raises TypeError for a number, which `wait_for` accepted in 0.1, and for any non-function."""
    __tracebackhide__ = True
    if predicate is None or callable(predicate):
        return
    if isinstance(predicate, int) and method != "assert_none":
        raise TypeError(f"{method} expects a predicate, not a number; use {method}_n({predicate})")
    raise TypeError(f"{method} expects a predicate, not {predicate!r}; pass a function, or nothing")


def _check_number(n: object, predicate: object, method: str) -> None:
    """Raises TypeError unless n is a number, and ValueError if it is less than 1."""
    __tracebackhide__ = True
    if callable(n):
        raise TypeError(
            f"{method}_n expects a number first; use {method}(predicate) for exactly one"
        )
    if not isinstance(n, int):
        raise TypeError(f"{method}_n expects a number first, not {n!r}")
    if n < 1:
        raise ValueError(f"{method}_n({n}) waits for nothing; use assert_none()")
    _check_predicate(predicate, f"{method}_n")
