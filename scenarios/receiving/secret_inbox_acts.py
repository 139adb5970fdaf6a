"""Further acts of secret-inbox: planned changes, lost inboxes, wrong links, leaks, IMAP."""

from __future__ import annotations

from collections.abc import Iterator
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
    secret,
    seen,
)

if TYPE_CHECKING:
    from fakes import World

RESTART_WEB = "Restart web"


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
    for at in (120, 180, 240, 3900):
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
    four = [count for count in refused if int(str(count)) >= 4]
    yield holds("each of his mails is counted", four, refused, shows=counted)
    alarms = world.mail.inbox(OWNER)
    texts = [mail.text for mail in alarms]
    warned = any("- a revoked inbox: " in text for text in texts)
    yield holds("the owner is warned", warned, texts, shows=alarms)
    yield equal("the owner is warned once an hour", len(texts), 2, shows=alarms)


@scenario.act("secret-inbox-links")
def links(world: World, program: Program) -> Iterator[Claim]:
    """Links are forged, bent, used by another person, used twice, and used when they are old."""
    world.clock.at(60, lambda: mails(world, OPS, JEREMY, "rotate 1 " + "0" * 32))
    world.clock.at(61, lambda: mails(world, OPS, JEREMY, "lost 1"))
    world.clock.at(62, lambda: mails(world, OPS, MICHAEL, link(world, JEREMY, "rotate")))
    world.clock.at(63, lambda: mails(world, OPS, "eve@evil.example", link(world, JEREMY, "lost")))

    def bent() -> None:
        mails(world, OPS, JEREMY, link(world, JEREMY, "rotate").replace("rotate", "lost"))
        mails(world, OPS, MICHAEL, link(world, JEREMY, "rotate").replace(" 1 ", " 2 "))
        mails(world, OPS, JEREMY, f"Re: {link(world, JEREMY, 'rotate')}")

    world.clock.at(64, bent)
    world.clock.at(200, lambda: mails(world, OPS, JEREMY, link(world, JEREMY, "rotate")))
    world.clock.at(300, lambda: mails(world, OPS, JEREMY, link(world, JEREMY, "rotate", 0)))
    world.clock.at(301, lambda: mails(world, OPS, JEREMY, link(world, JEREMY, "lost", 0)))
    world.clock.until(400)
    program()
    refused = told(world, "refused")
    reasons = [event.text.partition("reason=")[2].strip('"') for event in refused]
    counts = [reasons.count(reason) for reason in ("a link that is not ours", "wrong inbox")]
    all_refused = counts[0] >= 8 and counts[1] >= 1
    yield holds("wrong links are refused", all_refused, counts, shows=refused)
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

    world.clock.at(60, lambda: written(OPS, JEREMY, RESTART_WEB, "To"))
    world.clock.at(61, lambda: written(OPS, JEREMY, RESTART_WEB, "Cc"))
    world.clock.at(62, lambda: written(OPS, JEREMY, RESTART_WEB, "Delivered-To"))
    world.clock.at(90, lambda: written("", JEREMY, "status {}", "Reply-To"))
    world.clock.at(91, lambda: written("", "eve@evil.example", "to {}", "Reply-To"))
    world.clock.at(150, lambda: written("", JEREMY, RESTART_WEB, "Bcc"))
    world.clock.until(200)
    program()
    ran = world.host.ran
    yield equal("only the envelope's address counts", ran, [RESTART], shows=ran)
    issued = [mail for mail in world.mail.messages if "Your inbox" in mail.subject]
    word = secret(world, JEREMY).partition("+")[2].partition("@")[0]
    found = [text for text in seen(world, issued) if word in text]
    yield holds("no reply and no log has the secret", not found, found)
    receipts = [mail.subject for mail in world.mail.inbox(JEREMY)[1:]]
    wanted = ["Re: status [...]", "Re: Restart web"]
    yield equal("Jeremy is answered", receipts, wanted, shows=world.mail.inbox(JEREMY)[1:])


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
