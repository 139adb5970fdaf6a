"""Table 6.1 as it was printed: the callbacks and the four statuses that it lists.

Mistakes

12. A refused sign-on reaches no callback; the program ends at the closed connection instead. Every
    message is answered, auto-responses too. (The library's part is in net_toc.py.)
15. A callback that raises an exception, or a lost connection, ends the program.

Beyond the chapter's list: `online` is in the table but its callback is never called; `offline`
works but is not in the table; an error text keeps the first name that was ever filled in.
"""

from __future__ import annotations

from functools import partial

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_toc import Buddy, signed_on_by

BREAKS = {
    "aim-on-error": {
        "an error before the sign-on is reported": 12,
        "an error has its code and its text": "an error has no code",
        "the next error has its own name in it": "the first name stays in the text of an error",
        "an unknown code is reported, too": "an error has no code",
    },
    "aim-on-im": {
        "HTML is reported as plain text": 12,
        "all but the auto-response are answered": 12,
        "the failure is logged": 12,
    },
    "aim-on-status-online": {
        "online is reported before the status": "the callback for `online` is never called",
        "a friend need not be on the stored list": "only buddies of the stored list have a status",
    },
    "aim-on-status-away": {
        "offline is reported, too": "the table lacks `offline`",
    },
}


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Listens until the connection ends."""
    client, server, port = signed_on_by(settings, clock, host)
    client.on_error(lambda text: host.say(f"error {text}"))

    def im(message: str, buddy: Buddy, auto_response: bool) -> None:
        automatic = "answers by itself" if auto_response else "says"
        host.say(f"{buddy.screen_name} {automatic}: {message}")
        buddy.send_im("Thank you!")  # mistake 12: to auto-responses, too

    client.on_im(im)
    for name in settings.tables["scenario"]["aim-callbacks"]["friends"]:
        friend = client.buddy_list.buddy_named(name)
        for status in ("available", "online", "idle", "away"):
            friend.on_status(status, partial(host.say, f"{name} is {status}"))
    client.connect(server, port)  # mistake 12: a refusal calls no callback
    try:
        client.wait()  # mistake 15: until an exception or the end of the connection
    finally:
        client.disconnect()  # as the end of a process does
    return 0
