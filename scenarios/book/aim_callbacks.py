"""Table 6.1, the book's way: the four statuses that it lists, on the library as it was.

1. `online` is listed, and its block never called; `offline` would work, and is not listed.
2. A refused sign-on reaches no block; the program falls over the closed connection instead.
3. An exception in a block ends the program. Errors keep the first name that they were ever filled in with.
4. Auto-responses are thanked for, and so would be whatever they answer.
"""

from __future__ import annotations

from functools import partial

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_toc import Buddy, signed_on_by

BREAKS = {
    "aim-on-error": [
        "an error before the sign-on is heard",
        "each one has its number and its text",
        "the next one has its own name in it",
        "an unknown number is heard too",
    ],
    "aim-on-im": [
        "of HTML, what a person reads is told",
        "each is thanked for, but the auto-response",
        "and its failure is reported",
    ],
    "aim-on-status-online": [
        "online is told, then the status that the friend came with",
        "whoever is asked for need not be on the list",
    ],
    "aim-on-status-away": ["offline is told too"],
}


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Listens until the connection dies."""
    client, server, port = signed_on_by(settings, clock, host)
    client.on_error(lambda text: host.say(f"error {text}"))

    def im(message: str, buddy: Buddy, auto_response: bool) -> None:
        host.say(
            f"{buddy.screen_name} {'answers by itself' if auto_response else 'says'}: {message}"
        )
        buddy.send_im("Thank you!")

    client.on_im(im)
    for name in settings.tables["scenario"]["aim-callbacks"]["friends"]:
        friend = client.buddy_list.buddy_named(name)
        for status in ("available", "online", "idle", "away"):
            friend.on_status(status, partial(host.say, f"{name} is {status}"))
    client.connect(server, port)
    try:
        client.wait()
    finally:
        client.disconnect()  # the end of a program closes its sockets
    return 0
