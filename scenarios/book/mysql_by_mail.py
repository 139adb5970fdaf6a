"""Listing 6.4 as it was printed: run the restart command for each mail that looks like a request.

Mistakes

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
    "mysql-by-mail": {
        "Jeremy gets one reply": 7,
        "the reply says what was done": 7,
    },
    "mysql-by-mail-regex": {
        "obeyed: a phone's bare From": 5,
        "obeyed: a From in capitals": 5,
        "obeyed: an encoded subject": 5,
        "obeyed: a folded subject": 5,
        "not obeyed: the command inside a sentence": 5,
        "not obeyed: a subject about a command": 5,
        "not obeyed: a stranger who quotes the headers": 5,
        "not obeyed: a stranger with the command and a quotation": 5,
        "not obeyed: a name that looks like an address": 5,
        "not obeyed: two From fields": 5,
    },
    "mysql-cut-before-quit": {"MySQL is restarted once": 6},
    "forged-sender-refused": {
        "nothing runs": "mail to any address of the mailbox counts",
        "each refusal is logged": 7,
        "each refused mail is kept": 7,
        "the owner is notified once": 7,
    },
    "command-receipt": {
        "each command gets one receipt": 7,
        "the first receipt waits for the mail server": 7,
        "the receipt is in the thread": 7,
        "receipts are marked as automatic": 7,
        "a receipt has command, host, duration and output": 7,
        "a failure is reported as a failure": 7,
        "a mistyped command is answered with a suggestion": 7,
    },
    "bounce-loop-guard": {
        "MySQL is restarted once": 5,
        "one receipt is sent": 7,
        "the bounce of the receipt arrives, and another one": 7,
        "Jeremy is marked as unreachable, Michael is not": 7,
    },
}


def obeys(text: str, admins: list[str]) -> bool:
    """Whether the raw text of a mail looks like a command."""
    if not re.search(r"Subject:.*Restart MySQL", text, re.I):  # mistake 5
        return False
    return any(re.search(rf"From:.*<{re.escape(admin)}>", text) for admin in admins)  # mistake 5


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Polls every thirty seconds, without end."""
    rules = settings.tables["scenario"]["mysql-by-mail"]
    for _ in clock.every(rules.get("poll", 30)):
        with NetPOP3.start(settings.server("pop3"), clock) as pop:  # mistake 11
            mails = pop.mails()
            host.say(f"{len(mails)} mails arrived.")
            for mail in mails:
                if obeys(mail.pop(), rules["admins"]):  # mistake 7: no trace if it does not
                    # mistake 6: before the deletion; mistake 7: the outcome is ignored
                    host.run(rules.get("restart", ["systemctl", "restart", "mariadb"]), 3600)
                mail.delete()
    return 0
