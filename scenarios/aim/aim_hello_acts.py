"""Further acts of aim-hello: what keeps a greeting from arriving is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.aim.aim_hello import FRIEND, GREETING, WORLD, said
from scenarios.play import Claim, Program, act

if TYPE_CHECKING:
    from fakes import World

__all__ = ["WORLD"]


@act("aim-nobody-there")
def nobody(world: World, program: Program) -> Iterator[Claim]:
    """The friend is not signed on: the program says so."""
    code = program()
    yield Claim("it does not say that it arrived", said(world) == [], said(world))
    yield Claim("it says who is missing", code == 4 and ends_with(world, "901 oldfriend"), code)


@act("aim-wrong-password")
def wrong_password(world: World, program: Program) -> Iterator[Claim]:
    """The password is wrong: that is an error with the server's reason, and nothing is said to anybody."""
    friend = world.aim.actor(FRIEND)
    friend.signs_on()
    code = program(toc={"password": "wrong"})
    yield Claim("nobody is greeted", not friend.heard, friend.heard)
    yield Claim("it says what is wrong", code == 4 and ends_with(world, "980 the screen name or"), code)


@act("aim-too-fast")
def too_fast(world: World, program: Program) -> Iterator[Claim]:
    """The server drops the IM for its speed: it is sent again a little later."""
    friend = world.aim.actor(FRIEND)
    friend.signs_on()
    world.faults.arm("toc toc_send_im reply 903 times 1")
    code = program()
    heard = [im.text for im in friend.heard]
    yield Claim("it arrives", code == 0 and heard == [GREETING], heard)


def ends_with(world: World, reason: str) -> bool:
    """Whether the program's end was told with this reason."""
    return any(event.level == "error" and reason in event.text for event in world.events)
