"""Listing 6.9 as printed: start, stop and restart MySQL by instant message.

Its faults, kept: 1. a sender without a node (a server) ends it; 2. only the exact word is a command; 3. it looks neither at
the type of a message nor at its age, nor whether a room speaks; 4. "told to" is said whatever the command did; 5. strangers
are answered, and leave no trace; 6. the answer goes to the account, held back until a push shows that it may be seen; 7. a
lost link is the end, and orders that wait are lost with it.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.jabber_simple import JabberSimple, NoMethodError

# act → the claims that this way breaks: no fewer, no more
BREAKS: dict[str, list[str]] = {}

ADMINS = ("jeremy@yourco.test", "michael@yourco.test")
COMMANDS = ("start", "stop", "restart")
BODY = "{jabber:client}body"


def run(clock: Clock, settings: Settings, host: Host) -> None:
    """For ever: take the messages, obey, answer."""
    jabber = JabberSimple(settings.server("xmpp"), clock, host)
    for _ in clock.every(3):
        for message in jabber.received_messages():  # 3
            sender = message.get("from", "").partition("/")[0]
            if "@" not in sender:  # 1
                raise NoMethodError("the sender has no node")
            command = message.findtext(BODY, "")
            if sender in ADMINS and command in COMMANDS:  # 2
                host.run(("systemctl", command, "mariadb"), timeout=3600)
                jabber.deliver(sender, f"MySQL told to {command}.")  # 4, 6
            else:
                jabber.deliver(sender, "Invalid command!")  # 5
