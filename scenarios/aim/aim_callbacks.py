"""Have functions called for events on AIM: an error, a message, a friend who changes status.

Table 6.1 · TOC · try: make scenario NAME=aim-callbacks

The program prints every event, and thanks the sender of a message. A status is reported once, when
the friend changes to it: at the sign-on `online`, then the status that the friend has. An away
friend who is idle, too, counts as away.

[scenario.aim-callbacks]
friends = ["Friend"]                 # optional: whose status to report
thanks = "Thank you!"                # the answer to a message, unless that is an auto-response

Fault: toc_send_im reply 903 times 1 -> all hold

What goes wrong in the printed listing: the table has `online`, which its library never calls, and
lacks `offline`, which works; an error before the sign-on reaches no callback; and a callback that
raises an exception ends the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.host import Host
from comms.setting_types import NonEmpty, ScreenName
from comms.settings import Settings
from comms.toc.buddies import STATUSES, Buddy
from comms.toc.client import Client
from comms.toc.markup import Html
from comms.toc.messages import Complaint
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["toc"],
    "program": "PyBot",
    "aim": [
        {"screen_name": "PyBot", "buddies": {"Friends": ["Friend"]}},
        {"screen_name": "Friend"},
        {"screen_name": "Stranger"},
    ],
    "scenario": {"aim-callbacks": {"friends": ["Friend"]}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings."""

    friends: tuple[ScreenName, ...] = ()
    thanks: NonEmpty[str] = "Thank you!"


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Listens until stopped."""
    rules = settings.table("aim-callbacks", Rules)
    client = Client(settings.server("toc"), clock, host)

    @client.on_error
    def error(complaint: Complaint) -> None:
        host.say(f"error {complaint.code}: {complaint.text}")

    @client.on_im
    def im(message: Html, buddy: Buddy, auto_response: bool) -> None:
        host.say(f"{buddy} {'answers by itself' if auto_response else 'says'}: {message.text}")
        if not auto_response:
            buddy.send_im(rules.thanks, auto_response=True)

    for friend in map(client.buddy_list.buddy_named, rules.friends):
        for status in STATUSES:
            friend.on_status(status)(partial(host.say, f"{friend} is {status}"))

    with client:
        client.connect()
        client.wait()
    return 0


@scenario.act("aim-on-error")
def on_error(world: World, program: Program) -> Iterator[Claim]:
    """The server complains before the sign-on and after it, with known codes and an unknown one."""
    program(toc={"password": "wrong"})
    refused = ["error 980: the screen name or the password is wrong"]
    yield equal("an error before the sign-on is reported", world.said, refused, shows=world.said)
    for minute, line in enumerate(("ERROR:901:friend", "ERROR:901:stranger", "ERROR:777:what"), 1):
        world.clock.at(60 * minute, partial(world.aim.sends, "PyBot", line))
    program()
    errors = [text for text in world.said if text.startswith("error ")][1:]
    first = ["error 901: friend is not available"]
    yield equal("an error has its code and its text", errors[:1], first, shows=errors[:1])
    second = ["error 901: stranger is not available"]
    yield equal("the next error has its own name in it", errors[1:2], second, shows=errors[1:2])
    unknown = ["error 777: unknown to this client: what"]
    yield equal("an unknown code is reported, too", errors[2:], unknown, shows=errors[2:])
