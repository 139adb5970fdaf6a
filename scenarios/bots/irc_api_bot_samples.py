"""What `make live NAME=irc-api-bot` needs: a channel, and a colleague who asks."""

from __future__ import annotations

import threading
from typing import Any

CHANNEL = "#dev"


def trial(world: Any) -> dict[str, Any]:
    """Lets Ann ask twice, and returns the channel to be in."""
    ann = world.irc.person("ann")
    ann.joins(CHANNEL)
    for seconds, text in ((5.0, "api str.split"), (10.0, "api more textwrap.wrap")):
        timer = threading.Timer(seconds, ann.says, (CHANNEL, text))
        timer.daemon = True
        timer.start()
    return {"irc": {"channels": [CHANNEL]}}
