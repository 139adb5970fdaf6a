"""What scenario pages are written with: a scenario, its acts, and the claims that an act ends in.

    scenario = Scenario(WORLD)

    @scenario.act("apache-crash-alert")
    def crash(world, program):
        \"\"\"Apache dies at 00:01; both administrators are notified once.\"\"\"
        world.clock.at(60, world.host.kills("apache2"))
        program()
        subjects = [mail.subject for mail in world.mail.messages]
        yield equal("one message is sent", subjects, ["Apache is down on web1.yourco.test"])

README.md explains how an act is played.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from scenarios import shape
from scenarios.errors import Misuse, PageError

if TYPE_CHECKING:
    from fakes import World
    from fakes.host import Event
    from fakes.wire import Record


class Program(Protocol):
    """The page's `run`, or the printed listing, in the act's world; may be called repeatedly."""

    def __call__(
        self, once: bool = False, supervised: bool = False, **changes: Mapping[str, Any]
    ) -> int:
        """Runs the program to its end and returns its exit code.

        The settings are `world.settings` with the tables in `changes` merged over them. `once`
        runs a single round, as cron would. An exception ends the call and is recorded as an
        event; the exit code is then that of the exception. With `supervised` the program is then
        started again five seconds later, as systemd's Restart=on-failure does, until the play is
        over.
        """


# ── claims ───────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Claim:
    """A statement about an act. If it is false, `found` and `expected` say how.

    They are complete; `shape` has the lines that a person reads.

    `shows` is the evidence, `items` its positions in the recording, `until` how long the recording
    was when the claim was made. The rehearsal fills in the last two. A claim without evidence is
    about everything until then, as one that something never happens.
    """

    text: str
    holds: bool
    found: str = ""
    expected: str = ""
    shows: tuple[Any, ...] = ()
    items: tuple[int, ...] = ()
    until: int = 0
    shape: tuple[str, ...] = field(default=(), compare=False)


def equal(text: str, found: object, wanted: object, shows: object = ()) -> Claim:
    """Claims that two values are equal.

    `shows` is what proves it, or a list of that: a mail, a message or an IM; a record or an event;
    a line that the program printed; a command that ran, as a tuple of words. It must have happened
    in the act, and may be an empty list.
    """
    if found == wanted:
        return Claim(text, True, shows=_several(shows))
    # Rendered now: the act may change a list before the claim is printed.
    lines = shape.difference(found, wanted)
    return Claim(text, False, repr(found), repr(wanted), _several(shows), shape=lines)


def holds(text: str, condition: object, found: object, shows: object = ()) -> Claim:
    """Claims that a condition is true; `found` is what the condition was computed from.

    `shows` is as for `equal`.
    """
    if condition:
        return Claim(text, True, shows=_several(shows))
    return Claim(text, False, repr(found), shows=_several(shows), shape=shape.summary(found))


def _several(shows: object) -> tuple[Any, ...]:
    """Returns evidence as a tuple of its parts. A text is one part, and so is a command."""
    if isinstance(shows, Sequence) and not isinstance(shows, str | tuple):
        return tuple(shows)
    return (shows,) if shows != () else ()


def told(world: World, start: str) -> list[Event]:
    """The events whose text begins like this, as evidence for a claim."""
    return [event for event in world.events if event.text.startswith(start)]


def ends(world: World) -> list[Event]:
    """The ends of the program by an exception so far, as evidence for a claim."""
    return [event for event in world.events if event.level == "end"]


def sent(world: World, *verbs: str) -> list[Record]:
    """What clients sent so far with these verbs, as evidence for a claim."""
    return [one for one in world.records if one.direction == "C" and one.verb in verbs]


# ── acts ─────────────────────────────────────────────────────────────────────

Play = Callable[["World", Program], Iterator[Claim]]
_Play = TypeVar("_Play", bound=Play)
Count = Callable[["World"], int]


@dataclass(frozen=True)
class Act:
    """One act: its number and name, the function that plays it, and the world that it is played in.

    `book` says whether the printed listing can be played in this act too. `counts` are those of the
    scenario.
    """

    number: int  # from 1, in the order of the page
    name: str
    play: Play
    book: bool
    world: Mapping[str, Any]
    counts: Mapping[str, Count]

    @property
    def file(self) -> Path:
        """The file that the function is written in."""
        return Path(self.play.__code__.co_filename)

    @property
    def title(self) -> str:
        """The first line of the function's docstring."""
        return ((self.play.__doc__ or "").strip() or self.name).splitlines()[0]


class Scenario:
    """The acts of one page, and the world that they share.

    `counts` maps a word such as "tickets" to what counts them in a world at the end of an act, for
    the table that a run ends with.
    """

    def __init__(
        self, world: Mapping[str, Any], counts: Mapping[str, Count] = MappingProxyType({})
    ) -> None:
        if not isinstance(world, Mapping):
            raise Misuse(
                f"expected a mapping, found {world!r}", 'write Scenario({"servers": ["smtp"]})'
            )
        self.world = world
        self.counts = counts
        self.acts: list[Act] = []

    def act(self, name: str, *, book: bool = True, **world: Any) -> Callable[[_Play], _Play]:
        """Adds a function as the next act.

        Raises PageError if the name is taken, or if the function does not take (world, program).

        Every act is played in a fresh copy of the scenario's world, with the tables in `world`
        merged over it. `book=False` marks an act that has no printed counterpart.
        """

        if not isinstance(name, str):
            raise Misuse("an act without a name", 'write @scenario.act("name")')

        def register(play: _Play) -> _Play:
            act = Act(len(self.acts) + 1, name, play, book, merged(self.world, world), self.counts)
            if name in {other.name for other in self.acts}:
                raise PageError(
                    act.file, f"two acts are named {name!r}; give one of them another name"
                )
            try:
                inspect.signature(play).bind("world", "program")
            except TypeError:
                raise PageError(
                    act.file,
                    f"act {name}: wrong parameters; write def {play.__name__}(world, program)",
                ) from None
            self.acts.append(act)
            return play

        return register


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tables of `base` with those of `changes` merged over them, key by key."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result
