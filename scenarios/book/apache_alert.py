"""Listing 6.2 as it was printed: mail the administrators when Apache dies.

Mistakes

1. Display names go into the envelope, and all recipients into one command; the server refuses.
2. A mail is sent at every check, 17,280 a day, and all of them carry the date of the start.
3. A mail server that refuses or is down ends the program, and with it the monitoring.
4. "apache" anywhere in the output of `ps` counts: apachetop is up, httpd never is.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.mail_factory import MailFactory
from scenarios.book.net_smtp import NetSMTP

BREAKS = {
    "apache-crash-alert": {
        "each administrator gets one mail": 1,
        "the envelope has bare addresses": 1,
        "the mail says since when Apache is down": 1,
    },
    ("apache-crash-alert", 1): {
        "the console reports the crash once": 2,
        "each administrator gets one mail": 2,
        "the envelope has bare addresses": 2,
        "the mail says since when Apache is down": 2,
    },
    "apache-mail-down": {
        "the monitor goes on while the mail server is down": 3,
        "each administrator gets one mail": 3,
    },
    "apache-lookalikes": {
        "apachetop does not count as Apache": 4,
        "httpd counts as Apache": 4,
    },
}
MENDS = {1: "bare addresses, and a RCPT for each"}

ADMINS = ["jeremy@yourco.test", "michael@yourco.test"]


def run(clock: Clock, settings: Settings, host: Host, mended: int = 0) -> None:
    """Checks without end, and mails if Apache is not there."""
    server = settings.server("smtp")
    mail = MailFactory(clock, host)
    mail.subject = f"Apache is down on {host.name}"
    mail.sender = "Apache Notifier <notifier@yourco.test>"
    mail.to = ADMINS
    mail.text = f"The Apache process is down on {host.name}. Please restart it!"
    message = mail.to_s()  # mistake 2: built once, so the date is that of the start
    for _ in clock.every(5):
        ps = "\n".join(" ".join([process.name, *process.args]) for process in host.processes())
        if "apache" not in ps:  # mistake 4: any line, any place
            host.say("** Process is down")
            # mistake 2: at every check; mistake 3: an error ends the program
            with NetSMTP(server, clock, host.name, "plain") as smtp:
                if mended == 1:
                    smtp.send_message(message, server.user, *ADMINS)
                else:
                    smtp.send_message(message, mail.sender, mail.recipients)  # mistake 1
