"""Tell Jabber users what is in the mail: no mail is lost, and nobody is told of one twice.

Section 6.1.3 · POP3, IMAP, XMPP · try: make scenario NAME=mail-to-jabber

Every thirty seconds the program collects its mail, and sends each user a message with From, To,
Subject and text. A mail is deleted when the Jabber server has the message for each user: it answers
what comes after a message only when it has processed the message. Until then, what was cut or
killed is repeated, with the same id.

[scenario.mail-to-jabber]
users = ["jeremy@yourco.test"]      # required: each is told of every mail
mailbox = "imap"                    # optional: or "pop3"; else the one with a table
poll = 30                           # seconds
limit = 2000                        # characters of a mail's text that are told; the rest is cut
automatic = "tell"                  # mails that programs wrote: "tell", or "keep" without telling
state = "mail-to-jabber.sqlite3"    # with the folder mail-to-jabber.kept beside it

A user who is offline gets the message later, if the server stores it. If it comes back, or the user
has not authorised us, the mail stays in the maildrop; they are told when they come online or agree,
and it is tried again within an hour. A mail of which more exists than is told is kept as a file
(the last 500). One that is larger than a megabyte stays in the maildrop, and its header is told.
Automatic mail is told and marked: this program sends no mail, so it cannot be part of a loop.

Fault: xmpp message split 1 -> all hold
Fault: xmpp iq split 3 -> all hold
Fault: xmpp message hang up before times 1 -> all hold
Fault: xmpp message hang up after times 1 -> all hold
Fault: pop-drop-before-quit -> all hold
Fault: pop-drop-in-retr -> all hold
Fault: pop-dele-err -> all hold
Fault: pop-uidl-reused -> all hold
Fault: duplicate-delivery -> all hold
Fault: poison-mail -> all hold
Fault: pop-long-line -> all hold

What a loop that reads, sends and deletes does instead: it deletes mail whose message came back, and
control characters in a mail end its stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from comms import replies, words
from comms.addresses import Address
from comms.clock import Clock
from comms.host import Host
from comms.read import Mail
from comms.setting_types import JabberAccount, MailProtocol, NonEmpty, Seconds, StateFile, between
from comms.settings import Settings
from comms.state import State
from comms.xmpp import Client, stanzas
from comms.xmpp.stream import to_bytes
from scenarios.play import Claim, Program, Scenario, equal, sent
from scenarios.processing.mail_to_jabber_desk import Desk
from scenarios.processing.mail_to_jabber_samples import ANN, BOT, OPS, USERS, told, written

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["pop3", "xmpp"],
    "program": BOT,
    "person": [
        {"address": BOT, "aliases": [OPS], "contacts": dict.fromkeys(USERS, "both")},
        *({"address": address} for address in USERS),
    ],
    "scenario": {"mail-to-jabber": {"users": list(USERS)}},
}
scenario = Scenario(WORLD)

LINE = 150  # characters of a subject, a name with its address, or a file's name
NAMES = 3  # recipients and attachments that are named
BYTES = 6500  # of a message without its addresses: every server takes 10,000 (RFC 6120 §13.12)
# What XML cannot represent or discourages (XML 1.0 §2.2), but for tabs and line feeds.
_CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


@dataclass(frozen=True)
class Rules:
    """The settings."""

    users: NonEmpty[tuple[JabberAccount, ...]]
    mailbox: MailProtocol = None
    poll: Seconds = 30
    limit: Annotated[int, between(1, 5000)] = 2000
    automatic: Literal["tell", "keep"] = "tell"
    state: StateFile = Path("mail-to-jabber.sqlite3")


def telling(mail: Mail, limit: int, *notes: str) -> tuple[str, bool]:
    """Returns what users are told of a mail, and whether that is all of it."""
    sender = _shown([mail.sender]) if mail.sender else _cut(words.decode(mail.get("from")))
    about = {"From": sender, "To": _shown([*mail.to, *mail.cc]), "Subject": _cut(mail.subject)}
    if reason := replies.automatic(mail):
        about["Automatic"] = _cut(reason)
    head = [f"{name}: {text or 'not said'}" for name, text in about.items()]
    files = [f"{one.name or 'a file'} ({len(one.content):,} bytes)" for one in mail.attachments]
    tail = [f"[attached: {_cut(name)}]" for name in files[:NAMES]]
    tail += [f"[and {len(files) - NAMES} more files]"] if files[NAMES:] else []
    text = _CONTROLS.sub("", re.sub(r"\r\n?|[\v\f\x85\u2028\u2029]", "\n", mail.text)).strip()
    kept = text[:limit]
    while True:
        mark = [f"[cut: {len(kept):,} of {len(text):,} characters]"] if kept != text else []
        message = "\n".join([*head, "", kept, *mark, *tail, *notes]).rstrip()
        if not kept or len(to_bytes(stanzas.message(None, message))) <= BYTES:
            return message, not (mark or files)
        kept = kept[: len(kept) * 3 // 4]


def _shown(people: list[Address]) -> str:
    names = [f"{one.name} <{one.address}>" if one.name else one.address for one in people[:NAMES]]
    more = [f"and {len(people) - NAMES} more"] if people[NAMES:] else []
    return ", ".join([*map(_cut, names), *more])


def _cut(text: str) -> str:
    """Returns the beginning of a text as one line, so that no header can pretend to be two."""
    line = " ".join(words.one_line(_CONTROLS.sub("", text)).split())
    return line if len(line) <= LINE else f"{line[: LINE - 1]}…"


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Tells until stopped. Returns 0 if the last poll went well. Raises CommsError."""
    rules, code = settings.table("mail-to-jabber", Rules), 0
    mailbox = settings.mailbox("mail-to-jabber", rules.mailbox)
    with State(rules.state) as state:
        state.lock()
        desk = Desk(rules, mailbox, state, clock, host, telling)
        server = settings.server("xmpp")
        with Client(server, clock, host, accept_subscriptions=rules.users) as jabber:
            for _ in clock.every(rules.poll):
                code = desk.work(jabber)
    return code


@scenario.act("mail-to-jabber")
def two_users(world: World, program: Program) -> Iterator[Claim]:
    """Ann writes to the operators, and then to them and others; both operators are online."""
    people = [world.jabber.actor(user) for user in USERS]
    for person in people:
        person.comes()
    world.clock.at(10, lambda: world.mail.deliver(OPS, written("The printer is on fire")))
    both = f"Ops <{OPS}>, Boss <boss@yourco.test>"
    world.clock.at(70, lambda: world.mail.deliver(OPS, written("It is out", to=both)))
    program()
    first = f"From: Ann <{ANN}>\nTo: {OPS}\nSubject: The printer is on fire\n\nPlease help."
    second = f"From: Ann <{ANN}>\nTo: {both}\nSubject: It is out\n\nPlease help."
    yield equal(
        "each user is told of each mail",
        [told(person) for person in people],
        [[first, second]] * 2,
        shows=[message for person in people for message in person.messages],
    )
    yield equal(
        "a mail that is told is deleted", world.mail.inbox(BOT), [], shows=sent(world, "DELE")
    )
