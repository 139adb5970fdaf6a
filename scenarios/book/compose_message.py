"""Listing 6.1 as it was printed: set text, subject, from, reply-to and to, and print the mail.

Mistakes

None of the chapter's list. Beyond it: text beyond ASCII is sent as it is, and a line break in an
attribute is copied into the header (both in mail_factory.py).
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.mail_factory import MailFactory

BREAKS = {
    "mailfactory-basic": {
        "the mail is pure ASCII": "text is never encoded",
        "a line break in the subject adds no header": "a value may contain a line break",
    },
}


def run(clock: Clock, settings: Settings, host: Host) -> None:
    """Sets the attributes, then prints `to_s`."""
    table = settings.tables["scenario"]["compose-message"]
    mail = MailFactory(clock, host)
    mail.text = table["text"]
    mail.subject = table["subject"]
    mail.sender = table["sender"]
    mail.replyto = table["reply_to"][0]
    mail.to = table["to"]
    host.say(mail.to_s().removesuffix("\n"))
