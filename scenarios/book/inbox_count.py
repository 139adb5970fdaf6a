"""Listing 6.3 as it was printed: log in, count the mail, print the number.

Mistakes

11. The block sends QUIT after an exception too, as the page does (in net_pop3.py).

Beyond the chapter's list: every failure ends the program with a stack trace, so that no exit code
distinguishes a refused login from a server that is not there.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_pop3 import NetPOP3

BREAKS = {
    "apop-login": {
        "a wrong password exits with 4": "every failure ends it with a stack trace",
        "a server without APOP exits with 4": "every failure ends it with a stack trace",
    },
}


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Counts once."""
    server = settings.server("pop3")
    with NetPOP3.start(server, clock, apop=server.auth == "apop") as pop:  # mistake 11
        count = pop.n_mails()
        host.say("You don't have any email!" if count == 0 else f"{count} mails available.")
    return 0
