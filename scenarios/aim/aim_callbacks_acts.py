"""Further acts of aim-callbacks: the other rows of table 6.1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from scenarios.aim.aim_callbacks import scenario
from scenarios.play import Claim, Program, equal, holds

if TYPE_CHECKING:
    from fakes import World


@scenario.act("aim-on-im")
def on_im(world: World, program: Program) -> Iterator[Claim]:
    """IMs come: with colons, with tags, empty, by a robot, from one who is gone before the answer."""
    friend, stranger = world.aim.actor("Friend"), world.aim.actor("Stranger")

    def comes_and_goes() -> None:
        stranger.says("PyBot", "bye")
        stranger.signs_off()

    cues: list[Callable[[], object]] = [
        lambda: friend.says("PyBot", "see http://x.test:80/: now"),
        lambda: friend.says("PyBot", "<b>1 &lt; 2</b>"),
        lambda: friend.says("PyBot", ""),
        lambda: friend.says("PyBot", "I am away", auto=True),
        comes_and_goes,
        lambda: friend.says("PyBot", "still there?"),
    ]
    for number, cue in enumerate(cues, 1):
        world.clock.at(60 * number, cue)
    program()
    heard = [text for text in world.said if " says: " in text or " by itself: " in text]
    yield holds(
        "a message keeps its colons",
        heard[:1] == ["Friend says: see http://x.test:80/: now"],
        heard,
    )
    yield holds("of HTML, what a person reads is told", heard[1:2] == ["Friend says: 1 < 2"], heard)
    yield holds("an empty one is one too", heard[2:3] == ["Friend says: "], heard)
    yield holds(
        "an auto-response is known as one",
        heard[3:4] == ["Friend answers by itself: I am away"],
        heard,
    )
    thanks = [im.text for im in friend.heard]
    yield equal("each is thanked for, but the auto-response", thanks, ["Thank you!"] * 4)
    yield holds(
        "a function that fails ends nothing",
        heard[4:] == ["Stranger says: bye", "Friend says: still there?"],
        heard,
    )
    failed = [event.text for event in world.events if event.text.startswith("handler-failed")]
    yield holds(
        "and its failure is reported", len(failed) == 1 and "901 stranger" in failed[0], failed
    )


@scenario.act("aim-on-status-available")
def on_available(world: World, program: Program) -> Iterator[Claim]:
    """The friend comes back from being away, and from being idle."""
    friend = world.aim.actor("Friend")
    statuses = play(
        world,
        program,
        friend.signs_on,
        friend.goes_away,
        friend.comes_back,
        lambda: friend.idles(600),
        lambda: friend.idles(0),
    )
    yield holds(
        "available is told each time it is changed to",
        [one for one in statuses if one != "online"]
        == ["available", "away", "available", "idle", "available"],
        statuses,
    )


@scenario.act("aim-on-status-online")
def on_online(world: World, program: Program) -> Iterator[Claim]:
    """The friend signs on; the server tells of somebody whom nobody asked for; later that one is asked for too."""
    friend, stranger = world.aim.actor("Friend"), world.aim.actor("Stranger")
    unasked = "UPDATE_BUDDY2:Stranger:T:0:1767571200:0: O :"
    statuses = play(world, program, lambda: world.aim.sends("PyBot", unasked), friend.signs_on)
    yield equal(
        "online is told, then the status that the friend came with",
        statuses,
        ["online", "available"],
    )
    yield holds("of a stranger nothing is told", len(world.said) == len(statuses), world.said)
    world.clock.at(300, stranger.signs_on)
    program(scenario={"aim-callbacks": {"friends": ["Stranger"]}})
    told = [text for text in world.said if "Stranger" in text]
    yield holds(
        "whoever is asked for need not be on the list", told[:1] == ["Stranger is online"], told
    )


@scenario.act("aim-on-status-idle")
def on_idle(world: World, program: Program) -> Iterator[Claim]:
    """The friend is idle, and goes on being idle."""
    friend = world.aim.actor("Friend")
    statuses = play(
        world,
        program,
        friend.signs_on,
        lambda: friend.idles(600),
        lambda: friend.idles(1200),
        lambda: friend.idles(3600),
    )
    yield holds(
        "idle is told once", statuses.count("idle") == 1 and statuses[-1:] == ["idle"], statuses
    )


@scenario.act("aim-on-status-away")
def on_away(world: World, program: Program) -> Iterator[Claim]:
    """The friend goes away, is idle too, comes back still idle, and leaves."""
    friend = world.aim.actor("Friend")
    statuses = play(
        world,
        program,
        friend.signs_on,
        friend.goes_away,
        lambda: friend.idles(600),
        friend.comes_back,
        friend.signs_off,
    )
    changes = [one for one in statuses if one != "online"]
    yield holds(
        "away hides idle, and idle shows when it ends",
        changes[:3] == ["available", "away", "idle"],
        changes,
    )
    yield holds("offline is told too", changes[3:] == ["offline"], changes)


def play(world: World, program: Program, *cues: Callable[[], object]) -> list[str]:
    """The statuses of the friend that are told while these things happen, a minute apart."""
    for number, cue in enumerate(cues, 1):
        world.clock.at(60 * number, cue)
    program()
    return [text.removeprefix("Friend is ") for text in world.said if text.startswith("Friend is ")]
