"""What a scenario is written with: acts, that play in a world, and claims, that each act ends in.

@act("apache-crash-alert")
def crash(world, program):
    \"\"\"Apache dies at 00:01; both administrators are told once.\"\"\"
    world.clock.at(60, world.host.kills("apache2"))
    program()
    yield Claim("each administrator got one mail", ...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from fakes import World


class Program(Protocol):
    """The scenario's `run` (or the book's way) on the act's world: what an act calls as often as it likes."""

    def __call__(self, once: bool = False, **changes: Mapping[str, Any]) -> int:
        """Runs it to its end with `world.settings` and these tables laid over them; gives its exit code.

        `once`: one round, as cron would. An exception ends the call and is shown; its exit code is given.
        """


@dataclass(frozen=True)
class Claim:
    """Something that must hold at the end of an act; `found` says what was there instead."""

    text: str
    holds: bool
    found: object = ""


@dataclass(frozen=True)
class Act:
    """An act as the catalogue names it. `book`: something was printed that can be played beside it."""

    name: str
    play: Callable[[World, Program], Iterator[Claim]]
    book: bool
    world: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The first line of its docstring."""
        return (self.play.__doc__ or self.name).strip().splitlines()[0]


_Play = TypeVar("_Play", bound=Callable[..., Iterator[Claim]])


def act(name: str, *, book: bool = True, **world: Any) -> Callable[[_Play], _Play]:
    """Marks a function as an act. It plays in the scenario's WORLD, with these tables laid over it."""

    def mark(play: _Play) -> _Play:
        base: Mapping[str, Any] = play.__globals__["WORLD"]
        play.__act__ = Act(name, play, book, laid_over(base, world))  # type: ignore[attr-defined]
        return play

    return mark


def acts_of(*modules: object) -> list[Act]:
    """The acts that these modules define, in the order in which they stand."""
    found: dict[str, Act] = {}
    for module in modules:
        for value in vars(module).values():
            one = getattr(value, "__act__", None)
            if isinstance(one, Act):
                found.setdefault(one.name, one)
    return list(found.values())


def laid_over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of `base` with those of `changes` laid over them, key by key."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = laid_over(merged[key], value) if both else value
    return merged
