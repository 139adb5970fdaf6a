"""account-activation for the drills: it is visited as soon as it serves its pages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.host import Host, RealHost
from comms.settings import Settings
from fakes.browser import Browser
from scenarios.sending import account_activation
from scenarios.sending.account_activation_samples import ANN, SITE

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

FORM = "f" * 20  # the id of a form that is sent again and again


class Visited(RealHost):
    """A machine whose site is visited as soon as it is served, by browsers that try again.

    A browser without an answer sends the same form again, so the form has the same id.
    """

    def __init__(self, host: Host, folder: Path) -> None:
        super().__init__()
        self.say, self.log = host.say, host.log  # type: ignore[method-assign]
        self._folder = folder

    @contextlib.contextmanager
    def serve(self, app: WSGIApplication, address: str, port: int) -> Iterator[int]:
        """Visits the site: a sign-up, or a click on the link that the test has written down."""
        browser, token = Browser("192.0.2.1", lambda: app), self._folder / "token"
        if token.exists():
            page = browser.open(f"{SITE}/activate?token={token.read_text()}")
        else:
            page = browser.open(f"{SITE}/sign-up")
        fields = {"name": "Ann", "address": ANN} if not token.exists() else {}
        if page.forms:
            page = browser.submit(**{**fields, "form": FORM})
        (self._folder / "answer").write_text(page.title)
        yield port


def run(clock: Clock, given: Settings, host: Host) -> int:
    """The program, visited."""
    return account_activation.run(clock, given, Visited(host, given.folder))
