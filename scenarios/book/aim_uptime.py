"""Listing 6.7, the book's way: whoever sends an IM gets the output of `uptime` and `df -k`.

1. Anybody is answered, strangers and auto-responses too: two such bots never stop.
2. A command is waited for without end: one that hangs hangs the bot. How it ended is not looked at.
3. The output goes out as it is: `<` is taken for a tag, and more than 2,048 octets make the server hang up.
4. A connection that is lost ends the bot.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_toc import Buddy, signed_on_by

FOR_EVER = 86400.0

BREAKS = {
    "aim-uptime-bot": ["one section can be asked for", "what is fresh is not looked at again"],
    "aim-uptime-silence": [
        "a stranger learns nothing",
        "and leaves a trace",
        "an auto-response is not answered",
    ],
    "aim-uptime-trouble": [
        "a command that hangs is said",
        "a command that fails is said",
        "the next question is answered",
    ],
    "aim-uptime-long-answer": [
        "every line arrives, whole",
        "what looks like a tag is shown",
        "no command is longer than the server takes",
        "the server does not hang up",
    ],
}


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers everybody until the connection dies."""
    client, server, port = signed_on_by(settings, clock, host)

    def answer(message: str, buddy: Buddy, auto_response: bool) -> None:
        told = (
            host.run(["uptime"], FOR_EVER).output + "\n" + host.run(["df", "-k"], FOR_EVER).output
        )
        client.buddy_list.buddy_named(buddy.screen_name).send_im(told)

    client.on_im(answer)
    client.connect(server, port)
    try:
        client.wait()
    finally:
        client.disconnect()  # the end of a program closes its sockets
    return 0
