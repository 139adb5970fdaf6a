"""What `make live NAME=irc-api-bot` needs: a channel, and a colleague who asks."""

from __future__ import annotations

from typing import Any

CHANNEL = "#dev"


def trial(world: Any) -> dict[str, Any]:
    """Lets Ann ask twice, and returns the channel to be in."""
    ann = world.irc.person("ann")
    ann.joins(CHANNEL)
    world.clock.at(5, lambda: ann.says(CHANNEL, "api str.split"))
    world.clock.at(10, lambda: ann.says(CHANNEL, "api more textwrap.wrap"))
    return {"irc": {"channels": [CHANNEL]}}
