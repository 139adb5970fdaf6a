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
BREAKS = {
    "mysql-by-jabber": [
        "each order is obeyed, in whatever case it is written",
        "what is old, broken, announced, from a room or forwarded is no order",
        "a message from the server itself ends nothing",
        "an order is answered when it has been done",
        "and leaves a trace",
    ],
    "jabber-invalid-command": [
        "a mistyped command is named as one, with the nearest",
        "nothing behind a command makes it another",
        "and leaves a trace",
    ],
}

ADMINS = ("jeremy@yourco.test", "michael@yourco.test")
COMMANDS = ("start", "stop", "restart")
BODY = "{jabber:client}body"


def run(clock: Clock, settings: Settings, host: Host) -> None:
    """For ever: take the messages, obey, answer."""
    with JabberSimple(settings.server("xmpp"), clock, host) as jabber:
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
