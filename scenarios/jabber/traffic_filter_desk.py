"""The filters of traffic-filter, and the chain that calls them in their order.

A filter gets a message and what it may need to know, and returns the message, a changed copy, or
None to drop it. A program adds its own to `FILTERS`.
"""

from __future__ import annotations

import copy
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal
from xml.etree.ElementTree import Element

from comms.clock import Clock
from comms.host import Host
from comms.xmpp.stanzas import MESSAGE
from comms.xmpp.stream import CLIENT, to_bytes

Direction = Literal["in", "out"]
BODY, SUBJECT = f"{{{CLIENT}}}body", f"{{{CLIENT}}}subject"
TEXTS = (BODY, SUBJECT)
SENDERS = 10_000  # whose messages are counted; of more, the oldest is forgotten
MINUTE = 60.0
SHORTEST_CARD, LONGEST_CARD = 13, 19  # digits
# Neither reads anything twice, so that the time for a long text grows with its length only.
_NUMBERS = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,}+")
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")


@dataclass(frozen=True)
class Limits:
    """What the filters of the settings want to know."""

    block: Sequence[str] = ()
    longest: int = 1000
    rate: int = 20


@dataclass
class Context:
    """What a filter may need to know about a message: `who` is the other side."""

    direction: Direction
    who: str
    limits: Limits
    now: float
    seen: dict[str, deque[float]]
    host: Host


@dataclass(frozen=True)
class Filter:
    """A filter. If a guard fails, the message is dropped; if another one does, it passes."""

    name: str
    apply: Callable[[Element, Context], Element | None]
    guard: bool = False


class Chain:
    """The filters of one client. It never raises, and never changes a message that it got."""

    def __init__(self, filters: Sequence[Filter], limits: Limits, clock: Clock, host: Host) -> None:
        self._filters, self._limits = filters, limits
        self._clock, self._host = clock, host
        self._seen: dict[str, deque[float]] = {}

    def incoming(self, element: Element) -> Element | None:
        """Returns what is left of a stanza that has arrived; None if it is dropped."""
        return self._filtered(element, "in", element.get("from", ""))

    def outgoing(self, element: Element) -> Element | None:
        """Returns what is left of a stanza that is to be sent; None if it is dropped."""
        return self._filtered(element, "out", element.get("to", ""))

    def _filtered(self, element: Element, direction: Direction, who: str) -> Element | None:
        if element.tag != MESSAGE:
            return element
        now = self._clock.monotonic()
        context = Context(direction, who, self._limits, now, self._seen, self._host)
        for one in self._filters:
            facts = {"direction": direction, "filter": one.name}
            passed: Element | None
            try:
                # A copy: a filter that fails half way has changed nothing.
                passed = one.apply(copy.deepcopy(element), context)
            except Exception as error:
                trouble = f"{type(error).__name__}: {error}"
                self._host.log("filter-failed", "error", **facts, trouble=trouble)
                passed = None if one.guard else element
            if passed is None:
                self._host.log("filter-dropped", "warning", **facts, who=who)
                return None
            element = passed
        return element


# ── the filters ──────────────────────────────────────────────────────────────


def log(message: Element, context: Context) -> Element:
    """Logs who writes how much to whom, and no text."""
    size, kind = len(to_bytes(message)), message.get("type", "normal")
    way, who = context.direction, context.who
    context.host.log("traffic", direction=way, who=who, kind=kind, bytes=size)
    return message


def rate(message: Element, context: Context) -> Element | None:
    """Drops what one account sends beyond the limit of a minute."""
    if context.direction == "out":
        return message
    account = context.who.partition("/")[0]
    times = context.seen.pop(account, None) or deque()
    if len(context.seen) >= SENDERS:
        del context.seen[next(iter(context.seen))]
    context.seen[account] = times
    while times and times[0] <= context.now - MINUTE:
        times.popleft()
    if len(times) >= context.limits.rate:
        return None
    times.append(context.now)
    return message


def block(message: Element, context: Context) -> Element | None:
    """Drops a message that has one of the words, wherever in it."""
    said = " ".join(message.itertext()).casefold()
    words = (word.casefold() for word in context.limits.block)
    return None if any(word in said for word in words) else message


def cut(message: Element, context: Context) -> Element:
    """Cuts long texts, and marks where."""
    for text in _texts(message):
        found = text.text or ""
        if len(found) > context.limits.longest:
            text.text = f"{found[: context.limits.longest]}…"
            _drop_other_forms(message)
    return message


def mask(message: Element, context: Context) -> Element:
    """Hides card numbers and mail addresses."""
    for text in _texts(message):
        found = text.text or ""
        text.text = _ADDRESS.sub("[address]", _NUMBERS.sub(_masked, found))
        if text.text != found:
            _drop_other_forms(message)
    return message


def _texts(message: Element) -> list[Element]:
    return [child for child in message if child.tag in TEXTS]


def _drop_other_forms(message: Element) -> None:
    """Removes what may repeat the text in another form, such as XHTML."""
    for child in list(message):
        if child.tag not in (*TEXTS, f"{{{CLIENT}}}thread"):
            message.remove(child)


def _masked(found: re.Match[str]) -> str:
    """Hides the cards among numbers: groups of digits that have the length and the sum of one."""
    parts = re.split("([ -])", found[0])  # groups of digits, and what separates them
    ends = [0, *accumulate(len(group) for group in parts[::2])]  # in digits
    digits = [int(digit) for group in parts[::2] for digit in group]
    # Luhn's sums (ISO/IEC 7812-1) up to each digit, for the two ways to count every second twice.
    sums = [
        [
            0,
            *accumulate(
                sum(divmod(2 * d, 10)) if at % 2 == way else d for at, d in enumerate(digits)
            ),
        ]
        for way in (0, 1)
    ]
    at, kept = 0, ""
    while at < len(ends) - 1:
        card = 0  # the groups of the longest card that begins here
        for end in range(at + 1, len(ends)):
            if ends[end] - ends[at] > LONGEST_CARD:
                break
            sum_of = sums[ends[end] % 2]  # the last digit counts once
            long_enough = ends[end] - ends[at] >= SHORTEST_CARD
            if long_enough and (sum_of[ends[end]] - sum_of[ends[at]]) % 10 == 0:
                card = end - at
        kept += "[card]" if card else parts[2 * at]
        at += card or 1
        kept += parts[2 * at - 1] if 2 * at - 1 < len(parts) else ""
    return kept


FILTERS: dict[str, Filter] = {
    one.name: one
    for one in (
        Filter("log", log),
        Filter("rate", rate),
        Filter("block", block, guard=True),
        Filter("cut", cut),
        Filter("mask", mask, guard=True),
    )
}
