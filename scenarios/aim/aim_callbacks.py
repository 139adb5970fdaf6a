"""Have functions called for what happens on AIM: an error, an IM, a friend who comes, goes, idles or is away.

Table 6.1 · TOC · try: make scenario NAME=aim-callbacks

The program says on its console whatever it hears of, and thanks whoever sends it an IM. A status is told when a friend
*changes to* it, once: `online` first, then the status that the friend came with; one who is away hides being idle.

[scenario.aim-callbacks]
friends = ["Friend"]                 # whose statuses are told, on the stored buddy list or not
thanks = "Thank you!"                # the answer to an IM; none to an auto-response, nor to oneself

Fault: toc_send_im reply 903 times 1 -> all hold

What goes wrong in the printed listing: the table has `online`, which its library never calls, and leaves out `offline`,
which works; an error before the sign-on reaches nobody; and a function that raises ends everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from comms.toc.buddies import STATUSES, Buddy
from comms.toc.client import Client
from comms.toc.markup import Html
from comms.toc.messages import Complaint
from scenarios.play import Claim, Program, Scenario, equal, holds

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
    """The scenario's settings."""

    friends: tuple[str, ...] = ()
    thanks: str = "Thank you!"


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
            friend.on_status(status)(
                lambda friend=friend, status=status: host.say(f"{friend} is {status}")
            )

    with client:
        client.connect()
        client.wait()
    return 0


@scenario.act("aim-on-error")
def on_error(world: World, program: Program) -> Iterator[Claim]:
    """The server complains before the sign-on and after it, in words known and unknown: each complaint is heard."""
    program(toc={"password": "wrong"})
    heard = world.said
    wanted = ["error 980: the screen name or the password is wrong"]
    yield equal("an error before the sign-on is heard", heard, wanted)
    for second, words in enumerate(
        ("ERROR:901:friend", "ERROR:901:stranger", "ERROR:777:whatever"), 60
    ):
        world.clock.at(second, partial(world.aim.sends, "PyBot", words))
    program()
    errors = [text for text in world.said if text.startswith("error ")][1:]
    yield holds(
        "each one has its number and its text",
        errors[:1] == ["error 901: friend is not available"],
        errors,
    )
    yield holds(
        "the next one has its own name in it",
        errors[1:2] == ["error 901: stranger is not available"],
        errors,
    )
    yield holds(
        "an unknown number is heard too",
        errors[2:] == ["error 777: unknown to this client: whatever"],
        errors,
    )
