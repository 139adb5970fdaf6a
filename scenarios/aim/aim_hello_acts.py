"""Further acts of aim-hello: the program reports what keeps a greeting from arriving."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.aim.aim_hello import FRIEND, GREETING, scenario
from scenarios.play import Claim, Program, ends, equal, holds

if TYPE_CHECKING:
    from fakes import World


def errors(world: World) -> list[str]:
    """What the program ended with, if it was an error."""
    return [event.text for event in ends(world)]


@scenario.act("aim-nobody-there")
def offline(world: World, program: Program) -> Iterator[Claim]:
    """The friend is offline."""
    code = program()
    yield equal("the program does not report that it arrived", world.said, [])
    named = code == 4 and any("901 oldfriend" in text for text in errors(world))
    yield holds("the error names the buddy", named, (code, errors(world)), shows=ends(world))


@scenario.act("aim-wrong-password")
def wrong_password(world: World, program: Program) -> Iterator[Claim]:
    """The password is wrong."""
    friend = world.aim.actor(FRIEND)
    friend.signs_on()
    code = program(toc={"password": "wrong"})
    yield equal("nobody is greeted", [im.text for im in friend.heard], [])
    reason = code == 4 and any("980 the screen name or" in text for text in errors(world))
    yield holds(
        "the error has the server's reason",
        reason,
        (code, errors(world)),
        shows=ends(world),
    )


@scenario.act("aim-too-fast")
def too_fast(world: World, program: Program) -> Iterator[Claim]:
    """The server drops the message because of its rate limit."""
    friend = world.aim.actor(FRIEND)
    friend.signs_on()
    world.faults.arm("toc toc_send_im reply 903 times 1")
    code = program()
    heard = [im.text for im in friend.heard]
    yield equal(
        "the greeting is sent again and arrives", (code, heard), (0, [GREETING]), shows=friend.heard
    )
