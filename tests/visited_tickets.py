"""tickets for the drills: an agent answers the first ticket as soon as the pages are served."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.host import Host, RealHost
from comms.settings import Settings
from fakes.browser import Browser
from scenarios.processing import tickets
from scenarios.processing.tickets_samples import SITE

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

FORM = "f" * 20  # the id of a form that is sent again and again
ANSWER = "Water helps."


class Visited(RealHost):
    """A machine whose site is visited by a browser that sends the same form at each start."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.say, self.log = host.say, host.log  # type: ignore[method-assign]

    @contextlib.contextmanager
    def serve(self, app: WSGIApplication, address: str, port: int) -> Iterator[int]:
        """Answers ticket 1, if it is there already."""
        browser = Browser("192.0.2.1", lambda: app)
        page = browser.open(f"{SITE}/tickets/1")
        for place, form in enumerate(page.forms):
            if form.action.endswith("/answer"):
                browser.submit(page, place, text=ANSWER, form=FORM)
        yield port


def run(clock: Clock, given: Settings, host: Host) -> int:
    """The program, visited."""
    return tickets.run(clock, given, Visited(host))
