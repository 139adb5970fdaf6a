"""Answer customers with the menus of a call center, as text: press 1 for orders.

Section 6.2.2 · XMPP · try: make scenario NAME=im-menu

A customer who writes gets the main menu, and chooses by a key or by the words beside it. Menus are
data: a line is `KEY WORDS -> MENU`, which leads to another menu, `KEY WORDS = ANSWER`, or text that
is shown above. `main`, `back` and `operator` always exist. A wrong key three times in a row leads
to the operator, and so does `0` if a menu says so. A customer who says nothing is asked once more,
and then the call is over. With the operator, the program is silent. Voice is not played.

[scenario.im-menu]
operator = "anna@yourco.test"        # required
menus = { main = ["Hello.", "1 Orders -> operator", "2 Hours = From 9 to 5."] }   # required
tries = 3                            # wrong keys in a row that lead to the operator
wait = 120                           # seconds until a silent customer is asked again
quiet = 600                          # seconds for which the operator has a customer
poll = 1                             # seconds

Fault: xmpp message split 1 -> all hold
Fault: xmpp iq split 3 -> all hold
Fault: xmpp-domain-sender -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.host import Host
from comms.setting_types import Count, JabberAccount, NonEmpty, Seconds
from comms.settings import Settings
from comms.xmpp import Client
from scenarios.jabber.im_menu_desk import Desk
from scenarios.jabber.im_menu_dialogue import Call, Menu, read_menus
from scenarios.jabber.im_menu_dialogue import answer as answer_key
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

BOT, ANNA = "service@yourco.test", "anna@yourco.test"
CARL, DORA = "carl@example.test", "dora@example.test"
MENUS = {
    "main": [
        "Welcome to YourCo.",
        "1 Orders -> orders",
        "2 Opening hours = We are here from 9 to 5, Monday to Friday.",
        "0 A person -> operator",
    ],
    "orders": [
        "1 Where is my order = It is on its way.",
        "2 Complain -> operator",
        "9 Back -> back",
    ],
}
WORLD: dict[str, Any] = {
    "servers": ["xmpp"],
    "program": BOT,
    "person": [{"address": address} for address in (BOT, ANNA, CARL, DORA)],
    "scenario": {"im-menu": {"operator": ANNA, "menus": MENUS}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    operator: JabberAccount
    menus: NonEmpty[dict[str, tuple[NonEmpty[str], ...]]]
    tries: Count = 3
    wait: Seconds = 120
    quiet: Seconds = 600
    poll: Seconds = 1

    def __post_init__(self) -> None:
        self.read()

    def read(self) -> dict[str, Menu]:
        """Returns the menus. Raises ValueError."""
        return read_menus(self.menus)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers until stopped. Raises CommsError."""
    rules = settings.table("im-menu", Rules)
    menus = rules.read()
    server = settings.server("xmpp")
    with Client(server, clock, host, accept_subscriptions=True) as jabber:
        desk = Desk(jabber, clock, host, rules.operator, rules.wait, rules.quiet)

        def hear(call: Call, text: str) -> Iterator[str]:
            return answer_key(menus, call, text, rules.tries)

        for _ in clock.every(rules.poll):
            for message in jabber.received_messages():
                desk.hear(message, hear)
            desk.returned(jabber.returned_messages())
            desk.tick(menus)
    return 0


@scenario.act("im-menu")
def menu(world: World, program: Program) -> Iterator[Claim]:
    """Carl asks for the hours, then for his order, by a key, by words, and back again."""
    carl = world.jabber.actor(CARL)
    carl.comes()
    keys = ["hello", "2", "1", "where is my ORDER", "9.", "１"]
    for at, key in enumerate(keys, 10):
        world.clock.at(at, partial(carl.says, BOT, key))
    world.clock.until(30)
    code = program()
    heard = [stanza.body for stanza in carl.messages]
    main = "Welcome to YourCo.\n1 Orders\n2 Opening hours\n0 A person"
    orders = "1 Where is my order\n2 Complain\n9 Back"
    yield equal("the first message gets the main menu", heard[:1], [main], shows=carl.messages[:1])
    hours = "We are here from 9 to 5, Monday to Friday."
    wanted = [f"{hours}\n\n{main}", orders, f"It is on its way.\n\n{orders}", main, orders]
    yield equal("each key does what the menu says", heard[1:], wanted, shows=carl.messages[1:])
    yield equal("the program exits with 0 when it is stopped", code, 0)
