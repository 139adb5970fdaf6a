"""Send a greeting to a buddy on AIM, and know whether it arrived.

Listing 6.6 · TOC · try: make scenario NAME=aim-hello

The program signs on, sends one message to one buddy, and leaves. TOC acknowledges no message, so
the client asks for its own status after it: the server answers in order, so that a complaint about
the message would come first.

[scenario.aim-hello]
friend = "Old Friend"                # required: a screen name; case and spaces do not count
text = "Hello, from Python."

Fault: toc2_signon delay 20 -> all hold
Fault: toc_send_im reply 903 times 1 -> all hold
Fault: toc_send_im lost stored -> breaks the program reports that it arrived,
    the program closes the connection first, the error names the buddy,
    the greeting is sent again and arrives

What goes wrong in the printed listing: it takes the first answer for the sign-on, whatever it is,
so that it misses a refused password; it never learns that the buddy is offline; and a message over
the rate limit is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.host import Host
from comms.setting_types import NonEmpty, ScreenName
from comms.settings import Settings
from comms.toc.client import Client
from scenarios.play import Claim, Program, Scenario, equal, sent

if TYPE_CHECKING:
    from fakes import World

FRIEND = "Old Friend"
GREETING = "Hello, from Python."
WORLD: dict[str, Any] = {
    "servers": ["toc"],
    "program": "PyBot",
    "aim": [{"screen_name": "PyBot"}, {"screen_name": FRIEND}],
    "scenario": {"aim-hello": {"friend": "old FRIEND"}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings."""

    friend: ScreenName
    text: NonEmpty[str] = GREETING


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Sends the greeting. Returns 0 if it arrived, 5 if that is unknown. Raises CommsError."""
    rules = settings.table("aim-hello", Rules)
    with Client(settings.server("toc"), clock, host) as client:
        client.connect()
        arrived = client.buddy_list.buddy_named(rules.friend).send_im(rules.text)
    host.say(f"{rules.friend} {'received' if arrived else 'may have received'}: {rules.text}")
    return 0 if arrived else 5


@scenario.act("aim-send-im")
def hello(world: World, program: Program) -> Iterator[Claim]:
    """The friend is online, and is greeted."""
    friend = world.aim.actor(FRIEND)
    friend.signs_on()
    code = program()
    yield equal(
        "the friend is greeted", [im.text for im in friend.heard], [GREETING], shows=friend.heard
    )
    report = [f"old FRIEND received: {GREETING}"]
    yield equal(
        "the program reports that it arrived", (code, world.said), (0, report), shows=world.said
    )
    words = [
        record.verb if record.direction == "C" else record.raw[6:13].decode("latin-1")
        for record in world.records
    ]
    order = [word for word in words if word in ("SIGN_ON", "toc_send_im")]
    yield equal(
        "the program waits for the sign-on",
        order[:2],
        ["SIGN_ON", "toc_send_im"],
        shows=sent(world, "toc_send_im"),
    )
    ends = [record.verb for record in world.records if record.direction == "-"]
    closes = ["connects", "leaves", "closes"]
    yield equal(
        "the program closes the connection first",
        ends,
        closes,
        shows=[record for record in world.records if record.direction == "-"],
    )
