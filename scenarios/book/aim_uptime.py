"""Listing 6.7 as it was printed: answer every message with the output of `uptime` and `df -k`.

Mistakes

12. Everybody is answered, strangers and auto-responses too, so that two such bots talk without end.
    The output is sent as it is: `<` is taken for a tag, and the server hangs up on more than 2,048
    bytes.
15. A command has no timeout: if it hangs, the bot hangs. A lost connection ends the bot.
"""

from __future__ import annotations

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_toc import Buddy, signed_on_by

FOREVER = 86400.0

BREAKS = {
    "aim-uptime-bot": {
        "a section can be asked for": "any question gets both sections",
        "a fresh output is used again": "each question runs both commands",
    },
    "aim-uptime-silence": {
        "a stranger gets no answer": 12,
        "a stranger is logged": 12,
        "an auto-response is not answered": 12,
    },
    "aim-uptime-trouble": {
        "the answer reports a command that hangs": 15,
        "the answer reports a command that fails": "the exit status is ignored",
        "the next question is answered": 15,
    },
    "aim-uptime-long-answer": {
        "every line arrives": 12,
        "a name that looks like a tag is shown": 12,
        "every message fits the server's limit": 12,
        "the server does not hang up": 12,
    },
}


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers everybody until the connection ends."""
    client, server, port = signed_on_by(settings, clock, host)

    def answer(message: str, buddy: Buddy, auto_response: bool) -> None:
        uptime = host.run(["uptime"], FOREVER).output  # mistake 15
        disk = host.run(["df", "-k"], FOREVER).output  # mistake 15
        # mistake 12: to everybody, of any length, without references for `<` and `&`
        client.buddy_list.buddy_named(buddy.screen_name).send_im(uptime + "\n" + disk)

    client.on_im(answer)
    client.connect(server, port)
    try:
        client.wait()  # mistake 15
    finally:
        client.disconnect()  # as the end of a process does
    return 0
