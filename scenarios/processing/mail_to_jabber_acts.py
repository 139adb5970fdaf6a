"""Further acts of mail-to-jabber: users who are away or have not agreed, and odd mails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, equal, holds, sent
from scenarios.play import told as logged
from scenarios.processing.mail_to_jabber import scenario
from scenarios.processing.mail_to_jabber_samples import (
    ANN,
    BOT,
    CUSTOMERS,
    JEREMY,
    MICHAEL,
    OPS,
    bounce,
    rich,
    told,
    written,
)

if TYPE_CHECKING:
    from fakes import World

ONE = {"mail-to-jabber": {"users": [JEREMY]}}


def subjects(texts: list[str]) -> list[str]:
    """The subject in each message."""
    return [text.split("Subject: ")[1].partition("\n")[0] for text in texts]


def left(world: World) -> list[str]:
    """The subjects of customers' mails in the maildrop, each once."""
    mails = [mail for mail in world.mail.inbox(BOT) if f"@{CUSTOMERS}" in mail.message["From"]]
    return list(dict.fromkeys(mail.subject for mail in mails))


@scenario.act("mail-to-jabber-offline")
def offline(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy comes online in the evening; the server has stored what he was told."""
    jeremy, michael = world.jabber.actor(JEREMY), world.jabber.actor(MICHAEL)
    michael.comes()
    world.clock.at(10, lambda: world.mail.deliver(OPS, written("The printer is on fire")))
    world.clock.at(90, lambda: world.mail.deliver(OPS, written("It is out")))
    empty: list[str] = ["?"]
    world.clock.at(200, lambda: empty.__setitem__(slice(None), left(world)))
    world.clock.at(3600, lambda: jeremy.comes())
    world.clock.until(3700)
    program()
    wanted = ["The printer is on fire", "It is out"]
    yield equal("who is online is told", subjects(told(michael)), wanted, shows=michael.messages)
    stored = [message for message in world.jabber.messages if message.to == JEREMY]
    yield equal("who was offline is told later", subjects(told(jeremy)), wanted, shows=stored)
    yield equal(
        "the mails are deleted as soon as the server has the messages",
        empty,
        [],
        shows=sent(world, "DELE"),
    )


@scenario.act("mail-to-jabber-not-stored", off={"xmpp": ["offline"]}, scenario=ONE)
def not_stored(world: World, program: Program) -> Iterator[Claim]:
    """The server stores nothing for who is offline: messages come back, and mail has to wait."""
    jeremy = world.jabber.actor(JEREMY)
    seen: list[list[str]] = []
    world.clock.at(10, lambda: world.mail.deliver(OPS, written("The printer is on fire")))
    world.clock.at(5000, lambda: seen.append(left(world)))
    world.clock.at(7000, lambda: jeremy.comes())
    world.clock.until(7100)
    program()
    deferred = logged(world, "deferred")
    tries = [
        message
        for message in world.jabber.messages
        if message.to == JEREMY and ANN in (message.body or "")
    ]
    yield equal(
        "the mail stays in the maildrop", seen, [["The printer is on fire"]], shows=deferred
    )
    yield holds("it is tried less and less often", 3 < len(tries) < 12, len(tries), shows=tries)
    yield equal("always with the same id", len({message.id for message in tries}), 1, shows=tries)
    yield equal(
        "they are told once they come online",
        subjects(told(jeremy)),
        ["The printer is on fire"],
        shows=jeremy.messages,
    )
    yield equal("then the mail is deleted", left(world), [], shows=sent(world, "DELE"))


@scenario.act("mail-to-jabber-not-subscribed", scenario={"mail-to-jabber": {"users": [MICHAEL]}})
def not_subscribed(world: World, program: Program) -> Iterator[Claim]:
    """Michael has never heard of the program. He is asked, and agrees half an hour later."""
    michael = world.jabber.actor(MICHAEL)
    michael.drops(BOT)
    michael.refuses(BOT)
    before = len(michael.all)
    seen: list[list[str]] = []
    world.clock.at(10, lambda: world.mail.deliver(OPS, written("The printer is on fire")))
    world.clock.at(1700, lambda: seen.append([*left(world), *told(michael)]))
    world.clock.at(1800, lambda: michael.accepts(BOT))
    world.clock.until(1900)
    program()
    asked = [stanza for stanza in michael.all[before:] if stanza.type == "subscribe"]
    yield equal("they are asked once", len(asked), 1, shows=asked)
    yield equal(
        "until they agree, the mail waits, and they are not told",
        seen,
        [["The printer is on fire"]],
        shows=logged(world, "not-authorised"),
    )
    yield equal(
        "then they are told",
        subjects(told(michael)),
        ["The printer is on fire"],
        shows=michael.messages,
    )
    yield equal("and the mail is deleted", left(world), [], shows=sent(world, "DELE"))


@scenario.act("mail-to-jabber-server-away", scenario=ONE)
def server_away(world: World, program: Program) -> Iterator[Claim]:
    """The Jabber server goes down for ten minutes, and Ann writes meanwhile."""
    jeremy = world.jabber.actor(JEREMY)
    jeremy.comes()
    seen: list[list[str]] = []
    world.clock.at(40, lambda: world.close_port("xmpp"))
    world.clock.at(41, lambda: world.jabber.cut(BOT))
    world.clock.at(70, lambda: world.mail.deliver(OPS, written("The printer is on fire")))
    world.clock.at(600, lambda: seen.append(left(world)))
    world.clock.at(640, lambda: world.open_port("xmpp"))
    world.clock.until(2400)
    program()
    away = logged(world, "jabber-off-line")
    yield equal("the mail stays in the maildrop", seen, [["The printer is on fire"]], shows=away)
    yield equal(
        "it is told when the server is back",
        subjects(told(jeremy)),
        ["The printer is on fire"],
        shows=jeremy.messages,
    )
    yield equal("and deleted", left(world), [], shows=sent(world, "DELE"))


@scenario.act("mail-to-jabber-odd-mails", scenario={"mail-to-jabber": {"users": [JEREMY]}})
def odd(world: World, program: Program) -> Iterator[Claim]:
    """Mails arrive that are long, have files or only HTML, hide control characters, or bounce."""
    jeremy = world.jabber.actor(JEREMY)
    jeremy.comes()
    forged = written("=?utf-8?q?Lunch=0AFrom=3A_boss=40yourco=2Etest?=", "Bring \x1b[31mcake\x07")
    long = written("Very long", "A line of the text. " * 1000)
    huge = written("Huge", ("x" * 76 + "\r\n") * 20_000)
    for mail in (forged, long, huge, rich(), bounce()):
        world.mail.deliver(OPS, mail)
    world.clock.until(600)
    program()
    texts = dict(zip(subjects(told(jeremy)), told(jeremy), strict=True))
    shows = jeremy.messages
    yield equal("each mail is told", len(texts), 5, shows=shows)
    found = texts.get("Lunch From: boss@yourco.test", "")
    wanted = f"From: Ann <{ANN}>\nTo: {OPS}\nSubject: Lunch From: boss@yourco.test\n\n"
    yield equal(
        "no control character and no forged line is told",
        found,
        f"{wanted}Bring [31mcake",
        shows=shows,
    )
    found = texts.get("Very long", "")
    yield holds(
        "a long text is cut, with a mark",
        "[cut: 2,000 of 19,999 characters]\n[kept as " in found,
        found[-100:],
        shows=shows,
    )
    found = texts.get("Huge", "")
    yield holds(
        "of a huge mail the header is told, and it stays",
        "[it stays in the maildrop]" in found and left(world) == ["Huge"],
        (found, left(world)),
        shows=shows,
    )
    found = texts.get("Café", "")
    yield holds(
        "HTML is told as text, and files are named with their sizes",
        "The menu, in Größe XL\n[attached: menu.pdf (1,234 bytes)]\n[kept as " in found,
        found,
        shows=shows,
    )
    found = texts.get("Undelivered", "")
    yield holds("automatic mail is marked", "\nAutomatic: " in found, found, shows=shows)
    kept = sorted((world.folder / "mail-to-jabber.kept").glob("*.eml"))
    yield holds("what is not told is kept", len(kept) >= 2, kept, shows=logged(world, "told"))
