"""Listing 6.3, step for step: log in, count, say it.

Its faults: (1) any trouble ends it with a stack trace: no exit code tells a refusal from a server that is not there.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_pop3 import NetPOP3

BREAKS = {
    "apop-login": [
        "a wrong password is a refusal: 4",
        "a server without a timestamp is a refusal: 4",
    ],
}


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Counts once."""
    server = settings.server("pop3")
    with NetPOP3.start(server, clock, apop=server.auth == "apop") as pop:
        count = pop.n_mails()
        host.say("You don't have any email!" if count == 0 else f"{count} mails available.")
    return 0
