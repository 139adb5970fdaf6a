"""Listing 6.4, step for step: log in, say how many mails there are, and run the command for each that looks like it.

Its faults: (5) it searches the whole raw text of a mail, so a quotation is obeyed like a header, and a header that is
encoded, folded or written otherwise is not found; (6) it acts before the deletion is committed, so a link lost at the end
of the session runs the command again at the next look; (7) the exit status is ignored, nobody is told, and what was
refused leaves no trace. Any trouble ends it with a stack trace.
"""

from __future__ import annotations

import re

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_pop3 import NetPOP3

BREAKS = {
    "mysql-by-mail": ["one receipt, in the thread", "it says that it was done"],
    "mysql-by-mail-regex": [
        "obeyed: a phone's bare From",
        "obeyed: a From in capitals",
        "obeyed: an encoded subject",
        "obeyed: a folded subject",
        "not obeyed: the command in another sentence",
        "not obeyed: a subject about it",
        "not obeyed: a stranger who quotes the headers",
        "not obeyed: a stranger with the command, and a quotation",
        "not obeyed: a name that looks like an address",
        "not obeyed: two Froms",
    ],
    "forged-sender-refused": [
        "nothing runs",
        "each leaves a trace",
        "each is kept",
        "the owner is told, once",
    ],
    "command-receipt": [
        "each command has one receipt",
        "the first waited for the mail server",
        "it is in the thread",
        "receipts say that a program wrote them",
        "it says what, where, how long, and the end of the output",
        "a failure is told as one",
        "what is no command is answered with what is",
    ],
    "bounce-loop-guard": [
        "MySQL is restarted once",
        "one receipt was sent",
        "it came back, and so did another",
        "Jeremy is marked as unreachable, Michael is not",
    ],
}


def obeys(text: str, admins: list[str]) -> bool:
    """Whether this raw text looks like a command."""
    if not re.search(r"Subject:.*Restart MySQL", text, re.I):
        return False
    return any(re.search(rf"From:.*<{re.escape(admin)}>", text) for admin in admins)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Looks every thirty seconds, for ever."""
    rules = settings.tables["scenario"]["mysql-by-mail"]
    for _ in clock.every(rules.get("poll", 30)):
        with NetPOP3.start(settings.server("pop3"), clock) as pop:
            mails = pop.mails()
            host.say(f"{len(mails)} mails arrived.")
            for mail in mails:
                if obeys(mail.pop(), rules["admins"]):
                    host.run(rules.get("restart", ["systemctl", "restart", "mariadb"]), 3600)
                mail.delete()
    return 0
