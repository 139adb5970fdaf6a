"""The further acts of mysql-by-mail: what looks like a command, forged senders, receipts, bounces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms.state import State
from scenarios.play import Claim, Program, equal, holds
from scenarios.receiving.mysql_by_mail import ADMINS, INBOX, RESTART, SENDER, asks, scenario

if TYPE_CHECKING:
    from fakes import World

JEREMY = "Jeremy <jeremy@yourco.test>"
QUOTED = f"> From: {JEREMY}\r\n> Subject: Restart MySQL\r\n"

# What arrives in the secret inbox, and whether a right program obeys it. Searching the raw text errs on more than half.
LOOKS: dict[str, tuple[bytes, bool]] = {
    "a phone's bare From": (asks(sender="jeremy@yourco.test"), True),
    "a From with a name": (asks(sender=JEREMY), True),
    "a From in capitals": (asks(sender="JEREMY@YOURCO.TEST"), True),
    "another case": (asks("rEsTaRt mysql", JEREMY), True),
    "an encoded subject": (asks("=?utf-8?B?UmVzdGFydCBNeVNRTA==?=", JEREMY), True),
    "a folded subject": (asks("Restart\r\n MySQL", JEREMY), True),
    "the command in another sentence": (asks("Please never Restart MySQL again", JEREMY), False),
    "a subject about it": (asks("Undelivered: Restart MySQL", JEREMY), False),
    "a stranger who quotes the headers": (asks("hello", "eve@evil.example", body=QUOTED), False),
    "a stranger with the command, and a quotation": (
        asks(sender="eve@evil.example", body=QUOTED),
        False,
    ),
    "a name that looks like an address": (
        asks(sender='"Jeremy <jeremy@yourco.test>" <eve@evil.example>'),
        False,
    ),
    "two Froms": (asks(sender=JEREMY, more="From: eve@evil.example\r\n"), False),
}


def restarts(world: World) -> list[float]:
    """When MySQL was restarted, in seconds since the beginning."""
    began = world.clock.now() - world.clock.elapsed
    return [
        event.at - began for event in world.events if event.text == f"runs: {' '.join(RESTART)}"
    ]


def audit(world: World) -> list[str]:
    """Why mails were refused, in order."""
    with State(world.folder / "mysql-by-mail.sqlite3") as state:
        tables = state.rows("SELECT name FROM sqlite_master WHERE name = 'audit'")
        rows = (
            state.rows("SELECT detail FROM audit WHERE verdict = 'refused' ORDER BY rowid")
            if tables
            else []
        )
    return [str(row[0]) for row in rows]


@scenario.act("mysql-by-mail-regex")
def regex(world: World, program: Program) -> Iterator[Claim]:
    """Twelve mails, two minutes apart: some are commands, some only look like it."""
    for number, (mail, _) in enumerate(LOOKS.values()):
        world.clock.at(120 * number + 15, lambda mail=mail: world.mail.deliver(INBOX, mail))  # type: ignore[misc]
    world.clock.until(120 * len(LOOKS))
    program()
    obeyed = {int(at - 15) // 120 for at in restarts(world)}
    for number, (name, (_, should)) in enumerate(LOOKS.items()):
        yield equal(f"{'obeyed' if should else 'not obeyed'}: {name}", number in obeyed, should)


@scenario.act("forged-sender-refused", scenario={"mysql-by-mail": {"owner": "michael@yourco.test"}})
def forged(world: World, program: Program) -> Iterator[Claim]:
    """The right sender at the wrong inbox, the wrong sender at the right one, and some that only look right."""
    passed = "Authentication-Results: mail.yourco.test; dmarc=pass header.from=yourco.test\r\n"
    for to, mail in (
        (SENDER, asks(sender=JEREMY)),
        (SENDER, asks(sender=JEREMY, more=f"Delivered-To: {INBOX}\r\nX-Original-To: {INBOX}\r\n")),
        (INBOX, asks(sender="Jeremy <jeremy@evil.example>")),
        (INBOX, asks(sender="jeremy@evil.example", more=passed)),
        (INBOX, asks(sender="Jeremy <jeremy@yourc0.test>")),
        (INBOX, asks(sender="Jeremy <jeremy@yourco.test.evil.example>")),
        (INBOX, asks(sender="Jeremy <jeremy+restart@yourco.test>")),
    ):
        world.mail.deliver(to, mail)
    world.clock.until(150)
    program()
    yield equal("nothing runs", world.host.ran, [])
    reasons = {reason: audit(world).count(reason) for reason in ("wrong inbox", "a stranger")}
    yield holds(
        "each leaves a trace", reasons["wrong inbox"] >= 2 and reasons["a stranger"] >= 5, reasons
    )
    kept = sorted(path.name for path in (world.folder / "mysql-by-mail.refused").glob("*.eml"))
    yield holds("each is kept", len(kept) >= 7, kept)
    told = [
        (mail.envelope.to, mail.subject)
        for mail in world.mail.messages
        if mail.envelope.sender == SENDER
    ]
    alarm = (["michael@yourco.test"], "Commands were refused on db1.yourco.test")
    yield holds("the owner is told, once", told.count(alarm) == 1, told)
    yield holds("nobody else hears anything", not [one for one in told if one != alarm], told)
    text = "".join(mail.text for mail in world.mail.inbox("michael@yourco.test"))
    yield holds("the secret inbox is not in it", INBOX not in text, text)


@scenario.act(
    "command-receipt", scenario={"mysql-by-mail": {"status": ["systemctl", "status", "mariadb"]}}
)
def receipt(world: World, program: Program) -> Iterator[Claim]:
    """The mail server is down while MySQL is restarted; later a command fails, and one is none."""
    failing = world.host.commands["systemctl", "status", "mariadb"]
    failing.code, failing.output = 3, "mariadb.service: inactive (dead)\n"
    world.silence("smtp")
    world.clock.at(
        10, lambda: world.mail.deliver(INBOX, asks(sender=JEREMY, message_id="one@phone.test"))
    )
    world.clock.at(200, lambda: world.reopen("smtp"))
    world.clock.at(400, lambda: world.mail.deliver(INBOX, asks("status mysql", JEREMY)))
    world.clock.at(500, lambda: world.mail.deliver(INBOX, asks("Restart MySQ", JEREMY)))
    world.clock.until(700)
    program()
    yield holds("MySQL is restarted once", world.host.ran.count(RESTART) == 1, world.host.ran)
    mails = world.mail.inbox(ADMINS[0])
    texts = [mail.text.replace("\r\n", "\n") for mail in mails]
    yield holds("each command has one receipt", len(mails) == 3, texts)
    first = mails[0] if mails else None
    yield holds(
        "the first waited for the mail server",
        first is not None and first.at - restarts_at(world) > 60,
        texts[:1],
    )
    thread = (
        first is not None
        and first.message["In-Reply-To"] == first.message["References"] == "<one@phone.test>"
    )
    yield holds("it is in the thread", thread, texts[:1])
    marks = [str(mail.message["Auto-Submitted"]) for mail in mails]
    yield equal("receipts say that a program wrote them", marks, ["auto-replied"] * 3)
    done = "> restart mysql\ndb1.yourco.test: done in 2.0 s\n\n| mariadb: restart\n"
    yield equal("it says what, where, how long, and the end of the output", texts[:1], [done])
    failed = (
        "> status mysql\ndb1.yourco.test: failed with exit status 3 after 2.0 s\n"
        "\n| mariadb.service: inactive (dead)\n"
    )
    yield equal("a failure is told as one", texts[1:2], [failed])
    helped = any("did you mean 'restart mysql'?" in text for text in texts[2:])
    yield holds("what is no command is answered with what is", helped, texts[2:])


def restarts_at(world: World) -> float:
    """When MySQL was restarted, in seconds since the epoch."""
    return next(
        (event.at for event in world.events if event.text == f"runs: {' '.join(RESTART)}"), 0.0
    )


@scenario.act("bounce-loop-guard", person=[
    {"address": SENDER, "aliases": [INBOX]}, {"address": ADMINS[0], "quota": 0}, {"address": ADMINS[1]},
], mail={"unknown": "bounce"})  # fmt: skip
def bounces(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy's mailbox is full: his receipt comes back. So do others, in other forms."""
    report = asks(
        "Undelivered Mail Returned to Sender",
        "MAILER-DAEMON@mx.example",
        body=f"From: {JEREMY}\r\nSubject: Restart MySQL",
    )
    absent = "Auto-Submitted: auto-replied\r\n"
    forged = (
        b"From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        b"Final-Recipient: rfc822; michael@yourco.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <guessed@db1.yourco.test>\r\n"
        b"From: Jeremy <jeremy@yourco.test>\r\nSubject: Restart MySQL\r\n\r\n--b--\r\n"
    )
    world.clock.at(10, lambda: world.mail.deliver(INBOX, asks(sender=JEREMY)))
    world.clock.at(100, lambda: world.mail.deliver(INBOX, report, sender=""))
    world.clock.at(
        130, lambda: world.mail.deliver(INBOX, asks("Re: Restart MySQL", JEREMY, absent))
    )
    world.clock.at(160, lambda: world.mail.deliver(INBOX, asks(sender=JEREMY, more=absent)))
    world.clock.at(190, lambda: world.mail.deliver(INBOX, forged, sender=""))
    world.clock.until(400)
    program()
    yield holds("MySQL is restarted once", len(world.host.ran) == 1, world.host.ran)
    sent = [mail.envelope.to for mail in world.mail.messages if mail.envelope.sender == SENDER]
    yield holds("one receipt was sent", sent.count([ADMINS[0]]) == 1, sent)
    yield holds("nothing is sent in answer to a robot", len(sent) < 2, sent)
    came_back = [
        mail
        for mail in world.mail.messages
        if re.search("^Undelivered Mail", mail.subject) and not mail.envelope.sender
    ]
    yield holds("it came back, and so did another", len(came_back) == 2, came_back)
    marked = {event.text for event in world.events if event.text.startswith("unreachable")}
    yield equal(
        "Jeremy is marked as unreachable, Michael is not",
        marked,
        {"unreachable who=jeremy@yourco.test"},
    )
