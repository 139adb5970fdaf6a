"""Listing 6.1 as printed: set text, subject, from, reply-to and to, and print the mail.

Its faults, kept: 1. what is beyond ASCII goes out as it is; 2. a line break in an attribute is taken as it comes.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.mail_factory import MailFactory

# act → the claims that this way breaks: no fewer, no more
BREAKS = {
    "mailfactory-basic": [
        "every octet is ASCII: any server takes it",
        "a line break in the subject makes no header",
    ]
}


def run(clock: Clock, settings: Settings, host: Host) -> None:
    """Attribute by attribute, then `to_s`."""
    table = settings.tables["scenario"]["compose-message"]
    mail = MailFactory(clock, host)
    mail.text = table["text"]
    mail.subject = table["subject"]
    mail.sender = table["sender"]
    mail.replyto = table["reply_to"][0]
    mail.to = table["to"]
    host.say(mail.to_s().removesuffix("\n"))
