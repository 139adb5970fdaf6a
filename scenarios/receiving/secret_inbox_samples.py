"""The people of secret-inbox, what they read in their mail, and what they send."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from fakes import World
    from fakes.mail import Mail

OPS = "ops@yourco.test"
JEREMY, MICHAEL, OWNER = "jeremy@yourco.test", "michael@yourco.test", "owner@yourco.test"
PEOPLE = (OPS, JEREMY, MICHAEL, OWNER)
RESTART = ("systemctl", "restart", "nginx")
SETTINGS = {
    "inbox": OPS.replace("@", "+*@"),
    "admins": [JEREMY, MICHAEL],
    "sender": f"Ops <{OPS}>",
    "owner": OWNER,
    "overlap": 3600,
    "commands": {"restart web": list(RESTART)},
}


NOTICE = "Your inbox for commands"


def notices(world: World, who: str) -> list[str]:
    """The texts of the mails that brought an inbox to its owner, oldest first.

    After a lost connection, one may have come twice.
    """
    mails = [mail for mail in world.mail.inbox(who) if mail.subject == NOTICE]
    return [*{mail.message["Message-ID"]: mail.text for mail in mails}.values()]


def receipts(world: World, who: str) -> list[Mail]:
    """The other mails that a person got."""
    return [mail for mail in world.mail.inbox(who) if mail.subject != NOTICE]


def secret(world: World, who: str, number: int = -1) -> str:
    """The address of a person's inbox: the newest one, or another one by its number.

    If the mail with it has not come, it is one that nobody has.
    """
    found = re.search(r"ops\+[a-z0-9]+@yourco\.test", _notice(world, who, number))
    return found[0] if found else "ops+none@yourco.test"


def link(world: World, who: str, action: str, number: int = -1) -> str:
    """The subject of the mail that a link opens."""
    text = _notice(world, who, number)
    found = re.search(rf"mailto:{re.escape(OPS)}\?subject=({action}\S+)", text)
    return unquote(found[1]) if found else f"{action} 1 none"


def _notice(world: World, who: str, number: int) -> str:
    texts = notices(world, who)
    return texts[number] if texts else ""


def mails(world: World, to: str, sender: str, subject: str, more: str = "") -> None:
    """Sends a command by mail; `more` are further header lines."""
    number = len(world.mail.messages)
    head = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{number}@phone.test>\r\n{more}"
    world.mail.deliver(to, f"{head}\r\n\r\n".encode())


def seen(world: World, notices: Container[Mail]) -> list[str]:
    """What the program printed, logged and mailed, except for the mails that bring an inbox."""
    sent = [mail for mail in world.mail.messages if mail.envelope.sender == OPS]
    texts = [mail.raw.decode() for mail in sent if mail not in notices]
    program = [event.text for event in world.events if event.who == "program"]
    return [*texts, *world.said, *program]
