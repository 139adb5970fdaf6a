"""Further acts of secret-inbox: guesses, planned changes, lost inboxes, links, leaks, IMAP."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from comms.state import State
from scenarios.play import Claim, Program, equal, holds, told
from scenarios.receiving.secret_inbox import scenario
from scenarios.receiving.secret_inbox_samples import (
    JEREMY,
    MICHAEL,
    OPS,
    OWNER,
    RESTART,
    link,
    mails,
    notices,
    receipts,
    secret,
    seen,
)

if TYPE_CHECKING:
    from fakes import World
    from fakes.host import Event

RESTART_WEB = "Restart web"


@scenario.act("secret-inbox-guess")
def guess(world: World, program: Program) -> Iterator[Claim]:
    """Orders come to the program's own address, and to inboxes that are guessed."""
    guesses = [OPS.replace("@", f"+{word}@") for word in ("restart", "jeremy", "0" * 20)]
    for number, to in enumerate((OPS, *guesses)):
        world.clock.at(100 + number, partial(mails, world, to, JEREMY, RESTART_WEB))
    world.clock.until(150)
    program()
    yield equal("nothing runs", world.host.ran, [])
    refused = told(world, "refused")
    yield holds("each is logged", len(refused) >= 4, refused, shows=refused)
    answered = [mail.subject for mail in receipts(world, JEREMY)]
    yield equal("none is answered", answered, [])


@scenario.act("secret-inbox-rotate")
def rotate(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy changes his inbox as planned; a mail to the old one is under way."""
    world.clock.at(60, lambda: mails(world, OPS, JEREMY, link(world, JEREMY, "rotate")))
    old = 0  # the number of his first notice
    world.clock.at(120, lambda: mails(world, secret(world, JEREMY, old), JEREMY, RESTART_WEB))
    world.clock.at(240, lambda: mails(world, secret(world, JEREMY), JEREMY, RESTART_WEB))
    world.clock.at(4000, lambda: mails(world, secret(world, JEREMY, old), JEREMY, RESTART_WEB))
    world.clock.until(4100)
    program()
    yield equal("he gets a new inbox", len(notices(world, JEREMY)), 2, shows=told(world, "inbox"))
    others = len(notices(world, MICHAEL))
    yield equal("the others keep theirs", others, 1, shows=world.mail.inbox(MICHAEL))
    began = world.clock.now() - world.clock.elapsed
    runs = [event for event in world.events if event.text.startswith("runs: ")]
    times = [round(event.at - began) for event in runs]
    both = len(times) == 2 and 120 <= times[0] < 240 <= times[1] < 300
    yield holds("the old one works for the overlap, the new one from then on", both, times, runs)
    refused = told(world, "refused")
    ended = any("reason=a revoked inbox" in event.text for event in refused)
    yield holds("after the overlap it has ended", ended, refused, shows=refused)
    subjects = [mail.subject for mail in world.mail.inbox(JEREMY)]
    answered = subjects.count("Re: Restart web")
    yield equal("each order is answered", answered, 2, shows=world.mail.inbox(JEREMY))


@scenario.act("secret-inbox-lost")
def lost(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy's phone is stolen, so he ends his inbox; the thief goes on ordering."""
    old = 0
    world.clock.at(60, lambda: mails(world, OPS, JEREMY, link(world, JEREMY, "lost")))
    orders = (125, 126, 3900)
    for at in orders:
        world.clock.at(at, lambda: mails(world, secret(world, JEREMY, old), JEREMY, RESTART_WEB))
    world.clock.at(300, lambda: mails(world, secret(world, JEREMY), JEREMY, RESTART_WEB))
    world.clock.until(4000)
    program()
    ran = world.host.ran
    yield equal("only the new inbox is obeyed", ran, [RESTART], shows=ran)
    subjects = [mail.subject for mail in world.mail.inbox(JEREMY)]
    answered = sum("Restart" in subject for subject in subjects)
    yield equal("the thief gets no answer", answered, 1, shows=world.mail.inbox(JEREMY))
    with State(world.folder / "secret-inbox.sqlite3") as state:
        refused = [row[0] for row in state.rows("SELECT refused FROM inbox WHERE revoked")]
    counted = told(world, "inbox-revoked")
    all_counted = [count for count in refused if int(str(count)) >= len(orders)]
    yield holds("each of his mails is counted", all_counted, refused, shows=counted)
    alarms = world.mail.inbox(OWNER)
    texts = [mail.text for mail in alarms]
    warned = any("- a revoked inbox: " in text for text in texts)
    yield holds("the owner is warned", warned, texts, shows=alarms)
    yield equal("the owner is warned once an hour", len(texts), 2, shows=alarms)


def refusals(world: World) -> tuple[list[int], list[Event]]:
    """How many links were refused, and mails to a wrong inbox; and what was logged of them."""
    refused = told(world, "refused")
    reasons = [event.text.partition("reason=")[2].strip('"') for event in refused]
    counts = [reasons.count(reason) for reason in ("a link that is not ours", "wrong inbox")]
    return counts, refused


@scenario.act("secret-inbox-links")
def links(world: World, program: Program) -> Iterator[Claim]:
    """Links are forged, bent, and used by another person."""
    world.clock.at(65, lambda: mails(world, OPS, JEREMY, "rotate 1 " + "0" * 32))
    world.clock.at(66, lambda: mails(world, OPS, JEREMY, "lost 1"))
    world.clock.at(67, lambda: mails(world, OPS, MICHAEL, link(world, JEREMY, "rotate")))
    world.clock.at(68, lambda: mails(world, OPS, "eve@evil.example", link(world, JEREMY, "lost")))

    def bent() -> None:
        mails(world, OPS, JEREMY, link(world, JEREMY, "rotate").replace("rotate", "lost"))
        mails(world, OPS, MICHAEL, link(world, JEREMY, "rotate").replace(" 1 ", " 2 "))
        mails(world, OPS, JEREMY, f"Re: {link(world, JEREMY, 'rotate')}")

    world.clock.at(69, bent)
    world.clock.until(150)
    program()
    counts, refused = refusals(world)
    all_refused = counts[0] >= 6 and counts[1] >= 1
    yield holds("wrong links are refused", all_refused, counts, shows=refused)
    found = [len(notices(world, who)) for who in (JEREMY, MICHAEL)]
    yield equal("no inbox is changed", found, [1, 1], shows=told(world, "inbox who"))
    yield equal("nothing runs", world.host.ran, [])


@scenario.act("secret-inbox-old-links")
def old_links(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy changes his inbox by a link, and uses the links of the mail with the old one again."""
    world.clock.at(60, lambda: mails(world, OPS, JEREMY, link(world, JEREMY, "rotate")))
    world.clock.at(130, lambda: mails(world, OPS, JEREMY, link(world, JEREMY, "rotate", 0)))
    world.clock.at(131, lambda: mails(world, OPS, JEREMY, link(world, JEREMY, "lost", 0)))
    world.clock.until(200)
    program()
    counts, refused = refusals(world)
    yield holds("old links are refused", counts[0] >= 2, counts, shows=refused)
    found = [len(notices(world, who)) for who in (JEREMY, MICHAEL)]
    yield equal("the right one works, once", found, [2, 1], shows=told(world, "inbox who"))
    yield equal("nothing runs", world.host.ran, [])


@scenario.act("secret-inbox-leaks")
def leaks(world: World, program: Program) -> Iterator[Claim]:
    """The secret is written into header fields and subjects, by Jeremy and by Eve."""

    def written(to: str, sender: str, subject: str, field: str) -> None:
        inbox = secret(world, JEREMY)
        more = f"{field}: {inbox}\r\n"
        mails(world, to or inbox, sender, subject.format(inbox), more)

    world.clock.at(65, lambda: written(OPS, JEREMY, RESTART_WEB, "To"))
    world.clock.at(66, lambda: written(OPS, JEREMY, RESTART_WEB, "Cc"))
    world.clock.at(67, lambda: written(OPS, JEREMY, RESTART_WEB, "Delivered-To"))
    world.clock.at(70, lambda: written("", JEREMY, "status {}", "Reply-To"))
    world.clock.at(71, lambda: written("", "eve@evil.example", "to {}", "Reply-To"))
    world.clock.at(150, lambda: written("", JEREMY, RESTART_WEB, "Bcc"))
    world.clock.until(200)
    program()
    ran = world.host.ran
    yield equal("only the envelope's address counts", ran, [RESTART], shows=ran)
    issued = [mail for mail in world.mail.messages if "Your inbox" in mail.subject]
    word = secret(world, JEREMY).partition("+")[2].partition("@")[0]
    found = [text for text in seen(world, issued) if word in text]
    yield holds("no reply and no log has the secret", not found, found)
    mine = receipts(world, JEREMY)
    wanted = ["Re: status [...]", "Re: Restart web"]
    yield equal("Jeremy is answered", [mail.subject for mail in mine], wanted, shows=mine)


@scenario.act("secret-inbox-imap", servers=["smtp", "imap"])
def over_imap(world: World, program: Program) -> Iterator[Claim]:
    """The same over IMAP: an order, a change, and an order to the new inbox."""
    world.clock.at(60, lambda: mails(world, secret(world, JEREMY), JEREMY, RESTART_WEB))
    world.clock.at(120, lambda: mails(world, OPS, JEREMY, link(world, JEREMY, "lost")))
    world.clock.at(240, lambda: mails(world, secret(world, JEREMY), JEREMY, RESTART_WEB))
    world.clock.until(300)
    program()
    ran = world.host.ran
    yield equal("each order runs", ran, [RESTART] * 2, shows=ran)
    yield equal("the mailbox is empty", world.mail.inbox(OPS), [])
