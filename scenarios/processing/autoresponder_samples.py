"""The people of autoresponder, its texts, and what is written to it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakes import World
    from fakes.mail import Mail

ROBOT = "robot@yourco.test"
INFO, SALES, JEREMY = "info@yourco.test", "sales@yourco.test", "jeremy@yourco.test"
ANN = "ann@customer.test"
PEOPLE: list[dict[str, Any]] = [
    {"address": ROBOT, "aliases": [INFO, SALES, JEREMY]},
    {"address": ANN},
]
PAUSE = 3.0  # seconds between two mails of `make live`
TEXTS = Path(__file__).parent / "texts"


def prepared() -> dict[str, Any]:
    """The settings of the acts."""
    answers = {INFO: str(TEXTS / "info.txt"), SALES: str(TEXTS / "sales.txt")}
    return {"answers": answers, "away": {JEREMY: str(TEXTS / "away.txt")}}


def writes(
    world: World,
    to: str,
    sender: str,
    subject: str,
    more: str = "",
    envelope: str | None = None,
) -> None:
    """Sends a mail; `more` are further header lines, `envelope` is its sender if it differs."""
    number = len(world.mail.messages)
    head = f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n"
    head += f"Message-ID: <{number}@customer.test>\r\n{more}"
    world.mail.deliver(to, f"{head}\r\nHello.\r\n".encode(), sender=envelope)


def trial(world: World) -> dict[str, Any]:
    """Lets Ann write to each address in `make live`, and a mailing list to one of them."""
    mails = [(INFO, ANN, ""), (SALES, ANN, ""), (JEREMY, ANN, "")]
    mails += [(INFO, "news@list.example", "List-Id: <news.list.example>\r\n")]
    for number, (to, sender, more) in enumerate(mails):
        args = (world, to, sender, f"Hello {to.partition('@')[0]}", more)
        timer = threading.Timer(PAUSE * number, writes, args)
        timer.daemon = True
        timer.start()
    return {"scenario": {"autoresponder": {"poll": 1}}}


def answers(world: World, who: str) -> list[Mail]:
    """The answers that an address got."""
    return [mail for mail in world.mail.inbox(who) if mail.subject.startswith("Auto:")]
