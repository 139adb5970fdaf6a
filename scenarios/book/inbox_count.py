"""Listing 6.3 as it was printed: log in, count the mail, print the number.

The chapter promises the same over IMAP and does not print it. `run_imap` is how its authors would
have written it, in the same steps.

Mistakes

11. The block sends QUIT after an exception too, as the page does (in net_pop3.py). Over IMAP there
    is no block, and the session is left open (in net_imap.py).

Beyond the chapter's list: every failure ends the program with a stack trace, so that no exit code
distinguishes a refused login from a server that is not there. Over IMAP, a missing folder, too.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Server, Settings
from scenarios.book.net_imap import NetIMAP
from scenarios.book.net_pop3 import NetPOP3

BREAKS = {
    "apop-login": {
        "a wrong password exits with 4": "every failure ends it with a stack trace",
        "a server without APOP exits with 4": "every failure ends it with a stack trace",
    },
    "inbox-count-imap": {
        "a folder that is missing exits with 4": "every failure ends it with a stack trace",
    },
}


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Counts once."""
    server = settings.mailbox("inbox-count", _chosen(settings))
    if server.protocol == "imap":
        return run_imap(clock, server, host)
    with NetPOP3.start(server, clock, apop=server.auth == "apop") as pop:  # mistake 11
        report(pop.n_mails(), host)
    return 0


def run_imap(clock: Clock, server: Server, host: Host) -> int:
    """Counts what nobody has read, once."""
    imap = NetIMAP(server, clock)
    imap.login(server.user, server.password)
    imap.select(server.folder)
    report(len(imap.search("UNSEEN")), host)
    imap.logout()  # mistake 11: not after an exception
    return 0


def report(count: int, host: Host) -> None:
    """Prints the number."""
    host.say("You don't have any email!" if count == 0 else f"{count} mails available.")


def _chosen(settings: Settings) -> str | None:
    table = settings.tables.get("scenario", {}).get("inbox-count", {})
    return table.get("mailbox")  # type: ignore[no-any-return]
