"""Coworkers who watch two repositories, and notes as the hook leaves them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

ANN = "ann@yourco.test"


def world_of_watchers() -> dict[str, Any]:
    """Returns a WORLD with Ann, who watches everything, and Bob, who watches the documents."""
    return {
        "servers": ["xmpp", "toc"],
        "program": "bot@yourco.test",
        "person": [{"address": f"{name}@yourco.test"} for name in ("bot", "ann")],
        "aim": [{"screen_name": name} for name in ("CommitBot", "Bob")],
        "scenario": {
            "commit-notify": {
                "queue": "commits",
                "watchers": {ANN: ["*"], "Bob": ["site/trunk/docs/*"]},
            }
        },
    }


def arrived(world: Any) -> tuple[Any, Any]:
    """Returns Ann and Bob, who are online, and makes the folder of the queue."""
    (world.folder / "commits").mkdir(exist_ok=True)
    ann, bob = world.jabber.actor(ANN), world.aim.actor("Bob")
    ann.comes()
    bob.signs_on()
    return ann, bob


def note(paths: Sequence[str], log: str = "Mend the header", author: str = "carol") -> bytes:
    """Returns a complete note."""
    said = "".join(f" {line}\n" for line in log.split("\n"))
    lines = [f"author: {author}\n{said}", *paths, f"count: {len(paths)}\n"]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def leaves_note(
    world: Any, revision: str, paths: Sequence[str], repository: str = "site", **words: str
) -> None:
    """Leaves a note in the queue, as the hook does."""
    leaves(world, f"note.{revision}.1.{repository}", note(paths, **words))


def leaves(world: Any, name: str, content: bytes) -> None:
    """Leaves a file in the queue."""
    (world.folder / "commits" / name).write_bytes(content)


def trial(world: Any) -> dict[str, Any]:
    """Leaves two notes while `make live` runs."""
    arrived(world)
    for number, paths in enumerate((["U   trunk/docs/a.html"], ["A   trunk/b.c"]), 1):
        timer = threading.Timer(4.0 * number, leaves_note, (world, f"r{number}", paths))
        timer.daemon = True
        timer.start()
    return {"scenario": {"commit-notify": {"queue": str(world.folder / "commits")}}}
