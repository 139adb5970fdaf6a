"""Listing 6.9 as it was printed: start, stop and restart MySQL by instant message.

Mistakes

13. Everybody who asks to see the bot's presence may see it. An answer to a person whose presence
    the bot may not see is held back (in jabber_simple.py).
14. A sender without a node, such as a server, ends the program. Only the exact word is a command.
    Neither the type nor the age of a message is checked, nor whether it comes from a room or is
    forwarded. Success is reported whatever the command did. Strangers are answered, and not logged.
15. A lost connection ends the program, a command may take an hour, and `help` is invalid.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.jabber_simple import JabberSimple, NoMethodError

BREAKS = {
    "mysql-by-jabber": {
        "each command runs once, in any case of letters": 14,
        "each administrator is answered": 13,
        "a stranger is logged": 14,
        "only the administrators may see the bot": 13,
        "a message from the server does not end the program": 14,
    },
    ("mysql-by-jabber", 13): {
        "each command runs once, in any case of letters": 14,
        "each administrator is answered": 14,
        "a stranger gets no answer": 14,
        "a stranger is logged": 14,
        "a message from the server does not end the program": 14,
    },
    "jabber-not-a-command": {
        "a new message from an administrator is obeyed": 14,
        "old, broken, announced and forwarded messages are not obeyed": 14,
        "the bot asks about the old one": 14,
        "no message ends the program": 14,
    },
    "jabber-invalid-command": {
        "a mistyped command gets a suggestion": 13,
        "text after a command makes it invalid": 13,
        "a stranger is logged": 14,
    },
    ("jabber-invalid-command", 13): {
        "a mistyped command gets a suggestion": 15,
        "text after a command makes it invalid": 15,
        "a stranger gets no answer": 14,
        "a stranger is logged": 14,
    },
    "jabber-confirm": {
        "help lists the commands": 13,
        "MySQL is stopped once, after the right confirmation": "nothing has to be confirmed",
        "the stop is answered once": 13,
        "nobody can confirm for another person": 13,
    },
    ("jabber-confirm", 13): {
        "help lists the commands": 15,
        "MySQL is stopped once, after the right confirmation": "nothing has to be confirmed",
        "the stop is answered once": "nothing has to be confirmed",
    },
    "jabber-order-fails": {
        "a failure is answered with status and output": 13,
        "a command that hangs is ended": 13,
        "it may have been done, so it is asked about": 13,
        "an answer waits for the connection to come back": 13,
        "a command that arrived meanwhile runs afterwards": 13,
        "each command runs once": 15,
    },
    ("jabber-order-fails", 13): {
        "a failure is answered with status and output": 14,
        "a command that hangs is ended": 15,
        "it may have been done, so it is asked about": 15,
        "an answer waits for the connection to come back": 15,
        "a command that arrived meanwhile runs afterwards": 15,
        "each command runs once": 15,
    },
    "jabber-server-away": {
        "it asks for the server less and less often": 15,
        "nobody has to start it again": 15,
    },
}
MENDS = {13: "answers are sent at once, and nobody is let in"}

ADMINS = ("jeremy@yourco.test", "michael@yourco.test")
COMMANDS = ("start", "stop", "restart")
BODY = "{jabber:client}body"


def run(clock: Clock, settings: Settings, host: Host, mended: int = 0) -> None:
    """Takes messages, obeys and answers, without end."""
    # mistake 13: JabberSimple lets everybody in; mistake 15: a lost connection is not opened again
    with JabberSimple(settings.server("xmpp"), clock, host, at_once=mended == 13) as jabber:
        for _ in clock.every(3):
            for message in jabber.received_messages():  # mistake 14: of any type and age
                sender = message.get("from", "").partition("/")[0]
                if "@" not in sender:
                    raise NoMethodError("the sender has no node")  # mistake 14
                command = message.findtext(BODY, "")
                if sender in ADMINS and command in COMMANDS:  # mistake 14: the exact word
                    host.run(("systemctl", command, "mariadb"), timeout=3600)  # mistake 15
                    jabber.deliver(sender, f"MySQL told to {command}.")  # mistake 14: unchecked
                else:
                    # mistake 13: held back; mistake 14: to strangers, too
                    jabber.deliver(sender, "Invalid command!")
