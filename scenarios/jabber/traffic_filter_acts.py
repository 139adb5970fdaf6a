"""Further acts of traffic-filter: floods, huge and odd messages, filters that fail, their order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from scenarios.jabber.traffic_filter import BOT, CARD, CARL, DORA, scenario
from scenarios.jabber.traffic_filter_desk import FILTERS, Context, Filter
from scenarios.play import Claim, Program, equal, holds, told

if TYPE_CHECKING:
    from fakes import World


def broken(message: Element, context: Context) -> Element:
    """A filter with a bug: it changes the message, and fails half way."""
    message.clear()
    raise LookupError("no such table")


FILTERS["broken"] = Filter("broken", broken)
FILTERS["broken-guard"] = Filter("broken-guard", broken, guard=True)


def heard(person: Any) -> list[str]:
    """The texts that a person got."""
    return [stanza.body for stanza in person.messages]


def dropped(world: World, filter: str) -> list[Any]:
    """The events about messages that a filter has dropped."""
    return [event for event in told(world, "filter-dropped") if f"filter={filter} " in event.text]


@scenario.act("traffic-filter-flood")
def flood(world: World, program: Program) -> Iterator[Claim]:
    """Dora asks forty times in forty seconds, from two devices; then Carl asks once."""
    carl, dora = world.jabber.actor(CARL), world.jabber.actor(DORA)
    other = world.jabber.actor(DORA, "phone")
    for at in range(20):
        world.clock.at(10 + 2 * at, partial(dora.says, BOT, "order 8"))
        world.clock.at(11 + 2 * at, partial(other.says, BOT, "order 8"))
    world.clock.at(51, partial(carl.says, BOT, "order 8"))
    world.clock.at(110, partial(dora.says, BOT, "order 8"))
    world.clock.until(120)
    program()
    answers = len(heard(dora)) + len(heard(other))
    shows = [*dora.messages, *other.messages]
    yield equal("a flood is answered five times in its minute", answers, 6, shows=shows)
    count = len(dropped(world, "rate"))
    yield equal("the rest is dropped", count, 35, shows=dropped(world, "rate"))
    yield equal("another customer is served", len(heard(carl)), 1, shows=carl.messages)


@scenario.act("traffic-filter-odd")
def odd(world: World, program: Program) -> Iterator[Claim]:
    """Messages that are huge, empty, nested, or the same text twice; a query passes by."""
    carl, dora = world.jabber.actor(CARL), world.jabber.actor(DORA)
    xhtml = f"<html xmlns='http://jabber.org/protocol/xhtml-im'><b>{CARD}</b></html>"
    deep = "".join(f"<x{number}>" for number in range(50))
    ends = "".join(f"</x{number}>" for number in reversed(range(50)))

    def sends(content: str) -> None:
        for device in world.jabber.sessions(BOT):
            carl.sends(f"<message to='{device}' type='chat'>{content}</message>")

    def asks() -> None:
        for device in world.jabber.sessions(BOT):
            carl.sends(f"<iq to='{device}' type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>")

    odd_ones = [
        f"<body>order 8{'x' * 200_000}</body>",
        "<body/>",
        "",
        f"<body><b>order 8</b></body><y xmlns='urn:y'>{deep}casino{ends}</y>",
        f"<body>order 9 {CARD}</body>{xhtml}",
    ]
    for at, content in enumerate(odd_ones, 10):
        world.clock.at(at, partial(sends, content))
    world.clock.at(20, asks)
    world.clock.at(80, partial(dora.says, BOT, "order 8"))
    world.clock.until(90)
    code = program()
    texts = heard(carl)
    longest = max(len(text) for text in texts)
    yield holds("a huge text is cut", 900 < longest < 1100, longest, shows=carl.messages[:1])
    blocked = dropped(world, "block")
    yield equal("a word is found wherever it hides", len(blocked), 1, shows=blocked)
    masked = texts[-1:]
    wanted = ["I know no such order: order 9 [card]"]
    yield equal("the text is masked whatever repeats it", masked, wanted, shows=carl.messages[-1:])
    answers = [stanza for stanza in carl.all if stanza.kind == "iq"]
    types = [stanza.type for stanza in answers]
    yield equal("a query is answered", types, ["result"], shows=answers)
    yield equal(
        "the stream lives", heard(dora), ["Order 8: Three books, on their way"], dora.messages
    )
    yield equal("the program exits with 0", code, 0)


@scenario.act(
    "traffic-filter-fails", scenario={"traffic-filter": {"filters": ["log", "broken", "mask"]}}
)
def fails(world: World, program: Program) -> Iterator[Claim]:
    """A filter has a bug; then one that guards has it, too."""
    carl = world.jabber.actor(CARL)
    world.clock.at(10, partial(carl.says, BOT, "order 7"))
    world.clock.until(20)
    code = program()
    passed = heard(carl)
    masked = "Order 7: Two books, paid with [card] by [address] on 2026-01-05"
    yield equal("a message passes over a broken filter", passed, [masked], shows=carl.messages)
    failed = told(world, "filter-failed")
    reasons = {event.text.partition("trouble=")[2] for event in failed}
    yield equal("each failure is logged", reasons, {"LookupError: no such table"}, shows=failed)
    world.clock.at(30, partial(carl.says, BOT, "order 7"))
    world.clock.until(40)
    guarded = {"traffic-filter": {"filters": ["broken-guard", "mask"]}}
    codes = (code, program(scenario=guarded))
    lost = dropped(world, "broken-guard")
    yield equal("nothing passes over a broken guard", len(lost), 1, shows=lost)
    yield equal("nothing more is answered", heard(carl)[1:], [])
    yield equal("the program exits with 0, as the stream lives", codes, (0, 0))


@scenario.act("traffic-filter-order", scenario={"traffic-filter": {"longest": 20, "rate": 100}})
def order(world: World, program: Program) -> Iterator[Claim]:
    """The same message with the filters in two orders: what is cut first cannot be recognised."""
    carl = world.jabber.actor(CARL)
    world.clock.at(10, partial(carl.says, BOT, f"card {CARD}"))
    world.clock.until(20)
    program(scenario={"traffic-filter": {"filters": ["mask", "cut", "log"]}})
    world.clock.at(30, partial(carl.says, BOT, f"card {CARD}"))
    world.clock.until(40)
    program(scenario={"traffic-filter": {"filters": ["log", "cut", "mask"]}})
    found = [line.partition("asks: ")[2] for line in world.said]
    wanted = ["card [card]", f"{f'card {CARD}'[:20]}…"]
    yield equal("the filters are called in the order of the settings", found, wanted, world.said)
    lines = [event for event in told(world, "traffic direction=in") if CARL in event.text]
    sizes = [int(event.text.rpartition("=")[2]) for event in lines]
    yield holds("the log shows what comes to its place", sizes[0] < sizes[1], sizes, shows=lines)
