"""Further acts of contact-list: requests to see us, forged changes, invalid addresses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from scenarios.jabber.contact_list import BOT, FAN, MALLORY, OLD, THEM, scenario
from scenarios.play import Claim, Program, ends, equal, sent, told

if TYPE_CHECKING:
    from fakes import World
    from fakes.wire import Record


def sees_bot(person: Any) -> bool:
    """Whether a person ever got the bot's presence."""
    return any(
        stanza.kind == "presence" and not stanza.type and (stanza.sender or "").startswith(BOT)
        for stanza in person.all
    )


def presences(world: World, type: str, to: str) -> list[Record]:
    """The presence stanzas of this type that the program sent to an address, as evidence."""
    parts = (f"type='{type}'".encode(), f"to='{to}'".encode())
    return [one for one in sent(world, "presence") if all(part in one.raw for part in parts)]


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
    """Four people ask to see the bot: one is accepted, one denied; and the bot asks, too."""
    them, fan, old, mallory = map(world.jabber.actor, (THEM, FAN, OLD, MALLORY))
    them.comes()
    for at, person in ((10, fan), (20, old), (30, mallory), (35, mallory), (40, them)):
        world.clock.at(at, partial(person.asks, BOT))
    world.clock.at(45, lambda: them.drops(BOT))  # they change their mind
    program()
    ours = world.jabber.roster(BOT)

    asked = [
        (contact.subscription, contact.ask) for contact in ours.values() if contact.jid == THEM
    ]
    requests = presences(world, "subscribe", THEM)
    yield equal("an added contact is asked, and decides", asked, [("none", True)], shows=requests)
    seen = [person.address for person in (fan, old, mallory) if sees_bot(person)]
    yield equal("only an accepted contact sees the bot", seen, [FAN])
    theirs = world.jabber.roster(OLD).values()
    denied = [(contact.subscription, contact.ask) for contact in theirs]
    answers = presences(world, "unsubscribed", OLD)
    yield equal("a denied contact is notified", denied, [("none", False)], shows=answers)
    lines = [line for line in world.said if "mallory" in line]
    yield equal("a stranger is printed once", lines, [f"{MALLORY} asks to see us: "], shows=lines)
    waiting = [contact.jid for contact in ours.values() if contact.asking]
    asks = [event for event in told(world, "asks to see") if event.who == MALLORY]
    yield equal("the server keeps the stranger's request open", waiting, [MALLORY], shows=asks)


@scenario.act("jabber-roster-forged", book=False)
def forged(world: World, program: Program) -> Iterator[Claim]:
    """A stranger sends the bot a change of its own contact list."""
    mallory = world.jabber.actor(MALLORY)
    item = f"<item jid='{MALLORY}' subscription='both'/>"
    change = f"<query xmlns='jabber:iq:roster'>{item}</query>"

    def forge() -> None:
        for device in world.jabber.sessions(BOT):
            mallory.sends(f"<iq to='{device}' type='set' id='p'>{change}</iq>")

    world.clock.at(20, forge)
    program()
    yield equal("the change is ignored", (world.said, list(world.jabber.roster(BOT))), ([], []))
    code = program(scenario={"contact-list": {"add": ["a b@yourco.test"]}})
    yield equal(
        "an invalid address is an error in the settings",
        code,
        2,
        shows=ends(world)[-1:],
    )
