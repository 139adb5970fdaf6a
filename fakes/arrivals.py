"""What has arrived at a fake, and how a test waits for it: the same for mail, Jabber and AIM.

    world.mail.wait_for()                                    # the only mail, once it is there
    world.mail.wait_for(subject="hi", to="bob@b.test")       # the only one that fits
    world.mail.wait_for(lambda mail: mail.subject == "hi")   # the same by a function
    world.jabber.wait_for_n(2)                               # exactly two messages, as a list
    im = await world.aim.arrival(timeout=1)                  # `wait_for`, for a test on a loop
    world.mail.assert_none(within=0.1)                       # nothing arrives for 0.1 seconds
    await world.mail.no_arrival(within=0.1)                  # the same, on a loop
    mark = world.mail.mark()                                 # what comes later:
    world.mail.wait_for(since=mark)                          # the only mail since then

A failure is an AssertionError that says what was expected, for how long, and what did arrive. More
arrivals than expected are a failure too, because a program that sends everything twice is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from fakes import globs
from fakes.bridge import Bridge
from fakes.history import History, Snapshot
from fakes.suggest import nearest

TIMEOUT = 5.0  # real seconds that a test waits before it fails
# To name the nearest, that many arrivals at most are compared, and that many characters of each.
MOST_COMPARED, COMPARED = 200, 200
LIKE = 0.4  # how much the nearest must be like it, from 0 to 1

T = TypeVar("T")


class _Query(NamedTuple, Generic[T]):
    """What a wait is for: a predicate, keywords, both, or anything."""

    predicate: Callable[[T], bool] | None
    wanted: Mapping[str, str]
    since: int  # the position of the first arrival that counts

    @property
    def is_empty(self) -> bool:
        """Whether every arrival is wanted that counts at all."""
        return self.predicate is None and not self.wanted


class Search(Generic[T]):
    """What has been found for one wait. It tests each arrival once, so that waiting costs each
    later arrival the same, however much has come.
    """

    def __init__(self, record: Arrivals[T], n: int, query: _Query[T]) -> None:
        self._record, self._n, self._query = record, n, query
        self._position = query.since  # in the record's history: what comes before has been tested
        self._clears = 0
        self._found: list[T] = []
        self._numbers: list[int] = []  # of those that were found, in order of arrival

    def __call__(self) -> list[T] | None:
        """All arrivals that fit, or None while fewer than n do. Called on the loop's thread."""
        record = self._record
        if self._clears != record._clears:
            self._clears, self._found, self._numbers = record._clears, [], []
        position, self._position = self._position, record._arrivals.end
        first = max(position, record._arrivals.dropped)
        for number, arrival in enumerate(record._arrivals.since(position), first):
            if record._fits(arrival, self._query):
                self._found.append(arrival)
                self._numbers.append(number)
        return self._found if len(self._found) >= self._n else None

    def numbered(self) -> list[tuple[int, T]]:
        """What has been found so far, each with its number in order of arrival."""
        return list(zip(self._numbers, self._found, strict=True))


class Arrivals(Generic[T]):
    """An ordered record of what has arrived.

    It keeps everything, unless `remember` limits it. `all` and the like are read-only views of what
    there was at that moment, equal to a list; they copy nothing. A predicate is asked once about
    each arrival.

    The record belongs to the loop's thread: `add_arrival` is called there. All other methods may be
    called from any thread. Timeouts are in real seconds.
    """

    __slots__ = (
        "_arrivals",
        "_bridge",
        "_clears",
        "_counted",
        "_counted_noun",
        "_counts",
        "_on_drop",
        "criteria",
        "noun",
        "unserved",
    )

    def __init__(
        self,
        bridge: Bridge,
        noun: str,
        *,
        counts: Callable[[T], bool] | None = None,
        counted_noun: str = "",
        criteria: Mapping[str, Callable[[T, str], str]] | None = None,
    ) -> None:
        """`noun` names one arrival in failures: "mail", "IM".

        `criteria` are the keywords of waits: each function returns why an arrival does not fit the
        value of the keyword, "" if it does.

        A wait without a predicate counts every arrival. If a record holds several kinds, `counts`
        selects those that such a wait counts, and `counted_noun` names them.
        """
        self._bridge = bridge
        self._arrivals: History[T] = History()
        # Those that a wait without a predicate counts, if these are not all.
        self._counted: History[T] = History() if counts else self._arrivals
        self._clears = 0  # how often `clear` was called
        self._on_drop: Callable[[str], None] | None = None
        self.noun = noun
        self.unserved = ""  # why nothing can arrive from a client, for failures
        self._counts = counts or _everything
        self._counted_noun = counted_noun or noun
        self.criteria = criteria or {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {counted(len(self.all), self.noun)}>"

    # ── for the servers ──────────────────────────────────────────────────────

    def add_arrival(self, *arrivals: T) -> None:
        """Records what arrives and wakes the tests that wait. Called on the loop's thread.

        What belongs together is recorded in one call. Otherwise a test that expects one arrival
        would wake after the first and miss that there were two.
        """
        if self._arrivals.limit == 0:
            return  # nothing is remembered, so that no wait can end
        self._arrivals.extend(arrivals)
        if self._counted is not self._arrivals:
            self._counted.extend(filter(self._counts, arrivals))
        if self._on_drop is not None and self._arrivals.dropped:
            self._on_drop(
                f"of the {self.noun}s that have arrived, only the last are remembered, because "
                f"keep.arrivals is {self._arrivals.limit:,}"
            )
            self._on_drop = None  # once is enough
        self._bridge.changed()

    def numbered(self, since: int = 0) -> list[tuple[int, T]]:
        """What has arrived since a mark, each with its number in order of arrival."""

        def read() -> list[tuple[int, T]]:
            first = max(since, self._arrivals.dropped)
            return list(enumerate(self._arrivals.since(since), first))

        return self._bridge.call(read)

    def search(self, n: int, wanted: Mapping[str, str], since: int = 0) -> Search[T]:
        """Returns what looks for n arrivals that fit these keywords of waits, again and again."""
        return Search(self, n, _Query(None, wanted, since))

    def misfits(self, arrival: T, wanted: Mapping[str, str]) -> list[str]:
        """Why an arrival does not fit these keywords of waits; [] if it fits all of them."""
        reasons = [self.criteria[name](arrival, text) for name, text in wanted.items()]
        return [reason for reason in reasons if reason]

    def miss(self, n: int, seconds: float, wanted: Mapping[str, str], since: int = 0) -> str:
        """What a wait for n arrivals says that has failed after that many seconds."""
        query = self._query(None, wanted, since, "wait_for_n")
        found = [one for one in self.since(since) if self._fits(one, query)]
        try:
            self._exactly(n, query, seconds, found if len(found) >= n else None)
        except AssertionError as miss:
            return str(miss)
        return ""

    def on_change(self, look: Callable[[], bool]) -> None:
        """Calls `look` on the loop's thread, now and after each change, until it returns true."""
        self._bridge.call(lambda: self._bridge.add_waiter(lambda: look() or None))

    def remember(self, limit: int, on_drop: Callable[[str], None] | None = None) -> None:
        """Keeps only about that many arrivals from now on, the last ones.

        `on_drop` is called with a sentence when the first one is dropped, unless none are kept.
        """
        self._arrivals.limit = self._counted.limit = limit
        if not limit:
            self._arrivals.clear()
            self._counted.clear()
        self._on_drop = on_drop if limit else None

    # ── for tests ────────────────────────────────────────────────────────────

    @property
    def all(self) -> Sequence[T]:
        """Everything that has arrived so far."""
        return self._bridge.call(self._arrivals.snapshot)

    @property
    def all_that_count(self) -> Snapshot[T]:
        """Everything so far that a wait without a predicate counts."""
        return self._bridge.call(self._counted.snapshot)

    def mark(self) -> int:
        """Returns a mark of this moment, for the `since` of waits that count what comes later."""
        return self._bridge.call(lambda: self._arrivals.end)

    def since(self, mark: int) -> list[T]:
        """Everything that has arrived since a mark."""
        return self._bridge.call(lambda: self._arrivals.since(mark))

    def clear(self) -> None:
        """Forgets what has arrived so far, so that later waits count from zero."""

        def forget() -> None:
            self._arrivals.clear()
            self._counted.clear()
            self._clears += 1

        self._bridge.call(forget)

    def wait_for(
        self,
        predicate: Callable[[T], bool] | None = None,
        timeout: float = TIMEOUT,
        since: int = 0,
        **wanted: str,
    ) -> T:
        """Waits for one arrival and returns it.

        With a predicate or keywords, only the arrivals that fit all of them count; with `since`,
        only those after that mark. Raises AssertionError if the arrival does not come in time, or
        if there is more than one.
        """
        __tracebackhide__ = True  # pytest shows the line of the test instead
        query = self._query(predicate, wanted, since, "wait_for")
        found = self._bridge.wait_until(Search(self, 1, query), timeout)
        return self._exactly(1, query, timeout, found, self._bridge.hindrance())[0]

    def wait_for_n(
        self,
        n: int,
        predicate: Callable[[T], bool] | None = None,
        timeout: float = TIMEOUT,
        since: int = 0,
        **wanted: str,
    ) -> list[T]:
        """Waits for n arrivals and returns them, oldest first.

        With a predicate or keywords, only the arrivals that fit count. Raises AssertionError if
        they do not come in time, or if there are more than n.
        """
        __tracebackhide__ = True
        _check_number(n, predicate, "wait_for")
        query = self._query(predicate, wanted, since, "wait_for_n")
        found = self._bridge.wait_until(Search(self, n, query), timeout)
        return self._exactly(n, query, timeout, found, self._bridge.hindrance())

    async def arrival(
        self,
        predicate: Callable[[T], bool] | None = None,
        timeout: float = TIMEOUT,
        since: int = 0,
        **wanted: str,
    ) -> T:
        """Like `wait_for`, for a test that runs on a loop."""
        __tracebackhide__ = True
        query = self._query(predicate, wanted, since, "arrival")
        found = await self._bridge.until(Search(self, 1, query), timeout)
        return self._exactly(1, query, timeout, found)[0]

    async def arrival_n(
        self,
        n: int,
        predicate: Callable[[T], bool] | None = None,
        timeout: float = TIMEOUT,
        since: int = 0,
        **wanted: str,
    ) -> list[T]:
        """Like `wait_for_n`, for a test that runs on a loop."""
        __tracebackhide__ = True
        _check_number(n, predicate, "arrival")
        query = self._query(predicate, wanted, since, "arrival_n")
        found = await self._bridge.until(Search(self, n, query), timeout)
        return self._exactly(n, query, timeout, found)

    def assert_none(
        self,
        predicate: Callable[[T], bool] | None = None,
        within: float = 0.0,
        since: int = 0,
        **wanted: str,
    ) -> None:
        """Raises AssertionError if there is an arrival, now or within the next `within` seconds.

        With a predicate or keywords, only the arrivals that fit count.
        """
        __tracebackhide__ = True
        query = self._query(predicate, wanted, since, "assert_none")
        look = Search(self, 1, query)
        found = self._bridge.wait_until(look, within) if within else self._bridge.call(look)
        self._none_of(query, found)

    async def no_arrival(
        self,
        predicate: Callable[[T], bool] | None = None,
        within: float = 0.0,
        since: int = 0,
        **wanted: str,
    ) -> None:
        """Like `assert_none`, for a test that runs on a loop."""
        __tracebackhide__ = True
        query = self._query(predicate, wanted, since, "no_arrival")
        self._none_of(query, await self._bridge.until(Search(self, 1, query), within))

    # ── looking ──────────────────────────────────────────────────────────────

    def _query(
        self,
        predicate: Callable[[T], bool] | None,
        wanted: Mapping[str, str],
        since: int,
        method: str,
    ) -> _Query[T]:
        """Returns what a wait is for. Raises TypeError for keywords that do not exist."""
        __tracebackhide__ = True
        _check_predicate(predicate, method)
        for name, value in wanted.items():
            if name not in self.criteria:
                time = "within" if method in ("assert_none", "no_arrival") else "timeout"
                known = ["predicate", time, "since", *self.criteria]
                hint = nearest(name, known)
                raise TypeError(
                    f"{method} has no keyword {name!r}{hint}; it has: {', '.join(known)}"
                )
            if not isinstance(value, str):
                raise TypeError(f"{method}: {name} must be a text, not {value!r}")
        return _Query(predicate, dict(wanted), since)

    def _fits(self, arrival: T, query: _Query[T]) -> bool:
        return not self._misfits(arrival, query)

    def _misfits(self, arrival: T, query: _Query[T]) -> list[str]:
        """Why an arrival does not fit, a reason for each keyword; [] if it fits."""
        reasons = self.misfits(arrival, query.wanted)
        if query.predicate is None and not self._counts(arrival):
            reasons.append(f"it is not a {self._counted_noun}")
        if query.predicate is not None and not reasons and not query.predicate(arrival):
            reasons.append("the predicate returns false")
        return reasons

    def _exactly(
        self, n: int, query: _Query[T], timeout: float, found: list[T] | None, hindrance: str = ""
    ) -> list[T]:
        """Returns `found` if it is n arrivals. Raises AssertionError for fewer (None) or more."""
        __tracebackhide__ = True
        expected = self._name(n, query)
        if found is None:
            everything = self.since(query.since)
            number = sum(1 for arrival in everything if self._fits(arrival, query))
            reasons = {}
            if query.wanted:  # a predicate alone cannot say why
                reasons = {at: self._misfits(one, query) for at, one in enumerate(everything)}
            why = "".join(f"{reason}; " for reason in (hindrance, self.unserved) if reason)
            raise AssertionError(
                f"expected {expected} within {timeout:g} s, but {number or 'none'} arrived; "
                f"{why}{_nearest(everything, reasons, query.wanted)}everything that arrived:\n"
                f"{_listing(everything, reasons)}"
            )
        if len(found) > n:
            raise AssertionError(
                f"expected {expected}, but {len(found)} arrived:\n{_listing(found)}"
            )
        return found

    def _none_of(self, query: _Query[T], found: list[T] | None) -> None:
        """Raises AssertionError if something was found."""
        __tracebackhide__ = True
        if found:
            unwanted = self._name(0, query)
            raise AssertionError(
                f"expected {unwanted}, but {len(found)} arrived:\n{_listing(found)}"
            )

    def _name(self, n: int, query: _Query[T]) -> str:
        """What was expected, in words: "no mail", "one IM that fits", "2 messages"."""
        if query.is_empty:
            noun, fits = self._counted_noun, ""
        else:
            noun = self.noun if query.predicate is not None else self._counted_noun
            fits = " that fits" if n <= 1 else " that fit"
            fits += "".join(f" {name}={text!r}" for name, text in query.wanted.items())
            if query.wanted and query.predicate is not None:
                fits += " and the predicate"
        return {0: f"no {noun}", 1: f"one {noun}"}.get(n, counted(n, noun)) + fits


def _everything(arrival: object) -> bool:
    return True


def is_like(text: str, wanted: str) -> bool:
    """Whether a text is `wanted`, or matches it as a glob, in any case."""
    text, wanted = text.casefold(), wanted.casefold()
    return text == wanted or globs.fits(text, wanted)


def keywords(
    wholes: Mapping[str, Callable[[T], Iterable[str]]], text: Callable[[T], str]
) -> dict[str, Callable[[T, str], str]]:
    """Returns criteria: `wholes` by name, one of whose values is to be like it, and `text`."""

    def whole(name: str, values: Callable[[T], Iterable[str]]) -> Callable[[T, str], str]:
        def misfit(arrival: T, wanted: str) -> str:
            found = list(values(arrival))
            if any(is_like(value, wanted) for value in found):
                return ""
            return f"{name} is {found[0] if found else 'missing'}"

        return misfit

    def part(arrival: T, wanted: str) -> str:
        found = text(arrival)
        if wanted in found:
            return ""
        return f"text is {found if len(found) <= 60 else found[:60] + '…'!r}"

    return {**{name: whole(name, values) for name, values in wholes.items()}, "text": part}


def counted(n: int, noun: str) -> str:
    """A number with its noun: "1 mail", "2 mails"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _listing(
    arrivals: Iterable[object], reasons: Mapping[int, list[str]] = MappingProxyType({})
) -> str:
    """One line for each arrival, with the reasons why it does not fit."""
    lines = [_line(arrival, reasons.get(at, [])) for at, arrival in enumerate(arrivals)]
    return "\n".join(f"  {line}" for line in lines or ["(nothing)"])


def _line(arrival: object, reasons: Sequence[str]) -> str:
    why = f": {'; '.join(reasons)}" if reasons else ""
    return f"{arrival}{why}".replace("\r", r"\r").replace("\n", r"\n")


def _nearest(
    arrivals: Sequence[object], reasons: Mapping[int, list[str]], wanted: Mapping[str, str]
) -> str:
    """Names the arrival that almost fits; "" unless there is a choice.

    That is the one that misses the fewest keywords, and of several the one that is most like them.
    """
    wrong = {at: why for at, why in reasons.items() if why}
    fewest = min(map(len, wrong.values()), default=0)
    ties = [at for at, why in wrong.items() if len(why) == fewest]
    if len(wrong) < 2:
        return ""
    at = _most_like(wanted, {at: wrong[at] for at in ties})
    if at is None and len(ties) < len(wrong):
        at = ties[-1]  # the latest
    return "" if at is None else f"the nearest: {_line(arrivals[at], wrong[at])}; "


def _most_like(wanted: Mapping[str, str], reasons: Mapping[int, list[str]]) -> int | None:
    """Returns whose reasons read most like what was wanted, the latest; None if none do."""
    like = " ".join(wanted.values())[:COMPARED]
    names = tuple(f"{name} is " for name in wanted)
    matcher = SequenceMatcher(None, "", like, autojunk=False)
    ratios = {}
    for at in list(reasons)[-MOST_COMPARED:]:
        found = (why.partition(" is ")[2] for why in reasons[at] if why.startswith(names))
        matcher.set_seq1(" ".join(found)[:COMPARED])
        ratios[at] = matcher.ratio()
    nearest = max(ratios, key=lambda at: (ratios[at], at))
    return nearest if ratios[nearest] >= LIKE else None


def _check_predicate(predicate: object, method: str) -> None:
    """Raises TypeError for a number, which `wait_for` accepted in 0.1, and for any non-function."""
    __tracebackhide__ = True
    if predicate is None or callable(predicate):
        return
    if isinstance(predicate, int) and method != "assert_none":
        raise TypeError(f"{method} expects a predicate, not a number; use {method}_n({predicate})")
    raise TypeError(
        f"{method} expects a predicate, not {predicate!r}; pass a function, or keywords"
    )


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
