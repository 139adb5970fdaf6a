"""YourCo's service: its questions, two agents, and customers, two of whom are called Jones."""

from __future__ import annotations

import threading
from functools import partial
from html import unescape
from typing import Any

BOT = "YourCoBot"
JID, ANNA, DORA, TEAM = (f"{name}@yourco.test" for name in ("bot", "anna", "dora", "team"))
CAROL, MALLORY = "carol@customer.test", "mallory@yourco.test"
FAQ = """\
[[question]]
ask = ["opening hours", "when are you open"]
answer = "We are here from 9 to 5, Monday to Friday."

[[question]]
ask = ["where is my parcel", "track a parcel"]
answer = "See https://yourco.test/parcels with the number of your order."

[[question]]
ask = ["return a parcel", "send back"]
answer = "Within 30 days: https://yourco.test/returns"
"""
CUSTOMERS = """\
17 = { name = "Carol Jones", mail = "carol@customer.test", aim = "Carol J" }
18 = { name = "Caroline Jones", mail = "caroline@customer.test" }
21 = { name = "Dora Smith", jabber = "dora@yourco.test" }
"""


def world_of_service() -> dict[str, Any]:
    """Returns a WORLD on a Monday, with agents and customers on XMPP and AIM."""
    return {
        "servers": ["xmpp", "toc", "smtp"],
        "program": JID,
        "person": [
            {"address": JID, "contacts": {ANNA: "both"}},
            *({"address": address} for address in (ANNA, DORA, TEAM, CAROL, MALLORY)),
        ],
        "aim": [{"screen_name": name} for name in (BOT, "Ben", "Carol J", "Mallory")],
        "scenario": {
            "customer-bot": {
                "faq": "faq.toml",
                "customers": "customers.toml",
                "agents": {"Anna": {"jabber": ANNA}, "Ben": {"aim": "Ben"}},
                "team": TEAM,
                "hours": ["Mon-Fri 00:00-17:00"],
            }
        },
    }


def opened(world: Any) -> tuple[Any, Any]:
    """Writes the files, and returns Carol and Anna, who are online."""
    write_files(world)
    carol, anna = world.aim.actor("Carol J"), world.jabber.actor(ANNA)
    carol.signs_on()
    anna.comes()
    return carol, anna


def write_files(world: Any) -> None:
    """Writes the list of questions and that of customers."""
    (world.folder / "faq.toml").write_text(FAQ, "utf-8", newline="\n")
    (world.folder / "customers.toml").write_text(CUSTOMERS, "utf-8", newline="\n")


def says(world: Any, person: Any, *lines: tuple[float, str]) -> None:
    """Lets a user of AIM or Jabber say these texts to the bot at these times."""
    bot = JID if hasattr(person, "messages") else BOT
    for at, text in lines:
        world.clock.at(at, partial(person.says, bot, text))


def bodies(person: Any) -> list[str]:
    """What a user of AIM or Jabber has got, as plain text."""
    if hasattr(person, "messages"):
        return [stanza.body for stanza in person.messages]
    return [unescape(im.text.replace("<br>", "\n")) for im in person.heard]


def trial(world: Any) -> dict[str, Any]:
    """Lets Carol ask while `make live` runs, and Anna take her."""
    carol, anna = opened(world)
    lines = (
        (carol.says, BOT, "when are you open"),
        (carol.says, BOT, "person"),
        (anna.says, JID, "!take"),
        (anna.says, JID, "Hello Carol"),
    )
    for number, (say, to, text) in enumerate(lines, 2):
        timer = threading.Timer(number * 3.0, say, (to, text))
        timer.daemon = True
        timer.start()
    always = ["Mon-Sun 00:00-24:00"]
    files = {name: str(world.folder / f"{name}.toml") for name in ("faq", "customers")}
    return {"scenario": {"customer-bot": {"hours": always, **files}}}
