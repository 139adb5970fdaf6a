"""Who is on call in the acts of sms-alert, what they get, and what the check prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakes import World

ALERTS, ANN, BOB = "alerts@yourco.test", "5550100123@sms.acme.test", "5550100456@sms.acme.test"
CHECK = ("check_disk", "-w", "10%")


def received(world: World, phone: str) -> list[str]:
    """The texts that a phone got."""
    return [mail.text.removesuffix("\r\n").removesuffix("\n") for mail in world.mail.inbox(phone)]


def fails(world: World, output: str, code: int = 2) -> Callable[[], None]:
    """Returns the cue at which the check begins to end in this way."""

    def cue() -> None:
        known = world.host.commands[CHECK]
        known.output, known.code = output, code

    return cue
