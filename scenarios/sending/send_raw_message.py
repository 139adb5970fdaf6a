"""Send a message that another program has written: as it is, byte for byte.

Section 6.1.1 · SMTP · try: make scenario NAME=send-raw-message

The envelope comes from the settings and never from the header, in which anything may be written.
What would be lost or misread on the way is repaired or refused before anything is sent:
send_raw_message_repair.py lists the rules. With `resent_from`, the message is resent: its readers
see who passed it on, and its header stays as it was.

[scenario.send-raw-message]
file = "message.eml"                 # required
sender = "bounces@yourco.test"       # required: where reports of failed delivery go
to = ["teacher@yourco.test"]         # required
resent_from = "Ann <ann@yourco.test>"    # optional: who passes the message on

Fault: RCPT split 1 -> all hold
Fault: RCPT nth 2 reply "550 no" -> breaks the envelope is that of the settings,
    the program reports each recipient, nobody is added to the envelope
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms import addresses, header, smtp
from comms.clock import Clock
from comms.errors import Refused, SettingsError
from comms.host import Host
from comms.setting_types import MailAddress, NamedAddress, NonEmpty, ReadableFile
from comms.settings import Settings
from scenarios.play import Claim, Program, Scenario, equal, sent
from scenarios.sending.send_raw_message_repair import Ready, made_ready

if TYPE_CHECKING:
    from fakes import World

BOUNCES, TEACHER, FRIEND = "bounces@yourco.test", "teacher@yourco.test", "friend@yourco.test"
WORLD: dict[str, Any] = {
    "servers": ["smtp"],
    "program": BOUNCES,
    "person": [{"address": address} for address in (BOUNCES, TEACHER, FRIEND)],
    "host": {"name": "desk.yourco.test"},
    "scenario": {
        "send-raw-message": {
            "file": str(Path(__file__).with_suffix(".eml")),
            "sender": BOUNCES,
            "to": [TEACHER, FRIEND],
        }
    },
}
scenario = Scenario(WORLD)
ODD = (
    "From: Ünal <unal@elsewhere.test>\r\nTo: list@elsewhere.test\r\nsubject:Grüße, \r\n"
    "\tfolded\r\nDATE: 1 Jan 2009 00:00 GMT\r\nMessage-id: <1@elsewhere.test>\r\n\r\n"
    ".\r\n..two dots, a space at the end \r\n\r\n\r\n"
).encode()


@dataclass(frozen=True)
class Rules:
    """The settings."""

    file: ReadableFile
    sender: MailAddress
    to: NonEmpty[tuple[MailAddress, ...]]
    resent_from: NamedAddress = ""


def prepared(raw: bytes, rules: Rules, clock: Clock, host: Host) -> Ready:
    """Returns the message as it is sent. Raises ValueError for one that must not be."""
    now = format_datetime(datetime.fromtimestamp(int(clock.time()), UTC))
    new_id = f"<{host.token(20)}@{host.name}>"
    resent = []
    if rules.resent_from:
        recipients = [addresses.parse_one(address) for address in rules.to]
        resent = [f"Resent-Date: {now}"]
        resent += [header.address_field("Resent-From", [addresses.parse_one(rules.resent_from)])]
        resent += header.address_field("Resent-To", recipients).split("\r\n")
        resent += [f"Resent-Message-ID: {new_id}"]
    return made_ready(raw, [f"Date: {now}", f"Message-ID: {new_id}"], resent)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Sends the message. Returns 0, or the exit code of the worst error of a recipient."""
    rules, server = settings.table("send-raw-message", Rules), settings.server("smtp")
    try:
        message = prepared(rules.file.read_bytes(), rules, clock, host)
    except ValueError as error:
        key = f"{settings.source}: scenario.send-raw-message.file"
        raise SettingsError(f"{key}: {rules.file.name}: {error}") from None
    for repair in message.repairs:
        host.say(f"repaired: {repair}")
    with smtp.Session(server, clock, host) as session:
        if not message.raw.isascii() and session.extension("8BITMIME") is None:
            # Encoding the text would change the message, and break its signatures.
            raise Refused(
                "the message has bytes beyond ASCII, and the server takes none (it lacks 8BITMIME)"
            )
        results = session.send(rules.sender, rules.to, message.raw, message.utf8)
    for address, failure in results.items():
        host.say(f"{address}: {failure or 'accepted'}")
    return max((failure.exit_code for failure in results.values() if failure), default=0)


def written(world: World, raw: bytes) -> str:
    """Writes a message beside the program's settings, and returns the name of its file."""
    (world.folder / "message.eml").write_bytes(raw)
    return "message.eml"


@scenario.act("send-raw-message")
def raw_message(world: World, program: Program) -> Iterator[Claim]:
    """A file has folded lines, spaces at line ends, dots and UTF-8; its envelope is another one."""
    code = program(scenario={"send-raw-message": {"file": written(world, ODD)}})
    yield equal(
        "the message arrives byte for byte",
        [mail.raw for mail in world.mail.messages],
        [ODD],
        shows=world.mail.messages,
    )
    envelopes = [(mail.envelope.sender, *mail.envelope.to) for mail in world.mail.messages]
    yield equal(
        "the envelope is that of the settings",
        envelopes,
        [(BOUNCES, TEACHER, FRIEND)],
        shows=sent(world, "MAIL", "RCPT"),
    )
    report = [f"{TEACHER}: accepted", f"{FRIEND}: accepted"]
    yield equal("the program reports each recipient", (code, world.said), (0, report), world.said)
