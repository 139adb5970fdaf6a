"""What scenario pages are written with: a scenario, its acts, and the claims that an act ends in.

scenario = Scenario(WORLD)


@scenario.act("apache-crash-alert")
def crash(world, program):
    \"\"\"Apache dies at 00:01; both administrators are notified once.\"\"\"
    world.clock.at(60, world.host.kills("apache2"))
    program()
    subjects = [mail.subject for mail in world.mail.messages]
    yield equal("one message is sent", subjects, ["Apache is down on web1.yourco.test"])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from scenarios.errors import PageError

if TYPE_CHECKING:
    from fakes import World


class Program(Protocol):
    """The page's `run`, or the printed listing, in the act's world; may be called repeatedly."""

    def __call__(self, once: bool = False, **changes: Mapping[str, Any]) -> int:
        """Runs the program to its end and returns its exit code.

        The settings are `world.settings` with the tables in `changes` merged over them. `once`
        runs a single round, as cron would. An exception ends the call and is recorded as an
        event; the exit code is then that of the exception.
        """


# ── claims ───────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Claim:
    """A statement about the end of an act. If it is false, `found` and `expected` say how."""

    text: str
    holds: bool
    found: str = ""
    expected: str = ""


def equal(text: str, found: object, wanted: object) -> Claim:
    """Claims that two values are equal."""
    if found == wanted:
        return Claim(text, True)
    # Rendered now: the act may change a list before the claim is printed.
    return Claim(text, False, repr(found), repr(wanted))


def holds(text: str, condition: object, found: object) -> Claim:
    """Claims that a condition is true; `found` is what the condition was computed from."""
    return Claim(text, True) if condition else Claim(text, False, repr(found))


# ── acts ─────────────────────────────────────────────────────────────────────

Play = Callable[["World", Program], Iterator[Claim]]
_Play = TypeVar("_Play", bound=Play)


@dataclass(frozen=True)
class Act:
    """One act: its name, the function that plays it, and the world that it is played in.

    `book` says whether the printed listing can be played in this act too.
    """

    name: str
    play: Play
    book: bool
    world: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The first line of the function's docstring."""
        return (self.play.__doc__ or self.name).strip().splitlines()[0]


class Scenario:
    """The acts of one page, and the world that they share."""

    def __init__(self, world: Mapping[str, Any]) -> None:
        self.world = world
        self.acts: list[Act] = []

    def act(self, name: str, *, book: bool = True, **world: Any) -> Callable[[_Play], _Play]:
        """Adds a function as the next act. Raises PageError if the name is taken.

        Every act is played in a fresh copy of the scenario's world, with the tables in `world`
        merged over it. `book=False` marks an act that has no printed counterpart.
        """

        def register(play: _Play) -> _Play:
            if name in {act.name for act in self.acts}:
                raise PageError(
                    play.__code__.co_filename,
                    f"two acts are named {name!r}; give one of them another name",
                )
            self.acts.append(Act(name, play, book, merged(self.world, world)))
            return play

        return register


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tables of `base` with those of `changes` merged over them, key by key."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result
