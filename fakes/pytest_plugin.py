"""The pytest plugin: a `world` fixture, and the wire's transcripts next to each failure.

    def test_something(world):
        smtplib.SMTP(*world.address("smtp")).sendmail(…)
        assert world.mail.wait_for(to="bob@example.test", text="hello")

The world runs in real time. A marker configures it, with keys of the world file, arguments of
`World`, or both: `@pytest.mark.world(tls="off", faults=["RCPT reset"])`.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterator, Mapping
from typing import Any

import pytest

from fakes.transcripts.recorder import render
from fakes.wire import Record
from fakes.world import World, on_start

# `servers` is a key of the world file, too, and that is what a test needs.
_OPTIONS = set(inspect.signature(World).parameters) - {"config", "servers"}


_WIRES = pytest.StashKey["_Wires"]()


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and begins to notice worlds."""
    config.addinivalue_line(
        "markers",
        "world(config, faults=…, rehearsal=…, tls=…): configures the fixture `world`, "
        "with arguments of World and keys of the world file",
    )
    wires = config.stash[_WIRES] = _Wires()
    on_start.append(wires.add)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose servers run during the test.

    An exception in a fake fails the test, and so does a fault that was armed and never met.
    """
    marker = request.node.get_closest_marker("world")
    with _world(*marker.args, **marker.kwargs) if marker else World() as world:
        yield world


def _world(config: Mapping[str, Any] | None = None, /, **keywords: Any) -> World:
    """Returns a world; keywords that are not arguments of World are keys of the world file."""
    options = {name: keywords.pop(name) for name in _OPTIONS if name in keywords}
    if isinstance(options.get("host"), Mapping):  # the table [host], not an interface
        keywords["host"] = options.pop("host")
    return World({**(config or {}), **keywords}, **options)


# ── the wire beside a failure ────────────────────────────────────────────────


class _Wires:
    """What crossed the wire during one test, in every world that served meanwhile.

    A world may be in a fixture of any name and scope, or in the test itself. Of one that is older
    than the test and outlives it, only what crossed during the test is shown.
    """

    def __init__(self) -> None:
        self._since: dict[World, int] = {}  # world → entries that are older than the test

    def add(self, world: World) -> None:
        """A world begins to serve during the test."""
        self._since[world] = 0

    def next_test(self) -> None:
        """Another test begins: worlds that have ended are forgotten."""
        worlds = [world for world in self._since if world.running]
        self._since = {world: len(world.recording) for world in worlds}

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yields a title and a transcript, with secrets masked, for each world."""
        shown = {}
        for world, since in self._since.items():
            # What an older world needs explained when it ends may have happened long ago.
            entries = world.recording[since if world.running else 0 :]
            if entries or not since:
                shown[world] = entries
        for number, entries in enumerate(shown.values(), 1):
            which = f" (world {number} of {len(shown)})" if len(shown) > 1 else ""
            records = any(isinstance(entry, Record) for entry in entries)
            text = render(entries) if records else "(nothing)\n"
            yield f"what crossed the wire{which}", text


def pytest_unconfigure(config: pytest.Config) -> None:
    """Notices no more worlds."""
    wires = config.stash.get(_WIRES, None)
    if wires is not None and wires.add in on_start:
        on_start.remove(wires.add)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forgets the wires of the test before."""
    item.config.stash[_WIRES].next_test()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the transcripts to the report of a failure: of the test, its set-up, its tear-down."""
    report = yield
    if report.failed:
        report.sections.extend(item.config.stash[_WIRES].sections())
    return report
