"""Further acts of aim-callbacks: the other rows of table 6.1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from scenarios.aim.aim_callbacks import scenario
from scenarios.play import Claim, Program, equal, holds, told

if TYPE_CHECKING:
    from fakes import World


def statuses(world: World, program: Program, *cues: Callable[[], object]) -> list[str]:
    """Runs the program while the cues happen, a minute apart; returns the friend's statuses."""
    for minute, cue in enumerate(cues, 1):
        world.clock.at(60 * minute, cue)
    program()
    reports = [text for text in world.said if text.startswith("Friend is ")]
    return [text.removeprefix("Friend is ") for text in reports]


@scenario.act("aim-on-im")
def on_im(world: World, program: Program) -> Iterator[Claim]:
    """Messages arrive: with colons, with tags, empty, automatic, and from a stranger who leaves."""
    friend, stranger = world.aim.actor("Friend"), world.aim.actor("Stranger")

    def stranger_leaves() -> None:
        stranger.says("PyBot", "bye")
        stranger.signs_off()

    cues: list[Callable[[], object]] = [
        lambda: friend.says("PyBot", "see http://x.test:80/: now"),
        lambda: friend.says("PyBot", "<b>1 &lt; 2</b>"),
        lambda: friend.says("PyBot", ""),
        lambda: friend.says("PyBot", "I am away", auto=True),
        stranger_leaves,
        lambda: friend.says("PyBot", "still there?"),
    ]
    for minute, cue in enumerate(cues, 1):
        world.clock.at(60 * minute, cue)
    program()
    heard = [text for text in world.said if " says: " in text or " by itself: " in text]
    colons = ["Friend says: see http://x.test:80/: now"]
    yield equal("a message keeps its colons", heard[:1], colons, shows=heard[:1])
    yield equal(
        "HTML is reported as plain text", heard[1:2], ["Friend says: 1 < 2"], shows=heard[1:2]
    )
    yield equal(
        "an empty message is reported, too", heard[2:3], ["Friend says: "], shows=heard[2:3]
    )
    automatic = ["Friend answers by itself: I am away"]
    yield equal("an auto-response is reported as one", heard[3:4], automatic, shows=heard[3:4])
    thanks = [im.text for im in friend.heard]
    yield equal(
        "all but the auto-response are answered", thanks, ["Thank you!"] * 4, shows=friend.heard
    )
    rest = ["Stranger says: bye", "Friend says: still there?"]
    yield equal("a callback that fails does not end the program", heard[4:], rest, shows=heard[4:])
    failed = [event.text for event in world.events if event.text.startswith("handler-failed")]
    logged = len(failed) == 1 and "901 stranger" in failed[0]
    yield holds("the failure is logged", logged, failed, shows=failed)


@scenario.act("aim-on-status-available")
def on_available(world: World, program: Program) -> Iterator[Claim]:
    """The friend comes back from being away, and from being idle."""
    friend = world.aim.actor("Friend")
    found = statuses(
        world,
        program,
        friend.signs_on,
        friend.goes_away,
        friend.comes_back,
        lambda: friend.idles(600),
        lambda: friend.idles(0),
    )
    changes = [status for status in found if status != "online"]
    wanted = ["available", "away", "available", "idle", "available"]
    yield equal("every change to available is reported", changes, wanted, shows=world.said)


@scenario.act("aim-on-status-online")
def on_online(world: World, program: Program) -> Iterator[Claim]:
    """The friend signs on, and the server reports a stranger; later the stranger is a friend."""
    friend, stranger = world.aim.actor("Friend"), world.aim.actor("Stranger")
    update = "UPDATE_BUDDY2:Stranger:T:0:1767571200:0: O :"
    found = statuses(world, program, lambda: world.aim.sends("PyBot", update), friend.signs_on)
    yield equal(
        "online is reported before the status",
        found,
        ["online", "available"],
        shows=told(world, "Friend is "),
    )
    others = [text for text in world.said if "Stranger" in text]
    yield equal("a stranger is not reported", others, [])
    world.clock.at(300, stranger.signs_on)
    program(scenario={"aim-callbacks": {"friends": ["Stranger"]}})
    found = [text for text in world.said if "Stranger" in text]
    yield equal(
        "a friend need not be on the stored list", found[:1], ["Stranger is online"], shows=found
    )


@scenario.act("aim-on-status-idle")
def on_idle(world: World, program: Program) -> Iterator[Claim]:
    """The friend is idle for an hour."""
    friend = world.aim.actor("Friend")
    found = statuses(
        world,
        program,
        friend.signs_on,
        lambda: friend.idles(600),
        lambda: friend.idles(1200),
        lambda: friend.idles(3600),
    )
    yield equal(
        "idle is reported once",
        (found.count("idle"), found[-1:]),
        (1, ["idle"]),
        shows=told(world, "Friend is idle"),
    )


@scenario.act("aim-on-status-away")
def on_away(world: World, program: Program) -> Iterator[Claim]:
    """The friend goes away, becomes idle, comes back still idle, and leaves."""
    friend = world.aim.actor("Friend")
    found = statuses(
        world,
        program,
        friend.signs_on,
        friend.goes_away,
        lambda: friend.idles(600),
        friend.comes_back,
        friend.signs_off,
    )
    changes = [status for status in found if status != "online"]
    yield equal(
        "away hides idle",
        changes[:3],
        ["available", "away", "idle"],
        shows=told(world, "Friend is "),
    )
    yield equal(
        "offline is reported, too", changes[3:], ["offline"], shows=told(world, "Friend is offline")
    )
