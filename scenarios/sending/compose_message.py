"""Compose a mail attribute by attribute, and print it: for a pipe, a file, a look.

Listing 6.1 · MIME · try: make scenario NAME=compose-message

The program builds the mail that its settings describe and writes it to its output, ready for any mail server. What could
break the mail, or smuggle a header into it, is refused by the name of the attribute.

[scenario.compose-message]
sender = "Jeremy <jeremy@yourco.test>"
reply_to = ["ops@yourco.test"]
to = ["maggie@yourco.test"]          # also cc, bcc (never printed)
subject = "Your order"
text = "Thank you!"                  # and html, for those who like it
attach = ["invoice.pdf"]             # files, relative to this file

What goes wrong in the printed listing: a name beyond ASCII goes out as it is, and a line break in the subject is a header
of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.compose import Message
from comms.errors import SettingsError
from comms.host import Host
from comms.read import read
from comms.settings import Settings
from scenarios.play import Claim, Program, act

if TYPE_CHECKING:
    from fakes import World

ORDER: dict[str, Any] = {
    "sender": "Jérémy <jeremy@yourco.test>",
    "reply_to": ["ops@yourco.test"],
    "to": ["Maggie <maggie@yourco.test>"],
    "subject": "Ihre Bestellung für März",
    "text": "Thank you for your order!\n.\nJérémy",
}
WORLD: dict[str, Any] = {
    "servers": [],
    "host": {"name": "shop.yourco.test"},
    "scenario": {"compose-message": ORDER},
}


@dataclass(frozen=True)
class Draft:
    """The scenario's settings."""

    sender: str
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    attach: tuple[Path, ...] = ()


def compose(draft: Draft) -> Message:
    """The mail, attribute by attribute. Raises OSError for a file that cannot be read."""
    mail = Message()
    mail.sender = draft.sender
    mail.to, mail.cc, mail.bcc = list(draft.to), list(draft.cc), list(draft.bcc)
    mail.reply_to = list(draft.reply_to)
    mail.subject = draft.subject
    mail.text = draft.text
    mail.html = draft.html or None
    for path in draft.attach:
        mail.attach(path.name, path.read_bytes())
    return mail


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Prints the mail. Raises SettingsError for what cannot be in one."""
    draft = settings.table("compose-message", Draft)
    try:
        octets = compose(draft).stamped(clock, host).to_bytes()
    except (ValueError, OSError) as error:
        raise SettingsError(f"scenario.compose-message: {error}") from None
    host.say(octets.decode("ascii", "surrogateescape").replace("\r\n", "\n").removesuffix("\n"))
    return 0


def printed(world: World) -> bytes:
    """What the program printed last, as the octets of a mail."""
    said = [event.text for event in world.events if event.level == "say"]
    return (said[-1] + "\n").replace("\n", "\r\n").encode() if said else b""


@act("mailfactory-basic")
def basic(world: World, program: Program) -> Iterator[Claim]:
    """A mail is built attribute by attribute; what comes out is what went in."""
    code = program()
    mail = read(printed(world))
    yield Claim("it says who it is from and where answers go", (
        str(mail.sender), [str(box) for box in mail.reply_to]
    ) == ("Jérémy <jeremy@yourco.test>", ["ops@yourco.test"]), mail.sender)  # fmt: skip
    yield Claim("subject and text come out as they went in", (mail.subject, mail.text) == (
        ORDER["subject"], ORDER["text"] + "\n"
    ), (mail.subject, mail.text))  # fmt: skip
    yield Claim("it has a Date and a Message-ID", bool(mail.date and mail.message_id), mail.headers)
    yield Claim("every octet is ASCII: any server takes it", code == 0 and mail.raw.isascii(), mail.raw)
    program(scenario={"compose-message": {"subject": "Hello\nBcc: everybody@evil.example"}})
    names = [name for name, _ in read(printed(world)).headers]
    yield Claim("a line break in the subject makes no header", "Bcc" not in names, names)
