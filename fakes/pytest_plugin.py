"""The pytest plugin: a `world` fixture, and the wire's transcript next to each failure.

    def test_something(world):
        smtplib.SMTP(*world.address("smtp")).sendmail(…)
        assert world.mail.wait_for(lambda mail: "hello" in mail.text)

The world runs in real time. A marker configures it, with keys of the world file, arguments of
`World`, or both: `@pytest.mark.world(tls="off", faults=["RCPT reset"])`.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterator, Mapping
from typing import Any

import pytest

from fakes.transcripts.recorder import render
from fakes.world import World

# `servers` is a key of the world file, too, and that is what a test needs.
_OPTIONS = set(inspect.signature(World).parameters) - {"config", "servers"}


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker."""
    config.addinivalue_line(
        "markers",
        "world(config, faults=…, rehearsal=…, tls=…): configures the fixture `world`, "
        "with arguments of World and keys of the world file",
    )


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the transcript, with secrets masked, to the report of a failure."""
    report = yield
    world = getattr(item, "funcargs", {}).get("world")
    # Another plugin's fixture may have the same name.
    if report.when == "call" and report.failed and isinstance(world, World):
        report.sections.append(("what crossed the wire", render(world.recording)))
    return report
