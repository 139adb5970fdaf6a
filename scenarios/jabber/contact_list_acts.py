"""A further act of contact-list: who asks to see us must be let in by somebody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scenarios.jabber.contact_list import BOT, THEM, scenario
from scenarios.play import Claim, Program, equal, holds

if TYPE_CHECKING:
    from fakes import World


@scenario.act(
    "jabber-contact-auth",
    book=False,
    scenario={
        "contact-list": {
            "add": [THEM],
            "accept": ["Fan@yourco.test"],
            "deny": ["old@yourco.test"],
            "watch": 90,
        }
    },
)
def authorised(world: World, program: Program) -> Iterator[Claim]:
    """Four people ask to see the bot; one of them is on its list, one on the other. The bot has to ask, too."""
    them, fan, old, mallory = (
        world.jabber.person(f"{name}@yourco.test") for name in ("them", "fan", "old", "mallory")
    )
    them.comes()
    for seconds, person in ((10, fan), (20, old), (30, mallory), (35, mallory), (40, them)):
        world.clock.at(seconds, lambda person=person: person.asks(BOT))  # type: ignore[misc]
    world.clock.at(45, lambda: them.drops(BOT))  # they think better of it
    program()
    ours = world.jabber.roster(BOT)

    asked = [
        (contact.subscription, contact.ask) for contact in ours.values() if contact.jid == THEM
    ]
    yield holds("who was added is asked, and decides", asked == [("none", True)], ours)
    seen = [
        person.address for person in (fan, old, mallory) if any(one.sender for one in shows(person))
    ]
    yield equal("only who is on the list sees the bot", seen, ["fan@yourco.test"])
    denied = [
        (contact.subscription, contact.ask) for contact in world.jabber.roster(old.address).values()
    ]
    yield equal("who is on the other is told no", denied, [("none", False)])
    said = [line for line in world.said if "mallory" in line]
    yield equal(
        "a stranger waits, and is named once", said, ["mallory@yourco.test asks to see us: "]
    )
    waiting = [contact.jid for contact in ours.values() if contact.asking]
    yield holds("the server keeps the question open", waiting == ["mallory@yourco.test"], ours)


def shows(person: Any) -> list[Any]:
    """The presence of the bot that somebody has seen."""
    return [
        one
        for one in person.all
        if one.kind == "presence" and not one.type and (one.sender or "").startswith(BOT)
    ]
