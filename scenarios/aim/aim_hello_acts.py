"""Further acts of aim-hello: what keeps a greeting from arriving is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.aim.aim_hello import FRIEND, GREETING, scenario
from scenarios.play import Claim, Program, equal, holds

if TYPE_CHECKING:
    from fakes import World


@scenario.act("aim-nobody-there")
def nobody(world: World, program: Program) -> Iterator[Claim]:
    """The friend is not signed on: the program says so."""
    code = program()
    yield equal("it does not say that it arrived", world.said, [])
    yield holds("it says who is missing", code == 4 and ends_with(world, "901 oldfriend"), code)


@scenario.act("aim-wrong-password")
def wrong_password(world: World, program: Program) -> Iterator[Claim]:
    """The password is wrong: that is an error with the server's reason, and nothing is said to anybody."""
    friend = world.aim.actor(FRIEND)
    friend.signs_on()
    code = program(toc={"password": "wrong"})
    yield equal("nobody is greeted", friend.heard, [])
    yield holds(
        "it says what is wrong", code == 4 and ends_with(world, "980 the screen name or"), code
    )


@scenario.act("aim-too-fast")
def too_fast(world: World, program: Program) -> Iterator[Claim]:
    """The server drops the IM for its speed: it is sent again a little later."""
    friend = world.aim.actor(FRIEND)
    friend.signs_on()
    world.faults.arm("toc toc_send_im reply 903 times 1")
    code = program()
    heard = [im.text for im in friend.heard]
    yield holds("it arrives", code == 0 and heard == [GREETING], heard)


def ends_with(world: World, reason: str) -> bool:
    """Whether the program's end was told with this reason."""
    return any(event.level == "error" and reason in event.text for event in world.events)
