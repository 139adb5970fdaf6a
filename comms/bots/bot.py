"""A bot that answers questions: the same on every network.

    bot = Bot([Irc(settings.server("irc"), clock, host)], answer, clock, host)
    bot.run()                           # until the program is asked to stop

`answer` is called with each message that a person has said to the bot, and returns the answer, or
"" for silence. A bot that changes something takes commands instead (orders.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from comms.bots.company import Company, Limits
from comms.bots.network import Heard, Network, shortened
from comms.callbacks import call
from comms.clock import Clock
from comms.errors import CommsError
from comms.host import Host

LOOK = 1.0  # seconds between two looks at the networks


class Bot:
    """Answers what is said to it. `prefixes` address it in rooms, beside its name."""

    def __init__(
        self,
        networks: Sequence[Network],
        answer: Callable[[Heard], str],
        clock: Clock,
        host: Host,
        limits: Limits | None = None,
        prefixes: Collection[str] = (),
    ) -> None:
        self.company = Company(networks, clock, host, limits, prefixes)
        self._answer, self._clock, self._host = answer, clock, host

    def run(self) -> None:
        """Answers until stopped. Raises CommsError if no network can be used."""
        with self.company:
            for _ in self._clock.every(LOOK):
                self.look()

    def look(self) -> None:
        """Answers what was said since the last look."""
        for heard in self.company.heard():
            self._hear(heard)

    def _hear(self, heard: Heard) -> None:
        # Nobody waits any more for an answer to what was said while we were away.
        if heard.delayed or heard.unreadable:
            return
        done, text = call(self._host, self._answer, heard)
        if not done or not text:
            return
        facts = {"network": heard.network.name, "to": heard.name}
        try:
            heard.network.say(heard.to, shortened(text, heard.network.longest))
        except (CommsError, ValueError) as error:
            self._host.log("not-said", "warning", **facts, trouble=error)
        else:
            self._host.log("answered", **facts)
