"""A team: Ann and Bob are peers, Dan is their manager, and Carol and Carl have no vote."""

from __future__ import annotations

import threading
from typing import Any

BOT, MALLORY = "bot@yourco.test", "mallory@yourco.test"
ROOM, CHANNEL = "dev@conference.yourco.test", "#dev"
NAMES = ("ann", "bob", "carol", "carl", "dan")
PEOPLE: dict[str, dict[str, str]] = {
    name: {"jabber": f"{name}@yourco.test", "irc": name} for name in NAMES
} | {"bob": {"aim": "Bob", "jabber": "bob@yourco.test", "irc": "bob"}}
LEAVE = ["from (date): From which day?", "until (date): Until which day?", "why: What for?"]


def world_of_reviewers() -> dict[str, Any]:
    """Returns a WORLD with the team, and Mallory, who is not of it."""
    return {
        "servers": ["xmpp", "toc"],
        "program": BOT,
        "person": [{"address": address} for address in (BOT, MALLORY, *map(address_of, NAMES))],
        "aim": [{"screen_name": name} for name in ("ReviewBot", "Bob", "B0b")],
        "scenario": {
            "review-bot": {
                "people": PEOPLE,
                "peers": ["ann", "bob"],
                "managers": ["dan"],
                "workflows": {"leave": LEAVE},
            }
        },
    }


def address_of(name: str) -> str:
    """Returns the Jabber account of one of the team."""
    return f"{name}@yourco.test"


def jabber(world: Any, *names: str) -> list[Any]:
    """Returns some of the team, who are online by Jabber."""
    found = [world.jabber.actor(address_of(name)) for name in names]
    for actor in found:
        actor.comes()
    return found


def ann_bob_dan(world: Any) -> tuple[Any, Any, Any]:
    """Returns Ann, Bob who is on AIM, and Dan; all are online."""
    ann, dan = jabber(world, "ann", "dan")
    bob = world.aim.actor("Bob")
    bob.signs_on()
    return ann, bob, dan


def opened(world: Any, owner: Any, nick: str) -> None:
    """Lets a person open the room, as one in which everybody sees the addresses."""
    owner.joins(ROOM, nick)
    field = "<field var='muc#roomconfig_whois'><value>anyone</value></field>"
    form = f"<x xmlns='jabber:x:data' type='submit'>{field}</x>"
    query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
    owner.sends(f"<iq type='set' id='1' to='{ROOM}'>{query}</iq>")


def trial(world: Any) -> dict[str, Any]:
    """Lets Ann ask for a review, and Bob and Dan approve it, while `make live` runs."""
    ann, bob, dan = ann_bob_dan(world)
    says = (
        (ann.says, BOT, "review r17 Mend the header"),
        (bob.says, "ReviewBot", "approve 1 r17"),
        (dan.says, BOT, "approve 1 r17"),
        (ann.says, BOT, "log 1"),
    )
    for number, (say, to, text) in enumerate(says, 2):
        timer = threading.Timer(number * 3.0, say, (to, text))
        timer.daemon = True
        timer.start()
    return {}
