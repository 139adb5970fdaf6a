"""The people of build-mail, and a CI server that finishes builds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakes import World

BOT, TEAM = "builds@yourco.test", "team@yourco.test"
CAROL, DAVE = "carol@yourco.test", "dave@yourco.test"
LOG = ("compiling …", "\x1b[32mtest_one passed\x1b[0m", "test_two FAILED", "1 of 2 tests failed")


def finishes(
    world: World,
    number: int,
    status: str,
    authors: Sequence[str],
    branch: str = "main",
    log: str | None = None,
) -> Callable[[], None]:
    """Returns the cue at which a build finishes: its log is written, and its line appended."""

    def cue() -> None:
        name = f"{number}.log"
        text = "\n".join(LOG) + "\n" if log is None else log
        (world.folder / name).write_text(text, "utf-8", newline="\n")
        commits = [
            {"id": f"{number}{place}", "author": author, "subject": "Improve it"}
            for place, author in zip("abc", authors, strict=False)
        ]
        build = {"branch": branch, "number": number, "status": status, "log": name}
        append(world, json.dumps({**build, "commits": commits}) + "\n")
        world.tell("ci", f"build {number} of {branch} has {status}")

    return cue


def append(world: World, text: str) -> None:
    """Appends to the file of builds."""
    with (world.folder / "builds.jsonl").open("a", encoding="utf-8", newline="\n") as file:
        file.write(text)


def summary(world: World) -> dict[str, list[str]]:
    """The subjects of the mails that each person got, in the order of the builds."""
    found: dict[str, list[str]] = {}
    for mail in world.mail.messages:
        for address in mail.envelope.to:
            found.setdefault(address, []).append(mail.subject)
    number = re.compile(r"\d+")
    return {
        to: sorted(got, key=lambda subject: int(number.findall(subject)[-1]))
        for to, got in found.items()
    }
