"""The pytest plugin: a `world` fixture, and the wire's transcript next to each failure.

    def test_something(world):
        smtplib.SMTP(*world.address("smtp")).sendmail(…)
        assert world.mail.wait_for(lambda mail: "hello" in mail.text)

The world runs in real time. A marker configures it: `@pytest.mark.world(tls="off")`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from fakes.transcripts.recorder import render
from fakes.world import World


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker."""
    config.addinivalue_line(
        "markers", "world(faults=(), rehearsal=False, **config): configures the world fixture"
    )


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose servers run during the test.

    An exception in a fake fails the test, and so does a fault that was armed and never met.
    """
    marker = request.node.get_closest_marker("world")
    config = dict(marker.kwargs) if marker else {}
    options = {key: config.pop(key) for key in ("faults", "rehearsal") if key in config}
    with World(config, **options) as world:
        yield world


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
