"""Further acts of ship-notices: what is wrong with lists and customers, and runs that end early."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, equal, sent, told
from scenarios.sending.ship_notices import scenario
from scenarios.sending.ship_notices_samples import BACK, customers, notices, orders, shop

if TYPE_CHECKING:
    from fakes import World


@scenario.act("ship-troubles", book=False)
def troubles(world: World, program: Program) -> Iterator[Claim]:
    """Of five customers, one has left, one's server is busy, and one's reply is lost."""
    shop(world.folder, customers(5))
    world.faults.arm('RCPT arg *customer2@* reply "550 5.1.1 no such mailbox"')
    world.faults.arm('RCPT arg *customer3@* reply "451 4.7.1 try again" times 1')
    world.faults.arm("smtp . lost stored nth 3")
    world.clock.until(300)
    code = program()
    yield equal(
        "the busy server is tried again, the lost reply is not",
        orders(world),
        [*"1453"],
        shows=notices(world),
    )
    said = [line.partition(": mail.yourco.test")[0] for line in world.said]
    wanted = [
        "5 notices: 1 refused, 3 sent, 1 unknown",
        "line 3, customer2@mail2.example: refused",
        "line 6, customer5@mail5.example: unknown",
    ]
    yield equal("the report names the others", said, wanted, shows=world.said)
    yield equal("the exit code says so", code, 1)


@scenario.act("ship-bad-list", book=False)
def bad_list(world: World, program: Program) -> Iterator[Claim]:
    """Some lines of the list are doubled, incomplete or broken; the others become notices."""
    first, second, third = customers(3)
    rows = [first, second, first, "4,Dora,dora", "5,Emil", '6,"Fay,fay@mail6.example,P', third]
    shop(world.folder, rows)
    world.clock.until(600)
    code = program()
    yield equal(
        "the good lines become notices", sorted(orders(world)), [*"123"], shows=notices(world)
    )
    left_out = told(world, "line-left-out")
    numbers = [re.search(r"line=(\d+)", event.text) for event in left_out]
    yield equal(
        "each line that is left out is logged",
        [int(number[1]) for number in numbers if number],
        [4, 5, 6, 7],
        shows=left_out,
    )
    yield equal("the exit code says so", code, 1)


@scenario.act("ship-template", book=False)
def template(world: World, program: Program) -> Iterator[Claim]:
    """A template asks for a column that the list does not have."""
    shop(world.folder, customers(3))
    folder = world.folder / "templates"
    folder.mkdir()
    text = "Subject: Order {{ order }}\n\nIt was handed to {{ courier }}.\n"
    (folder / "shipped.txt").write_text(text, encoding="utf-8", newline="\n")
    code = program(scenario={"ship-notices": {"templates": str(folder)}})
    yield equal("the program says so before it sends anything", (code, orders(world)), (2, []))


@scenario.act("ship-resume", book=False)
def resume(world: World, program: Program) -> Iterator[Claim]:
    """The mail server goes away after two mails, for longer than the shop waits; it runs again."""
    shop(world.folder, customers(5))

    def goes_away() -> None:
        world.close_port("smtp")
        world.cut("smtp")

    world.clock.at(1.5, goes_away)
    world.clock.until(300)
    rules = {"ship-notices": {"rate": 1, "give_up": 60}}
    first = program(scenario=rules)
    yield equal(
        "the first run sends two notices, and ends",
        (first, orders(world)),
        (3, [*"12"]),
        shows=notices(world),
    )
    world.open_port("smtp")
    second = program(scenario=rules)
    yield equal(
        "the second run sends the others, and no notice twice",
        (second, sorted(orders(world))),
        (0, [*"12345"]),
        shows=notices(world),
    )


@scenario.act("ship-unsubscribe", book=False)
def unsubscribe(world: World, program: Program) -> Iterator[Claim]:
    """One customer's mailbox is gone, another one unsubscribes. Then they order again."""
    shop(world.folder, customers(3))
    world.clock.until(600)
    program()
    mails = notices(world)
    for mail in mails[:1]:
        world.mail.bounce(mail, status="5.1.1", text="no such mailbox")
    for mail in mails[1:2]:
        to = mail.headers["list-unsubscribe"].removeprefix("<mailto:").partition("?")[0]
        text = f"From: {mail.to[0]}\r\nTo: {to}\r\nSubject: unsubscribe\r\n\r\n"
        world.mail.deliver(to, text.encode())
    shop(world.folder, [line.replace(",", "0,", 1) for line in customers(3)])
    program()
    again = notices(world)[3:]
    yield equal(
        "only the third customer is told of the next order",
        orders(world)[3:],
        ["30"],
        shows=again,
    )
    yield equal(
        "the report says why",
        world.said[-2:],
        [
            "6 notices: 1 bounced, 3 sent, 2 suppressed",
            "line 2, customer1@mail1.example: bounced: no such mailbox",
        ],
        shows=world.said[-2:],
    )
    left = len(world.mail.inbox(BACK))
    yield equal("both mails that came back are deleted", left, 0, shows=sent(world, "DELE"))


@scenario.act("ship-one-click", book=False)
def one_click(world: World, program: Program) -> Iterator[Claim]:
    """One customer unsubscribes in the mail program; another one's filter opens all links."""
    shop(world.folder, customers(3))
    rules = {"site": "http://127.0.0.1:8025"}
    world.clock.until(600)
    program(scenario={"ship-notices": rules})
    first, second = (world.browser(f"customer{n}") for n in (1, 2))
    links = [mail.headers["list-unsubscribe"][1:].partition(">")[0] for mail in notices(world)]
    post = {"List-Unsubscribe": "One-Click"}
    world.clock.at(700, lambda: first.open(links[0], "POST", post))
    world.clock.at(710, lambda: second.open(links[1]))
    world.clock.until(800)
    program(scenario={"ship-notices": {**rules, "listen": "127.0.0.1:8025"}})
    shop(world.folder, [line.replace(",", "0,", 1) for line in customers(3)])
    program(scenario={"ship-notices": rules})
    gone = told(world, "unsubscribed")
    yield equal("one click unsubscribes", len(gone), 1, shows=gone)
    yield equal(
        "the others are told of the next order", orders(world)[3:], ["20", "30"], notices(world)[3:]
    )


@scenario.act("ship-dry-run", book=False)
def dry_run(world: World, program: Program) -> Iterator[Claim]:
    """The shop looks at samples before it sends anything."""
    shop(world.folder, customers(5))
    world.clock.until(600)
    program(scenario={"ship-notices": {"dry_run": True, "samples": 2}})
    files = sorted(path.name for path in (world.folder / "ship-notices.samples").iterdir())
    wanted = ["line-2.eml", "line-3.eml"]
    yield equal("two samples are written", files, wanted, shows=world.said[-1:])
    yield equal("nothing is sent", orders(world), [])
    program()
    yield equal("then each gets a notice", orders(world), [*"12345"], shows=notices(world))
