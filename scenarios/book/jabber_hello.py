"""Listing 6.8 as printed: add somebody to the contact list, and say hello.

Its faults, kept: 1. the greeting is held back until they agree, and the program ends before; 2. nobody hears that it was
lost; 3. whoever asks to see the bot is let in.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.jabber_simple import JabberSimple

# act → the claims that this way breaks: no fewer, no more
BREAKS = {
    "jabber-hello": ["and greeted once they have agreed", "the program ends well, and only then"]
}

THEM = "them@yourco.test"


def run(clock: Clock, settings: Settings, host: Host) -> None:
    """Adds, delivers, ends."""
    with JabberSimple(settings.server("xmpp"), clock, host) as jabber:  # 3
        jabber.add(THEM)
        jabber.deliver(THEM, "Hello from Ruby!")  # 1, 2
