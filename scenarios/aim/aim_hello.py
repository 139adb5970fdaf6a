"""Say hello to a buddy on AIM, and know whether it arrived.

Listing 6.6 · TOC · try: make scenario NAME=aim-hello

The program signs on, says one thing to one buddy, and leaves. TOC acknowledges nothing, so the client asks for its own
status behind the IM: when that is answered, the IM has been handled, and a complaint about it would have come first.

[scenario.aim-hello]
friend = "Old Friend"                # however written: case and blanks do not count
text = "Hello, from Python."

Fault: toc2_signon delay 20 -> all hold
Fault: toc_send_im reply 903 times 1 -> all hold
Fault: toc_send_im lost stored -> breaks it says that it arrived, it leaves first, it says who is missing, it arrives

What goes wrong in the printed listing: it takes whatever comes first for the sign-on, so that a refused password is never
seen; it never learns that the buddy is not there; and an IM over the rate limit is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from comms.toc.client import Client
from scenarios.play import Claim, Program, Scenario, equal, holds

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
    """The scenario's settings."""

    friend: str
    text: str = GREETING


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Says it. Ends with 0 when it arrived, 5 when the server leaves that open; comms' errors say what stood in the way."""
    rules = settings.table("aim-hello", Rules)
    with Client(settings.server("toc"), clock, host) as client:
        client.connect()
        arrived = client.buddy_list.buddy_named(rules.friend).send_im(rules.text)
    host.say(f"{rules.friend} {'was' if arrived else 'may have been'} told: {rules.text}")
    return 0 if arrived else 5


@scenario.act("aim-send-im")
def hello(world: World, program: Program) -> Iterator[Claim]:
    """The friend is there, and is greeted."""
    friend = world.aim.actor(FRIEND)
    friend.signs_on()
    code = program()
    heard, told = [im.text for im in friend.heard], world.said
    yield equal("the friend is greeted", heard, [GREETING])
    yield holds(
        "it says that it arrived", code == 0 and told == [f"old FRIEND was told: {GREETING}"], told
    )
    words = [
        record.verb if record.direction == "C" else record.raw[6:13].decode("latin-1")
        for record in world.records
    ]
    awaited = (
        words.index("SIGN_ON") < words.index("toc_send_im") if "toc_send_im" in words else False
    )
    yield holds("it waits for the sign-on", awaited, words)
    ends = [record.verb for record in world.records if record.direction == "-"]
    yield equal("it leaves first", ends, ["connects", "leaves", "closes"])
