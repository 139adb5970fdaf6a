"""Listing 6.6 as it was printed: sign on, find the buddy, send a greeting, leave.

Mistakes

12. The sign-on is not awaited: any other answer, such as a refused password, is dropped and the
    program goes on (in net_toc.py). It leaves before a complaint could arrive, so it never learns
    that the buddy is offline (901) or that the message was dropped for its speed (903).
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_toc import signed_on_by

BREAKS = {
    "aim-send-im": {
        "the program reports that it arrived": 12,
    },
    "aim-nobody-there": {
        "the error names the buddy": 12,
    },
    "aim-wrong-password": {
        "the error has the server's reason": 12,
    },
    "aim-too-fast": {
        "the greeting is sent again and arrives": 12,
    },
}


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Sends the greeting, and hopes."""
    client, server, port = signed_on_by(settings, clock, host)
    client.connect(server, port)  # mistake 12: whatever the server answered
    friend = client.buddy_list.buddy_named(settings.tables["scenario"]["aim-hello"]["friend"])
    friend.send_im("Hello, from Python.")
    client.disconnect()  # mistake 12: before any complaint
    return 0
