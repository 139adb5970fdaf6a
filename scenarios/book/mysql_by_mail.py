"""Listing 6.4 as it was printed: run the restart command for each mail that looks like a request.

Faults

5. The whole raw text is searched: a quoted header is obeyed, an encoded or folded one is missed,
   and so is a From without angle brackets.
6. The command runs before the deletion is committed: a connection lost before the end of the
   session runs it again at every poll.
7. The exit status is ignored, nobody gets a reply, and refused mail leaves no trace.
11. An exception in the block still sends QUIT, so what was marked is deleted (in net_pop3.py).
"""

from __future__ import annotations

import re

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_pop3 import NetPOP3

BREAKS = {
    "mysql-by-mail": ["Jeremy gets one reply", "the reply says what was done"],
    "mysql-by-mail-regex": [
        "obeyed: a phone's bare From",
        "obeyed: a From in capitals",
        "obeyed: an encoded subject",
        "obeyed: a folded subject",
        "not obeyed: the command inside a sentence",
        "not obeyed: a subject about a command",
        "not obeyed: a stranger who quotes the headers",
        "not obeyed: a stranger with the command and a quotation",
        "not obeyed: a name that looks like an address",
        "not obeyed: two From fields",
    ],
    "forged-sender-refused": [
        "nothing runs",
        "each refusal is logged",
        "each refused mail is kept",
        "the owner is notified once",
    ],
    "command-receipt": [
        "each command gets one receipt",
        "the first receipt waits for the mail server",
        "the receipt is in the thread",
        "receipts are marked as automatic",
        "a receipt has command, host, duration and output",
        "a failure is reported as a failure",
        "a mistyped command is answered with a suggestion",
    ],
    "bounce-loop-guard": [
        "MySQL is restarted once",
        "one receipt is sent",
        "the bounce of the receipt arrives, and another one",
        "Jeremy is marked as unreachable, Michael is not",
    ],
}


def obeys(text: str, admins: list[str]) -> bool:
    """Whether the raw text of a mail looks like a command."""
    if not re.search(r"Subject:.*Restart MySQL", text, re.I):  # fault 5
        return False
    return any(re.search(rf"From:.*<{re.escape(admin)}>", text) for admin in admins)  # fault 5


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Polls every thirty seconds, without end."""
    rules = settings.tables["scenario"]["mysql-by-mail"]
    for _ in clock.every(rules.get("poll", 30)):
        with NetPOP3.start(settings.server("pop3"), clock) as pop:  # fault 11
            mails = pop.mails()
            host.say(f"{len(mails)} mails arrived.")
            for mail in mails:
                if obeys(mail.pop(), rules["admins"]):  # fault 7: no trace if it does not
                    # fault 6: before the deletion; fault 7: the outcome is ignored
                    host.run(rules.get("restart", ["systemctl", "restart", "mariadb"]), 3600)
                mail.delete()
    return 0
