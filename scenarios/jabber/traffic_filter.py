"""Filter the traffic of a bot: pass, change, drop and log what arrives and what leaves.

Section 6.2.2 · XMPP · try: make scenario NAME=traffic-filter

The bot reads out orders to everybody who asks for one by its number, and some have more in them
than a customer should see. The filters between it and the network have an order. Each of them
passes a message on, changed or not, or drops it. One that fails harms nothing: a message is passed
over it, unless it is a guard, such as `mask`: then the message is dropped. Requests and presence
always pass, because the other side waits for answers.

[scenario.traffic-filter]
orders = { 7 = "Two books" }         # required: what the bot reads out
filters = ["log", "rate", "block", "cut", "mask"]   # in this order; log may come twice
block = []                           # words; a message with one of them is dropped
longest = 1000                       # characters of a text; the rest is cut
rate = 20                            # messages of one sender in a minute; more are dropped

`mask` hides card numbers and mail addresses, in both directions.

Fault: xmpp message split 1 -> all hold
Fault: xmpp iq split 3 -> all hold
Fault: xmpp-domain-sender -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.host import Host
from comms.setting_types import Count, NonEmpty
from comms.settings import Settings
from comms.xmpp import Client
from scenarios.jabber.traffic_filter_desk import FILTERS, Chain, Limits
from scenarios.play import Claim, Program, Scenario, equal, told

if TYPE_CHECKING:
    from fakes import World

BOT, CARL, DORA = "orders@yourco.test", "carl@yourco.test", "dora@yourco.test"
CARD = "4111 1111 1111 1111"
WORLD: dict[str, Any] = {
    "servers": ["xmpp"],
    "program": BOT,
    "person": [{"address": address} for address in (BOT, CARL, DORA)],
    "scenario": {
        "traffic-filter": {
            "orders": {
                "7": f"Two books, paid with {CARD} by carl@example.test on 2026-01-05",
                "8": "Three books, on their way",
            },
            "block": ["casino"],
            "rate": 5,
        }
    },
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings."""

    orders: NonEmpty[dict[str, str]]
    filters: tuple[str, ...] = ("log", "rate", "block", "cut", "mask")
    block: tuple[NonEmpty[str], ...] = ()
    longest: Count = 1000
    rate: Count = 20

    def __post_init__(self) -> None:
        for name in self.filters:
            if name not in FILTERS:
                raise ValueError(f"filters: unknown {name!r}; choose from {', '.join(FILTERS)}")


def answer(orders: dict[str, str], text: str) -> str:
    """Returns what the bot answers: everything that it knows about an order."""
    number = text.casefold().removeprefix("order").strip(" #\n")
    found = orders.get(number)
    return f"Order {number}: {found}" if found else f"I know no such order: {text}"


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers until stopped. Raises CommsError."""
    rules = settings.table("traffic-filter", Rules)
    limits = Limits(rules.block, rules.longest, rules.rate)
    chain = Chain([FILTERS[name] for name in rules.filters], limits, clock, host)
    with Client(settings.server("xmpp"), clock, host) as jabber:
        jabber.incoming.append(chain.incoming)
        jabber.outgoing.append(chain.outgoing)

        @jabber.on_message
        def hear(message: Any) -> None:
            host.say(f"{message.sender.bare} asks: {message.text[:80]}")
            jabber.send(message.reply(answer(rules.orders, message.text)))

        jabber.wait()
    return 0


@scenario.act("traffic-filter")
def filtered(world: World, program: Program) -> Iterator[Claim]:
    """Carl asks for two orders; Dora sends an advertisement, and a card number."""
    carl, dora = world.jabber.actor(CARL), world.jabber.actor(DORA)
    world.clock.at(10, lambda: carl.says(BOT, "order 8"))
    world.clock.at(11, lambda: carl.says(BOT, "order 7"))
    world.clock.at(12, lambda: dora.says(BOT, "Visit our CASINO"))
    world.clock.at(13, lambda: dora.says(BOT, f"order 7, and my card is {CARD}"))
    world.clock.until(30)
    code = program()
    heard = [stanza.body for stanza in carl.messages]
    shows = carl.messages[:1]
    yield equal(
        "what harms nobody passes", heard[:1], ["Order 8: Three books, on their way"], shows
    )
    masked = "Order 7: Two books, paid with [card] by [address] on 2026-01-05"
    yield equal("what should not leave is changed", heard[1:], [masked], shows=carl.messages[1:])
    asked = [line for line in world.said if line.startswith(DORA)]
    wanted = [f"{DORA} asks: order 7, and my card is [card]"]
    yield equal("the bot itself never sees a card number", asked, wanted, shows=asked)
    dropped = [event.text for event in told(world, "filter-dropped")]
    reason = f"filter-dropped direction=in filter=block who={DORA}/play"
    yield equal("what is blocked is dropped and logged", dropped, [reason], shows=dropped)
    lines = [event for event in told(world, "traffic") if "@yourco.test/" in event.text]
    ways = [event.text.split()[1] for event in lines]
    both = ["direction=in"] * 4 + ["direction=out"] * 3
    yield equal("the log has both directions", sorted(ways), both, shows=lines)
    texts = " ".join(event.text for event in world.events if event.who == "program")
    yield equal("no text is in the log", "books" in texts or CARD in texts, False)
    yield equal("the program exits with 0 when it is stopped", code, 0)
