"""Listing 6.8 as it was printed: add a contact, and send a greeting.

Mistakes

13. The greeting is held back until the contact agrees, and the program ends before that: it is
    lost, without any notice. Everybody who asks may see the bot (both in jabber_simple.py).
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.jabber_simple import JabberSimple

BREAKS = {
    "jabber-hello": {
        "they are greeted after they agreed": 13,
        "the program exits with 0 afterwards": 13,
    },
}

THEM = "them@yourco.test"


def run(clock: Clock, settings: Settings, host: Host) -> None:
    """Adds, delivers, ends."""
    with JabberSimple(settings.server("xmpp"), clock, host) as jabber:
        jabber.add(THEM)
        jabber.deliver(THEM, "Hello from Ruby!")  # mistake 13: only queued
    # mistake 13: the program ends, and the queue with it
