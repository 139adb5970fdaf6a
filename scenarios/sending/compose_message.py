"""Compose a mail, attribute by attribute, and print it.

Listing 6.1 · MIME · try: make scenario NAME=compose-message

The program builds the mail that its settings describe, and prints it in the form that any mail
server accepts. A value that would break the mail, or add a header to it, is refused by name.

[scenario.compose-message]
sender = "Jeremy <jeremy@yourco.test>"   # required
to = ["maggie@yourco.test"]              # required, unless there is a cc or bcc
cc = []
bcc = []                                 # never printed
reply_to = []
subject = ""
text = ""
html = ""                                # the same content, for programs that show HTML
attach = []                              # files

What goes wrong in the printed listing: a name beyond ASCII is sent as it is, and a line break in
the subject adds a header.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.compose import Message
from comms.errors import SettingsError
from comms.host import Host
from comms.read import read
from comms.setting_types import NamedAddress, ReadableFile
from comms.settings import Settings
from scenarios.play import Claim, Program, Scenario, equal, holds

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
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings: the parts of the mail."""

    sender: NamedAddress
    to: tuple[NamedAddress, ...] = ()
    cc: tuple[NamedAddress, ...] = ()
    bcc: tuple[NamedAddress, ...] = ()
    reply_to: tuple[NamedAddress, ...] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    attach: tuple[ReadableFile, ...] = ()


def compose(rules: Rules) -> Message:
    """Returns the mail. Raises OSError if a file cannot be read, ValueError for a wrong value."""
    mail = Message()
    mail.sender = rules.sender
    mail.to, mail.cc, mail.bcc = list(rules.to), list(rules.cc), list(rules.bcc)
    mail.reply_to = list(rules.reply_to)
    mail.subject = rules.subject
    mail.text = rules.text
    mail.html = rules.html or None
    for path in rules.attach:
        mail.attach(path.name, path.read_bytes())
    return mail


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Prints the mail. Raises SettingsError for a value that no mail can have."""
    rules = settings.table("compose-message", Rules)
    try:
        data = compose(rules).stamped(clock, host).to_bytes()
    except ValueError as error:
        raise SettingsError(f"{settings.source}: scenario.compose-message.{error}") from None
    host.say(data.decode("ascii", "surrogateescape").replace("\r\n", "\n").removesuffix("\n"))
    return 0


def printed(world: World) -> bytes:
    """What the program printed last, as the bytes of a mail."""
    return (world.said[-1] + "\n").replace("\n", "\r\n").encode() if world.said else b""


@scenario.act("mailfactory-basic")
def basic(world: World, program: Program) -> Iterator[Claim]:
    """An order confirmation is composed and read back; then its subject has a line break."""
    code = program()
    mail = read(printed(world))
    yield equal("the sender is the same", str(mail.sender), ORDER["sender"], shows=world.said)
    yield equal(
        "the reply address is the same",
        list(map(str, mail.reply_to)),
        ORDER["reply_to"],
        shows=world.said,
    )
    yield equal("the subject is the same", mail.subject, ORDER["subject"], shows=world.said)
    yield equal("the text is the same", mail.text, ORDER["text"] + "\n", shows=world.said)
    yield holds(
        "the mail has a Date and a Message-ID",
        mail.date and mail.message_id,
        mail.headers,
        shows=world.said,
    )
    yield holds(
        "the mail is pure ASCII", code == 0 and mail.raw.isascii(), mail.raw, shows=world.said
    )
    program(scenario={"compose-message": {"subject": "Hello\nBcc: everybody@evil.example"}})
    names = [name for name, _ in read(printed(world)).headers]
    yield holds(
        "a line break in the subject adds no header",
        "Bcc" not in names,
        names,
        shows=world.said[-1:],
    )
