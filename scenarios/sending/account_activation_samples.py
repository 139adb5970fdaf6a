"""People of account-activation, and what they do in their browsers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakes import World
    from fakes.browser import Page
    from fakes.mail import Mail

ANN, BOB, EVE = "ann@customer.test", "bob@customer.test", "eve@elsewhere.test"
BOT = "accounts@yourco.test"
SITE = "http://127.0.0.1:8025"
TEMPLATES = Path(__file__).parent / "templates"
SETTINGS = {"site": SITE, "sender": f"YourCo <{BOT}>", "templates": str(TEMPLATES)}


class Visitor:
    """A person with a browser. Each method is a cue, and returns a list that will have the answer.

    Times are in seconds after the beginning.
    """

    def __init__(self, world: World, name: str) -> None:
        self.browser = world.browser(name)
        self._world = world

    def signs_up(self, at: float, address: str, name: str = "Ann") -> list[Page]:
        """Opens the form, and sends it ten seconds later."""
        return self._fills_in(at, "/sign-up", name=name, address=address)

    def asks_again(self, at: float, address: str) -> list[Page]:
        """Asks for another mail."""
        return self._fills_in(at, "/resend", address=address)

    def opens(
        self, at: float, edit: Callable[[str], str] = str, method: str = "GET", purpose: str = ""
    ) -> list[Page]:
        """Opens the link of the last mail, after an edit."""
        headers = {"Sec-Purpose": purpose} if purpose else {}
        return self._does(at, lambda: self.open(edit(link(self._world)), method, headers=headers))

    def presses(self, at: float) -> list[Page]:
        """Presses the button of the page, if it has one."""
        return self._does(at, lambda: self.browser.page.forms and self.browser.submit())

    def open(self, url: str, *data: Any, **more: Any) -> Page:
        """Opens a page at once."""
        return self.browser.open(url, *data, **more)

    def _fills_in(self, at: float, path: str, **fields: str) -> list[Page]:
        self._does(at, lambda: self.open(f"{SITE}{path}"))
        return self._does(at + 10, lambda: self.browser.submit(**fields))

    def _does(self, at: float, act: Callable[[], Any]) -> list[Page]:
        answers: list[Page] = []

        def cue() -> None:
            if page := act():
                answers.append(page)

        self._world.clock.at(at, cue)
        return answers


def link(world: World) -> str:
    """Returns the link in the last mail; that of no mail if there is none."""
    mails = world.mail.messages
    return mails[-1].links()[0] if mails else f"{SITE}/activate"


def to(mails: Sequence[Mail]) -> list[tuple[str, str]]:
    """Returns whom mails are for, and their subjects."""
    return [(mail.envelope.to[0], mail.subject) for mail in mails]


def answer(page: Page) -> tuple[int, str]:
    """Returns status and body of a page, without what is different each time it is shown."""
    return page.status, re.sub(r'name="(csrf|form)" value="\w+"', "", page.html)
