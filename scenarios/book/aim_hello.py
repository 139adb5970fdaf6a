"""Listing 6.6, the book's way: sign on, find the buddy, say hello, leave.

1. A refused password is not noticed: what comes instead of SIGN_ON is dropped, and the program goes on to its end.
2. It leaves before any complaint could come: it never learns that the buddy is not there (901).
3. Nor that the IM was dropped for its speed (903).
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_toc import signed_on_by

BREAKS = {
    "aim-send-im": ["it says that it arrived"],
    "aim-nobody-there": ["it says who is missing"],
    "aim-wrong-password": ["it says what is wrong"],
    "aim-too-fast": ["it arrives"],
}


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Says hello, and hopes."""
    client, server, port = signed_on_by(settings, clock, host)
    client.connect(server, port)
    friend = client.buddy_list.buddy_named(settings.tables["scenario"]["aim-hello"]["friend"])
    friend.send_im("Hello, from Python.")
    client.disconnect()
    return 0
