"""The pytest plugin: a `world` for a test, and what crossed its wire beside the failure when the test fails.

def test_something(world):                              # real time; `@pytest.mark.world(tls="off")` sets it up
    smtplib.SMTP(*world.address("smtp")).sendmail(…)
    assert world.mail.wait_for(lambda mail: "hello" in mail.text)
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from fakes.transcripts.recorder import render
from fakes.world import World


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", "world(faults=(), rehearsal=False, **config): how the world fixture is set up")


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world that is served while the test runs. A fault never met, or an exception in a fake, fails the test."""
    marker = request.node.get_closest_marker("world")
    options = dict(marker.kwargs) if marker else {}
    extra = {key: options.pop(key) for key in ("faults", "rehearsal") if key in options}
    with World(options, **extra) as world:
        yield world


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Puts the masked transcript beside a failure."""
    report = yield
    world = getattr(item, "funcargs", {}).get("world")
    if report.when == "call" and report.failed and isinstance(world, World):
        report.sections.append(("what crossed the wire", render(world.recording)))
    return report
