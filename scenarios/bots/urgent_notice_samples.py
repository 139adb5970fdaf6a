"""The people of urgent-notice, and another program that has something urgent to say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

BOT, OPS, ANN = "alerts@yourco.test", "ops@yourco.test", "ann@yourco.test"
PHONES = {"ann": "5550100123@sms.acme.test", "bob": "5550100456@sms.acme.test"}
PEOPLE = {
    "ann": {"jabber": ANN, "phone": "acme 555-010-0123", "mail": ANN},
    "bob": {"aim": "Bob", "phone": "acme (555) 010 0456", "mail": "bob@yourco.test"},
    "dave": {"aim": "Dave", "mail": "dave@yourco.test"},
}


def world_of_people() -> dict[str, Any]:
    """Returns a WORLD with Ann on Jabber, Bob and Dave on AIM, their phones, and Mallory."""
    names = ("ann", "bob", "dave", "ops", "mallory")
    return {
        "servers": ["xmpp", "toc", "smtp"],
        "program": BOT,
        "person": [
            {"address": BOT, "contacts": {ANN: "both"}},
            *({"address": f"{name}@yourco.test"} for name in names),
            *({"address": phone} for phone in PHONES.values()),
        ],
        "aim": [{"screen_name": name} for name in ("AlertBot", "Bob", "Dave", "Mallory")],
        "host": {"name": "ops.yourco.test"},
        "scenario": {
            "urgent-notice": {
                "people": PEOPLE,
                "sender": BOT,
                "carriers": {"acme": "sms.acme.test"},
                "report": OPS,
            }
        },
    }


def arrived(world: Any) -> tuple[Any, Any]:
    """Returns Ann, who is online, and Bob, who is not."""
    ann, bob = world.jabber.actor(ANN), world.aim.actor("Bob")
    ann.comes()
    return ann, bob


def is_urgent(world: Any, id: str, to: str, text: str, **more: Any) -> Callable[[], None]:
    """Returns the cue at which a notice is appended to the file."""

    def cue() -> None:
        append(world, json.dumps({"id": id, "to": to, "text": text, **more}) + "\n")
        world.tell("monitor", f"has a notice for {to}: {text}")

    return cue


def append(world: Any, text: str) -> None:
    """Appends to the file of notices."""
    with (world.folder / "notices.jsonl").open("a", encoding="utf-8", newline="\n") as file:
        file.write(text)


def reports(world: Any) -> list[str]:
    """The reports that were mailed."""
    return [mail.text.replace("\r\n", "\n") for mail in world.mail.inbox(OPS)]


def trial(world: Any) -> dict[str, Any]:
    """Has two notices while `make live` runs; Ann acknowledges hers."""
    ann, _ = arrived(world)
    for seconds, happens in (
        (6.0, is_urgent(world, "disk-7", "ann", "The disk of db1 is full")),
        (8.0, is_urgent(world, "load-1", "bob", "The load of db1 is 40")),
        (15.0, lambda: ann.says(BOT, "ok disk-7")),
    ):
        timer = threading.Timer(seconds, happens)
        timer.daemon = True
        timer.start()
    rules = {"notices": str(world.folder / "notices.jsonl"), "sms": 10, "mail": 10}
    return {"scenario": {"urgent-notice": rules}}
