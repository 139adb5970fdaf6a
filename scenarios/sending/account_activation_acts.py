"""Further acts of account-activation: the same answers, scanners, limits, hostile forms, ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, equal, holds, told
from scenarios.sending.account_activation import scenario
from scenarios.sending.account_activation_samples import (
    ANN,
    BOB,
    EVE,
    SITE,
    Visitor,
    answer,
    to,
)

if TYPE_CHECKING:
    from fakes import World

FIRST, ALREADY = "Activate your account", "Your account is active already"


@scenario.act("activation-same-answer", book=False)
def same_answer(world: World, program: Program) -> Iterator[Claim]:
    """Eve tries out which addresses have an account: Ann's has one, Bob's waits, hers has none."""
    ann, bob, eve = (Visitor(world, name) for name in ("Ann", "Bob", "Eve"))
    ann.signs_up(10, ANN)
    ann.opens(90)
    ann.presses(100)
    bob.signs_up(110, BOB, "Bob")
    answers = [
        *(eve.asks_again(200 + at, who) for at, who in ((0, ANN), (20, BOB), (40, EVE))),
        *(eve.signs_up(300 + at, who) for at, who in ((0, ANN), (20, BOB), (40, EVE))),
    ]
    world.clock.until(400)
    program()
    found = [answer(page) for pages in answers for page in pages]
    pages = told(world, "POST /resend") + told(world, "POST /sign-up")
    same = (len(found), len(set(found)))
    yield equal("she gets the same page each time", same, (6, 1), shows=pages)
    mails = world.mail.messages
    wanted = [(ANN, ALREADY), (BOB, FIRST), (ANN, ALREADY), (BOB, FIRST), (EVE, FIRST)]
    yield equal("only the owners of the addresses learn more", to(mails)[2:], wanted, shows=mails)


@scenario.act("activation-refused", book=False)
def refused(world: World, program: Program) -> Iterator[Claim]:
    """A link is cut, changed, guessed, used twice; another one is too old."""
    ann, bob, eve = (Visitor(world, name) for name in ("Ann", "Bob", "Eve"))
    ann.signs_up(10, ANN)
    answers = [
        eve.opens(90, lambda url: url[:-1]),
        eve.opens(91, lambda url: url.replace("token=", "token=x")),
        eve.opens(92, lambda url: f"{SITE}/activate?token={'a' * 60}"),
    ]
    ann.opens(100)
    ann.presses(110)
    answers.append(ann.opens(120))
    bob.signs_up(130, BOB, "Bob")
    bob.opens(200)
    answers.append(bob.presses(800))
    answers.append(bob.opens(810))
    world.clock.until(850)
    program(scenario={"account-activation": {"valid": 600}})
    pages = [answer(page) for pages in answers for page in pages]
    shows = [event for event in world.events if "/activate: 410" in event.text]
    yield equal("they are refused alike", (len(pages), len(set(pages))), (6, 1), shows=shows)
    active = told(world, "activated")
    found = [event.text for event in active]
    yield equal("only the first click activates", found, [f"activated address={ANN}"], shows=active)


@scenario.act("activation-scanners", book=False)
def scanners(world: World, program: Program) -> Iterator[Claim]:
    """Programs open the link before Ann does: a mail filter, a preview, a browser in advance."""
    ann, filter = Visitor(world, "Ann"), Visitor(world, "mail-filter")
    ann.signs_up(10, ANN)
    filter.opens(90)
    filter.opens(91, method="HEAD")
    filter.opens(92, purpose="prefetch")
    before: list[int] = []
    world.clock.at(100, lambda: before.append(len(told(world, "activated"))))
    ann.opens(110)
    ann.presses(120)
    world.clock.until(150)
    program()
    yield equal("looking at the link activates nothing", before, [0])
    after = told(world, "activated")
    yield equal("the button still works", len(after), 1, shows=after)


@scenario.act("activation-limits", book=False)
def limits(world: World, program: Program) -> Iterator[Claim]:
    """Eve has mail sent to Bob, again and again; then to addresses of all kinds."""
    bob, eve = Visitor(world, "Bob"), Visitor(world, "Eve")
    bob.signs_up(10, BOB, "Bob")
    for n in range(5):
        eve.asks_again(100 + 20 * n, BOB)
    for n in range(5):
        eve.signs_up(300 + 20 * n, f"stranger{n}@elsewhere.test", "Eve")
    bob.asks_again(900, BOB)
    world.clock.until(950)
    program(scenario={"account-activation": {"requests": 5, "window": 600}})
    mails = [mail for mail in world.mail.messages if mail.envelope.to == [BOB]]
    soon = [mail for mail in mails if world.clock.now() - mail.at > 300]
    yield equal("Bob gets three mails in ten minutes", len(soon), 3, shows=soon)
    yield equal("afterwards, he can ask again", len(mails), 4, shows=mails[3:])
    turned_away = told(world, "POST /sign-up: 429")
    yield equal("Eve is turned away", len(turned_away), 2, shows=turned_away)


@scenario.act("activation-hostile", book=False)
def hostile(world: World, program: Program) -> Iterator[Claim]:
    """Eve writes scripts and line breaks into every field, forges the host, and Bob's form."""
    bob, eve = Visitor(world, "Bob"), Visitor(world, "Eve")
    script = "<script>alert(1)</script>"
    bad = [
        eve.signs_up(10, f"{EVE}\r\nBcc: {BOB}", "Eve"),
        eve.signs_up(30, f"{script}@elsewhere.test", "Eve"),
        eve.signs_up(50, f"{EVE}, {BOB}", f"Eve\r\nBcc: {BOB}"),
    ]
    forged = {"Host": "evil.test"}
    world.clock.at(70, lambda: eve.open(f"{SITE}/sign-up", headers=forged))
    world.clock.at(80, lambda: bob.open(f"{SITE}/resend"))
    fields = {"name": "Bob", "address": BOB, "csrf": "guessed", "form": "a" * 20}
    world.clock.at(90, lambda: bob.open(f"{SITE}/sign-up", "POST", fields))
    eve.signs_up(100, EVE, script)
    shown = eve.opens(180)
    world.clock.until(200)
    program()
    refusals = told(world, "POST /sign-up: 400") + told(world, "GET /sign-up: 400")
    yield equal("what is no address is refused", len(refusals), 5, shows=refusals)
    pages = [page.html for answers in (*bad, shown) for page in answers]
    inert = pages and not any("<script" in html for html in pages)
    yield holds("no script is part of a page", inert, pages)
    mails = world.mail.messages
    yield equal("one mail is sent, to one address", to(mails), [(EVE, FIRST)], shows=mails)
    places = {mail.links()[0].partition("/activate")[0] for mail in mails}
    yield equal("its link leads to our site", places, {SITE}, shows=mails)


@scenario.act("activation-restart", book=False)
def restart(world: World, program: Program) -> Iterator[Claim]:
    """The mail server is away, and the program ends, before Ann's mail is sent. She waits."""
    ann = Visitor(world, "Ann")
    world.close_port("smtp")
    ann.signs_up(10, ANN)
    world.clock.until(100)
    program()
    world.open_port("smtp")
    ann.opens(200)
    ann.presses(210)
    world.clock.until(300)
    program()
    mails = world.mail.messages
    yield equal("she gets one mail", to(mails), [(ANN, FIRST)], shows=mails)
    active = told(world, "activated")
    yield equal("its link works", len(active), 1, shows=active)
