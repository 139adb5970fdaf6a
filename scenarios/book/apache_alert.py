"""Listing 6.2 as printed: mail the administrators when Apache dies.

Its faults, kept: 1. display forms go into the envelope, all recipients as one; 2. it mails at every check; 3. it dies with
the mail server, or when that refuses; 4. it looks for "apache" anywhere in the lines of `ps`.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.mail_factory import MailFactory
from scenarios.book.net_smtp import NetSMTP

# act → the claims that this way breaks: no fewer, no more
BREAKS = {
    "apache-crash-alert": [
        "each administrator got one mail",
        "one message with bare addresses",
        "it says since when",
    ]
}

ADMINS = ["jeremy@yourco.test", "michael@yourco.test"]


def run(clock: Clock, settings: Settings, host: Host) -> None:
    """For ever: look, and mail when it is not there."""
    server = settings.server("smtp")
    mail = MailFactory(clock, host)
    mail.subject = f"Apache is down on {host.name}"
    mail.sender = "Apache Notifier <notifier@yourco.test>"
    mail.to = ADMINS
    mail.text = f"The Apache process is down on {host.name}. Please restart it!"
    message = mail.to_s()  # once, before the loop: its date is the start's
    for _ in clock.every(5):
        ps = "\n".join(" ".join([one.name, *one.args]) for one in host.processes())
        if "apache" not in ps:  # 4: any line, any place
            host.say("** Process is down")
            with NetSMTP(server, clock, host.name, "plain") as smtp:
                smtp.send_message(message, mail.sender, mail.recipients)  # 1: refused with 501; 3: and that ends it
