"""The developers of build-notify, and a CI server that finishes builds."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

BOT, ANN, CAROL = "builds@yourco.test", "ann@yourco.test", "carol@yourco.test"
LOG_END = "1 of 2 tests failed"
LOG = f"compiling …\n\x1b[32mtest_one passed\x1b[0m\ntest_two FAILED\n{LOG_END}\n"
PEOPLE = {
    "ann": {"jabber": ANN, "mail": ANN},
    "bob": {"aim": "Bob", "mail": "bob@yourco.test"},
    "dave": {"jabber": "dave@yourco.test", "mail": "dave@yourco.test"},
}


def world_of_developers() -> dict[str, Any]:
    """Returns a WORLD with Ann and Dave on Jabber, Bob on AIM, and Mallory, a stranger."""
    names = ("ann", "bob", "dave", "mallory")
    return {
        "servers": ["xmpp", "toc", "smtp"],
        "program": BOT,
        "person": [
            {"address": BOT, "contacts": {ANN: "both", "dave@yourco.test": "both"}},
            *({"address": f"{name}@yourco.test"} for name in names),
        ],
        "aim": [{"screen_name": name} for name in ("BuildBot", "Bob", "Mallory")],
        "host": {"name": "ci.yourco.test"},
        "scenario": {"build-notify": {"people": PEOPLE, "projects": ["site", "app"], "poll": 2}},
    }


def arrived(world: Any) -> tuple[Any, Any]:
    """Returns Ann and Bob, who are online."""
    ann, bob = world.jabber.actor(ANN), world.aim.actor("Bob")
    ann.comes()
    bob.signs_on()
    return ann, bob


def line(number: int, status: str, branch: str = "main", project: str = "site", **more: Any) -> str:
    """Returns a line of the file of builds."""
    commits = [{"id": f"{number}a", "author": CAROL, "subject": "Improve it"}]
    build = {"project": project, "branch": branch, "number": number, "status": status}
    return json.dumps({**build, "commits": commits, **more}) + "\n"


def finishes(world: Any, number: int, status: str, **more: Any) -> Callable[[], None]:
    """Returns the cue at which a build finishes: its log is written, and its line appended."""

    def cue() -> None:
        name = f"{number}.log"
        (world.folder / name).write_text(LOG, "utf-8", newline="\n")
        append(world, line(number, status, log=name, **more))
        world.tell("ci", f"build {number} has {status}")

    return cue


def append(world: Any, text: str) -> None:
    """Appends to the file of builds."""
    with (world.folder / "builds.jsonl").open("a", encoding="utf-8", newline="\n") as file:
        file.write(text)


def trial(world: Any) -> dict[str, Any]:
    """Finishes builds while `make live` runs, and lets Bob ask."""
    _, bob = arrived(world)
    for seconds, happens in (
        (4.0, finishes(world, 812, "failed")),
        (15.0, lambda: bob.says("BuildBot", "status")),
        (20.0, finishes(world, 813, "passed")),
    ):
        timer = threading.Timer(seconds, happens)
        timer.daemon = True
        timer.start()
    return {
        "scenario": {"build-notify": {"builds": str(world.folder / "builds.jsonl"), "gather": 2}}
    }
