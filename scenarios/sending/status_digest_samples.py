"""The hosts of status-digest, what they answer, and how acts read a digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakes import World
    from fakes.mail import Mail

BOT, TEAM = "status@yourco.test", "team@yourco.test"
HOSTS = ["web1", "web2", "db1"]


def answers(world: World, name: str, output: str = "", takes: float = 0.5, code: int = 0) -> None:
    """From now on a host answers like this."""
    command = world.host.commands["check-host", name]
    command.output, command.takes, command.code = output, takes, code


def sections(mail: Mail) -> tuple[list[str], list[str]]:
    """The lines of a digest that changed, and the others."""
    changed, _, same = mail.text.removeprefix("Changed:\n").partition("\nAs before:\n")
    lists = [[line.strip() for line in part.splitlines()] for part in (changed, same)]
    first, second = ([] if lines == ["(nothing)"] else lines for lines in lists)
    return first, second
